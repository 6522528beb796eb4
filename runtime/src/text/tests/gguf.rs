//! Reads the vocabulary of a GGUF file: just enough to compare with golden ids. It trusts the file.

use std::collections::HashMap;
use std::path::Path;

use symbiote_format::{NO_ID, Tokenizer as Tables, TokenizerKind};

use super::{NORMAL, empty};

enum Value {
    Integer(i64),
    Float(f32),
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
        Value::Integer(match kind {
            0 | 7 => u8::from_le_bytes(self.take()).into(),
            1 => i8::from_le_bytes(self.take()).into(),
            2 => u16::from_le_bytes(self.take()).into(),
            3 => i16::from_le_bytes(self.take()).into(),
            4 => u32::from_le_bytes(self.take()).into(),
            5 => i32::from_le_bytes(self.take()).into(),
            6 => return Value::Float(f32::from_le_bytes(self.take())),
            8 => return Value::Text(self.text()),
            9 => {
                let kind = u32::from_le_bytes(self.take());
                return Value::Array((0..self.length()).map(|_| self.value(kind)).collect());
            }
            10 | 11 => i64::from_le_bytes(self.take()),
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
        let text = |value: &Value| if let Value::Text(text) = value { text.clone() } else { panic!("{key}") };
        array(key).iter().map(text).collect()
    };
    let types = array("token_type").iter().map(|value| match value {
        Value::Integer(kind) => u8::try_from(*kind).unwrap(),
        _ => panic!("a token type is a number"),
    });
    let scores = array("scores").iter().map(|value| match value {
        Value::Float(score) => *score,
        _ => panic!("a score is a number"),
    });
    let id = |key: &str| match get(key) {
        Some(Value::Integer(id)) => u32::try_from(*id).unwrap(),
        _ => NO_ID,
    };

    let kind = match &*text("model") {
        "gpt2" => TokenizerKind::GgufBpe,
        "llama" => TokenizerKind::GgufSentencePiece,
        _ => return None,
    };
    let mut tables = Tables {
        pre: text("pre"),
        tokens: texts("tokens"),
        scores: scores.collect(),
        types: types.collect(),
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
