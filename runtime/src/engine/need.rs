//! Device memory that an engine will take, counted before any of it is asked for.

use symbiote_format::ArchivedIndex;

use super::EngineError;
use super::pack_table::{PackTable, PartTables};
use super::state::ActivationSizes;
use super::weights::Weights;
use crate::gpu::{Gpu, Memory};
use crate::memory::NODE;

/// Bytes on the device heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Packs, and the tables through which kernels find them.
    pub weights: u64,
    /// Keys and values.
    pub cache: u64,
    /// Activations.
    pub activations: u64,
}

impl Need {
    /// What the parts of an engine will take on `gpu`; `cache` gives the bytes of each layer's keys and values.
    pub fn new(
        gpu: &Gpu,
        index: &ArchivedIndex,
        weights: &mut Weights,
        activations: &ActivationSizes,
        cache: impl Iterator<Item = u64>,
    ) -> Self {
        let device = |len| gpu.device_bytes(len, Memory::Device);
        let packs: u64 = index.packs.iter().map(|p| p.len.to_native().next_multiple_of(NODE)).sum();
        let tables = device(PackTable::bytes(index.packs.len())) + device(PartTables::bytes(weights));
        Self {
            weights: packs + tables,
            cache: cache.map(device).sum(),
            activations: activations.iter().map(|&(_, len, memory)| gpu.device_bytes(len, memory)).sum(),
        }
    }

    /// All of it.
    pub fn bytes(&self) -> u64 {
        self.weights + self.cache + self.activations
    }

    /// Refuses what `gpu` cannot give.
    pub fn check(&self, gpu: &Gpu, context: u32, capped: bool) -> Result<(), EngineError> {
        let available = gpu.memory_available();
        if self.bytes() <= available {
            return Ok(());
        }
        Err(EngineError::Memory { need: *self, context, available, capped })
    }
}
