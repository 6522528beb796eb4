//! How long a step takes, and what a transfer adds to it: measured while tokens go through experts.

use std::time::Duration;

/// Steps after which what was measured counts half.
const HALF_LIFE: f64 = 256.0;
/// A step this long is no step: something else happened in between.
const PAUSE: Duration = Duration::from_millis(500);

/// Sees when steps begin and how many experts each of them waited for, and takes a straight line through that.
#[derive(Clone, Debug, Default)]
pub struct LinkTelemetry {
    last: Option<(Duration, usize)>,
    line: Line,
}

impl LinkTelemetry {
    /// A step begins at `now` that has to wait for `missing` experts; the one before is over.
    pub fn step(&mut self, now: Duration, missing: usize) {
        if let Some((before, waited)) = self.last.replace((now, missing))
            && now.saturating_sub(before) < PAUSE
        {
            #[allow(clippy::cast_precision_loss)] // a few experts
            self.line.add(waited as f64, now.saturating_sub(before).as_secs_f64());
        }
    }

    /// What can be brought ahead of its use before the next step.
    pub fn budget(&self) -> AheadBudget {
        let (step, transfer) = self.line.fit();
        AheadBudget { idle: step, transfer }
    }
}

/// A line through points, of which the older ones count less.
#[derive(Clone, Debug, Default)]
struct Line {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Line {
    fn add(&mut self, x: f64, y: f64) {
        let keep = 0.5f64.powf(HALF_LIFE.recip());
        for (sum, value) in
            [(&mut self.n, 1.0), (&mut self.x, x), (&mut self.y, y), (&mut self.xx, x * x), (&mut self.xy, x * y)]
        {
            *sum = *sum * keep + value;
        }
    }

    /// y at 0, and what 1 adds to it; 0 and infinity before enough is known.
    fn fit(&self) -> (f64, f64) {
        let spread = self.n * self.xx - self.x * self.x;
        if self.n < 8.0 || spread <= 1e-9 * self.n * self.n {
            return (0.0, f64::INFINITY);
        }
        let slope = ((self.n * self.xy - self.x * self.y) / spread).max(0.0);
        (((self.y - slope * self.x) / self.n).max(0.0), slope)
    }
}

/// The time of a step in which the link rests, and what a transfer takes.
#[derive(Clone, Copy, Debug)]
pub struct AheadBudget {
    idle: f64,
    transfer: f64,
}

impl AheadBudget {
    /// Whether to bring, ahead of its use, an expert that is used with this probability. What it saves if it is used is what it
    /// overlaps with a step; what it costs if it is not is what it makes others wait, and a tenth of itself for the wire.
    pub fn pays(&mut self, probability: f64) -> bool {
        if !self.transfer.is_finite() || self.transfer <= 0.0 {
            return false;
        }
        let saved = probability * self.idle.min(self.transfer);
        let lost = (1.0 - probability) * ((self.transfer - self.idle).max(0.0) + self.transfer / 10.0);
        let pays = saved > lost;
        if pays {
            self.idle = (self.idle - self.transfer).max(0.0);
        }
        pays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_and_a_transfer_are_told_apart() {
        let mut line = Line::default();
        assert_eq!(line.fit(), (0.0, f64::INFINITY));
        for i in 0..400 {
            let missing = f64::from(i * 7 % 5);
            line.add(missing, 1e-4 + missing * 2e-4);
        }
        let (step, transfer) = line.fit();
        assert!((step - 1e-4).abs() < 1e-9 && (transfer - 2e-4).abs() < 1e-9, "{step} {transfer}");
    }

    #[test]
    fn only_what_hides_is_brought_ahead() {
        let fast = AheadBudget { idle: 1e-3, transfer: 1e-4 };
        assert!(fast.clone().pays(0.2) && !fast.clone().pays(0.05));
        // a slow link has no time to lose
        let slow = AheadBudget { idle: 1e-4, transfer: 1e-2 };
        assert!(!slow.clone().pays(0.9));
        let mut even = AheadBudget { idle: 1e-4, transfer: 1e-4 };
        assert!(even.pays(0.5));
        assert!(!even.pays(0.5), "the time is taken");
        assert!(!AheadBudget { idle: 1.0, transfer: f64::INFINITY }.pays(1.0));
    }
}
