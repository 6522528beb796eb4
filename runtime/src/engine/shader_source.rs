//! Where kernels come from: crate `symbiote-shaders`.

use std::path::Path;

use crate::gpu::ShaderSource;

/// The kernels built in, and the compiler for those in a folder.
pub struct BuiltIn;

impl ShaderSource for BuiltIn {
    fn spirv(&self, name: &str) -> Option<&[u32]> {
        symbiote_shaders::spirv(name)
    }

    fn compile(&self, name: &str, folder: &Path) -> Result<Vec<u32>, String> {
        symbiote_shaders::compile(name, folder).map_err(|e| e.to_string())
    }
}
