//! Makes models and runs the program on them.
#![allow(dead_code)] // every test file uses its own part of this

pub mod gguf;
pub mod hugging_face;
pub mod tamper;
pub mod weights;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder for one test, and the program to run in it.
pub struct Bench(pub tempfile::TempDir);

impl Bench {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs `symbiote-pack` in the folder.
    pub fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_symbiote-pack")).args(args).current_dir(self.0.path()).output().unwrap()
    }

    /// Runs it; it must succeed. Returns what it printed.
    pub fn done(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stderr.is_empty(), "quiet in a pipe");
        String::from_utf8(out.stdout).unwrap()
    }

    /// Runs it; it must fail with code 1 and one line, `symbiote-pack: FILE: sentence`. Returns the sentence.
    pub fn refused(&self, args: &[&str]) -> String {
        let out = self.run(args);
        let error = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}: {error}");
        assert_eq!(error.matches('\n').count(), 1, "one line: {error:?}");
        let line = error.strip_prefix("symbiote-pack: ").unwrap().trim_end();
        line.split_once(": ").unwrap().1.to_owned()
    }

    /// Runs it; it must be refused as wrong usage, with code 2 and one line, which is returned.
    pub fn misused(&self, args: &[&str]) -> String {
        let out = self.run(args);
        let error = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {error}");
        assert_eq!(error.matches('\n').count(), 1, "one line: {error:?}");
        error
    }

    /// The bytes of a file in the folder.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The files in the folder, sorted.
    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Bytes that look like nothing in particular and are the same every time.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// The tensors of a safetensors file: name, type, shape, bytes.
pub fn read_safetensors(path: &Path) -> Vec<(String, String, Vec<usize>, Vec<u8>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<_> = file
        .tensors()
        .into_iter()
        .map(|(name, t)| (name, t.dtype().to_string(), t.shape().to_vec(), t.data().to_vec()))
        .collect();
    all.sort();
    all
}
