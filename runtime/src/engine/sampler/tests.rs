#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use serde_json::Value;

use super::*;

fn step<'a>(logits: &'a [f32], recent: &'a [u32]) -> Step<'a, 'static> {
    Step { logits, recent, bytes: &|_| b"", allowed: None }
}

fn draws(sampling: Sampling, logits: &[f32], recent: &[u32]) -> Vec<u32> {
    let mut sampler = Sampler::new(sampling);
    let mut ids: Vec<u32> = (0..2000).map(|_| sampler.sample(&step(logits, recent))).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What may be drawn and how probably, by id.
fn kept(sampler: &mut Sampler, step: &Step<'_, '_>) -> Vec<(u32, f64)> {
    sampler.narrow(step);
    let ids = sampler.candidates.list().iter().map(|c| c.id);
    let mut kept: Vec<_> = ids.zip(sampler.candidates.probabilities()).filter(|(_, p)| *p > 0.0).collect();
    kept.sort_by_key(|(id, _)| *id);
    kept
}

/// llama.cpp's answers to `sampler_probe.c`.
mod golden {
    use super::*;

    fn options(case: &Value) -> Sampling {
        let number = |key: &str| case[key].as_f64().unwrap() as f32;
        let count = |key: &str| case[key].as_u64().unwrap() as usize;
        let list = |key: &str| case[key].as_array().unwrap().iter();
        let forbidden = |bias: &Value| bias.as_f64().map_or(f32::NEG_INFINITY, |b| b as f32);
        Sampling {
            temperature: number("temp"),
            dynatemp_range: number("dynatemp_range"),
            dynatemp_exponent: number("dynatemp_exp"),
            top_k: count("top_k"),
            top_p: number("top_p"),
            min_p: number("min_p"),
            typical_p: number("typical"),
            top_n_sigma: number("top_n_sigma"),
            xtc_probability: number("xtc_probability"),
            xtc_threshold: number("xtc_threshold"),
            repeat_penalty: number("repeat_penalty"),
            repeat_last_n: count("repeat_last_n"),
            presence_penalty: number("presence_penalty"),
            frequency_penalty: number("frequency_penalty"),
            dry: Dry {
                multiplier: number("dry_multiplier"),
                base: number("dry_base"),
                allowed_length: count("dry_allowed_length"),
                penalty_last_n: count("dry_penalty_last_n"),
                sequence_breakers: list("dry_sequence_breakers").map(|b| b.as_str().unwrap().to_owned()).collect(),
            },
            mirostat: count("mirostat") as u8,
            mirostat_lr: number("mirostat_lr"),
            mirostat_ent: number("mirostat_ent"),
            logit_bias: list("logit_bias").map(|b| (b[0].as_u64().unwrap() as u32, forbidden(&b[1]))).collect(),
            seed: 0,
        }
    }

    /// 2^-18 is the unit of the file's logits.
    fn logits(vector: &Value) -> Vec<f32> {
        let units = vector["logits"].as_array().unwrap().iter();
        units.map(|unit| unit.as_i64().unwrap() as f32 / (1 << 18) as f32).collect()
    }

    fn ids(list: &Value) -> Vec<u32> {
        list.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    }

    #[test]
    fn every_stage_leaves_what_llama_cpp_leaves() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/sampler.json");
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let hex = |text: &str| {
            (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect::<Vec<u8>>()
        };
        let pieces: Vec<Vec<u8>> =
            golden["pieces"].as_array().unwrap().iter().map(|piece| hex(piece.as_str().unwrap())).collect();
        let bytes = |id: u32| pieces[id as usize].as_slice();
        let vectors = golden["vectors"].as_array().unwrap();
        let (mut compared, mut worst, mut idle) = (0, 0f64, Vec::new());
        for case in golden["cases"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            let sampling = options(case);
            sampling.check().unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut sampler = Sampler::new(sampling);
            let first = case["vector"].as_u64().unwrap() as usize;
            let recent = ids(&vectors[first]["recent"]);
            for (i, expected) in case["steps"].as_array().unwrap().iter().enumerate() {
                let logits = logits(&vectors[(first + i) % vectors.len()]);
                let step = Step { logits: &logits, recent: &recent, bytes: &bytes, allowed: None };
                let found = kept(&mut sampler, &step);
                let list = expected["kept"].as_array().unwrap();
                let theirs: Vec<_> =
                    list.iter().map(|pair| (pair[0].as_u64().unwrap() as u32, pair[1].as_f64().unwrap())).collect();
                let same = |list: &[(u32, f64)]| list.iter().map(|(id, _)| *id).collect::<Vec<_>>();
                assert_eq!(same(&found), same(&theirs), "{name}, vector {first}, step {i}");
                for ((id, p), (_, q)) in found.iter().zip(&theirs) {
                    assert!((p - q).abs() < 1e-5, "{name}, vector {first}, step {i}: token {id} has {p}, not {q}");
                    worst = worst.max((p - q).abs());
                }
                let plain = kept(&mut Sampler::new(Sampling::open()), &step);
                if found.len() == plain.len() && found.iter().zip(&plain).all(|(a, b)| (a.1 - b.1).abs() < 1e-9) {
                    idle.push(name);
                }
                if let Some(drawn) = expected["drawn"].as_u64() {
                    // as if that had been drawn here
                    let p = found.iter().find(|(id, _)| u64::from(*id) == drawn).unwrap().1;
                    sampler.mirostat.as_mut().unwrap().observe(p);
                }
                compared += 1;
            }
        }
        println!("{compared} sets, probabilities within {worst:.1e}; nothing done by {idle:?}");
        assert!(compared > 100);
        // every setting does something to at least one of its three vectors, but for those that cannot: no two tokens have a half
        for name in ["softmax", "top-k-all", "xtc-high"] {
            assert_eq!(idle.iter().filter(|n| **n == name).count(), 3);
        }
        let busy = |name: &&str| idle.iter().filter(|n| *n == name).count() < 3;
        assert!(idle.iter().all(|name| ["softmax", "top-k-all", "xtc-high"].contains(name) || busy(name)), "{idle:?}");
    }
}

#[test]
fn greedy_takes_the_best_and_the_lower_id_of_a_tie() {
    let greedy = |logits: &[f32]| Sampler::new(Sampling::greedy()).sample(&step(logits, &[]));
    assert_eq!(greedy(&[0.0, 3.0, f32::NAN, 3.0]), 1);
    assert_eq!(greedy(&[f32::NEG_INFINITY, -5.0]), 1);
}

#[test]
fn the_same_seed_draws_the_same_tokens_and_another_seed_others() {
    let logits: Vec<f32> = (0..100u8).map(|i| f32::from(i % 7)).collect();
    for base in [Sampling::default(), Sampling { mirostat: 2, ..Sampling::default() }] {
        let run = |seed| {
            let mut s = Sampler::new(Sampling { seed, ..base.clone() });
            (0..50).map(|_| s.sample(&step(&logits, &[]))).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}

#[test]
fn each_filter_keeps_what_it_says() {
    let open = Sampling::open;
    let logits = [0.0, 1.0, 2.0, 3.0]; // probabilities .032 .087 .237 .644
    assert_eq!(draws(open(), &logits, &[]), [0, 1, 2, 3]);
    assert_eq!(draws(Sampling { top_k: 2, ..open() }, &logits, &[]), [2, 3]);
    assert_eq!(draws(Sampling { top_p: 0.7, ..open() }, &logits, &[]), [2, 3]);
    assert_eq!(draws(Sampling { top_p: 0.6, ..open() }, &logits, &[]), [3]);
    assert_eq!(draws(Sampling { min_p: 0.2, ..open() }, &logits, &[]), [2, 3]);
    // .95 nats are expected, nearest to it are 1.44 (token 2), then .44 (3)
    assert_eq!(draws(Sampling { typical_p: 0.2, ..open() }, &logits, &[]), [2]);
    assert_eq!(draws(Sampling { typical_p: 0.7, ..open() }, &logits, &[]), [2, 3]);
    // the deviation is 1.12
    assert_eq!(draws(Sampling { top_n_sigma: 1.0, ..open() }, &logits, &[]), [2, 3]);
    let xtc = Sampling { xtc_probability: 1.0, xtc_threshold: 0.2, ..open() };
    assert_eq!(draws(xtc.clone(), &logits, &[]), [0, 1, 2]);
    assert_eq!(draws(Sampling { xtc_probability: 0.5, ..xtc.clone() }, &logits, &[]), [0, 1, 2, 3]);
    assert_eq!(draws(Sampling { xtc_threshold: 0.6, ..xtc }, &logits, &[]), [0, 1, 2, 3]);
    assert_eq!(draws(Sampling { logit_bias: vec![(1, f32::NEG_INFINITY)], ..open() }, &logits, &[]), [0, 2, 3]);
    let penalty = Sampling { temperature: 0.0, repeat_penalty: 2.0, ..open() };
    assert_eq!(draws(penalty.clone(), &logits, &[3]), [2]);
    assert_eq!(draws(Sampling { repeat_last_n: 1, ..penalty.clone() }, &logits, &[3, 0]), [3]);
    assert_eq!(draws(Sampling { repeat_last_n: 0, ..penalty }, &logits, &[3]), [3]);
}

#[test]
fn xtc_excludes_at_temperature_0_too() {
    let sampling = Sampling { xtc_probability: 1.0, xtc_threshold: 0.2, ..Sampling::greedy() };
    assert_eq!(draws(sampling, &[0.0, 1.0, 2.0, 3.0], &[]), [2]);
}

#[test]
fn draws_follow_the_probabilities() {
    let mut sampler = Sampler::new(Sampling::open());
    let logits = [0.0, 2f32.ln(), 5f32.ln()]; // 1 : 2 : 5
    let mut counts = [0f64; 3];
    for _ in 0..80_000 {
        counts[sampler.sample(&step(&logits, &[])) as usize] += 1.0 / 10_000.0;
    }
    for (count, expected) in counts.iter().zip([1.0, 2.0, 5.0]) {
        assert!((count - expected).abs() < 0.1, "{counts:?}");
    }
}

#[test]
fn mirostat_holds_the_surprise_that_it_aims_at() {
    // Zipf's law: the k-th token has 1/k
    let logits: Vec<f32> = (1..=5000u16).map(|k| -f32::from(k).ln()).collect();
    for (version, target) in [(2, 3.0), (2, 6.0), (1, 3.0)] {
        let sampling = Sampling { mirostat: version, mirostat_ent: target, mirostat_lr: 0.1, ..Sampling::open() };
        let mut sampler = Sampler::new(sampling);
        let mut surprise = 0.0;
        for _ in 0..3000 {
            let id = sampler.sample(&step(&logits, &[]));
            let list = sampler.candidates.list();
            let at = list.iter().position(|c| c.id == id).unwrap();
            surprise -= sampler.candidates.probabilities()[at].log2() / 3000.0;
        }
        assert!((surprise - f64::from(target)).abs() < 0.1, "version {version}: {surprise} bits, not {target}");
    }
}

#[test]
fn dry_looks_back_to_a_breaker_that_tokens_share() {
    // abcXYabc: what follows is X, unless a breaker of two tokens lies between; it ends before `c`
    let texts = ["a", "b", "c", "X", "Y", "<|", "|>"];
    let bytes = |id: u32| texts[id as usize].as_bytes();
    let dry = |recent: &[u32], breakers: &[&str]| {
        let sequence_breakers = breakers.iter().map(|b| (*b).to_owned()).collect();
        let dry = Dry { multiplier: 1.0, base: 2.0, sequence_breakers, ..Dry::default() };
        let mut sampler = Sampler::new(Sampling { dry, ..Sampling::open() });
        sampler.narrow(&Step { logits: &[0.0; 7], recent, bytes: &bytes, allowed: None });
        sampler.candidates.list().iter().map(|c| c.logit).collect::<Vec<f32>>()
    };
    let recent = [0, 1, 2, 3, 4, 0, 1, 2];
    assert_eq!(dry(&recent, &[]), [0.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0], "a repetition of 3 is 1 beyond 2");
    assert_eq!(dry(&recent, &["ab"]), [0.0; 7], "of c alone");
    assert_eq!(dry(&recent, &["YX", "nothing"]), dry(&recent, &[]));
    assert_eq!(dry(&recent, &["X"]), [0.0; 7], "a breaker itself costs nothing");
    assert_eq!(dry(&[0, 1, 2, 5, 6, 0, 1, 2], &["<||>"]), dry(&[0, 1, 2, 5, 6, 0, 1, 2], &[]), "it ends before a");
    assert_eq!(dry(&[0, 1, 2, 3, 5, 6, 2], &["|>"]), [0.0; 7]);
    assert_eq!(dry(&[0; 64], &[])[0], -2f32.powi(61), "all but the last are one repetition");
}

#[test]
fn nothing_is_drawn_that_is_not_allowed() {
    for base in [Sampling::greedy(), Sampling::open(), Sampling { mirostat: 2, ..Sampling::open() }] {
        let mut sampler = Sampler::new(Sampling { logit_bias: vec![(2, 3.0), (1, 9.0)], ..base });
        let even = |id: u32| id.is_multiple_of(2);
        for logits in [[1.0, 9.0, -3.0, 9.0], [f32::NEG_INFINITY; 4]] {
            let step = Step { allowed: Some(&even), ..step(&logits, &[]) };
            assert!((0..200).all(|_| even(sampler.sample(&step))));
        }
    }
}

#[test]
fn hostile_logits_do_not_panic() {
    let (low, high) = (f32::NEG_INFINITY, f32::INFINITY);
    let all = Sampling {
        typical_p: 0.5,
        top_n_sigma: 1.0,
        xtc_probability: 1.0,
        dynatemp_range: 1.0,
        repeat_penalty: 1.1,
        dry: Dry { multiplier: 1.0, ..Dry::default() },
        logit_bias: vec![(1, 1.0), (99, 1.0)],
        ..Sampling::default()
    };
    let mirostat = |mirostat| Sampling { mirostat, ..Sampling::open() };
    for sampling in [Sampling::greedy(), Sampling::default(), Sampling::open(), all, mirostat(1), mirostat(2)] {
        for logits in [vec![], vec![f32::NAN; 4], vec![low; 4], vec![high; 4], vec![0.0], vec![f32::MAX, f32::MIN]] {
            let mut sampler = Sampler::new(sampling.clone());
            for _ in 0..3 {
                let _ = sampler.sample(&step(&logits, &[1, 2, 99, 1, 2, 99, 1]));
            }
        }
        let mut sampler = Sampler::new(sampling.clone());
        let forbidden = [low, 1.0, f32::NAN, low];
        assert!((0..100).all(|_| sampler.sample(&step(&forbidden, &[])) == 1), "{sampling:?}");
    }
}

#[test]
fn settings_out_of_range_are_named() {
    assert!(Sampling::default().check().is_ok() && Sampling::open().check().is_ok());
    let bad = |change: fn(&mut Sampling)| {
        let mut sampling = Sampling::default();
        change(&mut sampling);
        sampling.check().unwrap_err()
    };
    assert_eq!(bad(|s| s.top_p = 0.0), "top-p is 0; it must be above 0 and at most 1");
    assert!(bad(|s| s.temperature = f32::NAN).starts_with("temp is NaN"));
    assert!(bad(|s| s.min_p = 1.5).starts_with("min-p is 1.5"));
    assert!(bad(|s| s.dry.base = 0.5).starts_with("dry-base is 0.5"));
    assert!(bad(|s| s.mirostat = 3).starts_with("mirostat is 3"));
    assert!(bad(|s| s.logit_bias = vec![(7, f32::INFINITY)]).starts_with("logit-bias of token 7"));
}
