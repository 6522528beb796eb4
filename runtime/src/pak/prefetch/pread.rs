//! Reads by threads that each wait for one: where `io_uring` is not to be had.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::chunk::Chunk;
use super::reads::{Ended, Reads, Waker};

/// How one read is done: a call of the system, or in tests something worse.
pub(super) type ReadOne = dyn Fn(&mut Chunk) -> io::Result<usize> + Send + Sync;

/// A fixed number of threads.
pub(super) struct PreadThreads {
    jobs: Arc<Jobs>,
    /// Reads that have ended; nothing for a call of the waker.
    ended: Receiver<Option<Ended>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Jobs {
    queue: Mutex<Queue>,
    one_more: Condvar,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    closed: bool,
}

impl PreadThreads {
    pub(super) fn new(count: usize, read: Arc<ReadOne>) -> io::Result<(Self, Waker)> {
        let jobs = Arc::<Jobs>::default();
        let (sender, ended) = channel();
        let mut reads = Self { jobs, ended, threads: Vec::new() };
        for _ in 0..count.max(1) {
            let (jobs, sender, read) = (Arc::clone(&reads.jobs), sender.clone(), Arc::clone(&read));
            let work = move || jobs.work(&*read, &sender);
            reads.threads.push(thread::Builder::new().name("pak-pread".to_owned()).spawn(work)?);
        }
        // Nobody receives once the reads are dropped, and then nobody waits either.
        Ok((reads, Arc::new(move || drop(sender.send(None)))))
    }
}

impl Jobs {
    fn work(&self, read: &ReadOne, ended: &Sender<Option<Ended>>) {
        while let Some(mut chunk) = self.next() {
            // A chunk that were lost here would be waited for as long as the pump runs.
            let result = catch_unwind(AssertUnwindSafe(|| read(&mut chunk)));
            let result = result.unwrap_or_else(|_| Err(io::Error::other("the thread that read it panicked")));
            let _ = ended.send(Some(Ended { chunk, result }));
        }
    }

    fn next(&self) -> Option<Chunk> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(chunk) = queue.chunks.pop_front() {
                return Some(chunk);
            }
            queue = self.one_more.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reads for PreadThreads {
    fn start(&mut self, chunk: Chunk) {
        self.jobs.lock().chunks.push_back(chunk);
        self.jobs.one_more.notify_one();
    }

    fn wait(&mut self, ended: &mut Vec<Ended>) -> io::Result<()> {
        let first = self.ended.recv().map_err(|_| io::Error::other("the reading threads are gone"))?;
        ended.extend(first);
        ended.extend(self.ended.try_iter().flatten());
        Ok(())
    }
}

impl Drop for PreadThreads {
    fn drop(&mut self) {
        self.jobs.lock().closed = true;
        self.jobs.one_more.notify_all();
        for thread in self.threads.drain(..) {
            // If it panicked, it has nothing in flight.
            let _ = thread.join();
        }
    }
}
