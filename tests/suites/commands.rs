//! The commands, from a model's files to text, and the library behind them.

mod answer;
mod chat;
mod coaccess;
mod interrupt;
mod library;
mod limits;
mod memory;
mod pack;
mod prompt_cache;
mod reload;
mod replay;

use symbiote_runtime::engine::{OpenOptions, SymbioteEngine};
use symbiote_tests::fixtures;

/// Opens the archive of a fixture.
fn open(fixture: &str, options: &OpenOptions) -> SymbioteEngine {
    SymbioteEngine::open(fixtures::pak(fixture), options).unwrap()
}
