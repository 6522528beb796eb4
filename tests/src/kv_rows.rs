//! Rows of the KV cache as `kv.glsl` lays them out, on the host.

use half::f16;

/// Bytes of a row of `head_dim` elements of `kv_bytes` bytes.
pub fn row_bytes(head_dim: usize, kv_bytes: usize) -> usize {
    match kv_bytes {
        1 => (head_dim + 2 * head_dim.div_ceil(32)).next_multiple_of(4),
        bytes => head_dim * bytes,
    }
}

/// A row with its elements stored, and what is read back.
pub fn store(row: &[f32], kv_bytes: usize) -> (Vec<u8>, Vec<f32>) {
    match kv_bytes {
        4 => (row.iter().flat_map(|x| x.to_le_bytes()).collect(), row.to_vec()),
        2 => {
            let halves = row.iter().map(|x| f16::from_f32(*x));
            (halves.clone().flat_map(f16::to_le_bytes).collect(), halves.map(f16::to_f32).collect())
        }
        _ => {
            let (mut bytes, mut scales, mut values) = (Vec::new(), Vec::new(), Vec::new());
            for block in row.chunks(32) {
                let most = block.iter().fold(0f32, |most, x| most.max(x.abs()));
                let scale = f16::from_f32(most / 127.0);
                for x in block {
                    let q = (x / scale.to_f32()).round().clamp(-127.0, 127.0);
                    bytes.push((q as i8).cast_unsigned());
                    values.push(q * scale.to_f32());
                }
                scales.extend(scale.to_le_bytes());
            }
            bytes.extend(scales);
            bytes.resize(row_bytes(row.len(), 1), 0);
            (bytes, values)
        }
    }
}

/// What a row of bytes holds.
pub fn load_bytes(row: &[u8], head_dim: usize) -> Vec<f64> {
    let scale = |d: usize| {
        let at = head_dim + d / 32 * 2;
        f16::from_le_bytes([row[at], row[at + 1]]).to_f64()
    };
    (0..head_dim).map(|d| f64::from(row[d].cast_signed()) * scale(d)).collect()
}

/// The elements of rows of bytes; none where the row is still `poison`.
pub fn elements(words: &[u32], head_dim: usize, poison: u32) -> Vec<Option<f64>> {
    let row = |words: &[u32]| match words.iter().all(|word| *word == poison) {
        true => vec![None; head_dim],
        false => load_bytes(bytemuck::cast_slice(words), head_dim).into_iter().map(Some).collect(),
    };
    words.chunks_exact(row_bytes(head_dim, 1) / 4).flat_map(row).collect()
}
