//! y = W x and y += W x by the kernel that is made for quants.

use symbiote_format::{Codec, Dtype};
use symbiote_tests::blocks::Random;
use symbiote_tests::kernel_rig::{DeviceMatrix, KernelRig, Spread};

use super::expected::Worst;
use super::matmul::{Product, check, shapes};

const DTYPES: [Dtype; 5] = [Dtype::Q4_0, Dtype::Q8_0, Dtype::Q4K, Dtype::Q5K, Dtype::Q6K];

/// Every shape for a subgroup of every size: `subgroups` of them and `rows` rows a workgroup, of which `depth` on their way.
fn sweep(subgroups: u32, rows: u32, depth: u32) {
    let rig = KernelRig::open();
    for dtype in DTYPES {
        let name = format!("matmul_quant_{dtype}");
        let mut worst = Worst::new(format!("{name}, {subgroups} subgroups, {rows} rows by {depth}"));
        for lanes in rig.subgroups() {
            let subgroups = subgroups.min(rig.gpu.info().max_workgroup_invocations / lanes);
            let kernel = rig.kernel(&name, &[lanes * subgroups, lanes, subgroups, rows, depth], Some(lanes));
            let mut random = Random::new(u64::from(dtype.code()));
            for shape in shapes(dtype) {
                let product = Product::random(&mut random, dtype, shape);
                let spread = Spread { codec: Codec::Raw, cuts: shape.cuts, lead: 256, gap: shape.gap, tile: rows };
                let matrix = DeviceMatrix::spread(&rig, dtype, shape.columns, &product.bytes, spread);
                for (tokens, add) in [(1, false), (1, true), (3, false)] {
                    let case = format!("{:?}x{} tokens {tokens} add {add} lanes {lanes}", shape.cuts, shape.columns);
                    let (kernel, data) = ((&kernel, 1, 1), (&matrix, &product));
                    check(&rig, kernel, data, (tokens, add), (&case, &mut worst), &|_| None);
                }
            }
        }
        worst.report();
    }
    rig.finish();
}

#[test]
fn as_on_a_gpu() {
    sweep(4, 16, 2);
}

#[test]
fn one_subgroup() {
    sweep(1, 4, 1);
}

#[test]
fn many_rows_at_once() {
    sweep(2, 32, 4);
}
