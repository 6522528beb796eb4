//! Reads by `io_uring`: one thread keeps the whole queue of the disk full.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use io_uring::{IoUring, Probe, opcode, squeue, types};
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::io::Errno;

use super::chunk::Chunk;
use super::disk::DiskFile;
use super::reads::{Ended, Reads, Waker};

/// Marks the completion that says that somebody woke the ring.
const WOKEN: u64 = u64::MAX;

/// A ring, and the chunks whose memory the kernel may be writing to.
pub(super) struct Uring {
    ring: IoUring,
    disk: Arc<DiskFile>,
    /// By the number that their completion will carry.
    in_flight: Vec<Option<Chunk>>,
    wake: Arc<OwnedFd>,
}

impl Uring {
    /// A ring for `depth` reads at a time. Fails where the system has none, or keeps it from this process.
    pub(super) fn new(disk: Arc<DiskFile>, depth: usize) -> io::Result<(Self, Waker)> {
        // One more for the poll that wakes.
        let entries = u32::try_from(depth + 1).map_err(io::Error::other)?;
        let ring = IoUring::new(entries)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Read::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let waker = Arc::clone(&wake);
        let mut reads = Self { ring, disk, in_flight: (0..depth).map(|_| None).collect(), wake };
        reads.await_waker();
        // It fails only where the counter is full, and then the ring is about to wake anyway.
        let wake = move || {
            let _ = rustix::io::write(&waker, &1_u64.to_ne_bytes());
        };
        Ok((reads, Arc::new(wake)))
    }

    fn await_waker(&mut self) {
        let events = u32::from(PollFlags::IN.bits());
        let poll = opcode::PollAdd::new(types::Fd(self.wake.as_raw_fd()), events).build().user_data(WOKEN);
        // SAFETY: a poll names no memory, and the ring is dropped before the descriptor is.
        unsafe { self.push(&poll) };
    }

    /// # Safety
    ///
    /// What `entry` names must stay as it is until its completion.
    unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller's.
        let pushed = unsafe { self.ring.submission().push(entry) };
        // It holds `depth` reads and a poll; more are never started, and each wait empties it.
        pushed.expect("the ring has room for every chunk in flight");
    }

    fn collect(&mut self, ended: &mut Vec<Ended>) {
        let mut woken = false;
        for entry in self.ring.completion() {
            let number = usize::try_from(entry.user_data()).ok();
            let Some(chunk) = number.and_then(|number| self.in_flight.get_mut(number)).and_then(Option::take) else {
                woken |= entry.user_data() == WOKEN;
                continue;
            };
            let result = usize::try_from(entry.result());
            ended.push(Ended { chunk, result: result.map_err(|_| io::Error::from_raw_os_error(-entry.result())) });
        }
        if woken {
            // Nothing to read means that another completion has taken the count.
            let _ = rustix::io::read(&self.wake, &mut [0_u8; 8]);
            self.await_waker();
        }
    }
}

impl Reads for Uring {
    fn start(&mut self, mut chunk: Chunk) {
        let free = self.in_flight.iter().position(Option::is_none).expect("no more than `depth` chunks are started");
        let file = types::Fd(self.disk.file(chunk.is_direct()).as_raw_fd());
        let offset = chunk.offset();
        let memory = chunk.memory();
        // A chunk is far shorter than that; a longer one would be read on where this read ends.
        let len = u32::try_from(memory.len()).unwrap_or(1 << 30);
        let read = opcode::Read::new(file, memory.as_mut_ptr(), len).offset(offset).build().user_data(free as u64);
        self.in_flight[free] = Some(chunk);
        // SAFETY: the memory is `len` bytes long and the chunk's own; the chunk stays in `in_flight`, untouched, and
        // with it the memory, until its completion comes; `disk` keeps the descriptor open.
        unsafe { self.push(&read) };
    }

    fn wait(&mut self, ended: &mut Vec<Ended>) -> io::Result<()> {
        let waited = self.ring.submit_and_wait(1);
        self.collect(ended);
        let Err(error) = waited else { return Ok(()) };
        // A signal, or a kernel that is short of memory for the moment: what was not submitted still is to be.
        let passing = [Errno::INTR, Errno::AGAIN, Errno::BUSY].map(Errno::raw_os_error);
        if error.raw_os_error().is_some_and(|errno| passing.contains(&errno)) { Ok(()) } else { Err(error) }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        let mut ended = Vec::new();
        while self.in_flight.iter().any(Option::is_some) {
            if self.wait(&mut ended).is_err() {
                // The kernel may write to this memory at any time, so it can never be given back.
                mem::forget(mem::take(&mut self.in_flight));
            }
        }
    }
}
