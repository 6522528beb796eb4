//! zfp in its reversible mode, for tables of F32 that are smooth: neighbours predict each other. Weights are not.
#![allow(unsafe_code)] // zfp is a C library, and this the only module that calls it

use std::ptr;

use zfp_sys::{
    stream_close, stream_open, zfp_compress, zfp_decompress, zfp_field_1d, zfp_field_2d, zfp_field_free,
    zfp_stream_close, zfp_stream_open, zfp_stream_rewind, zfp_stream_set_bit_stream, zfp_stream_set_reversible,
    zfp_type_zfp_type_float,
};

use super::{CodecError, Shape};
use crate::Codec;

pub(super) fn encode(shape: Shape, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let most = most_words(shape)?;
    let mut values: Vec<u32> = raw.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let mut words = buffer(most);
    let len = run(shape, &mut values, &mut words, Direction::Compress) / 8;
    out.reserve(8 * len);
    let start = out.len();
    out.extend(words[..len].iter().flat_map(|word| word.to_le_bytes()));
    let mut back = vec![0; raw.len()];
    let same = decode(shape, &out[start..], &mut back).is_ok() && back == raw;
    if !same {
        out.truncate(start);
        return Err(CodecError::Changed { codec: Codec::Zfp });
    }
    Ok(())
}

pub(super) fn check_len(shape: Shape, len: u64) -> Result<(), CodecError> {
    let most = most_words(shape)? as u64;
    match len.is_multiple_of(8) && (1..=most).contains(&(len / 8)) {
        true => Ok(()),
        false => Err(CodecError::Words { found: len, most }),
    }
}

pub(super) fn decode(shape: Shape, coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
    let mut words = buffer(most_words(shape)?);
    for (word, bytes) in words.iter_mut().zip(coded.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let mut values = vec![0; raw.len() / 4];
    let found = run(shape, &mut values, &mut words, Direction::Decompress) as u64;
    let expected = coded.len() as u64;
    if found != expected {
        return Err(CodecError::StreamEnd { found, expected });
    }
    for (bytes, value) in raw.as_chunks_mut().0.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
    Ok(())
}

/// The most words that a stream of this shape takes. A block has a head of 15 bits and codes each of its values' 32 bits
/// once, and once more for each but one value, where it has its first bit.
fn most_words(shape: Shape) -> Result<usize, CodecError> {
    let (rows, columns) = (shape.rows as usize, shape.columns as usize);
    // As for every codec that has no length of its own: what follows does not overflow.
    super::grid::Grid::new(shape, 1)?;
    let (blocks, values) = match rows {
        1 => (columns.div_ceil(4), 4),
        _ => (columns.div_ceil(4) * rows.div_ceil(4), 16),
    };
    Ok((blocks * (15 + values * 32 + values - 1)).div_ceil(64))
}

/// What zfp may write to, and may read whatever the stream says: `most` words, and one that it fetches ahead.
fn buffer(most: usize) -> Vec<u64> {
    vec![0; most + 1]
}

enum Direction {
    Compress,
    Decompress,
}

/// Has zfp compress `values` to `words`, or the reverse, and returns the stream's length in bytes; 0 if there is no memory.
///
/// `values` are as many as `shape` says, and `words` those of a [`buffer`].
fn run(shape: Shape, values: &mut [u32], words: &mut [u64], direction: Direction) -> usize {
    let (rows, columns) = (shape.rows as usize, shape.columns as usize);
    assert!(values.len() == rows * columns && words.len() * 64 > values.len() * 32, "buffers of {rows} by {columns}");
    let data = values.as_mut_ptr().cast();
    // SAFETY: these allocate, and note what they are given.
    let (field, stream, bits) = unsafe {
        let field = match rows {
            1 => zfp_field_1d(data, zfp_type_zfp_type_float, columns),
            _ => zfp_field_2d(data, zfp_type_zfp_type_float, columns, rows),
        };
        (field, zfp_stream_open(ptr::null_mut()), stream_open(words.as_mut_ptr().cast(), size_of_val(words)))
    };
    let mut len = 0;
    if !field.is_null() && !stream.is_null() && !bits.is_null() {
        // SAFETY: all three live. zfp touches `values` within the field's extents and without strides, which are its length.
        // Of `words` it touches no more than a reversible stream of that shape can have, however its bits are: `most_words`.
        len = unsafe {
            zfp_stream_set_reversible(stream);
            zfp_stream_set_bit_stream(stream, bits);
            zfp_stream_rewind(stream);
            match direction {
                Direction::Compress => zfp_compress(stream, field),
                Direction::Decompress => zfp_decompress(stream, field),
            }
        };
    }
    // SAFETY: each was allocated above and is used no more; free takes null as well.
    unsafe {
        zfp_field_free(field);
        zfp_stream_close(stream);
        if !bits.is_null() {
            stream_close(bits);
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use zfp_sys::zfp_stream_maximum_size;

    use super::*;
    use crate::Dtype;

    fn shapes() -> impl Iterator<Item = Shape> {
        (1..14).flat_map(|rows| (1..14).map(move |columns| Shape { dtype: Dtype::F32, rows, columns }))
    }

    #[test]
    fn the_longest_stream_is_as_long_as_zfp_says() {
        for shape in shapes() {
            let (rows, columns) = (shape.rows as usize, shape.columns as usize);
            // SAFETY: zfp only looks at the extents of the field, which has no data.
            let most = unsafe {
                let field = match rows {
                    1 => zfp_field_1d(ptr::null_mut(), zfp_type_zfp_type_float, columns),
                    _ => zfp_field_2d(ptr::null_mut(), zfp_type_zfp_type_float, columns, rows),
                };
                let stream = zfp_stream_open(ptr::null_mut());
                zfp_stream_set_reversible(stream);
                let most = zfp_stream_maximum_size(stream, field);
                zfp_field_free(field);
                zfp_stream_close(stream);
                most
            };
            // It counts a header of 148 bits, which is not written.
            let ours = 8 * most_words(shape).unwrap();
            assert!((ours..=ours + 24).contains(&most), "{shape:?}: {ours} and {most}");
        }
    }

    /// The claim that [`run`] relies on.
    #[test]
    fn no_stream_is_read_beyond_the_longest() {
        let mut state = 1u64;
        for shape in shapes() {
            for round in 0..40 {
                let most = most_words(shape).unwrap();
                let mut words = buffer(most);
                for word in &mut words {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // All ones, next to none, and anything between.
                    *word = (0..round % 8).fold(u64::MAX, |word, turn| word & state.rotate_left(23 * turn));
                }
                let mut values = vec![0; (shape.rows * shape.columns) as usize];
                assert!(run(shape, &mut values, &mut words, Direction::Decompress) <= 8 * most, "{shape:?}");
            }
        }
    }
}
