//! A conversation.

use std::path::Path;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use symbiote_runtime::engine::{Stop, SymbioteEngine};
use symbiote_runtime::text::Message;

use super::answer::{figures, stream, system_message, template, tokens};
use super::args::Args;
use super::{Failure, Interrupt};

/// Reads messages and answers them, until the input ends. What the conversation shares with the last turn is not computed
/// again.
pub fn run(engine: &mut SymbioteEngine, model: &Path, args: &Args, interrupt: &Interrupt) -> Result<(), Failure> {
    let templated = template(engine, args)?.is_some();
    let mut editor = DefaultEditor::new().map_err(|e| format!("the terminal cannot be used: {e}"))?;
    if !args.quiet {
        let how = if templated { "" } else { " The model has no chat template, so it continues the text." };
        eprintln!("Ctrl-C stops an answer, Ctrl-D ends the conversation, /new starts another.{how}");
    }
    let mut messages = system_message(args);
    let mut text = String::new();
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(e) => return Err(format!("the terminal cannot be read: {e}")),
        };
        match line.trim() {
            "" => continue,
            "/new" => {
                messages = system_message(args);
                text.clear();
                continue;
            }
            "/exit" | "/quit" => return Ok(()),
            said => {
                let _ = editor.add_history_entry(said); // a history is a comfort, not a need
                messages.push(Message::new("user", said));
                text.push_str(said);
            }
        }
        let ids = tokens(engine, model, &messages, &text, args)?;
        match stream(engine, model, &ids, args, interrupt, true) {
            Ok(answer) => {
                println!();
                if answer.stop == Stop::ContextFull {
                    eprintln!("(the context of {} tokens is full; /new starts another conversation)", engine.context());
                }
                if !args.quiet {
                    eprintln!("{}", figures(&answer));
                }
                text.push_str(&answer.text);
                messages.push(Message::new("assistant", answer.text));
            }
            // a message that does not fit is no reason to leave
            Err(message) => {
                eprintln!("symbiote-run: {message}");
                messages.pop();
            }
        }
    }
}
