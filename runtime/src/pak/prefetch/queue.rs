//! Requests that have not been started, or not wholly.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chunk::Chunk;
use super::request::Request;
use super::target::ReadTarget;

/// What is left to start of a request.
pub(super) struct Waiting {
    /// Dropped before the request is, whose report promises that.
    pub(super) target: ReadTarget,
    pub(super) offset: u64,
    pub(super) request: Arc<Request>,
}

/// First come, first served, urgent ones before the others.
#[derive(Default)]
pub(super) struct Queue {
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    urgent: VecDeque<Waiting>,
    later: VecDeque<Waiting>,
    closed: bool,
}

impl Queue {
    /// Adds a request, which is given up if the queue is closed.
    pub(super) fn push(&self, waiting: Waiting, urgent: bool) {
        let mut lines = self.lock();
        if !lines.closed {
            let line = if urgent { &mut lines.urgent } else { &mut lines.later };
            line.push_back(waiting);
        }
    }

    /// The next chunk, of `len` bytes or what is left.
    pub(super) fn next(&self, len: usize, direct: bool) -> Option<Chunk> {
        let mut lines = self.lock();
        loop {
            let line = if lines.urgent.is_empty() { &mut lines.later } else { &mut lines.urgent };
            let first = line.front_mut()?;
            if first.request.has_failed() {
                line.pop_front();
                continue;
            }
            let target = first.target.split_to(len);
            let chunk = Chunk::new(target, first.offset, direct, Arc::clone(&first.request));
            first.offset += len as u64;
            if first.target.is_empty() {
                line.pop_front();
            }
            return Some(chunk);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Gives up what has not been started, and all that comes from now on.
    pub(super) fn close(&self) {
        let mut lines = self.lock();
        lines.closed = true;
        lines.urgent.clear();
        lines.later.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
