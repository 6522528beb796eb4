//! Perplexity, counted as llama.cpp's llama-perplexity counts it.

use super::{EngineError, SymbioteEngine};
use crate::text::EncodeOptions;

/// How well a model predicts a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Perplexity {
    /// exp of the mean negative log-likelihood.
    pub perplexity: f64,
    /// Tokens of the text.
    pub tokens: usize,
    /// Windows.
    pub windows: usize,
    /// Predictions that were scored.
    pub scored: usize,
    /// The perplexity after each window.
    pub running: Vec<f64>,
}

impl SymbioteEngine {
    /// Cuts the text into windows of `context` tokens, each read from an empty cache, and scores the predictions in the
    /// second half of each. Tokens that fill no window are left out. Where the tokenizer starts sequences with BOS, it
    /// replaces the first token of each window.
    pub fn perplexity(
        &mut self,
        text: &str,
        context: u32,
        on_window: &mut dyn FnMut(usize, usize, f64),
    ) -> Result<Perplexity, EngineError> {
        const LEAST: u32 = 4;
        if context < LEAST || context > self.context() {
            let most = if context < LEAST { self.config().context_length } else { self.context() };
            return Err(EngineError::Context { asked: context, least: LEAST, most });
        }
        let tokenizer = self.tokenizer()?;
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        let text = text.strip_suffix('\n').unwrap_or(text);
        let tokens = tokenizer.encode(text, EncodeOptions { add_special: true, parse_special: false })?;
        let window = context as usize;
        if tokens.len() < 2 * window {
            return Err(EngineError::ShortText { found: tokens.len(), context, needed: 2 * window });
        }

        let windows = tokens.len() / window;
        let (mut nll, mut scored, mut running) = (0.0, 0usize, Vec::new());
        for (n, chunk) in tokens.chunks_exact(window).enumerate() {
            let mut input = chunk.to_vec();
            if let Some(bos) = bos {
                input[0] = bos;
            }
            self.truncate(0);
            self.forward_from(&input[..window - 1], window / 2, &mut |i, logits| {
                nll -= log_probability(logits, chunk[i + 1] as usize);
                scored += 1;
            })?;
            #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
            running.push((nll / scored as f64).exp());
            on_window(n + 1, windows, running[n]);
        }
        self.truncate(0);
        let perplexity = running.last().copied().unwrap_or(f64::NAN); // two windows at least
        Ok(Perplexity { perplexity, tokens: tokens.len(), windows, scored, running })
    }
}

/// ln softmax(logits)\[token\], in f64.
fn log_probability(logits: &[f32], token: usize) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|l| f64::from(l - top).exp()).sum();
    f64::from(logits[token] - top) - total.ln()
}
