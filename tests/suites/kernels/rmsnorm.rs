//! x / sqrt(mean(x^2) + eps) * w.

use symbiote_format::{Codec, Dtype, dequant::dequantize};
use symbiote_shaders::RmsNormArgs;
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig, Spread};

use super::expected::{Expected, Worst};

/// Of the result. The squares are all positive, so that each of a lane's up to some hundred additions rounds the sum by
/// 2^-24 = 6e-8 of itself at most, and the root halves that; the rest is a few roundings more.
const TOLERANCE: f64 = 1e-6;

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::Bf16];
const WIDTHS: [usize; 6] = [1, 5, 64, 100, 576, 4096];
/// Subgroups of a workgroup. One leaves out the exchange between subgroups.
const SUBGROUPS: [u32; 4] = [1, 4, 8, 32];
const EPS: f32 = 1e-5;
/// Magnitude of a token's x: with 1e-3 it is no more than EPS's.
const MAGNITUDES: [f32; 5] = [1.0, 1e-3, 0.0, 3e4, 1e12];

#[test]
fn every_width() {
    let rig = KernelRig::open();
    for dtype in DTYPES {
        let mut worst = Worst::new(format!("rmsnorm {dtype}"));
        for subgroup in rig.subgroups() {
            for subgroups in SUBGROUPS {
                if subgroup * subgroups <= rig.gpu.info().max_workgroup_invocations {
                    check(&rig, dtype, (subgroup, subgroups), &mut worst);
                }
            }
        }
        worst.report();
    }
    rig.finish();
}

fn check(rig: &KernelRig, dtype: Dtype, (subgroup, subgroups): (u32, u32), worst: &mut Worst) {
    let brain = u32::from(dtype == Dtype::Bf16);
    let constants = [subgroup * subgroups, (subgroups > 1).into(), dtype.block_bytes(), brain];
    let kernel = rig.kernel("rmsnorm", &constants, Some(subgroup));
    let mut random = Random::new(3);
    for width in WIDTHS {
        // the weight is the last of four vectors that lie in two packs
        let bytes = random.rows(dtype, 4, width);
        let vectors = DeviceMatrix::spread(
            rig,
            dtype,
            width,
            &bytes,
            Spread { cuts: &[1; 4], lead: 256, gap: 0, tile: 1, codec: Codec::Raw },
        );
        let mut w = vec![0.0; 4 * width];
        dequantize(dtype, &bytes, &mut w);
        let (w, part) = (&w[3 * width..], vectors.parts[3]);

        let x: Vec<f32> =
            MAGNITUDES.iter().flat_map(|m| random.normals(width).into_iter().map(move |x| x * m)).collect();
        let (x_stride, y_stride, tokens) = (width + 3, width + 4, MAGNITUDES.len());
        let mut expected = Expected::untouched((tokens + 1) * y_stride);
        for (t, x) in x.chunks_exact(width).enumerate() {
            let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / width as f64;
            for (k, (x, w)) in x.iter().zip(w).enumerate() {
                let y = f64::from(*x) / (mean + f64::from(EPS)).sqrt() * f64::from(*w);
                expected.set(t * y_stride + k, y, y.abs() * TOLERANCE);
            }
        }
        let x = rig.upload_rows("x", &x, width, x_stride, tokens);
        let y = rig.poisoned("y", (tokens + 1) * y_stride);
        let args = RmsNormArgs {
            packs: vectors.packs.address(),
            x: x.address(),
            y: y.address(),
            pack: part.pack,
            offset: part.offset,
            columns: width as u32,
            x_stride: x_stride as u32,
            y_stride: y_stride as u32,
            eps: EPS,
        };
        rig.run(&kernel, &args, [tokens as u32, 1, 1]);
        let case = format!("width {width} subgroups {subgroups} of {subgroup}");
        worst.check(&case, &rig.elements(&y), &expected);
    }
}
