//! How an archive is read.

use super::target::PAGE;

/// How an archive is read.
#[derive(Clone, Copy, Debug)]
pub struct PrefetchOptions {
    /// Bytes read at once; rounded up to a multiple of [`PAGE`]. Requests are split into these.
    pub chunk: usize,
    /// How many chunks are in flight. `depth` × `chunk` bytes of host memory are taken where targets cannot be read
    /// into directly (mappings of device memory), none where they can.
    pub depth: usize,
    /// How many threads read where `io_uring` does not.
    pub threads: usize,
    /// What reads; nothing for `io_uring` where the system has it and reads are direct, else threads.
    pub backend: Option<Backend>,
    /// Whether to read past the page cache where the file system can.
    pub direct: bool,
    /// Whether what is read through the page cache stays there, for the next who opens the file; else it is dropped.
    pub keep: bool,
}

impl Default for PrefetchOptions {
    fn default() -> Self {
        Self { chunk: 1 << 20, depth: 16, threads: 4, backend: None, direct: true, keep: false }
    }
}

impl PrefetchOptions {
    /// The nearest that can be done: a read by the system is shorter than 2 GiB, and a ring has at most 32768 entries.
    pub(super) fn possible(mut self) -> Self {
        self.chunk = self.chunk.clamp(1, 1 << 30).next_multiple_of(PAGE);
        self.depth = self.depth.clamp(1, 1024);
        self.threads = self.threads.clamp(1, 64);
        self
    }
}

/// What reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One thread with an `io_uring`.
    Uring,
    /// Threads that each wait for one read.
    Pread,
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Uring => "io_uring",
            Self::Pread => "pread",
        })
    }
}
