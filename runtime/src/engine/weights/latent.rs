//! The weights of latent attention.

use symbiote_format::{ModelConfig, TensorKind};

use super::{Finder, Operation, Product, Vector};
use crate::engine::EngineError;

/// What makes queries, keys and values of latent vectors. These are made by the layer's `qkv`: the vector of queries, or queries
/// themselves, then that of keys and values, and what is rotated of keys.
#[derive(Clone, Debug)]
pub struct Latent {
    /// Norm `[query rank]` and product `[heads * head size, query rank]` of the vector of queries, if they have one.
    pub query: Option<(Vector, Operation)>,
    /// Norm of the vector of keys and values `[kv rank]`.
    pub kv_norm: Vector,
    /// What is not rotated of keys, transposed: `[heads * kv rank, head size - rope dims]`, rows that are read one by one. Where there
    /// is none, `values` has it.
    pub keys: Option<Operation>,
    /// `[heads * value size, kv rank]`; or of each head first the rows of its keys.
    pub values: Operation,
}

impl Latent {
    /// The products, in the order in which they run.
    pub(super) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.query.iter().map(|(_, product)| product).chain(&self.keys).chain([&self.values])
    }

    pub(super) fn products_mut(&mut self) -> impl Iterator<Item = &mut Product> {
        let query = self.query.iter_mut().map(|(_, product)| product);
        query.chain(&mut self.keys).chain([&mut self.values]).flat_map(|o| &mut o.products)
    }

    pub(super) fn vectors(&self) -> impl Iterator<Item = Vector> {
        self.query.iter().map(|(norm, _)| *norm).chain([self.kv_norm])
    }
}

impl Finder<'_> {
    /// Those of a layer, if its attention is latent.
    pub(super) fn latent(&self, c: &ModelConfig, l: u32) -> Result<Option<Box<Latent>>, EngineError> {
        use TensorKind as Kind;
        let Some(sizes) = &c.design.latent else { return Ok(None) };
        let (heads, rank, unrotated) = (c.head_count, sizes.kv_rank, c.head_dim - c.rope_dims);
        let query = || {
            let product = self.operation(l, &[(Kind::QueryOfLatent, c.query_rows())], sizes.query_rank)?;
            Ok::<_, EngineError>((self.vector(Kind::QueryLatentNorm, l, sizes.query_rank)?, product))
        };
        let parted = self.has(Kind::KeyOfLatent, l);
        let values = match parted {
            true => (Kind::ValueOfLatent, c.attended_rows()),
            false => (Kind::KeyValueOfLatent, heads * unrotated + c.attended_rows()),
        };
        Ok(Some(Box::new(Latent {
            query: if sizes.query_rank > 0 { Some(query()?) } else { None },
            kv_norm: self.vector(Kind::KeyValueLatentNorm, l, rank)?,
            keys: parted.then(|| self.lookup(Kind::KeyOfLatent, l, (heads * rank, unrotated))).transpose()?,
            values: self.operation(l, &[values], rank)?,
        })))
    }

    /// What a layer makes of the hidden state for latent attention: kinds and rows.
    pub(super) fn latents(&self, c: &ModelConfig) -> Option<Vec<(TensorKind, u32)>> {
        let sizes = c.design.latent.as_ref()?;
        let query = match sizes.query_rank {
            0 => (TensorKind::Query, c.query_rows()),
            rank => (TensorKind::QueryLatent, rank),
        };
        Some(vec![query, (TensorKind::KeyValueLatent, sizes.kv_rank + c.rope_dims)])
    }
}
