//! Special tokens in text: found first, so that no other rule can cut or join them.

/// A piece of a text: still text, or already a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fragment<'t> {
    /// Text to be encoded.
    Text(&'t str),
    /// A special token that stood there.
    Token(u32),
}

/// A token that is recognised as a whole.
#[derive(Clone, Debug)]
pub(super) struct SpecialToken {
    /// What it looks like in text.
    pub text: String,
    /// Its id.
    pub id: u32,
    /// It steers the model: text from a user must not be able to write it.
    pub control: bool,
    /// White space that follows it is dropped.
    pub strips_right: bool,
}

/// All special tokens of a vocabulary.
#[derive(Clone, Debug)]
pub(super) struct SpecialTokens {
    /// The longest first: where two begin alike, the longer one counts.
    tokens: Vec<SpecialToken>,
}

impl SpecialTokens {
    pub fn new(mut tokens: Vec<SpecialToken>) -> Self {
        tokens.retain(|token| !token.text.is_empty());
        tokens.sort_by_key(|token| std::cmp::Reverse(token.text.len()));
        Self { tokens }
    }

    /// Cuts `text` at its special tokens. Control tokens count only where `parse_control` is set, the others always.
    pub fn split<'t>(&self, text: &'t str, parse_control: bool) -> Vec<Fragment<'t>> {
        let mut fragments = vec![Fragment::Text(text)];
        for token in self.tokens.iter().filter(|token| parse_control || !token.control) {
            if text.contains(&token.text) {
                fragments = fragments.into_iter().flat_map(|fragment| cut(fragment, token)).collect();
            }
        }
        fragments.retain(|fragment| *fragment != Fragment::Text(""));
        fragments
    }
}

/// What C calls white space.
const WHITE_SPACE: [char; 6] = [' ', '\t', '\n', '\u{b}', '\u{c}', '\r'];

fn cut<'t>(fragment: Fragment<'t>, token: &SpecialToken) -> Vec<Fragment<'t>> {
    let Fragment::Text(text) = fragment else { return vec![fragment] };
    let mut parts = Vec::new();
    for (i, between) in text.split(token.text.as_str()).enumerate() {
        let after = i > 0;
        if after {
            parts.push(Fragment::Token(token.id));
        }
        parts.push(Fragment::Text(if after && token.strips_right {
            between.trim_start_matches(WHITE_SPACE)
        } else {
            between
        }));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn special(text: &str, id: u32, control: bool) -> SpecialToken {
        SpecialToken { text: text.into(), id, control, strips_right: false }
    }

    #[test]
    fn the_longest_token_wins_and_control_tokens_only_count_when_asked_for() {
        let tokens = SpecialTokens::new(vec![
            special("<a>", 1, true),
            special("  ", 2, false),
            special("    ", 3, false),
            special("", 4, false),
        ]);
        use Fragment::{Text, Token};
        assert_eq!(tokens.split("x<a>      y", true), [Text("x"), Token(1), Token(3), Token(2), Text("y")]);
        assert_eq!(tokens.split("x<a>  ", false), [Text("x<a>"), Token(2)]);
        assert_eq!(tokens.split("", true), []);
    }

    #[test]
    fn white_space_after_a_token_can_be_its_own() {
        let tokens = SpecialTokens::new(vec![SpecialToken { strips_right: true, ..special("<a>", 1, true) }]);
        use Fragment::{Text, Token};
        assert_eq!(
            tokens.split(" <a> \n x <a>\u{a0}", true),
            [Text(" "), Token(1), Text("x "), Token(1), Text("\u{a0}")]
        );
        assert_eq!(tokens.split("<a> \t", true), [Token(1)]);
    }
}
