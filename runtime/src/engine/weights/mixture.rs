//! The weights of a mixture of experts.

use symbiote_format::{Dtype, Experts, PackRole, TensorKind};
use symbiote_shaders::PartArgs;

use super::scales::{ScaleTable, one_a_pack};
use super::{Finder, Form, Operation, Place, Product, Vector};
use crate::engine::EngineError;

/// A layer whose tokens go through some of many feed-forward networks.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// `[experts, hidden]`, and a row more where the shared network has a gate.
    pub router: Operation,
    /// Added to the router's logits `[experts]`.
    pub router_bias: Option<Vector>,
    /// Added to the scores that experts are chosen by `[experts]`.
    pub score_bias: Option<Vector>,
    /// gate and up of each expert: `[experts, 2 * ffn, hidden]`; one entry a form.
    pub up: Vec<ExpertProduct>,
    /// Rows of gate and up take turns.
    pub interleaved: bool,
    /// Their biases `[experts, ffn]`; one `[experts, 2 * ffn]` where they take turns.
    pub up_bias: [Option<Vector>; 2],
    /// down of each expert: `[experts, hidden, ffn]`; one entry a form.
    pub down: Vec<ExpertProduct>,
    /// Its bias `[experts, hidden]`.
    pub down_bias: Option<Vector>,
    /// The pack of each expert.
    pub packs: Vec<usize>,
    /// Of every pack with factors of experts, one vector of them.
    pub scales: Vec<Vector>,
    /// The network that every token goes through.
    pub shared: Option<Shared>,
}

/// The products of each expert of a layer over weights of one form.
#[derive(Clone, Debug)]
pub struct ExpertProduct {
    /// Parts `[experts][parts of one]`, those of an expert from tile 0 on; an expert's part of another form has no rows. `tiles` are
    /// the most that an expert has.
    pub product: Product,
    /// Parts of one expert.
    pub part_count: u32,
}

/// A network beside the experts.
#[derive(Clone, Debug)]
pub struct Shared {
    /// gate and up `[2 * shared ffn, hidden]`.
    pub up: Operation,
    /// `[hidden, shared ffn]`.
    pub down: Operation,
    /// The last row of the router is its gate.
    pub gated: bool,
}

impl Mixture {
    /// The products whose weights every token goes through, in order.
    pub(super) fn operations(&self) -> Vec<&Operation> {
        let shared = self.shared.iter().flat_map(|shared| [&shared.up, &shared.down]);
        [&self.router].into_iter().chain(shared).collect()
    }

    pub(super) fn products_mut(&mut self) -> impl Iterator<Item = &mut Product> {
        let shared = self.shared.iter_mut().flat_map(|shared| [&mut shared.up, &mut shared.down]);
        let everyone = [&mut self.router].into_iter().chain(shared).flat_map(|o| &mut o.products);
        everyone.chain(self.up.iter_mut().chain(&mut self.down).map(|e| &mut e.product))
    }

    pub(super) fn vectors(&self) -> Vec<Vector> {
        let biases = [self.router_bias, self.score_bias, self.up_bias[0], self.up_bias[1], self.down_bias];
        biases.into_iter().flatten().chain(self.scales.iter().copied()).collect()
    }
}

/// A tensor of an expert, in the order in which its rows follow each other in the product: what it is, and its rows.
pub(super) type Rows = (TensorKind, u32);

impl Finder<'_> {
    pub(super) fn mixture(&self, experts: &Experts, layer: u32, hidden: u32) -> Result<Mixture, EngineError> {
        use TensorKind as Kind;
        let (count, ffn, wide) = (experts.count, experts.ffn_size, experts.shared_ffn_size);
        let gated = self.has(Kind::SharedRouter, layer);
        let router =
            if gated { vec![(Kind::Router, count), (Kind::SharedRouter, 1)] } else { vec![(Kind::Router, count)] };
        let both = self.has(Kind::ExpertGateUp, layer);
        let up: &[Rows] = match both {
            true => &[(Kind::ExpertGateUp, 2 * ffn)],
            false => &[(Kind::ExpertGate, ffn), (Kind::ExpertUp, ffn)],
        };
        let down: &[Rows] = &[(Kind::ExpertDown, hidden)];
        let shared_up: &[Rows] = match self.has(Kind::SharedGateUp, layer) {
            true => &[(Kind::SharedGateUp, 2 * wide)],
            false => &[(Kind::SharedGate, wide), (Kind::SharedUp, wide)],
        };
        let shared = || {
            Ok::<_, EngineError>(Shared {
                up: self.operation(layer, shared_up, hidden)?,
                down: self.operation(layer, &[(Kind::SharedDown, hidden)], wide)?,
                gated,
            })
        };
        let packs = self.index.packs.iter().enumerate();
        let packs = packs.filter(|(_, p)| p.role == PackRole::Expert.code() && p.layer == layer).map(|(pack, _)| pack);
        let packs: Vec<usize> = packs.collect();
        let bias = |kind, len| self.each_experts(kind, layer, count, len);
        let interleaved = both && experts.interleaved;
        if !interleaved && self.has(Kind::ExpertGateUpBias, layer) {
            // no architecture has all of gate before all of up in one bias
            return Err(EngineError::MissingTensor { kind: Kind::ExpertGateBias.name(), layer });
        }
        let mut scales = Vec::new();
        let up = self.expert_products(layer, up, (count, hidden), &packs, &mut scales)?;
        let down = self.expert_products(layer, down, (count, ffn), &packs, &mut scales)?;
        one_a_pack(&mut scales);
        Ok(Mixture {
            router: self.operation(layer, &router, hidden)?,
            router_bias: self.optional(Kind::RouterBias, layer, count)?,
            score_bias: self.optional(Kind::ExpertScoreBias, layer, count)?,
            up,
            interleaved,
            up_bias: match interleaved {
                true => [bias(Kind::ExpertGateUpBias, 2 * ffn)?, None],
                false => [bias(Kind::ExpertGateBias, ffn)?, bias(Kind::ExpertUpBias, ffn)?],
            },
            down,
            down_bias: bias(Kind::ExpertDownBias, hidden)?,
            packs,
            scales,
            shared: if wide > 0 { Some(shared()?) } else { None },
        })
    }

    /// A vector of each expert, one after another, if they are there.
    fn each_experts(&self, kind: TensorKind, layer: u32, count: u32, len: u32) -> Result<Option<Vector>, EngineError> {
        if !self.has(kind, layer) {
            return Ok(None);
        }
        self.rows_vector(kind, layer, count, len).map(Some)
    }

    /// Where the rows of a tensor of `expert` lie: in a tensor of all of a layer's `count` experts, or in its own.
    fn expert_place(
        &self,
        kind: TensorKind,
        layer: u32,
        (count, expert): (u32, usize),
        (rows, columns): (u32, u32),
    ) -> Result<(usize, Dtype, Place<'_>), EngineError> {
        let found = self.all(kind, layer);
        let (rows, columns) = (u64::from(rows), u64::from(columns));
        let [one, first] = match found.len() {
            0 => return Err(EngineError::MissingTensor { kind: kind.name(), layer }),
            1 => [0, expert],
            n if n == count as usize => [expert, 0],
            _ => return Err(EngineError::MissingExpert { layer, expert }),
        };
        let shape = if found.len() == 1 { vec![u64::from(count), rows, columns] } else { vec![rows, columns] };
        let dtype = self.dtype_of(found[one], shape)?;
        let place = self.places[found[one]].get(first).copied();
        let whole = |place: &Place<'_>| {
            u64::from(place.part.row.to_native()) == first as u64 * rows
                && u64::from(place.part.rows.to_native()) == rows
        };
        Ok((found[one], dtype, place.filter(whole).ok_or(EngineError::MissingExpert { layer, expert })?))
    }

    /// Products over `tensors` of each of `count` experts, an expert's rows one after another in y; `scales` gets their factors.
    fn expert_products(
        &self,
        layer: u32,
        tensors: &[Rows],
        (count, columns): (u32, u32),
        packs: &[usize],
        scales: &mut Vec<Vector>,
    ) -> Result<Vec<ExpertProduct>, EngineError> {
        let part_count = tensors.len();
        let mut products: Vec<Product> = Vec::new();
        for expert in 0..count as usize {
            let pack = packs.get(expert).copied().ok_or(EngineError::MissingExpert { layer, expert })?;
            let mut first_row = 0;
            for (at, &(kind, rows)) in tensors.iter().enumerate() {
                let (tensor, dtype, place) = self.expert_place(kind, layer, (count, expert), (rows, columns))?;
                if place.pack as usize != pack {
                    return Err(EngineError::MissingExpert { layer, expert });
                }
                let form = self.form(place.part, dtype, columns)?;
                let found = products.iter().position(|p| p.form == form).unwrap_or_else(|| {
                    let tile_rows = self.kernels.tile_rows(form);
                    let parts = vec![PartArgs::default(); count as usize * part_count];
                    products.push(Product {
                        form,
                        columns,
                        parts,
                        tiles: 0,
                        tile_rows,
                        paired: false,
                        table: 0,
                        grid: 0,
                        scales: ScaleTable::default(),
                    });
                    products.len() - 1
                });
                if matches!(form, Form::Scaled { .. }) {
                    let (record, vector) = self.scale(tensor, place.part.row.to_native(), first_row)?;
                    products[found].scales.set(expert, at, (count, tensors), record);
                    scales.push(vector);
                }
                products[found].parts[expert * part_count + at] =
                    PartArgs { pack: place.pack, offset: place.offset, rows, first_row, first_tile: 0 };
                first_row += rows;
            }
        }
        for product in &mut products {
            let tile_rows = product.tile_rows;
            for parts in product.parts.chunks_mut(part_count) {
                let mut tiles = 0;
                for part in parts {
                    part.first_tile = tiles;
                    tiles += part.rows.div_ceil(tile_rows);
                }
                product.tiles = product.tiles.max(tiles);
            }
        }
        let part_count = u32::try_from(part_count).unwrap_or(u32::MAX);
        Ok(products.into_iter().map(|product| ExpertProduct { product, part_count }).collect())
    }
}
