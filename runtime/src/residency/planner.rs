//! Which pack lives where, and how large the rings are that the others pass through.
//!
//! A dense model touches every pack once a pass, always in the same order. On such a scan a cache that keeps what was used
//! last hits nothing, and a set that never moves hits its whole size; so homes are chosen once, here, before anything is
//! loaded, and only the rings turn.

use super::forecast::Wires;
use super::mixture_planner::plan_mixture;
use super::plan::{Limits, Need, PackTraffic, Plan, TooSmall, is_read, is_streamed};
use super::spread::spread;
use super::tier::MemoryTier;

/// Ring slots in VRAM and staging slots in RAM at most. [`Planner::cost`] says how many of them a plan takes.
const MOST_SLOTS: u32 = 16;
const MOST_STAGING: u32 = 8;
/// Staging slots where they only serve loading: one is read into while the other is copied from.
const LOADING: u32 = 2;
/// Seconds that a ring needs to bridge at most: the host's hiccups. A longer ring waits for nothing.
const HICCUP: f64 = 0.010;
/// Packs that make slots long are pinned ahead of the others while they take at most this part, 1 in so many, of what the
/// ring leaves.
const OUTLIERS: u64 = 16;

/// Chooses a home for each pack. As many bytes as possible are in VRAM, then in RAM, after the slots; what is streamed, and
/// what is on disk, is spread evenly over the pass, so that no wire waits for another for long. Tables that are looked up
/// come last in both, as a token needs only a row of them.
///
/// ```
/// use symbiote_runtime::residency::{Limits, Need, PackTraffic, Wires, plan};
///
/// // 8 billion weights of 12 bits each: 32 layers (norms, attention, output, gate and up, down), table and head.
/// let pack = |len, need| PackTraffic { len, need };
/// let mut packs = vec![pack(16_416_768, Need::Lookup); 48];
/// for _ in 0..32 {
///     packs.push(pack(16_384, Need::Always));
///     packs.extend([pack(18_874_368, Need::EveryPass); 2]);
///     packs.push(pack(25_165_824, Need::EveryPass));
///     packs.extend([pack(22_020_096, Need::EveryPass); 12]);
/// }
/// packs.extend([pack(16_416_768, Need::EveryPass); 48]);
///
/// let limits = Limits { vram: 8_000_000_000, ram: 32_000_000_000, unified: false };
/// let wires = Wires { disk: 3e9, link: 50e9, vram: 400e9 };
/// let plan = plan(&packs, limits, wires)?;
/// let forecast = plan.forecast(&packs, wires);
/// assert_eq!(
///     forecast.to_string(),
///     "at most 14.7 tokens/s, bound by the link \
///      (a pass: disk 0 B in 0.0 ms, link 3.2 GiB in 68.2 ms, VRAM 10.5 GiB in 28.1 ms)"
/// );
/// # Ok::<(), symbiote_runtime::residency::TooSmall>(())
/// ```
pub fn plan(packs: &[PackTraffic], limits: Limits, wires: Wires) -> Result<Plan, TooSmall> {
    replan(packs, limits, wires, &[])
}

/// As [`plan`], for packs that have `homes` now: those that are in a tier, or in a faster one, go before the others there, so that
/// as few bytes as possible change their place.
pub fn replan(packs: &[PackTraffic], limits: Limits, wires: Wires, homes: &[MemoryTier]) -> Result<Plan, TooSmall> {
    let dense = |packs: &[PackTraffic]| replan_dense(packs, limits, wires, homes);
    if packs.iter().any(PackTraffic::is_expert) { plan_mixture(packs, limits, dense) } else { dense(packs) }
}

/// As [`replan`], for packs of which every pass needs all.
fn replan_dense(packs: &[PackTraffic], limits: Limits, wires: Wires, homes: &[MemoryTier]) -> Result<Plan, TooSmall> {
    let planner = Planner { homes, ..Planner::new(packs, limits, wires) };
    let rings = planner.rings();
    let plans = rings.iter().flat_map(|ring| planner.hosts(ring));
    let costs = plans.map(|plan| (planner.cost(&plan), plan));
    // Among equals the first, which has the longest rings.
    let best = costs.reduce(|best, next| if next.0 < best.0 { next } else { best });
    best.map(|(_, plan)| plan).ok_or_else(|| planner.too_small())
}

/// What stays the same whatever the rings.
pub(super) struct Planner<'a> {
    packs: &'a [PackTraffic],
    limits: Limits,
    wires: Wires,
    /// Bytes in VRAM whatever the plan.
    always: u64,
    /// Bytes read in every pass that can be streamed.
    streamable: u64,
    /// Rooms of the streamable packs, the longest first.
    lengths: Vec<u64>,
    /// Bytes that are only looked up.
    lookups: u64,
    /// Some packs are streamed and looked up.
    tied: bool,
    /// Bytes of a staging slot.
    staging_bytes: u64,
    /// Where packs are now; empty where they are nowhere yet.
    homes: &'a [MemoryTier],
}

/// How a tier serves the packs that are looked up and have no faster home.
enum Lookups {
    /// Everything fits, they too.
    Fit,
    /// They are kept, ahead of packs that are read more often, because they are smaller than a gather slot.
    Kept,
    /// Through a gather slot, as far as they do not fit.
    Gathered,
}

impl<'a> Planner<'a> {
    pub(super) fn new(packs: &'a [PackTraffic], limits: Limits, wires: Wires) -> Self {
        let sum = |with: fn(Need) -> bool| packs.iter().filter(|p| with(p.need)).map(PackTraffic::room).sum();
        let mut lengths: Vec<u64> = packs.iter().filter(|p| p.need.is_streamable()).map(PackTraffic::room).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let staged = packs.iter().filter(|p| !limits.unified || p.need.is_looked_up());
        Self {
            packs,
            limits: if limits.unified { Limits { vram: limits.vram.min(limits.ram), ..limits } } else { limits },
            wires,
            always: sum(|need| need == Need::Always),
            streamable: sum(Need::is_streamable),
            lengths,
            lookups: sum(|need| need == Need::Lookup),
            tied: packs.iter().any(|p| p.need == Need::Tied),
            staging_bytes: staged.map(PackTraffic::room).max().unwrap_or(0),
            homes: &[],
        }
    }

    /// Every plan of VRAM worth a look, and no RAM used yet: all pinned and no ring, or rings from the longest to the shortest.
    fn rings(&self) -> Vec<Plan> {
        let Some(free) = self.limits.vram.checked_sub(self.always) else { return Vec::new() };
        let home = |p: &PackTraffic| if p.need == Need::Always { MemoryTier::VramHot } else { MemoryTier::DiskCold };
        let nothing = Plan {
            homes: self.packs.iter().map(home).collect(),
            slots: 0,
            slot_bytes: 0,
            staging: 0,
            staging_bytes: self.staging_bytes,
            gather: false,
            unified: self.limits.unified,
            ..Plan::default()
        };
        // RAM may still serve what is looked up, unless it is the same memory.
        let lookups = if nothing.unified { self.lookups(&nothing, free) } else { Some((Lookups::Gathered, free)) };
        let Some((lookups, free)) = lookups else { return Vec::new() };
        if self.streamable <= free {
            return vec![self.fill(nothing, MemoryTier::VramHot, &lookups, free, u64::MAX)];
        }
        let ring = |slots: u32| {
            let slots_bytes = |slot_bytes| u64::from(slots) * slot_bytes;
            let longest = self.slot_bytes(free, slots_bytes)?;
            let pinned = free - slots_bytes(longest);
            let plan = self.fill(nothing.clone(), MemoryTier::VramHot, &lookups, pinned, longest);
            let streamed = || self.packs.iter().zip(&plan.homes).filter(|(p, home)| is_streamed(p, **home));
            let slot_bytes = streamed().map(|(p, _)| p.room()).max().unwrap_or(0);
            Some(Plan { slots, slot_bytes, ..plan })
        };
        (1..=self.most_slots()).rev().filter_map(ring).collect()
    }

    /// Slots that bridge a hiccup of the host; no fewer than [`Self::cost`] may ask for where packs are long.
    fn most_slots(&self) -> u32 {
        let rate = if self.limits.unified { self.wires.disk } else { self.wires.link };
        let longest = self.lengths.first().copied().unwrap_or(0);
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
        let bridges = |slots: &u32| f64::from(*slots) * longest as f64 >= HICCUP * rate;
        (4..MOST_SLOTS).find(bridges).unwrap_or(MOST_SLOTS)
    }

    /// The length of a slot that leaves the most for pinned packs: all longer ones are pinned, so there must not be many.
    /// None where such a ring does not fit.
    fn slot_bytes(&self, free: u64, slots_bytes: impl Fn(u64) -> u64) -> Option<u64> {
        let mut pinned = 0;
        let mut best = None;
        for class in self.lengths.chunk_by(|a, b| a == b) {
            let length = class[0];
            if free.checked_sub(slots_bytes(length)).is_some_and(|rest| pinned <= rest / OUTLIERS) {
                best = Some(length);
            }
            pinned += class.iter().sum::<u64>();
        }
        best
    }

    /// Every plan worth a look that adds RAM to a plan of VRAM.
    fn hosts(&self, ring: &Plan) -> Vec<Plan> {
        if ring.unified {
            return vec![ring.clone()];
        }
        let host = |staging: u32| {
            let free = self.limits.ram.checked_sub(u64::from(staging) * self.staging_bytes)?;
            let (lookups, free) = self.lookups(ring, free)?;
            let plan = Plan { staging, ..ring.clone() };
            Some(self.fill(plan, MemoryTier::RamWarm, &lookups, free, u64::MAX))
        };
        let reads = |plan: &Plan| self.packs.iter().zip(&plan.homes).any(|(p, home)| is_read(p, *home));
        let plans = (1..=MOST_STAGING).rev().filter_map(host);
        plans.filter(|plan| plan.staging <= LOADING || reads(plan)).collect()
    }

    /// How a tier with `free` bytes serves the packs that are looked up, and what it has left then for the others; none
    /// where it cannot. One row may be needed from anywhere, so every byte on disk needs a gather slot to go through.
    fn lookups(&self, plan: &Plan, free: u64) -> Option<(Lookups, u64)> {
        let cold =
            || self.packs.iter().zip(&plan.homes).filter(|(_, home)| **home == MemoryTier::DiskCold).map(|(p, _)| p);
        let all: u64 = cold().map(PackTraffic::room).sum();
        let lookups = cold().filter(|p| p.need == Need::Lookup).map(PackTraffic::room).sum();
        let ring = plan.slots > 0;
        let tied = if ring { self.tied } else { cold().any(|p| p.need == Need::Tied) };
        let gathered = tied || lookups > self.staging_bytes;
        // Beside a ring there must be room to gather even if nothing happens to need it: which packs are pinned changes with
        // the limits, and more VRAM must not ask for more RAM.
        if all <= free && !(ring && gathered && free < self.staging_bytes) {
            return Some((Lookups::Fit, free - lookups));
        }
        if !gathered {
            return Some((Lookups::Kept, free.checked_sub(lookups)?));
        }
        Some((Lookups::Gathered, free.checked_sub(self.staging_bytes)?))
    }

    /// Gives `free` bytes of a tier to packs that are still on disk, those longer than `longest` ahead of all others.
    fn fill(&self, mut plan: Plan, tier: MemoryTier, lookups: &Lookups, mut free: u64, longest: u64) -> Plan {
        let room = |pack: usize| self.packs[pack].room();
        let mut streamed = self.cold(&plan, Need::is_streamable);
        for outlier in streamed.extract_if(.., |pack| room(*pack) > longest) {
            plan.homes[outlier] = tier;
            free -= room(outlier);
        }
        let (here, elsewhere): (Vec<usize>, Vec<usize>) =
            streamed.into_iter().partition(|&pack| self.homes.get(pack).is_some_and(|home| *home <= tier));
        let mut all = true;
        for packs in [here, elsewhere] {
            let rooms: Vec<u64> = packs.iter().map(|pack| room(*pack)).collect();
            let chosen = spread(&rooms, free);
            all &= chosen.iter().all(|chosen| *chosen);
            for (pack, _) in packs.into_iter().zip(chosen).filter(|(_, chosen)| *chosen) {
                plan.homes[pack] = tier;
                free -= room(pack);
            }
        }
        for pack in self.cold(&plan, |need| need == Need::Lookup) {
            match lookups {
                Lookups::Fit | Lookups::Kept => plan.homes[pack] = tier,
                // The first ones hold the most frequent tokens.
                Lookups::Gathered if all && room(pack) <= free => {
                    plan.homes[pack] = tier;
                    free -= room(pack);
                }
                Lookups::Gathered => {}
            }
        }
        plan.gather = !self.cold(&plan, Need::is_looked_up).is_empty();
        plan
    }

    /// Packs on disk, by need.
    fn cold(&self, plan: &Plan, with: fn(Need) -> bool) -> Vec<usize> {
        let cold = |&pack: &usize| plan.homes[pack] == MemoryTier::DiskCold && with(self.packs[pack].need);
        (0..self.packs.len()).filter(cold).collect()
    }

    /// Seconds a pass takes, roughly: the binding wire's, and for each ring a wait that shrinks with the square of its slots.
    /// The two wires that a ring joins take turns if it has one slot, so the wait is then all that the faster one needs; an
    /// eighth of what the slower one needs is added for the jitter of real wires.
    ///
    /// I expected the wait to shrink as the slots grow, so that the best ring is the square root of the packs that pass it,
    /// some 9 slots. Played (`wires.rs`), packs that are spread evenly need 2 and no more: each slot costs its bytes in every
    /// pass, and bridges a stall of just as long once in a pass. Of 540 packs, 300 slots' worth of VRAM and a link of 25
    /// GB/s, 1 slot gives 7.6 tokens/s, 2 give 8.2, 4 give 8.1 and 16 give 7.8. Staging is alike: 1 slot loses a tenth, and a
    /// third where the link is nearly as slow as the disk; 2 lose nothing. Hence the square. It makes 4 or 5 slots of a
    /// few hundred streamed packs, 2 of a few dozen, and rings as long as [`HICCUP`] where kernels bind and slots are free.
    pub(super) fn cost(&self, plan: &Plan) -> f64 {
        let forecast = plan.forecast(self.packs, self.wires);
        let (disk, link, vram) = (forecast.disk.seconds, forecast.link.seconds, forecast.vram.seconds);
        let wait = |a: f64, b: f64, slots: u32| {
            if a.min(b) > 0.0 { (a.min(b) + a.max(b) / 8.0) / f64::from(slots.max(1)).powi(2) } else { 0.0 }
        };
        let waits = if plan.unified {
            wait(disk, vram, plan.slots)
        } else {
            wait(disk, link, plan.staging) + wait(link, vram, plan.slots)
        };
        forecast.seconds() + waits
    }

    fn too_small(&self) -> TooSmall {
        let longest = self.lengths.first().copied().unwrap_or(0);
        if self.limits.unified {
            let rows = if self.tied { self.staging_bytes } else { self.staging_bytes.min(self.lookups) };
            let all = self.streamable + self.lookups;
            let least = self.always + all.min(longest + rows);
            return TooSmall { vram_least: least, ram_least: least };
        }
        let vram_least = self.always + longest;
        let limits = Limits { vram: self.limits.vram.max(vram_least), ..self.limits };
        let host = |plan: &Plan| {
            let lookups =
                self.cold(plan, |need| need == Need::Lookup).into_iter().map(|pack| self.packs[pack].room()).sum();
            let tied = plan.slots > 0 && self.tied;
            self.staging_bytes + if tied { self.staging_bytes } else { self.staging_bytes.min(lookups) }
        };
        let rings = Self { limits, lengths: self.lengths.clone(), ..*self }.rings();
        TooSmall { vram_least, ram_least: rings.iter().map(host).min().unwrap_or(self.staging_bytes) }
    }
}
