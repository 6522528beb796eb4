//! Tables of points, which the IQ1, IQ2 and IQ3 types refer to by number.

use crate::Dtype;

/// The points that `dtype` refers to, if it refers to any: two bits an element (IQ1, IQ2) or four (IQ3).
pub fn grid(dtype: Dtype) -> Option<&'static [u16]> {
    Some(match dtype {
        Dtype::Iq1S | Dtype::Iq1M => &IQ1,
        Dtype::Iq2Xxs => &IQ2_XXS,
        Dtype::Iq2Xs => &IQ2_XS,
        Dtype::Iq2S => &IQ2_S,
        Dtype::Iq3Xxs => &IQ3_XXS,
        Dtype::Iq3S => &IQ3_S,
        _ => return None,
    })
}

pub(super) static IQ1: [u16; 2048] = read(include_bytes!("../../grids/iq1.grid"));
pub(super) static IQ2_XXS: [u16; 256] = read(include_bytes!("../../grids/iq2_xxs.grid"));
pub(super) static IQ2_XS: [u16; 512] = read(include_bytes!("../../grids/iq2_xs.grid"));
pub(super) static IQ2_S: [u16; 1024] = read(include_bytes!("../../grids/iq2_s.grid"));
pub(super) static IQ3_XXS: [u16; 256] = read(include_bytes!("../../grids/iq3_xxs.grid"));
pub(super) static IQ3_S: [u16; 512] = read(include_bytes!("../../grids/iq3_s.grid"));

/// The numbers of a file, each written as `0x`, four digits, a comma (but the last) and a space or line break.
const fn read<const N: usize>(text: &[u8]) -> [u16; N] {
    assert!(text.len() == 8 * N - 1);
    let mut numbers = [0; N];
    let mut i = 0;
    while i < N {
        let mut j = 2;
        while j < 6 {
            numbers[i] = numbers[i] << 4 | digit(text[8 * i + j]);
            j += 1;
        }
        i += 1;
    }
    numbers
}

const fn digit(c: u8) -> u16 {
    match c {
        b'0'..=b'9' => (c - b'0') as u16,
        b'a'..=b'f' => (c - b'a' + 10) as u16,
        _ => panic!("a hexadecimal digit"),
    }
}
