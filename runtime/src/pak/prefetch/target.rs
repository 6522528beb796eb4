//! Where the bytes of a read go.

use std::any::Any;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

/// What direct reads are aligned to: offset in the file, address in memory and length, in bytes.
pub const PAGE: usize = 4096;

/// The exclusive right to a range of host memory, for a read to fill.
///
/// Memory at an address that is no multiple of [`PAGE`], or that the kernel cannot pin (mappings of device memory), is
/// filled with a copy by way of memory that is; see [`PrefetchOptions`](super::PrefetchOptions).
pub struct ReadTarget {
    first: NonNull<u8>,
    /// How many bytes are asked for.
    len: usize,
    /// How many may be written: `len` rounded up to a page, since direct reads are of whole pages.
    room: usize,
    keep: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the memory belongs to no thread, nobody else uses it by the contract of `new`, and `keep` is `Send + Sync`.
unsafe impl Send for ReadTarget {}

impl ReadTarget {
    /// The right to the `len` bytes at `first`, and to what lies behind them up to `len` rounded up to a multiple of
    /// [`PAGE`]: a read may write there too.
    ///
    /// # Safety
    ///
    /// From now until the target is dropped, the rounded range must be mapped, initialised, readable and writable as
    /// long as `keep` (or a clone of it) lives, and nothing else may read or write it: not the host, not a device.
    /// [`AsyncPrefetcher`](super::AsyncPrefetcher) drops the target before it reports the read.
    pub unsafe fn new(first: NonNull<u8>, len: usize, keep: Arc<dyn Any + Send + Sync>) -> Self {
        Self { first, len, room: len.next_multiple_of(PAGE), keep }
    }

    /// Memory of its own. What was read is taken from [`Filled`] when the read is reported.
    pub fn owned(mut memory: PageMemory, len: usize) -> (Self, Filled) {
        let len = len.min(memory.bytes().len());
        let first = NonNull::from(memory.bytes_mut()).cast();
        let memory = Arc::new(memory);
        let keep = Arc::clone(&memory);
        // SAFETY: the memory is whole pages, so it holds `len` rounded up; it is on the heap, where it stays until the
        // last clone of the `Arc` is gone; `Filled` gives it away only once `keep` is dropped.
        let target = unsafe { Self::new(first, len, keep) };
        (target, Filled { memory })
    }

    /// How many bytes are asked for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a direct read may write here.
    pub(super) fn is_aligned(&self) -> bool {
        self.first.as_ptr().addr().is_multiple_of(PAGE) && self.room.is_multiple_of(PAGE)
    }

    /// The memory to fill: the bytes asked for.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: by the contract of `new` these bytes are initialised, and this target has the only right to them.
        unsafe { slice::from_raw_parts_mut(self.first.as_ptr(), self.len) }
    }

    /// The memory to fill, rounded up to whole pages.
    pub(super) fn pages_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes_mut`; the contract covers the rounded range.
        unsafe { slice::from_raw_parts_mut(self.first.as_ptr(), self.room) }
    }

    /// Splits the first `len` bytes off, at most all of them. `len` is a multiple of [`PAGE`], or the rounding of the
    /// first part would lie in the second.
    pub(super) fn split_to(&mut self, len: usize) -> Self {
        assert!(len.is_multiple_of(PAGE), "targets are split between pages");
        let len = len.min(self.len);
        let room = len.next_multiple_of(PAGE).min(self.room);
        let head = Self { first: self.first, len, room, keep: Arc::clone(&self.keep) };
        self.skip(len, room);
        head
    }

    /// Leaves out the first `len` bytes, which are filled.
    pub(super) fn advance(&mut self, len: usize) {
        self.skip(len, len);
    }

    fn skip(&mut self, len: usize, room: usize) {
        assert!(len <= self.len && room <= self.room, "a target is as long as it says");
        // SAFETY: `room` bytes of the range are left out, and it is at least that long.
        self.first = unsafe { self.first.add(room) };
        self.len -= len;
        self.room -= room;
    }
}

/// Zeroed memory that starts at a multiple of [`PAGE`] and is whole pages long.
pub struct PageMemory(Vec<Page>);

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

impl PageMemory {
    /// Memory for `len` bytes.
    pub fn new(len: usize) -> Self {
        Self(vec![Page([0; PAGE]); len.div_ceil(PAGE)])
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }

    /// The bytes, to change.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

/// The memory of an owned target.
pub struct Filled {
    memory: Arc<PageMemory>,
}

impl Filled {
    /// The memory, or nothing while the read is under way.
    pub fn take(self) -> Result<PageMemory, Self> {
        Arc::try_unwrap(self.memory).map_err(|memory| Self { memory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_target_once_and_give_it_back_last() {
        let (mut target, filled) = ReadTarget::owned(PageMemory::new(3 * PAGE), 2 * PAGE + 5);
        let mut head = target.split_to(PAGE);
        let mut tail = target.split_to(4 * PAGE);
        assert_eq!((head.len(), tail.len(), target.len()), (PAGE, PAGE + 5, 0));
        assert_eq!((head.pages_mut().len(), tail.pages_mut().len(), target.pages_mut().len()), (PAGE, 2 * PAGE, 0));
        head.bytes_mut().fill(1);
        tail.pages_mut().fill(2);
        tail.advance(3);
        assert!(!tail.is_aligned());
        assert_eq!(tail.bytes_mut().len(), PAGE + 2);
        drop((head, target));
        let Err(filled) = filled.take() else { panic!("a part still has the memory") };
        drop(tail);
        let Ok(memory) = filled.take() else { panic!("every part is gone") };
        assert_eq!(memory.bytes()[..PAGE], [1; PAGE]);
        assert_eq!(memory.bytes()[PAGE..], [2; 2 * PAGE]);
    }
}
