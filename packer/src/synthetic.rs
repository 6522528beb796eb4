//! Archives of models that nobody trained, of any shape, for measurements of speed: gaussian weights, or random blocks, made pack
//! by pack on their way into the archive, so that there is never a source.

use std::path::Path;

use symbiote_format::{Dtype, Metadata, ModelConfig, TensorKind};

use crate::architecture::{self, ArchitectureError, Hyperparameters, LayerFlags, Layout};
use crate::archive_writer::{self, record};
use crate::convert::ConvertOptions;
use crate::draft::{Draft, draft};
use crate::error::{At, Error};
use crate::monitor::Monitor;
use crate::origin::Origin;
use crate::outline::Outline;
use crate::output::Output;
use crate::planner::is_vector;
use crate::report::ArchiveReport;
use crate::segments::Segments;
use crate::source::Checkpoint;

/// That of most models before they are trained, and near that of many after it.
const SIGMA: f64 = 0.02;
/// 1.0 in bf16.
const ONE: [u8; 2] = [0x80, 0x3F];
const VALUES: usize = 1 << 16;
/// 1/4096 in f16: the scale, and the minimum, of random blocks.
const BLOCK_SCALE: [u8; 2] = [0x00, 0x0C];

/// Where a block of `dtype` has its f16 scales, for the types that can be made up.
fn scales_of(dtype: Dtype) -> Option<&'static [usize]> {
    match dtype {
        Dtype::Q4_0 | Dtype::Q5_0 | Dtype::Q8_0 => Some(&[0]),
        Dtype::Q4_1 | Dtype::Q5_1 | Dtype::Q4K | Dtype::Q5K => Some(&[0, 2]),
        Dtype::Q6K => Some(&[208]),
        _ => None,
    }
}

/// What made-up matrices are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// All of them so.
    One(Dtype),
    /// As `llama-quantize` mixes `Q4_K_M` for a Llama: Q4_K, but Q6_K for the head, and for the values and the down projection of
    /// half of the layers.
    Q4KM,
}

impl From<Dtype> for Recipe {
    fn from(dtype: Dtype) -> Self {
        Self::One(dtype)
    }
}

impl Recipe {
    /// The type of a matrix; its layer is one of so many.
    fn dtype(self, kind: TensorKind, layer: u32, tied: bool, layers: u32) -> Dtype {
        let Self::Q4KM = self else { return self.most() };
        // the first and the last eighth, and every third between
        let more = || layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
        let fine = match kind {
            TensorKind::Output => true,
            TensorKind::TokenEmbedding => tied,
            TensorKind::Value | TensorKind::FfnDown => more(),
            _ => false,
        };
        if fine { Dtype::Q6K } else { self.most() }
    }

    /// The type of most matrices.
    fn most(self) -> Dtype {
        match self {
            Self::One(dtype) => dtype,
            Self::Q4KM => Dtype::Q4K,
        }
    }
}

/// Writes an archive of a Llama of this shape, without a tokenizer: its matrices gaussian bf16 or random blocks, as `recipe` says,
/// its norms 1. The archive depends on shape and recipe and on the pack size and policy in `options` alone. Every thread asked for
/// is used: each takes as much memory as six packs.
///
/// # Errors
/// The shape is none, or a type is neither bf16 nor among those of blocks with f16 scales.
pub fn synthesize(
    config: &ModelConfig,
    recipe: impl Into<Recipe>,
    output: &Path,
    options: &ConvertOptions,
    monitor: &dyn Monitor,
) -> Result<ArchiveReport, Error> {
    // reading checks the limits, and what one hyperparameter asks of another
    let config = ModelConfig::from_params(config.to_params()).map_err(ArchitectureError::from).at(output)?;
    let name = if config.design.experts.is_some() { "qwen3moe" } else { "llama" };
    let (architecture, _) = architecture::by_gguf_name(name).at(output)?;
    let layout = Layout::HuggingFace;
    let recipe = recipe.into();
    let dtype = recipe.most();
    if scales_of(dtype).is_none() && dtype != Dtype::Bf16 {
        return Err(ArchitectureError::Unsupported {
            key: "the type of made-up weights".into(),
            found: dtype.to_string(),
            expected: "BF16, or blocks with f16 scales".into(),
        })
        .at(output);
    }
    let mixtures = LayerFlags::of(&config, |_| config.design.experts.is_some());
    let model = Hyperparameters { config, mixtures };
    let mut tensors = architecture::required(architecture, layout, &model, dtype);
    let (tied, layers) = (model.config.tied_embeddings, model.config.layer_count);
    for t in &mut tensors {
        let vector = t.stored.shape.len() == 1;
        t.stored.dtype = if vector { Dtype::Bf16 } else { recipe.dtype(t.kind, t.layer, tied, layers) };
    }
    let metadata = vec![Metadata { key: "general.name".into(), value: "synthetic weights".into() }];
    let (files, tokenizer) = (Vec::new(), None);
    let checkpoint = Checkpoint { layout, files, tensors: Vec::new(), architecture, model, tokenizer, metadata };
    let Draft { mut index, index_offset, .. } = draft(&checkpoint, tensors, options.pack_size, output)?;
    index.provenance.source_format = "synthetic".into();

    let outline = Outline::of(&index).at(output)?;
    let norm = is_vector;
    let norms = index.tensors.iter().map(|t| TensorKind::from_code(t.kind).is_some_and(norm)).collect();
    let origin = MadeUp { outline: &outline, norms, values: quantiles() };
    let mut out = Output::create(output, index_offset, options.force)?;
    let (policy, threads, memory) = (options.policy, options.threads, u64::MAX);
    let segments = Segments { outline: &outline, origin: &origin, policy, memory, threads, monitor };
    record(&mut index, &archive_writer::begin(&segments, &mut out)?);
    let report = archive_writer::finish(index, &mut out, monitor)?;
    out.commit()?;
    Ok(report)
}

/// Weights made on demand: each depends on its tensor, row and column alone.
struct MadeUp<'a> {
    outline: &'a Outline,
    /// The tensors that are 1 throughout.
    norms: Vec<bool>,
    /// Little-endian bf16, all equally likely.
    values: Box<[[u8; 2]; VALUES]>,
}

impl Origin for MadeUp<'_> {
    fn fetch(&self, _: usize, _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }

    fn part(&self, part: usize, _: &[u8], raw: &mut [u8]) -> Result<(), Error> {
        let rows = self.outline.parts[part];
        if self.norms[rows.tensor] {
            raw.as_chunks_mut().0.fill(ONE);
            return Ok(());
        }
        let tensor = self.outline.tensor(part);
        let row_len = raw.len() / rows.rows as usize;
        let scales = scales_of(tensor.dtype);
        for (row, raw) in (rows.row..).zip(raw.chunks_exact_mut(row_len)) {
            let seed = splitmix((rows.tensor as u64) << 32 | u64::from(row));
            match scales {
                None => self.fill(seed, raw),
                Some(scales) => fill_blocks(seed, tensor.dtype, scales, raw),
            }
        }
        Ok(())
    }
}

impl MadeUp<'_> {
    /// Writes a row: every number that the generator draws gives four weights, the last of a row perhaps fewer.
    fn fill(&self, seed: u64, row: &mut [u8]) {
        let (fours, rest) = row.as_chunks_mut::<8>();
        let mut state = seed;
        for four in fours {
            *four = self.draw(state);
            state = state.wrapping_add(GOLDEN);
        }
        let last = self.draw(state);
        rest.copy_from_slice(&last[..rest.len()]);
    }

    fn draw(&self, state: u64) -> [u8; 8] {
        let b = splitmix(state).to_le_bytes();
        let value = |low, high| self.values[usize::from(u16::from_le_bytes([low, high]))];
        let ([a0, a1], [b0, b1]) = (value(b[0], b[1]), value(b[2], b[3]));
        let ([c0, c1], [d0, d1]) = (value(b[4], b[5]), value(b[6], b[7]));
        [a0, a1, b0, b1, c0, c1, d0, d1]
    }
}

/// Writes a row of blocks: any bits, small scales, at `scales` of each.
fn fill_blocks(seed: u64, dtype: Dtype, scales: &[usize], row: &mut [u8]) {
    let mut state = seed;
    for eight in row.chunks_mut(8) {
        eight.copy_from_slice(&splitmix(state).to_le_bytes()[..eight.len()]);
        state = state.wrapping_add(GOLDEN);
    }
    for block in row.chunks_exact_mut(dtype.block_bytes() as usize) {
        scales.iter().for_each(|&at| block[at..at + 2].copy_from_slice(&BLOCK_SCALE));
    }
}

/// The step of SplitMix64: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64 (Steele, Lea and Flood, 2014): what it draws in this state.
fn splitmix(state: u64) -> u64 {
    let z = state.wrapping_add(GOLDEN);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// The gaussian's quantiles in the middle of each of the table's equal shares, found by adding up its density.
fn quantiles() -> Box<[[u8; 2]; VALUES]> {
    const STEP: f64 = 1e-3;
    const SHARE: f64 = 1.0 / VALUES as f64;
    let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let mut table = Box::new([[0; 2]; VALUES]);
    let (mut x, mut below) = (0.0, 0.0);
    for i in 0..VALUES / 2 {
        let wanted = (i as f64 + 0.5) * SHARE;
        let mut slice = STEP * density(x + STEP / 2.0);
        while below + slice < wanted {
            (x, below) = (x + STEP, below + slice);
            slice = STEP * density(x + STEP / 2.0);
        }
        let value = SIGMA * (x + STEP * (wanted - below) / slice);
        (table[VALUES / 2 + i], table[VALUES / 2 - 1 - i]) = (bf16(value), bf16(-value));
    }
    table
}

/// The nearest bf16 but for ties, which do not matter here.
fn bf16(value: f64) -> [u8; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "rounds")]
    let [_, _, low, high] = ((value as f32).to_bits() + 0x8000).to_le_bytes();
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_gaussian() {
        let table = quantiles();
        let value = |b: [u8; 2]| f64::from(f32::from_le_bytes([0, 0, b[0], b[1]])) / SIGMA;
        assert!(table.windows(2).all(|w| value(w[0]) <= value(w[1])), "quantiles rise");
        // scipy.stats.norm.ppf((i + 0.5) / 65536)
        for (i, expected) in [(32768, 1.9124e-5), (49152, 0.674_514), (62258, 1.644_80), (65535, 4.325_38)] {
            assert!((value(table[i]) / expected - 1.0).abs() < 5e-3, "{i}: {} {expected}", value(table[i]));
        }
        let outline = Outline::default();
        let origin = MadeUp { outline: &outline, norms: Vec::new(), values: table };
        let mut row = vec![0; 200_002];
        origin.fill(7, &mut row);
        let drawn: Vec<f64> = row.as_chunks().0.iter().map(|b| value(*b)).collect();
        let moment = |power| drawn.iter().map(|x| x.powi(power)).sum::<f64>() / drawn.len() as f64;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.02 && (moment(4) - 3.0).abs() < 0.15);
        let next: f64 = drawn.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / drawn.len() as f64;
        assert!(next.abs() < 0.02, "neighbours have nothing to do with each other: {next}");
    }
}
