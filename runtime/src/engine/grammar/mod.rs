//! What an answer must look like: tokens that cannot go on with it are not drawn.
//!
//! | file | what |
//! |---|---|
//! | `gbnf.rs` | llama.cpp's grammars, in the language of llguidance |
//! | `vocabulary.rs` | the tokens, as llguidance wants them |

mod gbnf;
mod vocabulary;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::SimpleVob;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::EngineError;
use crate::text::Tokenizer;

/// What an answer must look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Grammar {
    /// JSON that a JSON Schema describes, in its text.
    JsonSchema(String),
    /// What a grammar in llama.cpp's notation derives from its rule `root`.
    Gbnf(String),
    /// What a regular expression matches as a whole.
    Regex(String),
}

/// White space in JSON: none, a space, or a new line and an indent. Without an end to it, some models put in nothing else.
const WHITE_SPACE: &str = r"( |\n[ \t]{0,20})?";

/// An answer under way, held to a grammar.
pub struct Constraint(Matcher);

impl Constraint {
    /// At the beginning of an answer in tokens of `tokenizer`, whose model has `vocab_size` of them.
    pub fn new(grammar: &Grammar, tokenizer: &Tokenizer, vocab_size: u32) -> Result<Self, EngineError> {
        let (what, top) = match grammar {
            Grammar::JsonSchema(text) => ("JSON schema", TopLevelGrammar::from_json_schema(schema(text)?)),
            Grammar::Gbnf(text) => ("grammar", TopLevelGrammar::from_lark(gbnf::to_lark(text)?)),
            Grammar::Regex(text) => ("regular expression", TopLevelGrammar::from_regex(text)),
        };
        let vocabulary = vocabulary::environment(tokenizer, vocab_size)?;
        let parser = ParserFactory::new_simple(&vocabulary).and_then(|mut factory| factory.quiet().create_parser(top));
        // the first line says what is wrong, and what follows where in the grammar that it was turned into
        let sentence = |e: String| e.lines().next().unwrap_or_default().trim().to_owned();
        let parser = parser
            .map_err(|e| EngineError::Grammar(format!("the {what} cannot be used: {}", sentence(e.to_string()))))?;
        Ok(Self(Matcher::new(Ok(parser))))
    }

    /// The tokens that may come next. One that ends the answer is there only where the grammar ends.
    pub fn allowed(&mut self) -> Result<SimpleVob, EngineError> {
        self.0.compute_mask_or_eos().map_err(failed)
    }

    /// Goes on with a token.
    pub fn accept(&mut self, token: u32) -> Result<(), EngineError> {
        self.0.consume_token(token).map_err(failed)
    }

    /// Nothing can follow.
    pub fn is_over(&self) -> bool {
        self.0.is_stopped()
    }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    let text = error.to_string();
    EngineError::Grammar(format!("the answer cannot go on: {}", text.lines().next().unwrap_or_default().trim()))
}

/// The schema with what llguidance wants to be told beside it.
fn schema(text: &str) -> Result<Value, EngineError> {
    let mut schema: Value =
        serde_json::from_str(text).map_err(|e| EngineError::Grammar(format!("the JSON schema is not JSON: {e}")))?;
    if let Some(object) = schema.as_object_mut() {
        object.entry("x-guidance").or_insert_with(|| json!({ "whitespace_pattern": WHITE_SPACE }));
    }
    Ok(schema)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
    use std::sync::Arc;

    use super::*;

    /// Every byte is a token, and some are longer: halves of characters with what stands beside them.
    fn hostile() -> (TokEnv, Vec<Vec<u8>>) {
        let mut words: Vec<Vec<u8>> = (0..=255u8).map(|b| vec![b]).collect();
        words[0xFF] = Vec::new();
        words.extend(
            [&b"\xC3"[..], b"a\xC3", b"\xA9b", b"\xE2\x82", b"\x82\xAC", b"\xAC\"", b"", b"\xF0\x9F\x98"]
                .map(<[u8]>::to_vec),
        );
        words.push(b"\xFF<end>".to_vec());
        let info = TokRxInfo::new(words.len() as u32, words.len() as u32 - 1);
        (Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words))), words)
    }

    fn matcher(grammar: &str, env: &TokEnv) -> Matcher {
        let top = TopLevelGrammar::from_lark(gbnf::to_lark(grammar).unwrap());
        Matcher::new(ParserFactory::new_simple(env).unwrap().quiet().create_parser(top))
    }

    /// Whether the grammar derives all of the text, cut into bytes.
    fn derives(grammar: &str, text: &str) -> bool {
        let (env, _) = hostile();
        let mut matcher = matcher(grammar, &env);
        for byte in text.bytes() {
            let mask = matcher.compute_mask_or_eos().unwrap();
            if matcher.is_stopped() || !mask.is_allowed(byte.into()) {
                return false;
            }
            matcher.consume_token(byte.into()).unwrap();
        }
        matcher.is_accepting().unwrap()
    }

    #[test]
    fn grammars_derive_what_llama_cpps_do() {
        let cases: [(&str, &[&str], &[&str]); 14] = [
            ("root ::= \"yes\" | \"no\"", &["yes", "no"], &["", "y", "ye", "yesno", "maybe", "yess"]),
            ("root ::= [ab] \"x\" | \"a\" \"y\"", &["ax", "bx", "ay"], &["by", "a"]),
            // what a longest match would lose
            ("root ::= [a-z]+ \"ab\"", &["cab", "abab", "aab"], &["ab", "abc", ""]),
            ("root ::= \"ab\" \"c\" | [a] \"b\"", &["abc", "ab"], &["a", "abcc"]),
            ("root ::= a*\na ::= \"x\" | \"(\" root \")\"", &["", "x", "(x(xx)())"], &["(", "(x", ")"]),
            ("root ::= root \"a\" | \"b\"", &["b", "baa"], &["", "a", "ab"]),
            ("root ::= [^\"\\\\\\x7F\\x00-\\x1F]{2,3}", &["éé", "a b", "€😀"], &["a", "a\"", "a\n", "abcd"]),
            ("root ::= \"é\" . \"\\u20ac\" \"\\U0001F600\"", &["é\n€😀", "éé€😀"], &["é€😀", "e\n€😀"]),
            ("root ::= ([ab] | \"c\" \"d\")? [+-]{2} [x-]{0,1} \"\"", &["+-", "cd--x", "a+--"], &["c++", "+", "abc"]),
            ("# one\nroot ::= # two\n  \"a\" # three\n  # four\n", &["a"], &["b"]),
            ("root  ::=\n  (\n \"a\"\n | \"b\" \n)\nx-1 ::= \"c\"", &["a", "b"], &["c"]),
            ("root ::= \"a\" |\n \"b\" x-1\nx-1 ::= \"c\" |", &["a", "bc", "b"], &["", "c"]),
            ("root ::= [a]{2}* \"-\"", &["-", "aa-", "aaaa-"], &["a-", "aaa-"]),
            ("root ::= [a]{1,}{2}", &["aa", "aaaaa"], &["a", ""]),
        ];
        for (grammar, good, bad) in cases {
            for text in good {
                assert!(derives(grammar, text), "{grammar:?} does not derive {text:?}");
            }
            for text in bad {
                assert!(!derives(grammar, text), "{grammar:?} derives {text:?}");
            }
        }
    }

    #[test]
    fn a_token_may_be_half_a_character() {
        let (env, words) = hostile();
        let allowed = |matcher: &mut Matcher| {
            let mask = matcher.compute_mask_or_eos().unwrap();
            (0..words.len()).filter(|id| mask.is_allowed(*id as u32)).map(|id| words[id].clone()).collect::<Vec<_>>()
        };
        let mut euro = matcher("root ::= \"a\" [é€] \"\\\"\"", &env);
        assert_eq!(allowed(&mut euro), [&b"a"[..], b"a\xC3"]);
        euro.consume_token(u32::from(b'a')).unwrap();
        // one byte each, of which there may be two tokens, and the first two of three
        assert!(allowed(&mut euro).iter().all(|word| [&b"\xC3"[..], b"\xE2", b"\xE2\x82"].contains(&word.as_slice())));
        euro.consume_token(259).unwrap();
        assert_eq!(allowed(&mut euro), [&b"\xAC"[..], b"\xAC\""]);
        euro.consume_token(261).unwrap();
        assert!(euro.is_accepting().unwrap());
        assert_eq!(allowed(&mut euro), [b"\xFF<end>"], "nothing but the end");
    }

    #[test]
    fn what_is_wrong_with_a_schema_is_said() {
        assert!(matches!(schema("{"), Err(EngineError::Grammar(e)) if e.contains("is not JSON: EOF while parsing")));
        assert_eq!(schema("{\"x-guidance\":1}").unwrap(), json!({"x-guidance": 1}));
        assert_eq!(schema("true").unwrap(), json!(true));
    }
}
