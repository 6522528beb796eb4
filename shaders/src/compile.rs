// GLSL to SPIR-V through glslang. Shared with the build script, so: only `kernels.rs` beside it.

use std::path::{Path, PathBuf};

use glslang::error::GlslangError;
use glslang::include::{IncludeHandler, IncludeResult, IncludeType};
use glslang::{
    Compiler, CompilerOptions, ShaderInput, ShaderMessage, ShaderSource, ShaderStage, SourceLanguage, SpirvVersion,
    Target, VulkanVersion,
};

use crate::kernels::find;

/// Why a kernel was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The table has no such kernel.
    #[error("there is no kernel named {0}")]
    Unknown(String),
    /// The source cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The compiler refused the source.
    #[error("{}: {message}", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// What the compiler says, lines and all.
        message: String,
    },
    /// glslang itself could not be used.
    #[error("the GLSL compiler is not available")]
    NoCompiler,
}

/// Finds `#include "x.glsl"` in the `include` folder beside the kernels.
struct Includes(PathBuf);

impl IncludeHandler for Includes {
    fn include(&mut self, _: IncludeType, header: &str, _: &str, _: usize) -> Option<IncludeResult> {
        // A name, not a path: sources cannot reach outside their folder.
        let plain = !header.contains(['/', '\\']);
        let data = plain.then(|| std::fs::read_to_string(self.0.join(header)).ok())??;
        Some(IncludeResult { name: header.to_owned(), data })
    }
}

/// Compiles kernel variant `name` from the GLSL sources in `dir` to SPIR-V 1.5 words, for Vulkan 1.2.
pub fn compile(name: &str, dir: &Path) -> Result<Vec<u32>, CompileError> {
    let kernel = find(name).ok_or_else(|| CompileError::Unknown(name.to_owned()))?;
    let path = dir.join(kernel.file).with_extension("comp");
    let text = std::fs::read_to_string(&path).map_err(|source| CompileError::Read { path: path.clone(), source })?;
    let compiler = Compiler::acquire().ok_or(CompileError::NoCompiler)?;
    let fail = |e: GlslangError| CompileError::Source { path: path.clone(), message: message(e) };

    // The include extension is glslang's own, so it is turned on here and the files stay plain GLSL.
    let text = text.replacen('\n', "\n#extension GL_GOOGLE_include_directive : require\n#line 2\n", 1);
    let source = ShaderSource::from(text);
    let options = CompilerOptions {
        source_language: SourceLanguage::GLSL,
        target: Target::Vulkan { version: VulkanVersion::Vulkan1_2, spirv_version: SpirvVersion::SPIRV1_5 },
        version_profile: None,
        messages: ShaderMessage::DEFAULT,
    };
    let defines: Vec<(&str, Option<&str>)> = kernel.define.map(|d| (d, Some("1"))).into_iter().collect();
    let mut includes = Includes(dir.join("include"));
    let input = ShaderInput::new(&source, ShaderStage::Compute, &options, Some(&defines), Some(&mut includes));
    let shader = compiler.create_shader(input.map_err(fail)?).map_err(fail)?;
    shader.compile().map_err(fail)
}

fn message(e: GlslangError) -> String {
    match e {
        GlslangError::PreprocessError(log) | GlslangError::ParseError(log) | GlslangError::LinkError(log) => {
            log.log.trim().to_owned()
        }
        other => other.to_string(),
    }
}
