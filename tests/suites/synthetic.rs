//! Synthetic archives: whole, the same whatever makes them, and fit to run.

use std::fs;
use std::path::Path;

use symbiote_format::{Codec, Design, Dtype, ModelConfig, RopeLayout, RopeScaling};
use symbiote_packer::{ArchiveReport, Choice, ConvertOptions, Policy, Recipe, Target, synthesize, verify};
use symbiote_runtime::engine::{OpenOptions, SymbioteEngine};
use symbiote_tests::{oracle, relative_error};

/// Columns that are no multiple of what the generator draws at once, and parts that end inside tensors.
fn tiny(tied_embeddings: bool) -> ModelConfig {
    ModelConfig {
        vocab_size: 1000,
        context_length: 256,
        hidden_size: 192,
        layer_count: 2,
        head_count: 6,
        kv_head_count: 2,
        head_dim: 32,
        ffn_size: 448,
        norm_eps: 1e-5,
        tied_embeddings,
        rope_base: 500_000.0,
        rope_dims: 32,
        rope_layout: RopeLayout::Halves,
        rope_scaling: RopeScaling::None,
        design: Design::default(),
    }
}

fn write(config: &ModelConfig, path: &Path, codec: Codec, pack_size: u64, threads: usize) -> ArchiveReport {
    let policy = Policy::new(Target::Run, Choice::Only(codec)).unwrap();
    let options = ConvertOptions { pack_size, policy, threads: Some(threads), ..ConvertOptions::default() };
    synthesize(config, Dtype::Bf16, path, &options, &()).unwrap()
}

#[test]
fn synthetic_archives_are_intact_repeatable_and_run() {
    let folder = tempfile::tempdir().unwrap();
    for (tied, codec) in [(false, Codec::P12), (true, Codec::Raw)] {
        let config = tiny(tied);
        let [one, two] = [1, 2].map(|threads| folder.path().join(format!("{codec}-{threads}.pak")));
        let report = write(&config, &one, codec, 64 << 10, 1);
        write(&config, &two, codec, 64 << 10, 2);
        assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "threads change nothing");
        let (source, coded) = report.weight_bytes();
        let share = coded as f64 / source as f64;
        assert!(if codec == Codec::P12 { (0.75..0.77).contains(&share) } else { share == 1.0 }, "{codec}: {share}");
        assert_eq!(verify(&one, &()).unwrap().packs, report.packs);

        let mut engine = SymbioteEngine::open(&one, &OpenOptions::default()).unwrap();
        assert!(engine.tokenizer().is_err());
        let mut rows = 0;
        engine
            .forward_from(&[1, 999, 500, 3], 0, &mut |_, logits| {
                assert_eq!(logits.len(), 1000);
                assert!(logits.iter().all(|l| l.is_finite()) && logits.iter().any(|l| l.abs() > 1e-3));
                rows += 1;
            })
            .unwrap();
        assert_eq!(rows, 4);
    }
}

/// One token by the kernels for that, and several: on a GPU these are not the same.
#[test]
fn models_of_random_blocks_equal_the_oracle() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy::new(Target::Run, Choice::Only(Codec::Raw)).unwrap();
    let options = ConvertOptions { pack_size: 256 << 10, policy, ..ConvertOptions::default() };
    let config = ModelConfig { hidden_size: 256, ffn_size: 512, head_count: 8, kv_head_count: 2, ..tiny(false) };
    let tokens = [1, 999, 500, 3];
    let types = [Dtype::Q4_0, Dtype::Q8_0, Dtype::Q4K, Dtype::Q5K, Dtype::Q6K].map(Recipe::One);
    for recipe in types.into_iter().chain([Recipe::Q4KM]) {
        let pak = folder.path().join("blocks.pak");
        synthesize(&config, recipe, &pak, &options, &()).unwrap();
        for like_gpu in [false, true] {
            let options = OpenOptions { like_gpu, ..OpenOptions::default() };
            let mut engine = SymbioteEngine::open(&pak, &options).unwrap();
            let expected = oracle::forward(engine.pak().archive(), &tokens);
            let together = relative_error(&engine.forward(&tokens).unwrap(), &expected[3]);
            engine.truncate(0);
            let single = tokens.map(|token| engine.forward(&[token]).unwrap());
            let single = relative_error(&single[3], &expected[3]);
            println!("{recipe:?} like GPU {like_gpu}: {together:.1e} together, {single:.1e} one by one");
            assert!(together < 1e-4 && single < 1e-4, "{recipe:?} like GPU {like_gpu}: {together} {single}");
        }
    }
}

/// How packs are cut changes nothing in the weights.
#[test]
fn weights_do_not_depend_on_packs() {
    let folder = tempfile::tempdir().unwrap();
    let weights = |pack_size: u64| {
        let pak = folder.path().join(format!("{pack_size}.pak"));
        let out = pak.with_extension("safetensors");
        write(&tiny(false), &pak, Codec::P12, pack_size, 2);
        symbiote_packer::extract(&pak, &out, false, &()).unwrap();
        fs::read(out).unwrap()
    };
    assert!(weights(32 << 10) == weights(1 << 20));
}
