//! Whether cooperative matrices lie in a subgroup's lanes as `matmul_matrix.comp` fills them: Vulkan leaves it to the device, so
//! the device is asked.

use bytemuck::bytes_of;
use symbiote_shaders::MatrixLayoutArgs;

use super::EngineError;
use crate::gpu::{CooperativeMatrix, Gpu, KernelKey, MatrixElement, Memory, ShaderCache};

const SIDE: usize = 16;
/// Lanes of the subgroup that is asked.
const LANES: u32 = 32;
/// Elements of a factor that a lane holds.
const HELD: usize = SIDE * SIDE / LANES as usize;

/// The device multiplies 16x16 matrices of f16 into f32, in subgroups of 32 whose lanes hold the elements that the kernel fills.
pub fn as_expected(gpu: &Gpu, cache: &ShaderCache) -> Result<bool, EngineError> {
    let f16 = (MatrixElement::F16, MatrixElement::F16);
    let wanted = |m: &CooperativeMatrix| {
        [m.m, m.n, m.k] == [16; 3] && m.factors == f16 && m.sum == (MatrixElement::F32, MatrixElement::F32)
    };
    let info = gpu.info();
    if info.subgroup != LANES || !info.features.float16 || !info.cooperative_matrices.iter().any(wanted) {
        return Ok(false);
    }
    Ok(held(gpu, cache)? == expected())
}

/// What the lanes hold of a left and of a right factor whose elements are numbered row by row: `[2][lanes][elements]`.
fn held(gpu: &Gpu, cache: &ShaderCache) -> Result<Vec<f32>, EngineError> {
    let numbered: Vec<u16> = (0..256u16).map(|n| half::f16::from_f32(n.into()).to_bits()).collect();
    // the host's memory, so that not even the smallest cap on the device's decides about kernels
    let source = gpu.buffer("numbered", 512, Memory::Host)?;
    source.write(0, bytemuck::cast_slice(&numbered))?;
    let mut found = vec![-1.0f32; 2 * SIDE * SIDE];
    let target = gpu.buffer("held", size_of_val(&found[..]) as u64, Memory::Host)?;
    target.write(0, bytemuck::cast_slice(&found))?;
    let key = KernelKey { name: "matrix_layout".into(), constants: vec![LANES], subgroup: Some(LANES) };
    let args = MatrixLayoutArgs { numbered: source.address(), held: target.address() };
    let mut recorder = gpu.recorder("matrix layout")?;
    recorder.dispatch(&cache.get(&key)?, bytes_of(&args), [1; 3]);
    gpu.wait(gpu.submit(&recorder.finish()?)?)?;
    target.read(0, bytemuck::cast_slice_mut(&mut found))?;
    Ok(found)
}

/// Element e of lane l is of row l / 4 + 8 (e / 4) and column 2 (l % 4) + 8 (e / 2 % 2) + e % 2 of a left factor; of a right one,
/// the other way around.
fn expected() -> Vec<f32> {
    let number = |i: usize| {
        let (right, lane, e) = (i >= SIDE * SIDE, i / HELD % LANES as usize, i % HELD);
        let (row, column) = (lane / 4 + e / 4 * 8, 2 * (lane % 4) + e / 2 % 2 * 8 + e % 2);
        let n = if right { column * SIDE + row } else { row * SIDE + column };
        u8::try_from(n).map_or(-1.0, f32::from)
    };
    (0..2 * SIDE * SIDE).map(number).collect()
}
