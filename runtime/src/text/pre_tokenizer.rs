//! How text is cut into words before byte-level BPE. GGUF files name the rules (`tokenizer.ggml.pre`) instead of holding
//! them; merges never cross a cut, so the wrong rules give ids that the model never saw. The names are llama.cpp's. The rules
//! are those of the tokenizers that its names stand for: where its own are an approximation (`tekken`, `gpt-4o`, `tiny_aya`:
//! marks, and the case of letters beyond ASCII; `deepseek-llm`: white space beyond ASCII), the published ones count.
//!
//! Each rule cuts every piece that the rules before it left: what it matches becomes a piece, and so does what lies between.

use fancy_regex::Regex;

use super::{Result, TextError};

/// Words as GPT-2 cuts them.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
const DIGIT: &str = r"\p{N}";
const DIGITS: &str = r"\p{N}+";
const UP_TO_3_DIGITS: &str = r"\p{N}{1,3}";
const ASCII_DIGITS_3: &str = "[0-9][0-9][0-9]";
const LINE_BREAK: &str = r"[\r\n]";
const LINES: &str = r"[^\n]+|\n+";

/// English contractions in either case, the ASCII letters only.
macro_rules! contractions {
    () => {
        "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    };
}
/// What follows letters and digits in most rules since Llama 3: punctuation with its line breaks, then white space.
macro_rules! punctuation_and_space {
    () => {
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    };
}
/// Words in which a capital begins a new one: capitals, then small letters, at least one of either.
macro_rules! cased_words {
    ($ending:expr) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
            $ending,
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
            $ending,
        )
    };
}

const LLAMA3: &str = concat!(contractions!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}", punctuation_and_space!());
const QWEN2: &str = concat!(contractions!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}", punctuation_and_space!());
const QWEN35: &str = concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const MINICPM5: &str = concat!(contractions!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+", punctuation_and_space!());
const UFAKZEKA: &str = concat!(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}", punctuation_and_space!());
const SEED_CODER: &str =
    concat!(contractions!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+");
const BAILING_MOE: &str = r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const EXAONE_MOE: &str = concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
);
const JAIS2: &str = concat!(
    contractions!(),
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+",
    r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s"
);
const TEKKEN: &str = concat!(cased_words!(""), r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+");
const GPT4O: &str = concat!(
    cased_words!(concat!(contractions!(), "?")),
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const CHAMELEON_MARKS: &[&str] =
    &["<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", r"[\t\n]|    |  ", DIGIT, CHAMELEON_PUNCTUATION, GPT2];
const CHAMELEON_PUNCTUATION: &str = r"[\p{P}!-/:-@\[-`{-~]";
const FROM_THE_RIGHT_3_DIGITS: &str = r"\d{1,3}(?=(?:\d{3})*\b)";
const BEFORE_3_DIGITS: &str = r"(?=(\d{3})+(?!\d))";
const SPARK_WORDS: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"##;
const YOUTU_SCRIPTS: &str = "[\u{ac00}-\u{d7a3}\u{3131}-\u{318e}]+|[\u{ff01}\u{2026}\u{201c}\u{201d}\u{2018}\u{2019}\u{2014}\u{ff1a}\u{ff1b}\u{ff0c}\u{3001}-\u{303f}\u{fe30}-\u{fe4f}]+|[\u{3105}-\u{312f}]+|[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+";
const YOUTU: &str =
    concat!(cased_words!(concat!(contractions!(), "?")), r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+");
const FALCON_PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|`]+";
const DEFAULT_PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";
/// No sentence punctuation of Latin, Chinese, Devanagari and Arabic script in a word.
const BLOOM: &str = " ?[^(\\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+";

const DEEPSEEK3_CJK: &str = "[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const DEEPSEEK_CJK: &str = "[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+";
const DEEPSEEK_PUNCTUATION: &str = "\\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3000}-\u{3002}]+";
/// Letters with case, as far as the list behind DeepSeek LLM knew them: `\p{LC}` of today holds more.
const DEEPSEEK_LETTERS: &str = concat!(
    "\\s?[A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}\u{295}-\u{2af}",
    "\u{370}-\u{373}\u{376}\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}\u{38c}\u{38e}-\u{3a1}\u{3a3}-\u{3f5}",
    "\u{3f7}-\u{481}\u{48a}-\u{52f}\u{531}-\u{556}\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}\u{13f8}-\u{13fd}",
    "\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}\u{1d00}-\u{1d2b}\u{1d6b}-\u{1d77}\u{1d79}-\u{1d9a}\u{1e00}-\u{1f15}",
    "\u{1f18}-\u{1f1d}\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}",
    "\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}",
    "\u{1fe0}-\u{1fec}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}\u{2102}\u{2107}\u{210a}-\u{2113}\u{2115}\u{2119}-\u{211d}",
    "\u{2124}\u{2126}\u{2128}\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}\u{213c}-\u{213f}\u{2145}-\u{2149}\u{214e}",
    "\u{2183}\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}\u{a640}-\u{a66d}",
    "\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}\u{fb00}-\u{fb06}",
    "\u{fb13}-\u{fb17}\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}",
    "\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}]+"
);

/// Rules to cut text into words.
pub(super) struct PreTokenizer {
    rules: Vec<Regex>,
    /// A word that is a token is that token, whatever its merges say.
    pub whole_words_first: bool,
    /// Line breaks that are a token together are that token.
    pub whole_lines_first: bool,
    /// Words are spelled in GPT-2's byte alphabet; else as SentencePiece spells them.
    pub byte_level: bool,
}

impl PreTokenizer {
    /// The rules that llama.cpp knows by `name`; no name means `default`.
    ///
    /// # Errors
    /// The name is not known.
    pub fn by_name(name: &str) -> Result<Self> {
        let rules = rules(name).ok_or_else(|| TextError::UnknownPreTokenizer { name: name.into() })?;
        let rules = rules.iter().map(|rule| Regex::new(rule)).collect::<std::result::Result<_, _>>();
        Ok(Self {
            rules: rules.map_err(split_error)?,
            whole_words_first: takes_whole_words_first(name),
            whole_lines_first: name == "gemma4",
            byte_level: !matches!(name, "gemma4" | "sarvam-moe"),
        })
    }

    /// Cuts `text` into words, in order and without loss.
    ///
    /// # Errors
    /// The text makes a rule search too long: a run of about a million spaces does.
    pub fn split<'t>(&self, text: &'t str) -> Result<Vec<&'t str>> {
        let mut pieces = vec![text];
        for rule in &self.rules {
            let mut cut = Vec::with_capacity(pieces.len());
            for piece in pieces {
                let mut end = 0;
                for found in rule.find_iter(piece) {
                    let found = found.map_err(split_error)?;
                    cut.extend([&piece[end..found.start()], found.as_str()]);
                    end = found.end();
                }
                cut.push(&piece[end..]);
            }
            cut.retain(|piece| !piece.is_empty());
            pieces = cut;
        }
        Ok(pieces)
    }
}

fn split_error(error: fancy_regex::Error) -> TextError {
    TextError::Split { reason: error.to_string() }
}

fn rules(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "" | "default" => &[DEFAULT_PUNCTUATION, GPT2, DIGITS, ASCII_DIGITS_3],
        "gpt-2" | "phi-2" | "jina-es" | "jina-de" | "jina-v2-es" | "jina-v2-de" | "jina-v1-en" | "jina-v2-code"
        | "roberta-bpe" | "gigachat" | "a.x-4.0" | "mellum" | "modern-bert" | "mpt" | "olmo" | "jais" | "trillion"
        | "granite-docling" | "exaone4" => &[GPT2],
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" | "mellum2" => {
            &[DIGIT, GPT2]
        }
        "falcon" => &[FALCON_PUNCTUATION, GPT2, ASCII_DIGITS_3],
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2"
        | "jina-v5-nano" | "dbrx" | "smaug-bpe" | "chatglm-bpe" | "glm4" | "glm5" => &[LLAMA3],
        "qwen2" | "deepseek-r1-qwen" | "kormo" | "f2llmv2" | "stablelm2" | "megrez" | "hunyuan" | "solar-open"
        | "grok-2" => &[QWEN2],
        "qwen35" => &[QWEN35],
        "laguna" => &[LINES, QWEN2],
        "minicpm5" => &[UP_TO_3_DIGITS, MINICPM5],
        "ufakzeka" => &[UFAKZEKA],
        "seed-coder" => &[SEED_CODER],
        "bailingmoe" | "bailingmoe2" | "llada-moe" => &[BAILING_MOE],
        "exaone-moe" => &[EXAONE_MOE],
        "jais-2" => &[JAIS2],
        "tekken" => &[TEKKEN],
        "gpt-4o" | "llama4" | "kanana2" | "talkie" | "minimax-m2" | "granite-embed-multi-97m" => &[GPT4O],
        "tiny_aya" | "cohere2moe" => &[FROM_THE_RIGHT_3_DIGITS, GPT4O],
        "superbpe" => &[DIGITS, BEFORE_3_DIGITS],
        "youtu" => &[YOUTU_SCRIPTS, YOUTU],
        "spark2_5" => &[UP_TO_3_DIGITS, DEEPSEEK3_CJK, SPARK_WORDS, DIGIT],
        "chameleon" => CHAMELEON_MARKS,
        "gemma4" | "sarvam-moe" => &[LINES],
        "deepseek-llm" => &[LINE_BREAK, DEEPSEEK_LETTERS, DEEPSEEK_PUNCTUATION, r"\s+$", DEEPSEEK_CJK, DIGITS],
        "deepseek-coder" => &[LINE_BREAK, r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_CJK, DIGIT],
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" | "hy_v4" => &[UP_TO_3_DIGITS, DEEPSEEK3_CJK, DEEPSEEK3],
        "poro-chat" | "bloom" | "gpt3-finnish" => &[BLOOM],
        "viking" => &[BLOOM, DIGIT],
        _ => return None,
    })
}

fn takes_whole_words_first(name: &str) -> bool {
    matches!(
        name,
        "llama3"
            | "llama-v3"
            | "llama-bpe"
            | "falcon3"
            | "falcon-h1"
            | "pixtral"
            | "midm-2.0"
            | "lfm2"
            | "jina-v5-nano"
            | "glm4"
            | "glm5"
            | "tekken"
            | "minicpm5"
            | "youtu"
            | "granite-embed-multi-97m"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'t>(name: &str, text: &'t str) -> Vec<&'t str> {
        PreTokenizer::by_name(name).unwrap().split(text).unwrap()
    }

    #[test]
    fn known_rules_cut_as_published() {
        assert_eq!(words("gpt-2", "Hello  world's 123\n"), ["Hello", " ", " world", "'s", " 123", "\n"]);
        assert_eq!(words("smollm", "a 12"), ["a", " ", "1", "2"]);
        assert_eq!(words("llama-bpe", "I'M 12345!\n\nx"), ["I", "'M", " ", "123", "45", "!\n\n", "x"]);
        assert_eq!(words("qwen2", "x=12 "), ["x", "=", "1", "2", " "]);
        assert_eq!(words("deepseek-v3", "漢字kana 1234"), ["漢字", "kana", " ", "123", "4"]);
        assert_eq!(words("tekken", "helloWorld"), ["hello", "World"]);
        assert_eq!(words("default", "1234"), ["123", "4"]);
        assert_eq!(words("gpt-2", ""), [""; 0]);
    }

    #[test]
    fn every_known_rule_compiles_and_loses_nothing() {
        let text = " Ünïcödé's 12345 …漢字ひらがな\r\n\t \u{a0}🦙!?  end\n\n ";
        for rule in [
            "default",
            "gpt-2",
            "smollm",
            "falcon",
            "llama-bpe",
            "qwen2",
            "qwen35",
            "laguna",
            "minicpm5",
            "ufakzeka",
            "seed-coder",
            "bailingmoe",
            "exaone-moe",
            "jais-2",
            "tekken",
            "gpt-4o",
            "deepseek-llm",
            "deepseek-coder",
            "deepseek-v3",
            "poro-chat",
            "viking",
            "tiny_aya",
            "superbpe",
            "youtu",
            "spark2_5",
            "chameleon",
            "gemma4",
        ] {
            assert_eq!(words(rule, text).concat(), text, "{rule}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_by_name() {
        let error = PreTokenizer::by_name("gpt-9").err().unwrap();
        assert!(error.to_string().contains("\"gpt-9\""), "{error}");
    }

    #[test]
    fn a_text_that_no_rule_can_search_is_an_error_not_a_wrong_cut() {
        let text = " ".repeat(3_000_000) + "x";
        if let Ok(words) = PreTokenizer::by_name("llama-bpe").unwrap().split(&text) {
            assert_eq!(words, [&text[..2_999_999], " x"]);
        }
    }
}
