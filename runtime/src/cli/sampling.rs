//! Flags of the sampler: llama.cpp's.

use clap::Parser;
use symbiote_runtime::engine::{Dry, Sampling};

#[derive(Parser)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// Divides the logits; 0 always takes the best token
    #[arg(long = "temp", visible_alias = "temperature", value_name = "T", default_value_t = Sampling::default().temperature)]
    pub temperature: f32,

    /// How far the temperature moves down where the model is sure and up where it is not; 0 keeps it
    #[arg(long, value_name = "T", default_value_t = Sampling::default().dynatemp_range)]
    pub dynatemp_range: f32,

    /// Above 1, --dynatemp-range keeps the temperature low for longer
    #[arg(long, value_name = "X", default_value_t = Sampling::default().dynatemp_exponent)]
    pub dynatemp_exp: f32,

    /// Keep the K best tokens; 0 keeps all
    #[arg(long, value_name = "K", default_value_t = Sampling::default().top_k)]
    pub top_k: usize,

    /// Keep the fewest best tokens whose probabilities reach P; 1 keeps all
    #[arg(long, value_name = "P", default_value_t = Sampling::default().top_p)]
    pub top_p: f32,

    /// Keep tokens with at least P times the best one's probability; 0 keeps all
    #[arg(long, value_name = "P", default_value_t = Sampling::default().min_p)]
    pub min_p: f32,

    /// Keep tokens about as surprising as is expected, until their probabilities pass P; 1 keeps all
    #[arg(long, visible_alias = "typical-p", value_name = "P", default_value_t = Sampling::default().typical_p)]
    pub typical: f32,

    /// Keep tokens at most N standard deviations of the logits below the best; 0 or less keeps all
    #[arg(long, visible_alias = "top-nsigma", value_name = "N", default_value_t = Sampling::default().top_n_sigma)]
    #[arg(allow_negative_numbers = true)]
    pub top_n_sigma: f32,

    /// How often the likeliest tokens are taken away, so that a less likely one is drawn
    #[arg(long, value_name = "P", default_value_t = Sampling::default().xtc_probability)]
    pub xtc_probability: f32,

    /// How probable a token must be for --xtc-probability; the least probable of them stays
    #[arg(long, value_name = "P", default_value_t = Sampling::default().xtc_threshold)]
    pub xtc_threshold: f32,

    /// Makes recent tokens less likely; 1 changes nothing
    #[arg(long, value_name = "X", default_value_t = Sampling::default().repeat_penalty)]
    pub repeat_penalty: f32,

    /// How many recent tokens the penalties see
    #[arg(long, alias = "repeat-last", value_name = "N", default_value_t = Sampling::default().repeat_last_n)]
    pub repeat_last_n: usize,

    /// Taken off the logit of a recent token
    #[arg(long, value_name = "X", default_value_t = Sampling::default().presence_penalty, allow_negative_numbers = true)]
    pub presence_penalty: f32,

    /// Taken off the logit of a recent token, for each time that it came
    #[arg(long, value_name = "X", default_value_t = Sampling::default().frequency_penalty, allow_negative_numbers = true)]
    pub frequency_penalty: f32,

    /// How much a token that goes on with a repeated sequence is held back; 0 does nothing
    #[arg(long, value_name = "X", default_value_t = Dry::default().multiplier)]
    pub dry_multiplier: f32,

    /// How fast that grows with each token of the repeated sequence
    #[arg(long, value_name = "X", default_value_t = Dry::default().base)]
    pub dry_base: f32,

    /// Shorter repeated sequences cost nothing
    #[arg(long, value_name = "N", default_value_t = Dry::default().allowed_length)]
    pub dry_allowed_length: usize,

    /// How many recent tokens are searched for repeated sequences; 0 does nothing
    #[arg(long, value_name = "N", default_value_t = Dry::default().penalty_last_n)]
    pub dry_penalty_last_n: usize,

    /// A text that no repeated sequence goes across; may be given several times, and `none` alone is for none [default: a new
    /// line, a colon, a double quote, an asterisk]
    #[arg(long, value_name = "TEXT", value_parser = unescape)]
    pub dry_sequence_breaker: Option<Vec<String>>,

    /// Draw by Mirostat 1 or 2, in place of all else but temperature and bias; 0 does not
    #[arg(long, value_name = "N", default_value_t = Sampling::default().mirostat)]
    pub mirostat: u8,

    /// How fast Mirostat corrects itself
    #[arg(long, value_name = "X", default_value_t = Sampling::default().mirostat_lr)]
    pub mirostat_lr: f32,

    /// The surprise that Mirostat aims at, in bits
    #[arg(long, value_name = "BITS", default_value_t = Sampling::default().mirostat_ent)]
    pub mirostat_ent: f32,

    /// Add to the logit of the token with this id, such as 15043+1.5 or 15043-inf; may be given several times
    #[arg(short, long, value_name = "ID±X", value_parser = bias)]
    pub logit_bias: Vec<(u32, f32)>,

    /// Start of the random sequence; the same seed gives the same text, and -1 is the clock [default: -1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<i64>,
}

impl SamplingArgs {
    /// What they mean to the library.
    pub fn sampling(&self) -> Sampling {
        let breakers = self.dry_sequence_breaker.clone().unwrap_or_else(|| Dry::default().sequence_breakers);
        Sampling {
            temperature: self.temperature,
            dynatemp_range: self.dynatemp_range,
            dynatemp_exponent: self.dynatemp_exp,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            typical_p: self.typical,
            top_n_sigma: self.top_n_sigma,
            xtc_probability: self.xtc_probability,
            xtc_threshold: self.xtc_threshold,
            repeat_penalty: self.repeat_penalty,
            repeat_last_n: self.repeat_last_n,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            dry: Dry {
                multiplier: self.dry_multiplier,
                base: self.dry_base,
                allowed_length: self.dry_allowed_length,
                penalty_last_n: self.dry_penalty_last_n,
                sequence_breakers: if breakers == ["none"] { Vec::new() } else { breakers },
            },
            mirostat: self.mirostat,
            mirostat_lr: self.mirostat_lr,
            mirostat_ent: self.mirostat_ent,
            logit_bias: self.logit_bias.clone(),
            seed: self.seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or_else(seed_from_clock),
        }
    }
}

/// An id, a sign and a number.
fn bias(text: &str) -> Result<(u32, f32), String> {
    let parse = || {
        let (id, bias) = text.split_at(text.find(['+', '-'])?);
        Some((id.parse().ok()?, bias.parse().ok()?))
    };
    parse().ok_or_else(|| "it must be a token's id, a sign and a number, such as 15043+1.5".into())
}

/// Reads `\n`, `\t`, `\r`, `\"`, `\'` and `\\` as what they stand for.
pub fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(c @ ('"' | '\'' | '\\')) => c,
                other => {
                    let found: String = ['\\'].into_iter().chain(other).collect();
                    return Err(format!("{found} stands for nothing: write \\\\ for a backslash"));
                }
            },
            c => c,
        });
    }
    match plain.is_empty() {
        true => Err("it is empty".into()),
        false => Ok(plain),
    }
}

fn seed_from_clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_secs() << 20 | u64::from(now.subsec_micros())
}
