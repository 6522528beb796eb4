//! Models larger than the memory that they may have: faults, Ctrl-C and caps while packs come from disk.

mod bench;
mod caps;
mod changes;
mod group;
mod interrupt;
mod plan;
mod program;

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use symbiote_format::{Codec, Design, Dtype, ModelConfig, RopeLayout, RopeScaling};
use symbiote_packer::{Choice, ConvertOptions, Policy, Target, synthesize};
use symbiote_tests::program::{RUN, refused};

const MIB: u64 = 1 << 20;

/// Rates of wires that nobody has to measure then.
const WIRES: [&str; 6] = ["--disk-gbps", "1", "--link-gbps", "10", "--vram-gbps", "20"];

/// Cuts the file off in the middle.
fn truncate(pak: &Path) {
    let file = OpenOptions::new().write(true).open(pak).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

/// Changes a low bit in every eighth byte of the packs, in place: weights stay weights, of another model.
fn overwrite(pak: &Path) {
    let mut bytes = std::fs::read(pak).unwrap();
    let segments = 4096..bytes.len() / 2;
    bytes[segments].iter_mut().step_by(8).for_each(|byte| *byte ^= 1);
    OpenOptions::new().write(true).open(pak).unwrap().write_all_at(&bytes, 0).unwrap();
}

/// Puts another file in its place, as writers of archives do.
fn replace(pak: &Path) {
    let other = pak.with_extension("other");
    File::create(&other).unwrap().write_all_at(b"no archive", 0).unwrap();
    std::fs::rename(other, pak).unwrap();
}

fn delete(pak: &Path) {
    std::fs::remove_file(pak).unwrap();
}

/// A Llama without a tokenizer, in p12.
fn synthetic(pak: &Path, hidden: u32, layers: u32, pack_size: u64) {
    let config = ModelConfig {
        vocab_size: 8192,
        context_length: 256,
        hidden_size: hidden,
        layer_count: layers,
        head_count: hidden / 64,
        kv_head_count: hidden / 256,
        head_dim: 64,
        ffn_size: hidden * 4,
        norm_eps: 1e-5,
        tied_embeddings: false,
        rope_base: 500_000.0,
        rope_dims: 64,
        rope_layout: RopeLayout::Halves,
        rope_scaling: RopeScaling::None,
        design: Design::default(),
    };
    let policy = Policy::new(Target::Run, Choice::Only(Codec::P12)).unwrap();
    let options = ConvertOptions { pack_size, policy, force: true, ..ConvertOptions::default() };
    synthesize(&config, Dtype::Bf16, pak, &options, &()).unwrap();
}

/// The MiB of device memory, or of RAM, that a refusal asks for.
fn asked_for<A: AsRef<OsStr>>(folder: &Path, args: &[A], of: &str) -> u64 {
    let said = refused(RUN, folder, args, &[&format!(" of {of} are needed"), "allowed: raise --"]);
    let before = said.split(&format!(" MiB of {of}")).next().unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// The least `--vram` that the program accepts for `pak`.
fn least_vram(pak: &Path, args: &[&str]) -> String {
    let args = [args, &["--vram", "1B"]].concat();
    format!("{}MiB", asked_for(Path::new("."), &with(pak, &args), "device memory"))
}

/// Arguments behind a path.
fn with<'a>(pak: &'a Path, args: &[&'a str]) -> Vec<&'a OsStr> {
    [pak.as_os_str()].into_iter().chain(args.iter().map(|arg| OsStr::new(*arg))).collect()
}

/// A file in `folder`.
fn at(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}
