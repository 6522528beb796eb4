//! Typed access to a GGUF file's key-value pairs.

use super::GgufError;
use super::value::{Array, Value};

type Result<T> = std::result::Result<T, GgufError>;

/// The pairs of one file, looked up by key.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'k, 'a>(pub &'k [(&'a str, Value<'a>)]);

impl<'k, 'a> Keys<'k, 'a> {
    fn find(self, key: &str) -> Option<&'k Value<'a>> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// The file has the key.
    pub fn has(self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// A whole number that is not negative.
    pub fn unsigned(self, key: &str) -> Result<Option<u64>> {
        let expected = "a whole number";
        self.find(key)
            .map(|value| match value {
                Value::Unsigned(n) => Ok(*n),
                Value::Signed(n) => u64::try_from(*n).map_err(|_| wrong_type(key, value, expected)),
                _ => Err(wrong_type(key, value, expected)),
            })
            .transpose()
    }

    /// A number in `f32`.
    pub fn float(self, key: &str) -> Result<Option<f32>> {
        self.find(key)
            .map(|value| match value {
                Value::F32(x) => Ok(*x),
                #[allow(clippy::cast_possible_truncation)] // the precision that models compute in
                Value::F64(x) => Ok(*x as f32),
                _ => Err(wrong_type(key, value, "a floating-point number")),
            })
            .transpose()
    }

    /// A truth value.
    pub fn bool(self, key: &str) -> Result<Option<bool>> {
        self.find(key)
            .map(|value| match value {
                Value::Bool(b) => Ok(*b),
                _ => Err(wrong_type(key, value, "true or false")),
            })
            .transpose()
    }

    /// A text.
    pub fn text(self, key: &str) -> Result<Option<&'a str>> {
        self.find(key)
            .map(|value| match value {
                Value::Text(text) => Ok(*text),
                _ => Err(wrong_type(key, value, "a text")),
            })
            .transpose()
    }

    /// True if the value of `key` is an array.
    pub fn is_array(self, key: &str) -> bool {
        matches!(self.find(key), Some(Value::Array(_)))
    }

    /// An array whose elements `read` understands; `expected` says what those are.
    pub fn array<T>(
        self,
        key: &str,
        expected: &'static str,
        read: impl Fn(&Array<'a>) -> Option<Vec<T>>,
    ) -> Result<Option<Vec<T>>> {
        self.find(key)
            .map(|value| match value {
                Value::Array(array) => read(array).ok_or_else(|| wrong_type(key, value, expected)),
                _ => Err(wrong_type(key, value, expected)),
            })
            .transpose()
    }
}

/// `found`, where a value of another type must be.
pub(super) fn wrong_type(key: &str, found: &Value, expected: &'static str) -> GgufError {
    let found = match found {
        Value::Array(array) => format!("an array of {}", array.len()),
        Value::Text(_) => "a text".into(),
        other => other.to_string(),
    };
    GgufError::KeyType { key: key.into(), found, expected }
}
