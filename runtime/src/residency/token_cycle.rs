//! The least room for experts that is of use.

use std::fmt;

use crate::memory::ByteSize;

/// A budget under which experts are gone before they are needed again.
///
/// A token goes through so many bytes of experts, a *token cycle* ([`Archive::token_cycle_bytes`](symbiote_format::Archive)). Room
/// for less is overwritten from one end to the other by every token: a cache of it hits next to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BelowCycle {
    /// Its name, such as `--vram`.
    pub name: &'static str,
    /// The budget, in bytes.
    pub budget: u64,
    /// Bytes that it leaves for experts.
    pub room: u64,
    /// Bytes of a token cycle.
    pub cycle: u64,
}

impl BelowCycle {
    /// What is to be said of the budget `name`, if anything is.
    pub fn of(name: &'static str, budget: u64, room: u64, cycle: u64) -> Option<Self> {
        (room < cycle).then_some(Self { name, budget, room, cycle })
    }

    /// The budget that would be enough, in whole MiB: what else it pays for stays the same.
    pub fn enough(&self) -> u64 {
        const MIB: u64 = 1 << 20;
        let enough = self.budget.saturating_add(self.cycle.saturating_sub(self.room));
        enough.checked_next_multiple_of(MIB).unwrap_or(enough)
    }
}

impl fmt::Display for BelowCycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, budget, room, cycle } = *self;
        let [budget, room, cycle] = [budget, room, cycle].map(ByteSize);
        let enough = self.enough() >> 20;
        write!(
            f,
            "{name} {budget} leaves {room} for experts, and one token goes through {cycle} of them, so that they are gone before \
             they are needed again: {name} {enough}MiB would be enough"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_below_one_token_cycle_names_the_one_that_is_enough() {
        const MIB: u64 = 1 << 20;
        let of = |room| BelowCycle::of("--vram", 1024 * MIB, room, 300 * MIB);
        assert_eq!(of(300 * MIB), None);
        let below = of(100 * MIB + 1).unwrap();
        assert_eq!(below.enough(), 1224 * MIB);
        assert_eq!(
            below.to_string(),
            "--vram 1 GiB leaves 100.0 MiB for experts, and one token goes through 300 MiB of them, so that they are gone \
             before they are needed again: --vram 1224MiB would be enough"
        );
        // with that budget nothing is said
        assert_eq!(
            BelowCycle::of("--vram", below.enough(), below.room + below.enough() - below.budget, below.cycle),
            None
        );
        assert_eq!(BelowCycle::of("--vram", u64::MAX, 0, 1).unwrap().enough(), u64::MAX);
    }
}
