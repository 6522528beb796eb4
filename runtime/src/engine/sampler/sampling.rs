//! The settings of a sampler: names, defaults and meaning are llama.cpp's.

use super::dry::Dry;

/// How the next token is drawn. Only `temperature`, `top_k`, `top_p` and `min_p` do anything by default.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits before the draw; 0 takes the best token.
    pub temperature: f32,
    /// How far the temperature moves up and down with the entropy of what is left; 0 keeps it.
    pub dynatemp_range: f32,
    /// How entropy becomes temperature: above 1, it stays low for longer.
    pub dynatemp_exponent: f32,
    /// Keep the k best tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the fewest best tokens whose probabilities reach p; 1 keeps all (arXiv 1904.09751).
    pub top_p: f32,
    /// Keep tokens with at least p times the best one's probability; 0 keeps all (arXiv 2407.01082).
    pub min_p: f32,
    /// Keep tokens as surprising as is expected, until their probabilities pass p; 1 keeps all (arXiv 2202.00666).
    pub typical_p: f32,
    /// Keep tokens at most so many standard deviations below the best logit; 0 or less keeps all (arXiv 2411.07641).
    pub top_n_sigma: f32,
    /// How often the likeliest tokens are taken away, so that a less likely one is drawn.
    pub xtc_probability: f32,
    /// How probable a token must be for that; the least probable of them stays. Above a half it never happens.
    pub xtc_threshold: f32,
    /// Divides positive and multiplies negative logits of recent tokens; 1 changes nothing (arXiv 1909.05858).
    pub repeat_penalty: f32,
    /// How many recent tokens the penalties see.
    pub repeat_last_n: usize,
    /// Taken off the logit of a recent token.
    pub presence_penalty: f32,
    /// Taken off the logit of a recent token, each time that it came.
    pub frequency_penalty: f32,
    /// A penalty on repeated sequences.
    pub dry: Dry,
    /// The version of Mirostat (arXiv 2007.14966) that draws, 1 or 2; 0 for none. Of the rest, it leaves temperature and bias.
    pub mirostat: u8,
    /// How fast Mirostat corrects itself.
    pub mirostat_lr: f32,
    /// The surprise that Mirostat aims at, in bits.
    pub mirostat_ent: f32,
    /// Added to the logits of these tokens; -inf forbids one.
    pub logit_bias: Vec<(u32, f32)>,
    /// Start of the random sequence: the same seed gives the same text.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.8, top_k: 40, top_p: 0.95, min_p: 0.05, ..Self::open() }
    }
}

impl Sampling {
    /// Every token as the model has it: no setting does anything.
    pub fn open() -> Self {
        Self {
            temperature: 1.0,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            top_n_sigma: -1.0,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            dry: Dry::default(),
            mirostat: 0,
            mirostat_lr: 0.1,
            mirostat_ent: 5.0,
            logit_bias: Vec::new(),
            seed: 0,
        }
    }

    /// Always the best token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// What is wrong with the settings, if anything.
    pub fn check(&self) -> Result<(), String> {
        let share = |p: f32| (0.0..=1.0).contains(&p);
        let some = |p: f32| p > 0.0 && p <= 1.0;
        let least = |least: f32, x: f32| x >= least && x.is_finite();
        let (any, not_negative, positive) = ("a finite number", "0 or more", "above 0");
        let (some_share, any_share) = ("above 0 and at most 1", "from 0 to 1");
        let rules = [
            ("temp", self.temperature, least(0.0, self.temperature), not_negative),
            ("dynatemp-range", self.dynatemp_range, least(0.0, self.dynatemp_range), not_negative),
            ("dynatemp-exp", self.dynatemp_exponent, least(0.0, self.dynatemp_exponent), not_negative),
            ("top-p", self.top_p, some(self.top_p), some_share),
            ("min-p", self.min_p, share(self.min_p), any_share),
            ("typical", self.typical_p, some(self.typical_p), some_share),
            ("top-n-sigma", self.top_n_sigma, self.top_n_sigma.is_finite(), any),
            ("xtc-probability", self.xtc_probability, share(self.xtc_probability), any_share),
            ("xtc-threshold", self.xtc_threshold, share(self.xtc_threshold), any_share),
            (
                "repeat-penalty",
                self.repeat_penalty,
                self.repeat_penalty.is_normal() && self.repeat_penalty > 0.0,
                positive,
            ),
            ("presence-penalty", self.presence_penalty, self.presence_penalty.is_finite(), any),
            ("frequency-penalty", self.frequency_penalty, self.frequency_penalty.is_finite(), any),
            ("dry-multiplier", self.dry.multiplier, least(0.0, self.dry.multiplier), not_negative),
            ("dry-base", self.dry.base, least(1.0, self.dry.base), "1 or more"),
            ("mirostat", self.mirostat.into(), self.mirostat <= 2, "0, 1 or 2"),
            ("mirostat-lr", self.mirostat_lr, least(0.0, self.mirostat_lr), not_negative),
            ("mirostat-ent", self.mirostat_ent, least(0.0, self.mirostat_ent), not_negative),
        ];
        for (name, value, good, expected) in rules {
            if !good {
                return Err(format!("{name} is {value}; it must be {expected}"));
            }
        }
        let wrong = |bias: f32| bias.is_nan() || bias == f32::INFINITY;
        match self.logit_bias.iter().find(|(_, bias)| wrong(*bias)) {
            Some((id, bias)) => Err(format!("logit-bias of token {id} is {bias}; it must be a number below infinity")),
            None => Ok(()),
        }
    }
}
