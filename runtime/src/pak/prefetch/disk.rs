//! The archive's file, as reads reach it.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise};

use super::target::{PAGE, PageMemory};

/// What tells that a file was cut off or overwritten. The time of the last change of its inode is left out: it changes
/// when the file is renamed, or replaced by another of its name, and its bytes stay what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pak) struct FileStamp {
    pub(in crate::pak) len: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl From<&Metadata> for FileStamp {
    fn from(found: &Metadata) -> Self {
        Self { len: found.len(), modified: (found.mtime(), found.mtime_nsec()) }
    }
}

/// One file, open once for direct reads, where the file system has them, and once for reads through the page cache.
pub(super) struct DiskFile {
    path: PathBuf,
    direct: Option<File>,
    cached: File,
    stamp: FileStamp,
    /// What is read stays in the page cache.
    keep: bool,
}

impl DiskFile {
    /// Opens the very file that `file` is, whatever its path names by now.
    pub(super) fn reopen(file: &File, path: &Path, stamp: FileStamp, direct: bool) -> io::Result<Self> {
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        // Without /proc the map's own description does, but only for cached reads: O_DIRECT belongs to a description.
        let cached = File::open(&name).or_else(|_| file.try_clone())?;
        // Read-ahead would fetch what nobody asked for; chunks are long enough without it.
        let _ = fadvise(&cached, 0, None, Advice::Random);
        let flags = OFlags::DIRECT.bits().cast_signed();
        let open = || OpenOptions::new().read(true).custom_flags(flags).open(&name).ok();
        // Some file systems let such a file be opened and refuse to read it.
        let reads = |file: &File| file.read_at(PageMemory::new(PAGE).bytes_mut(), 0).is_ok();
        let direct = direct.then(open).flatten().filter(reads);
        Ok(Self { path: path.to_path_buf(), direct, cached, stamp, keep: false })
    }

    /// The same, where `keep` says so for reads that leave their pages in the page cache, read ahead of them too.
    pub(super) fn keeping(self, keep: bool) -> Self {
        if keep {
            let _ = fadvise(&self.cached, 0, None, Advice::Normal);
        }
        Self { keep, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Length in bytes when the archive was mapped.
    pub(super) fn len(&self) -> u64 {
        self.stamp.len
    }

    pub(super) fn has_direct(&self) -> bool {
        self.direct.is_some()
    }

    /// The file to read from. `direct` is asked for only where [`Self::has_direct`].
    pub(super) fn file(&self, direct: bool) -> &File {
        self.direct.as_ref().filter(|_| direct).unwrap_or(&self.cached)
    }

    /// Lets the page cache drop what a cached read left there, so that it is not a second tier of memory.
    pub(super) fn forget(&self, offset: u64, len: u64) {
        if self.keep {
            return;
        }
        let first = offset - offset % PAGE as u64;
        let len = (offset + len).next_multiple_of(PAGE as u64) - first;
        // An advice: a file system that does not take it keeps its pages.
        let _ = fadvise(&self.cached, first, std::num::NonZeroU64::new(len), Advice::DontNeed);
    }

    pub(super) fn changed(&self) -> io::Result<bool> {
        Ok(FileStamp::from(&self.cached.metadata()?) != self.stamp)
    }
}
