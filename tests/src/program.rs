//! The two programs, run as a user runs them.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::fixtures;

pub const RUN: &str = "symbiote-run";
pub const PACK: &str = "symbiote-pack";

/// What a run left behind.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// The program, to be run in `folder` without input.
pub fn command<A: AsRef<OsStr>>(program: &str, folder: &Path, args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(fixtures::program(program));
    command.args(args).current_dir(folder).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs the program in `folder`.
pub fn run<A: AsRef<OsStr>>(program: &str, folder: &Path, args: impl IntoIterator<Item = A>) -> Done {
    command(program, folder, args).output().unwrap().into()
}

/// Runs it; it must succeed. Returns its standard output.
pub fn done<A: AsRef<OsStr> + Debug>(program: &str, folder: &Path, args: &[A]) -> String {
    let done = run(program, folder, args);
    assert_eq!(done.code, Some(0), "{program} {args:?}: {}", done.stderr);
    done.stdout
}

/// Asserts a failure as users should see them: this exit code, nothing on standard output, and on standard error one line of
/// the program's own that says all of `expected`. Returns what it says.
pub fn assert_refusal(program: &str, done: &Done, code: i32, expected: &[&str]) -> String {
    assert_eq!(done.code, Some(code), "{done:?}");
    assert_eq!(done.stdout, "", "{done:?}");
    let line = done.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {done:?}"));
    println!("{line}"); // for those who want to read them all: --nocapture
    assert!(!line.contains('\n') && line.len() < 500, "not one line: {line}");
    let sentence = line.strip_prefix(&format!("{program}: ")).unwrap_or_else(|| panic!("not its own: {line}"));
    for part in expected {
        assert!(sentence.contains(part), "{part:?} is not in {sentence:?}");
    }
    for noise in ["panicked", "os error", "RUST_BACKTRACE", "\u{1b}"] {
        assert!(!sentence.contains(noise), "{sentence:?}");
    }
    sentence.to_owned()
}

/// Runs the program, which must fail with code 1; see [`assert_refusal`].
pub fn refused<A: AsRef<OsStr>>(
    program: &str,
    folder: &Path,
    args: impl IntoIterator<Item = A>,
    expected: &[&str],
) -> String {
    assert_refusal(program, &run(program, folder, args), 1, expected)
}
