//! The GPU kernels: GLSL sources, the table of their variants, and the structs that they share with Rust.
//!
//! The build script compiles every entry of [`KERNELS`] with glslang, so a kernel that does not compile fails the build,
//! and embeds the SPIR-V. [`compile`] does the same at run time from a folder, for hot reload.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod args;
mod compile;
mod kernels;

pub use args::{
    ActivateArgs, AddArgs, AttentionArgs, AttentionMergeArgs, AttentionTokenArgs, CapArgs, CombineArgs, EmbedArgs,
    GatherArgs, HeadsArgs, LatentHeadsArgs, LatentKeysArgs, MatmulArgs, MatrixLayoutArgs, NormArgs, PartArgs,
    RouteArgs, ScaleArgs, SplitArgs, VectorArgs,
};
pub use compile::{CompileError, compile};
pub use kernels::{DTYPES, KERNELS, Kernel, find};

include!(concat!(env!("OUT_DIR"), "/spirv.rs"));

/// The embedded SPIR-V of a kernel, in 32-bit words.
pub fn spirv(kernel: &str) -> Option<&'static [u32]> {
    SPIRV.binary_search_by_key(&kernel, |(name, _)| name).ok().map(|i| SPIRV[i].1)
}

/// The GLSL sources as they were built in: path below the shader folder, text.
pub fn sources() -> &'static [(&'static str, &'static str)] {
    SOURCES
}
