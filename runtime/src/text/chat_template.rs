//! Chat templates: Jinja, run as Hugging Face's `apply_chat_template` runs it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fancy_regex::Regex;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, context};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::{Result, TextError, clock, python_json};

/// Steps after which a template is stopped. A long conversation takes some thousands.
const FUEL: u64 = 50_000_000;
const NAME: &str = "chat template";

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

impl Message {
    /// A message of `role`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// Writes a conversation the way the model was trained to read it.
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// What the template may ask for, beside the conversation.
    variables: BTreeMap<String, Value>,
}

impl ChatTemplate {
    /// Compiles a template; the texts of the model's beginning- and end-of-sequence tokens are put in where it asks for
    /// them (empty where there is none).
    ///
    /// # Errors
    /// [`TextError::NoChatTemplate`] if `source` is empty, [`TextError::ChatTemplateSyntax`] if it is not Jinja.
    pub fn new(source: &str, bos_token: &str, eos_token: &str) -> Result<Self> {
        Self::with_clock(source, bos_token, eos_token, clock::now)
    }

    /// As [`new`](Self::new), at the seconds since 1970 that `now` says.
    pub(super) fn with_clock(source: &str, bos_token: &str, eos_token: &str, now: fn() -> u64) -> Result<Self> {
        if source.is_empty() {
            return Err(TextError::NoChatTemplate);
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(syntax_error)?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", move |format: &str| clock::strftime(format, now()));
        environment.add_filter("tojson", tojson);
        environment.add_test("iterable", is_iterable);
        environment.add_template_owned(NAME, without_generation_tags(source)).map_err(syntax_error)?;
        let variables = [
            ("bos_token", Value::from(bos_token)),
            ("eos_token", Value::from(eos_token)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
        ];
        Ok(Self { environment, variables: variables.map(|(name, value)| (name.into(), value)).into() })
    }

    /// Sets a variable that the template may ask for, such as `enable_thinking`.
    pub fn set(&mut self, name: impl Into<String>, value: &serde_json::Value) {
        self.variables.insert(name.into(), python_json::value(value));
    }

    /// The conversation as text, ready for [`Tokenizer::encode_chat`](super::Tokenizer::encode_chat). With
    /// `add_generation_prompt` it ends where the assistant is to go on.
    ///
    /// # Errors
    /// The template fails, or refuses the conversation (two messages of one role in a row, for many).
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let messages: Vec<Value> =
            messages.iter().map(|m| context! { role => m.role.as_str(), content => m.content.as_str() }).collect();
        let mut variables = self.variables.clone();
        variables.insert("messages".into(), messages.into());
        variables.insert("add_generation_prompt".into(), add_generation_prompt.into());
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(Value::from_pairs(variables)))
            .map_err(|error| TextError::ChatTemplateRender { reason: error.to_string() })
    }
}

fn syntax_error(error: Error) -> TextError {
    TextError::ChatTemplateSyntax { reason: error.to_string() }
}

fn raise_exception(reason: String) -> std::result::Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, reason))
}

/// As in Python: `none` is not iterable. Templates ask that of `tools` before they count them.
fn is_iterable(value: Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// Jinja's own filter writes JSON for web pages; templates for models expect Python's.
fn tojson(value: Value, options: Kwargs) -> std::result::Result<String, Error> {
    let separators = match options.get::<Option<Vec<String>>>("separators")?.as_deref() {
        None => None,
        Some([comma, colon]) => Some((comma.clone(), colon.clone())),
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators must be two texts")),
    };
    let style = python_json::Style {
        indent: options.get("indent")?,
        separators,
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    python_json::dumps(&value, &style)
}

/// `{% generation %}` marks what a model is trained on; it does not change the text. Jinja knows the tag by an extension,
/// here it becomes an `if` that always holds.
fn without_generation_tags(source: &str) -> String {
    static TAG: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").ok());
    let Some(tag) = TAG.as_ref() else { return source.to_owned() };
    tag.replace_all(source, |found: &fancy_regex::Captures<'_>| {
        let group = |i| found.get(i).map_or("", |group| group.as_str());
        let word = if group(2).is_empty() { "if true" } else { "endif" };
        format!("{{%{} {word} {}%}}", group(1), group(3))
    })
    .into_owned()
}
