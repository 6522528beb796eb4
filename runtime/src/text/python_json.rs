//! JSON as Python's `json.dumps(ensure_ascii=False)` writes it: `{"a": 1, "b": [2, 3]}`, with a space after each comma and
//! colon. Models that call tools were trained on exactly that.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// Nesting beyond which a value is refused.
const MAX_DEPTH: usize = 100;

/// # Errors
/// The value is not JSON: a function, undefined, a float that is not finite, nested too deeply.
pub(super) fn dumps(value: &Value, indent: Option<usize>) -> Result<String, Error> {
    let mut out = String::new();
    write(value, indent.map(|n| n.min(16)), 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, indent: Option<usize>, depth: usize, out: &mut String) -> Result<(), Error> {
    let refuse = |reason: String| Err(Error::new(ErrorKind::InvalidOperation, reason));
    if depth > MAX_DEPTH {
        return refuse("the value is nested too deeply for JSON".into());
    }
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => {
            let number = value.to_string();
            if !number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) || number.ends_with("inf") {
                return refuse(format!("{number} is not a JSON number"));
            }
            out.push_str(&number);
        }
        ValueKind::String => quote(value.as_str().unwrap_or_default(), out),
        ValueKind::Map => {
            let items = value.try_iter()?.map(|key| Ok((value.get_item(&key)?, Some(key))));
            write_items(items, ('{', '}'), indent, depth, out)?;
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.map(|item| Ok((item, None)));
            write_items(items, ('[', ']'), indent, depth, out)?;
        }
        kind => return refuse(format!("{kind} cannot be written as JSON")),
    }
    Ok(())
}

/// Writes values, each behind its key where it has one.
fn write_items(
    items: impl Iterator<Item = Result<(Value, Option<Value>), Error>>,
    (open, close): (char, char),
    indent: Option<usize>,
    depth: usize,
    out: &mut String,
) -> Result<(), Error> {
    let new_line = |out: &mut String, depth: usize| {
        if let Some(width) = indent {
            out.push('\n');
            out.push_str(&" ".repeat(width * depth));
        }
    };
    out.push(open);
    let mut empty = true;
    for item in items {
        let (value, key) = item?;
        if !empty {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        empty = false;
        new_line(out, depth + 1);
        if let Some(key) = key {
            match key.as_str() {
                Some(key) => quote(key, out),
                None => quote(&key.to_string(), out),
            }
            out.push_str(": ");
        }
        write(&value, indent, depth + 1, out)?;
    }
    if !empty {
        new_line(out, depth);
    }
    out.push(close);
    Ok(())
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn writes_what_python_writes() {
        let value = context! { b => "a\"\n\u{1}<é>", a => vec![Value::from(1), Value::from(2.5), Value::from(())], c => context! {} };
        assert_eq!(dumps(&value, None).unwrap(), "{\"b\": \"a\\\"\\n\\u0001<é>\", \"a\": [1, 2.5, null], \"c\": {}}");
        let value = context! { a => vec![1, 2] };
        assert_eq!(dumps(&value, Some(2)).unwrap(), "{\n  \"a\": [\n    1,\n    2\n  ]\n}");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let mut deep = Value::from(0);
        for _ in 0..200 {
            deep = Value::from(vec![deep]);
        }
        for value in [deep, Value::from(f64::NAN), Value::from(f64::NEG_INFINITY), Value::UNDEFINED] {
            assert!(dumps(&value, None).is_err());
        }
    }
}
