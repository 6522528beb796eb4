//! The command line of `symbiote-run`.
//!
//! | file | what |
//! |---|---|
//! | `args.rs`, `sampling.rs` | flags, and what they mean to the library; those of the sampler |
//! | `answer.rs` | one prompt, one answer |
//! | `chat.rs` | a conversation |
//! | `perplexity.rs`, `plan.rs`, `bench.rs`, `profile.rs`, `trace.rs`, `replay.rs` | the commands of these names |
//! | `prompt_cache.rs` | `--prompt-cache` |
//! | `chart.rs` | lines as a picture |
//! | `stats.rs` | `--stats` |
//! | `template.rs` | which chat template |
//! | `open.rs` | opening the engine, with a progress bar; devices |
//! | `output.rs` | what the program says, and how it fails |
//! | `interrupt.rs` | Ctrl-C |

mod answer;
mod args;
mod bench;
mod chart;
mod chat;
mod interrupt;
mod open;
mod output;
mod perplexity;
mod plan;
mod profile;
mod prompt_cache;
mod replay;
mod sampling;
mod script;
mod stats;
mod template;
mod trace;

use std::io::IsTerminal;
use std::process::ExitCode;

use args::{Args, Command};
use interrupt::Interrupt;
use output::{Failure, note};
use stats::Stats;
use tracing_subscriber::EnvFilter;

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => return output::usage(&error),
    };
    log_to_stderr();
    match run(args) {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Sentence(sentence)) => {
            note(format!("symbiote-run: {sentence}"));
            ExitCode::FAILURE
        }
    }
}

/// What the library has to tell on the way, such as kernels that do not compile.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,symbiote_runtime=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .log_internal_errors(false) // where standard error is closed there is nobody to tell
        .init();
}

fn run(mut args: Args) -> Result<(), Failure> {
    if args.list_devices {
        return open::list_devices(args.engine.validation, args.json);
    }
    match &args.command {
        Some(Command::Perplexity(args)) => return perplexity::run(args),
        Some(Command::Plan(args)) => return plan::run(args),
        Some(Command::Bench(args)) => return bench::run(args),
        Some(Command::Profile(args)) => return profile::run(args),
        Some(Command::Trace(args)) => return trace::run(args),
        Some(Command::Replay(args)) => return replay::run(args),
        None => {}
    }
    // clap asks for a model unless a command or --list-devices is there
    let model = args.model.clone().ok_or("name a .pak file")?;
    let prompt = args.prompt()?;
    args.chat_template = args.chat_template.as_deref().map(template::read).transpose()?;
    let options = args.generate()?;
    let interrupt = Interrupt::install();
    let mut engine = open::open(&model, &args.engine, args.quiet || args.json)?;
    let cancel = interrupt.clone();
    engine.cancel_on(Box::new(move || cancel.is_set()));
    engine.tokenizer().map_err(|e| open::sentence(&model, &e))?;
    let quiet = args.quiet || args.json;
    if let Some(file) = &args.prompt_cache {
        prompt_cache::load(&mut engine, file, quiet)?;
    }
    let stats = args.stats.then(|| Stats::watch(&mut engine));
    let outcome = match prompt {
        Some(prompt) => answer::run(&mut engine, &model, &prompt, (&args, &options), &interrupt),
        None => chat::run(&mut engine, &model, (&args, &options), &interrupt),
    };
    stats.into_iter().for_each(Stats::end);
    if let Some(experts) = engine.experts().filter(|_| args.stats) {
        output::note(experts);
    }
    open::print_profile(&engine);
    if let (Some(file), Ok(())) = (&args.prompt_cache, &outcome) {
        prompt_cache::save(&engine, file, quiet)?;
    }
    outcome.and_then(|()| open::check_validation(&engine))
}
