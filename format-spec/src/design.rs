//! How an architecture differs from Llama: what its forward pass does otherwise, in numbers.
//!
//! What a tensor alone can say is not said here: biases, norms of queries and keys, norms after attention and after the
//! feed-forward network, learned positions, fused projections are there where their tensors are.

use crate::experts::Experts;
use crate::latent::Latent;
use crate::limits;
use crate::params::{ParamError, Reader, Writer, range};

/// Differences from Llama; [`Default`] is Llama itself. A key that is not in an archive has Llama's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    /// Which norm.
    pub norm: Norm,
    /// Added to every weight of a norm but those of LayerNorm: 1 where files store the difference from 1 (Gemma in safetensors).
    pub norm_weight_offset: f32,
    /// What the feed-forward network applies.
    pub activation: Activation,
    /// The feed-forward network is `down(activation(gate) * up)`; else `down(activation(up))`.
    pub gated: bool,
    /// Factor on q k; 1 / sqrt(head size) if absent.
    pub attention_scale: Option<f32>,
    /// Scores become `cap * tanh(score / cap)` (Gemma 2).
    pub attention_softcap: Option<f32>,
    /// Logits likewise, after their scale.
    pub logit_softcap: Option<f32>,
    /// Factor on the rows of the embedding.
    pub embedding_scale: f32,
    /// Factor on what attention and the feed-forward network add to the residual stream.
    pub residual_scale: f32,
    /// Factor on the logits.
    pub logit_scale: f32,
    /// A layer: the last keys that a token sees, itself among them; 0 is all. Empty where all layers see all.
    pub windows: Vec<u32>,
    /// A layer: how its heads are turned. Empty where all are turned by the model's main frequencies.
    pub turns: Vec<Turn>,
    /// Base of the frequencies of [`Turn::Local`], which have no scaling.
    pub local_rope_base: Option<f32>,
    /// Attention through latent vectors.
    pub latent: Option<Latent>,
    /// The experts of layers that have a router.
    pub experts: Option<Experts>,
    /// Rows and columns that share a factor, where factors are those of blocks ([`ScaleBlocks`](crate::ScaleBlocks)).
    pub scale_block: Option<[u32; 2]>,
}

/// Normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// RMSNorm (arXiv 1910.07467).
    Rms,
    /// LayerNorm (arXiv 1607.06450).
    Layer,
}

/// Activation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x sigmoid(x).
    Silu,
    /// GELU by tanh (arXiv 1606.08415, the approximation).
    GeluTanh,
    /// GELU by erf.
    GeluErf,
    /// With both halves clamped first: `gate sigmoid(1.702 gate) (up + 1)`, gate at most 7, up from -7 to 7 (gpt-oss). Gated only.
    ClampedSwiglu,
}

/// How the heads of a layer are turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Not at all (NoPE, arXiv 2305.19466).
    Not,
    /// By the frequencies of `rope.base` and `rope.scaling`.
    Main,
    /// By those of [`Design::local_rope_base`] (Gemma 3).
    Local,
}

impl Default for Design {
    fn default() -> Self {
        Self {
            norm: Norm::Rms,
            norm_weight_offset: 0.0,
            activation: Activation::Silu,
            gated: true,
            attention_scale: None,
            attention_softcap: None,
            logit_softcap: None,
            embedding_scale: 1.0,
            residual_scale: 1.0,
            logit_scale: 1.0,
            windows: Vec::new(),
            turns: Vec::new(),
            local_rope_base: None,
            latent: None,
            experts: None,
            scale_block: None,
        }
    }
}

const TINY: f32 = f32::MIN_POSITIVE;
const ANY: f32 = f32::MAX;
const NORMS: [(Norm, &str); 2] = [(Norm::Rms, "rms"), (Norm::Layer, "layer")];
const ACTIVATIONS: [(Activation, &str); 4] = [
    (Activation::Silu, "silu"),
    (Activation::GeluTanh, "gelu_tanh"),
    (Activation::GeluErf, "gelu_erf"),
    (Activation::ClampedSwiglu, "clamped_swiglu"),
];
const TURNS: [(Turn, u32); 3] = [(Turn::Not, 0), (Turn::Main, 1), (Turn::Local, 2)];

impl Design {
    /// The last keys that a token of `layer` sees; 0 is all.
    pub fn window(&self, layer: u32) -> u32 {
        self.windows.get(layer as usize).copied().unwrap_or(0)
    }

    /// How the heads of `layer` are turned.
    pub fn turn(&self, layer: u32) -> Turn {
        self.turns.get(layer as usize).copied().unwrap_or(Turn::Main)
    }

    /// What differs from Llama, and nothing else.
    pub(crate) fn write(&self, w: &mut Writer) {
        let llama = Self::default();
        if self.norm != llama.norm {
            w.text("norm", name(&NORMS, self.norm));
        }
        if self.activation != llama.activation {
            w.text("activation", name(&ACTIVATIONS, self.activation));
        }
        if !self.gated {
            w.number("ffn.gated", self.gated);
        }
        let factors = [
            ("norm_weight_offset", self.norm_weight_offset, llama.norm_weight_offset),
            ("embedding_scale", self.embedding_scale, llama.embedding_scale),
            ("residual_scale", self.residual_scale, llama.residual_scale),
            ("logit_scale", self.logit_scale, llama.logit_scale),
        ];
        factors.into_iter().filter(|(_, value, plain)| value != plain).for_each(|(key, value, _)| w.number(key, value));
        let choices = [
            ("attention.scale", self.attention_scale),
            ("attention.softcap", self.attention_softcap),
            ("logit_softcap", self.logit_softcap),
            ("rope.local_base", self.local_rope_base),
        ];
        choices.into_iter().for_each(|(key, value)| value.into_iter().for_each(|value| w.number(key, value)));
        if !self.windows.is_empty() {
            w.numbers("attention.windows", self.windows.iter().copied().map(f64::from).collect());
        }
        if !self.turns.is_empty() {
            let code = |turn: &Turn| TURNS.iter().find(|(t, _)| t == turn).map_or(0, |(_, code)| *code);
            w.numbers("rope.turns", self.turns.iter().map(|turn| f64::from(code(turn))).collect());
        }
        self.latent.iter().for_each(|latent| latent.write(w));
        self.experts.iter().for_each(|experts| experts.write(w));
        self.scale_block.iter().for_each(|block| w.numbers(SCALE_BLOCK, block.map(f64::from).to_vec()));
    }

    /// What is in the index, and Llama's value for the rest.
    pub(crate) fn read(r: &mut Reader) -> Result<Self, ParamError> {
        let llama = Self::default();
        let plain = |r: &mut Reader, key, low, plain| Ok(r.optional_f32(key, low, ANY)?.unwrap_or(plain));
        Ok(Self {
            norm: choice(r, "norm", &NORMS)?.unwrap_or(llama.norm),
            norm_weight_offset: plain(r, "norm_weight_offset", 0.0, llama.norm_weight_offset)?,
            activation: choice(r, "activation", &ACTIVATIONS)?.unwrap_or(llama.activation),
            gated: if r.has("ffn.gated") { r.bool("ffn.gated")? } else { llama.gated },
            attention_scale: r.optional_f32("attention.scale", TINY, ANY)?,
            attention_softcap: r.optional_f32("attention.softcap", TINY, ANY)?,
            logit_softcap: r.optional_f32("logit_softcap", TINY, ANY)?,
            embedding_scale: plain(r, "embedding_scale", TINY, llama.embedding_scale)?,
            residual_scale: plain(r, "residual_scale", TINY, llama.residual_scale)?,
            logit_scale: plain(r, "logit_scale", TINY, llama.logit_scale)?,
            windows: r.optional_u32s("attention.windows", limits::CONTEXT)?,
            turns: turns(r.optional_u32s("rope.turns", 2)?),
            local_rope_base: r.optional_f32("rope.local_base", TINY, ANY)?,
            latent: Latent::read(r)?,
            experts: Experts::read(r)?,
            scale_block: scale_block(r)?,
        })
    }

    /// One window and one turn for each of `layers`, or none at all; local turns have a base.
    pub(crate) fn check(&self, layers: u32) -> Result<(), ParamError> {
        let fits = |len: usize| len == 0 || u32::try_from(len) == Ok(layers);
        if !fits(self.windows.len()) {
            return Err(range("attention.windows", format!("{} numbers", self.windows.len()), format!("{layers}")));
        }
        if !fits(self.turns.len()) {
            return Err(range("rope.turns", format!("{} numbers", self.turns.len()), format!("{layers}")));
        }
        if self.turns.contains(&Turn::Local) && self.local_rope_base.is_none() {
            return Err(ParamError::Missing { key: "rope.local_base" });
        }
        Ok(())
    }
}

const SCALE_BLOCK: &str = "scale_block";

/// Any number of rows, and of columns a power of two.
fn scale_block(r: &mut Reader) -> Result<Option<[u32; 2]>, ParamError> {
    if !r.has(SCALE_BLOCK) {
        return Ok(None);
    }
    let found = r.optional_u32s(SCALE_BLOCK, limits::WIDTH)?;
    match found[..] {
        [rows, columns] if rows > 0 && columns >= 16 && columns.is_power_of_two() => Ok(Some([rows, columns])),
        _ => Err(range(SCALE_BLOCK, format!("{found:?}"), "rows above 0, and columns that are a power of two from 16")),
    }
}

fn turns(codes: Vec<u32>) -> Vec<Turn> {
    // their range has been checked
    codes.into_iter().map(|code| TURNS.iter().find(|(_, c)| *c == code).map_or(Turn::Main, |(turn, _)| *turn)).collect()
}

pub(crate) fn name<T: PartialEq>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(entry, _)| *entry == value).map_or("", |(_, name)| name)
}

pub(crate) fn choice<T: Copy>(r: &mut Reader, key: &'static str, table: &[(T, &str)]) -> Result<Option<T>, ParamError> {
    if !r.has(key) {
        return Ok(None);
    }
    let found = r.text(key)?;
    match table.iter().find(|(_, name)| *name == found) {
        Some((value, _)) => Ok(Some(*value)),
        None => Err(range(key, found, table.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" or "))),
    }
}
