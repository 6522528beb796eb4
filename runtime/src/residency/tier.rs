//! The places a pack can be.

use std::fmt;

/// Where the bytes of a pack are, from the fastest place to the slowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryTier {
    /// In device memory, where kernels read them.
    VramHot,
    /// In the host's memory, one copy away.
    RamWarm,
    /// In the archive on disk.
    DiskCold,
    /// Known from the index; the bytes are not on this machine.
    Hibernating,
}

impl MemoryTier {
    /// Every tier, from the fastest to the slowest.
    pub const ALL: [Self; 4] = [Self::VramHot, Self::RamWarm, Self::DiskCold, Self::Hibernating];

    /// The name that people read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VramHot => "VRAM",
            Self::RamWarm => "RAM",
            Self::DiskCold => "disk",
            Self::Hibernating => "hibernating",
        }
    }
}

impl fmt::Display for MemoryTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
