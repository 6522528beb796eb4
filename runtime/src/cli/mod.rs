//! The command line of `symbiote-run`.
//!
//! | file | what |
//! |---|---|
//! | `args.rs` | flags, and what they mean to the library |
//! | `answer.rs` | one prompt, one answer |
//! | `chat.rs` | a conversation |
//! | `perplexity.rs` | `symbiote-run perplexity` |
//! | `open.rs` | opening the engine, with a progress bar; devices |

mod answer;
mod args;
mod chat;
mod open;
mod perplexity;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

use args::{Args, Command};

/// Set by Ctrl-C, cleared when an answer starts.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    fn install() -> Self {
        let interrupt = Self::default();
        let flag = Arc::clone(&interrupt.0);
        // Without a handler Ctrl-C ends the program, which is all right too.
        if let Err(e) = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)) {
            tracing::debug!("no Ctrl-C handler: {e}");
        }
        interrupt
    }

    fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A failure in one sentence, for people.
type Failure = String;

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,symbiote_runtime=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("symbiote-run: {message}");
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
    let interrupt = Interrupt::install();
    let mut engine = open::open(&model, &args.engine, args.quiet || args.json)?;
    let outcome = match args.prompt()? {
        Some(prompt) => answer::run(&mut engine, &model, &prompt, &args, &interrupt),
        None => chat::run(&mut engine, &model, &args, &interrupt),
    };
    outcome.and_then(|()| open::check_validation(&engine))
}
