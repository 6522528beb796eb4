//! From routes to statistics.

use std::cmp::Reverse;
use std::collections::HashMap;

use symbiote_format::{CacheHits, Coaccess, Domain, Mixture, Successor, WARM_START, limits};

use super::chain::chain;
use super::reuse::ReuseDistances;
use crate::residency::experts::{ExpertPolicy, ExpertShape, NextUse, WarmStart};

/// Tokens that went through both experts of a pair.
type Pairs = HashMap<(u32, u32), u32>;

/// Counts the experts that tokens go through.
pub struct CoaccessCounter {
    mixture: Mixture,
    domains: Vec<Domain>,
    /// The domain that tokens are of.
    domain: usize,
    /// `[tokens][used]` of each layer with experts of the pass under way, as far as it is.
    pass: Vec<Vec<u32>>,
    /// Within each layer, the lower number first.
    together: Vec<Pairs>,
    /// Of each layer but the last, with the next.
    next: Vec<Pairs>,
    reuse: ReuseDistances,
    /// Learns on the way what a warm start is to know.
    oracle: NextUse,
    /// Its weights after every token, added up.
    learned: [f64; WARM_START],
}

impl CoaccessCounter {
    /// Counts for a model.
    pub fn new(mixture: Mixture) -> Self {
        let layers = mixture.layers.len();
        let reuse = ReuseDistances::new(mixture.count());
        let shape = ExpertShape { layers, experts: mixture.experts as usize, used: mixture.used as usize };
        Self {
            domains: Vec::new(),
            domain: 0,
            pass: Vec::new(),
            together: vec![Pairs::new(); layers],
            next: vec![Pairs::new(); layers.saturating_sub(1)],
            reuse,
            oracle: NextUse::new(shape, &WarmStart::default()),
            learned: [0.0; WARM_START],
            mixture,
        }
    }

    /// What follows is of this domain.
    pub fn begin(&mut self, name: &str) {
        self.domain = self.domains.iter().position(|domain| domain.name == name).unwrap_or(self.domains.len());
        if self.domain == self.domains.len() {
            self.domains.push(Domain { name: name.into(), tokens: 0, heat: vec![0; self.mixture.count()] });
        }
    }

    /// The experts that the tokens of a pass go through in its next layer with experts, `[tokens][used]`.
    pub fn add(&mut self, chosen: &[u32]) {
        self.pass.push(chosen.to_vec());
        if self.pass.len() == self.mixture.layers.len() {
            let pass = std::mem::take(&mut self.pass);
            let used = self.mixture.used as usize;
            for token in 0..chosen.len() / used {
                let layers: Vec<&[u32]> = pass.iter().map(|layer| &layer[token * used..][..used]).collect();
                self.token(&layers);
            }
        }
    }

    /// One token, in the order in which it is computed.
    fn token(&mut self, layers: &[&[u32]]) {
        let Some(domain) = self.domains.get_mut(self.domain) else { return };
        domain.tokens = domain.tokens.saturating_add(1);
        let experts = self.mixture.experts as usize;
        for (layer, chosen) in layers.iter().enumerate() {
            self.oracle.update_predictor(layer, chosen);
            for &a in *chosen {
                let number = layer * experts + a as usize;
                domain.heat[number] = domain.heat[number].saturating_add(1);
                self.reuse.request(number);
                for &b in chosen.iter().filter(|b| **b > a) {
                    count(&mut self.together[layer], (a, b));
                }
                if let Some(after) = layers.get(layer + 1) {
                    after.iter().for_each(|&b| count(&mut self.next[layer], (a, b)));
                }
            }
        }
        self.learned.iter_mut().zip(self.oracle.weights()).for_each(|(sum, weight)| *sum += f64::from(*weight));
    }

    /// What was counted.
    pub fn finish(&self) -> Coaccess {
        let order = self.together.iter().flat_map(|together| chain(self.mixture.experts, together)).collect();
        Coaccess {
            successors: self.successors(),
            order,
            hits: self.hits(),
            warm_start: self.warm_start(),
            domains: self.domains.clone(),
            mixture: self.mixture.clone(),
        }
    }

    /// The most frequent of each expert: twice as many as a token goes through, beyond which they name the next layer's experts
    /// no better.
    fn successors(&self) -> Vec<Successor> {
        let (experts, most) = (self.mixture.experts, (2 * self.mixture.used as usize).min(limits::SUCCESSORS));
        let mut successors = Vec::new();
        for (layer, pairs) in (0u32..).zip(&self.next) {
            let pairs = pairs.iter().map(|(&(expert, next), &count)| Successor {
                expert: layer * experts + expert,
                next: (layer + 1) * experts + next,
                count,
            });
            let mut pairs: Vec<Successor> = pairs.collect();
            pairs.sort_by_key(|s| (s.expert, Reverse(s.count), s.next));
            let of_each = pairs.chunk_by(|a, b| a.expert == b.expert);
            successors.extend(of_each.flat_map(|own| own.iter().take(most)));
        }
        successors
    }

    /// What the oracle has learned, averaged over the way (Polyak and Juditsky, 1992): the last weights are those of the last text.
    /// Nothing where there were no tokens.
    fn warm_start(&self) -> Option<Box<[f32; WARM_START]>> {
        let tokens: f64 = self.domains.iter().map(|domain| f64::from(domain.tokens)).sum();
        #[allow(clippy::cast_possible_truncation)] // rounds
        let weights = self.learned.map(|sum| (sum / tokens) as f32);
        weights.iter().all(|weight| weight.is_finite()).then(|| Box::new(weights))
    }

    /// In steps of a quarter of a token cycle, of a half from two on, of a whole from four on, up to all experts.
    fn hits(&self) -> Vec<CacheHits> {
        let (cycle, all) = (self.mixture.cycle(), self.mixture.count());
        let quarters = (1..8).chain((8..16).step_by(2)).chain((16..).step_by(4));
        let sizes = quarters.map(|quarter| cycle * quarter / 4).take_while(|size| *size < all);
        let mut sizes: Vec<usize> = sizes.filter(|size| *size > 0).take(limits::CACHE_SIZES - 1).chain([all]).collect();
        sizes.dedup();
        let of_size = |size| CacheHits { slots: u32::try_from(size).unwrap_or(u32::MAX), hits: self.reuse.hits(size) };
        sizes.into_iter().map(of_size).collect()
    }
}

fn count(pairs: &mut Pairs, pair: (u32, u32)) {
    let n = pairs.entry(pair).or_default();
    *n = n.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::residency::experts::Follows;

    fn mixture() -> Mixture {
        Mixture { architecture: "qwen3moe".into(), name: String::new(), layers: vec![1, 2, 4], experts: 6, used: 2 }
    }

    #[test]
    fn it_counts_what_a_plain_count_does() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let mut counter = CoaccessCounter::new(mixture());
        // routes[token][layer]
        let mut routes: Vec<[[u32; 2]; 3]> = Vec::new();
        for (domain, tokens) in [("a", 5), ("b", 1), ("a", 30)] {
            counter.begin(domain);
            let pass: Vec<[[u32; 2]; 3]> = (0..tokens)
                .map(|_| {
                    [0; 3].map(|_: u32| {
                        let first = rng.random_range(0..6);
                        [first, (first + rng.random_range(1..6)) % 6]
                    })
                })
                .collect();
            for layer in 0..3 {
                counter.add(&pass.iter().flat_map(|token| token[layer]).collect::<Vec<_>>());
            }
            routes.extend(pass);
        }
        let found = counter.finish();
        found.to_file().unwrap();
        let through =
            |token: &[[u32; 2]; 3], number: usize| token[number / 6].contains(&u32::try_from(number % 6).unwrap());
        let naive: Vec<u32> =
            (0..18).map(|n| u32::try_from(routes.iter().filter(|t| through(t, n)).count()).unwrap()).collect();
        assert_eq!(found.counts(), naive);
        // the oracle learned, and starts from all of it elsewhere
        assert_eq!(CoaccessCounter::new(mixture()).finish().warm_start(), None);
        let warm = WarmStart::from(&found);
        assert_eq!((warm.weights.as_slice(), warm.heat), (found.warm_start().unwrap().as_slice(), found.heat()));
        let first = found.successors[0];
        let follows =
            Follows { layer: 1, before: 0, expert: first.next - 6, probability: found.successors(0).next().unwrap().1 };
        assert_eq!((warm.follows[0], warm.follows.len()), (follows, found.successors.len()));
        let domains: Vec<_> = found.domains.iter().map(|d| (d.name.as_str(), d.tokens)).collect();
        assert_eq!(domains, [("a", 35), ("b", 1)]);
        assert_eq!(found.domains[1].heat.iter().sum::<u32>(), 6);
        for s in &found.successors {
            let both = |t: &&[[u32; 2]; 3]| through(t, s.expert as usize) && through(t, s.next as usize);
            assert_eq!(routes.iter().filter(both).count(), s.count as usize, "{s:?}");
        }
        assert!(found.successors.iter().filter(|s| s.expert == 0).count() == 4);
        let probabilities: Vec<(usize, f32)> = found.successors(7).collect();
        assert!(
            probabilities.is_sorted_by(|a, b| a.1 >= b.1)
                && probabilities.iter().all(|(next, _)| (12..18).contains(next))
        );
        let sizes: Vec<u32> = found.hits.iter().map(|hit| hit.slots).collect();
        assert_eq!(sizes, [1, 3, 4, 6, 7, 9, 10, 12, 15, 18]);
        let used = naive.iter().filter(|n| **n > 0).count() as u64;
        assert_eq!(found.hits[9].hits, found.requests() - used, "all fit: each is missed once");
    }

    #[test]
    fn a_pass_that_breaks_off_does_not_count() {
        let mut counter = CoaccessCounter::new(mixture());
        counter.begin("text");
        counter.add(&[0, 1]);
        assert_eq!(counter.finish().tokens(), 0);
    }
}
