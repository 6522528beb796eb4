//! Showing what an archive holds, to people and to programs.

mod coaccess;
mod heat;
mod json;
mod table;

use std::path::Path;

use serde_json::Value;

use crate::archive_file::ArchiveFile;
use crate::error::Error;
pub use coaccess::{CoaccessView, inspect_coaccess};

/// The archive at `path` in words and tables, for people.
pub fn inspect_text(path: &Path) -> Result<String, Error> {
    let file = ArchiveFile::open(path)?;
    Ok(table::text(&file.parse()?, file.path()))
}

/// Everything in the index of the archive at `path` but the vocabulary's tables.
pub fn inspect_json(path: &Path) -> Result<Value, Error> {
    let file = ArchiveFile::open(path)?;
    Ok(json::value(&file.parse()?))
}
