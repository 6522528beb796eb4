//! The hyperparameters of a model.

use crate::design::Design;
use crate::params::{ParamError, Reader, Writer, range};
use crate::rope::{RopeLayout, RopeScaling};
use crate::{Param, limits};

/// What the forward pass needs to know of a model. Sizes are in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Tokens in the vocabulary: rows of the embedding and of the head.
    pub vocab_size: u32,
    /// Longest sequence that the model was made for, in tokens.
    pub context_length: u32,
    /// Width of the residual stream.
    pub hidden_size: u32,
    /// Number of layers.
    pub layer_count: u32,
    /// Query heads.
    pub head_count: u32,
    /// Key-value heads; each serves `head_count / kv_head_count` query heads.
    pub kv_head_count: u32,
    /// Size of a head.
    pub head_dim: u32,
    /// Width of the feed-forward network.
    pub ffn_size: u32,
    /// Epsilon of the norms.
    pub norm_eps: f32,
    /// The head is the token embedding.
    pub tied_embeddings: bool,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Dimensions of a head that are rotated, the first, or the last of a model with latent attention; even.
    pub rope_dims: u32,
    /// Which two dimensions are rotated together.
    pub rope_layout: RopeLayout,
    /// How the frequencies are changed for longer contexts.
    pub rope_scaling: RopeScaling,
    /// What is otherwise than in Llama.
    pub design: Design,
}

const ANY: f32 = f32::MAX;

impl ModelConfig {
    /// Size of a head of values.
    pub fn value_dim(&self) -> u32 {
        self.design.latent.as_ref().map_or(self.head_dim, |latent| latent.value_dim)
    }

    /// What attention makes of a token, `heads * value size`.
    pub fn attended_rows(&self) -> u32 {
        self.head_count * self.value_dim()
    }

    /// Query rows of the fused attention input, `heads * head_dim`.
    pub fn query_rows(&self) -> u32 {
        self.head_count * self.head_dim
    }

    /// Key rows, and as many value rows: `kv heads * head_dim`.
    pub fn kv_rows(&self) -> u32 {
        self.kv_head_count * self.head_dim
    }

    /// The hyperparameters as the index stores them.
    pub fn to_params(&self) -> Vec<Param> {
        let mut w = Writer::default();
        w.number("vocab_size", self.vocab_size);
        w.number("context_length", self.context_length);
        w.number("hidden_size", self.hidden_size);
        w.number("layer_count", self.layer_count);
        w.number("head_count", self.head_count);
        w.number("kv_head_count", self.kv_head_count);
        w.number("head_dim", self.head_dim);
        w.number("ffn_size", self.ffn_size);
        w.number("norm_eps", self.norm_eps);
        w.number("tied_embeddings", self.tied_embeddings);
        w.number("rope.base", self.rope_base);
        w.number("rope.dims", self.rope_dims);
        w.text("rope.layout", self.rope_layout.name());
        self.rope_scaling.write(&mut w);
        self.design.write(&mut w);
        w.0
    }

    /// The hyperparameters out of the index, each inside its limits.
    pub fn from_params(params: Vec<Param>) -> Result<Self, ParamError> {
        let mut r = Reader::new(params)?;
        let config = Self {
            vocab_size: r.u32("vocab_size", 1, limits::VOCABULARY)?,
            context_length: r.u32("context_length", 1, limits::CONTEXT)?,
            hidden_size: r.u32("hidden_size", 1, limits::WIDTH)?,
            layer_count: r.u32("layer_count", 1, limits::LAYERS)?,
            head_count: r.u32("head_count", 1, limits::WIDTH)?,
            kv_head_count: r.u32("kv_head_count", 1, limits::WIDTH)?,
            head_dim: r.u32("head_dim", 2, limits::HEAD_DIM)?,
            ffn_size: r.u32("ffn_size", 1, limits::WIDTH)?,
            norm_eps: r.f32("norm_eps", 0.0, 1.0)?,
            tied_embeddings: r.bool("tied_embeddings")?,
            rope_base: r.f32("rope.base", f32::MIN_POSITIVE, ANY)?,
            rope_dims: r.u32("rope.dims", 2, limits::HEAD_DIM)?,
            rope_layout: RopeLayout::read(&mut r)?,
            rope_scaling: RopeScaling::read(&mut r)?,
            design: Design::read(&mut r)?,
        };
        r.finish()?;
        config.check()?;
        Ok(config)
    }

    /// Relations between hyperparameters; [`from_params`](Self::from_params) has checked each on its own.
    fn check(&self) -> Result<(), ParamError> {
        if !self.head_count.is_multiple_of(self.kv_head_count) {
            let expected = format!("a divisor of head_count, {}", self.head_count);
            return Err(range("kv_head_count", self.kv_head_count, expected));
        }
        if u64::from(self.head_count) * u64::from(self.head_dim) > u64::from(limits::WIDTH) {
            return Err(range("head_count", self.head_count, format!("at most {} / head_dim", limits::WIDTH)));
        }
        if self.rope_dims > self.head_dim || !self.rope_dims.is_multiple_of(2) {
            return Err(range("rope.dims", self.rope_dims, format!("even and at most head_dim, {}", self.head_dim)));
        }
        if let RopeScaling::LongRope { short, long, .. } = &self.rope_scaling {
            let pairs = self.rope_dims / 2;
            let fits = |factors: &[f32]| u32::try_from(factors.len()) == Ok(pairs) && factors.iter().all(|f| *f > 0.0);
            if !fits(short) || !fits(long) {
                return Err(range("rope.scaling.short", "a list", format!("{pairs} positive numbers, long likewise")));
            }
        }
        if let Some(latent) = &self.design.latent {
            latent.check([self.head_count, self.kv_head_count], self.head_dim, self.rope_dims)?;
        }
        self.design.check(self.layer_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::{Activation, Norm, Turn};
    use crate::{Experts, GroupScore, Latent, Scoring};

    pub(crate) fn config() -> ModelConfig {
        ModelConfig {
            vocab_size: 320,
            context_length: 128,
            hidden_size: 64,
            layer_count: 3,
            head_count: 4,
            kv_head_count: 2,
            head_dim: 16,
            ffn_size: 176,
            norm_eps: 1e-5,
            tied_embeddings: true,
            rope_base: 1e4,
            rope_dims: 16,
            rope_layout: RopeLayout::Halves,
            rope_scaling: RopeScaling::None,
            design: Design::default(),
        }
    }

    #[test]
    fn every_scaling_survives_the_round_trip() {
        let scalings = [
            RopeScaling::None,
            RopeScaling::Linear { factor: 2.5 },
            RopeScaling::Dynamic { factor: 4.0 },
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 8192 },
            RopeScaling::Yarn {
                factor: 4.0,
                original_context: 4096,
                beta_fast: 32.0,
                beta_slow: 1.0,
                truncate: true,
                attention_factor: 1.138_629_4,
            },
            RopeScaling::Yarn {
                factor: 32.0,
                original_context: 4096,
                beta_fast: 32.0,
                beta_slow: 1.0,
                truncate: false,
                attention_factor: 1.35,
            },
            RopeScaling::LongRope {
                short: vec![1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
                long: vec![2.0; 8],
                original_context: 4096,
                attention_factor: 1.19,
            },
        ];
        for rope_scaling in scalings {
            let c = ModelConfig { rope_scaling, ..config() };
            assert_eq!(ModelConfig::from_params(c.to_params()), Ok(c));
        }
    }

    #[test]
    fn designs_survive_the_round_trip_and_llama_says_nothing() {
        let llama = config();
        let keys: Vec<_> = llama.to_params().into_iter().map(|p| p.key).collect();
        let every = Design {
            norm: Norm::Layer,
            norm_weight_offset: 1.0,
            activation: Activation::GeluTanh,
            gated: false,
            attention_scale: Some(0.0625),
            attention_softcap: Some(50.0),
            logit_softcap: Some(30.0),
            embedding_scale: 8.0,
            residual_scale: 0.22,
            logit_scale: 0.125,
            windows: vec![0, 512, 512],
            turns: vec![Turn::Not, Turn::Main, Turn::Local],
            local_rope_base: Some(1e4),
            latent: None,
            experts: None,
            scale_block: Some([128, 128]),
        };
        let c = ModelConfig { design: every, ..llama };
        let params = c.to_params();
        assert!(params.iter().filter(|p| !keys.contains(&p.key)).count() == 14, "{params:?}");
        assert_eq!(ModelConfig::from_params(params), Ok(c.clone()));

        let refuse =
            |design: Design| ModelConfig::from_params(ModelConfig { design, ..config() }.to_params()).unwrap_err();
        let short = Design { windows: vec![512], ..Design::default() };
        assert!(matches!(refuse(short), ParamError::Range { key: "attention.windows", .. }));
        let baseless = Design { local_rope_base: None, ..c.design };
        assert_eq!(refuse(baseless), ParamError::Missing { key: "rope.local_base" });
        let mut params = config().to_params();
        params.push(Param { key: "activation".into(), text: "relu".into(), ..Param::default() });
        assert!(matches!(ModelConfig::from_params(params), Err(ParamError::Range { key: "activation", .. })));
    }

    #[test]
    fn latents_survive_the_round_trip_and_fit_their_heads() {
        let latent = Latent { query_rank: 0, kv_rank: 24, value_dim: 12, norm_eps: 1e-6 };
        let of = |kv_head_count, rope_dims| {
            let design = Design { latent: Some(latent.clone()), ..Design::default() };
            ModelConfig { kv_head_count, rope_dims, design, ..config() }
        };
        let c = of(4, 8);
        assert_eq!((c.value_dim(), c.attended_rows()), (12, 48));
        assert_eq!(ModelConfig::from_params(c.to_params()), Ok(c));
        let refuse = |c: ModelConfig| ModelConfig::from_params(c.to_params()).unwrap_err();
        assert!(matches!(refuse(of(2, 8)), ParamError::Range { key: "kv_head_count", .. }));
        assert!(matches!(refuse(of(4, 16)), ParamError::Range { key: "rope.dims", .. }));
    }

    #[test]
    fn experts_survive_the_round_trip_and_fit_their_groups() {
        let of = |experts: Experts| {
            let design = Design { experts: Some(experts), ..Design::default() };
            ModelConfig { design, ..config() }
        };
        let deep = Experts {
            shared_ffn_size: 64,
            scoring: Scoring::Sigmoid,
            normalized: false,
            interleaved: true,
            scale: 2.5,
            groups: 4,
            groups_used: 2,
            group_score: GroupScore::BestTwo,
            ..Experts::of(16, 6, 32)
        };
        for experts in [Experts::of(8, 2, 96), deep.clone()] {
            let c = of(experts);
            assert_eq!(ModelConfig::from_params(c.to_params()), Ok(c));
        }
        let refuse = |experts: Experts| ModelConfig::from_params(of(experts).to_params()).unwrap_err();
        let key = |error| if let ParamError::Range { key, .. } = error { key } else { "" };
        assert_eq!(key(refuse(Experts::of(8, 9, 96))), "experts.used");
        assert_eq!(key(refuse(Experts { groups: 3, ..deep.clone() })), "experts.groups");
        assert_eq!(key(refuse(Experts { used: 9, ..deep })), "experts.used");
    }

    #[test]
    fn missing_unknown_repeated_and_wild_values_are_named() {
        let refuse = |change: &dyn Fn(&mut Vec<Param>)| {
            let mut p = config().to_params();
            change(&mut p);
            ModelConfig::from_params(p).unwrap_err()
        };
        assert_eq!(refuse(&|p| drop(p.remove(0))), ParamError::Missing { key: "vocab_size" });
        let twice = refuse(&|p| p.push(p[0].clone()));
        assert_eq!(twice, ParamError::Twice { key: "vocab_size".into() });
        let unknown = refuse(&|p| p.push(Param { key: "attention.sinks".into(), ..Param::default() }));
        assert_eq!(unknown, ParamError::Unknown { key: "attention.sinks".into() });
        for wild in [f64::NAN, f64::INFINITY, -1.0, 0.5, 0.0, 1e30] {
            assert!(matches!(refuse(&|p| p[0].numbers[0] = wild), ParamError::Range { key: "vocab_size", .. }));
        }
        assert!(matches!(refuse(&|p| p[5].numbers[0] = 3.0), ParamError::Range { key: "kv_head_count", .. }));
        assert!(matches!(refuse(&|p| p[11].numbers[0] = 18.0), ParamError::Range { key: "rope.dims", .. }));
    }
}
