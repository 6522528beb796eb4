//! `symbiote-pack`: see `symbiote-pack --help`.

mod cli;
mod terminal;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use symbiote_format::ByteSize;
use symbiote_packer::{
    ArchiveReport, ConvertOptions, Error, PolicyError, Problem, RepackOptions, annotate, convert, default_output,
    extract, inspect_coaccess, inspect_json, inspect_text, measure, repack, verify,
};

use cli::{Cli, Command};
use terminal::Terminal;

fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return usage(&error),
    };
    let terminal = Terminal::new();
    let done = run(command, &terminal);
    terminal.clear();
    match done {
        Ok(text) => print(&text),
        Err(Failure::Usage(error)) => usage(&error),
        Err(Failure::Failed(error)) => {
            // where stderr is closed there is nobody to tell
            let _ = writeln!(std::io::stderr(), "symbiote-pack: {error}");
            ExitCode::from(if matches!(error.problem, Problem::Interrupted) { 130 } else { 1 })
        }
    }
}

/// Why nothing was done.
enum Failure {
    Usage(clap::Error),
    Failed(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self::Usage(Cli::command().error(ErrorKind::ArgumentConflict, error))
    }
}

/// Does what was asked; returns what to print.
fn run(command: Command, terminal: &Terminal) -> Result<String, Failure> {
    match command {
        Command::Convert(args) => {
            let policy = args.coding.policy()?;
            let output = match args.output {
                Some(output) => output,
                None => default_output(&args.input)?,
            };
            let profile = args.coaccess.map(|file| args.experts.profile(file));
            let pack_size = args.pack_size.0;
            let options = ConvertOptions { pack_size, policy, threads: None, profile, force: args.force };
            let report = convert(&args.input, &output, &options, terminal)?;
            Ok(written(&output, &report, args.json))
        }
        Command::Repack(args) => {
            let options = RepackOptions { policy: args.coding.policy()?, threads: None, force: args.force };
            let report = repack(&args.input, &args.output, &options, terminal)?;
            Ok(written(&args.output, &report, args.json))
        }
        Command::Annotate(args) => {
            let profile = args.experts.profile(args.coaccess);
            let report = annotate(&args.archive, args.output.as_deref(), &profile, args.force, terminal)?;
            Ok(written(args.output.as_ref().unwrap_or(&args.archive), &report, args.json))
        }
        Command::Inspect(args) if args.coaccess => {
            let view = inspect_coaccess(&args.file, args.chart.as_deref(), args.force)?;
            Ok(if args.json { format!("{:#}\n", view.to_json()) } else { view.to_text() })
        }
        Command::Inspect(args) if args.codecs => {
            let measurement = measure(&args.file, args.chart.as_deref(), args.force, terminal)?;
            Ok(if args.json { format!("{:#}\n", measurement.to_json()) } else { measurement.to_text() })
        }
        Command::Inspect(args) if args.json => Ok(format!("{:#}\n", inspect_json(&args.file)?)),
        Command::Inspect(args) => Ok(inspect_text(&args.file)?),
        Command::Verify(args) => {
            let r = verify(&args.archive, terminal)?;
            Ok(format!("{}: {} packs, {}, all intact\n", args.archive.display(), r.packs, ByteSize(r.bytes)))
        }
        Command::Extract(args) => {
            let r = extract(&args.archive, &args.output, args.force, terminal)?;
            Ok(format!("{}: {} tensors, {}\n", args.output.display(), r.tensors, ByteSize(r.file_len)))
        }
    }
}

fn written(output: &Path, report: &ArchiveReport, json: bool) -> String {
    match json {
        true => format!("{:#}\n", report.to_json(output)),
        false => format!("{}: {report}\n", output.display()),
    }
}

/// Ends a run with bad arguments, or one that asks for help: help as it is, anything else in one line.
fn usage(error: &clap::Error) -> ExitCode {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if matches!(error.kind(), DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand | DisplayVersion) {
        let _ = error.print(); // nobody to tell
    } else {
        // clap says what is wrong in its first paragraph; tips and usage follow
        let text = error.to_string();
        let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
        let sentence = lines.collect::<Vec<_>>().join(" ");
        let _ = writeln!(std::io::stderr(), "symbiote-pack: {}; see --help", sentence.trim_start_matches("error: "));
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Prints on stdout; a reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            let reason =
                if e.kind() == std::io::ErrorKind::StorageFull { "the disk is full".into() } else { e.to_string() };
            let _ = writeln!(std::io::stderr(), "symbiote-pack: standard output cannot be written: {reason}");
            ExitCode::FAILURE
        }
    }
}
