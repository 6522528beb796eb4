//! Ids one by one to text, a whole character at a time.

use super::Tokenizer;

/// Turns ids into text as they come. A token may end inside a character, so bytes wait here until theirs is whole;
/// bytes that no character can come of become U+FFFD. Control tokens yield nothing.
///
/// However the ids are divided among calls, the texts put together are the same. A decoder holds no tokenizer, so that it
/// can be kept beside one; give it the same one each time.
#[derive(Clone, Debug, Default)]
pub struct StreamDecoder {
    waiting: Vec<u8>,
    /// The next byte, if it is a space, is one that the tokenizer put before the text.
    strip_space: bool,
}

impl StreamDecoder {
    /// Continues a text that came before, such as a prompt.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a text, and so takes away the space that some tokenizers put before it.
    pub fn at_start(tokenizer: &Tokenizer) -> Self {
        Self { waiting: Vec::new(), strip_space: tokenizer.strips_space() }
    }

    /// The text that `id` completes: often a word, sometimes nothing yet.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        let mut bytes = tokenizer.visible_bytes(id);
        if self.strip_space && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            self.strip_space = false;
        }
        self.waiting.extend_from_slice(bytes);
        self.take_whole_characters()
    }

    /// What is left when no id follows: U+FFFD for a character cut short, else nothing.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.waiting)).into_owned()
    }

    fn take_whole_characters(&mut self) -> String {
        let complete = match self.waiting.utf8_chunks().last() {
            Some(last) if may_continue(last.invalid()) => self.waiting.len() - last.invalid().len(),
            _ => self.waiting.len(),
        };
        let rest = self.waiting.split_off(complete);
        String::from_utf8_lossy(&std::mem::replace(&mut self.waiting, rest)).into_owned()
    }
}

/// The bytes are the beginning of a character, not merely wrong.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
