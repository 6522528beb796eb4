//! The archive on disk, memory-mapped and checked.
//!
//! | file | what |
//! |---|---|
//! | `file.rs` | [`PakFile`]: an open archive |
//! | `map.rs` | the one call that maps a file |
//! | `error.rs` | [`PakError`]: why a file cannot be opened |

mod error;
mod file;
mod map;

pub use error::PakError;
pub use file::PakFile;
