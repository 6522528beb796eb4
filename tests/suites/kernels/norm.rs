//! RMSNorm and LayerNorm, written and added.

use symbiote_format::{Codec, Dtype, dequant::dequantize};
use symbiote_shaders::{NormArgs, VectorArgs};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig, Spread};

use super::expected::{Expected, Worst};

/// Of the result. The squares are all positive, so that each of a lane's up to some hundred additions rounds the sum by
/// 2^-24 = 6e-8 of itself at most, and the root halves that; the rest is a few roundings more.
const TOLERANCE: f64 = 1e-6;
/// Of the largest |x - mean| / deviation: a mean of many x has an error of its own.
const MEAN_TOLERANCE: f64 = 4e-6;

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::Bf16];
const WIDTHS: [usize; 6] = [1, 5, 64, 100, 576, 4096];
/// Subgroups of a workgroup. One leaves out the exchange between subgroups.
const SUBGROUPS: [u32; 4] = [1, 4, 8, 32];
const EPS: f32 = 1e-5;
/// Magnitude of a token's x: with 1e-3 it is no more than EPS's.
const MAGNITUDES: [f32; 5] = [1.0, 1e-3, 0.0, 3e4, 1e12];

/// What the kernel is asked for.
#[derive(Clone, Copy, Debug)]
struct Kind {
    layer: bool,
    add: bool,
    offset: f32,
}

const KINDS: [Kind; 4] = [
    Kind { layer: false, add: false, offset: 0.0 },
    Kind { layer: false, add: true, offset: 1.0 },
    Kind { layer: true, add: false, offset: 0.0 },
    Kind { layer: true, add: true, offset: 0.0 },
];
const SCALE: f32 = 0.75;

#[test]
fn every_width() {
    let rig = KernelRig::open();
    for (dtype, kind) in DTYPES.into_iter().flat_map(|dtype| KINDS.map(|kind| (dtype, kind))) {
        let mut worst = Worst::new(format!("norm {dtype} {kind:?}"));
        for subgroup in rig.subgroups() {
            for subgroups in SUBGROUPS {
                if subgroup * subgroups <= rig.gpu.info().max_workgroup_invocations {
                    check(&rig, (dtype, kind), (subgroup, subgroups), &mut worst);
                }
            }
        }
        worst.report();
    }
    rig.finish();
}

fn check(rig: &KernelRig, (dtype, kind): (Dtype, Kind), (subgroup, subgroups): (u32, u32), worst: &mut Worst) {
    let constants = [subgroup * subgroups, (subgroups > 1).into(), kind.layer.into(), kind.add.into()];
    let kernel = rig.kernel("norm", &constants, Some(subgroup));
    let mut random = Random::new(3);
    for width in WIDTHS {
        // weight and bias are the last of four vectors that lie in two packs
        let bytes = random.rows(dtype, 4, width);
        let vectors = DeviceMatrix::spread(
            rig,
            dtype,
            width,
            &bytes,
            Spread { cuts: &[1; 4], lead: 256, gap: 0, tile: 1, codec: Codec::Raw },
        );
        let mut all = vec![0.0; 4 * width];
        dequantize(dtype, &bytes, &mut all);
        let (w, b) = (&all[3 * width..], &all[2 * width..3 * width]);
        let stored = match dtype {
            Dtype::F32 => VectorArgs::F32,
            Dtype::F16 => VectorArgs::F16,
            _ => VectorArgs::BF16,
        };
        let vector = |i: usize| VectorArgs::new(vectors.parts[i].pack, vectors.parts[i].offset, stored);

        let x: Vec<f32> =
            MAGNITUDES.iter().flat_map(|m| random.normals(width).into_iter().map(move |x| x * m)).collect();
        let before = random.normals(MAGNITUDES.len() * width);
        let (x_stride, y_stride, tokens) = (width + 3, width + 4, MAGNITUDES.len());
        let mut expected = Expected::untouched((tokens + 1) * y_stride);
        for (t, x) in x.chunks_exact(width).enumerate() {
            let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
            let mean = if kind.layer { x.iter().sum::<f64>() / width as f64 } else { 0.0 };
            let centred: Vec<f64> = x.iter().map(|x| x - mean).collect();
            let square = centred.iter().map(|x| x * x).sum::<f64>() / width as f64;
            let r = 1.0 / (square + f64::from(EPS)).sqrt();
            let largest = x.iter().map(|x| x.abs()).fold(0.0, f64::max) * r;
            for (k, ((x, w), b)) in centred.iter().zip(w).zip(b).enumerate() {
                let weight = f64::from(*w) + f64::from(kind.offset);
                let mut y = x * r * weight;
                let mut bound = x.abs() * r * (f64::from(w.abs()) + f64::from(kind.offset)) * TOLERANCE;
                if kind.layer {
                    bound += largest * weight.abs() * MEAN_TOLERANCE + f64::from(b.abs()) * TOLERANCE;
                    y += f64::from(*b);
                }
                if kind.add {
                    let old = f64::from(before[t * width + k]);
                    (y, bound) = (old + f64::from(SCALE) * y, bound + (old.abs() + y.abs()) * TOLERANCE);
                }
                expected.set(t * y_stride + k, y, bound);
            }
        }
        let x = rig.upload_rows("x", &x, width, x_stride, tokens);
        let y = match kind.add {
            true => rig.upload_rows("y", &before, width, y_stride, tokens + 1),
            false => rig.poisoned("y", (tokens + 1) * y_stride),
        };
        let args = NormArgs {
            packs: vectors.packs.address(),
            x: x.address(),
            y: y.address(),
            weight: vector(3),
            bias: vector(2),
            columns: width as u32,
            x_stride: x_stride as u32,
            y_stride: y_stride as u32,
            eps: EPS,
            offset: kind.offset,
            scale: SCALE,
        };
        rig.run(&kernel, &args, [tokens as u32, 1, 1]);
        let case = format!("width {width} subgroups {subgroups} of {subgroup}");
        worst.check(&case, &rig.elements(&y), &expected);
    }
}
