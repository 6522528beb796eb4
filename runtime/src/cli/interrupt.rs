//! Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Nothing that can be stopped: Ctrl-C ends the program, as if nobody listened.
const IDLE: u8 = 0;
/// An answer is under way: Ctrl-C stops it.
const ANSWERING: u8 = 1;
/// The answer was asked to stop. A second Ctrl-C ends the program.
const STOPPED: u8 = 2;

/// Exit code of a program that SIGINT ended, by convention.
const INTERRUPTED: i32 = 130;

/// What Ctrl-C means just now.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicU8>);

impl Interrupt {
    /// Listens from here on.
    pub fn install() -> Self {
        let interrupt = Self::default();
        let state = Arc::clone(&interrupt.0);
        let handler = move || {
            if state.compare_exchange(ANSWERING, STOPPED, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                std::process::exit(INTERRUPTED);
            }
        };
        // Without a handler Ctrl-C ends the program, which is all right too.
        if let Err(e) = ctrlc::set_handler(handler) {
            tracing::debug!("no Ctrl-C handler: {e}");
        }
        interrupt
    }

    /// An answer starts.
    pub fn begin(&self) {
        self.0.store(ANSWERING, Ordering::Relaxed);
    }

    /// The answer is over.
    pub fn end(&self) {
        self.0.store(IDLE, Ordering::Relaxed);
    }

    /// The answer is to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) == STOPPED
    }
}
