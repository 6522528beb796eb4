//! `symbiote-run`: runs a `.pak` archive. Exit codes: 0 done, 1 failed, 2 bad usage.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
