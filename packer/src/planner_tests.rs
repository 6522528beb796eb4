//! Properties of every plan.

use proptest::prelude::*;
use symbiote_format::{Design, RopeLayout, RopeScaling};

use super::*;

fn config(layers: u32, kv_heads: u32, group: u32, head_dim: u32, tied: bool) -> ModelConfig {
    ModelConfig {
        vocab_size: 1000,
        context_length: 128,
        hidden_size: 64,
        layer_count: layers,
        head_count: kv_heads * group,
        kv_head_count: kv_heads,
        head_dim,
        ffn_size: 300,
        norm_eps: 1e-5,
        tied_embeddings: tied,
        rope_base: 1e4,
        rope_dims: head_dim,
        rope_layout: RopeLayout::Halves,
        rope_scaling: RopeScaling::None,
        design: Design::default(),
    }
}

/// The tensors of a model, with rows of `row_bytes` (down and output: other widths); projections in one where `fused`.
fn tensors(c: &ModelConfig, row_bytes: u64, fused: bool) -> Vec<PlanTensor> {
    use TensorKind::*;
    let t = |kind, layer, rows, row_bytes| PlanTensor { kind, layer, rows, row_bytes };
    let mut all = vec![
        t(Unused, NO_LAYER, 77, 13),
        t(RopeFactors, NO_LAYER, 1, 32),
        t(PositionEmbedding, NO_LAYER, c.context_length, row_bytes),
        t(TokenEmbedding, NO_LAYER, c.vocab_size, row_bytes),
    ];
    for layer in 0..c.layer_count {
        all.extend([
            t(FfnDown, layer, c.hidden_size, row_bytes * 3),
            t(AttentionOutput, layer, c.hidden_size, row_bytes),
        ]);
        if fused {
            all.push(t(FfnGateUp, layer, 2 * c.ffn_size, row_bytes));
            all.push(t(QueryKeyValue, layer, c.query_rows() + 2 * c.kv_rows(), row_bytes));
        } else {
            all.extend([
                t(FfnUp, layer, c.ffn_size, row_bytes / 2 + 1),
                t(FfnGate, layer, c.ffn_size, row_bytes),
                t(Value, layer, c.kv_rows(), row_bytes * 2),
                t(Key, layer, c.kv_rows(), row_bytes),
                t(Query, layer, c.query_rows(), row_bytes),
            ]);
        }
        all.extend(VECTORS.iter().rev().map(|kind| t(*kind, layer, 1, 256)));
    }
    all.push(t(OutputNormBias, NO_LAYER, 1, 256));
    all.push(t(OutputNorm, NO_LAYER, 1, 256));
    if !c.tied_embeddings {
        all.push(t(Output, NO_LAYER, c.vocab_size, row_bytes));
    }
    all
}

/// Where a pack comes in a forward pass.
fn stage(pack: &PlannedPack, tensors: &[PlanTensor]) -> (u32, u32, u32) {
    let kind = tensors[pack.parts[0].tensor].kind;
    match pack.role {
        _ if kind == TensorKind::Unused => (5, 0, 0),
        _ if kind == TensorKind::RopeFactors => (0, 0, 0),
        PackRole::Embedding => (1, 0, (kind != TensorKind::TokenEmbedding).into()),
        PackRole::Norms if pack.layer != NO_LAYER => (2, pack.layer, 0),
        PackRole::AttentionHeads => (2, pack.layer, 1),
        PackRole::AttentionOutput => (2, pack.layer, 2),
        PackRole::MlpBlock => (2, pack.layer, 3),
        PackRole::MlpDown => (2, pack.layer, 4),
        PackRole::Norms => (3, 0, 0),
        PackRole::Head => (4, 0, 0),
        other => panic!("{other} in a dense model"),
    }
}

fn bytes(pack: &PlannedPack, tensors: &[PlanTensor]) -> u64 {
    pack.parts.iter().map(|p| u64::from(p.rows) * tensors[p.tensor].row_bytes).sum()
}

proptest! {
    #[test]
    fn every_plan_is_a_partition_in_execution_order(
        layers in 1u32..4, kv_heads in 1u32..9, group in 1u32..5, half_head in 1u32..20,
        tied: bool, fused: bool, row_bytes in 1u64..5000, target in 4096u64..2_000_000,
    ) {
        let config = config(layers, kv_heads, group, half_head * 2, tied);
        let tensors = tensors(&config, row_bytes, fused);
        let packs = plan(&tensors, &config, target).unwrap();

        let mut next = vec![0u32; tensors.len()];
        for part in packs.iter().flat_map(|p| &p.parts) {
            prop_assert!(part.rows > 0);
            prop_assert_eq!(part.row, next[part.tensor]);
            next[part.tensor] += part.rows;
        }
        for (t, covered) in tensors.iter().zip(next) {
            prop_assert_eq!(t.rows, covered);
        }
        prop_assert!(packs.is_sorted_by_key(|p| stage(p, &tensors)));

        let vectors = packs.iter().filter(|p| p.role == PackRole::Norms && p.layer != NO_LAYER);
        prop_assert!(vectors.map(|p| p.parts.len()).eq(vec![VECTORS.len(); layers as usize]));
        for pack in &packs {
            let parts = &pack.parts;
            match pack.role {
                PackRole::AttentionHeads if !fused => {
                    let rows: Vec<_> = parts.iter().map(|p| (p.row, p.rows)).collect();
                    let (group, head) = (config.head_dim * group, config.head_dim);
                    prop_assert_eq!(rows[0].0 % group, 0);
                    prop_assert_eq!((rows[0].0 / group * head, rows[0].1 / group * head), rows[1]);
                    prop_assert_eq!(rows[1], rows[2]);
                    prop_assert!(bytes(pack, &tensors) <= target || rows[1].1 == head);
                }
                PackRole::MlpBlock if !fused => {
                    prop_assert_eq!((parts[0].row, parts[0].rows), (parts[1].row, parts[1].rows));
                    prop_assert!(bytes(pack, &tensors) <= target || parts[0].rows == 1);
                }
                PackRole::Norms if tensors[parts[0].tensor].kind != TensorKind::Unused => {}
                _ => prop_assert!(bytes(pack, &tensors) <= target || parts[0].rows == 1),
            }
        }
    }
}

#[test]
fn packs_are_even_and_cut_at_grains() {
    let config = config(1, 2, 2, 16, true);
    let tensors = [PlanTensor { kind: TensorKind::TokenEmbedding, layer: NO_LAYER, rows: 1000, row_bytes: 100 }];
    let packs = plan(&tensors, &config, 60_000).unwrap();
    let rows: Vec<_> = packs.iter().map(|p| p.parts[0].rows).collect();
    assert_eq!(rows, [512, 488]);
}

#[test]
fn groups_share_a_pack_where_they_fit() {
    let config = config(1, 4, 2, 16, true);
    let tensors = tensors(&config, 64, false);
    let heads = |target| {
        let packs = plan(&tensors, &config, target).unwrap();
        packs.iter().filter(|p| p.role == PackRole::AttentionHeads).count()
    };
    assert_eq!((heads(1 << 20), heads(12_000), heads(4096)), (1, 2, 4));
}

#[test]
fn rows_that_cannot_be_parted_are_refused_above_the_limit() {
    let config = config(1, 1, 1, 2, true);
    let tensors =
        [PlanTensor { kind: TensorKind::Unused, layer: NO_LAYER, rows: 1, row_bytes: limits::PACK_BYTES + 1 }];
    let error = plan(&tensors, &config, 4096).unwrap_err();
    assert!(matches!(error, PlanError::PackTooLong { role: "norms", .. }));
}
