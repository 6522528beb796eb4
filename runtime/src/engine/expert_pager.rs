//! Which experts of a mixture are in VRAM and in RAM: what the router chose is brought, and what the oracle expects.

use std::fmt;
use std::time::Instant;

use symbiote_format::Coaccess;

use super::{EngineError, Packs};
use crate::residency::experts::{Admission, ExpertCache, ExpertPolicy, ExpertShape, OracleKind, WarmStart, policy};
use crate::residency::{LinkTelemetry, MemoryTier, Residence, Wires};

/// What happened to experts while single tokens went through them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpertCounters {
    /// Experts that tokens went through.
    pub uses: u64,
    /// Those that VRAM held, or that were on their way.
    pub hits: u64,
    /// Those that RAM held.
    pub warm: u64,
    /// Experts that were brought before a router had chosen them.
    pub prefetched: u64,
    /// Those of them that the router chose then.
    pub useful: u64,
    /// Experts that passed through the ring, because nothing held is needed later.
    pub bypassed: u64,
}

impl ExpertCounters {
    /// What happened after `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            uses: self.uses - before.uses,
            hits: self.hits - before.hits,
            warm: self.warm - before.warm,
            prefetched: self.prefetched - before.prefetched,
            useful: self.useful - before.useful,
            bypassed: self.bypassed - before.bypassed,
        }
    }

    /// Share of the uses that found the expert in VRAM, or on its way there.
    pub fn hit_rate(&self) -> f64 {
        share(self.hits, self.uses)
    }

    /// Share of the experts brought ahead that the router chose then.
    pub fn precision(&self) -> f64 {
        share(self.useful, self.prefetched)
    }
}

/// A part of a whole; 0 of nothing.
#[allow(clippy::cast_precision_loss)] // far fewer than 2^53
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

impl fmt::Display for ExpertCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part| share(part, self.uses) * 100.0;
        write!(
            f,
            "experts: {:.1} % in VRAM, {:.1} % in RAM, {:.1} % passed through; {} brought ahead, {:.0} % of them used",
            percent(self.hits),
            percent(self.warm),
            percent(self.bypassed),
            self.prefetched,
            self.precision() * 100.0
        )
    }
}

/// Decides which experts the caches of the [`Packs`] keep, as its policy says.
pub struct ExpertPager {
    shape: ExpertShape,
    policy: Box<dyn ExpertPolicy>,
    /// The pack of each expert, by [`ExpertShape::expert`].
    packs: Vec<usize>,
    /// Number of each layer among those that have experts.
    numbers: Vec<Option<usize>>,
    vram: ExpertCache,
    ram: ExpertCache,
    prefetch: bool,
    /// What bringing a byte from disk costs, beside one from RAM.
    from_disk: f64,
    telemetry: LinkTelemetry,
    opened: Instant,
    /// What the token needs right now.
    current: Vec<usize>,
    /// Brought before a router has chosen them, for the layer that is next.
    ahead: Vec<usize>,
    /// Uses in prompts since the last single token.
    prompt: Vec<u32>,
    /// What the archive knows of other texts.
    known: Option<Coaccess>,
    counters: ExpertCounters,
}

impl ExpertPager {
    /// Of a model whose layers have these packs of experts, none where they have none.
    pub fn new(
        layers: &[Option<&[usize]>],
        used: u32,
        residence: &Residence,
        known: Option<Coaccess>,
        wires: Wires,
        (oracle, prefetch): (OracleKind, bool),
    ) -> Option<Self> {
        let packs: Vec<usize> = layers.iter().flatten().flat_map(|packs| packs.iter().copied()).collect();
        let experts = layers.iter().flatten().map(|packs| packs.len()).max()?;
        let mut next = 0..;
        let numbers: Vec<Option<usize>> = layers.iter().map(|layer| layer.and_then(|_| next.next())).collect();
        let shape = ExpertShape { layers: numbers.iter().flatten().count(), experts, used: used as usize };
        // layers of a model have the same number of experts
        if packs.len() != shape.count() || packs.iter().all(|&pack| residence.homes[pack] == MemoryTier::VramHot) {
            return None;
        }
        let from_disk = if residence.unified { 1.0 } else { (wires.link / wires.disk).max(1.0) };
        let [vram, ram] = caches(residence, shape, from_disk);
        Some(Self {
            shape,
            policy: policy(oracle, shape, residence.cache.0, &known.as_ref().map(WarmStart::from).unwrap_or_default()),
            prompt: vec![0; packs.len()],
            known,
            packs,
            numbers,
            vram,
            ram,
            prefetch,
            from_disk,
            telemetry: LinkTelemetry::default(),
            opened: Instant::now(),
            current: Vec::new(),
            ahead: Vec::new(),
            counters: ExpertCounters::default(),
        })
    }

    /// Both caches are empty, and have other sizes.
    pub fn reset(&mut self, residence: &Residence) {
        [self.vram, self.ram] = caches(residence, self.shape, self.from_disk);
        self.policy.resized(residence.cache.0);
        self.ahead.clear();
    }

    /// What happened so far.
    pub fn counters(&self) -> ExpertCounters {
        self.counters
    }

    /// Whether it is worth to run the router of a later layer early.
    pub fn looks_ahead(&self) -> bool {
        self.prefetch && self.policy.bypasses() && self.vram.slots() > 0
    }

    /// One token goes through `chosen` experts of a layer, which begin to come where they are not there.
    pub fn decode(&mut self, packs: &mut Packs, layer: usize, chosen: &[u32]) -> Result<(), EngineError> {
        let Some(layer) = self.numbers[layer] else { return Ok(()) };
        self.end_of_prompt();
        self.policy.update_predictor(layer, chosen);
        let chosen: Vec<usize> = chosen.iter().map(|&e| self.shape.expert(layer, e)).collect();
        let held = chosen.iter().filter(|&&expert| self.vram.slot_of(expert).is_some()).count();
        let warm = |&&expert: &&usize| self.vram.slot_of(expert).is_none() && packs.is_in_ram(self.packs[expert]);
        self.counters.warm += chosen.iter().filter(warm).count() as u64;
        self.counters.uses += chosen.len() as u64;
        self.counters.hits += held as u64;
        self.counters.useful += self.ahead.iter().filter(|expert| chosen.contains(expert)).count() as u64;
        self.ahead.clear();
        self.telemetry.step(self.opened.elapsed(), chosen.len() - held);
        let missing: Vec<usize> = chosen.iter().copied().filter(|&e| !packs.stays(self.packs[e])).collect();
        for &expert in &missing {
            if self.vram.slot_of(expert).is_none() && !self.admit(packs, expert, &chosen)? {
                self.counters.bypassed += 1;
            }
        }
        self.current = chosen;
        let missing: Vec<usize> = missing.into_iter().map(|expert| self.packs[expert]).collect();
        Ok(packs.demand(&missing)?)
    }

    /// Tokens of a prompt go through `chosen` experts of a layer, those of all tokens one after another. They take places that
    /// nobody has, and no others. What is `telling` says something of the answer to come.
    pub fn prefill(
        &mut self,
        packs: &mut Packs,
        layer: usize,
        chosen: &[u32],
        telling: bool,
    ) -> Result<(), EngineError> {
        let Some(layer) = self.numbers[layer] else { return Ok(()) };
        let mut experts: Vec<usize> = chosen.iter().map(|&e| self.shape.expert(layer, e)).collect();
        if telling {
            experts.iter().for_each(|&expert| self.prompt[expert] += 1);
        }
        experts.sort_unstable();
        experts.dedup();
        for expert in experts {
            if self.vram.slot_of(expert).is_none() {
                self.admit_if(packs, expert, &|_| true)?;
            }
        }
        Ok(())
    }

    /// The router of a later layer, run early, ranks these experts first. Those that are worth it are brought.
    pub fn look_ahead(&mut self, packs: &mut Packs, layer: usize, ranked: &[u32]) -> Result<(), EngineError> {
        let Some(layer) = self.numbers[layer] else { return Ok(()) };
        self.policy.look_ahead(layer, ranked);
        let mut budget = self.telemetry.budget();
        let expected: Vec<usize> = ranked.iter().map(|&e| self.shape.expert(layer, e)).collect();
        let needed: Vec<usize> = expected.iter().chain(&self.current).copied().collect();
        let mut coming = Vec::new();
        for &expert in &expected {
            let near = packs.residence().unified || packs.is_in_ram(self.packs[expert]);
            if !near || self.vram.slot_of(expert).is_some() || !budget.pays(self.policy.probability(expert)) {
                continue;
            }
            if self.admit(packs, expert, &needed)? {
                coming.push(self.packs[expert]);
                self.ahead.push(expert);
            }
        }
        self.counters.prefetched += coming.len() as u64;
        Ok(packs.expect(&coming)?)
    }

    /// What a prompt went through says what its answer will.
    fn end_of_prompt(&mut self) {
        if self.prompt.iter().any(|uses| *uses > 0) {
            // a text of its kind says more than the little that the prompt is
            let alike = self.known.as_ref().and_then(|known| known.closest_domain(&self.prompt));
            let counts = alike.map_or(&self.prompt, |domain| &domain.heat);
            #[allow(clippy::cast_precision_loss)] // a measure of heat
            self.policy.seed(&counts.iter().map(|&uses| uses as f32).collect::<Vec<_>>());
            self.prompt.fill(0);
        }
    }

    /// Finds places for an expert, but none of those that `needed` have: whether VRAM has one.
    fn admit(&mut self, packs: &mut Packs, expert: usize, needed: &[usize]) -> Result<bool, EngineError> {
        self.admit_if(packs, expert, &|held| needed.contains(&held))
    }

    fn admit_if(
        &mut self,
        packs: &mut Packs,
        expert: usize,
        needed: &dyn Fn(usize) -> bool,
    ) -> Result<bool, EngineError> {
        let pack = self.packs[expert];
        let policy = self.policy.as_ref();
        let mut moved = (None, None);
        for (tier, cache) in [(MemoryTier::RamWarm, &mut self.ram), (MemoryTier::VramHot, &mut self.vram)] {
            if cache.slot_of(expert).is_some() || !packs.can_enter(tier, pack) {
                continue;
            }
            let stays = |held: usize| needed(held) || !packs.can_leave(tier, self.packs[held]);
            if let Some(Admission { slot, evicted }) = cache.admit(expert, policy, &stays) {
                packs.promote(tier, slot, pack, evicted.map(|evicted| self.packs[evicted]))?;
                if tier == MemoryTier::RamWarm {
                    moved = (Some(expert), evicted);
                }
            }
        }
        moved.0.into_iter().for_each(|warm| self.vram.set_cost(warm, 1.0));
        moved.1.into_iter().for_each(|cold| self.vram.set_cost(cold, self.from_disk));
        Ok(self.vram.slot_of(expert).is_some())
    }
}

/// Both caches, empty. Where RAM has one too, experts are on disk until they have been there.
fn caches(residence: &Residence, shape: ExpertShape, from_disk: f64) -> [ExpertCache; 2] {
    let mut vram = ExpertCache::new(residence.cache.0, shape);
    if residence.warm_cache.0 > 0 {
        (0..shape.count()).for_each(|expert| vram.set_cost(expert, from_disk));
    }
    [vram, ExpertCache::new(residence.warm_cache.0, shape)]
}
