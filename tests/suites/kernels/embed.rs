//! Rows of the embedding by token.

use symbiote_format::{Codec, Dtype, dequant::dequantize};
use symbiote_shaders::EmbedArgs;
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig, Spread};

use super::expected::{Expected, Worst};
use super::narrowed::{HALVES, SOURCE, nearly};

/// Rows of the parts.
const CUTS: &[usize] = &[7, 1, 30, 2, 1];
/// Rows with every kind of block, the ends of parts among them, some more than once.
const TOKENS: &[u32] = &[0, 6, 7, 8, 37, 38, 39, 40, 6, 19, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 40];
/// Invocations of a workgroup.
const LOCALS: &[u32] = &[64, 128];

fn widths(dtype: Dtype) -> &'static [usize] {
    match dtype.block_len() {
        1 => &[1, 7, 8, 100, 333, 576, 2049],
        32 => &[32, 64, 576],
        _ => &[256, 1536],
    }
}

/// No weight is rounded more than once from its exact value, here or there, so that they agree to the last bit.
fn agrees(rig: &KernelRig, dtype: Dtype, codec: Codec, constants: impl Fn(u32) -> Vec<u32>) {
    let name = if codec == Codec::Raw { format!("embed_{dtype}") } else { format!("embed_{codec}") };
    let rows = |random: &mut Random, columns| random.extreme_rows(dtype, CUTS.iter().sum(), columns);
    agrees_on(rig, (&name, dtype, codec), rows, constants);
}

fn agrees_on(
    rig: &KernelRig,
    (name, dtype, codec): (&str, Dtype, Codec),
    weights: impl Fn(&mut Random, usize) -> Vec<u8>,
    constants: impl Fn(u32) -> Vec<u32>,
) {
    let tokens = rig.upload("tokens", TOKENS);
    let mut worst = Worst::new(format!("{name} of {dtype}"));
    let mut random = Random::new(u64::from(dtype.code()));
    for &columns in widths(dtype) {
        let bytes = weights(&mut random, columns);
        let mut w = vec![0.0; CUTS.iter().sum::<usize>() * columns];
        dequantize(dtype, &bytes, &mut w);
        let spread = Spread { cuts: CUTS, lead: 256, gap: 0, tile: 1, codec };
        let matrix = DeviceMatrix::spread(rig, dtype, columns, &bytes, spread);
        let x_stride = columns.next_multiple_of(4) + 4;
        let mut expected = Expected::untouched((TOKENS.len() + 1) * x_stride);
        for (t, token) in TOKENS.iter().enumerate() {
            for (k, value) in w[*token as usize * columns..][..columns].iter().enumerate() {
                expected.set(t * x_stride + k, (*value).into(), 0.0);
            }
        }
        for &local in LOCALS {
            let x = rig.poisoned("x", (TOKENS.len() + 1) * x_stride);
            let args = EmbedArgs {
                packs: matrix.packs.address(),
                parts: matrix.table.address(),
                tokens: tokens.address(),
                x: x.address(),
                part_count: matrix.parts.len() as u32,
                columns: columns as u32,
                x_stride: x_stride as u32,
                first: 0,
                grid: matrix.grid(),
            };
            let kernel = rig.kernel(name, &constants(local), None);
            rig.run(&kernel, &args, [TOKENS.len() as u32, 1, 1]);
            worst.check(&format!("columns {columns} local {local}"), &rig.elements(&x), &expected);
        }
    }
    worst.report();
}

#[test]
fn every_stored_type() {
    let rig = KernelRig::open();
    // those with a large table last: a driver for CPUs takes minutes to compile them
    let mut types = Dtype::ALL;
    types.sort_by_key(|dtype| matches!(dtype, Dtype::Iq1S | Dtype::Iq1M | Dtype::Iq2S | Dtype::Iq2Xs | Dtype::Iq3S));
    for dtype in types {
        agrees(&rig, dtype, Codec::Raw, |local| vec![local]);
    }
    rig.finish();
}

#[test]
fn packed() {
    let rig = KernelRig::open();
    for codec in [Codec::P12, Codec::P11] {
        for (source, dtype) in [(0, Dtype::Bf16), (1, Dtype::F16), (2, Dtype::F32)] {
            agrees(&rig, dtype, codec, |local| vec![local, 1, 0, 0, source]);
        }
    }
    rig.finish();
}

#[test]
fn narrowed() {
    let rig = KernelRig::open();
    for (codec, half) in HALVES {
        let name = format!("embed_{half}");
        let kernel = (name.as_str(), Dtype::F32, codec);
        let constants = |local| vec![local, 1, 0, 0, SOURCE];
        agrees_on(&rig, kernel, |random, columns| nearly(random, half, CUTS, columns), constants);
        let any = |random: &mut Random, columns| random.extreme_rows(Dtype::F32, CUTS.iter().sum(), columns);
        agrees_on(&rig, kernel, any, constants);
    }
    rig.finish();
}
