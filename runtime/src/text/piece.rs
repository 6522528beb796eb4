//! The bytes that a token stands for.

/// What one token adds to a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its bytes: often a whole word, sometimes a part of a character.
    pub bytes: Box<[u8]>,
    /// It steers the model and is not part of the text.
    pub hidden: bool,
}

impl Piece {
    /// A token that stands for its own text.
    pub fn literal(text: &str, hidden: bool) -> Self {
        Self { bytes: text.as_bytes().into(), hidden }
    }

    /// A token of a byte-level vocabulary: each character stands for a byte. A token with any other character in it was
    /// added later and stands for itself.
    pub fn byte_level(text: &str) -> Self {
        let bytes: Option<Vec<u8>> = text.chars().map(byte_of).collect();
        Self { bytes: bytes.map_or_else(|| text.as_bytes().into(), Into::into), hidden: false }
    }

    /// A token of a SentencePiece vocabulary: `▁` is a space.
    pub fn sentencepiece(text: &str) -> Self {
        Self::literal(&text.replace(SPACE_MARK, " "), false)
    }

    /// A token that is one byte, `<0x0A>`; or itself, if it is not spelled like that.
    pub fn byte(text: &str) -> Self {
        match byte_token_value(text) {
            Some(byte) => Self { bytes: [byte].into(), hidden: false },
            None => Self::literal(text, false),
        }
    }
}

/// How SentencePiece writes a space.
pub(super) const SPACE_MARK: char = '\u{2581}';

/// The byte that `<0x0A>` names.
pub(super) fn byte_token_value(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let hexadecimal = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    hexadecimal.then(|| u8::from_str_radix(digits, 16).ok())?
}

/// The character by which GPT-2's byte-level alphabet writes a byte: itself where it is printable Latin-1, else the next
/// unused one from U+0100 on.
pub(super) fn char_of(byte: u8) -> char {
    let code = match byte {
        0..=0x20 => 0x100 + u32::from(byte),
        0x7f..=0xa0 => 0x121 + u32::from(byte - 0x7f),
        0xad => 0x143,
        _ => u32::from(byte),
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that a character of GPT-2's byte-level alphabet stands for.
pub(super) fn byte_of(c: char) -> Option<u8> {
    let byte = match u32::from(c) {
        code @ 0x100..=0x120 => code - 0x100,
        code @ 0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        code => code,
    };
    u8::try_from(byte).ok().filter(|&byte| char_of(byte) == c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_names_every_byte_once() {
        let mut seen = std::collections::BTreeSet::new();
        for byte in 0..=u8::MAX {
            assert!(seen.insert(char_of(byte)));
            assert_eq!(byte_of(char_of(byte)), Some(byte));
        }
        assert_eq!((char_of(b' '), char_of(b'\n'), char_of(b'a')), ('Ġ', 'Ċ', 'a'));
        assert_eq!((byte_of(' '), byte_of('\u{ad}'), byte_of('▁'), byte_of('\u{144}')), (None, None, None, None));
    }

    #[test]
    fn pieces_are_spelled_by_kind() {
        assert_eq!(&*Piece::byte_level("ĠHé").bytes, b" H\xe9");
        assert_eq!(&*Piece::byte_level("two words").bytes, b"two words");
        assert_eq!(&*Piece::sentencepiece("▁the▁").bytes, b" the ");
        assert_eq!(&*Piece::byte("<0xE2>").bytes, b"\xe2");
        assert_eq!(&*Piece::byte("<0x+1>").bytes, b"<0x+1>");
    }
}
