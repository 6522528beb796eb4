//! The thread that keeps reads in flight.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::chunk::{Chunk, Next};
use super::disk::DiskFile;
use super::queue::Queue;
use super::reads::{Ended, Reads};
use super::target::{PageMemory, ReadTarget};

/// Starts chunks from the queue, and takes what becomes of them.
pub(super) struct Pump {
    pub(super) queue: Arc<Queue>,
    pub(super) disk: Arc<DiskFile>,
    pub(super) bytes_read: Arc<AtomicU64>,
    /// How long a chunk is, in bytes.
    pub(super) chunk: usize,
    /// How many are in flight at most.
    pub(super) depth: usize,
    /// Page memory to lend to chunks whose own the kernel cannot pin; at most one a chunk in flight.
    pub(super) lent: Vec<ReadTarget>,
    /// Whether the kernel has pinned all memory so far.
    pub(super) pinnable: bool,
}

impl Pump {
    /// Runs until the queue is closed, or nothing can be read any more.
    pub(super) fn run(mut self, mut reads: impl Reads) {
        if let Err(error) = self.pump(&mut reads) {
            tracing::error!("{}: cannot go on reading it: {error}", self.disk.path().display());
        }
        // `self` is dropped when this returns or panics, and closes the queue.
    }

    fn pump(&mut self, reads: &mut impl Reads) -> io::Result<()> {
        let direct = self.disk.has_direct();
        let mut in_flight = 0;
        let mut ended = Vec::new();
        while !self.queue.is_closed() {
            while in_flight < self.depth
                && let Some(mut chunk) = self.queue.next(self.chunk, direct)
            {
                if chunk.wants_bounce(self.pinnable) {
                    self.lend(&mut chunk);
                }
                reads.start(chunk);
                in_flight += 1;
            }
            reads.wait(&mut ended)?;
            for Ended { mut chunk, result } in ended.drain(..) {
                let read = result.as_ref().map_or(0, |&read| read as u64);
                self.bytes_read.fetch_add(read, Ordering::Relaxed);
                let next = chunk.take(result, &self.disk);
                if next == Next::Bounce {
                    self.pinnable = false;
                    self.lend(&mut chunk);
                }
                if next == Next::Over || chunk.request().has_failed() {
                    self.lent.extend(chunk.give_back());
                    in_flight -= 1;
                } else {
                    reads.start(chunk);
                }
            }
        }
        Ok(())
    }

    fn lend(&mut self, chunk: &mut Chunk) {
        let make = || ReadTarget::owned(PageMemory::new(self.chunk), self.chunk).0;
        chunk.lend(self.lent.pop().unwrap_or_else(make));
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.queue.close();
    }
}
