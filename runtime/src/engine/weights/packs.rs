//! Which packs a layer reads, in which order, and what each pack is needed for.

use symbiote_format::ArchivedIndex;

use super::{Ffn, Form, Layer, Mixture, NormWeights, Operation, Output, Product, Vector, Weights};
use crate::residency::{Need, PackTraffic};

impl Layer {
    /// The products whose weights every token goes through, in the order in which they run: of attention, then of the feed-forward
    /// network.
    pub(super) fn operations(&self) -> [Vec<&Operation>; 2] {
        let latent = self.latent.iter().flat_map(|latent| latent.operations());
        let attention = [&self.qkv].into_iter().chain(latent).chain([&self.output.product]);
        let ffn = match &self.ffn {
            Ffn::Dense(ffn) => vec![&ffn.up, &ffn.down.product],
            Ffn::Mixture(mixture) => mixture.operations(),
        };
        [attention.collect(), ffn]
    }

    /// Every product.
    pub fn products_mut(&mut self) -> Vec<&mut Product> {
        let mut all: Vec<&mut Product> = Vec::new();
        all.extend(self.qkv.products.iter_mut().chain(&mut self.output.product.products));
        all.extend(self.latent.iter_mut().flat_map(|latent| latent.products_mut()));
        match &mut self.ffn {
            Ffn::Dense(ffn) => {
                let gated = ffn.gated.iter_mut().flat_map(|gated| &mut gated.products);
                all.extend(ffn.up.products.iter_mut().chain(gated).chain(&mut ffn.down.product.products));
            }
            Ffn::Mixture(mixture) => all.extend(mixture.products_mut()),
        }
        all
    }

    /// Its mixture of experts, if it is one.
    pub fn mixture(&self) -> Option<&Mixture> {
        match &self.ffn {
            Ffn::Dense(_) => None,
            Ffn::Mixture(mixture) => Some(mixture),
        }
    }

    /// The norms and biases of attention, and the scales of all but experts; then those of the feed-forward network.
    pub(super) fn vectors(&self) -> [Vec<Vector>; 2] {
        let attention = self.attention_norm.iter().flat_map(NormWeights::vectors);
        let attention = attention.chain(self.qkv_bias.into_iter().flatten()).chain(self.head_norms.vectors());
        let attention = attention.chain(self.latent.iter().flat_map(|latent| latent.vectors()));
        let scales = self.operations().into_iter().flatten().flat_map(|o| o.scales.iter().copied());
        let attention = attention.chain(self.sinks).chain(scales);
        let of = |output: &Output| output.bias.into_iter().chain(output.norm);
        let own: Vec<Vector> = match &self.ffn {
            Ffn::Dense(ffn) => ffn.up_bias.into_iter().flatten().chain(of(&ffn.down)).collect(),
            Ffn::Mixture(mixture) => mixture.vectors(),
        };
        let ffn = self.ffn_norm.iter().flat_map(NormWeights::vectors).chain(own);
        [attention.chain(of(&self.output)).collect(), ffn.collect()]
    }
}

impl Weights {
    /// The packs that the layers read, in the order in which they do.
    pub fn layer_packs(&self) -> Vec<usize> {
        let mut packs = Vec::new();
        for layer in &self.layers {
            let [attention, ffn] = layer.vectors().map(packs_of);
            let of = |operations: Vec<&Operation>| operations.iter().flat_map(|o| o.packs.clone()).collect::<Vec<_>>();
            let [before, after] = layer.operations().map(of);
            packs.extend(attention.into_iter().chain(before).chain(ffn).chain(after));
        }
        packs
    }

    /// The packs that the head reads, likewise.
    pub fn head_packs(&self) -> Vec<usize> {
        let vectors = packs_of(self.output_norm.vectors().chain(self.head.scales.iter().copied()));
        vectors.into_iter().chain(self.head.packs.iter().copied()).collect()
    }

    /// What every pack of the archive is needed for. Packs that nothing reads have no length.
    /// A token goes through `used` experts of a layer.
    pub fn traffic(&self, index: &ArchivedIndex, used: u32) -> Vec<PackTraffic> {
        let mut needs = vec![None; index.packs.len()];
        let lookups = [&self.embedding].into_iter().chain(&self.positions);
        lookups.flat_map(|o| &o.packs).for_each(|&pack| needs[pack] = Some(Need::Lookup));
        let operations = self.layers.iter().flat_map(Layer::operations).flatten();
        for &pack in operations.chain([&self.head]).flat_map(|o| &o.packs) {
            needs[pack] = Some(if needs[pack] == Some(Need::Lookup) { Need::Tied } else { Need::EveryPass });
        }
        for mixture in self.layers.iter().filter_map(Layer::mixture) {
            let count = u32::try_from(mixture.packs.len()).unwrap_or(u32::MAX);
            mixture.packs.iter().for_each(|&pack| needs[pack] = Some(Need::Expert { used, count }));
        }
        let lookups = [&self.embedding].into_iter().chain(&self.positions);
        let scales = lookups.chain([&self.head]).flat_map(|o| o.scales.iter().copied());
        let vectors =
            self.layers.iter().flat_map(Layer::vectors).flatten().chain(self.output_norm.vectors()).chain(scales);
        vectors.for_each(|vector| needs[vector.pack as usize] = Some(Need::Always));
        let packs = index.packs.iter().zip(needs);
        packs
            .map(|(pack, need)| PackTraffic {
                len: if need.is_some() { pack.len.to_native() } else { 0 },
                need: need.unwrap_or(Need::Always),
            })
            .collect()
    }

    /// The packs of each layer's experts; none of a layer that has none.
    pub fn expert_packs(&self) -> Vec<Option<&[usize]>> {
        self.layers.iter().map(|layer| layer.mixture().map(|m| m.packs.as_slice())).collect()
    }

    /// Some of the products are over packed rows.
    pub fn packed(&self) -> bool {
        let packed = |p: &Product| matches!(p.form, Form::Packed { .. });
        let of = |o: &Operation| o.products.iter().any(packed);
        let experts = |m: &Mixture| m.up.iter().chain(&m.down).any(|e| packed(&e.product));
        self.layers.iter().flat_map(Layer::operations).flatten().chain([&self.head]).any(of)
            || self.layers.iter().filter_map(Layer::mixture).any(experts)
    }
}

/// The packs of `vectors`, each once, in order.
pub fn packs_of(vectors: impl IntoIterator<Item = Vector>) -> Vec<usize> {
    let mut packs: Vec<usize> = vectors.into_iter().map(|v| v.pack as usize).collect();
    packs.sort_unstable();
    packs.dedup();
    packs
}
