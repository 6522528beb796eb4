//! GBNF, llama.cpp's notation of grammars (its `grammars/README.md`), turned into that of llguidance.
//!
//! A terminal of llguidance is the longest match of a regular expression, and what is shorter is lost. So every terminal made
//! here is a single character: then a text is derived here if it is derived there.

use std::collections::HashMap;
use std::fmt::Write;

use crate::engine::EngineError;

/// The most times that something may be repeated, as in llama.cpp.
const MOST_REPETITIONS: u32 = 2000;

/// How deep groups may be nested.
const DEEPEST: usize = 100;

/// A grammar for llguidance that derives the same texts.
pub fn to_lark(text: &str) -> Result<String, EngineError> {
    let mut parser = Parser { text, at: 0, rules: HashMap::new(), uses: Vec::new(), depth: 0 };
    parser.grammar().map_err(|(at, what)| {
        let before = &text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        EngineError::Grammar(format!("the grammar is wrong in line {line}, column {column}: {what}"))
    })
}

/// What is wrong, and where.
type Wrong = (usize, String);

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// The number of each rule, and whether it has come.
    rules: HashMap<&'a str, (usize, bool)>,
    /// Where each rule was first named.
    uses: Vec<(usize, &'a str)>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn grammar(&mut self) -> Result<String, Wrong> {
        let mut lark = String::new();
        self.space(true);
        while self.peek().is_some() {
            let at = self.at;
            let name = self.name().ok_or_else(|| self.wrong("a rule's name is expected"))?;
            let number = self.number_of(name, at);
            if self.rules.insert(name, (number, true)).is_some_and(|(_, came)| came) {
                return Err((at, format!("the rule {name} is there twice")));
            }
            self.space(false);
            if !self.take("::=") {
                return Err(self.wrong("::= is expected after a rule's name"));
            }
            self.space(true);
            let alternatives = self.alternatives(false)?;
            if !matches!(self.peek(), None | Some('\n' | '\r')) {
                return Err(self.wrong("a new line is expected after a rule"));
            }
            self.space(true);
            // writing to a string does not fail
            let _ = writeln!(lark, "r{number}: {alternatives}");
        }
        if let Some((at, name)) = self.uses.iter().find(|(_, name)| !self.rules[name].1) {
            return Err((*at, format!("there is no rule {name}")));
        }
        match self.rules.get("root") {
            Some((root, _)) => Ok(format!("start: r{root}\n{lark}")),
            None => Err((self.text.len(), "there is no rule root, at which it begins".into())),
        }
    }

    fn alternatives(&mut self, nested: bool) -> Result<String, Wrong> {
        let mut all = self.sequence(nested)?;
        while self.take("|") {
            self.space(true);
            all = format!("{all} | {}", self.sequence(nested)?);
        }
        Ok(all)
    }

    fn sequence(&mut self, nested: bool) -> Result<String, Wrong> {
        let mut items: Vec<String> = Vec::new();
        loop {
            let at = self.at;
            match self.peek() {
                Some('"') => items.push(self.literal()?),
                Some('[') => items.push(self.class()?),
                Some('.') => {
                    self.bump();
                    items.push(terminal("", &[(0, 0x0010_FFFF)]));
                }
                Some('(') => items.push(self.group()?),
                Some('<' | '!') => return Err(self.wrong("tokens by their names are not supported")),
                Some('*' | '+' | '?' | '{') => {
                    let times = self.times()?;
                    let last = items.pop().ok_or((at, "there is nothing before it to be repeated".to_owned()))?;
                    items.push(format!("({last}){times}"));
                }
                Some(c) if is_name(c) => {
                    let name = self.name().unwrap_or_default();
                    let number = self.number_of(name, at);
                    items.push(format!("r{number}"));
                }
                _ => break,
            }
            self.space(nested);
        }
        Ok(if items.is_empty() { "\"\"".into() } else { items.join(" ") })
    }

    fn group(&mut self) -> Result<String, Wrong> {
        if self.depth == DEEPEST {
            return Err(self.wrong("groups are nested too deep"));
        }
        self.depth += 1;
        self.bump();
        self.space(true);
        let inside = self.alternatives(true)?;
        if !self.take(")") {
            return Err(self.wrong(") is expected"));
        }
        self.depth -= 1;
        Ok(format!("({inside})"))
    }

    /// One or more characters in quotes; or none, which is the empty text.
    fn literal(&mut self) -> Result<String, Wrong> {
        self.bump();
        let mut terminals = Vec::new();
        while !self.take("\"") {
            let c = self.character()?;
            terminals.push(terminal("", &[(c, c)]));
        }
        Ok(if terminals.is_empty() { "\"\"".into() } else { format!("({})", terminals.join(" ")) })
    }

    /// Characters in brackets, alone and as ranges.
    fn class(&mut self) -> Result<String, Wrong> {
        let start = self.at;
        self.bump();
        let not = if self.take("^") { "^" } else { "" };
        let mut ranges = Vec::new();
        while !self.take("]") {
            let at = self.at;
            let first = self.character()?;
            let mut last = first;
            if self.peek() == Some('-') && !self.text[self.at..].starts_with("-]") {
                self.bump();
                last = self.character()?;
            }
            if last < first {
                return Err((at, "the range ends before it begins".into()));
            }
            ranges.push((first, last));
        }
        if ranges.is_empty() {
            return Err((start, "there is no character in the brackets".into()));
        }
        Ok(terminal(not, &ranges))
    }

    /// A character, or what stands for one.
    fn character(&mut self) -> Result<u32, Wrong> {
        let at = self.at;
        let end = |parser: &Self| parser.wrong("the grammar ends in the middle of a text");
        let c = self.bump().ok_or_else(|| end(self))?;
        if c != '\\' {
            return Ok(c.into());
        }
        let escaped = self.bump().ok_or_else(|| end(self))?;
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            't' => return Ok(u32::from(b'\t')),
            'r' => return Ok(u32::from(b'\r')),
            'n' => return Ok(u32::from(b'\n')),
            '\\' | '"' | '[' | ']' | '-' => return Ok(escaped.into()),
            _ => return Err((at, format!("\\{escaped} stands for nothing"))),
        };
        let hex = self.text[self.at..].get(..digits).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        self.at += digits;
        code.filter(|code| char::from_u32(*code).is_some())
            .ok_or_else(|| (at, format!("\\{escaped} is followed by {digits} digits of a character's number")))
    }

    /// How often what came before is repeated.
    fn times(&mut self) -> Result<String, Wrong> {
        let at = self.at;
        match self.bump() {
            Some(op @ ('*' | '+' | '?')) => return Ok(op.into()),
            _ => self.space(false),
        }
        let least = self.number()?.ok_or_else(|| self.wrong("a number is expected"))?;
        self.space(false);
        let most = if self.take(",") {
            self.space(false);
            self.number()?
        } else {
            Some(least)
        };
        self.space(false);
        if !self.take("}") {
            return Err(self.wrong("} is expected"));
        }
        match most {
            Some(most) if most < least => Err((at, "the most is less than the least".into())),
            Some(most) => Ok(format!("{{{least},{most}}}")),
            None => Ok(format!("{{{least},}}")),
        }
    }

    fn number(&mut self) -> Result<Option<u32>, Wrong> {
        let at = self.at;
        let rest = &self.text[at..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        self.at += digits;
        match rest[..digits].parse() {
            _ if digits == 0 => Ok(None),
            Ok(number) if number <= MOST_REPETITIONS => Ok(Some(number)),
            _ => Err((at, format!("more than {MOST_REPETITIONS} repetitions are not supported"))),
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        let rest = &self.text[self.at..];
        let name = &rest[..rest.len() - rest.trim_start_matches(is_name).len()];
        self.at += name.len();
        (!name.is_empty()).then_some(name)
    }

    fn number_of(&mut self, name: &'a str, at: usize) -> usize {
        let next = self.rules.len();
        if let Some((number, _)) = self.rules.get(name) {
            return *number;
        }
        self.uses.push((at, name));
        self.rules.insert(name, (next, false));
        next
    }

    /// Spaces and comments, and new lines where a rule cannot end.
    fn space(&mut self, lines: bool) {
        loop {
            match self.peek() {
                Some(' ' | '\t') => {}
                Some('\n' | '\r') if lines => {}
                Some('#') => {
                    let rest = &self.text[self.at..];
                    self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
                    continue;
                }
                _ => return,
            }
            self.bump();
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, expected: &str) -> bool {
        let there = self.text[self.at..].starts_with(expected);
        if there {
            self.at += expected.len();
        }
        there
    }

    fn wrong(&self, what: &str) -> Wrong {
        (self.at, what.into())
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// One character of these ranges, or with `^` any other.
fn terminal(not: &str, ranges: &[(u32, u32)]) -> String {
    let ranges: String = ranges.iter().map(|(first, last)| format!("\\x{{{first:x}}}-\\x{{{last:x}}}")).collect();
    format!("/[{not}{ranges}]/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        to_lark(text).unwrap_err().to_string()
    }

    #[test]
    fn rules_get_numbers_and_characters_codes() {
        let lark = to_lark("root ::= \"aé\" x-y* | [^a-c]\nx-y ::= .?").unwrap();
        let lines: Vec<&str> = lark.lines().collect();
        assert_eq!(lines[0], "start: r0");
        assert_eq!(lines[1], r"r0: (/[\x{61}-\x{61}]/ /[\x{e9}-\x{e9}]/) (r1)* | /[^\x{61}-\x{63}]/");
        assert_eq!(lines[2], r"r1: (/[\x{0}-\x{10ffff}]/)?");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let at = |line: u32, column: u32, what: &str| {
            format!("the grammar is wrong in line {line}, column {column}: {what}")
        };
        assert_eq!(wrong(""), at(1, 1, "there is no rule root, at which it begins"));
        assert_eq!(wrong("a ::= \"x\"\n"), at(2, 1, "there is no rule root, at which it begins"));
        assert_eq!(wrong("root ::= yes"), at(1, 10, "there is no rule yes"));
        assert_eq!(wrong("root ::= \"a\"\n?"), at(2, 1, "a rule's name is expected"));
        assert_eq!(wrong("root = \"a\""), at(1, 6, "::= is expected after a rule's name"));
        assert_eq!(wrong("root ::= \"é\" )"), at(1, 14, "a new line is expected after a rule"));
        assert_eq!(wrong("root ::= (\"a\"\n\"b\""), at(2, 4, ") is expected"));
        assert_eq!(wrong("root ::= \"a"), at(1, 12, "the grammar ends in the middle of a text"));
        assert_eq!(wrong("root ::= [a"), at(1, 12, "the grammar ends in the middle of a text"));
        assert_eq!(wrong("root ::= []"), at(1, 10, "there is no character in the brackets"));
        assert_eq!(wrong("root ::= [z-a]"), at(1, 11, "the range ends before it begins"));
        assert_eq!(wrong("root ::= \"\\q\""), at(1, 11, "\\q stands for nothing"));
        assert_eq!(wrong("root ::= \"\\x6\""), at(1, 11, "\\x is followed by 2 digits of a character's number"));
        assert_eq!(wrong("root ::= \"\\uD800\""), at(1, 11, "\\u is followed by 4 digits of a character's number"));
        assert_eq!(wrong("root ::= *"), at(1, 10, "there is nothing before it to be repeated"));
        assert_eq!(wrong("root ::= [a]{3,2}"), at(1, 13, "the most is less than the least"));
        assert_eq!(wrong("root ::= [a]{x}"), at(1, 14, "a number is expected"));
        assert_eq!(wrong("root ::= [a]{99999}"), at(1, 14, "more than 2000 repetitions are not supported"));
        assert_eq!(wrong("root ::= <think>"), at(1, 10, "tokens by their names are not supported"));
        assert_eq!(wrong("root ::= \"a\"\nroot ::= \"b\""), at(2, 1, "the rule root is there twice"));
        assert!(wrong(&format!("root ::= {}", "(".repeat(5000))).contains("nested too deep"));
    }

    #[test]
    fn hostile_text_does_not_panic() {
        let whole = "root ::= (\"é\\n\" | [^a-z\\U0001F600]{1,3} x)* . # é\nx ::= \"\\x41\"";
        for end in (0..=whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let _ = to_lark(&whole[..end]);
            let _ = to_lark(&format!("{}é{}", &whole[..end], &whole[end..]));
        }
        for text in ["\\", "root ::= \"\\xé\"", "root ::= \"\\U0000", "root ::= [a-", "é ::= \"a\""] {
            assert!(to_lark(text).is_err(), "{text}");
        }
    }
}
