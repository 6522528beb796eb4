//! Logarithms and powers that run in vectors, the same bits everywhere.

/// 1.5 * 2^23: what is added to it is rounded to a whole number, which stands in the low bits.
const WHOLE: f32 = 12_582_912.0;

/// log2 of a normal number above 0, within 0.01.
#[inline(always)]
pub(super) fn log2(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = f32::from_bits(WHOLE.to_bits().wrapping_add(bits >> 23)) - WHOLE;
    let mantissa = f32::from_bits(bits & 0x007F_FFFF | 0x3F80_0000);
    // a parabola through (1, 0) and (2, 1)
    exponent + (2.0 - mantissa * (1.0 / 3.0)) * mantissa - (127.0 + 5.0 / 3.0)
}

/// e^x within 0.02 %, x cut to -80 to 80.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = x.clamp(-80.0, 80.0) * std::f32::consts::LOG2_E;
    let whole = x + WHOLE;
    let part = x - (whole - WHOLE);
    let power = 1.0 + part * (std::f32::consts::LN_2 + part * (0.240_227 + part * (0.055_504 + part * 0.009_618)));
    let exponent = whole.to_bits().wrapping_sub(WHOLE.to_bits()).wrapping_add(127) << 23;
    power * f32::from_bits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_near_enough() {
        for i in 0..4000_u16 {
            let x = f32::from(i) / 100.0 - 20.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 2e-4, "exp({x}) = {}", exp(x));
            assert!((log2(x.exp()) - x * std::f32::consts::LOG2_E).abs() < 0.011, "{x}");
        }
        assert!(exp(-1e9) > 0.0 && exp(1e9).is_finite());
    }
}
