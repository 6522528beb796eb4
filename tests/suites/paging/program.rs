//! What a user sees when the archive's file changes under an answer.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use symbiote_format::Codec;
use symbiote_tests::fixtures;
use symbiote_tests::program::{Done, RUN, command, done};
use tempfile::TempDir;

use super::{at, delete, least_vram, overwrite, replace, truncate, with};
use crate::budgets::archive;

const ASK: [&str; 12] =
    ["--raw", "-p", "the end", "-n", "200", "--ctx", "256", "--batch", "16", "--temp", "0", "--ignore-stop"];

fn signal(name: &str, id: u32) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

/// Asks with the least memory that works, and changes the file when the first words have come.
fn ask(change: impl Fn(&Path)) -> (TempDir, PathBuf, Done) {
    let folder = tempfile::tempdir().unwrap();
    let pak = at(&folder, "model.pak");
    std::fs::rename(archive(folder.path(), "tiny-llama", Codec::Raw), &pak).unwrap();
    let vram = smallest(&pak);
    let args = [&ASK[..], &["--vram", &vram, "--quiet"]].concat();
    let mut child = command(RUN, folder.path(), with(&pak, &args));
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 8];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    // held while the file changes, or it could be done before
    signal("-STOP", child.id());
    change(&pak);
    signal("-CONT", child.id());
    let start = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
    let mut done = Done::from(output);
    done.stdout.insert_str(0, std::str::from_utf8(&first).unwrap());
    (folder, pak, done)
}

/// In bytes, as MiB are large for so small a model.
fn smallest(pak: &Path) -> String {
    use symbiote_runtime::engine::{EngineError, OpenOptions, SymbioteEngine, USUAL_WIRES};
    let mut options = OpenOptions { context: Some(256), batch: Some(16), ..OpenOptions::default() };
    options.gpu.vram_cap = Some(0);
    match SymbioteEngine::plan(pak, &options, USUAL_WIRES) {
        Err(EngineError::Memory { need, .. }) => format!("{}B", need.bytes()),
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn a_change_ends_the_answer_in_one_sentence() {
    for change in [truncate, overwrite] {
        let (_folder, pak, done) = ask(change);
        assert_eq!(done.code, Some(1), "{done:?}");
        let line = done.stderr.strip_suffix('\n').unwrap();
        println!("{line}");
        assert!(!line.contains('\n') && !line.contains("panicked"), "{line}");
        let name = pak.to_str().unwrap();
        assert!(line.starts_with(&format!("symbiote-run: {name}: ")), "{line}");
        assert_eq!(line.matches(name).count(), 1, "{line}");
        assert!(line.contains("was changed") || line.contains("was cut off"), "{line}");
    }
}

#[test]
fn a_file_that_is_replaced_or_deleted_changes_nothing() {
    let (_folder, _, untouched) = ask(|_| ());
    assert_eq!((untouched.code, untouched.stderr.as_str()), (Some(0), ""));
    for change in [replace, delete] {
        let (_folder, _, done) = ask(change);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
        assert_eq!(done.stdout, untouched.stdout);
    }
}

/// A conversation asks the archive for nothing but weights: pages of a file that is cut off are gone.
#[test]
fn a_conversation_outlives_its_file() {
    use std::io::{BufRead, BufReader, Write};
    let folder = tempfile::tempdir().unwrap();
    let pak = at(&folder, "model.pak");
    std::fs::copy(fixtures::smollm2(), &pak).unwrap();
    let args = ["-n", "4", "--ctx", "256", "--batch", "64", "--temp", "0"];
    let mut child = command(RUN, folder.path(), with(&pak, &args));
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.next().unwrap().starts_with("Ctrl-C"));
    input.write_all(b"Hello\n").unwrap();
    assert!(said.next().unwrap().contains("; answer: "));
    std::fs::OpenOptions::new().write(true).open(&pak).unwrap().set_len(100).unwrap();
    input.write_all(b"Hello again, and tell me a story about zebras\n").unwrap();
    let second = said.next().unwrap_or_default();
    println!("{second}");
    assert!(second.contains("; answer: ") || second.contains(pak.to_str().unwrap()), "{second}");
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn text_is_the_same_with_the_least_memory() {
    let pak = fixtures::smollm2();
    let args = ["--ctx", "256", "--batch", "64", "--temp", "0", "-n", "10", "--quiet", "-p", "Name three colours."];
    let whole = done(RUN, Path::new("."), &with(&pak, &args));
    let vram = least_vram(&pak, &args);
    let streamed = done(RUN, Path::new("."), &with(&pak, &[&args[..], &["--vram", &vram]].concat()));
    assert!(whole.trim().len() > 8, "{whole}");
    assert_eq!(streamed, whole);
}
