//! The archive on disk: memory-mapped and checked, and read in the background.
//!
//! | file | what |
//! |---|---|
//! | `file.rs` | [`PakFile`]: an open archive |
//! | `map.rs` | the one call that maps a file |
//! | `prefetch/` | [`AsyncPrefetcher`]: reads of it, several at a time and past the page cache |
//! | `error.rs` | [`PakError`]: why a file cannot be opened or read |

mod error;
mod file;
mod map;
mod prefetch;

pub use error::PakError;
pub use file::PakFile;
pub use prefetch::{
    AsyncPrefetcher, Backend, Filled, PAGE, PageMemory, PrefetchOptions, ReadDone, ReadError, ReadRequest, ReadTarget,
    measure,
};
