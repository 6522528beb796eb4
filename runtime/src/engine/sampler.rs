//! From logits to the next token: penalty, top-k, top-p, min-p, temperature, draw; in the order that llama.cpp uses.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How the next token is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits before the draw; 0 takes the best token.
    pub temperature: f32,
    /// Keep the k best tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the fewest best tokens whose probabilities reach p; 1 keeps all (arXiv 1904.09751).
    pub top_p: f32,
    /// Keep tokens with at least p times the best one's probability; 0 keeps all (arXiv 2407.01082).
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of recent tokens; 1 changes nothing (arXiv 1909.05858).
    pub repeat_penalty: f32,
    /// How many recent tokens the penalty sees.
    pub repeat_last: usize,
    /// Start of the random sequence: the same seed gives the same text.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.8, top_k: 40, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.0, repeat_last: 64, seed: 0 }
    }
}

impl Sampling {
    /// Always the best token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// What is wrong with the settings, if anything.
    pub fn check(&self) -> Result<(), String> {
        let rules = [
            ("temperature", self.temperature, self.temperature >= 0.0 && self.temperature.is_finite(), "0 or more"),
            ("top-p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "above 0 and at most 1"),
            ("min-p", self.min_p, (0.0..1.0).contains(&self.min_p), "from 0 to below 1"),
            (
                "repeat-penalty",
                self.repeat_penalty,
                self.repeat_penalty > 0.0 && self.repeat_penalty.is_finite(),
                "above 0",
            ),
        ];
        for (name, value, good, expected) in rules {
            if !good {
                return Err(format!("{name} is {value}; it must be {expected}"));
            }
        }
        Ok(())
    }
}

/// A token that may be drawn.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: u32,
    logit: f32,
}

/// Draws tokens, one after another, from one random sequence.
pub struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
    candidates: Vec<Candidate>,
}

impl Sampler {
    /// A sampler at the start of its random sequence.
    pub fn new(sampling: Sampling) -> Self {
        let random = ChaCha8Rng::seed_from_u64(sampling.seed);
        Self { sampling, random, candidates: Vec::new() }
    }

    /// The next token after `recent`, given its `logits`. Ties go to the lower id, and NaN is never drawn.
    pub fn sample(&mut self, logits: &[f32], recent: &[u32]) -> u32 {
        let s = &self.sampling;
        self.candidates.clear();
        self.candidates.extend((0u32..).zip(logits).map(|(id, &logit)| Candidate { id, logit }));
        penalize(&mut self.candidates, &recent[recent.len().saturating_sub(s.repeat_last)..], s.repeat_penalty);
        self.candidates.retain(|c| !c.logit.is_nan());

        if s.temperature == 0.0 {
            return self.candidates.iter().copied().reduce(better).map_or(0, |c| c.id);
        }
        top_k(&mut self.candidates, s.top_k);
        top_p(&mut self.candidates, s.top_p);
        min_p(&mut self.candidates, s.min_p);
        let weights = softmax(&self.candidates, s.temperature);
        let mut left = unit(&mut self.random) * weights.iter().sum::<f64>();
        for (candidate, weight) in self.candidates.iter().zip(&weights) {
            left -= weight;
            if left < 0.0 {
                return candidate.id;
            }
        }
        // rounding left a crumb: the last that had any weight
        self.candidates.last().map_or(0, |c| c.id)
    }
}

fn better(a: Candidate, b: Candidate) -> Candidate {
    if b.logit > a.logit { b } else { a }
}

/// A number from 0 to below 1.
#[allow(clippy::cast_precision_loss)] // 53 bits are exact
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn penalize(candidates: &mut [Candidate], recent: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    let mut seen = recent.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for id in seen {
        if let Some(c) = candidates.get_mut(id as usize) {
            c.logit = if c.logit > 0.0 { c.logit / penalty } else { c.logit * penalty };
        }
    }
}

/// Sorts by logit, best first, and keeps `k` (all for 0).
fn top_k(candidates: &mut Vec<Candidate>, k: usize) {
    let order = |a: &Candidate, b: &Candidate| b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id));
    if k > 0 && k < candidates.len() {
        candidates.select_nth_unstable_by(k - 1, order);
        candidates.truncate(k);
    }
    candidates.sort_unstable_by(order);
}

/// Keeps the fewest leading candidates whose probabilities reach `p`; they must be sorted.
fn top_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p >= 1.0 {
        return;
    }
    let weights = softmax(candidates, 1.0);
    let enough = weights.iter().sum::<f64>() * f64::from(p);
    let mut sum = 0.0;
    let keep = weights.iter().position(|w| {
        sum += w;
        sum >= enough
    });
    candidates.truncate(keep.map_or(candidates.len(), |i| i + 1));
}

/// Keeps candidates with at least `p` times the first one's probability.
fn min_p(candidates: &mut Vec<Candidate>, p: f32) {
    let Some(best) = candidates.first().map(|c| c.logit) else { return };
    if p > 0.0 {
        candidates.retain(|c| c.logit >= best + p.ln());
    }
}

/// Probabilities up to a common factor, the first candidate's being 1; they must be sorted.
fn softmax(candidates: &[Candidate], temperature: f32) -> Vec<f64> {
    let Some(best) = candidates.first().map(|c| c.logit) else { return Vec::new() };
    candidates.iter().map(|c| f64::from((c.logit - best) / temperature).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Sampling {
        Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..Sampling::default() }
    }

    fn drawn(sampling: Sampling, logits: &[f32], recent: &[u32]) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling);
        let mut ids: Vec<u32> = (0..2000).map(|_| sampler.sample(logits, recent)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    #[test]
    fn greedy_takes_the_best_and_the_lower_id_of_a_tie() {
        assert_eq!(Sampler::new(Sampling::greedy()).sample(&[0.0, 3.0, f32::NAN, 3.0], &[]), 1);
        assert_eq!(Sampler::new(Sampling::greedy()).sample(&[f32::NEG_INFINITY, -5.0], &[]), 1);
    }

    #[test]
    fn the_same_seed_draws_the_same_tokens_and_another_seed_others() {
        let logits: Vec<f32> = (0..100u8).map(|i| f32::from(i % 7)).collect();
        let run = |seed| {
            let mut s = Sampler::new(Sampling { seed, ..Sampling::default() });
            (0..50).map(|_| s.sample(&logits, &[])).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn each_filter_keeps_what_it_says() {
        let logits = [0.0, 1.0, 2.0, 3.0]; // probabilities .032 .087 .237 .644
        assert_eq!(drawn(open(), &logits, &[]), [0, 1, 2, 3]);
        assert_eq!(drawn(Sampling { top_k: 2, ..open() }, &logits, &[]), [2, 3]);
        assert_eq!(drawn(Sampling { top_p: 0.7, ..open() }, &logits, &[]), [2, 3]);
        assert_eq!(drawn(Sampling { top_p: 0.6, ..open() }, &logits, &[]), [3]);
        assert_eq!(drawn(Sampling { min_p: 0.2, ..open() }, &logits, &[]), [2, 3]);
        let penalty = Sampling { temperature: 0.0, repeat_penalty: 2.0, ..open() };
        assert_eq!(drawn(penalty.clone(), &logits, &[3]), [2]);
        assert_eq!(drawn(Sampling { repeat_last: 1, ..penalty }, &logits, &[3, 0]), [3]);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let mut sampler = Sampler::new(open());
        let logits = [0.0, 2f32.ln(), 5f32.ln()]; // 1 : 2 : 5
        let mut counts = [0f64; 3];
        for _ in 0..80_000 {
            counts[sampler.sample(&logits, &[]) as usize] += 1.0 / 10_000.0;
        }
        for (count, expected) in counts.iter().zip([1.0, 2.0, 5.0]) {
            assert!((count - expected).abs() < 0.1, "{counts:?}");
        }
    }

    #[test]
    fn hostile_logits_do_not_panic() {
        for logits in [vec![], vec![f32::NAN; 4], vec![f32::NEG_INFINITY; 4], vec![f32::INFINITY; 4]] {
            for sampling in [Sampling::greedy(), Sampling::default(), open()] {
                let _ = Sampler::new(sampling).sample(&logits, &[1, 2, 99]);
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        assert!(Sampling::default().check().is_ok());
        let bad = Sampling { top_p: 0.0, ..Sampling::default() };
        assert!(bad.check().unwrap_err().starts_with("top-p is 0"));
        assert!(Sampling { temperature: f32::NAN, ..Sampling::default() }.check().is_err());
    }
}
