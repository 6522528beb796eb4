//! Logits from packed weights: what the codes cost, which is the order of summation and no more.

use std::path::Path;

use half::{bf16, f16};
use symbiote_format::codec::Shape;
use symbiote_format::{ArchivedWeightPack, Codec, Dtype};
use symbiote_packer::{Choice, ConvertOptions, Policy, Target, convert};
use symbiote_runtime::engine::{OpenOptions, SymbioteEngine};
use symbiote_runtime::gpu::GpuOptions;
use symbiote_runtime::pak::PakFile;
use symbiote_tests::{fixtures, near_halves, relative_error};

/// A raw product's lanes take neighbouring columns, a packed one's take those of their slot: sums round differently, by some
/// 2^-24 of their terms each.
const ANOTHER_ORDER: f64 = 1e-5;

fn options(codec: Codec) -> ConvertOptions {
    let policy = Policy::new(Target::Run, Choice::Only(codec)).unwrap();
    ConvertOptions { policy, force: true, ..ConvertOptions::default() }
}

/// Logits after every token, one pass a token or all in one.
fn logits(pak: &Path, tokens: &[u32], batch: u32) -> Vec<Vec<f32>> {
    let gpu = GpuOptions { validation: true, ..GpuOptions::default() };
    let options = OpenOptions { gpu, batch: Some(batch), ..OpenOptions::default() };
    let mut engine = SymbioteEngine::open(pak, &options).unwrap();
    let mut rows = Vec::new();
    engine.forward_from(tokens, 0, &mut |_, row| rows.push(row.to_vec())).unwrap();
    assert_eq!(engine.gpu().validation_errors(), 0, "{:#?}", engine.gpu().validation_messages());
    rows
}

/// bf16, f32 and f16 sources whose weights p12 and p11 take, or keep as exceptions where they do not.
#[test]
fn packed_weights_give_the_logits_of_raw_ones() {
    let folder = tempfile::tempdir().unwrap();
    let tokens: Vec<u32> = (0..24).map(|i| i * 7 % 100).collect();
    for (name, dtype) in [("tiny-llama-bf16-tied", Dtype::Bf16), ("tiny-llama", Dtype::F32)] {
        let archive = |codec: Codec| {
            let pak = folder.path().join(format!("{name}-{codec}.pak"));
            convert(&fixtures::path(name), &pak, &options(codec), &()).unwrap();
            pak
        };
        let raw = archive(Codec::Raw);
        for codec in [Codec::P12, Codec::P11] {
            let packed = archive(codec);
            let smaller = std::fs::metadata(&packed).unwrap().len() < std::fs::metadata(&raw).unwrap().len();
            assert_eq!(smaller, dtype == Dtype::Bf16, "{name}: random f32 weights are not exact in bf16");
            for batch in [1, 24] {
                let (expected, found) = (logits(&raw, &tokens, batch), logits(&packed, &tokens, batch));
                for (expected, found) in expected.iter().zip(&found) {
                    let expected: Vec<f64> = expected.iter().map(|v| f64::from(*v)).collect();
                    let error = relative_error(found, &expected);
                    assert!(error <= ANOTHER_ORDER, "{name} {codec} in batches of {batch}: {error:e}");
                }
            }
        }
    }
}

/// Parts of an archive that `codec` codes, with exceptions and without.
fn parts_of(pak: &Path, codec: Codec) -> [usize; 2] {
    let file = PakFile::open(pak).unwrap();
    let index = file.archive().index();
    let parts = index.parts.iter().filter(|part| part.codec == codec.code());
    let exceptions = parts.map(|part| {
        let columns = index.tensors[part.tensor.to_native() as usize].shape.last().unwrap().to_native() as u32;
        let shape = Shape { dtype: Dtype::F32, rows: part.rows.to_native(), columns };
        codec.exceptions(shape, part.coded_len.to_native()).unwrap()
    });
    let (with, without): (Vec<u64>, Vec<u64>) = exceptions.partition(|count| *count > 0);
    [with.len(), without.len()]
}

/// f32 weights in two bytes, but for exceptions: embedding, head and every product, which read the same weights in the same
/// order as from f32, and exceptions last.
#[test]
fn narrowed_weights_give_the_logits_of_raw_ones() {
    let folder = tempfile::tempdir().unwrap();
    let tokens: Vec<u32> = (0..24).map(|i| i * 13 % 320).collect();
    for codec in [Codec::F16, Codec::Bf16] {
        let model = near_halves::tiny_llama(folder.path(), |w| match codec {
            Codec::F16 => f16::from_f32(w).to_f32(),
            _ => bf16::from_f32(w).to_f32(),
        });
        let archive = |codec: Codec| {
            let pak = folder.path().join(format!("{codec}.pak"));
            convert(&model, &pak, &options(codec), &()).unwrap();
            pak
        };
        let (raw, narrowed) = (archive(Codec::Raw), archive(codec));
        // two layers of seven tensors, of which k is exact; embedding and head
        assert_eq!(parts_of(&narrowed, codec), [14, 2], "{codec}");
        for batch in [1, 5, 24] {
            let (expected, found) = (logits(&raw, &tokens, batch), logits(&narrowed, &tokens, batch));
            for (expected, found) in expected.iter().zip(&found) {
                let expected: Vec<f64> = expected.iter().map(|v| f64::from(*v)).collect();
                let error = relative_error(found, &expected);
                assert!(error <= ANOTHER_ORDER, "{codec} in batches of {batch}: {error:e}");
            }
        }
    }
}

/// An archive that is packed for shipping says how to make one that runs.
#[test]
fn an_archive_to_ship_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let pak = folder.path().join("ship.pak");
    let policy = Policy::new(Target::Ship, Choice::Only(Codec::Zstd)).unwrap();
    let options = ConvertOptions { policy, ..ConvertOptions::default() };
    convert(&fixtures::path("tiny-llama-bf16-tied"), &pak, &options, &()).unwrap();
    let opened = SymbioteEngine::open(&pak, &OpenOptions::default());
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("symbiote-pack repack --target run"), "{error}");
}

/// Lists of exceptions that reach outside their part are found before a kernel sees them; nobody asks for hashes here.
#[test]
fn a_corrupt_list_of_exceptions_is_refused_at_load() {
    let folder = tempfile::tempdir().unwrap();
    let near_halves = near_halves::tiny_llama(folder.path(), |w| f16::from_f32(w).to_f32());
    refuses_a_corrupt_list(&fixtures::path("tiny-llama-bf16-tied"), Codec::P12, |rows, columns| {
        rows.div_ceil(4) * (columns / 32) * 12 * 16
    });
    refuses_a_corrupt_list(&near_halves, Codec::F16, |rows, columns| (2 * rows * columns).next_multiple_of(4));
}

/// `fields` has the bytes in front of a part's trailer.
fn refuses_a_corrupt_list(model: &Path, codec: Codec, fields: fn(u64, u64) -> u64) {
    let folder = tempfile::tempdir().unwrap();
    let pak = folder.path().join("coded.pak");
    convert(model, &pak, &options(codec), &()).unwrap();
    let mut bytes = std::fs::read(&pak).unwrap();
    let (at, name) = {
        let file = PakFile::open(&pak).unwrap();
        let index = file.archive().index();
        let number = index.parts.iter().position(|part| part.codec == codec.code()).unwrap();
        let part = &index.parts[number];
        let of = |p: &&ArchivedWeightPack| {
            (0..p.part_count.to_native()).any(|i| (p.first_part.to_native() + i) as usize == number)
        };
        let start = index.packs.iter().find(of).unwrap().offset.to_native() + part.offset.to_native();
        let tensor = &index.tensors[part.tensor.to_native() as usize];
        let columns = tensor.shape.last().unwrap().to_native();
        // behind the fields: the base, three zeros, then how many exceptions come before the second list
        ((start + fields(part.rows.to_native().into(), columns) + 16 + 4) as usize, tensor.name.as_str().to_owned())
    };
    bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    std::fs::write(&pak, bytes).unwrap();
    let mut engine = SymbioteEngine::open(&pak, &OpenOptions::default()).unwrap();
    let error = engine.forward(&[1]).unwrap_err().to_string();
    assert!(error.contains(&name), "{error}");
}
