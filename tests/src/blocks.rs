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
        let mut bytes = vec![0; dtype.row_bytes(columns as u64).unwrap() as usize * rows];
        self.fill(dtype, &mut bytes, Scales::Normal, None);
        bytes
    }

    /// Like [`Self::rows`], but in turn the rows have all kinds of scales and of quants: any, and the least and the greatest
    /// as unsigned and as signed numbers. A row is of one kind, so that no weight hides the errors of others.
    pub fn extreme_rows(&mut self, dtype: Dtype, rows: usize, columns: usize) -> Vec<u8> {
        const QUANTS: [Option<u8>; 6] = [None, Some(0xFF), Some(0), Some(0x80), None, Some(0x7F)];
        let row_bytes = dtype.row_bytes(columns as u64).unwrap() as usize;
        let mut bytes = vec![0; row_bytes * rows];
        for (r, row) in bytes.chunks_exact_mut(row_bytes).enumerate() {
            self.fill(dtype, row, Scales::ALL[r % Scales::ALL.len()], QUANTS[r % QUANTS.len()]);
        }
        bytes
    }

    /// Fills blocks; the quants are copies of a byte, or any.
    fn fill(&mut self, dtype: Dtype, bytes: &mut [u8], scales: Scales, quants: Option<u8>) {
        let places: &[usize] = match dtype {
            Dtype::Q4_1 | Dtype::Q5_1 | Dtype::Q4K | Dtype::Q5K => &[0, 2],
            Dtype::Q2K => &[80, 82],
            Dtype::Q3K => &[108],
            Dtype::Q6K => &[208],
            Dtype::Tq1_0 => &[52],
            Dtype::Tq2_0 => &[64],
            _ => &[0],
        };
        for block in bytes.chunks_exact_mut(dtype.block_bytes() as usize) {
            match quants {
                Some(byte) => block.fill(byte),
                None => self.0.fill_bytes(block),
            }
            for &at in places {
                let scale = self.scale(scales);
                let half = f16::from_f32(scale).to_le_bytes();
                match dtype {
                    // no NaN
                    Dtype::F8E4M3 | Dtype::F8E5M2 => block[0] &= 0xBF,
                    Dtype::F32 => block.copy_from_slice(&scale.to_le_bytes()),
                    Dtype::Bf16 => block.copy_from_slice(&bf16::from_f32(scale).to_le_bytes()),
                    // the power of two next to it; kernels need not know f32 below the normal numbers
                    Dtype::Mxfp4 => block[0] = ((scale.to_bits() >> 23 & 0xFF) as u8).max(64),
                    // a nibble in each of the last four words
                    Dtype::Iq1M => {
                        for (i, nibble) in
                            [half[0] & 15, half[0] >> 4, half[1] & 15, half[1] >> 4].into_iter().enumerate()
                        {
                            block[49 + 2 * i] = block[49 + 2 * i] & 15 | nibble << 4;
                        }
                    }
                    _ => block[at..at + 2].copy_from_slice(&half),
                }
            }
        }
    }

    fn scale(&mut self, scales: Scales) -> f32 {
        match scales {
            Scales::Normal => self.normal() * 0.05,
            Scales::Zero => 0.0,
            Scales::Negative => -(self.normal() * 0.05).abs(),
            Scales::Denormal => f16::from_bits(1 + self.below(0x3FF) as u16).to_f32(),
            Scales::Large => f16::MAX.to_f32() * (2.0 * self.unit() - 1.0) as f32,
        }
    }
}

/// Scales of the blocks of a row; of a plain type, its elements.
#[derive(Clone, Copy)]
enum Scales {
    Normal,
    Zero,
    Negative,
    /// Below the normal numbers of f16.
    Denormal,
    /// Up to the greatest f16.
    Large,
}

impl Scales {
    const ALL: [Self; 5] = [Self::Normal, Self::Zero, Self::Negative, Self::Denormal, Self::Large];
}
