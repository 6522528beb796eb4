//! Reads the vocabulary of a GGUF file: just enough to compare with golden ids. It trusts the file.

use std::collections::HashMap;
use std::path::Path;

use symbiote_format::{NO_ID, Tokenizer as Tables, TokenizerKind};

use super::{NORMAL, empty};

enum Value {
    Number(f64),
    Text(String),
    Array(Vec<Value>),
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk().expect("the file is long enough");
        self.0 = rest;
        *taken
    }

    fn length(&mut self) -> usize {
        usize::try_from(u64::from_le_bytes(self.take())).unwrap()
    }

    fn text(&mut self) -> String {
        let length = self.length();
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(text.to_vec()).unwrap()
    }

    fn value(&mut self, kind: u32) -> Value {
        Value::Number(match kind {
            0 | 7 => u8::from_le_bytes(self.take()).into(),
            1 => i8::from_le_bytes(self.take()).into(),
            2 => u16::from_le_bytes(self.take()).into(),
            3 => i16::from_le_bytes(self.take()).into(),
            4 => u32::from_le_bytes(self.take()).into(),
            5 => i32::from_le_bytes(self.take()).into(),
            6 => f32::from_le_bytes(self.take()).into(),
            8 => return Value::Text(self.text()),
            9 => {
                let kind = u32::from_le_bytes(self.take());
                return Value::Array((0..self.length()).map(|_| self.value(kind)).collect());
            }
            10 => u64::from_le_bytes(self.take()) as f64,
            11 => i64::from_le_bytes(self.take()) as f64,
            12 => f64::from_le_bytes(self.take()),
            kind => panic!("value type {kind}"),
        })
    }
}

/// The vocabulary of a file, if it is of a kind that archives hold.
pub(super) fn read(path: &Path) -> Option<Tables> {
    let bytes = std::fs::read(path).unwrap();
    let mut reader = Reader(&bytes);
    assert_eq!(reader.take(), *b"GGUF");
    let (_version, _tensors) = (reader.take::<4>(), reader.length());
    let pairs: HashMap<String, Value> = (0..reader.length())
        .map(|_| {
            let key = reader.text();
            let kind = u32::from_le_bytes(reader.take());
            (key, reader.value(kind))
        })
        .collect();

    let get = |key: &str| pairs.get(&format!("tokenizer.ggml.{key}"));
    let text = |key: &str| match get(key) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let array = |key: &str| match get(key) {
        Some(Value::Array(values)) => &values[..],
        _ => &[],
    };
    let texts = |key: &str| {
        array(key).iter().map(|v| if let Value::Text(text) = v { text.clone() } else { panic!("{key}") }).collect()
    };
    let numbers =
        |key: &str| array(key).iter().map(|v| if let Value::Number(n) = v { *n } else { panic!("{key}") }).collect();
    let id = |key: &str| if let Some(Value::Number(n)) = get(key) { *n as u32 } else { NO_ID };

    let kind = match &*text("model") {
        "gpt2" => TokenizerKind::GgufBpe,
        "llama" => TokenizerKind::GgufSentencePiece,
        _ => return None,
    };
    let (scores, types): (Vec<f64>, Vec<f64>) = (numbers("scores"), numbers("token_type"));
    let mut tables = Tables {
        pre: text("pre"),
        tokens: texts("tokens"),
        scores: scores.into_iter().map(|n| n as f32).collect(),
        types: types.into_iter().map(|n| n as u8).collect(),
        merges: texts("merges"),
        bos: id("bos_token_id"),
        eos: id("eos_token_id"),
        unk: id("unknown_token_id"),
        add_space_prefix: kind == TokenizerKind::GgufSentencePiece,
        ..empty(kind)
    };
    tables.types.resize(tables.tokens.len(), NORMAL);
    Some(tables)
}
