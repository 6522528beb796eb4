//! A JSON object from a file, with typed access.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::SafetensorsError;
use crate::error::{At, Error};
use crate::source::SourceFile;

/// A JSON object and the file that it is from.
#[derive(Debug, Default)]
pub(crate) struct JsonObject {
    path: PathBuf,
    map: Map<String, Value>,
}

type Result<T> = std::result::Result<T, SafetensorsError>;

impl JsonObject {
    /// Reads a file of at most `limit` bytes; `None` if there is none.
    pub fn read(path: &Path, limit: u64) -> std::result::Result<Option<Self>, Error> {
        let Some(text) = SourceFile::read_text(path, limit)? else { return Ok(None) };
        Self::parse(&text).map(|map| Some(Self { path: path.into(), map })).at(path)
    }

    fn parse(text: &str) -> Result<Map<String, Value>> {
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Err(SafetensorsError::NotAnObject),
            Err(e) => Err(SafetensorsError::Json { reason: e.to_string() }),
        }
    }

    /// An object that is the value of a key here.
    pub fn object(&self, key: &str) -> Result<Option<Self>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { path: self.path.clone(), map: map.clone() })),
            Some(other) => Err(wrong_type(key, other, "an object")),
        }
    }

    /// The file that it is from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All pairs, in the order of the file.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.map.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of a key; `null` counts as absent, as it does for transformers.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        self.get(key).map(|value| read(value).ok_or_else(|| wrong_type(key, value, expected))).transpose()
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a text", Value::as_str)
    }

    /// A truth value.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// A whole number that fits `u32`. Some writers print `4096.0`.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "a whole number below 2^32", |value| {
            let number = value.as_u64().or_else(|| {
                let x = value.as_f64().filter(|x| x.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(x))?;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked just above
                Some(x as u64)
            });
            number.and_then(|n| u32::try_from(n).ok())
        })
    }

    /// A number.
    pub fn f64(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// A list of numbers.
    pub fn f64s(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.typed(key, "a list of numbers", |value| value.as_array()?.iter().map(Value::as_f64).collect())
    }

    /// One id, or a list of them.
    pub fn ids(&self, key: &str) -> Result<Vec<u32>> {
        let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = self.typed(key, "a token id or a list of them", |value| match value {
            Value::Array(list) => list.iter().map(one).collect(),
            other => one(other).map(|id| vec![id]),
        })?;
        Ok(ids.unwrap_or_default())
    }
}

/// `found`, where a value of another type must be.
pub(crate) fn wrong_type(key: &str, found: &Value, expected: &'static str) -> SafetensorsError {
    let found = match found {
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".into(),
        Value::String(text) => format!("{:?}", text.chars().take(80).collect::<String>()),
        other => other.to_string(),
    };
    SafetensorsError::KeyType { key: key.into(), found, expected }
}
