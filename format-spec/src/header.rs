//! The fixed 4 KiB header.

use crate::{FormatError, HEADER_LEN, Result, SEGMENT_ALIGN, Sha256, limits};

/// First eight bytes of every archive.
pub const MAGIC: [u8; 8] = *b"SYMBIOTE";
/// The version that this crate writes, and the newest that it reads.
pub const VERSION: u32 = 1;

const LEN: usize = 4096;
const HASH_AT: usize = LEN - 32;
const RESERVED: std::ops::Range<usize> = 80..HASH_AT;

/// The header's fields. Offsets are from the start of the file; see `SPEC.md` section 3 for the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the whole file, in bytes.
    pub file_len: u64,
    /// Where the index starts: a multiple of [`SEGMENT_ALIGN`], just after the last segment.
    pub index_offset: u64,
    /// Length of the index, in bytes. The index ends the file.
    pub index_len: u64,
    /// SHA-256 of the index.
    pub index_sha256: [u8; 32],
}

impl Header {
    /// The header of an archive whose index is `index`, starting at `index_offset`.
    pub fn new(index_offset: u64, index: &[u8]) -> Result<Self> {
        let index_len = u64::try_from(index.len()).map_err(|_| FormatError::Overflow { what: "index length" })?;
        let file_len = index_offset.checked_add(index_len).ok_or(FormatError::Overflow { what: "file length" })?;
        Ok(Self { file_len, index_offset, index_len, index_sha256: Sha256::of(index) })
    }

    /// The header's 4096 bytes.
    pub fn encode(&self) -> [u8; LEN] {
        let mut b = [0; LEN];
        b[0..8].copy_from_slice(&MAGIC);
        b[8..12].copy_from_slice(&VERSION.to_le_bytes());
        b[12..16].copy_from_slice(&4096u32.to_le_bytes());
        b[16..24].copy_from_slice(&self.file_len.to_le_bytes());
        b[24..32].copy_from_slice(&self.index_offset.to_le_bytes());
        b[32..40].copy_from_slice(&self.index_len.to_le_bytes());
        // 40..48: flags, none defined
        b[48..80].copy_from_slice(&self.index_sha256);
        let hash = Sha256::of(&b[..HASH_AT]);
        b[HASH_AT..].copy_from_slice(&hash);
        b
    }

    /// Reads and checks the header of `file`, the whole archive.
    pub fn decode(file: &[u8]) -> Result<Self> {
        let actual_len = u64::try_from(file.len()).map_err(|_| FormatError::Overflow { what: "file length" })?;
        if file.len() < 8 || file[..8] != MAGIC {
            return Err(FormatError::NotAPak);
        }
        let Some(b) = file.first_chunk::<LEN>() else {
            return Err(FormatError::Truncated { expected: HEADER_LEN, found: actual_len });
        };
        let u32_at = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;

        // The version comes before the hash, so that a newer archive is named for what it is.
        let version = u32_at(8);
        if version != VERSION {
            return Err(FormatError::UnknownVersion { found: version, newest: VERSION });
        }
        if Sha256::of(&b[..HASH_AT]) != b[HASH_AT..] {
            return Err(FormatError::HeaderCorrupt);
        }
        if u32_at(12) != 4096 {
            return Err(FormatError::HeaderLength { found: u32_at(12) });
        }
        if u64_at(40) != 0 {
            return Err(FormatError::UnknownFlags { found: u64_at(40) });
        }
        if let Some(at) = RESERVED.into_iter().find(|&at| b[at] != 0) {
            return Err(FormatError::ReservedNotZero { at });
        }

        let mut index_sha256 = [0; 32];
        index_sha256.copy_from_slice(&b[48..80]);
        let h = Self { file_len: u64_at(16), index_offset: u64_at(24), index_len: u64_at(32), index_sha256 };
        if h.index_len > limits::INDEX_BYTES {
            return Err(FormatError::AboveLimit {
                what: "index bytes",
                found: h.index_len,
                limit: limits::INDEX_BYTES,
            });
        }
        let bounded = h.index_offset.checked_add(h.index_len) == Some(h.file_len);
        if !bounded || h.index_offset < HEADER_LEN || !h.index_offset.is_multiple_of(SEGMENT_ALIGN) {
            return Err(FormatError::IndexPlace { offset: h.index_offset, len: h.index_len, file_len: h.file_len });
        }
        if actual_len < h.file_len {
            return Err(FormatError::Truncated { expected: h.file_len, found: actual_len });
        }
        if actual_len > h.file_len {
            return Err(FormatError::TrailingBytes { expected: h.file_len, found: actual_len });
        }
        Ok(h)
    }
}
