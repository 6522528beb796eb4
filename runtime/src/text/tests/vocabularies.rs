//! Hand-made vocabularies of each kind.

use super::*;
use crate::text::{EncodeOptions, TextError};

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const SPECIAL: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };

#[test]
fn byte_bpe_merges_by_rank_within_words() {
    let t = tokenizer(&byte_bpe(), 300).unwrap();
    assert_eq!(t.encode("hello", PLAIN).unwrap(), [259]);
    assert_eq!(t.encode("hell w", PLAIN).unwrap(), [258, 260]);
    assert_eq!(t.encode("hellx", PLAIN).unwrap(), [258, u32::from(b'x')]);
    assert_eq!(t.encode("☺", PLAIN).unwrap(), [261, 0xba]);
    assert_eq!(t.encode("", PLAIN).unwrap(), [0; 0]);
    assert_eq!((t.bos(), t.eos(), t.vocab_len()), (Some(262), Some(263), 266));
}

#[test]
fn control_tokens_count_only_when_asked_for_and_user_defined_ones_always() {
    let t = tokenizer(&byte_bpe(), 300).unwrap();
    assert_eq!(t.encode("hello<|end|>", SPECIAL).unwrap(), [259, 264]);
    let plain = t.encode("<|end|>", PLAIN).unwrap();
    assert_eq!(plain, b"<|end|>".map(u32::from));
    assert_eq!(t.decode(&plain), "<|end|>");
    assert_eq!(t.encode("   a", PLAIN).unwrap(), [265, u32::from(b' '), u32::from(b'a')]);
    assert_eq!(t.decode(&[262, 259, 265, 264, 263]), "hello  ");
    assert_eq!(
        (t.token_bytes(264), t.token_bytes(265), t.token_bytes(266)),
        (Some(&b"<|end|>"[..]), Some(&b"  "[..]), None)
    );
    assert!(t.is_stop(263) && t.is_stop(264) && !t.is_stop(262));
}

#[test]
fn whole_words_go_before_merges_where_the_rules_say_so() {
    let mut tables = byte_bpe();
    tables.tokens.push("lohe".into());
    tables.types.push(NORMAL);
    let merged = tokenizer(&tables, 300).unwrap().encode("lohe", PLAIN).unwrap();
    tables.pre = "llama-bpe".into();
    let whole = tokenizer(&tables, 300).unwrap().encode("lohe", PLAIN).unwrap();
    assert_eq!((merged, whole), (vec![u32::from(b'l'), u32::from(b'o'), 256], vec![266]));
}

#[test]
fn bos_and_eos_are_added_as_the_archive_says_and_once_to_a_conversation() {
    let mut tables = byte_bpe();
    (tables.add_bos, tables.add_eos) = (true, true);
    let t = tokenizer(&tables, 300).unwrap();
    assert_eq!(t.encode("hello", SPECIAL).unwrap(), [262, 259, 263]);
    assert_eq!(t.encode("hello", PLAIN).unwrap(), [259]);
    assert_eq!(t.encode_chat("<s>hello").unwrap(), [262, 259]);
    assert_eq!(t.encode_chat("hello").unwrap(), [262, 259]);
}

#[test]
fn sentencepiece_joins_the_best_score_first() {
    let t = tokenizer(&sentencepiece(), 300).unwrap();
    let id = |text: &str| id_of(&sentencepiece(), text);
    assert_eq!(t.encode("the", SPECIAL).unwrap(), [1, id("▁the")]);
    // `▁t` scores best, and nothing joins it to `in`.
    assert_eq!(t.encode("tin", PLAIN).unwrap(), [id("▁t"), id("in")]);
    assert_eq!(t.encode(" the", PLAIN).unwrap(), [id("▁"), id("▁the")]);
    // No token covers `é`: its bytes do.
    assert_eq!(t.encode("é", PLAIN).unwrap(), [id("▁"), id("<0xC3>"), id("<0xA9>")]);
    // What follows a special token begins with a space of its own.
    assert_eq!(t.encode("</s>the", SPECIAL).unwrap(), [1, 2, id("▁the")]);
    assert_eq!(t.encode("", SPECIAL).unwrap(), [1]);
}

#[test]
fn sentencepiece_decodes_to_what_was_written() {
    let t = tokenizer(&sentencepiece(), 300).unwrap();
    for text in ["the tin", " the", "né\n☺", ""] {
        assert_eq!(t.decode(&t.encode(text, SPECIAL).unwrap()), text);
    }
}

#[test]
fn sentencepiece_without_byte_tokens_falls_back_to_unknown() {
    let mut tables = sentencepiece();
    for (text, kind) in tables.tokens.iter_mut().zip(&mut tables.types).skip(3).take(256) {
        (*text, *kind) = (String::new(), NORMAL);
    }
    tables.add_space_prefix = false;
    let t = tokenizer(&tables, 300).unwrap();
    assert_eq!(t.encode("é", PLAIN).unwrap(), [0, 0]);
}

#[test]
fn white_space_after_special_tokens_is_theirs_where_the_archive_says_so() {
    let mut tables = sentencepiece();
    let id = |text: &str| id_of(&sentencepiece(), text);
    assert_eq!(
        tokenizer(&tables, 300).unwrap().encode("</s> \nthe", SPECIAL).unwrap(),
        [1, 2, id("▁"), id("▁"), id("<0x0A>"), id("t"), id("he")]
    );
    tables.kind = TokenizerKind::GgufSentencePieceStrip.code();
    tables.types[2] += symbiote_format::STRIPS_RIGHT;
    let t = tokenizer(&tables, 300).unwrap();
    assert_eq!(t.encode("</s> \nthe", SPECIAL).unwrap(), [1, 2, id("▁the")]);
    assert_eq!(t.encode("<s> the", SPECIAL).unwrap(), [1, 1, id("▁"), id("▁the")]);
}

#[test]
fn merges_over_plain_characters_fall_back_to_bytes() {
    let mut tables = sentencepiece();
    tables.kind = TokenizerKind::GgufBpe.code();
    tables.pre = "gemma4".into();
    tables.merges = ["▁ t", "h e", "▁t he"].map(String::from).to_vec();
    tables.tokens.push("\n\n".into());
    tables.types.push(NORMAL);
    let t = tokenizer(&tables, 300).unwrap();
    let id = |text: &str| id_of(&tables, text);
    let expected = [id("t"), id("he"), id("▁the"), id("\n\n"), id("<0xC3>"), id("<0xA9>"), id("<0x0A>"), id("▁")];
    assert_eq!(t.encode("the the\n\né\n ", PLAIN).unwrap(), expected);
    assert_eq!(t.decode(&expected), "the the\n\né\n ");
}

fn hugging_face(decoder: &str, added: &str) -> Tables {
    let mut tables = empty(TokenizerKind::HuggingFace);
    tables.json = format!(
        r#"{{"version": "1.0", "truncation": {{"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}},
        "padding": null, "normalizer": null, "pre_tokenizer": {{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}},
        "post_processor": null, "decoder": {decoder}, "added_tokens": [{added}],
        "model": {{"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
        "fuse_unk": false, "byte_fallback": false, "vocab": {{"h": 0, "i": 1, "hi": 2, "Ġ": 3, "Ã": 4, "©": 5}}, "merges": ["h i"]}}}}"#
    );
    tables
}

const BYTE_LEVEL: &str = r#"{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}"#;
const END: &str = r#"{"id": 6, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}"#;

#[test]
fn hugging_face_encodes_whole_texts_and_decodes_bytes() {
    let mut tables = hugging_face(BYTE_LEVEL, END);
    (tables.eos, tables.add_eos) = (6, true);
    let t = tokenizer(&tables, 7).unwrap();
    assert_eq!(t.encode("hi hi", PLAIN).unwrap(), [2, 3, 2]);
    assert_eq!(t.encode("hi<end>", EncodeOptions { add_special: false, parse_special: true }).unwrap(), [2, 6]);
    assert_eq!(t.encode("hi<end>", PLAIN).unwrap(), [2]);
    assert_eq!(t.encode("hi<end>", SPECIAL).unwrap(), [2, 6]);
    assert_eq!(t.encode("hi", SPECIAL).unwrap(), [2, 6]);
    assert_eq!(t.decode(&[2, 3, 4, 5, 6]), "hi é");
    assert_eq!((t.vocab_len(), t.is_stop(6)), (7, true));
}

#[test]
fn hugging_face_tokens_outside_the_embedding_are_refused_when_they_come_up() {
    let t = tokenizer(&hugging_face(BYTE_LEVEL, END), 6).unwrap();
    assert_eq!(t.encode("hi", PLAIN).unwrap(), [2]);
    let error = t.encode("<end>", SPECIAL).unwrap_err();
    assert_eq!(error, TextError::IdOutsideEmbedding { id: 6, vocab_size: 6 });
    // one that was trained comes up sooner or later
    let error = tokenizer(&hugging_face(BYTE_LEVEL, END), 5).err();
    assert_eq!(error, Some(TextError::IdOutsideEmbedding { id: 5, vocab_size: 5 }));
}

#[test]
fn hugging_face_sentencepiece_strips_its_own_space() {
    let decoder = r#"{"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}"#;
    let mut tables = hugging_face(decoder, "");
    tables.json = tables.json.replace("\"Ġ\": 3, \"Ã\": 4, \"©\": 5", "\"▁hi\": 3, \"<0xC3>\": 4, \"<0xA9>\": 5");
    let t = tokenizer(&tables, 6).unwrap();
    assert_eq!(t.decode(&[3, 3, 4, 5]), "hi hié");
}

#[test]
fn hugging_face_of_unknown_spelling_is_refused() {
    for (decoder, name) in [("null", "none"), (r#"{"type": "WordPiece", "prefix": "", "cleanup": true}"#, "WordPiece")]
    {
        let error = tokenizer(&hugging_face(decoder, ""), 6).err().unwrap();
        assert_eq!(error, TextError::UnknownDecoder { name: name.into() });
    }
}
