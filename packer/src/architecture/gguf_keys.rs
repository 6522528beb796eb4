//! Hyperparameters out of GGUF keys.

use symbiote_format::{Design, ModelConfig, RopeLayout};

use super::{ArchitectureError, rope_gguf};
use crate::source::gguf::Keys;

type Result<T> = std::result::Result<T, ArchitectureError>;

/// Keys below the architecture's name that are read here.
const READ: [&str; 10] = [
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "rope.dimension_count",
];

/// Keys that change nothing here: the embedding's own rows count, and the rest is history.
const IGNORED: [&str; 2] = ["vocab_size", "tensor_data_layout"];

/// Keys that would change the computation, with the one value that does not.
const NEUTRAL: [(&str, &str); 7] = [
    ("expert_count", "0"),
    ("expert_used_count", "0"),
    ("attention.causal", "true"),
    ("attention.sliding_window", "0"),
    ("use_parallel_residual", "false"),
    ("pooling_type", "0"),
    ("logit_scale", "1"),
];

/// Llama's hyperparameters. `vocab_size` is the embedding's.
pub(super) fn llama(keys: Keys, vocab_size: u32) -> Result<ModelConfig> {
    let p = Prefixed { keys, prefix: "llama" };
    p.check_all_known()?;
    let (hidden_size, head_count) = (p.required_u32("embedding_length")?, p.required_u32("attention.head_count")?);
    let head_dim = match p.u32("attention.key_length")? {
        Some(head_dim) => head_dim,
        None => hidden_size.checked_div(head_count).unwrap_or(0),
    };
    let value_len = p.u32("attention.value_length")?.unwrap_or(head_dim);
    if value_len != head_dim {
        return Err(p.unsupported("attention.value_length", value_len, format!("the head size, {head_dim}")));
    }
    let context_length = p.required_u32("context_length")?;
    let config = ModelConfig {
        vocab_size,
        context_length,
        hidden_size,
        layer_count: p.required_u32("block_count")?,
        head_count,
        kv_head_count: p.u32("attention.head_count_kv")?.unwrap_or(head_count),
        head_dim,
        ffn_size: p.required_u32("feed_forward_length")?,
        norm_eps: p.required(p.float("attention.layer_norm_rms_epsilon")?, "attention.layer_norm_rms_epsilon")?,
        // settled by the presence of the head
        tied_embeddings: false,
        rope_base: p.float("rope.freq_base")?.unwrap_or(10_000.0),
        rope_dims: p.u32("rope.dimension_count")?.unwrap_or(head_dim),
        rope_layout: RopeLayout::Interleaved,
        rope_scaling: rope_gguf::scaling(p, context_length)?,
        design: Design::default(),
    };
    Ok(ModelConfig::from_params(config.to_params())?)
}

/// The keys below one architecture's name.
#[derive(Clone, Copy)]
pub(super) struct Prefixed<'k, 'a> {
    keys: Keys<'k, 'a>,
    prefix: &'static str,
}

impl Prefixed<'_, '_> {
    fn key(self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    pub fn u32(self, name: &str) -> Result<Option<u32>> {
        let key = self.key(name);
        let value = self.keys.unsigned(&key)?;
        let narrow = |n: u64| u32::try_from(n).map_err(|_| self.unsupported(name, n, "below 2^32"));
        value.map(narrow).transpose()
    }

    pub fn float(self, name: &str) -> Result<Option<f32>> {
        Ok(self.keys.float(&self.key(name))?)
    }

    pub fn text(self, name: &str) -> Result<Option<String>> {
        Ok(self.keys.text(&self.key(name))?.map(String::from))
    }

    pub fn required<T>(self, value: Option<T>, name: &str) -> Result<T> {
        value.ok_or_else(|| ArchitectureError::MissingKey { key: self.key(name) })
    }

    fn required_u32(self, name: &str) -> Result<u32> {
        self.required(self.u32(name)?, name)
    }

    pub fn unsupported(self, name: &str, found: impl ToString, expected: impl Into<String>) -> ArchitectureError {
        ArchitectureError::Unsupported { key: self.key(name), found: found.to_string(), expected: expected.into() }
    }

    /// Every key of the architecture is read, known to change nothing, or neutral.
    fn check_all_known(self) -> Result<()> {
        let names = self.keys.0.iter().filter_map(|(key, value)| {
            let name = key.strip_prefix(self.prefix)?.strip_prefix('.')?;
            Some((name, value))
        });
        for (name, value) in names {
            if READ.contains(&name) || IGNORED.contains(&name) || rope_gguf::READ.contains(&name) {
                continue;
            }
            match NEUTRAL.iter().find(|(neutral, _)| *neutral == name) {
                Some((_, expected)) if value.to_string() == *expected => {}
                Some((_, expected)) => return Err(self.unsupported(name, value, *expected)),
                None => return Err(ArchitectureError::UnknownKey { key: self.key(name) }),
            }
        }
        Ok(())
    }
}
