//! A conversation.

use std::path::Path;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use symbiote_runtime::engine::{GenerateOptions, Stop, SymbioteEngine};
use symbiote_runtime::text::Message;

use super::answer::{figures, stream, system_message, template, tokens};
use super::args::Args;
use super::interrupt::Interrupt;
use super::output::{Failure, note, print};

/// Reads messages and answers them, until the input ends. What the conversation shares with the last turn is not computed
/// again.
pub fn run(
    engine: &mut SymbioteEngine,
    model: &Path,
    (args, options): (&Args, &GenerateOptions),
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let templated = template(engine, model, args)?.is_some();
    let mut editor = DefaultEditor::new().map_err(|e| format!("the terminal cannot be used: {e}"))?;
    if !args.quiet {
        let how = if templated { "" } else { " The model has no chat template, so it continues the text." };
        note(format!("Ctrl-C stops an answer, Ctrl-D ends the conversation, /new starts another.{how}"));
    }
    let mut talk = Conversation::new(args);
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(e) => return Err(format!("the terminal cannot be read: {e}").into()),
        };
        match line.trim() {
            "" => {}
            "/new" => talk = Conversation::new(args),
            "/exit" | "/quit" => return Ok(()),
            said => {
                let _ = editor.add_history_entry(said); // a history is a comfort, not a need
                let before = talk.clone();
                match talk.turn(said, engine, model, (args, options), interrupt) {
                    // a message that does not fit is no reason to leave
                    Err(Failure::Sentence(sentence)) => {
                        note(format!("symbiote-run: {sentence}"));
                        talk = before;
                    }
                    done => done?,
                }
            }
        }
    }
}

/// What was said so far.
#[derive(Clone)]
struct Conversation {
    messages: Vec<Message>,
    /// The same as one text, for models without a chat template.
    text: String,
}

impl Conversation {
    fn new(args: &Args) -> Self {
        Self { messages: system_message(args), text: String::new() }
    }

    /// Answers what was `said`.
    fn turn(
        &mut self,
        said: &str,
        engine: &mut SymbioteEngine,
        model: &Path,
        (args, options): (&Args, &GenerateOptions),
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        self.messages.push(Message::new("user", said));
        self.text.push_str(said);
        let ids = tokens(engine, model, &self.messages, &self.text, args)?;
        let answer = stream(engine, model, &ids, (args, options), interrupt)?;
        print("\n")?;
        if answer.stop == Stop::ContextFull {
            note(format!("(the context of {} tokens is full; /new starts another conversation)", engine.context()));
        }
        if !args.quiet {
            note(figures(&answer));
        }
        self.text.push_str(&answer.text);
        self.messages.push(Message::new("assistant", answer.text));
        Ok(())
    }
}
