//! What the program says, and how it fails.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

/// Why the program, or an answer, ends early.
#[derive(Debug)]
pub enum Failure {
    /// In one sentence, for people.
    Sentence(String),
    /// The reader of standard output has seen enough (`| head`), which is no failure.
    ReaderGone,
}

impl<T: Into<String>> From<T> for Failure {
    fn from(sentence: T) -> Self {
        Self::Sentence(sentence.into())
    }
}

/// Prints on standard output, at once.
pub fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => format!("standard output cannot be written: {}", plain(&e)).into(),
    })
}

/// Prints a line on standard error; where that is closed there is nobody to tell.
pub fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A text file, whole.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {}", path.display(), plain(&e)).into())
}

/// Writes a file: all of it, or the file stays as it was.
pub fn write_whole<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T, String>) -> Result<T, Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let whole = || {
        let mut to = BufWriter::new(File::create_new(&part).map_err(|e| plain(&e))?);
        let written = write(&mut to)?;
        to.flush().and_then(|()| to.get_ref().sync_all()).map_err(|e| plain(&e))?;
        fs::rename(&part, path).map_err(|e| plain(&e))?;
        Ok(written)
    };
    whole().map_err(|e: String| {
        let _ = fs::remove_file(&part); // it may not be there
        format!("{}: {e}", path.display()).into()
    })
}

/// What the system says, without its numbers.
pub fn plain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file or folder".into(),
        ErrorKind::IsADirectory => "this is a folder, not a file".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        ErrorKind::InvalidData => "this is not UTF-8 text".into(),
        ErrorKind::StorageFull => "the disk is full".into(),
        _ => error.to_string(),
    }
}

/// Ends a run with bad arguments, or one that asks for help: help as it is, anything else in one line.
pub fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if matches!(error.kind(), DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand | DisplayVersion) {
        let _ = error.print(); // nobody to tell
    } else {
        // clap says what is wrong in its first paragraph; tips and usage follow
        let text = error.to_string();
        let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
        let sentence = lines.collect::<Vec<_>>().join(" ");
        note(format!("symbiote-run: {}; see --help", sentence.trim_start_matches("error: ")));
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
