//! Text in, text out.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::{EngineError, GenerateOptions, Sampler, SymbioteEngine};
use crate::residency::ResidencyError;
use crate::text::{EncodeOptions, StreamDecoder};

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The model said so.
    EndOfAnswer,
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
    /// The text.
    pub text: String,
    /// Its tokens, the one that ended it not counted.
    pub tokens: Vec<u32>,
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
    /// every pass, with an empty text where no character became whole, so that it can stop a long prompt too.
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
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        if prompt.len() > self.context() as usize {
            return Err(EngineError::ContextFull { tokens: prompt.len(), used: 0, context: self.context() });
        }
        // at least the last token is computed anew: its logits are wanted
        let shared = self.sequence().iter().zip(prompt).take_while(|(a, b)| a == b).count().min(prompt.len() - 1);
        self.truncate(shared);

        let tokenizer = self.tokenizer()?;
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
        let mut text = String::new();
        let mut tokens = Vec::new();
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
            let token = sampler.sample(&logits, self.sequence());
            if !options.ignore_stop && tokenizer.is_stop(token) {
                break Stop::EndOfAnswer;
            }
            tokens.push(token);
            let piece = decoder.push(&tokenizer, token);
            text.push_str(&piece);
            if on_text(&piece).is_break() {
                break Stop::Cancelled;
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
        let rest = decoder.finish();
        if !rest.is_empty() {
            text.push_str(&rest);
            let _ = on_text(&rest);
        }
        Ok(Generation {
            text,
            tokens,
            stop,
            prompt_tokens,
            prompt_time,
            first_token,
            decode_passes: passes,
            decode_time: start.elapsed(),
        })
    }
}
