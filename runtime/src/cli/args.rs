//! Flags, and what they mean to the library.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use symbiote_runtime::engine::{GenerateOptions, Grammar, KvType, Link, OpenOptions};
use symbiote_runtime::gpu::GpuOptions;
use symbiote_runtime::memory::ByteSize;
use symbiote_runtime::residency::experts::OracleKind;

use super::output::{Failure, read_text};
use super::replay::{Player, Slots};
use super::sampling::{SamplingArgs, unescape};

/// Runs a .pak model in Vulkan: answers a prompt, or chats when there is none.
#[derive(Parser)]
#[command(name = "symbiote-run", version, arg_required_else_help = true, subcommand_negates_reqs = true)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The model, made by `symbiote-pack convert`
    #[arg(required_unless_present = "list_devices")]
    pub model: Option<PathBuf>,

    /// List the Vulkan devices of this machine and exit
    #[arg(long)]
    pub list_devices: bool,

    /// Answer this and exit
    #[arg(short, long, value_name = "TEXT")]
    pub prompt: Option<String>,

    /// Answer what this file says and exit
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompt_file: Option<PathBuf>,

    /// Continue the prompt as it stands, without the model's chat template
    #[arg(long)]
    pub raw: bool,

    /// System message for the chat template
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    pub system: Option<String>,

    /// Write conversations by this template instead of the model's: a Jinja file, its text, - for standard input, or a name
    /// (chatml, gemma, granite, llama2, llama3, mistral, phi3)
    #[arg(long, value_name = "FILE", conflicts_with = "raw")]
    pub chat_template: Option<String>,

    /// Variables for the chat template, as a JSON object: {"enable_thinking": false}
    #[arg(long, value_name = "JSON", conflicts_with = "raw", value_parser = object)]
    pub chat_template_kwargs: Option<serde_json::Map<String, serde_json::Value>>,

    /// Most tokens of an answer
    #[arg(short = 'n', long, value_name = "N", default_value_t = 512)]
    pub max_tokens: u32,

    /// Go on after the token that ends an answer
    #[arg(long)]
    pub ignore_stop: bool,

    /// End the answer before this text; may be given several times, and \n is a new line
    #[arg(long, alias = "reverse-prompt", value_name = "TEXT", value_parser = unescape)]
    pub stop: Vec<String>,

    /// Tell how probable each token was, beside the N most probable; with --json
    #[arg(long, visible_alias = "logprobs", value_name = "N", default_value_t = 0, requires = "json")]
    pub n_probs: usize,

    /// Refused: nothing is taken out of a context
    #[arg(long, hide = true)]
    pub context_shift: bool,

    /// Answer in JSON that this JSON Schema describes: a file, or the schema itself
    #[arg(short, long, alias = "json-schema-file", value_name = "FILE|TEXT", group = "form")]
    pub json_schema: Option<String>,

    /// Answer in what this GBNF grammar derives: a file, or the grammar itself
    #[arg(long, alias = "grammar-file", value_name = "FILE|TEXT", group = "form")]
    pub grammar: Option<String>,

    /// Answer in what this regular expression matches as a whole
    #[arg(long, value_name = "TEXT", group = "form")]
    pub regex: Option<String>,

    /// Keep the conversation's keys and values in this file, and go on from those that are there
    #[arg(long, value_name = "FILE")]
    pub prompt_cache: Option<PathBuf>,

    /// Print the answer and its figures as JSON
    #[arg(long)]
    pub json: bool,

    /// Show what disk, link and memories do while tokens come
    #[arg(long)]
    pub stats: bool,

    /// Print nothing but the answer
    #[arg(short, long)]
    pub quiet: bool,

    #[command(flatten)]
    pub sampling: SamplingArgs,

    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Subcommand)]
pub enum Command {
    /// Measure how well a model predicts a text, as llama-perplexity counts it
    Perplexity(PerplexityArgs),
    /// Say what will be where, and how fast that can be, without loading the model
    Plan(PlanArgs),
    /// Measure how fast a model runs under its budgets, beside what disk, link and VRAM allow
    Bench(BenchArgs),
    /// Send texts through a mixture of experts and note which experts they use: `symbiote-pack` puts that into the archive
    Profile(ProfileArgs),
    /// Send texts through a mixture of experts and write down where each token goes: a trace to replay
    Trace(TraceArgs),
    /// Say what caches of experts would have done on a trace, policy by policy; needs no model
    Replay(ReplayArgs),
}

#[derive(Parser)]
pub struct ProfileArgs {
    /// The model
    pub model: PathBuf,

    /// A text, and the name of the domain that it is of [default: the file's]; may be given several times, and texts of one name
    /// are one domain
    #[arg(long, value_name = "NAME=FILE", required = true)]
    pub text: Vec<String>,

    /// The file to write [default: the model's name with .coaccess, in the working directory]
    #[arg(short, long, value_name = "OUT.coaccess")]
    pub output: Option<PathBuf>,

    /// Replace an existing output
    #[arg(long)]
    pub force: bool,

    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Parser)]
pub struct TraceArgs {
    /// The model
    pub model: PathBuf,

    /// A text, and the name of the domain that it is of [default: the file's]; may be given several times
    #[arg(long, value_name = "NAME=FILE", required = true)]
    pub text: Vec<String>,

    /// The file to write
    #[arg(short, long, value_name = "OUT.moetrc")]
    pub output: PathBuf,

    /// Replace an existing output
    #[arg(long)]
    pub force: bool,

    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Parser)]
pub struct ReplayArgs {
    /// The trace: MOETRC01, or a route CSV of BigMoeOnEdge
    #[arg(required_unless_present = "synthetic")]
    pub trace: Option<PathBuf>,

    /// Replay made-up routes instead: every expert always, or any at any time
    #[arg(long, value_name = "KIND", conflicts_with = "trace")]
    pub synthetic: Option<Synthetic>,

    /// The policies [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub policy: Vec<Player>,

    /// Sizes of the cache, in experts, or with an x in times what one token uses
    #[arg(long, value_name = "N|Nx", value_delimiter = ',', default_value = "0.5x,1x,2x,4x")]
    pub slots: Vec<Slots>,

    /// Bring an expert while a layer computes: the one that the next layer's router, run early, names, or the policy expects
    #[arg(long)]
    pub lookahead: bool,

    /// Tokens at the start that are not counted, as the cache begins empty
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub warm_up: usize,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Draw hit rates over cache sizes into this SVG file
    #[arg(long, value_name = "FILE")]
    pub chart: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Synthetic {
    Dense,
    Iid,
}

#[derive(Parser)]
pub struct PlanArgs {
    /// The model
    pub model: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub wires: WireArgs,

    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Parser)]
pub struct BenchArgs {
    #[command(flatten)]
    pub plan: PlanArgs,

    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub prompt_tokens: usize,

    /// Tokens to decode
    #[arg(short = 'n', long, value_name = "N", default_value_t = 32)]
    pub tokens: usize,

    /// Send tokens through a mixture where this trace says, which a model without training does not know itself
    #[arg(long, value_name = "TRACE")]
    pub routes: Option<PathBuf>,

    /// How many of the experts that a token will need the next layer's router knows when it is run early, where the trace
    /// does not say
    #[arg(long, value_name = "SHARE", requires = "routes", value_parser = positive)]
    pub early_recall: Option<f64>,

    /// Copy packs to VRAM so many times, as if the link were that much slower
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub crossings: u32,

    /// Measure N budgets of VRAM, from the least that works to all that is of use
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub sweep: u32,

    /// Draw the sweep into this SVG file
    #[arg(long, value_name = "FILE", requires = "sweep")]
    pub chart: Option<PathBuf>,
}

/// Rates in GB/s, each 10^9 bytes.
#[derive(Parser)]
#[command(next_help_heading = "Wires")]
pub struct WireArgs {
    /// Rate of the disk [default: measured]
    #[arg(long, value_name = "GB/S", value_parser = positive)]
    pub disk_gbps: Option<f64>,

    /// Rate from RAM to VRAM [default: measured]
    #[arg(long, value_name = "GB/S", value_parser = positive)]
    pub link_gbps: Option<f64>,

    /// Rate at which kernels read weights [default: measured]
    #[arg(long, value_name = "GB/S", value_parser = positive)]
    pub vram_gbps: Option<f64>,
}

fn object(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    serde_json::from_str(text).map_err(|e| format!("it must be a JSON object: {e}"))
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("it must be a number above 0".into()),
    }
}

#[derive(Parser)]
pub struct PerplexityArgs {
    /// The model
    pub model: PathBuf,

    /// The text
    #[arg(long, value_name = "TEXT")]
    pub file: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Parser)]
#[command(next_help_heading = "Engine")]
pub struct EngineArgs {
    /// The device, by its number in --list-devices or a part of its name [default: the best]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,

    /// Most tokens of a conversation [default: what the model was made for, at most 4096]
    #[arg(long, value_name = "TOKENS")]
    pub ctx: Option<u32>,

    /// Most tokens of one pass over a prompt
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,

    /// How keys and values are kept: exactly, or in half the memory
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub kv_type: KvArg,

    /// Most bytes of device memory, for all that is kept there [default: what is free, less a margin]
    #[arg(long, value_name = "SIZE")]
    pub vram: Option<ByteSize>,

    /// Most bytes of RAM that this process holds, beside what an open device takes [default: what is free, less a margin]
    #[arg(long, value_name = "SIZE")]
    pub ram: Option<ByteSize>,

    /// How weights in RAM reach VRAM: by copies ahead of their use, or read by kernels where they are
    #[arg(long, value_name = "WAY", default_value = "copy")]
    pub link: LinkArg,

    /// What decides which experts of a mixture stay in VRAM, where not all of them fit
    #[arg(long, value_name = "POLICY", default_value = "next-use")]
    pub oracle: OracleKind,

    /// Bring no expert before a router has chosen it
    #[arg(long)]
    pub no_prefetch: bool,

    /// Check every pack against its SHA-256 when it is first read
    #[arg(long)]
    pub verify: bool,

    /// Run under the Vulkan validation layer; fails if it finds an error
    #[arg(long)]
    pub validation: bool,

    /// Print the time that every kernel took
    #[arg(long)]
    pub profile: bool,

    /// Use the GLSL kernels in this folder, and take over changes to them between tokens
    #[arg(long, value_name = "DIR")]
    pub shader_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum KvArg {
    Q8,
    F16,
    F32,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum LinkArg {
    Copy,
    Direct,
}

impl EngineArgs {
    pub fn options(&self) -> OpenOptions {
        OpenOptions {
            gpu: GpuOptions {
                device: self.device.clone(),
                validation: self.validation,
                vram_cap: self.vram.map(|size| size.0),
                ..GpuOptions::default()
            },
            ram_cap: self.ram.map(|size| size.0),
            ram_held: None,
            link: match self.link {
                LinkArg::Copy => Link::Copy,
                LinkArg::Direct => Link::Direct,
            },
            oracle: self.oracle,
            no_prefetch: self.no_prefetch,
            crossings: 1,
            context: self.ctx,
            batch: self.batch,
            kv_type: match self.kv_type {
                KvArg::Q8 => KvType::Q8,
                KvArg::F16 => KvType::F16,
                KvArg::F32 => KvType::F32,
            },
            shader_dir: self.shader_dir.clone(),
            profile: self.profile,
            like_gpu: false,
            verify: self.verify,
        }
    }
}

impl Args {
    /// The program's arguments, or what is wrong with them.
    pub fn read() -> Result<Self, clap::Error> {
        let args = Self::try_parse()?;
        let wrong = |kind, message: &str| Err(Self::command().error(kind, message));
        if let Err(message) = args.sampling.sampling().check() {
            return wrong(ErrorKind::ValueValidation, &message);
        }
        if args.context_shift {
            let message = "--context-shift is not supported: what follows would depend on tokens that are not there any more, \
                           so an answer ends where the context is full (raise --ctx)";
            return wrong(ErrorKind::InvalidValue, message);
        }
        let talks = args.command.is_none() && !args.list_devices;
        if args.json && talks && args.prompt.is_none() && args.prompt_file.is_none() {
            return wrong(ErrorKind::MissingRequiredArgument, "--json needs a prompt: -p or --prompt-file");
        }
        if talks && args.chat_template.as_deref() == Some("-") && args.prompt.is_none() && args.prompt_file.is_none() {
            return wrong(ErrorKind::MissingRequiredArgument, "--chat-template - needs a prompt: -p or --prompt-file");
        }
        Ok(args)
    }

    /// The prompt, wherever it is; none for a conversation.
    pub fn prompt(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.prompt_file else { return Ok(self.prompt.clone()) };
        read_text(file).map(Some)
    }

    /// What answers must look like, wherever that is written.
    fn form(&self) -> Result<Option<Grammar>, Failure> {
        let text_of = |given: &str, is_text: bool| match is_text {
            true => Ok(given.to_owned()),
            false => read_text(given.as_ref()),
        };
        Ok(match (&self.json_schema, &self.grammar, &self.regex) {
            (Some(schema), ..) => {
                let is_text = schema.trim_start().starts_with('{') || ["true", "false"].contains(&schema.trim());
                Some(Grammar::JsonSchema(text_of(schema, is_text)?))
            }
            (_, Some(grammar), _) => Some(Grammar::Gbnf(text_of(grammar, grammar.contains("::="))?)),
            (.., regex) => regex.clone().map(Grammar::Regex),
        })
    }

    /// How an answer is made.
    pub fn generate(&self) -> Result<GenerateOptions, Failure> {
        Ok(GenerateOptions {
            max_tokens: self.max_tokens,
            sampling: self.sampling.sampling(),
            parse_special: false,
            ignore_stop: self.ignore_stop,
            stop: self.stop.clone(),
            n_probs: self.n_probs,
            grammar: self.form()?,
        })
    }
}
