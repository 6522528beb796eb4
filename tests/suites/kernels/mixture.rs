//! Rows on their way to experts and back: gathered, and combined with weights, biases and what every token goes through.

use symbiote_shaders::{CombineArgs, GatherArgs, VectorArgs};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::KernelRig;

use super::expected::{Expected, Worst};

const WIDTHS: [usize; 4] = [1, 5, 64, 300];

#[test]
fn rows_are_gathered() {
    let rig = KernelRig::open();
    let mut worst = Worst::new("gather");
    let mut random = Random::new(14);
    let source = [2, u32::MAX, 0, 2, 1, u32::MAX];
    for width in WIDTHS {
        let stride = width + 3;
        let x = random.normals(3 * width);
        let mut expected = Expected::untouched((source.len() + 1) * stride);
        for (row, from) in source.iter().enumerate().filter(|(_, from)| **from != u32::MAX) {
            for i in 0..width {
                expected.set(row * stride + i, f64::from(x[*from as usize * width + i]), 0.0);
            }
        }
        let x = rig.upload_rows("x", &x, width, stride, 3);
        let (y, from) = (rig.poisoned("y", (source.len() + 1) * stride), rig.upload("source", &source));
        let (width, stride) = (width as u32, stride as u32);
        let args = GatherArgs { x: x.address(), y: y.address(), source: from.address(), width, stride };
        rig.run(&rig.kernel("gather", &[64], None), &args, [width.div_ceil(64), source.len() as u32, 1]);
        worst.check(&format!("width {width}"), &rig.elements(&y), &expected);
    }
    worst.report();
    rig.finish();
}

/// What a sum has besides the experts' rows.
#[derive(Clone, Copy, Debug)]
struct Parts {
    /// Rows of tokens are not in their order.
    sorted: bool,
    biases: bool,
    shared: bool,
    /// What is shared has a gate.
    gated: bool,
}

#[test]
fn rows_are_combined() {
    let rig = KernelRig::open();
    let mut worst = Worst::new("combine");
    for width in WIDTHS {
        for bits in 0..12u32 {
            let [sorted, biases] = [0, 1].map(|bit| bits >> bit & 1 == 1);
            let parts = Parts { sorted, biases, shared: bits >= 4, gated: bits >= 8 };
            combine(&rig, width, parts, &mut worst);
        }
    }
    worst.report();
    rig.finish();
}

fn combine(rig: &KernelRig, width: usize, parts: Parts, worst: &mut Worst) {
    const EXPERTS: usize = 4;
    const USED: usize = 2;
    const SCALE: f32 = 0.7;
    let chosen = [3u32, 1, 0, 2, 1, 3];
    let rows: Vec<u32> = if parts.sorted { vec![5, 0, 2, 1, 7, 4] } else { (0..6).collect() };
    let tokens = chosen.len() / USED;
    let mut random = Random::new(15);
    let (stride, logit_stride) = (width + 2, 5);
    let (before, made) = (random.normals(tokens * width), random.normals(8 * width));
    let (shared, logits) = (random.normals(tokens * width), random.normals(tokens * logit_stride));
    let (bias, weights) = (random.normals(EXPERTS * width), random.normals(chosen.len()));
    let mut expected = Expected::untouched((tokens + 1) * stride);
    for t in 0..tokens {
        for i in 0..width {
            let (mut sum, mut size) = (0.0, 0.0);
            for k in t * USED..(t + 1) * USED {
                let bias = if parts.biases { f64::from(bias[chosen[k] as usize * width + i]) } else { 0.0 };
                let row = f64::from(made[rows[k] as usize * width + i]);
                sum += f64::from(weights[k]) * (row + bias);
                size += f64::from(weights[k].abs()) * (row.abs() + bias.abs());
            }
            if parts.shared {
                let logit = f64::from(logits[t * logit_stride]);
                let gate = if parts.gated { 1.0 / (1.0 + (-logit).exp()) } else { 1.0 };
                sum += gate * f64::from(shared[t * width + i]);
                size += gate * f64::from(shared[t * width + i].abs());
            }
            let old = f64::from(before[t * width + i]);
            let value = old + f64::from(SCALE) * sum;
            expected.set(t * stride + i, value, (old.abs() + size) * 1e-6);
        }
    }
    let pack = rig.upload("biases", &bias);
    let packs = rig.upload("packs", &[pack.address()]);
    let x = rig.upload_rows("x", &before, width, stride, tokens + 1);
    let y = rig.upload_rows("y", &made, width, stride, 8);
    let shared = rig.upload_rows("shared", &shared, width, stride, tokens);
    let [rows, chosen] = [&rows[..], &chosen].map(|words| rig.upload("table", words));
    let (weights, logits) = (rig.upload("weights", &weights), rig.upload("logits", &logits));
    let args = CombineArgs {
        packs: packs.address(),
        x: x.address(),
        y: y.address(),
        rows: if parts.sorted { rows.address() } else { 0 },
        weights: weights.address(),
        chosen: chosen.address(),
        shared: if parts.shared { shared.address() } else { 0 },
        shared_logits: if parts.gated { logits.address() } else { 0 },
        bias: if parts.biases { VectorArgs::new(0, 0, VectorArgs::F32) } else { VectorArgs::ABSENT },
        width: width as u32,
        stride: stride as u32,
        used: USED as u32,
        shared_stride: logit_stride as u32,
        scale: SCALE,
        pad: 0,
    };
    rig.run(&rig.kernel("combine", &[64], None), &args, [(width as u32).div_ceil(64), tokens as u32, 1]);
    worst.check(&format!("width {width} {parts:?}"), &rig.elements(&x), &expected);
}
