//! What a plan is made from, and what it says.

use super::forecast::{Forecast, Wires};
use super::tier::MemoryTier;
use crate::memory::{ByteSize, NODE};

/// When a pack is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Read in every pass, in the order of the packs.
    EveryPass,
    /// A table of which a token needs one row.
    Lookup,
    /// Both: the table that is also the head.
    Tied,
    /// So small, or so often read, that it must be in VRAM.
    Always,
    /// Read by some passes: one of `count` experts, of which a token needs `used`.
    Expert {
        /// Experts of its layer that a token goes through.
        used: u32,
        /// Experts of its layer.
        count: u32,
    },
}

impl Need {
    /// Read whole in every pass, and can be streamed.
    pub(super) fn is_streamable(self) -> bool {
        matches!(self, Self::EveryPass | Self::Tied)
    }

    /// Looked up by row.
    pub(super) fn is_looked_up(self) -> bool {
        matches!(self, Self::Lookup | Self::Tied)
    }
}

/// What is known of a pack; they are listed in the order of the pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackTraffic {
    /// Length in bytes, as coded.
    pub len: u64,
    /// When it is needed.
    pub need: Need,
}

impl PackTraffic {
    /// One of many networks, of which a token needs some.
    pub fn is_expert(&self) -> bool {
        matches!(self.need, Need::Expert { .. })
    }

    /// Bytes that it takes in memory.
    pub fn room(&self) -> u64 {
        self.len.next_multiple_of(NODE)
    }
}

/// What is left for packs and slots, in bytes, when everything else has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of device memory.
    pub vram: u64,
    /// Of host memory.
    pub ram: u64,
    /// They are the same memory: the smaller limit holds for everything.
    pub unified: bool,
}

/// Which pack lives where, and the rings that the others pass through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Where each pack stays: in VRAM, in RAM or on disk.
    pub homes: Vec<MemoryTier>,
    /// Slots of the ring in VRAM that packs with other homes are copied into; 0 where there are none.
    pub slots: u32,
    /// Bytes of one: the longest of those packs.
    pub slot_bytes: u64,
    /// Slots in RAM that packs are read from disk into, to be copied from there; 0 on unified memory, where they are read in
    /// place.
    pub staging: u32,
    /// Bytes of one, and of the gather slot: the longest pack, as all come this way when they are loaded. On unified memory
    /// the longest that is looked up.
    pub staging_bytes: u64,
    /// One slot more, in RAM, into which a pack that is looked up is read from disk.
    pub gather: bool,
    /// Places in VRAM that experts take turns in.
    pub cache: u32,
    /// Places in RAM likewise, where not all of them fit into RAM; 0 on unified memory.
    pub warm_cache: u32,
    /// Bytes of one: the longest expert.
    pub expert_bytes: u64,
    /// VRAM and RAM are the same memory.
    pub unified: bool,
}

/// Limits below which not even one pass is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model needs at least {} ({vram_least} bytes) of VRAM and {} ({ram_least} bytes) of RAM for its packs",
    ByteSize(*.vram_least), ByteSize(*.ram_least)
)]
pub struct TooSmall {
    /// The least VRAM that does.
    pub vram_least: u64,
    /// The least RAM that does, beside the VRAM that there is or, if that is too small, beside `vram_least`. On unified
    /// memory the same as `vram_least`.
    pub ram_least: u64,
}

impl Plan {
    /// How fast this can be at best on these wires.
    pub fn forecast(&self, packs: &[PackTraffic], wires: Wires) -> Forecast {
        Forecast::of(self, packs, wires)
    }

    /// Bytes that the slots take in RAM, or in the one memory of a unified device beside the ring.
    pub fn host_slot_bytes(&self) -> u64 {
        (u64::from(self.staging) + u64::from(self.gather)) * self.staging_bytes
    }

    /// Bytes of one of so many `experts` that a token reads on average, those of them that no place in VRAM has, and those that no
    /// place in RAM has either, were all equally likely.
    pub(super) fn expert_traffic(
        &self,
        len: u64,
        home: MemoryTier,
        (used, count): (u32, u32),
        experts: usize,
    ) -> [u64; 3] {
        let share = |bytes: u64, part: u64, all: u64| {
            let bytes = u128::from(bytes) * u128::from(part) / u128::from(all.max(1));
            u64::try_from(bytes).unwrap_or(u64::MAX)
        };
        let experts = experts as u64;
        let without = |bytes, places: u32| share(bytes, experts.saturating_sub(u64::from(places)), experts);
        let bytes = share(len, u64::from(used), u64::from(count));
        let missed = if home == MemoryTier::VramHot { 0 } else { without(bytes, self.cache) };
        let places = if self.unified { self.cache } else { self.cache.saturating_add(self.warm_cache) };
        let read = if home == MemoryTier::DiskCold { without(bytes, places) } else { 0 };
        [bytes, missed, read]
    }

    /// Bytes of the places that experts take turns in: in VRAM, and in RAM.
    pub fn cache_bytes(&self) -> [u64; 2] {
        [self.cache, self.warm_cache].map(|places| u64::from(places) * self.expert_bytes)
    }
}

/// Copied into a slot of the ring in every pass.
pub(super) fn is_streamed(pack: &PackTraffic, home: MemoryTier) -> bool {
    home != MemoryTier::VramHot && pack.need.is_streamable()
}

/// Read from disk in every pass.
pub(super) fn is_read(pack: &PackTraffic, home: MemoryTier) -> bool {
    home == MemoryTier::DiskCold && pack.need.is_streamable()
}
