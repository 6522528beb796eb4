//! One prompt, one answer.

use std::ops::ControlFlow;
use std::path::Path;

use symbiote_runtime::engine::{GenerateOptions, Generation, Stop, SymbioteEngine, TokenProbs};
use symbiote_runtime::text::{ChatTemplate, EncodeOptions, Message, Tokenizer};

use super::args::Args;
use super::interrupt::Interrupt;
use super::open::sentence;
use super::output::{Failure, note, print};
use super::template::render;

/// Answers `prompt` on standard output; the figures go to standard error.
pub fn run(
    engine: &mut SymbioteEngine,
    model: &Path,
    prompt: &str,
    (args, options): (&Args, &GenerateOptions),
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let mut messages = system_message(args);
    messages.push(Message::new("user", prompt));
    let tokens = tokens(engine, model, &messages, prompt, args)?;
    let answer = stream(engine, model, &tokens, (args, options), interrupt)?;
    if args.json {
        let tokenizer = engine.tokenizer().map_err(|e| sentence(model, &e))?;
        return print(format!("{}\n", json(&answer, &tokens, &tokenizer)));
    }
    print("\n")?;
    if answer.stop == Stop::ContextFull {
        note(format!("(the context of {} tokens is full, so the answer ends here; see --ctx)", engine.context()));
    }
    if !args.quiet {
        note(figures(&answer));
    }
    Ok(())
}

/// The system message, if there is one.
pub fn system_message(args: &Args) -> Vec<Message> {
    args.system.iter().map(|text| Message::new("system", text.as_str())).collect()
}

/// The model's chat template, if it has one and it is wanted.
pub fn template(engine: &SymbioteEngine, model: &Path, args: &Args) -> Result<Option<ChatTemplate>, Failure> {
    let source = args.chat_template.as_deref().unwrap_or(engine.chat_template());
    if source.is_empty() || args.raw {
        return Ok(None);
    }
    let tokenizer = engine.tokenizer().map_err(|e| sentence(model, &e))?;
    let text = |id: Option<u32>| {
        let bytes = id.and_then(|id| tokenizer.token_bytes(id)).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let template = ChatTemplate::new(source, &text(tokenizer.bos()), &text(tokenizer.eos()));
    let mut template = template.map_err(|e| format!("{}: {e} (--raw goes without it)", model.display()))?;
    args.chat_template_kwargs.iter().flatten().for_each(|(name, value)| template.set(name, value));
    Ok(Some(template))
}

/// The ids of a conversation, or of the plain text where there is no template.
pub fn tokens(
    engine: &SymbioteEngine,
    model: &Path,
    messages: &[Message],
    plain: &str,
    args: &Args,
) -> Result<Vec<u32>, Failure> {
    let tokenizer = engine.tokenizer().map_err(|e| sentence(model, &e))?;
    let ids = match template(engine, model, args)? {
        Some(template) => {
            let text = render(&template, messages).map_err(|e| format!("{}: {e}", model.display()))?;
            tokenizer.encode_chat(&text)
        }
        None if !args.raw && messages.iter().any(|message| message.role == "system") => {
            let name = model.display();
            return Err(format!(
                "{name}: the model has no chat template to put --system into; --chat-template names one"
            )
            .into());
        }
        None => tokenizer.encode(plain, EncodeOptions { add_special: true, parse_special: false }),
    };
    ids.map_err(|e| format!("{}: {e}", model.display()).into())
}

/// Generates; prints the text as it comes, unless JSON is wanted.
pub fn stream(
    engine: &mut SymbioteEngine,
    model: &Path,
    tokens: &[u32],
    (args, options): (&Args, &GenerateOptions),
    interrupt: &Interrupt,
) -> Result<Generation, Failure> {
    interrupt.begin();
    let mut printed = Ok(());
    let answer = engine.generate_from(tokens, options, &mut |text| {
        if !args.json && printed.is_ok() {
            printed = print(text);
        }
        // A reader that went away ends the answer like Ctrl-C does.
        if printed.is_err() || interrupt.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    interrupt.end();
    printed?;
    answer.map_err(|e| sentence(model, &e))
}

/// So many tokens, and how fast where that was timed.
fn count(tokens: usize, timed: usize, time: std::time::Duration) -> String {
    let s = if tokens == 1 { "" } else { "s" };
    match rate(timed, time) {
        0.0 => format!("{tokens} token{s}"),
        rate => format!("{tokens} token{s}, {rate:.1} tokens/s"),
    }
}

/// Tokens a second; 0 where nothing was timed.
fn rate(tokens: usize, time: std::time::Duration) -> f64 {
    #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
    let rate = tokens as f64 / time.as_secs_f64();
    if rate.is_finite() { rate } else { 0.0 }
}

/// The figures in a line.
pub fn figures(a: &Generation) -> String {
    format!(
        "first token after {:.2} s; prompt: {}; answer: {}",
        a.first_token.as_secs_f64(),
        count(a.prompt_tokens, a.prompt_tokens, a.prompt_time),
        count(a.tokens.len(), a.decode_passes, a.decode_time)
    )
}

fn json(a: &Generation, prompt: &[u32], tokenizer: &Tokenizer) -> serde_json::Value {
    let mut json = serde_json::json!({
        "text": a.text,
        "prompt_ids": prompt,
        "ids": a.tokens,
        "stop": format!("{:?}", a.stop),
        "prompt_tokens": a.prompt_tokens,
        "first_token_seconds": a.first_token.as_secs_f64(),
        "prompt_seconds": a.prompt_time.as_secs_f64(),
        "prompt_tokens_per_second": rate(a.prompt_tokens, a.prompt_time),
        "decode_passes": a.decode_passes,
        "decode_seconds": a.decode_time.as_secs_f64(),
        "decode_tokens_per_second": rate(a.decode_passes, a.decode_time),
    });
    if !a.probs.is_empty() {
        json["probs"] = a.probs.iter().map(|probs| token_probs(probs, tokenizer)).collect();
    }
    json
}

/// A token and the best in its place. A text is not always all of a token, as a token may be a part of a character; bytes are.
fn token_probs(probs: &TokenProbs, tokenizer: &Tokenizer) -> serde_json::Value {
    let token = |id: u32, logprob: f32| {
        let bytes = tokenizer.token_bytes(id).unwrap_or_default();
        serde_json::json!({ "id": id, "text": String::from_utf8_lossy(bytes), "bytes": bytes, "logprob": logprob })
    };
    let mut json = token(probs.id, probs.logprob);
    json["best"] = probs.best.iter().map(|&(id, logprob)| token(id, logprob)).collect();
    json
}
