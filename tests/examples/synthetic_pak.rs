//! Writes an archive with made-up weights, for measurements of speed: see `--help`.
#![allow(missing_docs)]

#[path = "../../packer/src/terminal.rs"]
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use symbiote_format::{ByteSize, Codec, Design, Dtype, Experts, ModelConfig, RopeLayout, RopeScaling};
use symbiote_packer::{Choice, ConvertOptions, Policy, Recipe, Target, synthesize};

/// Writes an archive of a Llama or of a mixture of experts like Qwen3's of any shape, its weights gaussian bf16 or random blocks, made on the way: there is no source.
///
/// The archive has no tokenizer, so that it takes token ids only.
#[derive(Parser)]
struct Args {
    /// llama-1b, llama-8b, llama-70b, qwen3-30b-a3b, or
    /// hidden=N,ffn=N,layers=N,heads=N,kv_heads=N,head=N,vocab=N, with tied=1 where the head is the embedding, and
    /// experts=N,used=N where those of ffn=N are experts of which a token uses some.
    #[arg(value_parser = shape)]
    shape: ModelConfig,
    /// The archive to write; an existing one is replaced.
    output: PathBuf,
    /// How the weights are stored: BF16, or Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, or Q4_K_M, which is a mix.
    #[arg(long, default_value = "BF16", value_parser = recipe)]
    dtype: Recipe,
    /// How the weights are coded [default: p12 for BF16, else raw].
    #[arg(long, value_parser = codec())]
    codec: Option<Codec>,
    /// Size near which packs are cut, in bytes as stored.
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    pack_size: ByteSize,
    /// Threads, each with memory of about six packs [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
    /// Layers, instead of the shape's.
    #[arg(long)]
    layers: Option<u32>,
    /// Experts that a token uses, instead of the shape's.
    #[arg(long)]
    used: Option<u32>,
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    args.shape.layer_count = args.layers.unwrap_or(args.shape.layer_count);
    if let (Some(used), Some(experts)) = (args.used, &mut args.shape.design.experts) {
        experts.used = used;
    }
    let codec = args.codec.unwrap_or(if args.dtype == Recipe::One(Dtype::Bf16) { Codec::P12 } else { Codec::Raw });
    let policy = match Policy::new(Target::Run, Choice::Only(codec)) {
        Ok(policy) => policy,
        Err(error) => return fail(&error),
    };
    let options =
        ConvertOptions { pack_size: args.pack_size.0, policy, threads: args.threads, force: true, profile: None };
    let terminal = terminal::Terminal::new();
    let start = Instant::now();
    let done = synthesize(&args.shape, args.dtype, &args.output, &options, &terminal);
    terminal.clear();
    match done {
        Ok(report) => {
            let seconds = start.elapsed().as_secs_f64();
            let (bytes, _) = report.weight_bytes();
            let speed = bytes as f64 / seconds / 1e9;
            println!("{}: {report}; {seconds:.1} s, {speed:.2} GB/s", args.output.display());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("synthetic_pak: {error}");
    ExitCode::FAILURE
}

fn recipe(name: &str) -> Result<Recipe, String> {
    if name.eq_ignore_ascii_case("Q4_K_M") {
        return Ok(Recipe::Q4KM);
    }
    let found = Dtype::ALL.into_iter().find(|dtype| dtype.name().eq_ignore_ascii_case(name));
    found.map(Recipe::One).ok_or_else(|| format!("{name}: no such type"))
}

fn codec() -> impl TypedValueParser<Value = Codec> {
    let running = || Codec::ALL.iter().copied().filter(|codec| codec.runs());
    PossibleValuesParser::new(running().map(Codec::name))
        .map(move |name| running().find(|codec| codec.name() == name).unwrap_or(Codec::Raw))
}

/// Llama 3's shapes and Qwen3's, but for the rope scaling of 3.1 and 3.2, which costs no time.
fn shape(text: &str) -> Result<ModelConfig, String> {
    let numbers = match text {
        "llama-1b" => "hidden=2048,ffn=8192,layers=16,heads=32,kv_heads=8,head=64,vocab=128256,tied=1",
        "llama-8b" => "hidden=4096,ffn=14336,layers=32,heads=32,kv_heads=8,head=128,vocab=128256",
        "llama-70b" => "hidden=8192,ffn=28672,layers=80,heads=64,kv_heads=8,head=128,vocab=128256",
        "qwen3-30b-a3b" => "hidden=2048,ffn=768,layers=48,heads=32,kv_heads=4,head=128,vocab=151936,experts=128,used=8",
        numbers => numbers,
    };
    let mut config = ModelConfig {
        vocab_size: 0,
        context_length: 131_072,
        hidden_size: 0,
        layer_count: 0,
        head_count: 0,
        kv_head_count: 0,
        head_dim: 0,
        ffn_size: 0,
        norm_eps: 1e-5,
        tied_embeddings: false,
        rope_base: 500_000.0,
        rope_dims: 0,
        rope_layout: RopeLayout::Halves,
        rope_scaling: RopeScaling::None,
        design: Design::default(),
    };
    let [mut experts, mut used] = [0; 2];
    for pair in numbers.split(',') {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair}: name=number expected"))?;
        let number: u32 = value.parse().map_err(|e| format!("{pair}: {e}"))?;
        let place = match name {
            "hidden" => &mut config.hidden_size,
            "ffn" => &mut config.ffn_size,
            "layers" => &mut config.layer_count,
            "heads" => &mut config.head_count,
            "kv_heads" => &mut config.kv_head_count,
            "head" => &mut config.head_dim,
            "vocab" => &mut config.vocab_size,
            "experts" => &mut experts,
            "used" => &mut used,
            "context" => &mut config.context_length,
            "tied" => {
                config.tied_embeddings = number != 0;
                continue;
            }
            _ => return Err(format!("{name}: no such number of a shape")),
        };
        *place = number;
    }
    config.rope_dims = config.head_dim;
    config.design.experts = (experts > 0).then(|| Experts::of(experts, used, config.ffn_size));
    Ok(config)
}
