//! Tokens that end an answer whatever the files around them say, known by their text. The list is that of llama.cpp
//! (`llama_vocab::impl::load`, end-of-generation tokens), so that a model stops here where it stops there.

const TEXTS: [&str; 33] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
    "[e~[",
    // between files, in models that fill in the middle
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
];

/// Ids that end an answer: those in `given`, and those of `tokens` whose text says so.
pub(crate) fn ids<'t>(given: impl IntoIterator<Item = u32>, tokens: impl Iterator<Item = (u32, &'t str)>) -> Vec<u32> {
    let named: Vec<(u32, &str)> = tokens.filter(|(_, text)| TEXTS.contains(text)).collect();
    let has = |text: &str| named.iter().any(|(_, t)| *t == text);
    // where a format has both, <|end|> ends a part of an answer only, and </s> is an ordinary word
    let end_of_part = has("<|return|>") && has("<|call|>") || has("<|flush|>") && (has("<|call|>") || has("<|calls|>"));
    let ordinary = has("<|tool_response>");
    let ends = |text: &str| !(text == "<|end|>" && end_of_part || text == "</s>" && ordinary);
    let mut ids: Vec<u32> = given.into_iter().collect();
    ids.extend(named.iter().filter(|(_, text)| ends(text)).map(|(id, _)| id));
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(texts: &[&str]) -> Vec<u32> {
        ids([90], (0..).zip(texts.iter().copied()))
    }

    #[test]
    fn tokens_end_an_answer_by_their_text_unless_the_format_uses_them_inside_one() {
        assert_eq!(stop(&["a", "<|im_end|>", "<end_of_turn>", "<|endoftext|>"]), [1, 2, 3, 90]);
        assert_eq!(stop(&["<|end|>", "<|return|>"]), [0, 1, 90]);
        assert_eq!(stop(&["<|end|>", "<|return|>", "<|call|>"]), [1, 2, 90]);
        assert_eq!(stop(&["<|end|>", "<|flush|>", "<|calls|>"]), [1, 2, 90]);
        assert_eq!(stop(&["</s>", "<turn|>"]), [0, 1, 90]);
        assert_eq!(stop(&["</s>", "<turn|>", "<|tool_response>"]), [1, 2, 90]);
    }
}
