//! Vulkan: devices, memory, pipelines and submission. All use of `ash` and VMA, and nearly all `unsafe`, is here.
//!
//! Kernels have no descriptors. A buffer is reached by its [address](Buffer::address), which is passed in at most
//! [`PUSH_BYTES`] of push constants, so one pipeline layout serves every kernel and memory can move between two passes.
//!
//! | file | what |
//! |---|---|
//! | `context` | [`Gpu`]: an open device; submission, waiting |
//! | `instance`, `physical_device`, `features`, `cooperative_matrix`, `logical_device` | loader, validation, the choice of a device, its features |
//! | `memory_type`, `device_memory`, `buffer` | where memory comes from, its account and cap, [`Buffer`] |
//! | `staging` | [`Gpu::upload`], [`Gpu::download`] |
//! | `pipeline`, `pipeline_cache` | [`Pipeline`], and the driver's compiled code on disk |
//! | `shader_cache` | [`ShaderCache`]: pipelines by kernel, made on first use, swapped when their source changes |
//! | `queue`, `commands`, `timestamps` | [`Ticket`], [`Recorder`], [`Commands`], [`Timestamps`] |
//! | `error` | [`GpuError`] |

mod buffer;
mod commands;
mod context;
mod cooperative_matrix;
mod device_memory;
mod error;
mod features;
mod instance;
mod logical_device;
mod memory_type;
mod physical_device;
mod pipeline;
mod pipeline_cache;
mod queue;
mod shader_cache;
mod staging;
mod timestamps;

#[cfg(test)]
mod tests;

pub use buffer::Buffer;
pub use commands::{Commands, Recorder, UPDATE_BYTES};
pub use context::{Gpu, GpuOptions};
pub use cooperative_matrix::{CooperativeMatrix, MatrixElement};
pub use device_memory::MemoryUsed;
pub use error::GpuError;
pub use features::Features;
pub use logical_device::PUSH_BYTES;
pub use memory_type::Memory;
pub use physical_device::{DeviceInfo, DeviceKind};
pub use pipeline::{Pipeline, PipelineInfo};
pub use queue::{QueueKind, Ticket};
pub use shader_cache::{KernelKey, ReloadReport, ShaderCache, ShaderSource};
pub use timestamps::Timestamps;
