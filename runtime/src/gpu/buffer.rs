//! Buffers: memory that kernels reach by its address.

use std::ptr::NonNull;
use std::sync::Arc;

use ash::vk;

use super::device_memory::{Allocated, DeviceMemory};
use super::error::GpuError;
use super::memory_type::Memory;
use crate::pak::ReadTarget;

/// What reads from disk round lengths up to.
const READ_PAGE: u64 = 4096;

/// A range of memory that kernels reach by its address, and the host too where it is mapped.
///
/// Dropping it is always safe: it is destroyed when everything submitted before is done.
///
/// The host's view of a mapped buffer is memory shared with the GPU. Nothing here orders the two: read what kernels
/// wrote after waiting for their [`Ticket`](super::Ticket), and write what they read before they are submitted or after
/// they are done.
pub struct Buffer {
    pub(super) shared: Arc<SharedBuffer>,
}

/// The part of a buffer that recorded commands keep alive.
pub(super) struct SharedBuffer {
    /// Taken only by `drop`.
    allocated: Option<Allocated>,
    pub(super) handle: vk::Buffer,
    name: String,
    len: u64,
    kind: Memory,
    memory: Arc<DeviceMemory>,
}

impl Buffer {
    pub(super) fn new(memory: &Arc<DeviceMemory>, name: &str, len: u64, kind: Memory) -> Result<Self, GpuError> {
        let allocated = memory.allocate(name, len, kind)?;
        let shared = SharedBuffer {
            handle: allocated.handle,
            allocated: Some(allocated),
            name: name.to_owned(),
            len,
            kind,
            memory: Arc::clone(memory),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Where kernels find it; a multiple of 256.
    pub fn address(&self) -> u64 {
        self.shared.allocated.as_ref().map_or(0, |allocated| allocated.address)
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.shared.len
    }

    /// Never: a buffer holds at least one byte.
    pub fn is_empty(&self) -> bool {
        self.shared.len == 0
    }

    /// The name that errors and the validation layer call it by.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where its bytes lie.
    pub fn memory(&self) -> Memory {
        self.shared.kind
    }

    /// Whether the host reaches its bytes.
    pub fn is_mapped(&self) -> bool {
        self.mapping().is_some()
    }

    /// The first byte of the mapping, which is as long as the buffer, for writers that share it out among threads.
    pub fn mapping(&self) -> Option<NonNull<u8>> {
        NonNull::new(self.shared.allocated.as_ref()?.mapped)
    }

    /// The bytes of a mapped buffer.
    pub fn bytes(&self) -> Result<&[u8], GpuError> {
        let (first, len) = self.mapped()?;
        // SAFETY: the mapping is `len` bytes long and lives as long as the buffer.
        Ok(unsafe { std::slice::from_raw_parts(first.as_ptr(), len) })
    }

    /// The bytes of a mapped buffer, to change.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], GpuError> {
        let (first, len) = self.mapped()?;
        // SAFETY: as in `bytes`, and the borrow keeps every other view of the host away.
        Ok(unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), len) })
    }

    /// Writes `bytes` to a mapped buffer at `offset`.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), GpuError> {
        let to = self.at(offset, bytes.len())?;
        // SAFETY: `at` checked the range; host memory given as a slice does not overlap a range written to, by the
        // rule of this type that nobody holds a view of what is being written.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Reads a mapped buffer from `offset` on into `bytes`.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), GpuError> {
        let from = self.at(offset, bytes.len())?;
        // SAFETY: `at` checked the range, and `bytes` is borrowed exclusively, so it overlaps nothing.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    /// A mapped range for a read from disk to fill, as long as that holds it. Behind `len` bytes it needs room up to the next
    /// multiple of a page.
    ///
    /// The host's other views of the range, and work that reaches it, are the caller's to keep away, as with
    /// [`write`](Self::write).
    pub fn read_target(&self, offset: u64, len: u64) -> Result<ReadTarget, GpuError> {
        let room = len.next_multiple_of(READ_PAGE);
        self.check(offset, room)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let first = self.at(offset, len)?;
        // SAFETY: `check` says that the rounded range lies in the buffer, whose whole length is mapped while `keep` lives; that
        // nothing else uses it is the rule of this type.
        Ok(unsafe { ReadTarget::new(first, len, Arc::clone(&self.shared) as Arc<_>) })
    }

    /// Refuses a range that does not lie in the buffer.
    pub(super) fn check(&self, offset: u64, len: u64) -> Result<(), GpuError> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len());
        let error = || GpuError::OutOfRange { name: self.name().to_owned(), buffer: self.len(), offset, len };
        if inside { Ok(()) } else { Err(error()) }
    }

    fn mapped(&self) -> Result<(NonNull<u8>, usize), GpuError> {
        let mapping = self.mapping().zip(usize::try_from(self.len()).ok());
        mapping.ok_or_else(|| GpuError::NotMapped { name: self.name().to_owned() })
    }

    /// The place of a mapped range.
    fn at(&self, offset: u64, len: usize) -> Result<NonNull<u8>, GpuError> {
        self.check(offset, len as u64)?;
        let (first, whole) = self.mapped()?;
        let offset = usize::try_from(offset).unwrap_or(whole);
        // SAFETY: `check` says that the offset lies in the buffer, whose whole length is mapped.
        Ok(unsafe { first.add(offset) })
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes of {:?} at {:#x})", self.name(), self.len(), self.memory(), self.address())
    }
}

impl Drop for SharedBuffer {
    fn drop(&mut self) {
        if let Some(allocated) = self.allocated.take() {
            self.memory.retire(allocated);
        }
    }
}
