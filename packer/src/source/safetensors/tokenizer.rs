//! The tokenizer of a Hugging Face folder: `tokenizer.json` whole, and what the files around it add.

use std::path::Path;

use serde_json::Value;
use symbiote_format::{NO_ID, Tokenizer, TokenizerKind};

use super::SafetensorsError;
use super::json::{JsonObject, wrong_type};
use crate::error::{At, Error};
use crate::limits;
use crate::source::{SourceFile, end_of_answer};

/// The tokenizer of `folder`, whose `config.json` is `config` and whose embedding has `rows` rows; `None` for a folder
/// without one.
pub(super) fn read(folder: &Path, config: &JsonObject, rows: u32) -> Result<Option<Tokenizer>, Error> {
    let path = folder.join("tokenizer.json");
    let Some(json) = SourceFile::read_text(&path, limits::TOKENIZER_BYTES)? else {
        return match folder.join("tokenizer.model").exists() {
            true => Err(SafetensorsError::NoTokenizerJson).at(folder),
            false => Ok(None),
        };
    };
    let parsed: Value =
        serde_json::from_str(&json).map_err(|e| SafetensorsError::Json { reason: e.to_string() }).at(&path)?;
    if !parsed.is_object() {
        return Err(SafetensorsError::NotAnObject).at(&path);
    }
    let model = parsed.get("model").and_then(|model| model.get("type")).and_then(Value::as_str);
    if let Some(model) = model.filter(|model| !matches!(*model, "BPE" | "Unigram")) {
        return Err(SafetensorsError::UnknownTokenizer { model: model.into() }).at(&path);
    }
    // added tokens may lie beyond: models for text share the tokenizer of those that see
    if let Some(id) = Vocabulary(&parsed).last_trained().filter(|id| *id >= u64::from(rows)) {
        return Err(SafetensorsError::TokenOutsideEmbedding { id, rows }).at(&path);
    }
    let object = |name: &str| JsonObject::read(&folder.join(name), limits::CONFIG_BYTES).map(Option::unwrap_or_default);
    let around = Around {
        vocabulary: Vocabulary(&parsed),
        tokenizer_config: object("tokenizer_config.json")?,
        special_tokens: object("special_tokens_map.json")?,
        config,
    };
    let generation = object("generation_config.json")?;
    let bos = around.id("bos_token", Some("bos_token_id"))?;
    let eos = around.id("eos_token", Some("eos_token_id"))?;
    let mut stop = config.ids("eos_token_id").at(config.path())?;
    stop.extend(generation.ids("eos_token_id").at(generation.path())?);
    stop.extend((eos != NO_ID).then_some(eos));
    let stop = end_of_answer::ids(stop, around.vocabulary.special());
    let tokenizer_config = &around.tokenizer_config;
    let asked = tokenizer_config.bool("add_bos_token").at(tokenizer_config.path())?.unwrap_or(false);
    let template_file = SourceFile::read_text(&folder.join("chat_template.jinja"), limits::CONFIG_BYTES)?;
    let chat_template = match template_file {
        Some(template) => template,
        None => chat_template(tokenizer_config).at(tokenizer_config.path())?,
    };
    Ok(Some(Tokenizer {
        kind: TokenizerKind::HuggingFace.code(),
        bos,
        eos,
        unk: around.id("unk_token", None)?,
        pad: around.id("pad_token", None)?,
        stop,
        // the post-processor, where there is one, adds what a sequence begins and ends with
        add_bos: asked && bos != NO_ID && parsed.get("post_processor").is_none_or(Value::is_null),
        chat_template,
        json,
        ..Tokenizer::default()
    }))
}

/// The files that name special tokens, the first that does being right.
struct Around<'a> {
    vocabulary: Vocabulary<'a>,
    tokenizer_config: JsonObject,
    special_tokens: JsonObject,
    config: &'a JsonObject,
}

impl Around<'_> {
    /// The id of the special token that `key` names, or that `id_key` gives in `config.json`; [`NO_ID`] if none does.
    fn id(&self, key: &'static str, id_key: Option<&str>) -> Result<u32, Error> {
        for source in [&self.tokenizer_config, &self.special_tokens] {
            let Some(token) = token_text(source, key).at(source.path())? else { continue };
            return match (self.vocabulary.id(token), id_key) {
                (Some(id), _) => Ok(id),
                // nothing needs the unknown and the padding token
                (None, None) => Ok(NO_ID),
                (None, Some(_)) => Err(SafetensorsError::UnknownToken { key, token: token.into() }).at(source.path()),
            };
        }
        let ids = id_key.map(|key| self.config.ids(key)).transpose().at(self.config.path())?;
        Ok(ids.and_then(|ids| ids.first().copied()).unwrap_or(NO_ID))
    }
}

/// A token is a text, or an object whose `content` is one.
fn token_text<'a>(object: &'a JsonObject, key: &str) -> Result<Option<&'a str>, SafetensorsError> {
    object
        .get(key)
        .map(|value| {
            let text = value.as_str().or_else(|| value.get("content")?.as_str());
            text.ok_or_else(|| wrong_type(key, value, "a token"))
        })
        .transpose()
}

/// The chat template: a text, or the one named `default` (else the first) of a list.
fn chat_template(tokenizer_config: &JsonObject) -> Result<String, SafetensorsError> {
    const KEY: &str = "chat_template";
    match tokenizer_config.get(KEY) {
        None => Ok(String::new()),
        Some(Value::String(template)) => Ok(template.clone()),
        Some(Value::Array(list)) => {
            let default = list.iter().find(|t| t.get("name").and_then(Value::as_str) == Some("default"));
            let template = default.or(list.first()).and_then(|t| t.get("template")?.as_str());
            let refuse = || wrong_type(KEY, &Value::Array(list.clone()), "a text or a list of named templates");
            template.map(String::from).ok_or_else(refuse)
        }
        Some(other) => Err(wrong_type(KEY, other, "a text or a list of named templates")),
    }
}

/// The tokens of `tokenizer.json`.
#[derive(Clone, Copy)]
struct Vocabulary<'a>(&'a Value);

impl<'a> Vocabulary<'a> {
    fn id(self, token: &str) -> Option<u32> {
        let id = self.added(token).or_else(|| self.trained(token))?;
        u32::try_from(id).ok()
    }

    /// The special tokens among those that were added, with their ids.
    fn special(self) -> impl Iterator<Item = (u32, &'a str)> {
        let list = self.0.get("added_tokens").and_then(Value::as_array);
        list.into_iter().flatten().filter(|t| t.get("special").and_then(Value::as_bool) == Some(true)).filter_map(|t| {
            let id = u32::try_from(t.get("id")?.as_u64()?).ok()?;
            Some((id, t.get("content")?.as_str()?))
        })
    }

    /// The greatest id of the model's own vocabulary.
    fn last_trained(self) -> Option<u64> {
        match self.0.get("model")?.get("vocab")? {
            Value::Object(map) => map.values().filter_map(Value::as_u64).max(),
            Value::Array(list) => u64::try_from(list.len()).ok()?.checked_sub(1),
            _ => None,
        }
    }

    fn added(self, token: &str) -> Option<u64> {
        let list = self.0.get("added_tokens")?.as_array()?;
        let found = list.iter().find(|t| t.get("content").and_then(Value::as_str) == Some(token))?;
        found.get("id")?.as_u64()
    }

    /// BPE and WordPiece map texts to ids; Unigram lists texts with their scores.
    fn trained(self, token: &str) -> Option<u64> {
        match self.0.get("model")?.get("vocab")? {
            Value::Object(map) => map.get(token)?.as_u64(),
            Value::Array(list) => {
                let id = list.iter().position(|entry| entry.get(0).and_then(Value::as_str) == Some(token))?;
                u64::try_from(id).ok()
            }
            _ => None,
        }
    }
}
