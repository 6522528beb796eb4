//! Runs a `.pak` archive in Vulkan compute shaders.
//!
//! | module | what |
//! |---|---|
//! | [`pak`] | the archive, memory-mapped, and read in the background |
//! | [`gpu`] | Vulkan: devices, memory, pipelines, submission; all `ash` and nearly all `unsafe` live here |
//! | [`memory`] | where a pack lies in a block of memory; no Vulkan |
//! | [`residency`] | which pack is where, and for how long; no Vulkan |
//! | [`trace`] | recorded routes of mixtures of experts, and what a cache would have done |
//! | [`text`] | tokenizer and chat template |
//! | [`coaccess`] | which experts texts go through; no Vulkan |
//! | [`engine`] | load, forward pass, KV cache, sampler |
#![deny(missing_docs)]

pub mod coaccess;
pub mod engine;
pub mod gpu;
pub mod memory;
pub mod pak;
pub mod residency;
pub mod text;
pub mod trace;
