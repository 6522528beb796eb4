//! Everything that can be wrong, as a user sees it: one sentence that names the file and says what to do.

mod archives;
mod output;
mod settings;
mod sources;

use std::path::{Path, PathBuf};

use symbiote_tests::fixtures;
use tempfile::TempDir;

/// A folder with a small model in it.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        std::fs::copy(fixtures::pak("tiny-llama"), bench.path("tiny.pak")).unwrap();
        bench
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// The names in the folder, sorted.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
