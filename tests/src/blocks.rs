//! Random stored weights.

use half::{bf16, f16};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use symbiote_format::Dtype;

/// A stream of random numbers; the same seed gives the same stream.
pub struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normal, mean 0, deviation 1.
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.unit()).cos()) as f32
    }

    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal()).collect()
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }

    /// `rows` rows of `columns` random weights as `dtype` stores them: any bits in the quants, moderate scales.
    pub fn rows(&mut self, dtype: Dtype, rows: usize, columns: usize) -> Vec<u8> {
        let size = dtype.block_bytes() as usize;
        let mut bytes = vec![0; dtype.row_bytes(columns as u64).unwrap() as usize * rows];
        for block in bytes.chunks_exact_mut(size) {
            self.0.fill_bytes(block);
            let scales: &[usize] = match dtype {
                Dtype::F32 => {
                    block.copy_from_slice(&self.normal().to_le_bytes());
                    &[]
                }
                Dtype::Bf16 => {
                    block.copy_from_slice(&bf16::from_f32(self.normal()).to_le_bytes());
                    &[]
                }
                Dtype::F16 | Dtype::Q4_0 | Dtype::Q5_0 | Dtype::Q8_0 => &[0],
                Dtype::Q4_1 | Dtype::Q5_1 | Dtype::Q4K | Dtype::Q5K => &[0, 2],
                Dtype::Q6K => &[208],
            };
            for &at in scales {
                let scale = f16::from_f32(self.normal() * if dtype == Dtype::F16 { 1.0 } else { 0.05 });
                block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
            }
        }
        bytes
    }
}
