//! Reads an archive in the background.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::pak::{PakError, PakFile};

use super::board::Board;
use super::chunk::Chunk;
use super::disk::DiskFile;
use super::options::{Backend, PrefetchOptions};
use super::pread::PreadThreads;
use super::pump::Pump;
use super::queue::{Queue, Waiting};
use super::reads::{Reads, Waker};
use super::request::{ReadDone, ReadError, ReadRequest, Request};
use super::uring::Uring;

/// Reads an archive in the background, past the page cache where the file system can.
///
/// Dropping it gives up what has not been started and waits for what is in flight: the kernel writes to those targets
/// until it is done.
pub struct AsyncPrefetcher {
    queue: Arc<Queue>,
    board: Arc<Board>,
    disk: Arc<DiskFile>,
    bytes_read: Arc<AtomicU64>,
    backend: Backend,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl AsyncPrefetcher {
    /// Starts to read the file that `file` has mapped, even if its path names another by now.
    pub fn open(file: &PakFile, options: PrefetchOptions) -> Result<Self, PakError> {
        let open = || {
            let disk = DiskFile::reopen(file.file(), file.path(), file.stamp(), options.direct)?.keeping(options.keep);
            Self::start(disk, options.possible())
        };
        open().map_err(|error| PakError::Io { path: file.path().to_path_buf(), doing: "read", error })
    }

    /// Starts the backend asked for, or the best there is.
    pub(super) fn start(disk: DiskFile, options: PrefetchOptions) -> io::Result<Self> {
        let disk = Arc::new(disk);
        let uring = || Uring::new(Arc::clone(&disk), options.depth);
        let ring = match options.backend {
            Some(Backend::Uring) => Some(uring()?),
            // Reads through the page cache are copies, which one thread alone would do.
            None if disk.has_direct() => uring().inspect_err(|error| tracing::debug!("no io_uring: {error}")).ok(),
            None | Some(Backend::Pread) => None,
        };
        if let Some((reads, waker)) = ring {
            return Self::run(disk, options, Backend::Uring, reads, waker);
        }
        let file = Arc::clone(&disk);
        let read = move |chunk: &mut Chunk| {
            let (direct, offset) = (chunk.is_direct(), chunk.offset());
            file.file(direct).read_at(chunk.memory(), offset)
        };
        let (reads, waker) = PreadThreads::new(options.threads, Arc::new(read))?;
        Self::run(disk, options, Backend::Pread, reads, waker)
    }

    pub(super) fn run(
        disk: Arc<DiskFile>,
        options: PrefetchOptions,
        backend: Backend,
        reads: impl Reads + Send + 'static,
        waker: Waker,
    ) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let bytes_read = Arc::<AtomicU64>::default();
        let board = Arc::new(Board::new(disk.path().to_path_buf()));
        let pump = Pump {
            queue: Arc::clone(&queue),
            disk: Arc::clone(&disk),
            bytes_read: Arc::clone(&bytes_read),
            chunk: options.chunk,
            depth: options.depth,
            lent: Vec::new(),
            pinnable: true,
        };
        let thread = thread::Builder::new().name("pak-prefetch".to_owned()).spawn(move || pump.run(reads))?;
        Ok(Self { queue, board, disk, bytes_read, backend, waker, thread: Some(thread) })
    }

    /// Asks for a read. Never waits for one: what becomes of it, failures included, is told by [`Self::poll`] and
    /// [`Self::wait`], once for each request and in any order.
    pub fn submit(&self, request: ReadRequest) {
        let ReadRequest { id, offset, target, urgent } = request;
        let len = target.len() as u64;
        let end = offset.saturating_add(len);
        let waiting = Waiting { target, offset, request: Arc::new(Request::new(id, end, len, &self.board)) };
        if end > self.disk.len() {
            let path = self.disk.path().to_path_buf();
            waiting.request.fail(ReadError::CutOff { path, expected: end, found: self.disk.len() });
        } else if len > 0 {
            self.queue.push(waiting, urgent);
            (self.waker)();
        }
        // What was not queued is over, and dropping it says so.
    }

    /// A read that is over, if there is one.
    pub fn poll(&self) -> Option<ReadDone> {
        self.board.poll()
    }

    /// Waits for a read to be over: nothing if none is within `timeout`, and at once if none is under way.
    pub fn wait(&self, timeout: Duration) -> Option<ReadDone> {
        self.board.wait(timeout)
    }

    /// Whether the file was cut off or written to since it was mapped: whether its length or the time of its last
    /// modification are others now. Renaming or unlinking it, or another file taking its name, is no change.
    pub fn changed(&self) -> Result<bool, PakError> {
        let path = || self.path().to_path_buf();
        self.disk.changed().map_err(|error| PakError::Io { path: path(), doing: "look at", error })
    }

    /// The name that the archive was opened by.
    pub fn path(&self) -> &Path {
        self.disk.path()
    }

    /// Bytes that the system has read so far: those asked for, and those that direct reads round up to.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// What reads.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether reads go past the page cache.
    pub fn direct(&self) -> bool {
        self.disk.has_direct()
    }
}

impl Drop for AsyncPrefetcher {
    fn drop(&mut self) {
        self.queue.close();
        (self.waker)();
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has let go of everything all the same.
            let _ = thread.join();
        }
    }
}
