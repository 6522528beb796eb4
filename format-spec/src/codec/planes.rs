//! Byte planes under zstd: the first byte of every element or block, then the second of every one, and so on.
//!
//! Elements of the float types are turned left by one bit first, which makes the exponent of bf16 and f32 a byte of its own.

use zstd::bulk::Decompressor;
use zstd::zstd_safe::{
    CCtx, CParameter, InBuffer, OutBuffer, compress_bound, find_frame_compressed_size, get_frame_content_size,
};

use super::{CodecError, Shape};
use crate::Dtype;

/// Entropy coding is all that pays: few matches are looked for, and only long ones.
const PARAMETERS: [CParameter; 3] = [CParameter::CompressionLevel(1), CParameter::MinMatch(7), CParameter::HashLog(6)];
/// Bytes of a plane that is worth a code of its own.
const OWN_CODE: usize = 2048;
/// Bytes of the shortest frame that is not empty.
const LEAST: u64 = 10;

pub(super) fn encode(shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let planes = split(shape.dtype, raw);
    compress(&planes, planes.len() / shape.dtype.block_bytes() as usize, out)
        .map_err(|code| CodecError::Zstd { reason: zstd::zstd_safe::get_error_name(code).into() })
}

/// One frame, in which every plane starts a block: planes differ, and each has its own code then. Short ones share blocks,
/// for a code takes room too.
fn compress(planes: &[u8], plane: usize, out: &mut Vec<u8>) -> Result<(), usize> {
    use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective::{ZSTD_e_end, ZSTD_e_flush};
    let mut zstd = CCtx::try_create().ok_or(0usize)?;
    for parameter in PARAMETERS {
        zstd.set_parameter(parameter)?;
    }
    zstd.set_pledged_src_size(Some(planes.len() as u64))?;
    let mut frame = vec![0; compress_bound(planes.len()) + 64 * (planes.len() / plane + 1)];
    let mut to = OutBuffer::around(&mut frame[..]);
    let mut chunks = planes.chunks(if plane < OWN_CODE { planes.len() } else { plane }).peekable();
    while let Some(bytes) = chunks.next() {
        let mut from = InBuffer::around(bytes);
        let end = if chunks.peek().is_some() { ZSTD_e_flush } else { ZSTD_e_end };
        while zstd.compress_stream2(&mut to, &mut from, end)? != 0 {}
    }
    out.extend_from_slice(to.as_slice());
    Ok(())
}

pub(super) fn check_len(len: u64) -> Result<(), CodecError> {
    match len >= LEAST {
        true => Ok(()),
        false => Err(CodecError::Short { found: len, least: LEAST }),
    }
}

pub(super) fn check(shape: Shape, coded: &[u8]) -> Result<(), CodecError> {
    let (bytes, expected) = (coded.len() as u64, shape.raw_len() as u64);
    let declared = get_frame_content_size(coded).ok().flatten();
    let found = declared.ok_or(CodecError::Frame { bytes })?;
    if found != expected {
        return Err(CodecError::Content { found, expected });
    }
    match find_frame_compressed_size(coded) {
        Ok(len) if len == coded.len() => Ok(()),
        _ => Err(CodecError::Frame { bytes }),
    }
}

pub(super) fn decode(shape: Shape, coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
    check(shape, coded)?;
    let refuse = |error: std::io::Error| CodecError::Zstd { reason: error.to_string() };
    let mut planes = vec![0; raw.len()];
    let zstd = Decompressor::new().and_then(|mut zstd| zstd.decompress_to_buffer(coded, &mut planes[..]));
    let found = zstd.map_err(refuse)? as u64;
    super::length(found, raw.len() as u64)?;
    join(shape.dtype, &planes, raw);
    Ok(())
}

fn split(dtype: Dtype, raw: &[u8]) -> Vec<u8> {
    let mut planes = vec![0; raw.len()];
    match dtype {
        Dtype::F32 => {
            let [a, b, c, d] = four(&mut planes);
            for (i, element) in raw.as_chunks().0.iter().enumerate() {
                [a[i], b[i], c[i], d[i]] = u32::from_le_bytes(*element).rotate_left(1).to_le_bytes();
            }
        }
        Dtype::F16 | Dtype::Bf16 => {
            let (a, b) = planes.split_at_mut(raw.len() / 2);
            for (i, element) in raw.as_chunks().0.iter().enumerate() {
                [a[i], b[i]] = u16::from_le_bytes(*element).rotate_left(1).to_le_bytes();
            }
        }
        _ => {
            let period = dtype.block_bytes() as usize;
            for (k, plane) in planes.chunks_exact_mut(raw.len() / period).enumerate() {
                plane.iter_mut().zip(raw[k..].iter().step_by(period)).for_each(|(to, from)| *to = *from);
            }
        }
    }
    planes
}

fn join(dtype: Dtype, planes: &[u8], raw: &mut [u8]) {
    let period = dtype.block_bytes() as usize;
    let plane = |k: usize| &planes[k * (planes.len() / period)..][..planes.len() / period];
    match dtype {
        Dtype::F32 => {
            let (a, b, c, d) = (plane(0), plane(1), plane(2), plane(3));
            for (i, element) in raw.as_chunks_mut().0.iter_mut().enumerate() {
                *element = u32::from_le_bytes([a[i], b[i], c[i], d[i]]).rotate_right(1).to_le_bytes();
            }
        }
        Dtype::F16 | Dtype::Bf16 => {
            let (a, b) = (plane(0), plane(1));
            for (i, element) in raw.as_chunks_mut().0.iter_mut().enumerate() {
                *element = u16::from_le_bytes([a[i], b[i]]).rotate_right(1).to_le_bytes();
            }
        }
        _ => {
            for k in 0..period {
                raw[k..].iter_mut().step_by(period).zip(plane(k)).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// Quarters.
fn four(planes: &mut [u8]) -> [&mut [u8]; 4] {
    let len = planes.len() / 4;
    let (a, rest) = planes.split_at_mut(len);
    let (b, rest) = rest.split_at_mut(len);
    let (c, d) = rest.split_at_mut(len);
    [a, b, c, d]
}
