//! JSON as Python's `json.dumps(ensure_ascii=False)` writes it: `{"a": 1, "b": [2, 3]}`, with a space after each comma and
//! colon. Models that call tools were trained on exactly that.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// A value of JSON as templates see it.
pub(super) fn value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(truth) => Value::from(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::from(whole),
            (None, real) => Value::from(real.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(list) => Value::from(list.iter().map(value).collect::<Vec<_>>()),
        Json::Object(map) => Value::from_pairs(map.iter().map(|(key, json)| (key.as_str(), value(json)))),
    }
}

/// Nesting beyond which a value is refused.
const MAX_DEPTH: usize = 100;

/// The arguments of `json.dumps`.
#[derive(Default)]
pub(super) struct Style {
    /// Spaces a level; each value stands on a line of its own.
    pub indent: Option<usize>,
    /// Between values, and between a key and its value.
    pub separators: Option<(String, String)>,
    /// Keys in the order of their characters, instead of as they came.
    pub sort_keys: bool,
    /// Characters beyond ASCII as escapes.
    pub ensure_ascii: bool,
}

/// # Errors
/// The value is not JSON: a function, undefined, a float that is not finite, nested too deeply.
pub(super) fn dumps(value: &Value, style: &Style) -> Result<String, Error> {
    let (comma, colon) = match &style.separators {
        Some((comma, colon)) => (comma.as_str(), colon.as_str()),
        None if style.indent.is_some() => (",", ": "),
        None => (", ", ": "),
    };
    let mut writer = Writer { style, comma, colon, out: String::new() };
    writer.write(value, 0)?;
    Ok(writer.out)
}

struct Writer<'s> {
    style: &'s Style,
    comma: &'s str,
    colon: &'s str,
    out: String,
}

impl Writer<'_> {
    fn write(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::new(ErrorKind::InvalidOperation, reason));
        if depth > MAX_DEPTH {
            return refuse("the value is nested too deeply for JSON".into());
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => {
                let number = value.to_string();
                if !number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) || number.ends_with("inf") {
                    return refuse(format!("{number} is not a JSON number"));
                }
                self.out.push_str(&number);
            }
            ValueKind::String => self.quote(value.as_str().unwrap_or_default()),
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.style.sort_keys {
                    keys.sort_by_key(Value::to_string);
                }
                let items = keys.into_iter().map(|key| Ok((value.get_item(&key)?, Some(key))));
                self.write_items(items, ('{', '}'), depth)?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.map(|item| Ok((item, None)));
                self.write_items(items, ('[', ']'), depth)?;
            }
            kind => return refuse(format!("{kind} cannot be written as JSON")),
        }
        Ok(())
    }

    /// Writes values, each behind its key where it has one.
    fn write_items(
        &mut self,
        items: impl Iterator<Item = Result<(Value, Option<Value>), Error>>,
        (open, close): (char, char),
        depth: usize,
    ) -> Result<(), Error> {
        self.out.push(open);
        let mut empty = true;
        for item in items {
            let (value, key) = item?;
            if !empty {
                self.out.push_str(self.comma);
            }
            empty = false;
            self.new_line(depth + 1);
            if let Some(key) = key {
                match key.as_str() {
                    Some(key) => self.quote(key),
                    None => self.quote(&key.to_string()),
                }
                self.out.push_str(self.colon);
            }
            self.write(&value, depth + 1)?;
        }
        if !empty {
            self.new_line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(width) = self.style.indent {
            self.out.push('\n');
            self.out.push_str(&" ".repeat(width.min(16) * depth));
        }
    }

    fn quote(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' || self.style.ensure_ascii && c > '~' => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn writes_what_python_writes() {
        let value = context! { b => "a\"\n\u{1}<é>", a => vec![Value::from(1), Value::from(2.5), Value::from(())], c => context! {} };
        assert_eq!(
            dumps(&value, &Style::default()).unwrap(),
            "{\"b\": \"a\\\"\\n\\u0001<é>\", \"a\": [1, 2.5, null], \"c\": {}}"
        );
        let value = context! { a => vec![1, 2] };
        assert_eq!(
            dumps(&value, &Style { indent: Some(2), ..Style::default() }).unwrap(),
            "{\n  \"a\": [\n    1,\n    2\n  ]\n}"
        );
        let style =
            Style { separators: Some((",".into(), ":".into())), sort_keys: true, ensure_ascii: true, indent: None };
        let value = context! { b => "é🦙\u{7f}", a => vec![1, 2] };
        assert_eq!(dumps(&value, &style).unwrap(), "{\"a\":[1,2],\"b\":\"\\u00e9\\ud83e\\udd99\\u007f\"}");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let mut deep = Value::from(0);
        for _ in 0..200 {
            deep = Value::from(vec![deep]);
        }
        for value in [deep, Value::from(f64::NAN), Value::from(f64::NEG_INFINITY), Value::UNDEFINED] {
            assert!(dumps(&value, &Style::default()).is_err());
        }
    }
}
