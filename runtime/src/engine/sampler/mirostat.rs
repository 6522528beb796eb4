//! Mirostat: as much surprise as was asked for, on average (arXiv 2007.14966).

use super::candidates::Candidates;

/// How many of the best tokens the first version looks at.
const LOOKED_AT: usize = 100;

/// Which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Fits Zipf's law to the best tokens and keeps the k of them that it asks for.
    One,
    /// Keeps tokens no more surprising than allowed.
    Two,
}

/// Holds the surprise of tokens, in bits, near a target.
pub struct Mirostat {
    version: Version,
    target: f64,
    rate: f64,
    /// The most surprise that is allowed now.
    allowed: f64,
}

impl Mirostat {
    /// Aims at `target` bits, and corrects by `rate` of what it missed by.
    pub fn new(version: Version, target: f32, rate: f32) -> Self {
        let target = f64::from(target);
        Self { version, target, rate: f64::from(rate), allowed: 2.0 * target }
    }

    /// Keeps what may be drawn, at least the best.
    pub fn truncate(&self, candidates: &mut Candidates, vocabulary: usize) {
        candidates.sort();
        let probabilities = candidates.probabilities();
        let kept = match self.version {
            Version::One => self.zipf(&probabilities, vocabulary),
            Version::Two => probabilities.iter().take_while(|p| -p.log2() <= self.allowed).count(),
        };
        candidates.keep_best(kept.max(1));
    }

    /// Learns how probable the drawn token was, among those kept.
    pub fn observe(&mut self, probability: f64) {
        self.allowed -= self.rate * (-probability.log2() - self.target);
    }

    /// Equations 29 and 30: the exponent s that fits the best tokens, then k.
    #[allow(clippy::cast_precision_loss)] // a vocabulary is far below 2^53
    fn zipf(&self, probabilities: &[f64], vocabulary: usize) -> usize {
        let (mut tb, mut tt) = (0.0, 0.0);
        for (i, pair) in probabilities.windows(2).take(LOOKED_AT - 1).enumerate() {
            let t = ((i + 2) as f64 / (i + 1) as f64).ln();
            tb += t * (pair[0] / pair[1]).ln();
            tt += t * t;
        }
        let s = tb / tt;
        let excess = s - 1.0;
        let k = (excess * self.allowed.exp2() / (1.0 - (vocabulary as f64).powf(-excess))).powf(1.0 / s);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // NaN and less than 0 become 0
        let whole = k as usize;
        whole
    }
}
