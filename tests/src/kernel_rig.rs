//! Runs one kernel at a time on a device, for the kernel suites and benches.

use std::path::Path;
use std::sync::Arc;

use half::f16;
use symbiote_format::{Codec, Dtype, codec::Shape};
use symbiote_runtime::gpu::{Buffer, Gpu, GpuOptions, Memory, Pipeline, PipelineInfo};
use symbiote_shaders::{MatmulArgs, MatrixLayoutArgs, PartArgs, ScaleArgs, SplitArgs, VectorArgs};

/// A device with validation on, or not where figures are taken.
pub struct KernelRig {
    pub gpu: Gpu,
}

impl KernelRig {
    /// The NaN that outputs are filled with before a kernel runs, and the padding of inputs. It is a signalling one, so that
    /// arithmetic on it gives another: what stays as it was has not been written.
    pub const POISON: u32 = 0x7F80_DEAD;
    /// The same for f16, twice: both halves are such a NaN.
    pub const POISON_F16: u32 = 0x7CAD_7CAD;

    /// The best device of this machine, without validation: its layer switches off what is newer than itself.
    pub fn open_unchecked() -> Self {
        Self { gpu: Gpu::open(&GpuOptions::default()).unwrap() }
    }

    /// What `matrix_layout.comp` finds.
    pub fn matrix_layout(&self) -> Vec<f32> {
        let numbered: Vec<f16> = (0..256u16).map(|i| f16::from_f32(f32::from(i))).collect();
        let (numbered, held) = (self.upload("numbered", &numbered), self.poisoned("held", 512));
        let args = MatrixLayoutArgs { numbered: numbered.address(), held: held.address() };
        self.run(&self.kernel("matrix_layout", &[32], Some(32)), &args, [1; 3]);
        self.download(&held)
    }

    /// `split` with workgroups as large as the device has them, up to 1024.
    pub fn split_kernel(&self) -> Arc<Pipeline> {
        let info = self.gpu.info();
        let local = info.max_workgroup_invocations.min(1024);
        self.kernel("split", &[local, u32::from(local > info.subgroup)], Some(info.subgroup))
    }

    /// x for the matrix kernels: the arguments are completed with what is returned.
    pub fn split(&self, args: &mut MatmulArgs) -> Buffer {
        let groups = args.tokens.div_ceil(8);
        let halves = self.poisoned("halves", (groups * (args.columns.div_ceil(128) * 1024 + 8)) as usize);
        args.halves = halves.address();
        let split = self.split_kernel();
        self.run(&split, &split_args(args), [8, groups, 1]);
        halves
    }

    /// The best device of this machine, under validation.
    pub fn open() -> Self {
        Self { gpu: Gpu::open(&GpuOptions { validation: true, ..GpuOptions::default() }).unwrap() }
    }

    /// Ends a test: validation must have had nothing to say.
    pub fn finish(self) {
        assert_eq!(self.gpu.validation_errors(), 0, "{:#?}", self.gpu.validation_messages());
    }

    /// Every subgroup size that a kernel may ask this device for.
    pub fn subgroups(&self) -> Vec<u32> {
        let info = self.gpu.info();
        if !info.features.subgroup_size_control {
            return vec![info.subgroup];
        }
        let (min, max) = info.subgroup_range;
        (0..u32::BITS).map(|bit| 1 << bit).filter(|size| (min..=max).contains(size)).collect()
    }

    pub fn kernel(&self, name: &str, constants: &[u32], subgroup: Option<u32>) -> Arc<Pipeline> {
        let spirv = symbiote_shaders::spirv(name).unwrap_or_else(|| panic!("no kernel {name}"));
        self.gpu.pipeline(&PipelineInfo { name, spirv, constants, subgroup }).unwrap()
    }

    /// The same from the GLSL sources in `folder`.
    pub fn kernel_in(&self, folder: &Path, name: &str, constants: &[u32], subgroup: Option<u32>) -> Arc<Pipeline> {
        let spirv = symbiote_shaders::compile(name, folder).unwrap_or_else(|e| panic!("{e}"));
        self.gpu.pipeline(&PipelineInfo { name, spirv: &spirv, constants, subgroup }).unwrap()
    }

    /// A device buffer with these contents.
    pub fn upload<T: bytemuck::Pod>(&self, name: &str, values: &[T]) -> Buffer {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let buffer = self.gpu.buffer(name, bytes.len().max(4) as u64, Memory::Device).unwrap();
        self.gpu.upload(&buffer, 0, bytes).unwrap();
        buffer
    }

    /// A device buffer of `rows` rows of `stride` f32 that start with the rows of `values`, `width` long. The rest is poison.
    pub fn upload_rows(&self, name: &str, values: &[f32], width: usize, stride: usize, rows: usize) -> Buffer {
        let mut words = vec![Self::POISON; rows * stride];
        for (to, from) in words.chunks_exact_mut(stride).zip(values.chunks_exact(width)) {
            to[..width].copy_from_slice(bytemuck::cast_slice(from));
        }
        self.upload(name, &words)
    }

    /// A device buffer of `n` poisoned f32.
    pub fn poisoned(&self, name: &str, n: usize) -> Buffer {
        self.upload(name, &vec![Self::POISON; n])
    }

    pub fn download(&self, buffer: &Buffer) -> Vec<f32> {
        self.words(buffer).into_iter().map(f32::from_bits).collect()
    }

    /// The f32 elements of a buffer; none where it is still poison.
    pub fn elements(&self, buffer: &Buffer) -> Vec<Option<f64>> {
        let element = |word| (word != Self::POISON).then_some(f64::from(f32::from_bits(word)));
        self.words(buffer).into_iter().map(element).collect()
    }

    /// The f16 elements of a buffer; none where it is still poison.
    pub fn elements_f16(&self, buffer: &Buffer) -> Vec<Option<f64>> {
        let element = |half: &u16| (*half != Self::POISON_F16 as u16).then_some(f16::from_bits(*half).to_f64());
        bytemuck::cast_slice::<u32, u16>(&self.words(buffer)).iter().map(element).collect()
    }

    /// The 32-bit words of a buffer.
    pub fn words(&self, buffer: &Buffer) -> Vec<u32> {
        let mut words = vec![0; buffer.len() as usize / 4];
        self.gpu.download(buffer, 0, bytemuck::cast_slice_mut(&mut words)).unwrap();
        words
    }

    pub fn run<T: bytemuck::Pod>(&self, kernel: &Arc<Pipeline>, args: &T, groups: [u32; 3]) {
        let mut r = self.gpu.recorder("test").unwrap();
        r.dispatch(kernel, bytemuck::bytes_of(args), groups);
        let ticket = self.gpu.submit(&r.finish().unwrap()).unwrap();
        self.gpu.wait(ticket).unwrap();
    }
}

/// How `split` is asked for the x of a product.
pub fn split_args(args: &MatmulArgs) -> SplitArgs {
    let (columns, tokens, x_stride) = (args.columns, args.tokens, args.x_stride);
    SplitArgs { x: args.x, halves: args.halves, columns, tokens, x_stride, pad: 0 }
}

/// How the rows of a matrix lie on the device.
#[derive(Clone, Copy, Debug)]
pub struct Spread<'a> {
    /// How they are coded.
    pub codec: Codec,
    /// Rows of the parts, which take turns over two packs.
    pub cuts: &'a [usize],
    /// Bytes in front of a part, at the least; what follows is a multiple of 256 in any case.
    pub lead: usize,
    /// Rows of the output between those of two parts, as where another product of the operation writes them.
    pub gap: usize,
    /// Rows of a tile.
    pub tile: u32,
}

/// A matrix on the device, cut into parts over several packs, ready to be multiplied.
pub struct DeviceMatrix {
    pub dtype: Dtype,
    /// Rows of the output, gaps included.
    pub rows: usize,
    pub columns: usize,
    pub parts: Vec<PartArgs>,
    pub tiles: u32,
    /// The pack table.
    pub packs: Buffer,
    /// The parts, as kernels read them.
    pub table: Buffer,
    weights: Vec<Arc<Buffer>>,
    /// What the stored type refers to; of numbers of 8 bits, the table of scales.
    grid: Option<Arc<Buffer>>,
}

/// A table of scales of one tensor of `rows` rows, whose factors, all 1, it puts behind what is in pack 0: blocks of 128 x 128.
fn ones(pack: &mut Vec<u8>, rows: usize, columns: usize) -> Vec<u32> {
    let offset = pack.len().next_multiple_of(256);
    pack.resize(offset, 0xFF);
    let across = columns.div_ceil(128);
    pack.extend(1f32.to_le_bytes().repeat(rows.div_ceil(128) * across));
    let factors = VectorArgs::new(0, offset as u32, VectorArgs::F32);
    let record = ScaleArgs { factors, first_row: 0, rows: 128, columns_log2: 7, across: across as u32 };
    [&[1], bytemuck::cast_slice::<_, u32>(std::slice::from_ref(&record))].concat()
}

impl DeviceMatrix {
    /// `cuts` are the row counts of the parts; they start `lead` bytes or more into their packs.
    pub fn new(
        rig: &KernelRig,
        dtype: Dtype,
        columns: usize,
        bytes: &[u8],
        cuts: &[usize],
        lead: usize,
        tile: u32,
    ) -> Self {
        Self::spread(rig, dtype, columns, bytes, Spread { codec: Codec::Raw, cuts, lead, gap: 0, tile })
    }

    pub fn spread(rig: &KernelRig, dtype: Dtype, columns: usize, bytes: &[u8], spread: Spread<'_>) -> Self {
        let row_bytes = dtype.row_bytes(columns as u64).unwrap() as usize;
        let mut segments = vec![Vec::new(); spread.cuts.len().min(2)];
        let (mut parts, mut row, mut out_row, mut tiles) = (Vec::new(), 0, 0, 0);
        for (i, &rows) in spread.cuts.iter().enumerate() {
            let pack = i % segments.len();
            let segment: &mut Vec<u8> = &mut segments[pack];
            // ones are NaN in every float type, so that a stray read shows
            let offset = (segment.len() + spread.lead).next_multiple_of(256);
            segment.resize(offset, 0xFF);
            let shape = Shape { dtype, rows: rows as u32, columns: columns as u32 };
            spread.codec.encode(shape, &bytes[row * row_bytes..][..rows * row_bytes], segment).unwrap();
            parts.push(PartArgs {
                pack: pack as u32,
                offset: offset as u32,
                rows: rows as u32,
                first_row: out_row as u32,
                first_tile: tiles,
            });
            tiles += (rows as u32).div_ceil(spread.tile);
            row += rows;
            out_row += rows + spread.gap;
        }
        let grid = if dtype.is_scaled() {
            Some(Arc::new(rig.upload("scales", &ones(&mut segments[0], row, columns))))
        } else {
            symbiote_format::dequant::grid(dtype).map(|points| Arc::new(rig.upload("grid", points)))
        };
        let weights: Vec<Arc<Buffer>> = segments.iter().map(|segment| Arc::new(rig.upload("pack", segment))).collect();
        let addresses: Vec<u64> = weights.iter().map(|w| w.address()).collect();
        let (packs, table) = (rig.upload("packs", &addresses), rig.upload("parts", &parts));
        Self { dtype, rows: out_row - spread.gap, columns, parts, tiles, packs, table, weights, grid }
    }

    /// The rows of the output that this matrix has, in the order of its own rows.
    pub fn out_rows(&self) -> Vec<usize> {
        self.parts.iter().flat_map(|part| part.first_row..part.first_row + part.rows).map(|row| row as usize).collect()
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
            add: 0,
            halves: self.grid(),
            ..MatmulArgs::default()
        }
    }

    /// A pack table with one more pack, and the number of that.
    pub fn packs_and(&self, rig: &KernelRig, pack: &Buffer) -> (Buffer, u32) {
        let addresses: Vec<u64> = self.weights.iter().map(|w| w.address()).chain([pack.address()]).collect();
        (rig.upload("packs", &addresses), self.weights.len() as u32)
    }

    /// Where the grid is that the stored type refers to; 0 if it refers to none.
    pub fn grid(&self) -> u64 {
        self.grid.as_ref().map_or(0, |grid| grid.address())
    }

    /// The same weights at another place.
    pub fn copy(&self, rig: &KernelRig) -> Self {
        let mut r = rig.gpu.recorder("copy").unwrap();
        let mut copy = |from: &Buffer| {
            let to = rig.gpu.buffer("pack", from.len(), Memory::Device).unwrap();
            r.copy(from, 0, &to, 0, from.len());
            Arc::new(to)
        };
        let weights: Vec<Arc<Buffer>> = self.weights.iter().map(|from| copy(from)).collect();
        rig.gpu.wait(rig.gpu.submit(&r.finish().unwrap()).unwrap()).unwrap();
        let addresses: Vec<u64> = weights.iter().map(|w| w.address()).collect();
        let (packs, table) = (rig.upload("packs", &addresses), rig.upload("parts", &self.parts));
        Self { parts: self.parts.clone(), packs, table, weights, grid: self.grid.clone(), ..*self }
    }

    /// The same weights for tiles of `tile` rows.
    pub fn retile(&self, rig: &KernelRig, tile: u32) -> Self {
        let (mut parts, mut tiles) = (self.parts.clone(), 0);
        for part in &mut parts {
            part.first_tile = tiles;
            tiles += part.rows.div_ceil(tile);
        }
        let addresses: Vec<u64> = self.weights.iter().map(|w| w.address()).collect();
        let (packs, table) = (rig.upload("packs", &addresses), rig.upload("parts", &parts));
        Self { parts, tiles, packs, table, weights: self.weights.clone(), grid: self.grid.clone(), ..*self }
    }

    /// Bytes of the packs.
    pub fn bytes(&self) -> u64 {
        self.weights.iter().map(|w| w.len()).sum()
    }
}
