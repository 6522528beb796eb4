//! What it means that a router, run early, ranks an expert so and so.

/// Ranks that are told apart.
const RANKS: usize = 32;
/// Observations that the first guess counts as.
const DOUBT: f32 = 16.0;

/// Of the experts at each rank, how many there were, how many of them were used, and how many were expected to be without looking
/// ahead. All those not named are one rank more.
#[derive(Clone, Debug)]
pub(super) struct Ranks([Rank; RANKS + 1]);

#[derive(Clone, Copy, Debug)]
struct Rank {
    seen: f32,
    used: f32,
    expected: f32,
}

impl Ranks {
    /// The rank of what a router did not name.
    pub const UNNAMED: usize = RANKS;

    /// At first, every other one of the first `used` ranks is expected to be right.
    pub fn new(used: usize) -> Self {
        let mut ranks = [Rank { seen: DOUBT, used: DOUBT / 16.0, expected: DOUBT / 8.0 }; RANKS + 1];
        ranks[..used.min(RANKS)].iter_mut().for_each(|rank| rank.used = DOUBT / 2.0);
        Self(ranks)
    }

    /// As it is counted.
    pub fn of(rank: usize) -> usize {
        rank.min(Self::UNNAMED)
    }

    /// An expert at this rank, expected with this chance, was used or not.
    pub fn count(&mut self, rank: usize, expected: f32, used: bool) {
        let rank = &mut self.0[rank];
        rank.seen += 1.0;
        rank.used += f32::from(u8::from(used));
        rank.expected += expected;
    }

    /// What the odds of an expert at this rank are multiplied by.
    pub fn lift(&self, rank: usize) -> f32 {
        let Rank { seen, used, expected } = self.0[rank];
        let odds = |part: f32| part.max(1e-3) / (seen - part).max(1e-3);
        odds(used) / odds(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_is_right_is_believed() {
        let mut ranks = Ranks::new(2);
        for _ in 0..1000 {
            ranks.count(0, 0.2, true);
            ranks.count(1, 0.2, false);
            ranks.count(Ranks::UNNAMED, 0.2, false);
        }
        assert!(ranks.lift(0) > 50.0 && ranks.lift(1) < 0.1 && ranks.lift(Ranks::UNNAMED) < 0.1);
    }
}
