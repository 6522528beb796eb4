//! The choice of experts: every scoring, biases, groups, and equals.

use symbiote_shaders::{RouteArgs, VectorArgs};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::KernelRig;

use super::expected::{Expected, Worst};

/// Of a weight: exp, a sum, two quotients. Vulkan lets exp(x) be off by 3 + 2 |x| units in the last place.
const TOLERANCE: f64 = 6e-6;
/// What two keys differ by at least, where rounding might else decide which comes first.
const MARGIN: f64 = 1e-5;

/// Who is chosen, and how.
#[derive(Clone, Copy, Debug)]
struct Shape {
    experts: usize,
    used: usize,
    sigmoid: bool,
    /// The sum of the weights is 1, before the factor.
    normalized: bool,
    /// Added to the logits.
    bias: bool,
    /// Added to the scores, for the choice.
    score_bias: bool,
    groups: usize,
    groups_used: usize,
    /// Groups by their two best.
    best_two: bool,
    scale: f32,
}

const SOFTMAX: Shape = Shape {
    experts: 8,
    used: 2,
    sigmoid: false,
    normalized: false,
    bias: false,
    score_bias: false,
    groups: 1,
    groups_used: 1,
    best_two: false,
    scale: 1.0,
};

const SHAPES: &[Shape] = &[
    SOFTMAX,
    Shape { normalized: true, ..SOFTMAX },
    Shape { experts: 128, used: 8, normalized: true, ..SOFTMAX },
    Shape { experts: 6, used: 6, ..SOFTMAX },
    Shape { experts: 2, used: 1, scale: 2.5, ..SOFTMAX },
    Shape { experts: 32, used: 4, normalized: true, bias: true, ..SOFTMAX },
    Shape { experts: 257, used: 64, score_bias: true, ..SOFTMAX },
    Shape { sigmoid: true, ..SOFTMAX },
    Shape { experts: 60, used: 6, sigmoid: true, normalized: true, bias: true, score_bias: true, ..SOFTMAX },
    // DeepSeek-V2 and V3
    Shape { experts: 160, used: 6, groups: 8, groups_used: 3, scale: 16.0, ..SOFTMAX },
    Shape {
        experts: 256,
        used: 8,
        sigmoid: true,
        normalized: true,
        score_bias: true,
        groups: 8,
        groups_used: 4,
        best_two: true,
        scale: 2.5,
        ..SOFTMAX
    },
    // as many experts as the groups have, groups of one, groups of no power of two
    Shape { experts: 12, used: 6, groups: 4, groups_used: 2, best_two: true, ..SOFTMAX },
    Shape { experts: 9, used: 3, groups: 9, groups_used: 3, best_two: true, sigmoid: true, ..SOFTMAX },
    Shape { experts: 30, used: 4, groups: 10, groups_used: 4, normalized: true, score_bias: true, ..SOFTMAX },
];

/// The numbers of the `count` largest of `keys`, the largest first, and by how much the last of them leads.
fn best(keys: &[f64], count: usize) -> (Vec<usize>, f64) {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|a, b| keys[*b].total_cmp(&keys[*a]));
    let gaps = order.windows(2).take(count).map(|pair| keys[pair[0]] - keys[pair[1]]);
    let least = gaps.fold(f64::INFINITY, f64::min);
    order.truncate(count);
    (order, least)
}

impl Shape {
    /// The experts of a token and their weights, the best first; none where rounding could choose others.
    fn choose(&self, logits: &[f64], score_bias: &[f64]) -> Option<Vec<(usize, f64)>> {
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|l| (l - top).exp()).sum();
        let score = |l: &f64| if self.sigmoid { 1.0 / (1.0 + (-l).exp()) } else { (l - top).exp() / total };
        let scores: Vec<f64> = logits.iter().map(score).collect();
        let mut keys: Vec<f64> = scores.iter().zip(score_bias).map(|(score, bias)| score + bias).collect();
        let size = self.experts / self.groups;
        if self.groups_used < self.groups {
            let group = |keys: &[f64]| {
                let (order, _) = best(keys, if self.best_two { 2 } else { 1 });
                order.into_iter().map(|i| keys[i]).sum()
            };
            let groups: Vec<f64> = keys.chunks_exact(size).map(group).collect();
            let (used, gap) = best(&groups, self.groups_used);
            if gap < MARGIN {
                return None;
            }
            for (e, key) in keys.iter_mut().enumerate() {
                *key = if used.contains(&(e / size)) { *key } else { f64::NEG_INFINITY };
            }
        }
        let (chosen, gap) = best(&keys, self.used);
        if gap < MARGIN {
            return None;
        }
        let sum: f64 = if self.normalized { chosen.iter().map(|e| scores[*e]).sum() } else { 1.0 };
        Some(chosen.into_iter().map(|e| (e, scores[e] * f64::from(self.scale) / sum)).collect())
    }
}

#[test]
fn every_scoring_and_grouping() {
    let rig = KernelRig::open();
    for s in SHAPES {
        let mut worst = Worst::new(format!("route {s:?}"));
        for subgroup in rig.subgroups() {
            check(&rig, s, subgroup, &mut worst);
        }
        worst.report();
    }
    rig.finish();
}

fn check(rig: &KernelRig, s: &Shape, subgroup: u32, worst: &mut Worst) {
    let mut random = Random::new(9);
    let stride = s.experts + 3;
    let biases = |there: bool, scale: f32, random: &mut Random| -> Vec<f32> {
        let numbers = random.normals(s.experts);
        numbers.iter().map(|x| if there { x * scale } else { 0.0 }).collect()
    };
    let (bias, score_bias) = (biases(s.bias, 1.0, &mut random), biases(s.score_bias, 0.1, &mut random));
    let wide: Vec<f64> = score_bias.iter().map(|x| f64::from(*x)).collect();
    let (mut logits, mut expected) = (Vec::new(), Vec::new());
    while expected.len() < 5 {
        let row = random.normals(s.experts);
        // a sum with a bias is rounded as the kernel rounds it
        let summed: Vec<f64> = row.iter().zip(&bias).map(|(l, b)| f64::from(l + b)).collect();
        if let Some(chosen) = s.choose(&summed, &wide) {
            logits.extend(row);
            expected.push(chosen);
        }
    }
    let tokens = expected.len();
    let pack = rig.upload("biases", &[&bias[..], &score_bias].concat());
    let packs = rig.upload("packs", &[pack.address()]);
    let vector = |there, first: usize| match there {
        true => VectorArgs::new(0, 4 * first as u32, VectorArgs::F32),
        false => VectorArgs::ABSENT,
    };
    let x = rig.upload_rows("logits", &logits, s.experts, stride, tokens);
    let (chosen, weights) = (rig.poisoned("chosen", tokens * s.used + 2), rig.poisoned("weights", tokens * s.used + 2));
    let args = RouteArgs {
        packs: packs.address(),
        logits: x.address(),
        chosen: chosen.address(),
        weights: weights.address(),
        bias: vector(s.bias, 0),
        score_bias: vector(s.score_bias, s.experts),
        experts: s.experts as u32,
        used: s.used as u32,
        logits_stride: stride as u32,
        groups: s.groups as u32,
        groups_used: s.groups_used as u32,
        scale: s.scale,
    };
    let most = s.experts + if s.groups_used < s.groups { s.groups } else { 0 };
    let constants = [subgroup, s.sigmoid.into(), s.best_two.into(), s.normalized.into(), most as u32];
    rig.run(&rig.kernel("route", &constants, Some(subgroup)), &args, [tokens as u32, 1, 1]);

    let found = rig.words(&chosen);
    let numbers: Vec<u32> = expected.iter().flatten().map(|(e, _)| *e as u32).collect();
    assert_eq!(found[..numbers.len()], numbers, "{s:?} subgroup {subgroup}");
    assert!(found[numbers.len()..].iter().all(|word| *word == KernelRig::POISON), "written beyond the experts");
    let mut bounds = Expected::untouched(tokens * s.used + 2);
    for (i, (_, weight)) in expected.iter().flatten().enumerate() {
        bounds.set(i, *weight, weight * TOLERANCE);
    }
    worst.check(&format!("subgroup {subgroup}"), &rig.elements(&weights), &bounds);
}

/// Of equals the smaller number comes first, among groups as among experts; logits that are no numbers still lead to experts.
#[test]
fn equals_and_nan() {
    let rig = KernelRig::open();
    let chosen = |logits: &[f32], (groups, groups_used): (u32, u32), used: u32| {
        let x = rig.upload("logits", logits);
        let (chosen, weights) = (rig.poisoned("chosen", used as usize), rig.poisoned("weights", used as usize));
        let packs = rig.upload("packs", &[0u64]);
        let args = RouteArgs {
            packs: packs.address(),
            logits: x.address(),
            chosen: chosen.address(),
            weights: weights.address(),
            experts: logits.len() as u32,
            used,
            logits_stride: logits.len() as u32,
            groups,
            groups_used,
            scale: 1.0,
            ..RouteArgs::default()
        };
        let subgroup = rig.gpu.info().subgroup;
        let constants = [subgroup, 0, 0, 1, logits.len() as u32 + groups];
        rig.run(&rig.kernel("route", &constants, Some(subgroup)), &args, [1, 1, 1]);
        rig.words(&chosen)
    };
    assert_eq!(chosen(&[1.0; 20], (1, 1), 5), [0, 1, 2, 3, 4]);
    assert_eq!(chosen(&[0.0, 2.0, 1.0, 2.0, 1.0, 2.0], (1, 1), 4), [1, 3, 5, 2]);
    assert_eq!(chosen(&[0.0, -0.0, 0.0, -0.0], (1, 1), 4), [0, 1, 2, 3]);
    assert_eq!(chosen(&[1.0, 3.0, 3.0, 2.0, 3.0, 0.0], (3, 2), 3), [1, 2, 3]);
    assert_eq!(chosen(&[f32::NAN, 1.0, f32::NAN, -1.0], (1, 1), 3), [1, 3, 0]);
    assert_eq!(chosen(&[f32::NEG_INFINITY, 1.0, -5.0], (1, 1), 3), [1, 2, 0]);
    rig.finish();
}
