//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use symbiote_format::ByteSize;

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
    /// Weights are kept bit for bit in the types of the source: `extract` gives them back. The archive appears under its
    /// name only once it is complete and checked; until then an existing file of that name stays as it is.
    Convert(Convert),
    /// Show what an archive holds.
    Inspect(Inspect),
    /// Check every segment of an archive against its SHA-256.
    ///
    /// The error names the first corrupt segment.
    Verify(Verify),
    /// Write every tensor of an archive into a safetensors file, bit for bit as in the source.
    ///
    /// F32, F16 and BF16 tensors keep their type and shape. Quantised tensors, which safetensors has no types for, become
    /// U8 tensors [rows, bytes a row]; the entry of that tensor's name in `__metadata__` then gives type and shape, as in
    /// {"dtype": "Q4_K", "shape": [4096, 4096]}.
    Extract(Extract),
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// A GGUF file (of a split model: any of its files), or a folder with config.json and safetensors.
    pub input: PathBuf,
    /// The archive to write [default: the input's name with .pak, in the working directory].
    #[arg(short, long, value_name = "OUT.pak")]
    pub output: Option<PathBuf>,
    /// Size near which packs, the units that move between disk, RAM and VRAM, are cut.
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    pub pack_size: ByteSize,
    /// Replace an existing output.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The archive.
    pub archive: PathBuf,
    /// Print everything in the index but the vocabulary's tables, as JSON.
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
