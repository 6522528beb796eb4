//! Tables that break a rule, each refused by its own error, and tables of noise, which must not panic.

use proptest::prelude::*;

use super::*;
use crate::text::{EncodeOptions, TextError};

fn refusal(tables: &Tables, vocab_size: u32) -> TextError {
    tokenizer(tables, vocab_size).err().expect("the tables are refused")
}

fn broken(break_it: impl FnOnce(&mut Tables)) -> TextError {
    let mut tables = byte_bpe();
    break_it(&mut tables);
    refusal(&tables, 300)
}

#[test]
fn broken_tables_are_refused_by_name() {
    use TextError::*;
    assert_eq!(broken(|t| t.kind = 9), UnknownKind { code: 9 });
    assert_eq!(broken(|t| t.pre = "x".into()), UnknownPreTokenizer { name: "x".into() });
    assert_eq!(refusal(&empty(TokenizerKind::GgufBpe), 10), EmptyVocabulary);
    assert_eq!(broken(|t| t.types.truncate(265)), TableLength { table: "token types", found: 265, tokens: 266 });
    assert_eq!(refusal(&byte_bpe(), 264), IdOutsideEmbedding { id: 264, vocab_size: 264 });
    assert_eq!(broken(|t| t.bos = 300), IdOutsideEmbedding { id: 300, vocab_size: 300 });
    assert_eq!(broken(|t| t.stop = vec![400]), IdOutsideEmbedding { id: 400, vocab_size: 300 });
    assert_eq!(broken(|t| t.tokens[257] = "he".into()), DuplicateToken { text: "he".into(), first: 256, second: 257 });
    for text in ["", "hell", " hell"] {
        assert_eq!(broken(|t| t.merges.push(text.into())), MergeSyntax { index: 6, text: text.into() });
    }
    for (text, token) in [("zz h", "zz"), ("h zz", "zz"), ("z z", "zz"), ("h ", "")] {
        let error = broken(|t| t.merges.push(text.into()));
        assert_eq!(error, MergeOfMissingToken { index: 6, token: token.into() });
    }
    let mut tables = sentencepiece();
    tables.scores[7] = f32::NAN;
    assert_eq!(refusal(&tables, 300), ScoreNotANumber { id: 7 });
    tables.scores.pop();
    assert_eq!(refusal(&tables, 300), TableLength { table: "scores", found: 269, tokens: 270 });
}

#[test]
fn broken_tokenizer_json_is_refused() {
    let mut tables = empty(TokenizerKind::HuggingFace);
    // The last one makes the tokenizers crate panic: its merge is longer than every token.
    let long_merge = r#"{"added_tokens": [], "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"aa": 0, "bb": 1}, "merges": ["aa bb"]}}"#;
    for json in
        ["", "{", "{}", "[]", "\u{0}", r#"{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}"#, long_merge]
    {
        tables.json = json.into();
        assert!(matches!(refusal(&tables, 10), TextError::HuggingFace { .. }), "{json}");
    }
}

#[test]
fn empty_tokens_and_unheard_of_types_are_harmless() {
    let mut tables = byte_bpe();
    tables.tokens.extend([String::new(), String::new(), "odd".into()]);
    tables.types.extend([CONTROL, USER_DEFINED, 77]);
    let t = tokenizer(&tables, 300).unwrap();
    let ids = t.encode("hello", EncodeOptions { add_special: true, parse_special: true }).unwrap();
    assert_eq!((ids, t.decode(&[266, 267, 268, u32::MAX])), (vec![259], String::new()));
}

prop_compose! {
    fn noise()(
        kind in 1..=2u8,
        tokens in prop::collection::btree_map("[ab▁Ġ<>0xé ]{1,3}", (0..8u8, -2f32..2.0), 0..12),
        merges in prop::collection::vec("[ab] [ab]", 0..2),
        [bos, eos, unk] in [0..12u32, 0..12, 0..12],
        [add_bos, add_eos, add_space_prefix] in any::<[bool; 3]>(),
    ) -> Tables {
        Tables {
            kind,
            types: tokens.values().map(|t| t.0).collect(),
            scores: tokens.values().map(|t| t.1).collect(),
            tokens: tokens.into_keys().collect(),
            merges, bos, eos, unk, add_bos, add_eos, add_space_prefix,
            ..Tables::default()
        }
    }
}

proptest! {
    #[test]
    fn noise_never_panics(tables in noise(), text in "[ab▁<>0xé ]{0,12}", ids in prop::collection::vec(0..16u32, 0..8)) {
        if let Ok(t) = tokenizer(&tables, 12) {
            for (add_special, parse_special) in [(false, false), (true, true)] {
                let encoded = t.encode(&text, EncodeOptions { add_special, parse_special }).unwrap();
                prop_assert!(encoded.iter().all(|&id| id < 12));
                t.decode(&encoded);
            }
            t.decode(&ids);
        }
    }
}
