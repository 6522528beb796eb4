//! Products of one token with what lies beside them: an RMSNorm that one begins and the next ends, and a gate.

use std::sync::Arc;

use symbiote_format::Activation::{self, GeluTanh, Silu};
use symbiote_format::{Codec, Dtype};
use symbiote_runtime::gpu::Pipeline;
use symbiote_shaders::{MatmulArgs, VectorArgs};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig, Spread};
use symbiote_tests::oracle;

use super::activate;
use super::expected::{Expected, Worst};
use super::heads::{EPS, NORM_OFFSET};
use super::matmul::{ANY_COLUMNS, Product, Shape, TOLERANCE, shapes};

/// A rounding.
const ROUND: f64 = f32::EPSILON as f64;
/// Of a sum of squares and of what is made of it: as many additions as of a product, a quotient and a root.
const FACTOR: f64 = 1e-6;

/// Weights, and the kernel for them.
#[derive(Clone, Copy, Debug)]
enum Weights {
    /// With rows a workgroup.
    Quants(Dtype, u32),
    Packed(Codec),
}

const WEIGHTS: [Weights; 8] = [
    Weights::Quants(Dtype::Q4_0, 16),
    Weights::Quants(Dtype::Q8_0, 16),
    Weights::Quants(Dtype::Q8_0, 32),
    Weights::Quants(Dtype::Q4K, 32),
    Weights::Quants(Dtype::Q5K, 16),
    Weights::Quants(Dtype::Q6K, 8),
    Weights::Packed(Codec::P12),
    Weights::Packed(Codec::P11),
];

/// What is asked of a kernel, and the activation of its gate.
#[derive(Clone, Copy, Debug)]
struct Fused {
    bits: u32,
    activation: u32,
}

/// A kernel, the rows of a tile's matrix, and the workgroups of a tile.
struct Kernel {
    pipeline: Arc<Pipeline>,
    tile: u32,
    share: u32,
}

impl Weights {
    fn dtype(self) -> Dtype {
        match self {
            Self::Quants(dtype, _) => dtype,
            Self::Packed(_) => Dtype::Bf16,
        }
    }

    fn codec(self) -> Codec {
        match self {
            Self::Quants(..) => Codec::Raw,
            Self::Packed(codec) => codec,
        }
    }

    fn shapes(self) -> &'static [Shape] {
        match self {
            Self::Quants(dtype, _) => shapes(dtype),
            // a tile's last columns are not packed
            Self::Packed(_) => ANY_COLUMNS,
        }
    }

    fn kernel(self, rig: &KernelRig, lanes: u32, fused: Fused) -> Kernel {
        let gated = fused.bits & MatmulArgs::GATED != 0;
        let subgroups = (rig.gpu.info().max_workgroup_invocations / lanes).min(4);
        let (name, mut constants, tile, share) = match self {
            Self::Quants(dtype, rows) => {
                let constants = vec![lanes * subgroups, lanes, subgroups, rows, 2];
                (format!("matmul_quant_{dtype}"), constants, if gated { rows / 2 } else { rows }, 1)
            }
            Self::Packed(codec) => {
                (format!("matmul_{codec}"), vec![lanes * subgroups, 1, lanes, subgroups, 0], 32, 32u32.div_ceil(lanes))
            }
        };
        constants.resize(MatmulArgs::ACTIVATION as usize, 0);
        constants.push(fused.activation);
        Kernel { pipeline: rig.kernel(&name, &constants, Some(lanes)), tile, share }
    }
}

/// Checks one shape.
type Check<'a> = dyn Fn(&KernelRig, Weights, &Kernel, &Shape, (&str, &mut Worst)) + 'a;

/// Checks every shape of all weights by every size of a subgroup.
fn sweep(fused: Fused, check: &Check<'_>) {
    let rig = KernelRig::open();
    for weights in WEIGHTS {
        let mut worst = Worst::new(format!("{weights:?} {fused:?}"));
        for lanes in rig.subgroups() {
            let kernel = weights.kernel(&rig, lanes, fused);
            for shape in weights.shapes() {
                let case = format!("{:?}x{} lanes {lanes}", shape.cuts, shape.columns);
                check(&rig, weights, &kernel, shape, (&case, &mut worst));
            }
        }
        worst.report();
    }
    rig.finish();
}

fn spread<'a>(weights: Weights, shape: &Shape, cuts: &'a [usize], tile: u32) -> Spread<'a> {
    Spread { codec: weights.codec(), cuts, lead: 256, gap: shape.gap, tile }
}

#[test]
fn norms_begin() {
    let fused = Fused { bits: MatmulArgs::BEGINS, activation: 0 };
    sweep(fused, &|rig, weights, kernel, shape, (case, worst)| {
        let mut random = Random::new(1);
        let bytes = random.rows(weights.dtype(), shape.cuts.iter().sum(), shape.columns);
        let product = Product::of(&mut random, weights.dtype(), bytes, shape);
        let matrix = DeviceMatrix::spread(
            rig,
            weights.dtype(),
            shape.columns,
            &product.bytes,
            spread(weights, shape, shape.cuts, kernel.tile),
        );
        let norm = random.normals(matrix.rows);
        let vector = rig.upload("norm", &norm);
        let (packs, pack) = matrix.packs_and(rig, &vector);
        let workgroups = (matrix.tiles * kernel.share) as usize;

        let old = |r: usize| (r % 7) as f32 - 3.0;
        let mut before = vec![KernelRig::POISON; matrix.rows + 4];
        let mut expected = [(); 2].map(|()| Expected::untouched(before.len()));
        let (mut squares, mut off) = (0.0, 0.0);
        for (&r, &(sum, magnitude)) in matrix.out_rows().iter().zip(&product.y[0]) {
            before[r] = old(r).to_bits();
            let (value, bound) = (sum + f64::from(old(r)), TOLERANCE * (magnitude + f64::from(old(r).abs())));
            expected[0].set(r, value, bound);
            let weight = f64::from(norm[r] + NORM_OFFSET);
            expected[1].set(r, value * weight, (bound + value.abs() * ROUND) * weight.abs());
            squares += value * value;
            off += 2.0 * value.abs() * bound + bound * bound;
        }
        let x = rig.upload("x", &product.x[..shape.columns.next_multiple_of(4)]);
        let y = rig.upload("y", &before);
        let begun = rig.poisoned("begun", before.len());
        let sums = rig.poisoned("squares", workgroups + 1);
        let args = MatmulArgs {
            packs: packs.address(),
            add: 1,
            squares: sums.address(),
            begun: begun.address(),
            norm: VectorArgs::new(pack, 0, VectorArgs::F32),
            norm_offset: NORM_OFFSET,
            fused: fused.bits,
            ..matrix.args(&x, &y, 1)
        };
        rig.run(&kernel.pipeline, &args, [workgroups as u32, 1, 1]);
        worst.check(case, &rig.elements(&y), &expected[0]);
        worst.check(case, &rig.elements(&begun), &expected[1]);
        let sums = rig.elements(&sums);
        assert!(sums[..workgroups].iter().all(Option::is_some) && sums[workgroups].is_none(), "{case}: {sums:?}");
        let sum: f64 = sums.iter().flatten().sum();
        assert!((sum - squares).abs() <= off + squares * FACTOR, "{case}: {sum}, not {squares}");
    });
}

/// Sums of squares as a product leaves them, and the factor that a norm over `columns` makes of them.
fn sums_of_squares(random: &mut Random, columns: usize) -> (Vec<f32>, f64) {
    let sums: Vec<f32> = random.normals(37).iter().map(|v| v * v * columns as f32 / 20.0).collect();
    let mean = sums.iter().map(|v| f64::from(*v)).sum::<f64>() / columns as f64;
    (sums, 1.0 / (mean + f64::from(EPS)).sqrt())
}

#[test]
fn norms_end() {
    let fused = Fused { bits: MatmulArgs::ENDS, activation: 0 };
    sweep(fused, &|rig, weights, kernel, shape, (case, worst)| {
        let mut random = Random::new(2);
        let product = Product::random(&mut random, weights.dtype(), shape);
        let matrix = DeviceMatrix::spread(
            rig,
            weights.dtype(),
            shape.columns,
            &product.bytes,
            spread(weights, shape, shape.cuts, kernel.tile),
        );
        let (sums, factor) = sums_of_squares(&mut random, shape.columns);
        let mut expected = Expected::untouched(matrix.rows + 4);
        for (&r, &(sum, magnitude)) in matrix.out_rows().iter().zip(&product.y[0]) {
            expected.set(r, sum * factor, (magnitude * (TOLERANCE + FACTOR) + unit(weights, shape, &product)) * factor);
        }
        let x = rig.upload("x", &product.x[..shape.columns.next_multiple_of(4)]);
        let y = rig.poisoned("y", matrix.rows + 4);
        let squares = rig.upload("squares", &sums);
        let args = MatmulArgs {
            squares: squares.address(),
            squares_count: sums.len() as u32,
            eps: EPS,
            fused: fused.bits,
            ..matrix.args(&x, &y, 1)
        };
        rig.run(&kernel.pipeline, &args, [matrix.tiles * kernel.share, 1, 1]);
        worst.check(case, &rig.elements(&y), &expected);
    });
}

/// What P11 loses of every weight where one is an exception, as in `packed`, times |x|.
fn unit(weights: Weights, shape: &Shape, product: &Product) -> f64 {
    let magnitude: f64 = product.x[..shape.columns].iter().map(|x| f64::from(x.abs())).sum();
    super::packed::unit(weights.codec(), weights.dtype(), shape, &product.bytes) * magnitude
}

/// Of a number and its error, what an activation makes of it.
fn activated(activation: Activation, (x, off): (f64, f64)) -> (f64, f64) {
    let y = oracle::activation(activation, x);
    // neither is steeper than 1.13 anywhere
    (y, activate::bound(activation, x, y) + 1.13 * off)
}

fn gates(activation: Activation, code: u32, ends: bool) {
    let fused = Fused { bits: MatmulArgs::GATED + u32::from(ends) * MatmulArgs::ENDS, activation: code };
    sweep(fused, &|rig, weights, kernel, shape, (case, worst)| {
        let mut random = Random::new(3);
        // parts of W, then those of V
        let (cuts, rows) = (shape.cuts.repeat(2), shape.cuts.iter().sum::<usize>());
        let bytes = random.rows(weights.dtype(), 2 * rows, shape.columns);
        let whole = Shape { columns: shape.columns, cuts: Box::leak(cuts.into_boxed_slice()), gap: shape.gap };
        let product = Product::of(&mut random, weights.dtype(), bytes, &whole);
        let matrix = DeviceMatrix::spread(
            rig,
            weights.dtype(),
            shape.columns,
            &product.bytes,
            spread(weights, shape, whole.cuts, kernel.tile),
        );
        let (sums, factor) = sums_of_squares(&mut random, shape.columns);
        let factor = if ends { factor } else { 1.0 };
        let lost = unit(weights, &whole, &product);
        let scaled = |(sum, magnitude): (f64, f64)| {
            (sum * factor, (magnitude * (TOLERANCE + if ends { FACTOR } else { 0.0 }) + lost) * factor)
        };
        let mut expected = Expected::untouched(matrix.rows + 4);
        let (w, v) = product.y[0].split_at(rows);
        for (&r, (w, v)) in matrix.out_rows().iter().zip(w.iter().zip(v)) {
            let (gate, gate_off) = activated(activation, scaled(*w));
            let (up, up_off) = scaled(*v);
            let bound = gate_off * up.abs() + gate.abs() * up_off + gate_off * up_off + (gate * up).abs() * ROUND;
            expected.set(r, gate * up, bound);
        }
        let x = rig.upload("x", &product.x[..shape.columns.next_multiple_of(4)]);
        let y = rig.poisoned("y", matrix.rows + 4);
        let squares = rig.upload("squares", &sums);
        let args = matrix.args(&x, &y, 1);
        let args = MatmulArgs {
            part_count: args.part_count / 2,
            squares: squares.address(),
            squares_count: sums.len() as u32,
            eps: EPS,
            fused: fused.bits,
            ..args
        };
        rig.run(&kernel.pipeline, &args, [matrix.tiles / 2 * kernel.share, 1, 1]);
        worst.check(case, &rig.elements(&y), &expected);
    });
}

#[test]
fn gates_by_silu() {
    gates(Silu, 0, true);
    gates(Silu, 0, false);
}

#[test]
fn gates_by_gelu() {
    gates(GeluTanh, 1, true);
}
