//! The planner's promises, over random models and limits and by hand.

use proptest::prelude::*;

use super::plan::is_streamed;
use super::planner::Planner;
use super::{Limits, MemoryTier, Need, PackTraffic, Plan, Wire, Wires, plan, replan};

const MIB: u64 = 1 << 20;
const WIRES: Wires = Wires { disk: 3e9, link: 25e9, vram: 300e9 };

fn pack(len: u64, need: Need) -> PackTraffic {
    PackTraffic { len, need }
}

fn packs(n: usize, len: u64) -> Vec<PackTraffic> {
    vec![pack(len, Need::EveryPass); n]
}

fn total(packs: &[PackTraffic]) -> u64 {
    packs.iter().map(PackTraffic::room).sum()
}

fn models() -> impl Strategy<Value = Vec<PackTraffic>> {
    let need = prop_oneof![
        8 => Just(Need::EveryPass),
        2 => Just(Need::Lookup),
        1 => Just(Need::Always),
        1 => Just(Need::Tied),
    ];
    // One length, some lengths, or any; and now and then one that is much longer.
    let len = prop_oneof![
        4 => Just(12 * MIB),
        2 => Just(9 * MIB + 1),
        2 => 1..=16 * MIB,
        1 => 1u64..20_000,
        1 => 16 * MIB..100 * MIB,
    ];
    let model = prop::collection::vec((len, need).prop_map(|(len, need)| pack(len, need)), 0..60);
    (model, any::<bool>()).prop_map(|(mut model, equal)| {
        if equal {
            model.iter_mut().filter(|p| p.need != Need::Always).for_each(|p| p.len = 12 * MIB);
        }
        model
    })
}

/// Limits in proportion to the model, some of them beside a node.
fn limits(packs: &[PackTraffic], (vram, ram, unified): (f64, f64, bool)) -> Limits {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let of = |share: f64| (share * total(packs) as f64) as u64;
    Limits { vram: of(vram), ram: of(ram), unified }
}

fn shares() -> impl Strategy<Value = (f64, f64, bool)> {
    (0.0..1.3, 0.0..1.3, any::<bool>())
}

fn rooms(packs: &[PackTraffic], plan: &Plan, tier: MemoryTier) -> u64 {
    packs.iter().zip(&plan.homes).filter(|(_, home)| **home == tier).map(|(p, _)| p.room()).sum()
}

fn check(packs: &[PackTraffic], limits: Limits, plan: &Plan) -> Result<(), TestCaseError> {
    let hot = rooms(packs, plan, MemoryTier::VramHot) + u64::from(plan.slots) * plan.slot_bytes;
    let warm = rooms(packs, plan, MemoryTier::RamWarm);
    if limits.unified {
        prop_assert!(hot + plan.host_slot_bytes() <= limits.vram.min(limits.ram));
        prop_assert!(warm == 0 && plan.staging == 0);
    } else {
        prop_assert!(hot <= limits.vram);
        prop_assert!(warm + plan.host_slot_bytes() <= limits.ram);
        prop_assert!(plan.staging > 0);
    }
    prop_assert_eq!(plan.homes.len(), packs.len());
    for (p, home) in packs.iter().zip(&plan.homes) {
        prop_assert!(p.need != Need::Always || *home == MemoryTier::VramHot);
        if is_streamed(p, *home) {
            prop_assert!(plan.slots > 0 && p.room() <= plan.slot_bytes);
        }
        if p.need.is_looked_up() && *home == MemoryTier::DiskCold {
            prop_assert!(plan.gather && p.room() <= plan.staging_bytes);
        }
        prop_assert!(limits.unified || p.room() <= plan.staging_bytes);
    }
    prop_assert!(plan.slots <= 16 && plan.staging <= 8);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn budgets_hold_and_every_pack_can_be_reached(packs in models(), shares in shares()) {
        let limits = limits(&packs, shares);
        if let Ok(plan) = plan(&packs, limits, WIRES) {
            check(&packs, limits, &plan)?;
        }
    }

    #[test]
    fn the_least_is_exact(packs in models(), shares in shares()) {
        let given = limits(&packs, shares);
        let Err(short) = plan(&packs, given, WIRES) else {
            return Ok(());
        };
        prop_assert!(given.vram < short.vram_least || given.ram < short.ram_least);
        let least = Limits { vram: given.vram.max(short.vram_least), ram: short.ram_least, ..given };
        let enough = plan(&packs, least, WIRES);
        prop_assert!(enough.is_ok(), "{given:?}: {short:?}");
        check(&packs, least, &enough.unwrap())?;
        if let Some(vram) = short.vram_least.checked_sub(1) {
            prop_assert!(plan(&packs, Limits { vram, ram: u64::MAX, ..given }, WIRES).is_err(), "{short:?}");
        }
        if let Some(ram) = short.ram_least.checked_sub(1) {
            prop_assert!(plan(&packs, Limits { ram, ..least }, WIRES).is_err(), "{short:?}");
        }
    }

    /// What a plan leaves over is less than a pack in each tier, and that may be more in the larger budget.
    #[test]
    fn more_is_never_slower_by_more_than_a_slot(packs in models(), shares in shares(), more in (0.0..0.5, 0.0..0.5)) {
        let less = limits(&packs, shares);
        let more = limits(&packs, (shares.0 + more.0, shares.1 + more.1, shares.2));
        if let Ok(small) = plan(&packs, less, WIRES) {
            let large = plan(&packs, more, WIRES);
            prop_assert!(large.is_ok());
            let large = large.unwrap();
            let planner = Planner::new(&packs, more, WIRES);
            let [a, b] = [&small, &large].map(|plan| planner.cost(plan));
            let slot = small.slot_bytes.max(small.staging_bytes) as f64;
            let slot = slot / if small.forecast(&packs, WIRES).disk.bytes > 0 { WIRES.disk } else { WIRES.link };
            prop_assert!(b <= a + slot, "{a} -> {b}, {} slots: {small:?} {large:?}", (b - a) / slot);
        }
    }
}

#[test]
fn what_fits_needs_no_ring() {
    let packs = packs(20, 12 * MIB);
    let limits = Limits { vram: total(&packs), ram: 24 * MIB, unified: false };
    let fits = plan(&packs, limits, WIRES).unwrap();
    assert_eq!((fits.slots, fits.slot_bytes, fits.staging, fits.gather), (0, 0, 2, false));
    assert!(fits.homes.iter().all(|home| *home == MemoryTier::VramHot));
    assert_eq!(fits.forecast(&packs, WIRES).binding(), Wire::Vram);
    let unified = plan(&packs, Limits { ram: total(&packs), unified: true, ..limits }, WIRES).unwrap();
    assert_eq!((unified.homes, unified.slots, unified.staging), (fits.homes, 0, 0));
}

#[test]
fn the_smallest_budget_is_one_slot_of_each() {
    let mut packs = packs(20, 12 * MIB);
    packs.push(pack(16 << 10, Need::Always));
    packs.extend([pack(12 * MIB, Need::Lookup); 4]);
    let short = plan(&packs, Limits { vram: 0, ram: 0, unified: false }, WIRES).unwrap_err();
    assert_eq!((short.vram_least, short.ram_least), (12 * MIB + (16 << 10), 24 * MIB));
    assert_eq!(
        short.to_string(),
        "the model needs at least 12.0 MiB (12599296 bytes) of VRAM and 24 MiB (25165824 bytes) of RAM for its packs"
    );
    let least = Limits { vram: short.vram_least, ram: short.ram_least, unified: false };
    let plan = plan(&packs, least, WIRES).unwrap();
    assert_eq!((plan.slots, plan.staging, plan.gather), (1, 1, true));
}

#[test]
fn unified_memory_has_a_ring_and_nothing_else() {
    let mut packs = packs(40, 12 * MIB);
    packs.extend([pack(10 * MIB, Need::Lookup); 4]);
    let limits = Limits { vram: 20 * 12 * MIB + 10 * MIB, ram: 1 << 40, unified: true };
    let plan = plan(&packs, limits, WIRES).unwrap();
    assert_eq!((plan.slots, plan.staging, plan.staging_bytes, plan.gather), (2, 0, 10 * MIB, true));
    assert_eq!(rooms(&packs, &plan, MemoryTier::VramHot), 18 * 12 * MIB);
    let forecast = plan.forecast(&packs, WIRES);
    assert_eq!((forecast.disk.bytes, forecast.link.bytes), (22 * 12 * MIB + 10 * MIB, 0));
}

#[test]
fn an_outlier_is_pinned_rather_than_made_a_slot_for() {
    let mut packs = packs(100, 12 * MIB);
    packs[57].len = 40 * MIB;
    let plan = plan(&packs, Limits { vram: 1000 * MIB, ram: 1 << 40, unified: false }, WIRES).unwrap();
    assert_eq!((plan.homes[57], plan.slot_bytes), (MemoryTier::VramHot, 12 * MIB));
}

#[test]
fn tables_come_after_what_every_pass_reads() {
    let mut model = vec![pack(12 * MIB, Need::Lookup); 10];
    model.extend(packs(40, 12 * MIB));
    let at = |vram: u64, ram: u64| {
        let limits = Limits { vram: vram * 12 * MIB, ram: ram * 12 * MIB, unified: false };
        let plan = plan(&model, limits, WIRES).unwrap();
        let tables = &plan.homes[..10];
        let count = |tier| tables.iter().filter(|home| **home == tier).count();
        (count(MemoryTier::VramHot), count(MemoryTier::RamWarm), plan.gather)
    };
    assert_eq!(at(20, 100), (0, 10, false));
    assert_eq!(at(43, 100), (3, 7, false));
    assert_eq!(at(44, 3), (4, 1, true));
    // 22 that are streamed through a ring of 2, two staging slots, the gather slot, and five more.
    assert_eq!(at(20, 30), (0, 5, true));
    assert_eq!(at(20, 20), (0, 0, true));
}

/// Ten thousand packs of any lengths take no quadratic time.
#[test]
fn large_models_are_planned_at_once() {
    let packs: Vec<PackTraffic> = (0..10_000).map(|i| pack(MIB + i * 7919 % MIB, Need::EveryPass)).collect();
    let limits = Limits { vram: total(&packs) / 3, ram: total(&packs) / 3, unified: false };
    let plan = plan(&packs, limits, WIRES).unwrap();
    let streamed: Vec<usize> = (0..packs.len()).filter(|&i| plan.homes[i] != MemoryTier::VramHot).collect();
    let longest = streamed.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= 6, "{longest} packs from one that is streamed to the next");
    let read: Vec<usize> = (0..packs.len()).filter(|&i| plan.homes[i] == MemoryTier::DiskCold).collect();
    let longest = read.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= 10, "{longest} packs from one that is read to the next");
}

/// What a smaller budget leaves in a tier was there before, and is spread as evenly as can be.
#[test]
fn smaller_budgets_leave_packs_where_they_are() {
    let model = packs(300, 12 * MIB);
    let at = |vram: u64, homes: &[MemoryTier]| {
        let limits = Limits { vram: vram * 12 * MIB, ram: 120 * 12 * MIB, unified: false };
        replan(&model, limits, WIRES, homes).unwrap()
    };
    let mut now = at(300, &[]);
    for vram in [290, 250, 180, 100, 40, 3] {
        let next = at(vram, &now.homes);
        let places = || now.homes.iter().zip(&next.homes);
        let newcomers = places().filter(|(was, is)| is < was).count();
        // a shorter ring leaves room for others
        assert!(newcomers <= now.slots.saturating_sub(next.slots) as usize, "{newcomers} at {vram}");
        let fresh = at(vram, &[]);
        assert_eq!((fresh.slots, fresh.forecast(&model, WIRES).link), (next.slots, next.forecast(&model, WIRES).link));
        let streamed: Vec<usize> = (0..300).filter(|&i| next.homes[i] != MemoryTier::VramHot).collect();
        let gaps = streamed.windows(2).map(|pair| pair[1] - pair[0]);
        let most = 300 / streamed.len() + 1;
        assert!(gaps.max().unwrap_or(0) <= 2 * most, "{vram}: {streamed:?}");
        now = next;
    }
}
