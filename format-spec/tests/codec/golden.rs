//! `golden/codec-*.bin`: what codecs write and read, in bytes.
//!
//! A file is four numbers (codec, type, rows, columns, each `u32`), the rows as the source stores them, and as coded. What
//! is decoded from them never changes. What p12, p11, f16, bf16 and zfp make of them does not either, for then one model no
//! longer gives one archive; zstd may find a shorter frame, and gets a new file.

use std::fs;
use std::path::PathBuf;

use symbiote_format::codec::Shape;
use symbiote_format::{Codec, Dtype};

use crate::weights::{Random, bytes, gaussian, round_trip};

fn path(codec: Codec, shape: Shape) -> PathBuf {
    let name = format!("codec-{codec}-{}-{}x{}.bin", shape.dtype, shape.rows, shape.columns).to_lowercase();
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(name)
}

/// The examples of SPEC.md.
fn examples() -> Vec<(Codec, Shape, Vec<u8>)> {
    let weights = |count| {
        let odd = [(0, 1.0), (1, -1.5), (2, 0.0), (3, f32::INFINITY), (25, 0.40625), (33, -3.0)];
        let value = move |i| odd.iter().find(|(at, _)| *at == i).map_or(0.25, |(_, value)| *value);
        bytes(Dtype::Bf16, (0..count).map(value))
    };
    let of = |dtype, columns| Shape { dtype, rows: 1, columns };
    let singles = |values: &[f32]| bytes(Dtype::F32, values.iter().copied());
    vec![
        (Codec::P12, of(Dtype::Bf16, 34), weights(34)),
        (Codec::P11, of(Dtype::Bf16, 34), weights(34)),
        (Codec::F16, of(Dtype::F32, 3), singles(&[1.5, 0.1, -0.0])),
        (Codec::Bf16, of(Dtype::F32, 3), singles(&[1.5, 0.1, -0.0])),
        (Codec::Zstd, of(Dtype::Bf16, 4), weights(4)),
        (Codec::Zfp, of(Dtype::F32, 5), singles(&[1.0, 1.5, 2.0, 2.5, f32::INFINITY])),
    ]
}

/// Every codec with every kind of type that it takes, and what is at the edge of their layouts.
fn parts() -> Vec<(Codec, Shape, Vec<u8>)> {
    let mut parts = examples();
    let mut part = |codec, dtype, rows, columns| {
        let shape = Shape { dtype, rows, columns };
        let raw = match dtype {
            Dtype::Q4K => Random(1).bytes(shape.raw_len()).iter().map(|byte| byte & 0x77).collect(),
            _ => gaussian(shape, 100),
        };
        parts.push((codec, shape, raw));
    };
    part(Codec::P12, Dtype::Bf16, 37, 161);
    part(Codec::P12, Dtype::F16, 3, 256);
    part(Codec::P12, Dtype::F32, 9, 96);
    part(Codec::P12, Dtype::Bf16, 1, 2112);
    part(Codec::P12, Dtype::Bf16, 4, 7);
    part(Codec::P11, Dtype::Bf16, 37, 161);
    part(Codec::P11, Dtype::F16, 3, 256);
    part(Codec::P11, Dtype::F32, 9, 96);
    part(Codec::Zstd, Dtype::Bf16, 16, 160);
    part(Codec::Zstd, Dtype::F32, 8, 100);
    part(Codec::Zstd, Dtype::Q4K, 4, 512);
    part(Codec::Zfp, Dtype::F32, 9, 30);
    part(Codec::Zfp, Dtype::F32, 1, 30);
    part(Codec::F16, Dtype::F32, 7, 33);
    part(Codec::Bf16, Dtype::F32, 2, 2100);
    parts
}

fn read(codec: Codec, shape: Shape) -> (Vec<u8>, Vec<u8>) {
    let path = path(codec, shape);
    let file = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (head, rest) = file.split_at(16);
    assert_eq!(head, head_of(codec, shape));
    let (raw, coded) = rest.split_at(shape.raw_len());
    (raw.to_vec(), coded.to_vec())
}

fn head_of(codec: Codec, shape: Shape) -> Vec<u8> {
    let words = [codec.code().into(), shape.dtype.code().into(), shape.rows, shape.columns];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

#[test]
fn they_are_read() {
    for (codec, shape, _) in parts() {
        let (raw, coded) = read(codec, shape);
        let mut back = vec![0; raw.len()];
        codec.decode(shape, &coded, &mut back).unwrap();
        assert!(back == raw, "{codec} {shape:?}");
    }
}

#[test]
fn they_are_written_again_byte_for_byte() {
    for (codec, shape, _) in parts() {
        let (raw, coded) = read(codec, shape);
        let found = round_trip(codec, shape, &raw);
        let differs = found.iter().zip(&coded).position(|(a, b)| a != b);
        assert_eq!((found.len(), differs), (coded.len(), None), "{codec} {shape:?}");
    }
}

/// Writes those that are missing: `cargo test -p symbiote-format --test codec -- --ignored`.
#[test]
#[ignore = "makes golden files"]
fn make() {
    for (codec, shape, raw) in parts() {
        let path = path(codec, shape);
        if !path.exists() {
            fs::write(path, [head_of(codec, shape), raw.clone(), round_trip(codec, shape, &raw)].concat()).unwrap();
        }
    }
}
