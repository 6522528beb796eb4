//! Packs that may not move while the device reads them.

/// The right to read some packs. Until it is given to [`release`](super::NomadPackManager::release), and the device has passed
/// the point named there, none of them moves and nothing overwrites them.
///
/// A lease that is dropped instead keeps its packs where they are for good.
#[derive(Debug)]
#[must_use = "a lease that is not released pins its packs for good"]
pub struct Lease {
    /// Sorted by pack, each once.
    addresses: Box<[(usize, u64)]>,
    /// The value of the copies' timeline from which on all packs are there.
    pub after: u64,
    /// It holds slots of the ring, or packs in VRAM; else a place in RAM.
    pub(super) in_vram: bool,
}

impl Lease {
    /// `addresses` are sorted by pack.
    pub(super) fn new(addresses: Box<[(usize, u64)]>, after: u64, in_vram: bool) -> Self {
        Self { addresses, after, in_vram }
    }

    /// Device address of a pack; `None` for one that this lease does not cover.
    pub fn address(&self, pack: usize) -> Option<u64> {
        self.addresses.binary_search_by_key(&pack, |&(pack, _)| pack).ok().map(|i| self.addresses[i].1)
    }

    /// The packs covered, in ascending order, and their addresses.
    pub fn packs(&self) -> impl ExactSizeIterator<Item = (usize, u64)> {
        self.addresses.iter().copied()
    }
}
