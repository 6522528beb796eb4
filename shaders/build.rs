//! Compiles every kernel variant to SPIR-V and writes the table that `lib.rs` includes.
#![allow(dead_code)] // the shared modules offer more than a build script needs

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "src/compile.rs"]
mod compile;
#[path = "src/kernels.rs"]
mod kernels;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=glsl");
    println!("cargo::rerun-if-changed=src/kernels.rs");
    println!("cargo::rerun-if-changed=src/compile.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let glsl = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("glsl");

    let mut names: Vec<&str> = kernels::KERNELS.iter().copied().flatten().map(|k| k.name).collect();
    names.sort_unstable();
    let mut table = "static SPIRV: &[(&str, &[u32])] = &[\n".to_owned();
    for name in names {
        let words = compile::compile(name, &glsl)?;
        fs::write(out.join(format!("{name}.spv")), words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>())?;
        writeln!(table, "    ({name:?}, &{words:?}),")?;
    }
    table += "];\n\nstatic SOURCES: &[(&str, &str)] = &[\n";
    for path in sources(&glsl)? {
        writeln!(table, "    ({:?}, include_str!({:?})),", path.strip_prefix(&glsl)?, path)?;
    }
    table += "];\n";
    fs::write(out.join("spirv.rs"), table)?;
    Ok(())
}

fn sources(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(sources(&path)?) } else { found.push(path) }
    }
    found.sort_unstable();
    Ok(found)
}
