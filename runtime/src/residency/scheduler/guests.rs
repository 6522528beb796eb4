//! Packs that caches take in for a while, and what is read while nobody asks for anything.

use super::{MemoryTier, PackScheduler, Placed, Stage};

impl PackScheduler {
    /// Asks for a pack behind all others that are on their way.
    pub fn expect(&mut self, pack: usize) {
        if !self.stays(pack) && !self.has_fetch(pack) {
            let fetch = self.fetch(pack, false);
            self.fetches.push_back(fetch);
        }
    }

    /// Packs that are brought to their homes while nothing else is to be read, in this order.
    pub fn fill(&mut self, packs: impl IntoIterator<Item = usize>) {
        self.idle = packs.into_iter().collect();
    }

    /// True while packs that [`fill`](Self::fill) named are still to come.
    pub fn is_filling(&self) -> bool {
        !self.idle.is_empty() || self.fetches.iter().any(|f| f.idle)
    }

    /// Makes VRAM the home of a pack for a while, with a place there that a cache gives it. `false`, with nothing changed, while
    /// it is on its way somewhere else.
    pub fn promote(&mut self, pack: usize) -> bool {
        if self.below[pack].is_some() || self.has_fetch(pack) {
            return false;
        }
        self.below[pack] = Some((self.homes[pack], self.placed[pack]));
        (self.homes[pack], self.placed[pack]) = (MemoryTier::VramHot, Placed::No);
        true
    }

    /// Ends what [`promote`](Self::promote) began. `false`, with nothing changed, while the pack [is busy](Self::is_busy).
    pub fn demote(&mut self, pack: usize) -> bool {
        if self.is_busy(pack) {
            return false;
        }
        let Some(below) = self.below[pack].take() else { return false };
        while let Some(at) = self.fetches.iter().position(|f| f.pack == pack) {
            self.abandon(at);
        }
        (self.homes[pack], self.placed[pack]) = below;
        true
    }

    /// The home that a pack has, or goes back to.
    pub fn base(&self, pack: usize) -> MemoryTier {
        self.below[pack].map_or(self.homes[pack], |(home, _)| home)
    }

    /// Gives a pack another home below VRAM, where it is not yet: a cache in RAM takes it in, or lets it go. `false`, with nothing
    /// changed, while it is on its way.
    pub fn rebase(&mut self, pack: usize, home: MemoryTier) -> bool {
        if self.has_fetch(pack) {
            return false;
        }
        match &mut self.below[pack] {
            Some(below) => *below = (home, Placed::No),
            None => (self.homes[pack], self.placed[pack]) = (home, Placed::No),
        }
        true
    }

    /// True where RAM holds the pack's bytes, beside VRAM or not.
    pub fn is_warm(&self, pack: usize) -> bool {
        let (home, placed) = self.below[pack].unwrap_or((self.homes[pack], self.placed[pack]));
        home == MemoryTier::RamWarm && matches!(placed, Placed::Since(_))
    }

    /// True while a cache has the pack in VRAM, or brings it there.
    pub fn is_promoted(&self, pack: usize) -> bool {
        self.below[pack].is_some()
    }

    /// True while the pack is being read, or a lease holds a slot of it.
    pub fn is_busy(&self, pack: usize) -> bool {
        self.fetches.iter().any(|f| f.pack == pack && (f.stage == Stage::Reading || f.is_leased()))
    }

    /// True while the pack is on its way, or in a slot.
    pub fn has_fetch(&self, pack: usize) -> bool {
        self.fetches.iter().any(|f| f.pack == pack)
    }
}
