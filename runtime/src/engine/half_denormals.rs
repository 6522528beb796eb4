//! Whether f16 numbers below the normal ones survive their way to f32, as `quant.glsl` needs: Vulkan leaves it to the device, so the
//! device is asked.

use bytemuck::bytes_of;

use super::EngineError;
use crate::gpu::{DeviceKind, Gpu, KernelKey, Memory, ShaderCache};

/// As many as there are, 0 among them.
const NUMBERS: u16 = 1024;
const LOCAL: u32 = 64;

/// All of them do, in both halves of a word. A CPU is not asked: it has no use for the answer.
pub fn are_kept(gpu: &Gpu, cache: &ShaderCache) -> Result<bool, EngineError> {
    if gpu.info().kind == DeviceKind::Cpu {
        return Ok(false);
    }
    let mut read = vec![-1.0f32; 2 * usize::from(NUMBERS)];
    // the host's memory, so that not even the smallest cap on the device's decides about kernels
    let target = gpu.buffer("denormals", size_of_val(&read[..]) as u64, Memory::Host)?;
    target.write(0, bytemuck::cast_slice(&read))?;
    let key = KernelKey { name: "half_denormals".into(), constants: vec![LOCAL], subgroup: None };
    let mut recorder = gpu.recorder("denormals")?;
    recorder.dispatch(&cache.get(&key)?, bytes_of(&target.address()), [u32::from(NUMBERS) / LOCAL, 1, 1]);
    gpu.wait(gpu.submit(&recorder.finish()?)?)?;
    target.read(0, bytemuck::cast_slice_mut(&mut read))?;
    let expected = (0..NUMBERS).flat_map(|bits| [half::f16::from_bits(bits).to_f32(); 2]);
    Ok(read.into_iter().eq(expected))
}
