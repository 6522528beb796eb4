//! What is asked for, and what came of it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::board::Board;
use super::target::ReadTarget;

/// A read to do.
pub struct ReadRequest {
    /// The caller's name for it.
    pub id: u64,
    /// Where it starts in the file, in bytes. Segments start at a multiple of [`PAGE`](super::PAGE), which direct reads
    /// need; what starts elsewhere goes through the page cache.
    pub offset: u64,
    /// Where the bytes go, and how many there are.
    pub target: ReadTarget,
    /// Whether it goes before all that are not urgent and have not started.
    pub urgent: bool,
}

/// A read that is over. Its target has been dropped.
#[derive(Debug)]
pub struct ReadDone {
    /// The caller's name for it.
    pub id: u64,
    /// Whether every byte has arrived. After an error the target's memory holds anything.
    pub outcome: Result<(), ReadError>,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refuses.
    #[error("{}: cannot read it at byte {offset}: {error}", .path.display())]
    Io {
        /// The archive.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What the system says.
        error: io::Error,
    },
    /// The file ends before the read does.
    #[error(
        "{}: the file was cut off: it ends at byte {found}, and {expected} bytes are needed; copy or convert the model again",
        .path.display()
    )]
    CutOff {
        /// The archive.
        path: PathBuf,
        /// Where the read ends, in bytes of the file.
        expected: u64,
        /// Where the file ends.
        found: u64,
    },
    /// The thread that reads has ended.
    #[error("{}: reading it was given up", .path.display())]
    Stopped {
        /// The archive.
        path: PathBuf,
    },
}

/// A request on its way. Every chunk has a clone; when the last is gone, whatever the reason, the request is over and
/// is reported, so that none is ever waited for in vain.
pub(super) struct Request {
    pub(super) id: u64,
    /// Where it ends in the file.
    pub(super) end: u64,
    /// Bytes still to come.
    left: AtomicU64,
    failed: OnceLock<ReadError>,
    board: Arc<Board>,
}

impl Request {
    pub(super) fn new(id: u64, end: u64, len: u64, board: &Arc<Board>) -> Self {
        board.expect_one();
        Self { id, end, left: AtomicU64::new(len), failed: OnceLock::new(), board: Arc::clone(board) }
    }

    pub(super) fn arrived(&self, len: u64) {
        self.left.fetch_sub(len, Ordering::Relaxed);
    }

    /// The first failure is the one reported.
    pub(super) fn fail(&self, error: ReadError) {
        let _ = self.failed.set(error);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let outcome = match self.failed.take() {
            Some(error) => Err(error),
            None if *self.left.get_mut() == 0 => Ok(()),
            None => Err(ReadError::Stopped { path: self.board.path.clone() }),
        };
        self.board.report(ReadDone { id: self.id, outcome });
    }
}
