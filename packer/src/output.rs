//! A file that appears whole or not at all: written beside its place under a temporary name, then renamed.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::error::{At, Error, Problem};

/// An output in the making. Dropped before [`commit`](Self::commit), it leaves nothing.
pub(crate) struct Output {
    path: PathBuf,
    temporary: NamedTempFile,
    replace: bool,
}

impl Output {
    /// Checks that `path` can be written, with room for `len` bytes, and opens its temporary sibling. An existing file
    /// there is kept until the commit, and an error unless `replace`.
    pub fn create(path: &Path, len: u64, replace: bool) -> Result<Self, Error> {
        if path.is_dir() {
            return Err(Problem::OutputUnusable).at(path);
        }
        if !replace && path.symlink_metadata().is_ok() {
            return Err(Problem::OutputExists).at(path);
        }
        let folder = folder(path);
        if let Some(free) = free_bytes(folder).filter(|free| *free < len) {
            return Err(Problem::DiskFull { needed: len, free }).at(path);
        }
        let temporary = tempfile::Builder::new()
            .prefix(".symbiote-")
            .suffix(".partial")
            .permissions(Permissions::from_mode(0o666)) // less the umask, as for any new file
            .tempfile_in(folder)
            .at(path)?;
        Ok(Self { path: path.into(), temporary, replace })
    }

    /// The file, at its end.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Where it will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file durable and gives it its name.
    pub fn commit(self) -> Result<(), Error> {
        let Self { path, temporary, replace } = self;
        temporary.as_file().sync_all().at(&path)?;
        let temporary: TempPath = temporary.into_temp_path();
        match replace {
            true => temporary.persist(&path).map_err(|e| e.error).at(&path)?,
            false => temporary.persist_noclobber(&path).map_err(|e| e.error).map_err(exists).at(&path)?,
        }
        // the name is durable only once its folder is; some file systems cannot do that, and then it is not needed
        let _ = File::open(folder(&path)).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

/// True if both are there, and one.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn exists(error: std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => Problem::OutputExists,
        _ => Problem::Io(error),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Bytes that an ordinary user may still write; `None` where the file system does not say.
fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}
