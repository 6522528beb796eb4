//! The stream decoder gives the same text however the ids are divided.

use proptest::prelude::*;

use super::*;
use crate::text::StreamDecoder;

#[test]
fn characters_come_whole() {
    let t = tokenizer(&byte_bpe(), 300).unwrap();
    let mut decoder = StreamDecoder::new();
    let mut push = |id: u8| decoder.push(&t, id.into());
    assert_eq!(["🦙".bytes().map(&mut push).collect::<Vec<_>>()], [["", "", "", "🦙"]]);
    // A byte that continues nothing, and a character cut short by another one.
    assert_eq!(
        (push(0x80), push(0xe2), push(0x98), push(b'a')),
        ("\u{fffd}".into(), "".into(), "".into(), "\u{fffd}a".into())
    );
    assert_eq!((push(0xf0), decoder.finish(), decoder.finish()), ("".into(), "\u{fffd}".into(), "".into()));
}

#[test]
fn control_tokens_and_unknown_ids_yield_nothing_and_do_not_cut_characters() {
    let t = tokenizer(&byte_bpe(), 300).unwrap();
    let mut decoder = StreamDecoder::new();
    assert_eq!([0xc3, 264, 9999, 0xa9].map(|id| decoder.push(&t, id)).concat(), "é");
}

#[test]
fn only_the_start_of_a_text_loses_its_space() {
    let t = tokenizer(&sentencepiece(), 300).unwrap();
    let the = id_of(&sentencepiece(), "▁the");
    assert_eq!(t.decode(&[1, the, the]), "the the");
    assert_eq!(StreamDecoder::new().push(&t, the), " the");
}

proptest! {
    #[test]
    fn any_division_gives_the_same_text(ids in prop::collection::vec(0..270u32, 0..64)) {
        for tables in [byte_bpe(), sentencepiece()] {
            let t = tokenizer(&tables, 300).unwrap();
            let bytes: Vec<u8> = ids.iter().flat_map(|&id| t.visible_bytes(id)).copied().collect();
            let whole = String::from_utf8_lossy(&bytes);
            let mut decoder = StreamDecoder::new();
            let mut text = String::new();
            for &id in &ids {
                text.push_str(&decoder.push(&t, id));
                // What has been given out is never taken back.
                prop_assert!(whole.starts_with(&text));
            }
            text.push_str(&decoder.finish());
            prop_assert_eq!(&text, &whole);
            let stripped = if tables.add_space_prefix { whole.strip_prefix(' ').unwrap_or(&whole) } else { &whole };
            prop_assert_eq!(t.decode(&ids), stripped);
        }
    }
}
