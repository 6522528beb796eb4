//! Runs one kernel at a time on a device, for the kernel suites and benches.

use std::sync::Arc;

use symbiote_format::Dtype;
use symbiote_runtime::gpu::{Buffer, Gpu, Memory, Pipeline, PipelineInfo};
use symbiote_shaders::{MatmulArgs, PartArgs};

/// A device with validation on, or not where figures are taken.
pub struct KernelRig {
    pub gpu: Gpu,
}

impl KernelRig {
    /// The NaN that outputs are filled with before a kernel runs, to catch what it leaves unwritten.
    pub const POISON: u32 = 0x7FC0_DEAD;

    pub fn kernel(&self, name: &str, constants: &[u32], subgroup: Option<u32>) -> Arc<Pipeline> {
        let spirv = symbiote_shaders::spirv(name).unwrap_or_else(|| panic!("no kernel {name}"));
        self.gpu.pipeline(&PipelineInfo { name, spirv, constants, subgroup }).unwrap()
    }

    /// A device buffer with these contents.
    pub fn upload<T: bytemuck::Pod>(&self, name: &str, values: &[T]) -> Buffer {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let buffer = self.gpu.buffer(name, bytes.len().max(4) as u64, Memory::Device).unwrap();
        self.gpu.upload(&buffer, 0, bytes).unwrap();
        buffer
    }

    /// A device buffer of `n` poisoned f32.
    pub fn poisoned(&self, name: &str, n: usize) -> Buffer {
        self.upload(name, &vec![Self::POISON; n])
    }

    pub fn download(&self, buffer: &Buffer) -> Vec<f32> {
        let mut bytes = vec![0; buffer.len() as usize];
        self.gpu.download(buffer, 0, &mut bytes).unwrap();
        bytemuck::cast_slice(&bytes).to_vec()
    }

    pub fn run<T: bytemuck::Pod>(&self, kernel: &Arc<Pipeline>, args: &T, groups: [u32; 3]) {
        let mut r = self.gpu.recorder("test").unwrap();
        r.dispatch(kernel, bytemuck::bytes_of(args), groups);
        let ticket = self.gpu.submit(&r.finish().unwrap()).unwrap();
        self.gpu.wait(ticket).unwrap();
    }
}

/// A matrix on the device, cut into parts over several packs, ready to be multiplied.
pub struct DeviceMatrix {
    pub dtype: Dtype,
    pub rows: usize,
    pub columns: usize,
    pub parts: Vec<PartArgs>,
    pub tiles: u32,
    packs: Buffer,
    table: Buffer,
    _weights: Vec<Buffer>,
}

impl DeviceMatrix {
    /// `cuts` are the row counts of the parts; each lies in a pack of its own, `lead` bytes from its start.
    pub fn new(rig: &KernelRig, dtype: Dtype, columns: usize, bytes: &[u8], cuts: &[usize], lead: usize, tile: u32) -> Self {
        let row_bytes = dtype.row_bytes(columns as u64).unwrap() as usize;
        let (mut weights, mut addresses, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut row, mut tiles) = (0, 0);
        for (pack, &rows) in (0u32..).zip(cuts) {
            let mut segment = vec![0xAAu8; lead];
            segment.extend_from_slice(&bytes[row * row_bytes..][..rows * row_bytes]);
            let buffer = rig.upload("pack", &segment);
            addresses.push(buffer.address());
            weights.push(buffer);
            parts.push(PartArgs {
                pack,
                offset: lead as u32,
                rows: rows as u32,
                first_row: row as u32,
                first_tile: tiles,
            });
            tiles += (rows as u32).div_ceil(tile);
            row += rows;
        }
        let (packs, table) = (rig.upload("packs", &addresses), rig.upload("parts", &parts));
        Self { dtype, rows: row, columns, parts, tiles, packs, table, _weights: weights }
    }

    pub fn args(&self, x: &Buffer, y: &Buffer, tokens: usize) -> MatmulArgs {
        MatmulArgs {
            packs: self.packs.address(),
            parts: self.table.address(),
            x: x.address(),
            y: y.address(),
            part_count: self.parts.len() as u32,
            columns: self.columns as u32,
            tokens: tokens as u32,
            x_stride: self.columns.next_multiple_of(4) as u32,
            y_stride: self.rows.next_multiple_of(4) as u32,
            pad: 0,
        }
    }
}
