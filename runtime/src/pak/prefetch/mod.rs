//! Reads of an archive in the background.
//!
//! A request is split into chunks; a thread, the pump, keeps so many of them in flight, by way of what reads.
//!
//! | file | what |
//! |---|---|
//! | `prefetcher.rs` | [`AsyncPrefetcher`]: submit, poll, wait |
//! | `options.rs` | [`PrefetchOptions`], [`Backend`] |
//! | `request.rs` | [`ReadRequest`], [`ReadDone`], [`ReadError`]; a request on its way |
//! | `target.rs` | [`ReadTarget`]: where bytes go; [`PageMemory`] |
//! | `queue.rs` | what has not been started |
//! | `chunk.rs` | what has; what to do after a short, interrupted or refused read |
//! | `pump.rs` | the thread that starts chunks and takes results |
//! | `board.rs` | what is over |
//! | `reads.rs` | what every backend does |
//! | `uring.rs` | backend: `io_uring` |
//! | `pread.rs` | backend: threads |
//! | `disk.rs` | the file: direct, and through the page cache |
//! | `measure.rs` | [`measure`]: bytes per second |

mod board;
mod chunk;
mod disk;
mod measure;
mod options;
mod pread;
mod prefetcher;
mod pump;
mod queue;
mod reads;
mod request;
mod target;
mod uring;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;

pub(super) use disk::FileStamp;
pub use measure::measure;
pub use options::{Backend, PrefetchOptions};
pub use prefetcher::AsyncPrefetcher;
pub use request::{ReadDone, ReadError, ReadRequest};
pub use target::{Filled, PAGE, PageMemory, ReadTarget};
