//! Which chat template a conversation is written by.

use std::io::{IsTerminal, Read};
use std::path::Path;

use symbiote_runtime::text::{ChatTemplate, Message, TEMPLATE_NAMES, named_template};

use super::output::{Failure, plain, read_text};

/// The template that `--chat-template` asks for: a name, `-` for standard input, the text itself (it has `{{` or `{%` in
/// it), or a file.
pub fn read(asked: &str) -> Result<String, Failure> {
    if let Some(template) = named_template(asked) {
        return Ok(template.into());
    }
    if asked == "-" {
        let mut text = String::new();
        let mut input = std::io::stdin();
        if input.is_terminal() {
            return Err("--chat-template - reads a template from standard input, which is a terminal".into());
        }
        input.read_to_string(&mut text).map_err(|e| format!("standard input: {}", plain(&e)))?;
        return Ok(text);
    }
    if asked.contains("{{") || asked.contains("{%") {
        return Ok(asked.into());
    }
    read_text(Path::new(asked)).map_err(|failure| match failure {
        Failure::Sentence(why) => {
            format!("{why}; --chat-template takes a file, Jinja text, - or one of {}", TEMPLATE_NAMES.join(", ")).into()
        }
        other => other,
    })
}

/// The conversation as text. A template that has no place for a system message says so itself, or leaves it out: then its
/// text makes no difference.
pub fn render(template: &ChatTemplate, messages: &[Message]) -> Result<String, String> {
    let no_place = "the chat template takes no system message: leave --system out, or say it in the prompt";
    let rendered = template.render(messages, true);
    if let Some((system, rest)) = messages.split_first().filter(|(first, _)| first.role == "system") {
        match &rendered {
            Err(error) if template.render(rest, true).is_ok() => return Err(format!("{no_place} ({error})")),
            Ok(text) => {
                let mut other = messages.to_vec();
                other[0].content = format!("{}.", system.content);
                if template.render(&other, true).as_ref() == Ok(text) {
                    return Err(no_place.into());
                }
            }
            Err(_) => {}
        }
    }
    rendered.map_err(|error| error.to_string())
}
