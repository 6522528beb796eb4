//! Progress on the terminal, and Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use symbiote_packer::Monitor;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A progress bar on stderr, shown only if that is a terminal.
pub(crate) struct Terminal(ProgressBar);

impl Terminal {
    /// From here on, Ctrl-C (and SIGTERM) ask the run to stop.
    pub fn new() -> Self {
        // without a handler the signal ends the process at once, which leaves a temporary file and nothing worse
        let _ = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed));
        Self(ProgressBar::no_length())
    }

    /// Takes the bar off the screen.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Monitor for Terminal {
    fn begin(&self, stage: &str, total: u64) {
        const BAR: &str = "{msg} [{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.0.set_style(style.progress_chars("=> "));
        self.0.reset();
        self.0.set_length(total);
        self.0.set_message(stage.to_owned());
        self.0.enable_steady_tick(Duration::from_millis(200));
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}
