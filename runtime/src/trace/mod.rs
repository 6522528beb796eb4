//! Recorded routes of mixtures of experts: two formats, made-up ones as controls, and what a cache would have done.
//!
//! | file | what |
//! |---|---|
//! | `record.rs` | [`Trace`]: the experts of every token of every layer |
//! | `moetrc.rs` | the binary format, read and written |
//! | `csv.rs` | the text format of BigMoeOnEdge, read |
//! | `synthetic.rs` | routes made up as controls |
//! | `replay.rs` | [`Replay`]: what a cache of experts would have done on a trace |
//! | `belady.rs` | [`Belady`]: the bound |
//! | `limits.rs`, `error.rs` | caps on what a file may claim, and [`TraceError`] |

mod belady;
mod csv;
mod error;
mod limits;
mod moetrc;
mod record;
mod replay;
mod synthetic;

pub use belady::Belady;
pub use error::TraceError;
pub use record::{NONE, Token, Trace};
pub use replay::{Replay, Replayed};

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod laws;
