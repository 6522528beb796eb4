//! On a real device, under the validation layer: lavapipe will do.

mod commands;
mod memory;
mod memory_type;
mod pipeline_cache;
mod shader_cache;
mod staging;

use std::sync::Arc;

use glslang::{Compiler, CompilerOptions, ShaderInput, ShaderSource, ShaderStage, SpirvVersion, Target, VulkanVersion};

use super::{Gpu, GpuOptions, Pipeline, PipelineInfo};

/// What every kernel of these tests starts with.
const HEAD: &str = "#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_shader_explicit_arithmetic_types : require
layout(local_size_x = 64) in;
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Words { uint at[]; };
";

/// c = a + b, and one more for every unit of specialization constant 0.
const ADD: &str = "
layout(constant_id = 0) const uint EXTRA = 0;
layout(push_constant) uniform Push { Words a; Words b; Words c; uint count; };
void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i < count) c.at[i] = a.at[i] + b.at[i] + EXTRA;
}
";

/// The arguments of [`ADD`].
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct AddPush {
    a: u64,
    b: u64,
    c: u64,
    count: u32,
    unused: u32,
}

/// Compiles a kernel.
fn glsl(body: &str) -> Result<Vec<u32>, String> {
    let compiler = Compiler::acquire().ok_or("no compiler")?;
    let source = ShaderSource::from([HEAD, body].concat());
    let target = Target::Vulkan { version: VulkanVersion::Vulkan1_2, spirv_version: SpirvVersion::SPIRV1_5 };
    let options = CompilerOptions { target, ..CompilerOptions::default() };
    let defines: Option<&[(&str, Option<&str>)]> = None;
    let input = ShaderInput::new(&source, ShaderStage::Compute, &options, defines, None);
    let input = input.map_err(|error| error.to_string())?;
    let shader = compiler.create_shader(input).map_err(|error| error.to_string())?;
    shader.compile().map_err(|error| error.to_string())
}

/// Bytes read as words.
fn words_of(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// A device under validation, with its pipeline cache in a folder of its own.
struct Validated {
    gpu: Gpu,
    _folder: tempfile::TempDir,
}

impl Validated {
    fn open(options: GpuOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache_dir = Some(folder.path().to_owned());
        let gpu = Gpu::open(&GpuOptions { validation: true, cache_dir, ..options });
        // A machine without Vulkan fails here, and says what to install.
        Self { gpu: gpu.unwrap_or_else(|error| panic!("{error}")), _folder: folder }
    }

    fn kernel(&self, name: &str, body: &str, constants: &[u32]) -> Arc<Pipeline> {
        let spirv = glsl(body).unwrap();
        self.gpu.pipeline(&PipelineInfo { name, spirv: &spirv, constants, subgroup: None }).unwrap()
    }
}

impl std::ops::Deref for Validated {
    type Target = Gpu;

    fn deref(&self) -> &Gpu {
        &self.gpu
    }
}

impl Drop for Validated {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.gpu.validation_errors(), 0, "{:#?}", self.gpu.validation_messages());
        }
    }
}
