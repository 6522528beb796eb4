//! Memory that others take while a model is in use: how much of it is given back, and when.
//!
//! Only ever less is taken: what is free again is nobody's until the caps are set anew.

use std::time::Duration;

/// How often the memories are looked at.
const EVERY: Duration = Duration::from_millis(250);
/// After memory was given back, they are left alone for so long: the system counts it with a delay.
const SETTLE: Duration = Duration::from_secs(2);

/// What is left free of `free` bytes where no cap says how much to take. When half of it is gone, memory is short: a swing of
/// 3 % (or of half a GiB, where memory is large) changes nothing.
pub fn margin(free: u64) -> u64 {
    (free / 16).min(1 << 30)
}

/// What the system says of a memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The most that this process should use.
    pub budget: u64,
    /// What counts against that now: what this process uses, or everybody does.
    pub usage: u64,
}

impl Room {
    /// What may still be taken.
    pub fn free(&self) -> u64 {
        self.budget.saturating_sub(self.usage)
    }
}

/// A memory, and what we have of it, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What the system says.
    pub room: Room,
    /// What is held.
    pub held: u64,
    /// What is held when all has come that is planned.
    pub planned: u64,
}

impl Reading {
    /// Bytes that may be held in all.
    fn most(&self) -> u64 {
        self.held.saturating_add(self.room.budget).saturating_sub(self.room.usage)
    }
}

/// Says when memory is short. Device memory comes first in its arrays, then RAM; on a unified device both say something of the
/// same memory.
#[derive(Clone, Debug)]
pub struct Pressure {
    margins: [u64; 2],
    /// Plans of so few bytes cannot become smaller.
    least: [u64; 2],
    next: Duration,
}

impl Pressure {
    /// For memories of which so much was free when the plan was made.
    pub fn new(free: [u64; 2]) -> Self {
        Self { margins: free.map(margin), least: [0; 2], next: Duration::ZERO }
    }

    /// Whether it is time to look, `now` being the time since any moment.
    pub fn is_due(&mut self, now: Duration) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + EVERY;
        }
        due
    }

    /// Which memories are short; those that say nothing never are.
    pub fn short(&self, readings: [Option<Reading>; 2]) -> [bool; 2] {
        std::array::from_fn(|i| {
            readings[i].is_some_and(|r| {
                r.planned > self.least[i] && r.planned.max(r.held) > r.most().saturating_sub(self.margins[i] / 2)
            })
        })
    }

    /// Bytes to plan for instead where memory is `short`. Device memory that is not keeps what is planned, and RAM that is not
    /// has room for what comes from there.
    pub fn budgets(&self, readings: [Option<Reading>; 2], short: [bool; 2]) -> [u64; 2] {
        std::array::from_fn(|i| {
            let most = |r: Reading| match (short[i], i) {
                (false, 0) => r.planned,
                (false, _) => r.planned.max(r.most().saturating_sub(self.margins[i])),
                (true, _) => r.most().saturating_sub(self.margins[i]),
            };
            readings[i].map_or(u64::MAX, most)
        })
    }

    /// A smaller plan was made at time `now`; `least` tells plans of so many bytes that nothing smaller works, or 0.
    pub fn answered(&mut self, now: Duration, least: [u64; 2]) {
        self.next = now + SETTLE;
        self.least = std::array::from_fn(|i| self.least[i].max(least[i]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    /// All that is planned is held, and so much is free beside it.
    fn full(held: u64, free: u64) -> Option<Reading> {
        Some(Reading { room: Room { budget: held + free, usage: held }, held, planned: held })
    }

    #[test]
    fn a_swing_of_a_few_per_cent_changes_nothing() {
        let pressure = Pressure::new([8 * GIB; 2]);
        let held = 8 * GIB - margin(8 * GIB);
        for taken in [0, 50, 150, 256] {
            let reading = full(held, 512 * MIB - taken * MIB);
            assert_eq!(pressure.short([reading; 2]), [false; 2], "{taken} MiB");
        }
        let short = [full(held, 512 * MIB - 257 * MIB), None];
        assert_eq!(pressure.short(short), [true, false]);
        // then the whole margin is free again
        let [vram, ram] = pressure.budgets(short, [true, false]);
        assert_eq!((vram, ram), (held - 257 * MIB, u64::MAX));
        assert_eq!(pressure.short([full(vram, 512 * MIB), None]), [false; 2]);
    }

    #[test]
    fn what_others_take_is_given_back_and_ram_may_take_it() {
        let pressure = Pressure::new([8 * GIB, 32 * GIB]);
        // a driver that lowers the budget below what is in use
        let vram = Reading { room: Room { budget: 5 * GIB, usage: 7 * GIB }, held: 7 * GIB, planned: 7 * GIB };
        let readings = [Some(vram), full(10 * GIB, 20 * GIB)];
        let short = pressure.short(readings);
        assert_eq!(short, [true, false]);
        assert_eq!(pressure.budgets(readings, short), [5 * GIB - 512 * MIB, 29 * GIB]);
        // the other way round, device memory stays as it is
        let readings = [full(7 * GIB, 4 * GIB), full(10 * GIB, 0)];
        let short = pressure.short(readings);
        assert_eq!(short, [false, true]);
        assert_eq!(pressure.budgets(readings, short), [7 * GIB, 9 * GIB]);
    }

    #[test]
    fn what_has_not_come_yet_counts() {
        let pressure = Pressure::new([8 * GIB; 2]);
        let room = Room { budget: 8 * GIB, usage: 3 * GIB };
        let reading = |planned| Some(Reading { room, held: GIB, planned });
        assert_eq!(pressure.short([reading(5 * GIB), reading(7 * GIB)]), [false, true]);
    }

    #[test]
    fn a_plan_that_cannot_shrink_is_left_alone() {
        let mut pressure = Pressure::new([8 * GIB; 2]);
        let readings = [full(GIB, 0); 2];
        assert_eq!(pressure.short(readings), [true; 2]);
        pressure.answered(Duration::ZERO, [GIB, 0]);
        assert_eq!(pressure.short(readings), [false, true]);
        pressure.answered(Duration::ZERO, [0, GIB]);
        assert_eq!(pressure.short(readings), [false; 2]);
        assert_eq!(pressure.short([full(2 * GIB, 0); 2]), [true; 2]);
    }

    #[test]
    fn looks_are_rare_and_rarer_after_an_answer() {
        let mut pressure = Pressure::new([0; 2]);
        let at = Duration::from_millis;
        assert!(pressure.is_due(at(0)) && !pressure.is_due(at(249)) && pressure.is_due(at(250)));
        pressure.answered(at(300), [0; 2]);
        assert!(!pressure.is_due(at(2299)) && pressure.is_due(at(2300)));
    }
}
