//! Attention through latent vectors (MLA, arXiv 2405.04434): keys and values are made of one short vector a token, and so may
//! queries be.
//!
//! A head of queries and keys is `head_dim` wide. Its last `rope_dims` dimensions are rotated, and keys share those of one head; the
//! others and the values come out of the latent vector. What a tensor alone can say is not said here: whether keys and values have
//! one projection or two.

use crate::limits;
use crate::params::{ParamError, Reader, Writer, range};

/// The sizes of latent attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Latent {
    /// Width of the vector that queries are made of; 0 where they are made of the hidden state.
    pub query_rank: u32,
    /// Width of the vector that keys and values are made of.
    pub kv_rank: u32,
    /// Size of a head of values.
    pub value_dim: u32,
    /// Epsilon of the norms of both vectors.
    pub norm_eps: f32,
}

impl Latent {
    pub(crate) fn write(&self, w: &mut Writer) {
        w.number("latent.query_rank", self.query_rank);
        w.number("latent.kv_rank", self.kv_rank);
        w.number("latent.value_dim", self.value_dim);
        w.number("latent.norm_eps", self.norm_eps);
    }

    /// Those of a model that has any.
    pub(crate) fn read(r: &mut Reader) -> Result<Option<Self>, ParamError> {
        if !r.has("latent.kv_rank") {
            return Ok(None);
        }
        Ok(Some(Self {
            query_rank: r.u32("latent.query_rank", 0, limits::WIDTH)?,
            kv_rank: r.u32("latent.kv_rank", 1, limits::WIDTH)?,
            value_dim: r.u32("latent.value_dim", 2, limits::HEAD_DIM)?,
            norm_eps: r.f32("latent.norm_eps", 0.0, 1.0)?,
        }))
    }

    /// Every head has keys of its own, and something of them that is not rotated.
    pub(crate) fn check(&self, heads: [u32; 2], head_dim: u32, rope_dims: u32) -> Result<(), ParamError> {
        let [query, kv] = heads;
        if query != kv {
            return Err(range("kv_head_count", kv, format!("head_count, {query}, with latent.kv_rank")));
        }
        if rope_dims >= head_dim {
            return Err(range("rope.dims", rope_dims, format!("below head_dim, {head_dim}, with latent.kv_rank")));
        }
        Ok(())
    }
}
