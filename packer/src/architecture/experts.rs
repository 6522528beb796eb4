//! Hyperparameters of mixtures of experts, by the keys that architectures share.

use symbiote_format::{Experts, ModelConfig, Scoring};

use super::ArchitectureError;
use super::config_json::{ConfigJson, unsupported};
use super::description::Architecture;
use super::gguf_keys::GgufKeys;
use super::layers::{LayerFlags, all};

type Result<T> = std::result::Result<T, ArchitectureError>;

/// What llama.cpp's numbers for scoring stand for.
const SCORINGS: [(u32, Scoring); 2] = [(1, Scoring::Softmax), (2, Scoring::Sigmoid)];

impl GgufKeys<'_, '_> {
    /// The experts that the file says, each as wide as a dense network where it says nothing else. `normalized` is whether the
    /// architecture's weights are divided by their sum.
    pub fn experts(&self, config: &ModelConfig, normalized: bool) -> Result<Experts> {
        let count = self.required(self.u32("expert_count")?, "expert_count")?;
        let used = self.required(self.u32("expert_used_count")?, "expert_used_count")?;
        let ffn_size = self.u32("expert_feed_forward_length")?.unwrap_or(config.ffn_size);
        let scoring = self.u32("expert_gating_func")?.filter(|code| *code != 0);
        let scoring = scoring.map_or(Ok(Scoring::Softmax), |code| {
            let found = SCORINGS.iter().find(|(known, _)| *known == code).map(|(_, scoring)| *scoring);
            found.ok_or_else(|| self.unsupported("expert_gating_func", code, "1 (softmax) or 2 (sigmoid)"))
        })?;
        Ok(Experts {
            shared_ffn_size: self.u32("expert_shared_feed_forward_length")?.unwrap_or(0),
            scoring,
            normalized: self.bool("expert_weights_norm")?.unwrap_or(normalized),
            scale: self.factor("expert_weights_scale")?.unwrap_or(1.0),
            ..Experts::of(count, used, ffn_size)
        })
    }

    /// The layers with experts, in a model that has any: all but the first few, where the architecture has dense ones.
    pub fn mixtures(&self, architecture: &Architecture, config: &ModelConfig) -> Result<LayerFlags> {
        if config.design.experts.is_none() {
            return Ok(LayerFlags::of(config, |_| false));
        }
        if !architecture.has_dense_layers() {
            return Ok(LayerFlags::of(config, all));
        }
        let dense = self.u32("leading_dense_block_count")?.unwrap_or(0);
        Ok(LayerFlags::of(config, |layer| layer >= dense))
    }
}

impl ConfigJson<'_> {
    /// The experts that the file says: `num_experts`, `num_local_experts` or `n_routed_experts`, each `ffn_size` wide. `normalized` is whether their
    /// weights are divided by their sum.
    pub fn experts(&self, ffn_size: u32, normalized: bool) -> Result<Experts> {
        const COUNTS: [&str; 3] = ["num_experts", "num_local_experts", "n_routed_experts"];
        let mut found: Option<(&str, u32)> = None;
        for key in COUNTS {
            self.knows(key);
            match (found, self.json().u32(key)?) {
                (Some((other, count)), Some(local)) if count != local => {
                    return Err(unsupported(key, local, format!("{other}, {count}")));
                }
                (None, Some(count)) => found = Some((key, count)),
                _ => {}
            }
        }
        let (_, count) = found.ok_or_else(|| ArchitectureError::MissingKey { key: COUNTS[0].into() })?;
        Ok(Experts { normalized, ..Experts::of(count, self.required("num_experts_per_tok")?, ffn_size) })
    }

    /// The layers with experts, in a model that has any; some may be dense where the architecture has dense ones: as
    /// `mlp_only_layers` and `decoder_sparse_step` say (Qwen), or the first `first_k_dense_replace` (DeepSeek).
    pub fn mixtures(&self, architecture: &Architecture, config: &ModelConfig) -> Result<LayerFlags> {
        const STEP: &str = "decoder_sparse_step";
        if config.design.experts.is_none() {
            return Ok(LayerFlags::of(config, |_| false));
        }
        if !architecture.has_dense_layers() {
            return Ok(LayerFlags::of(config, all));
        }
        let step = self.u32(STEP)?.unwrap_or(1);
        if step == 0 {
            return Err(unsupported(STEP, 0, "above 0"));
        }
        let dense = self.u32("first_k_dense_replace")?.unwrap_or(0);
        let listed = self.numbers("mlp_only_layers")?;
        let sparse = |layer: u32| (layer + 1).is_multiple_of(step) && layer >= dense && !listed.contains(&layer.into());
        Ok(LayerFlags::of(config, sparse))
    }
}
