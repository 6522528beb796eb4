//! Where the fixtures are, and archives made from them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use tempfile::TempDir;

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

/// A fixture model (a folder, or a GGUF file) as an archive, converted once a process.
pub fn pak(name: &str) -> PathBuf {
    converted(name, &path(name))
}

/// SmolLM2-135M-Instruct as an archive, converted once a process.
pub fn smollm2() -> PathBuf {
    converted("smollm2", &smollm2_gguf())
}

/// The SmolLM2 file that `scripts/fetch` brings; `SYMBIOTE_SMOLLM2_GGUF` names another place.
pub fn smollm2_gguf() -> PathBuf {
    let fetched = || {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        target.join("models/SmolLM2-135M-Instruct.Q4_1.gguf")
    };
    let path = std::env::var_os("SYMBIOTE_SMOLLM2_GGUF").map_or_else(fetched, PathBuf::from);
    assert!(path.is_file(), "{}: not there; run scripts/fetch first", path.display());
    path
}

fn converted(name: &str, input: &Path) -> PathBuf {
    static DONE: LazyLock<(TempDir, Mutex<HashMap<String, PathBuf>>)> =
        LazyLock::new(|| (TempDir::new().unwrap(), Mutex::default()));
    let mut done = DONE.1.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pak) = done.get(name) {
        return pak.clone();
    }
    let pak = DONE.0.path().join(format!("{}.pak", name.replace('/', "-")));
    symbiote_packer::convert(input, &pak, &symbiote_packer::ConvertOptions::default(), &())
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    done.insert(name.to_owned(), pak.clone());
    pak
}
