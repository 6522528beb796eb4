//! The one `unsafe` call of this module: mapping a file.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps the whole of `file`, for reading.
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is read-only and the file is open for reading. What is left is another program that changes the
    // file meanwhile: writers of archives never do, they write a sibling and rename it (SPEC.md, duties of a writer).
    unsafe { Mmap::map(file) }
}
