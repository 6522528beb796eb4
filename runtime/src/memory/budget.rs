//! A hard cap on bytes.

use super::ByteSize;

/// Bytes that may be used, and those that are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    cap: u64,
    used: u64,
}

/// A request above what is left of a budget.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{what} needs {} ({needed} bytes), and {} ({available} bytes) of the budget of {} are left",
    ByteSize(*.needed), ByteSize(*.available), ByteSize(*.cap)
)]
pub struct OverBudget {
    /// For what.
    pub what: String,
    /// Bytes asked for.
    pub needed: u64,
    /// Bytes left.
    pub available: u64,
    /// The cap.
    pub cap: u64,
}

impl Budget {
    /// A budget of `cap` bytes, none of them used.
    pub fn new(cap: u64) -> Self {
        Self { cap, used: 0 }
    }

    /// The cap, in bytes.
    pub fn cap(&self) -> u64 {
        self.cap
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Bytes left.
    pub fn available(&self) -> u64 {
        self.cap - self.used
    }

    /// Refuses `needed` bytes that are not left; takes nothing. `what` says for what, in the error.
    pub fn check(&self, what: &str, needed: u64) -> Result<(), OverBudget> {
        let available = self.available();
        if needed <= available {
            return Ok(());
        }
        Err(OverBudget { what: what.into(), needed, available, cap: self.cap })
    }

    /// Takes `bytes`, or nothing if fewer are left.
    pub fn reserve(&mut self, what: &str, bytes: u64) -> Result<(), OverBudget> {
        self.check(what, bytes)?;
        self.used += bytes;
        Ok(())
    }

    /// Gives `bytes` back.
    ///
    /// # Panics
    /// If more is given back than was taken: the caller's books are wrong.
    pub fn release(&mut self, bytes: u64) {
        assert!(bytes <= self.used, "{bytes} bytes given back to a budget of which {} are used", self.used);
        self.used -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_is_hard() {
        let mut budget = Budget::new(100);
        budget.reserve("a", 60).unwrap();
        assert_eq!(
            budget.reserve("weights", 41).unwrap_err().to_string(),
            "weights needs 41 B (41 bytes), and 40 B (40 bytes) of the budget of 100 B are left"
        );
        assert_eq!((budget.used(), budget.available()), (60, 40));
        budget.reserve("b", 40).unwrap();
        budget.release(100);
        assert_eq!(budget.available(), 100);
        assert!(budget.reserve("c", u64::MAX).is_err());
    }
}
