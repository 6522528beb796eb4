//! y = W x and y += W x over f32 weights stored as halves, with those apart that are not exact in one.

use symbiote_format::codec::Shape as PartShape;
use symbiote_format::{Codec, Dtype, dequant::dequantize};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig, Spread};

use super::expected::Worst;
use super::matmul::{ANY_COLUMNS, MOST_TOKENS, Product, Shape, Split, WIDE, check, shape};

/// More than one window of exceptions, more than one tile in a part.
const WINDOWS: &[Shape] = &[shape(2049, &[34, 3], 1), shape(4224, &[20], 0), shape(2144, &[65, 1, 1, 1, 1, 7], 0)];

/// The codecs, and the types that their kernels read.
pub(super) const HALVES: [(Codec, Dtype); 2] = [(Codec::F16, Dtype::F16), (Codec::Bf16, Dtype::Bf16)];

/// How the kernels are told that exceptions are f32.
pub(super) const SOURCE: u32 = 2;

/// F32 weights that are exact in `half`, but for some: the corners of every part, a hundredth, every tenth row.
pub(super) fn nearly(random: &mut Random, half: Dtype, cuts: &[usize], columns: usize) -> Vec<u8> {
    let rows = cuts.iter().sum();
    let mut weights = vec![0.0; rows * columns];
    dequantize(half, &random.extreme_rows(half, rows, columns), &mut weights);
    // of the row's magnitude, so that no weight hides another
    let spoil = |random: &mut Random, w: &mut f32| {
        let near = if *w == 0.0 { random.normal() } else { *w };
        *w = f32::from_bits(near.to_bits() | 1);
    };
    let mut first = 0;
    for &rows in cuts {
        let last = first + rows - 1;
        for row in first..=last {
            for (k, w) in weights[row * columns..][..columns].iter_mut().enumerate() {
                let corner = (row == first || row == last) && (k == 0 || k == columns - 1);
                if corner || row % 10 == 9 || random.below(100) == 0 {
                    spoil(random, w);
                }
            }
        }
        first += rows;
    }
    weights.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// Weights that are nearly all halves, and f32 of which nearly none is.
fn kinds(random: &mut Random, (codec, half): (Codec, Dtype), shape: &Shape) -> [Vec<u8>; 2] {
    let few = nearly(random, half, shape.cuts, shape.columns);
    let many = random.extreme_rows(Dtype::F32, shape.cuts.iter().sum(), shape.columns);
    let count = |bytes: &[u8]| {
        let part = PartShape { dtype: Dtype::F32, rows: bytes.len() as u32 / 4, columns: 1 };
        let mut coded = Vec::new();
        codec.encode(part, bytes, &mut coded).unwrap();
        codec.exceptions(part, coded.len() as u64).unwrap() as usize
    };
    assert!(count(&few) > 0 && (shape.columns < 8 || count(&few) < few.len() / 8));
    assert!(shape.columns < 8 || count(&many) > count(&few));
    [few, many]
}

fn sweep(split: Split) {
    let rig = KernelRig::open();
    for (codec, half) in HALVES {
        let mut worst = Worst::new(format!("matmul_{half} with exceptions {split:?}"));
        for subgroup in rig.subgroups() {
            let local = (subgroup * split.subgroups).min(rig.gpu.info().max_workgroup_invocations);
            let constants = |wide| [local, wide, split.rows, split.touch.into(), SOURCE];
            let kernel = |wide| rig.kernel(&format!("matmul_{half}"), &constants(wide), Some(subgroup));
            let (narrow, wide) = ((&kernel(1), 1, 1), (&kernel(WIDE), WIDE, 1));
            let mut random = Random::new(u64::from(half.code()));
            for shape in ANY_COLUMNS.iter().chain(WINDOWS) {
                for (kind, bytes) in kinds(&mut random, (codec, half), shape).into_iter().enumerate() {
                    let product = Product::of(&mut random, Dtype::F32, bytes, shape);
                    let tile = local / subgroup * split.rows;
                    let spread = Spread { codec, cuts: shape.cuts, lead: 256, gap: shape.gap, tile };
                    let matrix = DeviceMatrix::spread(&rig, Dtype::F32, shape.columns, &product.bytes, spread);
                    for (kernel, tokens) in
                        [(narrow, 1), (narrow, 5), (wide, 2), (wide, 5), (wide, 8), (wide, MOST_TOKENS)]
                    {
                        for add in [false, true] {
                            let (columns, cuts, wide) = (shape.columns, shape.cuts, kernel.1);
                            let case = format!(
                                "{cuts:?}x{columns} kind {kind} tokens {tokens} by {wide} add {add} subgroup {subgroup}"
                            );
                            check(&rig, kernel, (&matrix, &product), (tokens, add), (&case, &mut worst), &|_| None);
                        }
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
    sweep(Split { subgroups: 1, rows: 16, touch: true });
}

#[test]
fn as_on_a_gpu() {
    sweep(Split { subgroups: 4, rows: 2, touch: false });
}
