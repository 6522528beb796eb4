//! The elementwise kernels: activations, sums with a bias, capped logits.

use symbiote_format::Activation::{self, ClampedSwiglu, GeluErf, GeluTanh, Silu};
use symbiote_shaders::{ActivateArgs, AddArgs, CapArgs, VectorArgs};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::KernelRig;
use symbiote_tests::oracle::{self, gelu_exponent};

use super::expected::{Expected, Worst};

const WIDTHS: [usize; 5] = [1, 5, 64, 100, 1536];
const LOCALS: [u32; 2] = [64, 128];
/// Gates where exp is 0, infinite, or nearly so.
const GATES: [f32; 12] = [0.0, -0.0, 20.0, -20.0, 80.0, -80.0, 88.5, -88.5, 104.0, -104.0, 1e4, -1e4];

/// Those with a gate and those without, with the kernel's numbers for them.
const ACTIVATIONS: [(Activation, u32, bool); 6] = [
    (Silu, 0, true),
    (GeluTanh, 1, true),
    (GeluErf, 2, true),
    (ClampedSwiglu, 3, true),
    (Silu, 0, false),
    (GeluTanh, 1, false),
];

/// What an activation may be off by. Vulkan lets exp(x) be off by 3 + 2 |x| units in the last place and a quotient by 2.5. Where
/// exp(-u) nears the greatest f32, results are below 1e-36 of x and may be 0.
pub(super) fn bound(activation: Activation, x: f64, y: f64) -> f64 {
    let u = match activation {
        Silu => x,
        GeluTanh => gelu_exponent(x),
        GeluErf => return x.abs() * 4e-7,
        ClampedSwiglu => oracle::CLAMPED_GAIN * x,
    };
    // the error of exp matters as much as exp weighs in 1 + exp, and u is rounded too
    let weight = 1.0 / (1.0 + u.exp());
    let units = 4.0 + weight * (3.0 + 4.0 * u.abs());
    y.abs() * units * f64::from(f32::EPSILON) + x.abs().max(1.0) * 1e-36
}

#[test]
fn every_activation_width_and_magnitude() {
    let rig = KernelRig::open();
    for (activation, code, gated) in ACTIVATIONS {
        let mut worst = Worst::new(format!("{activation:?}, gated: {gated}"));
        for width in WIDTHS {
            for magnitude in [1.0, 30.0, 1e4] {
                for (biases, interleaved) in [(false, false), (true, false), (true, gated)] {
                    let told = Told { activation, code, gated, biases, interleaved };
                    check(&rig, told, width, magnitude, &mut worst);
                }
            }
        }
        worst.report();
    }
    rig.finish();
}

/// What a kernel is told.
#[derive(Clone, Copy, Debug)]
struct Told {
    activation: Activation,
    /// The kernel's number for it.
    code: u32,
    gated: bool,
    biases: bool,
    /// Gate and up take turns.
    interleaved: bool,
}

/// Two halves in turn.
fn in_turn(row: &[f32]) -> Vec<f32> {
    let (gate, up) = row.split_at(row.len() / 2);
    gate.iter().zip(up).flat_map(|(gate, up)| [*gate, *up]).collect()
}

fn check(rig: &KernelRig, told: Told, width: usize, magnitude: f32, worst: &mut Worst) {
    let Told { activation, code, gated, biases, interleaved } = told;
    let mut random = Random::new(4);
    let parts = 1 + usize::from(gated);
    // a token of GATES, as far as they fit, and one of random numbers
    let mut x: Vec<f32> = random.normals(2 * parts * width).iter().map(|x| x * magnitude).collect();
    x[..width].iter_mut().zip(GATES.iter().cycle()).for_each(|(x, gate)| *x = *gate);
    let bias = if biases { random.normals(2 * width) } else { vec![0.0; 2 * width] };
    let pack = rig.upload("biases", &if interleaved { in_turn(&bias) } else { bias.clone() });
    let packs = rig.upload("packs", &[pack.address()]);
    let vector = |first: usize| match biases && (first == 0 || !interleaved) {
        true => VectorArgs::new(0, 4 * first as u32, VectorArgs::F32),
        false => VectorArgs::ABSENT,
    };
    let (x_stride, y_stride, tokens) = (parts * width + 3, width + 5, 2);
    let mut expected = Expected::untouched((tokens + 1) * y_stride);
    for (t, x) in x.chunks_exact(parts * width).enumerate() {
        for i in 0..width {
            // sums with a bias are rounded as the kernel rounds them
            let up = f64::from(x[(parts - 1) * width + i] + bias[width + i]);
            let (y, allowed) = match gated {
                true => {
                    let gate = f64::from(x[i] + bias[i]);
                    let clamped = activation == ClampedSwiglu;
                    let (gate, up) = if clamped { (gate.min(7.0), up.clamp(-7.0, 7.0) + 1.0) } else { (gate, up) };
                    let y = oracle::activation(activation, gate);
                    (y * up, (bound(activation, gate, y) + 2.0 * y.abs() * f64::from(f32::EPSILON)) * up.abs())
                }
                false => {
                    let y = oracle::activation(activation, up);
                    (y, bound(activation, up, y))
                }
            };
            // what is too large for f32 is not compared
            if y.abs() < 1e38 {
                expected.set(t * y_stride + i, y, allowed);
            }
        }
    }
    if interleaved {
        x = x.chunks_exact(parts * width).flat_map(in_turn).collect();
    }
    let x = rig.upload_rows("x", &x, parts * width, x_stride, tokens);
    for local in LOCALS {
        let y = rig.poisoned("y", (tokens + 1) * y_stride);
        let args = ActivateArgs {
            packs: packs.address(),
            x: x.address(),
            y: y.address(),
            gate_bias: vector(0),
            up_bias: vector(width),
            width: width as u32,
            x_stride: x_stride as u32,
            y_stride: y_stride as u32,
            group_rows: 0,
            experts: 0,
        };
        let kernel = rig.kernel("activate", &[local, code, gated.into(), interleaved.into()], None);
        rig.run(&kernel, &args, [(width as u32).div_ceil(local), tokens as u32, 1]);
        let case = format!("width {width} times {magnitude} local {local}, biases: {biases}, in turn: {interleaved}");
        worst.check(&case, &rig.elements(&y), &expected);
    }
}

#[test]
fn sums_with_a_bias() {
    let rig = KernelRig::open();
    let mut worst = Worst::new("add");
    let mut random = Random::new(7);
    const SCALE: f32 = 0.22;
    for width in WIDTHS {
        let (x, before, bias) = (random.normals(2 * width), random.normals(2 * width), random.normals(width));
        let pack = rig.upload("bias", &bias);
        let packs = rig.upload("packs", &[pack.address()]);
        let (x_stride, y_stride) = (width + 1, width + 2);
        for (add, biased) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut expected = Expected::untouched(3 * y_stride);
            for (i, (x, old)) in x.iter().zip(&before).enumerate() {
                let b = if biased { f64::from(bias[i % width]) } else { 0.0 };
                let old = if add { f64::from(*old) } else { 0.0 };
                let value = old + f64::from(SCALE) * (f64::from(*x) + b);
                let size = old.abs() + f64::from(SCALE) * (f64::from(x.abs()) + b.abs());
                expected.set(i / width * y_stride + i % width, value, size * 2e-7);
            }
            let y = match add {
                true => rig.upload_rows("y", &before, width, y_stride, 3),
                false => rig.poisoned("y", 3 * y_stride),
            };
            let from = rig.upload_rows("x", &x, width, x_stride, 2);
            let args = AddArgs {
                packs: packs.address(),
                x: from.address(),
                y: y.address(),
                bias: if biased { VectorArgs::new(0, 0, VectorArgs::F32) } else { VectorArgs::ABSENT },
                width: width as u32,
                x_stride: x_stride as u32,
                y_stride: y_stride as u32,
                scale: SCALE,
            };
            rig.run(&rig.kernel("add", &[64, add.into()], None), &args, [(width as u32).div_ceil(64), 2, 1]);
            worst.check(&format!("width {width} add {add} bias {biased}"), &rig.elements(&y), &expected);
        }
    }
    worst.report();
    rig.finish();
}

#[test]
fn capped_logits() {
    let rig = KernelRig::open();
    let mut worst = Worst::new("cap");
    let mut random = Random::new(8);
    for width in WIDTHS {
        for (scale, cap, magnitude) in [(1.0, 30.0, 1.0), (0.125, 0.0, 5.0), (2.0, 50.0, 100.0), (1.0, 30.0, 1e-4)] {
            let x: Vec<f32> = random.normals(2 * width).iter().map(|x| x * magnitude).collect();
            let stride = width + 2;
            let mut expected = Expected::untouched(3 * stride);
            for (i, x) in x.iter().enumerate() {
                let (v, cap) = (f64::from(scale) * f64::from(*x), f64::from(cap));
                let y = if cap == 0.0 { v } else { cap * (v / cap).tanh() };
                // 1 - 2 / (1 + e^2x) keeps the precision of 1, where it is taken
                let whole = if (v / cap).abs() > 0.1 { cap * 4e-7 } else { 0.0 };
                expected.set(i / width * stride + i % width, y, v.abs() * 1e-6 + whole);
            }
            let buffer = rig.upload_rows("x", &x, width, stride, 3);
            let args = CapArgs { x: buffer.address(), width: width as u32, stride: stride as u32, scale, cap };
            rig.run(&rig.kernel("cap", &[64], None), &args, [(width as u32).div_ceil(64), 2, 1]);
            worst.check(&format!("width {width} cap {cap}"), &rig.elements(&buffer), &expected);
        }
    }
    worst.report();
    rig.finish();
}
