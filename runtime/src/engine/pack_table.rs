//! The two tables through which kernels reach weights: pack to address, and the parts of every operation.

use std::ops::Range;

use symbiote_shaders::PartArgs;

use super::EngineError;
use super::weights::{Product, Weights};
use crate::gpu::{Buffer, Gpu, Memory, Recorder, UPDATE_BYTES};
use crate::residency::Lease;

/// Pack number to device address: `[packs]` u64, brought up to date by the commands that need it.
pub struct PackTable {
    buffer: Buffer,
    addresses: Vec<u64>,
    /// Entries that the device's copy has otherwise.
    changed: Option<Range<usize>>,
}

impl PackTable {
    /// Bytes of a table of `packs` packs.
    pub fn bytes(packs: usize) -> u64 {
        (packs.max(1) * size_of::<u64>()) as u64
    }

    /// A table of `packs` packs that lie nowhere yet.
    pub fn new(gpu: &Gpu, packs: usize) -> Result<Self, EngineError> {
        let buffer = gpu.buffer("pack table", Self::bytes(packs), Memory::Device)?;
        Ok(Self { buffer, addresses: vec![0; packs], changed: None })
    }

    /// Takes over the addresses that `lease` gives.
    pub fn set(&mut self, lease: &Lease) {
        for (pack, address) in lease.packs() {
            if std::mem::replace(&mut self.addresses[pack], address) != address {
                let changed = self.changed.take().unwrap_or(pack..pack);
                self.changed = Some(changed.start.min(pack)..changed.end.max(pack + 1));
            }
        }
    }

    /// Brings the device's copy up to date for what is recorded next.
    pub fn flush(&mut self, r: &mut Recorder) {
        let Some(changed) = self.changed.take() else { return };
        let start = changed.start;
        let pieces = self.addresses[changed].chunks(UPDATE_BYTES / size_of::<u64>());
        for (at, piece) in (start..).step_by(UPDATE_BYTES / size_of::<u64>()).zip(pieces) {
            // what is recorded before may still read
            r.barrier().update(&self.buffer, (at * size_of::<u64>()) as u64, bytemuck::cast_slice(piece)).barrier();
        }
    }

    /// Where kernels find it.
    pub fn address(&self) -> u64 {
        self.buffer.address()
    }
}

/// The parts of every operation, in one buffer.
pub struct PartTables {
    /// Reached by address only.
    _buffer: Buffer,
}

impl PartTables {
    /// Bytes of the tables of `weights`.
    pub fn bytes(weights: &mut Weights) -> u64 {
        let mut parts = 0;
        each_product(weights, &mut |product| parts += product.parts.len());
        (parts * size_of::<PartArgs>()) as u64
    }

    /// Writes the tables of `weights`, whose products learn where theirs is.
    pub fn new(gpu: &Gpu, weights: &mut Weights) -> Result<Self, EngineError> {
        let mut all: Vec<PartArgs> = Vec::new();
        let mut starts = Vec::new();
        each_product(weights, &mut |product| {
            starts.push(all.len());
            all.extend(&product.parts);
        });
        let bytes: &[u8] = bytemuck::cast_slice(&all);
        let buffer = gpu.buffer("part tables", bytes.len() as u64, Memory::Device)?;
        gpu.upload(&buffer, 0, bytes)?;
        let mut starts = starts.into_iter();
        each_product(weights, &mut |product| {
            let start = starts.next().unwrap_or(0); // as many as there are products
            product.table = buffer.address() + (start * size_of::<PartArgs>()) as u64;
        });
        Ok(Self { _buffer: buffer })
    }
}

fn each_product(weights: &mut Weights, f: &mut dyn FnMut(&mut Product)) {
    let layers = weights.layers.iter_mut();
    let layers = layers.flat_map(|l| [&mut l.qkv, &mut l.output.product, &mut l.up, &mut l.down.product]);
    let lookups = [&mut weights.embedding].into_iter().chain(&mut weights.positions);
    for operation in lookups.chain(layers).chain([&mut weights.head]) {
        operation.products.iter_mut().for_each(&mut *f);
    }
}
