//! The command line of `symbiote-run`.
//!
//! | file | what |
//! |---|---|
//! | `args.rs` | flags, and what they mean to the library |
//! | `answer.rs` | one prompt, one answer |
//! | `chat.rs` | a conversation |
//! | `perplexity.rs` | `symbiote-run perplexity` |
//! | `open.rs` | opening the engine, with a progress bar; devices |
//! | `output.rs` | what the program says, and how it fails |
//! | `interrupt.rs` | Ctrl-C |

mod answer;
mod args;
mod chat;
mod interrupt;
mod open;
mod output;
mod perplexity;

use std::process::ExitCode;

use args::{Args, Command};
use interrupt::Interrupt;
use output::{Failure, note};

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => return output::usage(&error),
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,symbiote_runtime=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    match run(args) {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Sentence(sentence)) => {
            note(format!("symbiote-run: {sentence}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    if args.list_devices {
        return open::list_devices(args.engine.validation, args.json);
    }
    if let Some(Command::Perplexity(p)) = args.command {
        return perplexity::run(&p);
    }
    // clap asks for a model unless a command or --list-devices is there
    let model = args.model.clone().ok_or("name a .pak file")?;
    let prompt = args.prompt()?;
    let interrupt = Interrupt::install();
    let mut engine = open::open(&model, &args.engine, args.quiet || args.json)?;
    let outcome = match prompt {
        Some(prompt) => answer::run(&mut engine, &model, &prompt, &args, &interrupt),
        None => chat::run(&mut engine, &model, &args, &interrupt),
    };
    open::print_profile(&engine);
    outcome.and_then(|()| open::check_validation(&engine))
}
