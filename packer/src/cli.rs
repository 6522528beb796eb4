//! The command line.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Parser, Subcommand};
use symbiote_format::{ByteSize, Codec};
use symbiote_packer::{Choice, ExpertOrder, Policy, PolicyError, Profile, Target};

/// Compiles models into .pak archives, and takes archives apart again.
#[derive(Debug, Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Convert a GGUF file or a Hugging Face folder into an archive.
    ///
    /// Weights are coded without loss, and every code is decoded again before it is written: `extract` gives them back bit
    /// for bit in the types of the source. The archive appears under its name only once it is complete and checked; until
    /// then an existing file of that name stays as it is.
    Convert(Convert),
    /// Turn an archive for one target into one for another, without its source.
    ///
    /// Only the weights' codes change. What comes out is byte for byte what `convert` makes of the source with the same
    /// --target and --codec.
    Repack(Repack),
    /// Put co-access statistics, which `symbiote-run profile` gathers, into an archive of a mixture of experts.
    ///
    /// Statistics that it has are replaced. Segments stay what they are, byte for byte, and each is checked against its SHA-256
    /// on the way. The archive is written anew beside its old self, which stays as it was until that is done: this takes as
    /// much room on the disk.
    Annotate(Annotate),
    /// Show what an archive holds, with --codecs what each codec makes of a model, or with --coaccess which experts texts go
    /// through.
    Inspect(Inspect),
    /// Check every segment of an archive against its SHA-256, and decode it.
    ///
    /// The error names the first corrupt segment, or the tensor and the part that cannot be decoded.
    Verify(Verify),
    /// Write every tensor of an archive into a safetensors file, bit for bit as in the source.
    ///
    /// F32, F16 and BF16 tensors keep their type and shape. Quantised tensors, which safetensors has no types for, become
    /// U8 tensors [rows, bytes a row]; the entry of that tensor's name in `__metadata__` then gives type and shape, as in
    /// {"dtype": "Q4_K", "shape": [4096, 4096]}.
    Extract(Extract),
}

/// How the weights are coded.
#[derive(Debug, Args)]
pub(crate) struct Coding {
    /// What the archive is for: to run (the GPU computes on its bytes as they are), or to ship (as small as it gets; repack
    /// it to run it).
    #[arg(long, default_value = "run", value_parser = target())]
    target: Target,
    /// How to code the weights: auto takes what is smallest for each part of the model; a codec is used wherever it takes the
    /// type and is smaller than raw. To run: raw, p12, p11, f16, bf16. To ship also: zstd, zfp.
    #[arg(long, default_value = "auto", value_parser = choice(), hide_possible_values = true)]
    codec: Choice,
}

impl Coding {
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        Policy::new(self.target, self.codec)
    }
}

/// What is known of a model's experts.
#[derive(Debug, Args)]
pub(crate) struct OfExperts {
    /// How the experts of a layer are to lie in the file: by their numbers, or those that are used together beside each other
    /// [default: by numbers; to annotate: as they lie].
    #[arg(long, value_name = "ORDER", requires = "coaccess", value_parser = order(), hide_possible_values = true)]
    order: Option<ExpertOrder>,
}

impl OfExperts {
    pub fn profile(self, file: PathBuf) -> Profile {
        Profile { file, order: self.order }
    }
}

fn order() -> impl TypedValueParser<Value = ExpertOrder> {
    let order = |name: String| if name == "coaccess" { ExpertOrder::Coaccess } else { ExpertOrder::Number };
    PossibleValuesParser::new(["number", "coaccess"]).map(order)
}

fn target() -> impl TypedValueParser<Value = Target> {
    let target = |name: String| if name == "ship" { Target::Ship } else { Target::Run };
    PossibleValuesParser::new(["run", "ship"]).map(target)
}

fn choice() -> impl TypedValueParser<Value = Choice> {
    let names = Codec::ALL.iter().map(|codec| codec.name());
    let codec = |name: String| Codec::ALL.iter().copied().find(|codec| codec.name() == name);
    PossibleValuesParser::new(["auto"].into_iter().chain(names))
        .map(move |name| codec(name).map_or(Choice::Auto, Choice::Only))
}

/// A picture's path. Its name must say so: with --force a slip of the hand must not replace a model.
fn svg(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("svg"));
    if named { Ok(path) } else { Err("a picture's name must end in .svg".into()) }
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// A GGUF file (of a split model: any of its files), or a folder with config.json and safetensors.
    pub input: PathBuf,
    /// The archive to write [default: the input's name with .pak, in the working directory].
    #[arg(short, long, value_name = "OUT.pak")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub coding: Coding,
    /// Size near which packs, the units that move between disk, RAM and VRAM, are cut, in bytes of the source.
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    pub pack_size: ByteSize,
    /// Put these statistics, which `symbiote-run profile` gathered, into the archive of a mixture of experts.
    #[arg(long, value_name = "FILE.coaccess")]
    pub coaccess: Option<PathBuf>,
    #[command(flatten)]
    pub experts: OfExperts,
    /// Replace an existing output.
    #[arg(long)]
    pub force: bool,
    /// Print what was written as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Repack {
    /// The archive to read.
    pub input: PathBuf,
    /// The archive to write.
    #[arg(short, long, value_name = "OUT.pak")]
    pub output: PathBuf,
    #[command(flatten)]
    pub coding: Coding,
    /// Replace an existing output.
    #[arg(long)]
    pub force: bool,
    /// Print what was written as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Annotate {
    /// The archive.
    pub archive: PathBuf,
    /// The statistics, which `symbiote-run profile` gathered.
    #[arg(long, value_name = "FILE.coaccess")]
    pub coaccess: PathBuf,
    #[command(flatten)]
    pub experts: OfExperts,
    /// The archive to write [default: the archive itself].
    #[arg(short, long, value_name = "OUT.pak")]
    pub output: Option<PathBuf>,
    /// Replace an existing output.
    #[arg(long)]
    pub force: bool,
    /// Print what was written as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("drawn").args(["codecs", "coaccess"]))]
pub(crate) struct Inspect {
    /// The archive; with --codecs also a safetensors or GGUF file, or a folder with safetensors; with --coaccess also a file of
    /// statistics.
    pub file: PathBuf,
    /// Measure every codec on every tensor, beside the entropy of its weights: bits a weight, exceptions, what --target run and
    /// ship would take. Only the weights are read, so that models of any architecture can be measured; every encoding is
    /// decoded again and compared.
    #[arg(long)]
    pub codecs: bool,
    /// Show which experts texts go through: the hottest of each layer, what a cache of experts would hit, bytes of a token cycle.
    #[arg(long)]
    pub coaccess: bool,
    /// Draw that as an SVG picture: codes as bars, or the heat of experts as a map.
    #[arg(long, value_name = "OUT.svg", requires = "drawn", value_parser = svg)]
    pub chart: Option<PathBuf>,
    /// Replace an existing picture.
    #[arg(long, requires = "chart")]
    pub force: bool,
    /// Print it as JSON: without --codecs and --coaccess everything in the index but the vocabulary's tables.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The archive.
    pub archive: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Extract {
    /// The archive.
    pub archive: PathBuf,
    /// The safetensors file to write.
    #[arg(short, long, value_name = "OUT.safetensors")]
    pub output: PathBuf,
    /// Replace an existing output.
    #[arg(long)]
    pub force: bool,
}
