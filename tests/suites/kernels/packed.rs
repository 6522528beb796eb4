//! y = W x and y += W x over packed weights, exceptions of every kind among them.

use std::collections::BTreeSet;

use symbiote_format::codec::Shape as PartShape;
use symbiote_format::{Codec, Dtype};
use symbiote_runtime::gpu::{CooperativeMatrix, MatrixElement};
use symbiote_shaders::MatmulArgs;
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig, Spread};

use super::expected::Worst;
use super::matmul::{MOST_TOKENS, Product, Shape, check, shape};

/// Tiles that are whole and cut off at every height, chunks likewise, columns beyond the last 32, windows of exceptions.
const SHAPES: &[Shape] = &[
    shape(7, &[5, 1], 0),
    shape(32, &[33], 0),
    shape(40, &[16, 3], 2),
    shape(100, &[3, 8, 21, 1], 1),
    shape(128, &[64, 32], 0),
    shape(333, &[37, 2], 0),
    shape(576, &[29, 11, 40], 3),
    shape(2144, &[34], 0),
    shape(4224, &[20], 0),
];

/// How the source stores its weights, as kernels are told.
fn source(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::Bf16 => 0,
        Dtype::F16 => 1,
        _ => 2,
    }
}

/// What an exception's place in the blocks counts as: the kernels take it back, in f32, so that it leaves a rounding.
pub(super) fn unit(codec: Codec, dtype: Dtype, shape: &Shape, bytes: &[u8]) -> f64 {
    if codec != Codec::P11 {
        return 0.0;
    }
    let words = 11;
    let coded = shape.columns / 32;
    let row_bytes = bytes.len() / shape.cuts.iter().sum::<usize>();
    let (mut row, mut largest) = (0, 0);
    for &rows in shape.cuts {
        let mut part = Vec::new();
        let of = PartShape { dtype, rows: rows as u32, columns: shape.columns as u32 };
        codec.encode(of, &bytes[row * row_bytes..][..rows * row_bytes], &mut part).unwrap();
        let base = &part[rows.div_ceil(4) * coded * words * 16..][..4];
        largest = largest.max(u32::from_le_bytes(base.try_into().unwrap()));
        row += rows;
    }
    (f64::from(largest) - 127.0).exp2()
}

fn sweep(subgroups: u32, widest: u32, codecs: &[Codec], dtypes: &[Dtype]) {
    let rig = KernelRig::open();
    for (&codec, &dtype) in codecs.iter().flat_map(|codec| dtypes.iter().map(move |dtype| (codec, dtype))) {
        let mut worst = Worst::new(format!("matmul_{codec} of {dtype}, {subgroups} subgroups"));
        for lanes in rig.subgroups() {
            let local = (lanes * subgroups).min(rig.gpu.info().max_workgroup_invocations);
            let slice = lanes.min(32);
            let constants = |wide| [local, wide, lanes, local / lanes, source(dtype)];
            let kernel = |wide| rig.kernel(&format!("matmul_{codec}"), &constants(wide), Some(lanes));
            let kernels: Vec<_> = BTreeSet::from([1, widest]).into_iter().map(|wide| (kernel(wide), wide)).collect();
            let mut random = Random::new(u64::from(dtype.code()));
            for shape in SHAPES {
                let mut product = Product::random(&mut random, dtype, shape);
                let unit = unit(codec, dtype, shape, &product.bytes);
                add_units(&mut product, shape.columns, unit);
                let spread = Spread { codec, cuts: shape.cuts, lead: 256, gap: shape.gap, tile: 32 };
                let matrix = DeviceMatrix::spread(&rig, dtype, shape.columns, &product.bytes, spread);
                for (kernel, wide) in &kernels {
                    for (tokens, add) in [(1, false), (3, true), (8, false), (MOST_TOKENS, true)] {
                        let (columns, cuts) = (shape.columns, shape.cuts);
                        let case = format!("{cuts:?}x{columns} tokens {tokens} by {wide} add {add} subgroup {lanes}");
                        check(
                            &rig,
                            (kernel, *wide, 32 / slice),
                            (&matrix, &product),
                            (tokens, add),
                            (&case, &mut worst),
                            &|_| None,
                        );
                    }
                }
            }
        }
        worst.report();
    }
    rig.finish();
}

/// Allows for an error of `unit` in every weight, beside what a product is allowed anyway.
fn add_units(product: &mut Product, columns: usize, unit: f64) {
    for (y, x) in product.y.iter_mut().zip(product.x.chunks_exact(columns)) {
        let magnitude: f64 = x.iter().map(|x| f64::from(x.abs())).sum();
        y.iter_mut().for_each(|y| y.1 += unit * magnitude);
    }
}

/// What cooperative matrices add up, they round more coarsely, and x is the sum of two f16: 2^-22 of it is lost.
const MATRIX: f64 = 8.0;

/// What `matmul_matrix.comp` relies on, as `matrix_layout.comp` reports it.
fn expected_layout() -> Vec<f32> {
    let element = |right: bool, lane: usize, e: usize| {
        let (row, column) = (lane / 4 + e / 4 * 8, 2 * (lane % 4) + e / 2 % 2 * 8 + e % 2);
        if right { column * 16 + row } else { row * 16 + column }
    };
    (0..512).map(|i| element(i >= 256, i / 8 % 32, i % 8) as f32).collect()
}

#[test]
fn on_matrices() {
    let rig = KernelRig::open_unchecked();
    let f16 = (MatrixElement::F16, MatrixElement::F16);
    let has = |m: &CooperativeMatrix| (m.m, m.n, m.k, m.factors, m.sum.0) == (16, 16, 16, f16, MatrixElement::F32);
    if !rig.gpu.info().cooperative_matrices.iter().any(has) {
        return println!("{} has no such matrices", rig.gpu.info().name);
    }
    let lanes = rig.gpu.info().subgroup;
    if rig.matrix_layout() != expected_layout() {
        return println!("{} lays matrices out in its own way", rig.gpu.info().name);
    }
    let cases = [Codec::P12, Codec::P11].iter().flat_map(|c| SOURCES.iter().map(move |d| (c, d)));
    for ((&codec, &dtype), tiles) in cases.flat_map(|c| [1, 2].map(|tiles| (c, tiles))) {
        let mut worst = Worst::new(format!("matrix_{codec} of {dtype}, {tiles} tiles"));
        let constants = [4 * lanes, 8, lanes, 4, source(dtype), tiles];
        let kernel = rig.kernel(&format!("matrix_{codec}"), &constants, Some(lanes));
        let mut random = Random::new(u64::from(dtype.code()));
        for shape in SHAPES {
            let mut product = Product::random(&mut random, dtype, shape);
            let unit = unit(codec, dtype, shape, &product.bytes);
            add_units(&mut product, shape.columns, unit);
            product.y.iter_mut().flatten().for_each(|y| y.1 *= MATRIX);
            let spread = Spread { codec, cuts: shape.cuts, lead: 256, gap: shape.gap, tile: 32 * tiles };
            let matrix = DeviceMatrix::spread(&rig, dtype, shape.columns, &product.bytes, spread);
            for (tokens, add) in [(1, false), (3, true), (8, false), (MOST_TOKENS, true)] {
                let case = format!("{:?}x{} tokens {tokens} add {add}", shape.cuts, shape.columns);
                let prepare = |args: &mut MatmulArgs| Some(rig.split(args));
                check(&rig, (&kernel, 8, 1), (&matrix, &product), (tokens, add), (&case, &mut worst), &prepare);
            }
        }
        worst.report();
    }
    rig.finish();
}

const SOURCES: &[Dtype] = &[Dtype::Bf16, Dtype::F16, Dtype::F32];

#[test]
fn as_on_a_cpu() {
    sweep(1, 1, &[Codec::P12, Codec::P11], SOURCES);
}

#[test]
fn as_on_a_gpu() {
    sweep(4, 2, &[Codec::P12, Codec::P11], SOURCES);
}
