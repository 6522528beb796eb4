//! Where the fixtures are, and archives made from them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use symbiote_packer::{ConvertOptions, convert};

/// A file of `tests/fixtures`.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A JSON fixture.
pub fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

/// The bytes of a fixture.
pub fn bytes(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Little-endian f32 values of a fixture.
pub fn f32s(name: &str) -> Vec<f32> {
    bytes(name).chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The folder of the build's profile, such as `target/release`: this executable lies in a folder of it.
fn profile_folder() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// One of the two programs, built beside this test.
pub fn program(name: &str) -> PathBuf {
    let path = profile_folder().join(name);
    assert!(path.is_file(), "{} is not there: run cargo build --release first", path.display());
    path
}

/// SmolLM2-135M-Instruct in Q4_1, as a GGUF file: `SYMBIOTE_SMOLLM2_GGUF`, or where `scripts/fetch` puts it.
pub fn smollm2_gguf() -> PathBuf {
    let fetched = || profile_folder().with_file_name("models").join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let path = std::env::var_os("SYMBIOTE_SMOLLM2_GGUF").map_or_else(fetched, PathBuf::from);
    assert!(
        path.is_file(),
        "{} is not there: run scripts/fetch, or name the file in SYMBIOTE_SMOLLM2_GGUF",
        path.display()
    );
    path
}

/// The archive of [`smollm2_gguf`].
pub fn smollm2() -> PathBuf {
    pak_of(&smollm2_gguf())
}

/// The archive of a fixture: a folder or a GGUF file below `tests/fixtures`.
pub fn pak(name: &str) -> PathBuf {
    pak_of(&path(name))
}

/// The archive of `source`, converted once a process. It lies in the build's folder and replaces that of an earlier run.
fn pak_of(source: &Path) -> PathBuf {
    static DONE: LazyLock<Mutex<HashMap<PathBuf, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pak) = done.get(source) {
        return pak.clone();
    }
    let folder = profile_folder().with_file_name("tmp").join("archives");
    std::fs::create_dir_all(&folder).unwrap();
    let pak = folder.join(format!("{}.pak", source.file_name().unwrap().display()));
    let options = ConvertOptions { force: true, ..ConvertOptions::default() };
    convert(source, &pak, &options, &()).unwrap_or_else(|e| panic!("{e}"));
    done.insert(source.to_owned(), pak.clone());
    pak
}
