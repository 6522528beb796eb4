//! Texts that end an answer.

/// Passes on a text as it comes, up to the first of some texts to be whole, and holds back what may be the beginning of one.
/// How the text is cut into pieces changes nothing.
pub struct StopTexts {
    stops: Vec<String>,
    /// Not passed on yet.
    held: String,
    found: bool,
}

impl StopTexts {
    /// Looks for `stops`; empty ones are never found.
    pub fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, held: String::new(), found: false }
    }

    /// What can be passed on once `piece` came.
    pub fn push(&mut self, piece: &str) -> String {
        if self.found {
            return String::new();
        }
        self.held.push_str(piece);
        // of those that end first, the one that began first
        let places = self.stops.iter().filter_map(|stop| Some((self.held.find(stop.as_str())?, stop.len())));
        if let Some((start, _)) = places.min_by_key(|(start, len)| (start + len, *start)) {
            self.found = true;
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let rest = self.held.split_off(self.held.len() - self.longest_beginning());
        std::mem::replace(&mut self.held, rest)
    }

    /// One of the texts came: nothing follows.
    pub fn found(&self) -> bool {
        self.found
    }

    /// What was held back for a text that did not come.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Bytes at the end of what is held that may begin one of the texts.
    fn longest_beginning(&self) -> usize {
        let beginnings = self.stops.iter().flat_map(|stop| stop.char_indices().map(|(at, _)| &stop[..at]));
        beginnings.filter(|beginning| self.held.ends_with(beginning)).map(str::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, String, bool) {
        let mut texts = StopTexts::new(&stops.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let passed = pieces.iter().map(|piece| texts.push(piece)).collect();
        let rest = texts.finish();
        (passed, rest, texts.found())
    }

    #[test]
    fn what_may_begin_a_stop_is_held_back_until_it_does_not() {
        let (passed, rest, found) = run(&["\nUser:"], &["Hi", "\n", "U", "nless", "\nUse", "r", ": me", "more"]);
        assert_eq!(passed, ["Hi", "", "", "\nUnless", "", "", "", ""]);
        assert_eq!((rest.as_str(), found), ("", true));
        let (passed, rest, found) = run(&["END"], &["the E", "N"]);
        assert_eq!((passed.concat().as_str(), rest.as_str(), found), ("the ", "EN", false));
        let (passed, _, found) = run(&["é…"], &["caf", "é", "é…!"]);
        assert_eq!((passed, found), (vec!["caf".into(), String::new(), "é".into()], true));
        assert_eq!(run(&["", "x"], &["a", "x"]).0, ["a", ""]);
        assert_eq!(run(&[], &["a", "b"]).0, ["a", "b"]);
    }

    #[test]
    fn the_text_that_is_whole_first_counts() {
        assert_eq!(run(&["abcd", "bc"], &["abcd"]).0, ["a"]);
        assert_eq!(run(&["abc", "bc"], &["xabc"]).0, ["x"]);
        assert_eq!(run(&["aab"], &["aaab"]).0, ["a"]);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            text in "[abé]{0,20}",
            stops in prop::collection::vec("[abé]{1,4}", 0..3),
            cuts in prop::collection::vec(0usize..20, 0..6),
        ) {
            let chars: Vec<char> = text.chars().collect();
            let mut whole = StopTexts::new(&stops);
            let expected = whole.push(&text) + &whole.finish();
            let mut parts = StopTexts::new(&stops);
            let mut bounds: Vec<usize> = cuts.into_iter().filter(|c| *c < chars.len()).chain([0, chars.len()]).collect();
            bounds.sort_unstable();
            let pieces = bounds.windows(2).map(|pair| chars[pair[0]..pair[1]].iter().collect::<String>());
            let passed: String = pieces.map(|piece| parts.push(&piece)).collect();
            prop_assert!(text.starts_with(&passed));
            prop_assert_eq!(&(passed + &parts.finish()), &expected);
            prop_assert_eq!(parts.found(), whole.found());
            // nothing of a stop is passed on, and without one nothing is lost
            prop_assert!(stops.iter().all(|stop| !expected.contains(stop)));
            prop_assert!(parts.found() || expected == text);
        }
    }
}
