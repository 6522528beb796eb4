//! The two tables through which kernels reach weights: pack to address, and the parts of every operation.

use std::collections::HashMap;
use std::ops::Range;

use symbiote_format::{Dtype, dequant};

use super::EngineError;
use super::weights::{Form, Layer, Product, Weights};
use crate::gpu::{Buffer, Gpu, Memory, Recorder, UPDATE_BYTES};
use crate::residency::Lease;

/// Pack number to device address: `[packs]` u64, brought up to date by the commands that need it.
pub struct PackTable {
    buffer: Buffer,
    addresses: Vec<u64>,
    /// True for packs whose address is known since packs last moved.
    known: Vec<bool>,
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
        Ok(Self { buffer, addresses: vec![0; packs], known: vec![false; packs], changed: None })
    }

    /// Takes over the addresses that `lease` gives.
    pub fn set(&mut self, lease: &Lease) {
        for (pack, address) in lease.packs() {
            self.known[pack] = true;
            if std::mem::replace(&mut self.addresses[pack], address) != address {
                let changed = self.changed.take().unwrap_or(pack..pack);
                self.changed = Some(changed.start.min(pack)..changed.end.max(pack + 1));
            }
        }
    }

    /// True for a pack that was leased since packs last moved.
    pub fn knows(&self, pack: usize) -> bool {
        self.known[pack]
    }

    /// Packs have moved.
    pub fn forget(&mut self) {
        self.known.fill(false);
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

/// The parts of every operation, the grids of stored types and the tables of scales, in one buffer.
pub struct PartTables {
    /// Reached by address only.
    _buffer: Buffer,
}

impl PartTables {
    /// Bytes of the tables of `weights`.
    pub fn bytes(weights: &mut Weights) -> u64 {
        tables(weights).0.len() as u64
    }

    /// Writes the tables of `weights`, whose products learn where theirs are.
    pub fn new(gpu: &Gpu, weights: &mut Weights) -> Result<Self, EngineError> {
        let (bytes, places) = tables(weights);
        let buffer = gpu.buffer("part tables", bytes.len() as u64, Memory::Device)?;
        gpu.upload(&buffer, 0, &bytes)?;
        let mut places = places.into_iter();
        each_product(weights, &mut |product| {
            let (table, grid) = places.next().unwrap_or_default(); // as many as there are products
            product.table = buffer.address() + table;
            product.grid = grid.map_or(0, |grid| buffer.address() + grid);
        });
        Ok(Self { _buffer: buffer })
    }
}

/// The bytes of all tables, and of each product where in them its parts are, and its grid or its scales.
fn tables(weights: &mut Weights) -> (Vec<u8>, Vec<(u64, Option<u64>)>) {
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    let mut grids: HashMap<Dtype, u64> = HashMap::new();
    each_product(weights, &mut |product| {
        let grid = match product.form {
            Form::Plain(dtype) => dequant::grid(dtype).map(|points| {
                *grids.entry(dtype).or_insert_with(|| {
                    let at = bytes.len() as u64;
                    bytes.extend_from_slice(bytemuck::cast_slice(points));
                    at
                })
            }),
            Form::Scaled { .. } => {
                let at = bytes.len() as u64;
                bytes.extend_from_slice(bytemuck::bytes_of(&product.scales.each));
                bytes.extend_from_slice(bytemuck::cast_slice(&product.scales.records));
                Some(at)
            }
            _ => None,
        };
        places.push((bytes.len() as u64, grid));
        bytes.extend_from_slice(bytemuck::cast_slice(&product.parts));
    });
    (bytes, places)
}

fn each_product(weights: &mut Weights, f: &mut dyn FnMut(&mut Product)) {
    for operation in [&mut weights.embedding].into_iter().chain(&mut weights.positions) {
        operation.products.iter_mut().for_each(&mut *f);
    }
    weights.layers.iter_mut().flat_map(Layer::products_mut).for_each(&mut *f);
    weights.head.products.iter_mut().for_each(f);
}
