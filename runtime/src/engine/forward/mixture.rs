//! The forward pass through a mixture of experts.
//!
//! Which experts a token needs is known when the device has run the router, so the host asks for it wherever experts have to be
//! brought, or rows sorted by expert. One token whose experts all stay in VRAM is left to the device.

use std::ops::Range;

use bytemuck::{bytes_of, cast_slice};
use symbiote_format::Experts;
use symbiote_shaders::{ActivateArgs, CombineArgs, GatherArgs, MatmulArgs, RouteArgs};

use super::{Into, Pass};
use crate::engine::EngineError;
use crate::engine::kernels::{Batch, WIDE};
use crate::engine::routes::Routes;
use crate::engine::stages::Stages;
use crate::engine::state::{ExpertActivations, stride};
use crate::engine::weights::{ExpertProduct, Mixture, Shared, packs_of};
use crate::gpu::Buffer;

/// Rows that experts work on, in groups of one expert.
struct Groups {
    /// The expert of each group; empty where only the device knows them.
    experts: Vec<u32>,
    /// How many groups.
    count: u32,
    /// Rows a group.
    rows: u32,
    /// Where the device finds the expert of each.
    at: u64,
    /// x of the first row, and f32 from row to row.
    x: (u64, u32),
}

/// What the choice is made from, and where it goes.
pub(super) struct RouteTo<'a> {
    /// The router's.
    pub logits: &'a Buffer,
    /// Address of the experts' numbers.
    pub chosen: u64,
    /// Bytes from there to their weights.
    pub weights: u64,
    /// How many a token.
    pub used: u32,
}

/// Rows sorted by expert, as the host tells the device.
#[derive(Debug, Default, PartialEq)]
struct Sorted {
    /// The expert of each group.
    experts: Vec<u32>,
    /// The token of each row, `u32::MAX` for none.
    tokens: Vec<u32>,
    /// The row of each expert of each token `[tokens][used]`.
    rows: Vec<u32>,
}

impl Sorted {
    /// Of `chosen` experts `[tokens][used]`, out of `count`: in order of expert, and of token within one; groups of `rows`.
    fn new(chosen: &[u32], used: u32, count: u32, rows: u32) -> Self {
        let mut of_expert: Vec<Vec<usize>> = vec![Vec::new(); count as usize];
        for (pair, &expert) in chosen.iter().enumerate() {
            of_expert[expert as usize].push(pair);
        }
        let mut sorted = Self { rows: vec![0; chosen.len()], ..Self::default() };
        for (expert, pairs) in (0..).zip(of_expert) {
            for group in pairs.chunks(rows as usize) {
                sorted.experts.push(expert);
                for (row, &pair) in (sorted.tokens.len()..).zip(group) {
                    sorted.rows[pair] = index(row);
                }
                let tokens = group.iter().map(|&pair| index(pair) / used);
                sorted.tokens.extend(tokens.chain(std::iter::repeat(u32::MAX)).take(rows as usize));
            }
        }
        sorted
    }
}

impl Pass<'_> {
    /// x += the weighted sum of what each token's experts make of `n`, and what the shared network does.
    pub(super) fn mixture(&self, s: &mut Stages<'_>, l: u32, m: &Mixture, n: &Buffer) -> Result<(), EngineError> {
        let (e, a) = (self.experts()?, self.expert_activations()?);
        self.matmul(s, &m.router, n, &a.logits, self.tokens, Into::Replace)?; // logits [tokens][experts, and 1]
        let to = RouteTo { logits: &a.logits, chosen: a.chosen.address(), weights: self.weights_at(e), used: e.used };
        self.route(s, m, e, to)?; //                                            chosen, weights [tokens][used]
        let pairs = self.tokens * e.used;
        let asked = if self.tokens > 1 || s.watches_routes() || !s.stay(&m.packs) {
            let len = u64::from(pairs) * 4;
            s.recorder().copy(&a.chosen, 0, &a.seen, 0, len);
            s.recorder().copy(&a.chosen, self.weights_at(e), &a.seen, self.weights_at(e), len);
            let ahead = self.route_ahead(s, l, e, a)?;
            Some((s.submit()?, ahead))
        } else {
            None
        };
        let asked_for = asked.is_some();
        if let Some(shared) = &m.shared {
            self.shared(s, shared, e, n)?; //                                   shared [tokens][hidden]
        }
        let chosen = match asked {
            None => Vec::new(),
            Some((ticket, ahead)) => {
                if m.shared.is_some() {
                    s.submit()?;
                }
                s.wait(ticket)?;
                let chosen = self.seen(s, l, e, a)?;
                s.expect_experts(l, self.tokens, &chosen)?;
                ahead.map_or(Ok(()), |ahead| self.seen_ahead(s, ahead, a))?;
                chosen
            }
        };
        let (groups, rows) = self.groups(s, m, n, chosen)?;
        let scales = packs_of(m.scales.iter().copied());
        let expert_packs = |experts: &[u32]| {
            let packs = experts.iter().map(|&i| m.packs[i as usize]);
            packs.chain(scales.iter().copied()).collect::<Vec<_>>()
        };
        if groups.experts.is_empty() {
            s.need_settled(&scales)?;
            s.need_settled(&m.packs)?;
            self.run_experts(s, m, e, &groups, 0..groups.count)?;
        } else {
            for some in s.expert_groups(&groups.experts, &m.packs) {
                s.need(&expert_packs(&groups.experts[some.start as usize..some.end as usize]))?;
                self.run_experts(s, m, e, &groups, some)?; //                   rows [groups][rows][hidden]
            }
        }
        self.combine(s, m, e, a, rows)?;
        // the device goes on while what follows is recorded
        if asked_for { s.submit().map(drop) } else { Ok(()) }
    }

    fn experts(&self) -> Result<&Experts, EngineError> {
        self.config.design.experts.as_ref().ok_or(EngineError::Activations)
    }

    pub(super) fn expert_activations(&self) -> Result<&ExpertActivations, EngineError> {
        self.act.experts.as_ref().ok_or(EngineError::Activations)
    }

    /// Where weights lie behind the experts that they belong to.
    fn weights_at(&self, e: &Experts) -> u64 {
        u64::from(self.batch) * u64::from(e.used) * 4
    }

    /// Where the table has: the experts of groups, the rows of tokens, the tokens of rows.
    fn table_at(&self, e: &Experts) -> [u64; 3] {
        let pairs = u64::from(self.batch * e.used) * 4;
        [0, pairs, 2 * pairs]
    }

    pub(super) fn route(
        &self,
        s: &mut Stages<'_>,
        m: &Mixture,
        e: &Experts,
        to: RouteTo<'_>,
    ) -> Result<(), EngineError> {
        let [bias, score_bias] = self.vectors(s, [m.router_bias, m.score_bias])?;
        let args = RouteArgs {
            packs: s.tables()[0],
            logits: to.logits.address(),
            chosen: to.chosen,
            weights: to.chosen + to.weights,
            bias,
            score_bias,
            experts: e.count,
            used: to.used,
            logits_stride: stride(m.router.rows),
            groups: e.groups,
            groups_used: e.groups_used,
            scale: e.scale,
        };
        s.dispatch(&self.kernels.route(e)?, bytes_of(&args), [self.tokens, 1, 1]);
        Ok(())
    }

    /// The network that every token goes through.
    fn shared(&self, s: &mut Stages<'_>, shared: &Shared, e: &Experts, n: &Buffer) -> Result<(), EngineError> {
        let a = self.act;
        self.matmul(s, &shared.up, n, &a.up, self.tokens, Into::Replace)?;
        let hidden = self.activated(&a.up, &a.hidden, e.shared_ffn_size);
        self.activate(s, [None; 2], hidden, self.tokens, false)?;
        self.matmul(s, &shared.down, &a.hidden, &self.expert_activations()?.shared, self.tokens, Into::Replace)
    }

    /// What the router chose, which the device has copied: `[tokens][used]`.
    fn seen(
        &self,
        s: &mut Stages<'_>,
        layer: u32,
        e: &Experts,
        a: &ExpertActivations,
    ) -> Result<Vec<u32>, EngineError> {
        let len = (self.tokens * e.used) as usize;
        let words: &[u32] = cast_slice(a.seen.bytes()?);
        let weights = &words[(self.batch * e.used) as usize..][..len];
        let mut chosen = words[..len].to_vec();
        if let Some(other) = (self.tokens == 1).then(|| s.scripted(layer, e.used)).flatten() {
            s.recorder().update(&a.chosen, 0, cast_slice(&other)).barrier();
            chosen = other;
        }
        if let Some(&expert) = chosen.iter().find(|expert| **expert >= e.count) {
            return Err(EngineError::Routed { layer, expert, experts: e.count });
        }
        let routes = Routes {
            position: self.position,
            tokens: self.ids,
            layer,
            used: e.used,
            chosen: &chosen,
            weights: cast_slice(weights),
        };
        s.routed(&routes);
        Ok(chosen)
    }

    /// The rows that experts work on, and where the device finds those of each token; 0 where they are in the tokens' order.
    fn groups(
        &self,
        s: &mut Stages<'_>,
        m: &Mixture,
        n: &Buffer,
        chosen: Vec<u32>,
    ) -> Result<(Groups, u64), EngineError> {
        let (e, a) = (self.experts()?, self.expert_activations()?);
        if self.tokens == 1 {
            let groups =
                Groups { experts: chosen, count: e.used, rows: 1, at: a.chosen.address(), x: (n.address(), 0) };
            return Ok((groups, 0));
        }
        let products = m.up.iter().chain(&m.down);
        let rows = products.map(|p| self.kernels.group_rows(p.product.form)).max().unwrap_or(WIDE);
        let sorted = Sorted::new(&chosen, e.used, e.count, rows);
        let [experts_at, rows_at, tokens_at] = self.table_at(e);
        let table = |at: u64, words: &[u32]| a.table.write(at, cast_slice(words));
        table(experts_at, &sorted.experts)?;
        table(tokens_at, &sorted.tokens)?;
        table(rows_at, &sorted.rows)?;
        let (width, address) = (self.config.hidden_size, a.table.address());
        let args = GatherArgs {
            x: n.address(),
            y: a.rows.address(),
            source: address + tokens_at,
            width,
            stride: stride(width),
        };
        let groups = [width.div_ceil(self.kernels.local()), index(sorted.tokens.len()), 1];
        s.dispatch(&self.kernels.gather()?, bytes_of(&args), groups);
        let groups = Groups {
            count: index(sorted.experts.len()),
            experts: sorted.experts,
            rows,
            at: address + experts_at,
            x: (a.rows.address(), stride(width)),
        };
        Ok((groups, address + rows_at))
    }

    /// down(activation(gate) * up) of the groups numbered `some`, into the experts' rows.
    fn run_experts(
        &self,
        s: &mut Stages<'_>,
        m: &Mixture,
        e: &Experts,
        groups: &Groups,
        some: Range<u32>,
    ) -> Result<(), EngineError> {
        let a = self.expert_activations()?;
        let (first, rows) = (some.start * groups.rows, (some.end - some.start) * groups.rows);
        let row = |at: u64, stride: u32| at + u64::from(first) * u64::from(stride) * 4;
        let ups = stride((1 + u32::from(self.config.design.gated)) * e.ffn_size);
        let experts = groups.at + u64::from(some.start) * 4;
        let (x, x_stride) = groups.x;
        let args = MatmulArgs { experts, group_rows: groups.rows, tokens: rows, ..MatmulArgs::default() };
        let up = MatmulArgs { x: row(x, x_stride), x_stride, y: row(a.up.address(), ups), y_stride: ups, ..args };
        self.expert_product(s, &m.up, up)?;
        let hidden = stride(e.ffn_size);
        let activated = ActivateArgs {
            x: up.y,
            y: row(a.hidden.address(), hidden),
            experts,
            group_rows: groups.rows,
            ..self.activated(&a.up, &a.hidden, e.ffn_size)
        };
        self.activate(s, m.up_bias, activated, rows, m.interleaved)?;
        let width = stride(self.config.hidden_size);
        let down =
            MatmulArgs { x: activated.y, x_stride: hidden, y: row(a.rows.address(), width), y_stride: width, ..args };
        self.expert_product(s, &m.down, down)
    }

    fn expert_product(
        &self,
        s: &mut Stages<'_>,
        products: &[ExpertProduct],
        args: MatmulArgs,
    ) -> Result<(), EngineError> {
        let one_each = args.group_rows == 1;
        if !one_each {
            self.split(s, products.iter().map(|e| &e.product), args.x, args.tokens)?;
        }
        for ExpertProduct { product, part_count } in products {
            let args = MatmulArgs {
                packs: s.tables()[0],
                parts: product.table,
                part_count: *part_count,
                columns: product.columns,
                halves: if product.grid == 0 { self.act.halves.address() } else { product.grid },
                ..args
            };
            let batch = Batch::Experts { rows: args.tokens, group: args.group_rows };
            let multiply =
                self.kernels.product(product.form, batch, (product.tiles, product.tile_rows), product.columns)?;
            s.recorder().dispatch(&multiply.kernel, bytes_of(&args), multiply.groups);
        }
        s.recorder().barrier();
        s.mark(|| products.first().map_or_else(String::new, |e| format!("experts {}", e.product.form)));
        Ok(())
    }

    fn combine(
        &self,
        s: &mut Stages<'_>,
        m: &Mixture,
        e: &Experts,
        a: &ExpertActivations,
        rows: u64,
    ) -> Result<(), EngineError> {
        let width = self.config.hidden_size;
        let [bias] = self.vectors(s, [m.down_bias])?;
        let gate = m.shared.as_ref().filter(|shared| shared.gated);
        let args = CombineArgs {
            packs: s.tables()[0],
            x: self.act.x.address(),
            y: a.rows.address(),
            rows,
            weights: a.chosen.address() + self.weights_at(e),
            chosen: a.chosen.address(),
            shared: m.shared.as_ref().map_or(0, |_| a.shared.address()),
            shared_logits: gate.map_or(0, |_| a.logits.address() + u64::from(e.count) * 4),
            bias,
            width,
            stride: stride(width),
            used: e.used,
            shared_stride: stride(m.router.rows),
            scale: self.config.design.residual_scale,
            pad: 0,
        };
        let groups = [width.div_ceil(self.kernels.local()), self.tokens, 1];
        s.dispatch(&self.kernels.combine()?, bytes_of(&args), groups);
        Ok(())
    }
}

/// A number far below 2^32.
fn index(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_expert_and_every_pair_has_one() {
        let used = 2;
        let chosen: Vec<u32> = (0..20).flat_map(|t| [t % 3, 5]).collect();
        let sorted = Sorted::new(&chosen, used, 8, WIDE);
        // 7, 7, 6 and 20 rows
        assert_eq!(sorted.experts, [0, 1, 2, 5, 5, 5]);
        assert_eq!(sorted.tokens.len(), 6 * WIDE as usize);
        for (pair, &row) in sorted.rows.iter().enumerate() {
            assert_eq!(sorted.experts[(row / WIDE) as usize], chosen[pair]);
            assert_eq!(sorted.tokens[row as usize], index(pair) / used);
        }
        let rows = sorted.tokens.iter().filter(|token| **token != u32::MAX);
        assert_eq!(rows.count(), chosen.len());
        assert_eq!(Sorted::new(&[], used, 8, WIDE), Sorted::default());
        let single = Sorted::new(&chosen, used, 8, 1);
        assert_eq!(single.experts.len(), chosen.len());
        assert!(single.rows.iter().zip(&chosen).all(|(&row, expert)| single.experts[row as usize] == *expert));
    }
}
