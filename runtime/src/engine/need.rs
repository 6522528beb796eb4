//! Device memory that an engine will take, counted before any of it is asked for.

use symbiote_format::ArchivedIndex;

use super::pack_table::{PackTable, PartTables};
use super::state::ActivationSizes;
use super::weights::Weights;
use crate::gpu::{Gpu, Memory};

/// Bytes on the device heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The tables through which kernels find packs; in a refusal, packs and slots too, the fewest that will do.
    pub weights: u64,
    /// Keys and values.
    pub cache: u64,
    /// Activations.
    pub activations: u64,
    /// Bytes of pinned host memory, which is not the device's.
    pub host: u64,
}

impl Need {
    /// What the parts of an engine but the packs will take on `gpu`; `cache` gives the bytes of each layer's keys and values.
    pub fn new(
        gpu: &Gpu,
        index: &ArchivedIndex,
        weights: &mut Weights,
        activations: &ActivationSizes,
        cache: impl Iterator<Item = u64>,
    ) -> Self {
        let device = |len| gpu.device_bytes(len, Memory::Device);
        Self {
            weights: 2 * device(PackTable::bytes(index.packs.len())) + device(PartTables::bytes(weights)),
            cache: cache.map(device).sum(),
            activations: activations.iter().map(|&(_, len, memory)| gpu.device_bytes(len, memory)).sum(),
            host: activations
                .iter()
                .filter(|(_, len, memory)| gpu.device_bytes(*len, *memory) == 0)
                .map(|&(_, len, _)| len)
                .sum(),
        }
    }

    /// All of it that is on the device heap.
    pub fn bytes(&self) -> u64 {
        self.weights + self.cache + self.activations
    }
}
