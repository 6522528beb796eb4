//! Numbers of 8 bits.

use half::f16;

/// Sign, four bits of exponent, three of mantissa; no infinities, and NaN where all but the sign are ones.
pub fn e4m3(byte: u8) -> f32 {
    let (sign, rest) = (u16::from(byte & 0x80) << 8, u16::from(byte & 0x7F));
    if rest == 0x7F {
        return f16::from_bits(sign | 0x7E00).to_f32();
    }
    // an f16 has 2^8 times the bias
    f16::from_bits(sign | rest << 7).to_f32() * 256.0
}

/// The upper half of an f16.
pub fn e5m2(byte: u8) -> f32 {
    f16::from_bits(u16::from(byte) << 8).to_f32()
}
