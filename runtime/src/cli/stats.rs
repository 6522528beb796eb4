//! `--stats`: one line at the foot of the terminal while tokens come, and at the end what it all was.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use symbiote_runtime::engine::{PassReport, SymbioteEngine};
use symbiote_runtime::residency::Counters;

use super::output::note;

/// What the passes of a run add up to.
#[derive(Clone, Copy, Default)]
struct Sum {
    tokens: usize,
    time: Duration,
    counters: Counters,
}

/// Watches an engine.
pub struct Stats {
    sum: Arc<Mutex<Sum>>,
    /// Rows of the terminal, whose last one is ours.
    rows: Option<u16>,
}

impl Stats {
    /// Watches `engine` from here on.
    pub fn watch(engine: &mut SymbioteEngine) -> Self {
        let sum = Arc::<Mutex<Sum>>::default();
        let rows = if std::io::stderr().is_terminal() {
            rustix::termios::tcgetwinsize(std::io::stderr()).ok().map(|size| size.ws_row).filter(|rows| *rows > 2)
        } else {
            None
        };
        if let Some(rows) = rows {
            // text scrolls above the last row
            draw(&format!("\n\x1b[1A\x1b7\x1b[1;{}r\x1b8", rows - 1));
        }
        let told = Arc::clone(&sum);
        engine.on_pass(Box::new(move |pass: &PassReport| {
            told.lock().unwrap_or_else(PoisonError::into_inner).add(pass);
            if let Some(rows) = rows {
                draw(&format!("\x1b7\x1b[{rows};1H\x1b[2K{}\x1b8", line(pass.tokens, pass.time, &pass.counters)));
            }
        }));
        Self { sum, rows }
    }

    /// Gives the terminal back and says what it all was.
    pub fn end(self) {
        if let Some(rows) = self.rows {
            draw(&format!("\x1b7\x1b[r\x1b[{rows};1H\x1b[2K\x1b8"));
        }
        let sum = *self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        note(line(sum.tokens, sum.time, &sum.counters));
    }
}

impl Sum {
    fn add(&mut self, pass: &PassReport) {
        self.tokens += pass.tokens;
        self.time += pass.time;
        self.counters = self.counters.and(&pass.counters);
    }
}

fn draw(text: &str) {
    let mut stderr = std::io::stderr();
    // a terminal that is gone needs no line
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[allow(clippy::cast_precision_loss)] // bytes and tokens, far fewer than 2^53
fn line(tokens: usize, time: Duration, c: &Counters) -> String {
    let seconds = time.as_secs_f64().max(1e-9);
    let [vram, ram, disk] = c.shares().map(|share| share * 100.0);
    format!(
        "{:.2} tokens/s | disk {:.2} GB/s, link {:.2} GB/s | from VRAM {vram:.1} %, RAM {ram:.1} %, disk {disk:.1} % | waited {:.1} ms a token",
        tokens as f64 / seconds,
        c.read_bytes as f64 / seconds / 1e9,
        c.copied_bytes as f64 / seconds / 1e9,
        c.stall.as_secs_f64() * 1e3 / tokens.max(1) as f64,
    )
}
