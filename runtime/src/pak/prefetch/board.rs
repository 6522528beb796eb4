//! The board on which finished reads are posted.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::request::ReadDone;

/// Reads that are over and have not been fetched.
pub(super) struct Board {
    /// The archive, for messages.
    pub(super) path: PathBuf,
    posted: Mutex<Posted>,
    one_more: Condvar,
}

#[derive(Default)]
struct Posted {
    done: VecDeque<ReadDone>,
    /// How many are still to be posted.
    pending: usize,
}

impl Board {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, posted: Mutex::default(), one_more: Condvar::new() }
    }

    pub(super) fn expect_one(&self) {
        self.lock().pending += 1;
    }

    pub(super) fn report(&self, done: ReadDone) {
        let mut posted = self.lock();
        posted.pending -= 1;
        posted.done.push_back(done);
        self.one_more.notify_one();
    }

    pub(super) fn poll(&self) -> Option<ReadDone> {
        self.lock().done.pop_front()
    }

    pub(super) fn wait(&self, timeout: Duration) -> Option<ReadDone> {
        let start = Instant::now();
        let mut posted = self.lock();
        loop {
            if let Some(done) = posted.done.pop_front() {
                return Some(done);
            }
            let left = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
            if posted.pending == 0 {
                return None;
            }
            posted = self.one_more.wait_timeout(posted, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
