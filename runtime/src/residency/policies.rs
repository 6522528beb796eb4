//! Cache policies on a trace of pack uses: why homes are planned, and not found by a cache.

use std::collections::HashMap;

use super::spread::spread;
use super::{DensePass, Limits, MemoryTier, Need, PackTraffic, VitalityOracle, Wires, plan};

/// What decides which packs a cache keeps.
trait Policy {
    /// A pack is used at time `now`, which counts uses.
    fn used(&mut self, _pack: usize, _now: usize) {}

    /// How much a pack is worth keeping at time `now`, just after a use.
    fn worth(&self, pack: usize, now: usize) -> f64;

    /// A newcomer that is worth no more than those it would replace passes through a staging slot and is not kept.
    fn bypasses(&self) -> bool {
        true
    }
}

/// Keeps what was used last.
struct Lru(Vec<usize>);

impl Policy for Lru {
    fn used(&mut self, pack: usize, now: usize) {
        self.0[pack] = now + 1;
    }

    fn worth(&self, pack: usize, _: usize) -> f64 {
        self.0[pack] as f64
    }

    fn bypasses(&self) -> bool {
        false
    }
}

/// A weighted sum, each part from 0 to 1: 0.4 how often a pack was used, 0.3 what it means (0, as nothing is known of
/// that), 0.2 how small it is, 0.1 how lately it was used.
struct Classic {
    sizes: Vec<u64>,
    uses: Vec<u32>,
    last: Lru,
}

impl Policy for Classic {
    fn used(&mut self, pack: usize, now: usize) {
        self.uses[pack] += 1;
        self.last.used(pack, now);
    }

    fn worth(&self, pack: usize, now: usize) -> f64 {
        let share = |part: f64, all: f64| part / all.max(1.0);
        let most = self.uses.iter().max().copied().unwrap_or(1);
        let longest = self.sizes.iter().max().copied().unwrap_or(1);
        0.4 * share(f64::from(self.uses[pack]), f64::from(most))
            + 0.2 * (1.0 - share(self.sizes[pack] as f64, longest as f64))
            + 0.1 * share(self.last.worth(pack, now), (now + 1) as f64)
    }

    fn bypasses(&self) -> bool {
        false
    }
}

/// Keeps a set that never changes.
struct Pinned(Vec<bool>);

impl Policy for Pinned {
    fn worth(&self, pack: usize, _: usize) -> f64 {
        if self.0[pack] { f64::INFINITY } else { f64::NEG_INFINITY }
    }
}

/// Keeps what the oracle expects to be needed soonest.
struct Oracle(DensePass);

impl Policy for Oracle {
    /// Just after a use, so that the pack used is a whole pass away.
    fn worth(&self, pack: usize, now: usize) -> f64 {
        -self.0.next_use(pack, now + 1)
    }
}

/// Knows the whole trace: keeps what is used next soonest. No policy hits more on packs of one size.
struct Belady {
    /// Times at which each pack is used.
    uses: Vec<Vec<usize>>,
}

impl Policy for Belady {
    fn worth(&self, pack: usize, now: usize) -> f64 {
        let next = self.uses[pack].partition_point(|&at| at <= now);
        self.uses[pack].get(next).map_or(f64::NEG_INFINITY, |&at| -(at as f64))
    }
}

/// Share of the bytes used, after the first pass, that the cache held.
fn hit_rate(policy: &mut impl Policy, sizes: &[u64], trace: &[usize], capacity: u64) -> f64 {
    let mut held: HashMap<usize, u64> = HashMap::new();
    let (mut hits, mut bytes, mut free) = (0, 0, capacity);
    for (now, &pack) in trace.iter().enumerate() {
        let size = sizes[pack];
        policy.used(pack, now);
        let warm = now >= sizes.len();
        bytes += if warm { size } else { 0 };
        if held.contains_key(&pack) {
            hits += if warm { size } else { 0 };
            continue;
        }
        let newcomer = policy.worth(pack, now);
        while free < size {
            let worth = |(pack, size): (&usize, &u64)| (policy.worth(*pack, now), *pack, *size);
            let least = held.iter().map(worth).min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            match least {
                Some((worth, victim, room)) if !policy.bypasses() || worth < newcomer => {
                    held.remove(&victim);
                    free += room;
                }
                _ => break,
            }
        }
        if size <= free && newcomer > f64::NEG_INFINITY {
            held.insert(pack, size);
            free -= size;
        }
    }
    hits as f64 / bytes as f64
}

fn passes(n: usize, passes: usize) -> Vec<usize> {
    (0..passes).flat_map(|_| 0..n).collect()
}

fn lru(n: usize) -> Lru {
    Lru(vec![0; n])
}

fn classic(sizes: &[u64]) -> Classic {
    Classic { sizes: sizes.to_vec(), uses: vec![0; sizes.len()], last: lru(sizes.len()) }
}

fn belady(n: usize, trace: &[usize]) -> Belady {
    let mut uses = vec![Vec::new(); n];
    trace.iter().enumerate().for_each(|(now, &pack)| uses[pack].push(now));
    Belady { uses }
}

#[test]
fn on_a_dense_scan_a_set_that_stays_beats_a_cache() {
    const N: usize = 128;
    const LEN: u64 = 1 << 20;
    let (sizes, trace) = (vec![LEN; N], passes(N, 6));
    let packs = vec![PackTraffic { len: LEN, need: Need::EveryPass }; N];
    println!("hit rate, {N} equal packs, 6 passes\n  C/N    LRU  score    pin   plan (ring inside C)  oracle  Belady");
    for c in (N / 8..N).step_by(N / 8) {
        let capacity = c as u64 * LEN;
        let bound = c as f64 / N as f64;
        let slot = 1.0 / N as f64;
        let limits = Limits { vram: capacity, ram: 1 << 40, unified: false };
        let planned = plan(&packs, limits, Wires { disk: 3e9, link: 25e9, vram: 300e9 }).unwrap();
        let ring = f64::from(planned.slots) * slot;
        let homes = planned.homes.iter().map(|home| *home == MemoryTier::VramHot).collect();
        let [lru, classic, pin, homes, oracle, belady] = [
            hit_rate(&mut lru(N), &sizes, &trace, capacity),
            hit_rate(&mut classic(&sizes), &sizes, &trace, capacity),
            hit_rate(&mut Pinned(spread(&sizes, capacity)), &sizes, &trace, capacity),
            hit_rate(&mut Pinned(homes), &sizes, &trace, capacity),
            hit_rate(&mut Oracle(DensePass::new((0..N).collect())), &sizes, &trace, capacity),
            hit_rate(&mut belady(N, &trace), &sizes, &trace, capacity),
        ];
        println!(
            "{bound:.3}  {lru:.3}  {classic:.3}  {pin:.3}  {homes:.3} ({:2} slots)       {oracle:.3}   {belady:.3}",
            planned.slots
        );
        assert_eq!((lru, pin), (0.0, bound));
        assert!((homes - (bound - ring)).abs() < 1e-9);
        assert!(oracle >= bound - slot && belady >= oracle - 1e-9);
        // A hit holds a pack's room from one use to the next, which is a whole pass.
        assert!(belady <= bound + slot);
    }
}

#[test]
fn so_it_does_with_packs_of_many_sizes() {
    let sizes: Vec<u64> = (0..120).map(|i| [4, 9, 1, 12, 7][i % 5]).collect();
    let (trace, total) = (passes(sizes.len(), 6), sizes.iter().sum::<u64>());
    let oracle = DensePass::new((0..sizes.len()).collect());
    println!("hit rate in bytes, {} packs of many sizes, 6 passes\n  C/N    LRU  score    pin  oracle", sizes.len());
    for eighths in 1..8 {
        let capacity = total * eighths / 8;
        let bound = capacity as f64 / total as f64;
        let [lru, classic, pin, oracle] = [
            hit_rate(&mut lru(sizes.len()), &sizes, &trace, capacity),
            hit_rate(&mut classic(&sizes), &sizes, &trace, capacity),
            hit_rate(&mut Pinned(spread(&sizes, capacity)), &sizes, &trace, capacity),
            hit_rate(&mut Oracle(oracle.clone()), &sizes, &trace, capacity),
        ];
        println!("{bound:.3}  {lru:.3}  {classic:.3}  {pin:.3}   {oracle:.3}");
        let longest = 12.0 / total as f64;
        assert_eq!(lru, 0.0);
        assert!(pin >= bound - longest && pin > classic);
        assert!(oracle >= bound - 2.0 * longest);
    }
}
