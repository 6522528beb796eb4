//! Co-access statistics: which experts of a mixture texts go through, and which after which. Annotations of an archive, and a
//! file by themselves.
//!
//! Experts are numbered over all layers that have some: the e-th expert of the l-th of them is `l * experts + e`.

use std::cmp::Reverse;
use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

use crate::{ArchivedIndex, CoaccessError, Index, ModelConfig, NO_LAYER, PackRole, limits};

/// Weights and biases of the oracle's perceptron, 4-16-8-1.
pub const WARM_START: usize = 225;

/// What texts did to the experts of a model.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Coaccess {
    /// The model.
    pub mixture: Mixture,
    /// The texts, by what they are about; at least one.
    pub domains: Vec<Domain>,
    /// Ascending by expert, an expert's by count, the largest first. Not all that there were.
    pub successors: Vec<Successor>,
    /// `[layers][experts]`, within the layer: its experts in an order in which neighbours are used together.
    pub order: Vec<u32>,
    /// An LRU cache of experts by its size, ascending.
    pub hits: Vec<CacheHits>,
    /// Weights of the oracle, trained on the texts; in an archive an annotation of its own.
    #[rkyv(with = rkyv::with::Skip)]
    pub warm_start: Option<Box<[f32; WARM_START]>>,
}

/// The experts of a model, and what it is called: what statistics belong to.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Mixture {
    /// Architecture, as in [`Index::architecture`].
    pub architecture: String,
    /// The model's name; empty where its source has none.
    pub name: String,
    /// The layers that have experts, ascending.
    pub layers: Vec<u32>,
    /// Experts of a layer.
    pub experts: u32,
    /// Of them, those that a token goes through.
    pub used: u32,
}

/// Texts of one kind.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Tokens that were counted.
    pub tokens: u32,
    /// Of them, those that went through each expert, `[layers][experts]`.
    pub heat: Vec<u32>,
}

/// How often tokens went through one expert, and in the next layer with experts through another.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Successor {
    /// The expert.
    pub expert: u32,
    /// The one in the next layer.
    pub next: u32,
    /// Tokens that went through both.
    pub count: u32,
}

/// How often an LRU cache had the expert that was asked for.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheHits {
    /// Experts that it holds.
    pub slots: u32,
    /// Hits, of as many requests as [`Coaccess::requests`] says.
    pub hits: u64,
}

impl Mixture {
    /// Of a model that has experts.
    pub fn of(index: &Index) -> Option<Self> {
        let experts = ModelConfig::from_params(index.params.clone()).ok()?.design.experts?;
        let layers = index.packs.iter().filter(|p| p.role == PackRole::Expert.code()).map(|p| p.layer);
        let metadata = index.metadata.iter().map(|m| (m.key.as_str(), m.value.as_str()));
        Some(Self::new(&index.architecture, metadata, layers, [experts.count, experts.used]))
    }

    /// Of an archive that has experts, with its hyperparameters.
    pub fn of_archived(index: &ArchivedIndex, config: &ModelConfig) -> Option<Self> {
        let experts = config.design.experts.as_ref()?;
        let layers = index.packs.iter().filter(|p| p.role == PackRole::Expert.code()).map(|p| p.layer.to_native());
        let metadata = index.metadata.iter().map(|m| (m.key.as_str(), m.value.as_str()));
        Some(Self::new(index.architecture.as_str(), metadata, layers, [experts.count, experts.used]))
    }

    fn new<'a>(
        architecture: &str,
        metadata: impl Iterator<Item = (&'a str, &'a str)>,
        layers: impl Iterator<Item = u32>,
        [experts, used]: [u32; 2],
    ) -> Self {
        // GGUF's key, and that of config.json, which may be a path
        let name = |(key, value): (&str, &str)| match key {
            "general.name" => Some(value.to_owned()),
            "_name_or_path" => value.rsplit('/').next().map(str::to_owned),
            _ => None,
        };
        let name = metadata.filter_map(name).find(|name| !name.is_empty()).unwrap_or_default();
        let mut layers: Vec<u32> = layers.filter(|layer| *layer != NO_LAYER).collect();
        layers.sort_unstable();
        layers.dedup();
        Self { architecture: architecture.into(), name, layers, experts, used }
    }

    /// Experts over all layers.
    pub fn count(&self) -> usize {
        self.layers.len() * self.experts as usize
    }

    /// Experts that one token goes through over all layers: a *token cycle*.
    pub fn cycle(&self) -> usize {
        self.layers.len() * self.used as usize
    }

    /// Whether what is said of one is of the other. A name that is not there fits any.
    fn fits(&self, other: &Self) -> bool {
        let named = !self.name.is_empty() && !other.name.is_empty();
        let numbers = |m: &Self| (m.experts, m.used);
        self.architecture == other.architecture
            && self.layers == other.layers
            && numbers(self) == numbers(other)
            && (!named || self.name == other.name)
    }

    fn check(&self) -> Result<(), CoaccessError> {
        let ascend = self.layers.is_sorted_by(|a, b| a < b) && self.layers.last().is_some_and(|l| *l < limits::LAYERS);
        let sane = (2..=limits::EXPERTS).contains(&self.experts)
            && (1..=self.experts.min(limits::EXPERTS_USED)).contains(&self.used)
            && self.layers.len().saturating_mul(self.experts as usize) <= limits::PACKS;
        let named = [&self.architecture, &self.name].iter().all(|name| name.len() <= limits::NAME_BYTES);
        if ascend && sane && named { Ok(()) } else { Err(CoaccessError::Mixture) }
    }
}

/// As in `Qwen3 30B A3B (qwen3moe, 48 layers of 128 experts, 8 of them used)`.
impl fmt::Display for Mixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { architecture, name, layers, experts, used } = self;
        let name = if name.is_empty() { "a model without a name" } else { name };
        write!(f, "{name} ({architecture}, {} layers of {experts} experts, {used} of them used)", layers.len())
    }
}

#[allow(clippy::cast_precision_loss)] // shares and similarities, to three digits
impl Coaccess {
    /// The texts, by what they are about.
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// Tokens of all texts.
    pub fn tokens(&self) -> u32 {
        self.domains.iter().map(|domain| domain.tokens).fold(0, u32::saturating_add)
    }

    /// Tokens that went through each expert.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0u32; self.mixture.count()];
        for domain in &self.domains {
            counts.iter_mut().zip(&domain.heat).for_each(|(sum, n)| *sum = sum.saturating_add(*n));
        }
        counts
    }

    /// The share of tokens that goes through each expert: `used` over a layer's experts.
    pub fn heat(&self) -> Vec<f32> {
        let tokens = self.tokens().max(1) as f32;
        self.counts().into_iter().map(|count| count as f32 / tokens).collect()
    }

    /// Experts asked for by all tokens.
    pub fn requests(&self) -> u64 {
        u64::from(self.tokens()) * self.mixture.cycle() as u64
    }

    /// The domain whose heat is most like `counts`, how often a prompt went through each expert: by the cosine of the angle
    /// between the two. None if that says nothing.
    pub fn closest_domain(&self, counts: &[u32]) -> Option<&Domain> {
        let dot = |a: &[u32], b: &[u32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        if counts.len() != self.mixture.count() || counts.iter().all(|n| *n == 0) {
            return None;
        }
        // the length of `counts` is the same for all
        let similar = |domain: &Domain| dot(&domain.heat, counts) / dot(&domain.heat, &domain.heat).sqrt();
        let domains = self.domains.iter().map(|domain| (similar(domain), domain));
        domains.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, domain)| domain)
    }

    /// Each successor, and the share of its expert's tokens that goes through it: P(next | expert).
    pub fn successor_shares(&self) -> impl Iterator<Item = (Successor, f32)> {
        let counts = self.counts();
        let share = move |s: &Successor| s.count as f32 / counts.get(s.expert as usize).map_or(1.0, |n| *n as f32);
        self.successors.iter().map(move |s| (*s, share(s)))
    }

    /// Experts of the next layer that tokens go through after `expert`, and the share of its tokens that does, the most
    /// likely first. Not all of them.
    pub fn successors(&self, expert: usize) -> impl Iterator<Item = (usize, f32)> {
        let start = self.successors.partition_point(|s| (s.expert as usize) < expert);
        let all = self.domains.iter().filter_map(|domain| domain.heat.get(expert)).map(|n| u64::from(*n)).sum::<u64>();
        let own = self.successors[start..].iter().take_while(move |s| s.expert as usize == expert);
        own.map(move |s| (s.next as usize, s.count as f32 / all.max(1) as f32))
    }

    /// The experts of the `layer`-th layer that has some, in an order in which neighbours are used together.
    pub fn order(&self, layer: usize) -> &[u32] {
        let experts = self.mixture.experts as usize;
        self.order.get(layer * experts..).and_then(|rest| rest.get(..experts)).unwrap_or_default()
    }

    /// Weights of the oracle, trained on the texts.
    pub fn warm_start(&self) -> Option<&[f32; WARM_START]> {
        self.warm_start.as_deref()
    }

    /// Refuses a model other than `mixture`.
    pub fn check_fits(&self, mixture: &Mixture) -> Result<(), CoaccessError> {
        match self.mixture.fits(mixture) {
            true => Ok(()),
            false => Err(CoaccessError::OtherModel { found: self.mixture.to_string(), expected: mixture.to_string() }),
        }
    }

    /// Checks that the tables agree with each other.
    pub(crate) fn check(&self) -> Result<(), CoaccessError> {
        self.mixture.check()?;
        self.check_domains()?;
        self.check_successors()?;
        self.check_order()?;
        self.check_hits()
    }

    fn check_domains(&self) -> Result<(), CoaccessError> {
        let found = self.domains.len();
        if !(1..=limits::DOMAINS).contains(&found) {
            return Err(CoaccessError::Domains { found });
        }
        let mut tokens = 0u32;
        for (number, domain) in self.domains.iter().enumerate() {
            let name = &domain.name;
            let sane =
                !name.is_empty() && name.len() <= limits::DOMAIN_NAME_BYTES && !name.chars().any(char::is_control);
            if !sane || self.domains[..number].iter().any(|other| other.name == *name) {
                return Err(CoaccessError::DomainName { domain: number });
            }
            tokens = tokens.checked_add(domain.tokens).ok_or(CoaccessError::Tokens)?;
            if domain.tokens == 0 {
                return Err(CoaccessError::Tokens);
            }
            let through = u64::from(domain.tokens) * u64::from(self.mixture.used);
            let whole = |layer: &[u32]| {
                layer.iter().all(|n| *n <= domain.tokens) && layer.iter().map(|n| u64::from(*n)).sum::<u64>() == through
            };
            let layers = domain.heat.chunks(self.mixture.experts as usize);
            if domain.heat.len() != self.mixture.count() || !layers.into_iter().all(whole) {
                return Err(CoaccessError::Heat { domain: name.clone() });
            }
        }
        Ok(())
    }

    fn check_successors(&self) -> Result<(), CoaccessError> {
        let (counts, experts) = (self.counts(), self.mixture.experts);
        let tokens = |expert: u32| counts.get(expert as usize).copied().unwrap_or(0);
        let key = |s: &Successor| (s.expert, Reverse(s.count), s.next);
        let possible = |(number, s): (usize, &Successor)| {
            let bounded = (1..=tokens(s.expert).min(tokens(s.next))).contains(&s.count);
            let ascends = number == 0 || key(&self.successors[number - 1]) < key(s);
            let few = number.checked_sub(limits::SUCCESSORS).is_none_or(|n| self.successors[n].expert != s.expert);
            s.next / experts == s.expert / experts + 1 && bounded && ascends && few
        };
        match self.successors.iter().enumerate().position(|s| !possible(s)) {
            Some(number) => Err(CoaccessError::Successor { number }),
            None => Ok(()),
        }
    }

    fn check_order(&self) -> Result<(), CoaccessError> {
        let layers = || self.order.chunks(self.mixture.experts as usize);
        let all: Vec<u32> = (0..self.mixture.experts).collect();
        let whole = |layer: &[u32]| {
            let mut sorted = layer.to_vec();
            sorted.sort_unstable();
            sorted == all
        };
        let bad = if self.order.len() == self.mixture.count() { layers().position(|l| !whole(l)) } else { Some(0) };
        bad.map_or(Ok(()), |layer| Err(CoaccessError::Order { layer }))
    }

    fn check_hits(&self) -> Result<(), CoaccessError> {
        let ascend = self.hits.is_sorted_by(|a, b| a.slots < b.slots && a.hits <= b.hits);
        let inside =
            |h: &CacheHits| (1..=self.mixture.count()).contains(&(h.slots as usize)) && h.hits <= self.requests();
        match ascend && self.hits.iter().all(inside) && self.hits.len() <= limits::CACHE_SIZES {
            true => Ok(()),
            false => Err(CoaccessError::Hits),
        }
    }
}
