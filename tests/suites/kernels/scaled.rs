//! y = W x, y += W x and rows of the embedding over numbers of 8 bits with factors: of tensors, rows and blocks, in every type that
//! factors have; several tensors in one product, and experts.

use half::{bf16, f16};
use symbiote_format::{Codec, Dtype, ScaleBlocks, dequant::dequantize};
use symbiote_runtime::gpu::Buffer;
use symbiote_shaders::{EmbedArgs, MatmulArgs, ScaleArgs, VectorArgs};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig, Spread};

use super::expected::{Expected, Worst};
use super::matmul::{ANY_COLUMNS, MOST_TOKENS, Product, Shape, WIDE, check, shape};

/// Rows and columns that share a factor.
const BLOCKS: [Option<[u32; 2]>; 2] = [Some([16, 16]), Some([5, 128])];

/// How the factors of a tensor are stored.
#[derive(Clone, Copy, Debug)]
enum Stored {
    F32,
    F16,
    Bf16,
}

impl Stored {
    const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    fn bytes(self, factors: &[f32]) -> Vec<u8> {
        let narrow = |w: &f32| match self {
            Self::F32 => w.to_le_bytes().to_vec(),
            Self::F16 => f16::from_f32(*w).to_le_bytes().to_vec(),
            Self::Bf16 => bf16::from_f32(*w).to_le_bytes().to_vec(),
        };
        factors.iter().flat_map(narrow).collect()
    }

    fn rounded(self, w: f32) -> f32 {
        match self {
            Self::F32 => w,
            Self::F16 => f16::from_f32(w).to_f32(),
            Self::Bf16 => bf16::from_f32(w).to_f32(),
        }
    }

    fn code(self) -> u32 {
        [VectorArgs::F32, VectorArgs::F16, VectorArgs::BF16][self as usize]
    }
}

/// How factors are spread over a tensor: one for all, one a row, or one a block.
#[derive(Clone, Copy, Debug)]
enum Over {
    Tensor,
    Rows,
    Blocks([u32; 2]),
}

impl Over {
    /// What a kernel is told whose tiles have `tile` rows and start with their tensors, or anywhere.
    fn spread(self, apart: bool, tile: u32) -> u32 {
        match self {
            Self::Tensor | Self::Rows => ScaleArgs::ROWS,
            Self::Blocks([rows, _]) if apart && rows.is_multiple_of(tile) => ScaleArgs::TILE,
            Self::Blocks(_) => ScaleArgs::BLOCKS,
        }
    }
}

fn overs() -> impl Iterator<Item = Over> {
    [Over::Tensor, Over::Rows].into_iter().chain(BLOCKS.into_iter().flatten().map(Over::Blocks))
}

/// A tensor's factors.
struct Factors {
    blocks: ScaleBlocks,
    values: Vec<f32>,
    stored: Stored,
}

impl Factors {
    fn random(random: &mut Random, over: Over, rows: usize, columns: usize, stored: Stored) -> Self {
        let matrix = [rows as u32, columns as u32];
        let shape = match over {
            Over::Tensor => [1, 1],
            Over::Rows => [rows as u32, 1],
            Over::Blocks([r, c]) => [matrix[0].div_ceil(r), matrix[1].div_ceil(c)],
        };
        let block = if let Over::Blocks(block) = over { Some(block) } else { None };
        let blocks = ScaleBlocks::new(matrix, shape, block).unwrap();
        let values = (0..shape[0] * shape[1]).map(|_| stored.rounded(random.normal() * 0.01)).collect();
        Self { blocks, values, stored }
    }

    /// Multiplies the numbers of the tensor.
    fn apply(&self, w: &mut [f64], columns: usize) {
        for (i, w) in w.iter_mut().enumerate() {
            let factor = self.blocks.factor((i / columns) as u32, (i % columns) as u32);
            *w *= f64::from(self.values[factor as usize]);
        }
    }

    fn record(&self, pack: u32, offset: usize, first_row: usize) -> ScaleArgs {
        let ScaleBlocks { rows, columns_log2, across } = self.blocks;
        let factors = VectorArgs::new(pack, offset as u32, self.stored.code());
        ScaleArgs { factors, first_row: first_row as u32, rows, columns_log2, across }
    }
}

/// Any bytes but NaN; rows in turn the least and the greatest, and none but zeros.
fn weights(random: &mut Random, dtype: Dtype, rows: usize, columns: usize) -> Vec<u8> {
    let greatest = if dtype == Dtype::F8E4M3 { 0x7E } else { 0x7B };
    let byte = |random: &mut Random, row: usize| match row % 6 {
        1 => 0x80 | random.below(8) as u8,
        3 => greatest,
        5 => 0,
        _ => {
            let sign = random.below(2) as u8 * 0x80;
            sign | random.below(usize::from(greatest) + 1) as u8
        }
    };
    (0..rows * columns).map(|i| byte(random, i / columns)).collect()
}

/// The numbers of a tensor, without factors.
fn numbers(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    let mut w = vec![0.0; bytes.len()];
    dequantize(dtype, bytes, &mut w);
    w.into_iter().map(f64::from).collect()
}

/// A matrix with factors on the device, and what its product gives.
struct Case {
    product: Product,
    matrix: DeviceMatrix,
    /// The pack table, the factors' pack last.
    packs: Buffer,
    /// The table of scales.
    scales: Buffer,
    /// The weights.
    w: Vec<f64>,
    /// Reached by address.
    _factors: Buffer,
}

impl Case {
    /// The parts of a shape, each a tensor of its own (`apart`) or all of one.
    fn random(
        rig: &KernelRig,
        random: &mut Random,
        (dtype, shape, tile): (Dtype, &Shape, u32),
        (over, stored, apart): (Over, Stored, bool),
    ) -> Self {
        let (columns, all) = (shape.columns, shape.cuts.iter().sum::<usize>());
        let bytes = weights(random, dtype, all, columns);
        let mut w = numbers(dtype, &bytes);
        // rows between tensors are of other products; in one tensor there are none
        let gap = if apart { shape.gap } else { 0 };
        let spread = Spread { codec: Codec::Raw, cuts: shape.cuts, lead: 256, gap, tile };
        let matrix = DeviceMatrix::spread(rig, dtype, columns, &bytes, spread);
        let mut addresses: Vec<u64> =
            rig.words(&matrix.packs).chunks_exact(2).map(|w| u64::from(w[0]) | u64::from(w[1]) << 32).collect();
        let pack = addresses.len() as u32;
        let tensors: Vec<usize> = if apart { shape.cuts.to_vec() } else { vec![all] };
        let (mut segment, mut records, mut row, mut out_row) = (vec![0xFF; 256], Vec::new(), 0, 0);
        for &rows in &tensors {
            let factors = Factors::random(random, over, rows, columns, stored);
            factors.apply(&mut w[row * columns..][..rows * columns], columns);
            records.push(factors.record(pack, segment.len(), out_row));
            segment.extend(stored.bytes(&factors.values));
            segment.resize(segment.len().next_multiple_of(256), 0xFF);
            row += rows;
            out_row += rows + gap;
        }
        let x = random.normals(MOST_TOKENS * columns);
        let dot = |w: &[f64], x: &[f32]| {
            let terms = w.iter().zip(x).map(|(w, x)| w * f64::from(*x));
            terms.fold((0.0, 0.0), |(sum, magnitude), term| (sum + term, magnitude + term.abs()))
        };
        let y = x.chunks_exact(columns).map(|x| w.chunks_exact(columns).map(|w| dot(w, x)).collect()).collect();
        let factors = rig.upload("factors", &segment);
        addresses.push(factors.address());
        let table: Vec<u32> =
            [records.len() as u32].into_iter().chain(bytemuck::cast_slice(&records).iter().copied()).collect();
        let (packs, scales) = (rig.upload("packs", &addresses), rig.upload("scales", &table));
        Self { product: Product { bytes, x, y }, matrix, packs, scales, w, _factors: factors }
    }

    /// Where a product finds packs and scales.
    fn tell(&self, args: &mut MatmulArgs) -> Option<Buffer> {
        (args.packs, args.halves) = (self.packs.address(), self.scales.address());
        None
    }
}

/// Every shape of both types, by the kernel that is for products of several tokens too.
fn sweep(subgroups: u32, rows: u32, touch: bool) {
    let rig = KernelRig::open();
    for dtype in Dtype::FLOAT8 {
        let mut worst = Worst::new(format!("matmul_{dtype} {subgroups} x {rows}"));
        for subgroup in rig.subgroups() {
            let local = (subgroup * subgroups).min(rig.gpu.info().max_workgroup_invocations);
            let tile = local / subgroup * rows;
            let mut random = Random::new(u64::from(dtype.code()));
            for (shape, over) in ANY_COLUMNS.iter().flat_map(|shape| overs().map(move |over| (shape, over))) {
                for apart in [false, true] {
                    let stored = Stored::ALL[random.below(3)];
                    let case = Case::random(&rig, &mut random, (dtype, shape, tile), (over, stored, apart));
                    let spread = over.spread(apart, tile);
                    for (wide, tokens, add) in
                        [(1, 1, false), (1, 3, true), (WIDE, 2, false), (WIDE, MOST_TOKENS, true)]
                    {
                        let constants = [local, wide, rows, touch.into(), 3, spread];
                        let kernel = rig.kernel(&format!("matmul_{dtype}"), &constants, Some(subgroup));
                        let name = format!(
                            "{:?}x{} {over:?} {stored:?} apart {apart} tokens {tokens} by {wide} subgroup {subgroup}",
                            shape.cuts, shape.columns
                        );
                        let data = (&case.matrix, &case.product);
                        check(&rig, (&kernel, wide, 1), data, (tokens, add), (&name, &mut worst), &|args| {
                            case.tell(args)
                        });
                    }
                }
            }
        }
        worst.report();
    }
    rig.finish();
}

/// Whole pieces of 16 columns, by the kernel for quants on GPUs: `subgroups` of them and `rows` rows a workgroup, `depth` on their
/// way.
fn quant_sweep(subgroups: u32, rows: u32, depth: u32) {
    const SHAPES: &[Shape] =
        &[shape(16, &[1, 37, 5], 0), shape(48, &[16, 16], 2), shape(576, &[3, 30], 0), shape(2048, &[16, 9, 1, 1], 3)];
    let rig = KernelRig::open();
    for dtype in Dtype::FLOAT8 {
        let mut worst = Worst::new(format!("matmul_quant_{dtype}, {subgroups} subgroups, {rows} rows by {depth}"));
        for lanes in rig.subgroups() {
            let subgroups = subgroups.min(rig.gpu.info().max_workgroup_invocations / lanes);
            let mut random = Random::new(u64::from(dtype.code()));
            for (shape, over) in SHAPES.iter().flat_map(|shape| overs().map(move |over| (shape, over))) {
                for apart in [false, true] {
                    let stored = Stored::ALL[random.below(3)];
                    let case = Case::random(&rig, &mut random, (dtype, shape, rows), (over, stored, apart));
                    let constants = [lanes * subgroups, lanes, subgroups, rows, depth, over.spread(apart, rows)];
                    let kernel = rig.kernel(&format!("matmul_quant_{dtype}"), &constants, Some(lanes));
                    for (tokens, add) in [(1, false), (3, true)] {
                        let name = format!(
                            "{:?}x{} {over:?} {stored:?} apart {apart} tokens {tokens} lanes {lanes}",
                            shape.cuts, shape.columns
                        );
                        let data = (&case.matrix, &case.product);
                        check(&rig, (&kernel, 1, 1), data, (tokens, add), (&name, &mut worst), &|args| case.tell(args));
                    }
                }
            }
        }
        worst.report();
    }
    rig.finish();
}

#[test]
fn as_quants_on_a_gpu() {
    quant_sweep(4, 16, 4);
}

#[test]
fn as_quants_by_one_subgroup() {
    quant_sweep(1, 16, 2);
}

#[test]
fn as_on_a_cpu() {
    sweep(1, 16, true);
}

#[test]
fn as_on_a_gpu() {
    sweep(4, 2, false);
}

/// A product with a factor is rounded once.
#[test]
fn rows_of_the_embedding() {
    let rig = KernelRig::open();
    let mut random = Random::new(8);
    for dtype in Dtype::FLOAT8 {
        let mut worst = Worst::new(format!("embed_{dtype}"));
        for over in overs() {
            let shape = shape(333, &[7, 1, 30], 0);
            let case = Case::random(&rig, &mut random, (dtype, &shape, 1), (over, Stored::F32, false));
            let tokens: Vec<u32> = vec![0, 6, 7, 8, 37, 6, 19];
            let (ids, x) = (rig.upload("tokens", &tokens), rig.poisoned("x", tokens.len() * 336));
            let args = EmbedArgs {
                packs: case.packs.address(),
                parts: case.matrix.table.address(),
                tokens: ids.address(),
                x: x.address(),
                part_count: case.matrix.parts.len() as u32,
                columns: 333,
                x_stride: 336,
                first: 0,
                grid: case.scales.address(),
            };
            let mut expected = Expected::untouched(tokens.len() * 336);
            for (t, token) in tokens.iter().enumerate() {
                for (k, w) in case.w[*token as usize * 333..][..333].iter().enumerate() {
                    expected.set(t * 336 + k, *w, w.abs() * f64::from(f32::EPSILON) / 2.0);
                }
            }
            rig.run(&rig.kernel(&format!("embed_{dtype}"), &[64], None), &args, [tokens.len() as u32, 1, 1]);
            worst.check(&format!("{over:?}"), &rig.elements(&x), &expected);
        }
        worst.report();
    }
    rig.finish();
}

/// Every byte by itself, those too that are no number.
#[test]
fn every_byte() {
    let rig = KernelRig::open();
    for dtype in Dtype::FLOAT8 {
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        let spread = Spread { codec: Codec::Raw, cuts: &[256], lead: 256, gap: 0, tile: 8 };
        let matrix = DeviceMatrix::spread(&rig, dtype, 1, &bytes, spread);
        let mut expected = vec![0.0; 256];
        dequantize(dtype, &bytes, &mut expected);
        let one = rig.upload("factors", &[1.0f32]);
        let packs = rig.upload("packs", &[rig.words(&matrix.packs)[..2].to_vec(), words(one.address())].concat());
        let factors = VectorArgs::new(1, 0, VectorArgs::F32);
        let record = ScaleArgs { factors, first_row: 0, rows: u32::MAX, columns_log2: 31, across: 1 };
        let table = [&[1], bytemuck::cast_slice::<_, u32>(std::slice::from_ref(&record))].concat();
        let (scales, x) = (rig.upload("scales", &table), rig.upload("x", &[1.0f32, 0.0, 0.0, 0.0]));
        let y = rig.poisoned("y", 256);
        let args = MatmulArgs { packs: packs.address(), halves: scales.address(), ..matrix.args(&x, &y, 1) };
        let subgroup = rig.gpu.info().subgroup;
        let kernel = rig.kernel(&format!("matmul_{dtype}"), &[4 * subgroup, 1, 2, 0, 3, 0], Some(subgroup));
        rig.run(&kernel, &args, [matrix.tiles, 1, 1]);
        for (byte, (found, expected)) in rig.download(&y).into_iter().zip(expected).enumerate() {
            let same = found.to_bits() == expected.to_bits() || found == 0.0 && expected == 0.0;
            assert!(same || found.is_nan() && expected.is_nan(), "{dtype} {byte:#x}: {found}, not {expected}");
        }
    }
    rig.finish();
}

fn words(address: u64) -> Vec<u32> {
    bytemuck::cast_slice(&[address]).to_vec()
}
