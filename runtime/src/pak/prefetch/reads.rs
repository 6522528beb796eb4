//! What does the reads.

use std::io;
use std::sync::Arc;

use super::chunk::Chunk;

/// Does reads of chunks, several at a time. Dropping it waits for those in flight before it lets go of their memory.
pub(super) trait Reads {
    /// Starts one read into the chunk's memory.
    fn start(&mut self, chunk: Chunk);

    /// Waits until a read ends or the waker is called, and adds what has ended. An error means that nothing more can
    /// be read this way.
    fn wait(&mut self, ended: &mut Vec<Ended>) -> io::Result<()>;
}

/// A chunk, and how many bytes the system read into its memory.
pub(super) struct Ended {
    pub(super) chunk: Chunk,
    pub(super) result: io::Result<usize>,
}

/// Ends a [`Reads::wait`], the next one if none is under way.
pub(super) type Waker = Arc<dyn Fn() + Send + Sync>;
