//! y = W x and y += W x.

use std::sync::Arc;

use symbiote_format::{Codec, Dtype, dequant::dequantize};
use symbiote_runtime::gpu::{Buffer, Pipeline};
use symbiote_shaders::MatmulArgs;
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig, Spread};

use super::expected::{Expected, Worst};

/// Of the sum of |w| |x|. Weights decode exactly and a product rounds by 2^-24 = 6e-8 of itself; a lane then adds up some
/// tens of them, each addition rounding by 2^-24 of a partial sum, which is no more than the sum of |w| |x|.
pub(super) const TOLERANCE: f64 = 5e-7;

/// Tokens of the wide variant, as the engine has it.
pub(super) const WIDE: u32 = 8;

/// How a device shares out the rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    pub(super) subgroups: u32,
    pub(super) rows: u32,
    /// Every cache line is asked for first.
    pub(super) touch: bool,
}

/// A matrix: its columns, the rows of its parts, and rows of other matrices between them.
pub(super) struct Shape {
    pub(super) columns: usize,
    pub(super) cuts: &'static [usize],
    pub(super) gap: usize,
}

pub(super) const fn shape(columns: usize, cuts: &'static [usize], gap: usize) -> Shape {
    Shape { columns, cuts, gap }
}

// Parts of one row, of a tile, of less and of more.
pub(super) const ANY_COLUMNS: &[Shape] = &[
    shape(1, &[5, 1], 0),
    shape(7, &[17], 0),
    shape(8, &[1, 1, 33], 2),
    shape(40, &[16, 16], 0),
    shape(100, &[3, 8, 21, 1], 1),
    shape(333, &[37, 2], 0),
    shape(2048, &[15, 1, 16], 3),
];
const BLOCKS_OF_32: &[Shape] =
    &[shape(32, &[1], 0), shape(64, &[37, 1, 16, 5], 0), shape(576, &[3, 30], 5), shape(2048, &[16, 9, 1, 1], 0)];
const BLOCKS_OF_256: &[Shape] =
    &[shape(256, &[1, 37, 16, 5], 0), shape(1536, &[31, 2], 7), shape(2048, &[16, 9, 1, 1], 0)];

pub(super) fn shapes(dtype: Dtype) -> &'static [Shape] {
    match dtype.block_len() {
        1 => ANY_COLUMNS,
        32 => BLOCKS_OF_32,
        _ => BLOCKS_OF_256,
    }
}

/// Random weights, and as many random x as any case needs, with what they give.
pub(super) struct Product {
    pub(super) bytes: Vec<u8>,
    pub(super) x: Vec<f32>,
    /// `[tokens][rows]`: the product, and the sum of its terms' magnitudes.
    pub(super) y: Vec<Vec<(f64, f64)>>,
}

pub(super) const MOST_TOKENS: usize = 17;

impl Product {
    pub(super) fn random(random: &mut Random, dtype: Dtype, shape: &Shape) -> Self {
        let bytes = random.extreme_rows(dtype, shape.cuts.iter().sum(), shape.columns);
        Self::of(random, dtype, bytes, shape)
    }

    pub(super) fn of(random: &mut Random, dtype: Dtype, bytes: Vec<u8>, shape: &Shape) -> Self {
        let x = random.normals(MOST_TOKENS * shape.columns);
        let mut w = vec![0.0; shape.cuts.iter().sum::<usize>() * shape.columns];
        dequantize(dtype, &bytes, &mut w);
        let dot = |w: &[f32], x: &[f32]| {
            let terms = w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
            terms.fold((0.0, 0.0), |(sum, magnitude), term| (sum + term, magnitude + term.abs()))
        };
        let rows_of = |x| w.chunks_exact(shape.columns).map(|w| dot(w, x)).collect();
        let y = x.chunks_exact(shape.columns).map(rows_of).collect();
        Self { bytes, x, y }
    }
}

/// Multiplies `tokens` of the product's x, after `prepare` has seen the arguments, and compares. `share` workgroups have a tile.
pub(super) fn check(
    rig: &KernelRig,
    (kernel, wide, share): (&Arc<Pipeline>, u32, u32),
    (matrix, product): (&DeviceMatrix, &Product),
    (tokens, add): (usize, bool),
    (case, worst): (&str, &mut Worst),
    prepare: &dyn Fn(&mut MatmulArgs) -> Option<Buffer>,
) {
    let whole = tokens.next_multiple_of(wide as usize);
    let mut args = matrix.args(&rig.upload("x", &[0]), &rig.upload("y", &[0]), tokens);
    args.x_stride += 4;
    args.y_stride += 3;
    let (columns, x_stride, y_stride) = (matrix.columns, args.x_stride as usize, args.y_stride as usize);

    let x = rig.upload_rows("x", &product.x[..tokens * columns], columns, x_stride, whole);
    let out_rows = matrix.out_rows();
    let mut before = vec![KernelRig::POISON; whole * y_stride];
    let mut expected = Expected::untouched(before.len());
    for (t, y) in product.y[..tokens].iter().enumerate() {
        for (&r, &(sum, magnitude)) in out_rows.iter().zip(y) {
            let at = t * y_stride + r;
            let old = if add { (r % 7) as f32 - 3.0 } else { 0.0 };
            if add {
                before[at] = old.to_bits();
            }
            let old = f64::from(old);
            expected.set(at, old + sum, TOLERANCE * (magnitude + old.abs()));
        }
    }
    let y = rig.upload("y", &before);
    (args.x, args.y, args.add) = (x.address(), y.address(), add.into());
    let _prepared = prepare(&mut args);
    rig.run(kernel, &args, [matrix.tiles * share, tokens.div_ceil(wide as usize) as u32, 1]);
    worst.check(case, &rig.elements(&y), &expected);
}

/// Every shape of `dtypes` with rows split so, for a subgroup of every size.
fn sweep(split: Split, dtypes: &[Dtype]) {
    let rig = KernelRig::open();
    for &dtype in dtypes {
        let mut worst = Worst::new(format!("matmul_{dtype} {split:?}"));
        for subgroup in rig.subgroups() {
            let local = (subgroup * split.subgroups).min(rig.gpu.info().max_workgroup_invocations);
            let constants = |wide| [local, wide, split.rows, split.touch.into()];
            let kernel = |wide| rig.kernel(&format!("matmul_{dtype}"), &constants(wide), Some(subgroup));
            let (narrow, wide) = ((&kernel(1), 1, 1), (&kernel(WIDE), WIDE, 1));
            let mut random = Random::new(u64::from(dtype.code()));
            for shape in shapes(dtype) {
                let product = Product::random(&mut random, dtype, shape);
                let spread = Spread {
                    codec: Codec::Raw,
                    cuts: shape.cuts,
                    lead: 256,
                    gap: shape.gap,
                    tile: local / subgroup * split.rows,
                };
                let matrix = DeviceMatrix::spread(&rig, dtype, shape.columns, &product.bytes, spread);
                let cases = [(narrow, 1), (narrow, 3), (wide, 2), (wide, 7), (wide, 8), (wide, 9), (wide, MOST_TOKENS)];
                for (kernel, tokens) in cases {
                    for add in [false, true] {
                        let (columns, cuts, wide) = (shape.columns, shape.cuts, kernel.1);
                        let case =
                            format!("{cuts:?}x{columns} tokens {tokens} by {wide} add {add} subgroup {subgroup}");
                        check(&rig, kernel, (&matrix, &product), (tokens, add), (&case, &mut worst), &|_| None);
                    }
                }
            }
        }
        worst.report();
    }
    rig.finish();
}

#[test]
fn as_on_a_cpu() {
    sweep(Split { subgroups: 1, rows: 16, touch: true }, &Dtype::ALL);
}

#[test]
fn as_on_a_gpu() {
    sweep(Split { subgroups: 4, rows: 2, touch: false }, &Dtype::ALL);
}

#[test]
fn one_row_a_subgroup() {
    sweep(Split { subgroups: 2, rows: 1, touch: false }, &Dtype::ALL);
}
