//! Memory maps: the only unsafe code of this crate.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A file's bytes, mapped read-only. Used for headers and indexes; weights are read with positioned reads, so that they
/// never count as this process's memory.
pub(crate) struct Map(Option<memmap2::Mmap>);

impl Map {
    /// Maps the whole of `file`.
    pub fn of(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self(None)); // an empty mapping is an error to the kernel
        }
        // SAFETY: the mapping is read-only and private to this process. Its bytes change only if another program writes
        // to the file meanwhile; every reader bounds-checks, so that yields wrong values, not wrong accesses. (A file cut
        // short meanwhile ends the process with SIGBUS, as for every program that maps files.)
        unsafe { memmap2::Mmap::map(file) }.map(|map| Self(Some(map)))
    }
}

impl Deref for Map {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
