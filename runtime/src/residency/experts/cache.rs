//! Who holds which slot.

use super::{ExpertPolicy, ExpertShape};

/// A slot for a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The slot.
    pub slot: usize,
    /// Who held it.
    pub evicted: Option<usize>,
}

/// What is held of a layer.
#[derive(Clone, Debug, Default)]
struct Layer {
    held: Vec<usize>,
    /// Who of them is needed last; none after a change.
    last: Option<Last>,
}

/// Who of a layer is needed last, for as long as the policy's version is this, and how far away that is at a time.
#[derive(Clone, Copy, Debug)]
struct Last {
    expert: usize,
    version: u64,
    distance: f64,
    now: usize,
}

/// Slots of one size, and the expert that each of them holds. Bytes are somebody else's.
#[derive(Clone, Debug)]
pub struct ExpertCache {
    shape: ExpertShape,
    slot_of: Vec<Option<usize>>,
    /// Slots that hold nothing, the next one to be taken last.
    free: Vec<usize>,
    slots: usize,
    layers: Vec<Layer>,
    /// The layer to look at first: where the farthest one was.
    hint: usize,
    /// What bringing each expert back costs a byte, from the tier below, in any unit.
    costs: Vec<f64>,
}

impl ExpertCache {
    /// `slots` empty slots.
    pub fn new(slots: usize, shape: ExpertShape) -> Self {
        Self {
            shape,
            slot_of: vec![None; shape.count()],
            free: (0..slots).rev().collect(),
            slots,
            layers: vec![Layer::default(); shape.layers],
            hint: 0,
            costs: vec![1.0; shape.count()],
        }
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The slot that holds an expert.
    pub fn slot_of(&self, expert: usize) -> Option<usize> {
        self.slot_of[expert]
    }

    /// The experts that are held, by their numbers.
    pub fn held(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.slot_of.len()).filter(|&expert| self.slot_of[expert].is_some())
    }

    /// What bringing an expert back costs a byte, relative to others: it counts as needed that much sooner. 1 for all at first.
    pub fn set_cost(&mut self, expert: usize, cost: f64) {
        self.costs[expert] = cost.max(f64::MIN_POSITIVE);
        self.layers[self.shape.layer(expert)].last = None;
    }

    /// A slot for a newcomer: a free one, or that of the expert whose next use is farthest for what bringing it back costs.
    /// None where the newcomer's own is no nearer, so that it passes through staging, and where `kept` keeps all: those that are
    /// leased or needed right now.
    pub fn admit(
        &mut self,
        expert: usize,
        policy: &dyn ExpertPolicy,
        kept: &dyn Fn(usize) -> bool,
    ) -> Option<Admission> {
        if let Some(slot) = self.slot_of[expert] {
            return Some(Admission { slot, evicted: None });
        }
        if let Some(slot) = self.free.pop() {
            self.place(expert, slot);
            return Some(Admission { slot, evicted: None });
        }
        let (farthest, evicted) = self.farthest(policy, kept)?;
        if policy.bypasses() && self.distance(expert, policy) >= farthest {
            return None;
        }
        let slot = self.take(evicted)?;
        self.place(expert, slot);
        Some(Admission { slot, evicted: Some(evicted) })
    }

    /// Forgets an expert; its slot is free then.
    pub fn remove(&mut self, expert: usize) -> Option<usize> {
        let slot = self.take(expert)?;
        self.free.push(slot);
        Some(slot)
    }

    /// From now on there are so many slots: the experts that lay beyond them are forgotten, and returned.
    pub fn resize(&mut self, slots: usize) -> Vec<usize> {
        let beyond: Vec<usize> = self.held().filter(|&e| self.slot_of[e].is_some_and(|slot| slot >= slots)).collect();
        for &expert in &beyond {
            self.take(expert);
        }
        self.free.retain(|&slot| slot < slots);
        let new = (self.slots..slots).rev();
        self.free.splice(0..0, new);
        self.slots = slots;
        beyond
    }

    fn place(&mut self, expert: usize, slot: usize) {
        self.slot_of[expert] = Some(slot);
        let layer = &mut self.layers[self.shape.layer(expert)];
        layer.held.push(expert);
        layer.last = None;
    }

    fn take(&mut self, expert: usize) -> Option<usize> {
        let slot = self.slot_of[expert].take()?;
        let layer = &mut self.layers[self.shape.layer(expert)];
        layer.held.retain(|&held| held != expert);
        layer.last = None;
        Some(slot)
    }

    /// Steps until an expert is needed, for what bringing it back costs.
    fn distance(&self, expert: usize, policy: &dyn ExpertPolicy) -> f64 {
        policy.next_use(expert, policy.now()) / self.costs[expert]
    }

    /// The expert that is needed last, and how far away that is.
    fn farthest(&mut self, policy: &dyn ExpertPolicy, kept: &dyn Fn(usize) -> bool) -> Option<(f64, usize)> {
        let (versions, now) = (policy.clock().versions(), policy.now());
        let mut farthest: Option<Last> = None;
        // layers whose last one is kept
        let mut other = Vec::new();
        let layers = self.layers.len();
        for layer in (self.hint..layers).chain(0..self.hint.min(layers)) {
            let version = versions[layer];
            let last = match self.layers[layer].last.filter(|last| last.version == version) {
                Some(last) if last.now == now => Some(last),
                Some(last) if farthest.is_some_and(|farthest| self.most(&last, now) <= farthest.distance) => continue,
                Some(last) => Some(Last { distance: self.distance(last.expert, policy), now, ..last }),
                None => self.last_of(layer, policy, &|_| false).map(|last| Last { version, ..last }),
            };
            self.layers[layer].last = last;
            let Some(last) = last else { continue };
            if farthest.is_none_or(|farthest| last.distance > farthest.distance) {
                match kept(last.expert) {
                    true => other.push(layer),
                    false => farthest = Some(last),
                }
            }
        }
        let others = other.into_iter().filter_map(|layer| self.last_of(layer, policy, kept));
        let farthest = others.chain(farthest).reduce(|a, b| if b.distance > a.distance { b } else { a })?;
        self.hint = self.shape.layer(farthest.expert);
        Some((farthest.distance, farthest.expert))
    }

    /// How far away a layer's last can be by now: time passes by a step a step.
    fn most(&self, last: &Last, now: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
        let steps = now.abs_diff(last.now) as f64;
        last.distance + steps / self.costs[last.expert]
    }

    /// The same of a layer.
    fn last_of(&self, layer: usize, policy: &dyn ExpertPolicy, kept: &dyn Fn(usize) -> bool) -> Option<Last> {
        let now = policy.now();
        let held = self.layers[layer].held.iter().copied().filter(|&expert| !kept(expert));
        let all = held.map(|expert| Last { expert, distance: self.distance(expert, policy), version: 0, now });
        all.reduce(|a, b| if (b.distance, a.expert) > (a.distance, b.expert) { b } else { a })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lru, Pin};
    use super::*;

    const SHAPE: ExpertShape = ExpertShape { layers: 2, experts: 4, used: 1 };

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let (mut cache, mut lru) = (ExpertCache::new(2, SHAPE), Lru::new(SHAPE));
        lru.update_predictor(0, &[1]);
        assert_eq!(cache.admit(1, &lru, &|_| false), Some(Admission { slot: 0, evicted: None }));
        lru.update_predictor(1, &[2]);
        assert_eq!(cache.admit(6, &lru, &|_| false), Some(Admission { slot: 1, evicted: None }));
        assert_eq!(cache.held().collect::<Vec<_>>(), [1, 6]);
        lru.update_predictor(0, &[3]);
        let kept = |expert| expert == 1;
        assert_eq!(cache.admit(3, &lru, &kept), Some(Admission { slot: 1, evicted: Some(6) }));
        assert_eq!(cache.admit(6, &lru, &|_| true), None);
        assert_eq!((cache.slot_of(3), cache.slot_of(6)), (Some(1), None));
    }

    #[test]
    fn a_newcomer_that_is_needed_later_than_all_passes_by() {
        let (mut cache, mut pin) = (ExpertCache::new(2, SHAPE), Pin::new(SHAPE));
        pin.seed(&[1.0, 9.0, 0.0, 5.0, 9.0, 0.0, 0.0, 1.0]);
        for expert in [1, 3] {
            assert!(cache.admit(expert, &pin, &|_| false).is_some());
        }
        assert_eq!(cache.admit(0, &pin, &|_| false), None);
        assert_eq!(cache.admit(4, &pin, &|_| false), Some(Admission { slot: 1, evicted: Some(3) }));
        // unless those held come back for next to nothing
        cache.set_cost(1, 0.01);
        assert_eq!(cache.admit(0, &pin, &|_| false), Some(Admission { slot: 0, evicted: Some(1) }));
    }

    #[test]
    fn slots_come_and_go() {
        let (mut cache, lru) = (ExpertCache::new(3, SHAPE), Lru::new(SHAPE));
        for expert in [5, 6, 7] {
            cache.admit(expert, &lru, &|_| false);
        }
        assert_eq!(cache.remove(5), Some(0));
        assert_eq!((cache.remove(5), cache.resize(2)), (None, vec![7]));
        assert_eq!(cache.admit(1, &lru, &|_| false), Some(Admission { slot: 0, evicted: None }));
        assert_eq!(cache.resize(4), [0; 0]);
        let slots = [2, 3].map(|expert| cache.admit(expert, &lru, &|_| false).map(|a| a.slot));
        assert_eq!((slots, cache.slots()), ([Some(2), Some(3)], 4));
    }
}
