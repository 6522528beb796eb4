//! Elements of the plain types as bits, and their exact forms in bf16.

use half::{bf16, f16};

use crate::Dtype;

/// The bits of element `i`.
pub(super) fn get(dtype: Dtype, raw: &[u8], i: usize) -> u32 {
    match dtype {
        Dtype::F32 => u32::from_le_bytes([raw[4 * i], raw[4 * i + 1], raw[4 * i + 2], raw[4 * i + 3]]),
        _ => u16::from_le_bytes([raw[2 * i], raw[2 * i + 1]]).into(),
    }
}

/// Makes `bits` element `i`.
pub(super) fn set(dtype: Dtype, raw: &mut [u8], i: usize, bits: u32) {
    match dtype {
        Dtype::F32 => raw[4 * i..][..4].copy_from_slice(&bits.to_le_bytes()),
        _ => raw[2 * i..][..2].copy_from_slice(&bits.to_le_bytes()[..2]),
    }
}

/// The bf16 with the value of `bits`, if there is one; not for F16's infinities and NaN, which are no weights.
pub(super) fn narrow(dtype: Dtype, bits: u32) -> Option<u16> {
    let single = match dtype {
        Dtype::F32 => bits,
        Dtype::F16 => {
            let value = f16::from_bits(u16::try_from(bits).ok()?);
            value.is_finite().then(|| value.to_f32().to_bits())?
        }
        _ => bits << 16,
    };
    let upper = u16::try_from(single >> 16).ok()?;
    (single & 0xFFFF == 0).then_some(upper)
}

/// The bits of a finite bf16, if the type has its value.
pub(super) fn widen(dtype: Dtype, value: u16) -> Option<u32> {
    match dtype {
        Dtype::F32 => Some(u32::from(value) << 16),
        Dtype::F16 => {
            let half = f16::from_f32(bf16::from_bits(value).to_f32()).to_bits().into();
            (narrow(dtype, half) == Some(value)).then_some(half)
        }
        _ => Some(value.into()),
    }
}
