//! silu(gate) * up.

use symbiote_shaders::SwigluArgs;
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::KernelRig;

use super::expected::{Expected, Worst};

const WIDTHS: [usize; 5] = [1, 5, 64, 100, 1536];
const LOCALS: [u32; 2] = [64, 128];
/// Gates where exp is 0, infinite, or nearly so.
const GATES: [f32; 12] = [0.0, -0.0, 20.0, -20.0, 80.0, -80.0, 88.5, -88.5, 104.0, -104.0, 1e4, -1e4];

/// What y may be off by. Vulkan lets exp(x) be off by 3 + 2 |x| units in the last place and a quotient by 2.5. Where exp(-gate)
/// nears the greatest f32, results are below 1e-36 of `up` and may be 0.
fn bound(gate: f64, up: f64, y: f64) -> f64 {
    // the error of exp matters as much as exp weighs in 1 + exp
    let weight = 1.0 / (1.0 + gate.exp());
    let units = 4.0 + weight * (3.0 + 2.0 * gate.abs());
    y.abs() * units * f64::from(f32::EPSILON) + up.abs() * 1e-36
}

#[test]
fn every_width_and_magnitude() {
    let rig = KernelRig::open();
    let mut worst = Worst::new("swiglu");
    let mut random = Random::new(4);
    for width in WIDTHS {
        for magnitude in [1.0, 30.0, 1e4] {
            // a token of GATES, as far as they fit, and one of random numbers
            let mut x: Vec<f32> = random.normals(4 * width).iter().map(|x| x * magnitude).collect();
            x[..width].iter_mut().zip(GATES.iter().cycle()).for_each(|(x, gate)| *x = *gate);
            let (x_stride, y_stride, tokens) = (2 * width + 3, width + 5, 2);
            let mut expected = Expected::untouched((tokens + 1) * y_stride);
            for (t, x) in x.chunks_exact(2 * width).enumerate() {
                let (gates, ups) = x.split_at(width);
                for (i, (gate, up)) in gates.iter().zip(ups).enumerate() {
                    let (gate, up) = (f64::from(*gate), f64::from(*up));
                    let y = gate / (1.0 + (-gate).exp()) * up;
                    expected.set(t * y_stride + i, y, bound(gate, up, y));
                }
            }
            let x = rig.upload_rows("x", &x, 2 * width, x_stride, tokens);
            for local in LOCALS {
                let y = rig.poisoned("y", (tokens + 1) * y_stride);
                let args = SwigluArgs {
                    x: x.address(),
                    y: y.address(),
                    width: width as u32,
                    x_stride: x_stride as u32,
                    y_stride: y_stride as u32,
                    pad: 0,
                };
                let kernel = rig.kernel("swiglu", &[local], None);
                rig.run(&kernel, &args, [(width as u32).div_ceil(local), tokens as u32, 1]);
                worst.check(&format!("width {width} times {magnitude} local {local}"), &rig.elements(&y), &expected);
            }
        }
    }
    worst.report();
    rig.finish();
}
