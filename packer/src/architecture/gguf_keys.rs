//! Hyperparameters out of GGUF keys.

use std::cell::RefCell;
use std::collections::HashSet;

use symbiote_format::{Design, Latent, ModelConfig};

use super::ArchitectureError;
use super::config_json::LATENT_NORM_EPS;
use super::description::{Architecture, GgufRules, Hyperparameters};
use super::layers::{LayerFlags, all};
use super::rope_gguf::StoredFactors;
use crate::source::gguf::Keys;

type Result<T> = std::result::Result<T, ArchitectureError>;

/// Keys that change nothing here: the embedding's own rows count, and the rest is history.
const IGNORED: [&str; 2] = ["vocab_size", "tensor_data_layout"];

/// Keys that would change the computation, with the one value that does not. They hold where the architecture does not
/// read the key.
const NEUTRAL: [(&str, &str); 7] = [
    ("expert_count", "0"),
    ("expert_used_count", "0"),
    ("attention.causal", "true"),
    ("attention.sliding_window", "0"),
    ("use_parallel_residual", "false"),
    ("pooling_type", "0"),
    ("logit_scale", "1"),
];

/// The hyperparameters of a model of `architecture`, whose `rules` these are. `vocab_size` is the embedding's;
/// `factors` are the divisors of rotary frequencies that are stored as tensors.
pub(crate) fn from_gguf(
    architecture: &Architecture,
    rules: &GgufRules,
    keys: Keys,
    vocab_size: u32,
    factors: StoredFactors,
) -> Result<Hyperparameters> {
    let keys = GgufKeys { keys, prefix: architecture.name, read: RefCell::default() };
    let config = keys.config(rules, vocab_size, factors, architecture.has_latents())?;
    let mixtures = keys.mixtures(architecture, &config)?;
    keys.check_all_known()?;
    Ok(Hyperparameters { config, mixtures })
}

/// The keys below one architecture's name. It remembers what was read.
pub(crate) struct GgufKeys<'k, 'a> {
    keys: Keys<'k, 'a>,
    prefix: &'static str,
    read: RefCell<HashSet<&'static str>>,
}

impl GgufKeys<'_, '_> {
    fn config(&self, rules: &GgufRules, vocab_size: u32, factors: StoredFactors, latents: bool) -> Result<ModelConfig> {
        let (hidden_size, head_count) =
            (self.required_u32("embedding_length")?, self.required_u32("attention.head_count")?);
        let plain = || hidden_size.checked_div(head_count).unwrap_or(0);
        let mut head_dim = self.u32("attention.key_length")?.unwrap_or_else(plain);
        let value_len = self.u32("attention.value_length")?.unwrap_or(head_dim);
        let latent = latents.then(|| self.latent(value_len)).transpose()?;
        if latents {
            head_dim = self.u32("attention.key_length_mla")?.unwrap_or(head_dim);
        } else if value_len != head_dim {
            return Err(self.unsupported("attention.value_length", value_len, format!("the head size, {head_dim}")));
        }
        let context_length = self.required_u32("context_length")?;
        let rope_dims = self.u32("rope.dimension_count")?.unwrap_or(head_dim);
        let mut config = ModelConfig {
            vocab_size,
            context_length,
            hidden_size,
            layer_count: self.required_u32("block_count")?,
            head_count,
            // of latent attention llama.cpp's cache has one
            kv_head_count: self.u32("attention.head_count_kv")?.filter(|_| !latents).unwrap_or(head_count),
            head_dim,
            ffn_size: self.required_u32("feed_forward_length")?,
            norm_eps: self.required(self.float(rules.norm_eps)?, rules.norm_eps)?,
            // settled by the presence of the head
            tied_embeddings: false,
            rope_base: self.float("rope.freq_base")?.unwrap_or(10_000.0),
            rope_dims,
            rope_layout: rules.rope_layout,
            rope_scaling: (rules.rope)(self, context_length, rope_dims, factors)?,
            design: Design { latent: latent.clone(), ..Design::default() },
        };
        // what follows makes lists of as many numbers as there are layers
        config = ModelConfig::from_params(config.to_params())?;
        config.design = Design { latent, ..(rules.design)(self, &config)? };
        Ok(ModelConfig::from_params(config.to_params())?)
    }

    /// The sizes of latent attention. Files since 2025 say those of heads apart from those of llama.cpp's cache.
    fn latent(&self, value_len: u32) -> Result<Latent> {
        Ok(Latent {
            query_rank: self.u32("attention.q_lora_rank")?.unwrap_or(0),
            kv_rank: self.required_u32("attention.kv_lora_rank")?,
            value_dim: self.u32("attention.value_length_mla")?.unwrap_or(value_len),
            norm_eps: LATENT_NORM_EPS,
        })
    }

    fn key(&self, name: &'static str) -> String {
        self.knows(name);
        format!("{}.{name}", self.prefix)
    }

    /// Counts a key as known, whatever its value.
    pub fn knows(&self, name: &'static str) {
        self.read.borrow_mut().insert(name);
    }

    pub fn u32(&self, name: &'static str) -> Result<Option<u32>> {
        let value = self.keys.unsigned(&self.key(name))?;
        let narrow = |n: u64| u32::try_from(n).map_err(|_| self.unsupported(name, n, "below 2^32"));
        value.map(narrow).transpose()
    }

    pub fn float(&self, name: &'static str) -> Result<Option<f32>> {
        Ok(self.keys.float(&self.key(name))?)
    }

    /// A factor, where one is set: 0 has always stood for "none".
    pub fn factor(&self, name: &'static str) -> Result<Option<f32>> {
        Ok(self.float(name)?.filter(|x| *x != 0.0))
    }

    pub fn bool(&self, name: &'static str) -> Result<Option<bool>> {
        Ok(self.keys.bool(&self.key(name))?)
    }

    pub fn text(&self, name: &'static str) -> Result<Option<String>> {
        Ok(self.keys.text(&self.key(name))?.map(String::from))
    }

    pub fn required<T>(&self, value: Option<T>, name: &'static str) -> Result<T> {
        value.ok_or_else(|| ArchitectureError::MissingKey { key: self.key(name) })
    }

    fn required_u32(&self, name: &'static str) -> Result<u32> {
        self.required(self.u32(name)?, name)
    }

    /// The window of the layers that have one; `None` where the file says 0 or nothing.
    pub fn window(&self) -> Result<Option<u32>> {
        Ok(self.u32("attention.sliding_window")?.filter(|window| *window != 0))
    }

    /// That window in every layer.
    pub fn window_everywhere(&self, config: &ModelConfig) -> Result<Vec<u32>> {
        Ok(self.window()?.map(|window| LayerFlags::of(config, all).windows(window)).unwrap_or_default())
    }

    /// Which layers see a window: as the file lists them, or all but the last of every `period`, the file's or this.
    pub fn windowed(&self, config: &ModelConfig, period: u32) -> Result<LayerFlags> {
        const NAME: &str = "attention.sliding_window_pattern";
        let key = self.key(NAME);
        if self.keys.is_array(&key) {
            let flags = self.keys.array(&key, "an array of true or false", |array| array.bools())?;
            let flags = flags.filter(|flags| flags.len() == config.layer_count as usize).map(LayerFlags);
            return flags.ok_or_else(|| self.unsupported(NAME, "a list", format!("{} flags", config.layer_count)));
        }
        let period = self.u32(NAME)?.unwrap_or(period);
        Ok(LayerFlags::of(config, |layer| period == 0 || layer % period < period - 1))
    }

    pub fn unsupported(
        &self,
        name: &'static str,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> ArchitectureError {
        ArchitectureError::Unsupported { key: self.key(name), found: found.to_string(), expected: expected.into() }
    }

    /// Every key of the architecture has been read, is known to change nothing, or neutral.
    fn check_all_known(&self) -> Result<()> {
        let names = self.keys.0.iter().filter_map(|(key, value)| {
            let name = key.strip_prefix(self.prefix)?.strip_prefix('.')?;
            Some((*key, name, value))
        });
        for (key, name, value) in names {
            if self.read.borrow().contains(name) || IGNORED.contains(&name) {
                continue;
            }
            match NEUTRAL.iter().find(|(neutral, _)| *neutral == name) {
                Some((_, expected)) if value.to_string() == *expected => {}
                Some((name, expected)) => return Err(self.unsupported(name, value, *expected)),
                None => return Err(ArchitectureError::UnknownKey { key: key.into() }),
            }
        }
        Ok(())
    }
}
