//! Which pack of a mixture of experts lives where: what every token needs as in a dense model, and caches for the experts.

use super::plan::{Limits, Need, PackTraffic, Plan, TooSmall};
use super::tier::MemoryTier;

/// Slots of the ring that experts pass through which no cache takes in, at best: two groups of them at a time.
const RING: usize = 6;

/// What `dense` makes of everything but the experts, and of a ring for those. What VRAM is left then is a cache of experts, and so
/// is what RAM is left, unless it holds them all. Where VRAM holds everything there is neither ring nor cache.
pub(super) fn plan_mixture(
    packs: &[PackTraffic],
    limits: Limits,
    dense: impl Fn(&[PackTraffic]) -> Result<Plan, TooSmall>,
) -> Result<Plan, TooSmall> {
    let everything = packs.iter().map(|pack| PackTraffic { need: always_used(pack.need), ..*pack });
    match dense(&everything.collect::<Vec<_>>()) {
        Ok(plan) if plan.slots == 0 => return Ok(plan),
        _ => {}
    }
    let room = packs.iter().filter(|pack| pack.is_expert()).map(PackTraffic::room).max().unwrap_or(0);
    // no bytes for experts, and in their stead what a ring takes
    let without = |slots: usize| {
        let others = packs.iter().map(|pack| match pack.is_expert() {
            true => PackTraffic { len: 0, need: Need::Always },
            false => *pack,
        });
        others.chain(std::iter::repeat_n(PackTraffic { len: room, need: Need::Always }, slots)).collect::<Vec<_>>()
    };
    let mut least = dense(&without(1));
    let mut slots = 1;
    for more in (2..=RING).rev() {
        if let Ok(plan) = dense(&without(more)) {
            (least, slots) = (Ok(plan), more);
            break;
        }
    }
    let mut plan = least?;
    plan.homes.truncate(packs.len());
    let ring = u64::from(plan.slots) * plan.slot_bytes + slots as u64 * room;
    plan.slot_bytes = plan.slot_bytes.max(room);
    plan.slots = u32::try_from(ring / plan.slot_bytes.max(1)).unwrap_or(u32::MAX);
    plan.expert_bytes = room;
    fill_caches(&mut plan, packs, limits);
    Ok(plan)
}

/// Gives the experts what is left of both memories.
fn fill_caches(plan: &mut Plan, packs: &[PackTraffic], limits: Limits) {
    let rooms = |plan: &Plan, tier: MemoryTier, with: fn(&PackTraffic) -> bool| -> u64 {
        let inside = packs.iter().zip(&plan.homes).filter(|(pack, home)| **home == tier && with(pack));
        inside.map(|(pack, _)| pack.room()).sum()
    };
    let others = |pack: &PackTraffic| !pack.is_expert();
    let experts: u64 = packs.iter().filter(|pack| pack.is_expert()).map(PackTraffic::room).sum();
    let host = plan.host_slot_bytes();
    let left_of_ram = |plan: &Plan| limits.ram.saturating_sub(host + rooms(plan, MemoryTier::RamWarm, others));
    // a row is as well read across the link
    if !plan.unified {
        for (at, pack) in packs.iter().enumerate() {
            if pack.need == Need::Lookup && plan.homes[at] == MemoryTier::VramHot && pack.room() <= left_of_ram(plan) {
                plan.homes[at] = MemoryTier::RamWarm;
            }
        }
    }
    let ring = u64::from(plan.slots) * plan.slot_bytes;
    let held = ring + rooms(plan, MemoryTier::VramHot, others);
    let vram = match plan.unified {
        true => limits.vram.min(limits.ram).saturating_sub(host),
        false => limits.vram,
    };
    let count = packs.iter().filter(|pack| pack.is_expert()).count();
    let places = |bytes: u64| {
        let places = bytes.checked_div(plan.expert_bytes).unwrap_or(0).min(count as u64);
        u32::try_from(places).unwrap_or(u32::MAX)
    };
    let (cache, ram) = (places(vram.saturating_sub(held)), left_of_ram(plan));
    let home = if !plan.unified && experts <= ram { MemoryTier::RamWarm } else { MemoryTier::DiskCold };
    let warm_cache = if plan.unified || home == MemoryTier::RamWarm { 0 } else { places(ram) };
    (plan.cache, plan.warm_cache) = (cache, warm_cache);
    for (at, _) in packs.iter().enumerate().filter(|(_, pack)| pack.is_expert()) {
        plan.homes[at] = home;
    }
}

/// The need of a pack where all experts are used.
fn always_used(need: Need) -> Need {
    if matches!(need, Need::Expert { .. }) { Need::EveryPass } else { need }
}

#[cfg(test)]
mod tests {
    use super::super::{Wires, plan};
    use super::*;

    const MIB: u64 = 1 << 20;
    const WIRES: Wires = Wires { disk: 3e9, link: 25e9, vram: 300e9 };

    /// A table, and four layers of 10 MiB for all tokens and of 16 experts of 2 MiB.
    fn model() -> Vec<PackTraffic> {
        let pack = |len, need| PackTraffic { len, need };
        let mut packs = vec![pack(8 * MIB, Need::Lookup)];
        for _ in 0..4 {
            packs.push(pack(4096, Need::Always));
            packs.push(pack(10 * MIB, Need::EveryPass));
            packs.extend([pack(2 * MIB, Need::Expert { used: 2, count: 16 }); 16]);
        }
        packs
    }

    fn planned(vram: u64, ram: u64, unified: bool) -> Result<Plan, TooSmall> {
        plan(&model(), Limits { vram: vram * MIB, ram: ram * MIB, unified }, WIRES)
    }

    fn experts(plan: &Plan) -> Vec<MemoryTier> {
        let of = model().into_iter().zip(plan.homes.clone()).filter(|(pack, _)| pack.is_expert()).map(|(_, home)| home);
        let mut homes: Vec<MemoryTier> = of.collect();
        homes.dedup();
        homes
    }

    #[test]
    fn what_fits_stays() {
        let all = planned(200, 40, false).unwrap();
        assert_eq!((all.cache, all.slots, experts(&all)), (0, 0, vec![MemoryTier::VramHot]));
    }

    #[test]
    fn what_all_tokens_need_goes_first_and_experts_share_the_rest() {
        // 40 MiB and some for all tokens, a ring of 12; experts in RAM
        let warm = planned(80, 200, false).unwrap();
        assert_eq!((experts(&warm), warm.warm_cache, warm.slots), (vec![MemoryTier::RamWarm], 0, 6));
        assert!((10..=14).contains(&warm.cache), "{warm:?}");
        // not all of them in RAM
        let cold = planned(80, 80, false).unwrap();
        assert_eq!((experts(&cold), cold.cache), (vec![MemoryTier::DiskCold], warm.cache));
        assert!(cold.warm_cache > 10 && cold.warm_cache < 40, "{cold:?}");
        let one = planned(80, 200, true).unwrap();
        assert_eq!((experts(&one), one.warm_cache), (vec![MemoryTier::DiskCold], 0));
        assert!(one.cache > 5, "{one:?}");
    }

    #[test]
    fn the_least_is_a_ring() {
        let small = planned(1, 1, false).unwrap_err();
        let Limits { vram, ram, .. } = Limits { vram: small.vram_least, ram: small.ram_least, unified: false };
        let least = plan(&model(), Limits { vram, ram, unified: false }, WIRES).unwrap();
        assert!(least.slots >= 1 && least.slot_bytes >= 10 * MIB, "{least:?}");
        assert!(plan(&model(), Limits { vram: vram - 4096, ram, unified: false }, WIRES).is_err());
    }

    #[test]
    fn every_plan_is_within_its_limits() {
        for vram in (0..200).step_by(7) {
            for ram in (0..220).step_by(11) {
                for unified in [false, true] {
                    let Ok(plan) = planned(vram, ram, unified) else { continue };
                    let rooms = |tier| -> u64 {
                        let packs = model()
                            .into_iter()
                            .zip(&plan.homes)
                            .filter(|(_, home)| **home == tier)
                            .map(|(p, _)| p.room());
                        packs.sum()
                    };
                    let [cache, warm] = plan.cache_bytes();
                    let hot = rooms(MemoryTier::VramHot) + u64::from(plan.slots) * plan.slot_bytes + cache;
                    let warm = rooms(MemoryTier::RamWarm) + plan.host_slot_bytes() + warm;
                    if unified {
                        assert!(hot + warm <= vram.min(ram) * MIB, "{vram} {ram} {plan:?}");
                    } else {
                        assert!(hot <= vram * MIB && warm <= ram * MIB, "{vram} {ram} {plan:?}");
                    }
                }
            }
        }
    }
}
