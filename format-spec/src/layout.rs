//! Layout arithmetic: where segments and parts must lie. Reader and writer share it, so they cannot disagree.

use crate::{FormatError, Part, Result};

/// Length of the header, and offset of the first segment.
pub const HEADER_LEN: u64 = 4096;
/// Segments and the index start at multiples of this (a page, and what O_DIRECT asks for).
pub const SEGMENT_ALIGN: u64 = 4096;
/// Parts start at multiples of this inside their segment (a cache line pair; the widest GPU load is 16 bytes).
pub const PART_ALIGN: u64 = 256;

/// `n` rounded up to a multiple of `align` (a power of two); `None` on overflow.
pub fn align_up(n: u64, align: u64) -> Option<u64> {
    debug_assert!(align.is_power_of_two());
    Some(n.checked_add(align - 1)? & !(align - 1))
}

/// Sets the offset of every part of one pack, in order, and returns the pack's length in bytes.
pub fn lay_out_parts(parts: &mut [Part]) -> Result<u64> {
    let mut end = 0u64;
    for part in parts {
        part.offset = align_up(end, PART_ALIGN).ok_or(FormatError::Overflow { what: "pack length" })?;
        end = part.offset.checked_add(part.coded_len).ok_or(FormatError::Overflow { what: "pack length" })?;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn align_up_rounds_and_refuses_overflow() {
        assert_eq!(align_up(0, 4096), Some(0));
        assert_eq!(align_up(1, 4096), Some(4096));
        assert_eq!(align_up(4096, 4096), Some(4096));
        assert_eq!(align_up(u64::MAX - 4095, 4096), Some(u64::MAX - 4095));
        assert_eq!(align_up(u64::MAX - 4094, 4096), None);
    }
}
