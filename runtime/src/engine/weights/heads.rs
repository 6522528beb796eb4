//! What is done to queries, keys and values between their product and attention.

use symbiote_format::{ModelConfig, TensorKind};

use super::{Finder, Vector};
use crate::engine::EngineError;

/// What is done to queries and keys before they are turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeadNorms {
    /// Nothing.
    None,
    /// RMSNorm of each head, of queries and of keys `[head size]`.
    Each(Vector, Vector),
    /// RMSNorm of all heads together, `[heads * head size]` and `[kv heads * head size]`.
    Together(Vector, Vector),
}

impl HeadNorms {
    /// Of queries and of keys.
    pub(super) fn vectors(self) -> impl Iterator<Item = Vector> {
        let pair = match self {
            Self::None => None,
            Self::Each(q, k) | Self::Together(q, k) => Some([q, k]),
        };
        pair.into_iter().flatten()
    }
}

impl Finder<'_> {
    /// Biases of q, k and v, which may be one vector.
    pub(super) fn qkv_bias(&self, l: u32, q: u32, kv: u32) -> Result<[Option<Vector>; 3], EngineError> {
        use TensorKind as Kind;
        if let Some(whole) = self.optional(Kind::QueryKeyValueBias, l, q + 2 * kv)? {
            let from = |row: u32| Some(Vector { offset: whole.offset + row * whole.dtype.block_bytes(), ..whole });
            return Ok([from(0), from(q), from(q + kv)]);
        }
        let one = |kind, rows| self.optional(kind, l, rows);
        Ok([one(Kind::QueryBias, q)?, one(Kind::KeyBias, kv)?, one(Kind::ValueBias, kv)?])
    }

    pub(super) fn head_norms(&self, c: &ModelConfig, l: u32) -> Result<HeadNorms, EngineError> {
        use TensorKind as Kind;
        if !self.has(Kind::QueryNorm, l) {
            return Ok(HeadNorms::None);
        }
        let pair =
            |q, k| Ok::<_, EngineError>((self.vector(Kind::QueryNorm, l, q)?, self.vector(Kind::KeyNorm, l, k)?));
        if let Ok((q, k)) = pair(c.head_dim, c.head_dim) {
            return Ok(HeadNorms::Each(q, k));
        }
        let (q, k) = pair(c.query_rows(), c.kv_rows())?;
        Ok(HeadNorms::Together(q, k))
    }
}
