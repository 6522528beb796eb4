//! Logits: against transformers for tiny random models, against the CPU oracle for real ones.

use std::sync::{Arc, Mutex};

use symbiote_format::Scoring;
use symbiote_runtime::engine::KvType;
use symbiote_runtime::pak::PakFile;
use symbiote_tests::golden::{ids, logits, open, open_for, open_like_gpu, sources, widen, worst};
use symbiote_tests::{fixtures, oracle, relative_error};

/// What rounding keys and values to 11 bits may do to logits.
const F16_CACHE: f64 = 5e-3;

/// The same, of the oracle's rows.
fn worst_of(rows: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    let narrow: Vec<Vec<f32>> = rows.iter().map(|row| row.iter().map(|v| *v as f32).collect()).collect();
    worst(&narrow, expected)
}

/// Tiny random models that transformers saved: every rope scaling, f32, f16 and bf16, tied and not, sharded and not.
#[test]
fn tiny_llamas_equal_transformers() {
    for name in ["tiny-llama", "tiny-llama-linear", "tiny-llama-dynamic", "tiny-llama-f16-yarn", "tiny-llama-bf16-tied"]
    {
        let pak = fixtures::pak(name);
        let golden = fixtures::json(&format!("{name}/golden.json"));
        let tokens = ids(&golden["tokens"]);
        let vocab = golden["vocab"].as_u64().unwrap() as usize;
        let expected: Vec<Vec<f64>> =
            fixtures::f32s(&format!("{name}/golden.f32")).chunks_exact(vocab).map(widen).collect();
        let mut engine = open(&pak, KvType::F32, 64);
        let whole = worst(&logits(&mut engine, &tokens), &expected);
        let halves = worst(&logits(&mut open(&pak, KvType::F16, 7), &tokens), &expected);
        println!("{name}: relative error {whole:.1e}; keys and values in f16, batches of 7: {halves:.1e}");
        assert!(whole < 1e-4, "{name}: {whole}");
        assert!(halves < F16_CACHE, "{name}: {halves}");
        assert_eq!(engine.gpu().validation_errors(), 0, "{:?}", engine.gpu().validation_messages());
    }
}

/// A tiny random model of every architecture. Each is there in safetensors and in GGUF, or says why not in the script that
/// made it.
const ARCHITECTURES: [&str; 14] = [
    "tiny-llama-biases",
    "tiny-mistral",
    "tiny-qwen2",
    "tiny-qwen2-window",
    "tiny-qwen3",
    "tiny-gemma2",
    "tiny-gemma3",
    "tiny-phi3-longrope",
    "tiny-phi3-window",
    "tiny-olmo2",
    "tiny-granite",
    "tiny-smollm3",
    "tiny-starcoder2",
    "tiny-gpt2",
];

/// Mixtures of experts, likewise.
const MIXTURES: [&str; 10] = [
    "tiny-mixtral",
    "tiny-qwen3moe",
    "tiny-qwen3moe-dense",
    "tiny-qwen2moe",
    "tiny-olmoe",
    "tiny-granitemoe",
    "tiny-gpt-oss",
    "tiny-deepseek2-lite",
    "tiny-deepseek2",
    "tiny-deepseek3",
];

/// Every expert of every layer that routes tokens is one pack, and the routes of the golden file fit the archive.
#[test]
fn mixtures_are_packed_expert_by_expert() {
    for name in MIXTURES {
        let golden = fixtures::json(&format!("{name}/golden.json"));
        for source in sources(name) {
            let file = PakFile::open(fixtures::pak(&source)).unwrap();
            let archive = file.archive();
            let experts = archive.config().design.experts.clone().unwrap();
            for (layer, routes) in (0..).zip(golden["routes"].as_array().unwrap()) {
                let of_layer = |p: &&symbiote_format::ArchivedWeightPack| {
                    p.layer == layer && p.role == symbiote_format::PackRole::Expert.code()
                };
                let packs = archive.index().packs.iter().filter(of_layer).count();
                let tokens = routes.as_array();
                assert_eq!(packs, if tokens.is_some() { experts.count as usize } else { 0 }, "{source}, layer {layer}");
                for token in tokens.into_iter().flatten() {
                    let chosen = ids(token);
                    assert!(chosen.len() == experts.used as usize && chosen.is_sorted(), "{source}: {chosen:?}");
                    assert!(chosen.iter().all(|expert| *expert < experts.count), "{source}: {chosen:?}");
                }
            }
        }
    }
}

/// The experts that transformers' routers chose, token by token: in one pass and in many, of several tokens and of one.
#[test]
fn tokens_go_to_the_experts_that_transformers_chose() {
    for source in MIXTURES.into_iter().flat_map(sources) {
        let name = source.split('/').next().unwrap();
        let golden = fixtures::json(&format!("{name}/golden.json"));
        let tokens = ids(&golden["tokens"]);
        let sets = |token: &serde_json::Value| ids(token);
        let expected: Vec<Option<Vec<Vec<u32>>>> = golden["routes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| layer.as_array().map(|tokens| tokens.iter().map(sets).collect()))
            .collect();
        let pak = fixtures::pak(&source);
        let experts = PakFile::open(&pak).unwrap().archive().config().design.experts.clone().unwrap();
        // sigmoids come with a bias for the choice
        let by_weight = experts.scoring == Scoring::Softmax;
        for batch in [64, 7, 1] {
            let mut engine = open(&pak, KvType::F32, batch);
            let seen: Arc<Mutex<Vec<Vec<Vec<u32>>>>> = Arc::new(Mutex::new(vec![Vec::new(); expected.len()]));
            let told = Arc::clone(&seen);
            engine.on_route(Box::new(move |routes| {
                let layer = &mut told.lock().unwrap()[routes.layer as usize];
                assert_eq!(layer.len(), routes.position as usize, "passes come in order");
                let weights = routes.weights.chunks_exact(routes.used as usize);
                for (chosen, weights) in routes.chosen.chunks_exact(routes.used as usize).zip(weights) {
                    let sorted = !by_weight || weights.is_sorted_by(|a, b| a >= b);
                    assert!(weights.iter().all(|w| *w > 0.0) && sorted, "{weights:?}");
                    let mut chosen = chosen.to_vec();
                    chosen.sort_unstable();
                    layer.push(chosen);
                }
            }));
            engine.forward(&tokens).unwrap();
            for (layer, (seen, expected)) in seen.lock().unwrap().iter().zip(&expected).enumerate() {
                let expected = expected.as_deref().unwrap_or_default();
                assert!(seen == expected, "{source}, layer {layer}, batches of {batch}: {seen:?}, not {expected:?}");
            }
        }
    }
}

/// Weights of 8 bits with scales of blocks, rows and tensors; the last two are mixtures of experts.
const FLOAT8: [&str; 5] =
    ["tiny-llama-fp8", "tiny-qwen3-fp8", "tiny-mistral-fp8", "tiny-qwen3moe-fp8", "tiny-deepseek3-fp8"];

/// Against transformers on each weight multiplied by its scale, as one batch, in batches of 7 and token by token; and against the
/// oracle.
#[test]
fn weights_of_8_bits_equal_transformers() {
    for name in FLOAT8 {
        let golden = fixtures::json(&format!("{name}/golden.json"));
        let tokens = ids(&golden["tokens"]);
        let vocab = golden["vocab"].as_u64().unwrap() as usize;
        let expected: Vec<Vec<f64>> =
            fixtures::f32s(&format!("{name}/golden.f32")).chunks_exact(vocab).map(widen).collect();
        let pak = fixtures::pak(name);
        let file = PakFile::open(&pak).unwrap();
        if file.archive().config().design.experts.is_none() {
            let oracle = worst_of(&oracle::forward(file.archive(), &tokens), &expected);
            assert!(oracle < 1e-5, "{name}: the oracle is {oracle} off");
        }
        for batch in [64, 7, 1] {
            let mut engine = open(&pak, KvType::F32, batch);
            let error = worst(&logits(&mut engine, &tokens), &expected);
            println!("{name}: relative error {error:.1e} in batches of {batch}");
            assert!(error < 1e-4, "{name}, batches of {batch}: {error}");
            assert_eq!(engine.gpu().validation_errors(), 0, "{:?}", engine.gpu().validation_messages());
        }
    }
}

/// Over 64 tokens, which are far beyond every window, as one batch, in batches of 7, and one by one; LongRoPE on either side of the
/// original context.
#[test]
fn every_architecture_equals_transformers() {
    for name in ARCHITECTURES.into_iter().chain(MIXTURES) {
        let golden = fixtures::json(&format!("{name}/golden.json"));
        let tokens = ids(&golden["tokens"]);
        let vocab = golden["vocab"].as_u64().unwrap() as usize;
        let rows = |file: &str| -> Vec<Vec<f64>> {
            fixtures::f32s(&format!("{name}/{file}")).chunks_exact(vocab).map(widen).collect()
        };
        let expected = rows("golden.f32");
        let short = golden["short"].as_u64().map(|n| (n as usize, rows("golden-short.f32")));
        for source in sources(name) {
            let pak = fixtures::pak(&source);
            let mut engine = open(&pak, KvType::F32, 64);
            let whole = worst(&logits(&mut engine, &tokens), &expected);
            let pieces = worst(&logits(&mut open(&pak, KvType::F32, 7), &tokens), &expected);
            let halves = worst(&logits(&mut open(&pak, KvType::F16, 7), &tokens), &expected);
            let mut like_gpu = open_like_gpu(&pak);
            let single = worst(&logits(&mut like_gpu, &tokens), &expected);
            println!(
                "{source}: relative error {whole:.1e}, in batches of 7 {pieces:.1e}, one by one as on a GPU {single:.1e}, keys and values in f16 {halves:.1e}"
            );
            assert!(whole < 1e-4 && pieces < 1e-4 && single < 1e-4, "{source}: {whole} {pieces} {single}");
            assert_eq!(like_gpu.gpu().validation_errors(), 0, "{:?}", like_gpu.gpu().validation_messages());
            assert!(halves < F16_CACHE, "{source}: {halves}");
            assert_eq!(engine.gpu().validation_errors(), 0, "{:?}", engine.gpu().validation_messages());
            if let Some((count, expected)) = &short {
                let mut engine = open_for(&pak, KvType::F32, 64, Some(*count as u32));
                let error = worst(&logits(&mut engine, &tokens[..*count]), expected);
                println!("{source}, {count} tokens of context: relative error {error:.1e}");
                assert!(error < 1e-4, "{source}: {error}");
            }
        }
    }
}

/// The same weights in blocks: against transformers on the decoded weights, and against the CPU oracle at every position.
#[test]
fn quantised_tiny_llamas_equal_transformers_and_the_oracle() {
    let tokens = ids(&fixtures::json("tiny-llama/golden.json")["tokens"]);
    let about = fixtures::json("tiny-llama/gguf.json");
    for kind in ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"] {
        let file = format!("tiny-llama-{kind}.gguf");
        let pak = fixtures::pak(&format!("tiny-llama/{file}"));
        let rows = logits(&mut open(&pak, KvType::F32, 64), &tokens);
        let expected = oracle::forward(PakFile::open(&pak).unwrap().archive(), &tokens);
        let error = worst(&rows, &expected);
        let last: Vec<f64> = about[&file]["last"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let last = relative_error(&rows[63], &last);
        println!("{file}: oracle {error:.1e}, transformers {last:.1e}");
        assert!(error < 1e-4 && last < 1e-4, "{file}: {error} {last}");
    }
}

/// SmolLM2 against the CPU oracle over a 64-token prompt, as one batch and token by token.
#[test]
fn smollm2_equals_the_oracle() {
    let pak = fixtures::smollm2();
    let tokens = &ids(&fixtures::json("smollm2/llamacpp.json")["text_ids"])[..64];
    let expected = oracle::forward(PakFile::open(&pak).unwrap().archive(), tokens);
    let halves = worst(&logits(&mut open(&pak, KvType::F16, 64), tokens), &expected);
    let mut engine = open(&pak, KvType::F32, 64);
    let batch = worst(&logits(&mut engine, tokens), &expected);
    engine.truncate(0);
    let single: Vec<Vec<f32>> = tokens.iter().map(|t| engine.forward(&[*t]).unwrap()).collect();
    let single = worst(&single, &expected);
    println!(
        "SmolLM2: relative error {batch:.1e} as one batch, {single:.1e} token by token, {halves:.1e} with f16 keys and values"
    );
    assert!(batch < 1e-4 && single < 1e-4, "{batch} {single}");
    assert!(halves < F16_CACHE, "{halves}");
    assert_eq!(engine.gpu().validation_errors(), 0, "{:?}", engine.gpu().validation_messages());
}
