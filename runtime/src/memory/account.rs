//! Books: who holds how much.

use std::collections::BTreeMap;
use std::fmt;

use super::{ByteSize, NODE};

/// The books of an allocator, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Length of all blocks.
    pub capacity: u64,
    /// Bytes taken, in whole nodes.
    pub used: u64,
    /// Bytes asked for; what lies between this and `used` is wasted.
    pub asked: u64,
    /// Who holds what, by name.
    pub holders: BTreeMap<String, Holder>,
}

/// What goes by one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Ranges held.
    pub ranges: u64,
    /// Bytes asked for.
    pub bytes: u64,
}

impl Account {
    pub(super) fn of<'a>(capacity: u64, held: impl Iterator<Item = (&'a str, u64)>) -> Self {
        let mut account = Self { capacity, ..Self::default() };
        for (name, len) in held {
            account.used += len.next_multiple_of(NODE);
            account.asked += len;
            let holder = account.holders.entry(name.to_owned()).or_default();
            holder.ranges += 1;
            holder.bytes += len;
        }
        account
    }

    /// Bytes that nobody has taken.
    pub fn free(&self) -> u64 {
        self.capacity - self.used
    }
}

/// What was never given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeakReport {
    /// Who holds what, by name.
    pub holders: BTreeMap<String, Holder>,
}

impl LeakReport {
    pub(super) fn of(account: Account) -> Option<Self> {
        (!account.holders.is_empty()).then_some(Self { holders: account.holders })
    }
}

impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges: u64 = self.holders.values().map(|h| h.ranges).sum();
        let bytes = ByteSize(self.holders.values().map(|h| h.bytes).sum());
        let (noun, verb) = if ranges == 1 { ("range", "was") } else { ("ranges", "were") };
        write!(f, "{ranges} {noun} of {bytes} {verb} never given back:")?;
        for (i, (name, holder)) in self.holders.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma} {name} {} ({})", ByteSize(holder.bytes), holder.ranges)?;
        }
        Ok(())
    }
}
