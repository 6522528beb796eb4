//! Text in, text out.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::grammar::Constraint;
use super::stop_texts::StopTexts;
use super::{EngineError, GenerateOptions, Sampler, Step, SymbioteEngine, TokenProbs};
use crate::residency::ResidencyError;
use crate::text::{EncodeOptions, StreamDecoder};

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The model said so, or the grammar has nothing that could follow.
    EndOfAnswer,
    /// One of the texts to stop at came.
    StopText,
    /// It has as many tokens as were asked for.
    MaxTokens,
    /// The context is full.
    ContextFull,
    /// The callback asked for it.
    Cancelled,
}

/// An answer and what it took.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The text, up to the text that it was to stop at.
    pub text: String,
    /// Its tokens, those of a text to stop at counted, the one by which the model ended it not.
    pub tokens: Vec<u32>,
    /// How probable each of them was, if that was asked for.
    pub probs: Vec<TokenProbs>,
    /// Why it ended.
    pub stop: Stop,
    /// Tokens of the prompt that were computed, those already in the cache not counted.
    pub prompt_tokens: usize,
    /// Time for them.
    pub prompt_time: Duration,
    /// Time from the call to the first token of the answer, weights that had to be read included.
    pub first_token: Duration,
    /// Passes for the answer, one token each; the first token comes with the prompt.
    pub decode_passes: usize,
    /// Time for those.
    pub decode_time: Duration,
}

impl SymbioteEngine {
    /// Continues `prompt`. The callback gets the text as it comes, in whole characters, and may stop it. It is called after
    /// every pass, with an empty text where no character became whole or it may begin a text to stop at, so that it can stop a
    /// long prompt too.
    ///
    /// What the sequence so far shares with the prompt is kept; the rest of it is forgotten.
    pub fn generate(
        &mut self,
        prompt: &str,
        options: &GenerateOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, EngineError> {
        let encode = EncodeOptions { add_special: true, parse_special: options.parse_special };
        let tokens = self.tokenizer()?.encode(prompt, encode)?;
        self.generate_from(&tokens, options, on_text)
    }

    /// Continues a prompt given as token ids.
    pub fn generate_from(
        &mut self,
        prompt: &[u32],
        options: &GenerateOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, EngineError> {
        options.sampling.check().map_err(EngineError::Sampling)?;
        let vocabulary = self.config().vocab_size;
        if let Some((token, _)) = options.sampling.logit_bias.iter().find(|(id, _)| *id >= vocabulary) {
            return Err(EngineError::Token { token: *token, vocabulary });
        }
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        if prompt.len() > self.context() as usize {
            return Err(EngineError::ContextFull { tokens: prompt.len(), used: 0, context: self.context() });
        }
        let tokenizer = self.tokenizer()?;
        let constraint = options.grammar.as_ref().map(|grammar| Constraint::new(grammar, &tokenizer, vocabulary));
        let mut constraint = constraint.transpose()?;
        // at least the last token is computed anew: its logits are wanted
        let shared = self.sequence().iter().zip(prompt).take_while(|(a, b)| a == b).count().min(prompt.len() - 1);
        self.truncate(shared);

        let bytes = |id| tokenizer.token_bytes(id).unwrap_or_default();
        let start = Instant::now();
        let mut logits = Vec::new();
        let mut cancelled = false;
        for chunk in prompt[shared..].chunks(self.batch()) {
            cancelled |= !logits.is_empty() && on_text("").is_break();
            if cancelled {
                break;
            }
            match self.forward(chunk) {
                Err(EngineError::Residency(ResidencyError::Cancelled)) => cancelled = true,
                done => logits = done?,
            }
        }
        let prompt_time = start.elapsed();
        let first_token = start.elapsed();
        let prompt_tokens = self.sequence().len() - shared;
        let mut sampler = Sampler::new(options.sampling.clone());
        let mut decoder = StreamDecoder::new();
        let mut stops = StopTexts::new(&options.stop);
        let mut text = String::new();
        let (mut tokens, mut probs) = (Vec::new(), Vec::new());
        let mut passes = 0;
        let start = Instant::now();
        let stop = loop {
            if cancelled {
                break Stop::Cancelled;
            }
            if tokens.len() >= options.max_tokens as usize {
                break Stop::MaxTokens;
            }
            // the sequence is the prompt and all tokens so far
            let set = constraint.as_mut().map(Constraint::allowed).transpose()?;
            let allowed = set.as_ref().map(|set| |id: u32| set.is_allowed(id));
            let token = sampler.sample(&Step {
                logits: &logits,
                recent: self.sequence(),
                bytes: &bytes,
                allowed: allowed.as_ref().map(|allowed| allowed as &dyn Fn(u32) -> bool),
            });
            // where there is a grammar, this token comes only where it ends
            if tokenizer.is_stop(token) && (!options.ignore_stop || constraint.is_some()) {
                break Stop::EndOfAnswer;
            }
            if let Some(constraint) = &mut constraint {
                constraint.accept(token)?;
            }
            tokens.push(token);
            if options.n_probs > 0 {
                probs.push(TokenProbs::new(&logits, token, options.n_probs));
            }
            let piece = stops.push(&decoder.push(&tokenizer, token));
            text.push_str(&piece);
            if on_text(&piece).is_break() {
                break Stop::Cancelled;
            }
            if stops.found() {
                break Stop::StopText;
            }
            if constraint.as_ref().is_some_and(Constraint::is_over) {
                break Stop::EndOfAnswer;
            }
            if tokens.len() >= options.max_tokens as usize {
                break Stop::MaxTokens;
            }
            if self.sequence().len() >= self.context() as usize {
                break Stop::ContextFull;
            }
            self.reload_shaders();
            logits = match self.forward(&[token]) {
                Err(EngineError::Residency(ResidencyError::Cancelled)) => break Stop::Cancelled,
                done => done?,
            };
            passes += 1;
        };
        let rest = stops.push(&decoder.finish()) + &stops.finish();
        if !rest.is_empty() {
            text.push_str(&rest);
            let _ = on_text(&rest);
        }
        Ok(Generation {
            text,
            tokens,
            probs,
            stop,
            prompt_tokens,
            prompt_time,
            first_token,
            decode_passes: passes,
            decode_time: start.elapsed(),
        })
    }
}
