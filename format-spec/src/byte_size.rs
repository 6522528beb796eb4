//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, read from `16MiB`, `8GiB`, `8GB`, `512M`, `1.5G` or `4096`.
///
/// `KiB`, `MiB`, `GiB`, `TiB` and the bare letters are powers of 1024; `KB`, `MB`, `GB`, `TB` are powers of 1000. Case does
/// not matter, and a space may stand before the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

/// A text that is no size.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ByteSizeError {
    /// No number in front.
    #[error("{0:?} is not a size: write a number and a unit, such as 16MiB, 8GB or 4096")]
    Number(String),
    /// A unit that is none.
    #[error("{text:?}: {unit:?} is not a unit of size; use B, KiB, MiB, GiB, TiB or KB, MB, GB, TB")]
    Unit {
        /// The whole text.
        text: String,
        /// What stands for a unit.
        unit: String,
    },
    /// 2^64 bytes or more.
    #[error("{0:?} is more than 64 bits can count")]
    TooLarge(String),
}

const PREFIXES: [char; 4] = ['k', 'm', 'g', 't'];

fn unit(text: &str) -> Option<u128> {
    let text = text.to_ascii_lowercase();
    let (base, prefix): (u128, &str) = match text.strip_suffix("ib") {
        Some(prefix) => (1024, prefix),
        None => match text.strip_suffix('b') {
            Some("") => return Some(1),
            Some(prefix) => (1000, prefix),
            None if text.is_empty() => return Some(1),
            None => (1024, &text),
        },
    };
    let mut letters = prefix.chars();
    let power = letters.next().and_then(|letter| PREFIXES.iter().position(|p| *p == letter))?;
    letters.next().is_none().then(|| (0..=power).fold(1, |n, _| n * base))
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, rest) = trimmed.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let bad = || ByteSizeError::Number(text.into());
        let large = || ByteSizeError::TooLarge(text.into());
        // Digits beyond the twelfth behind the point are below a byte of every unit.
        let fraction = fraction.get(..12).unwrap_or(fraction);
        if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
            return Err(bad());
        }
        let name = rest.trim_start();
        let unit = unit(name).ok_or_else(|| ByteSizeError::Unit { text: text.into(), unit: name.into() })?;
        let whole: u64 = whole.parse().map_err(|_| large())?;
        let scale = fraction.chars().fold(1u128, |n, _| n * 10);
        let fraction: u128 = fraction.parse().map_err(|_| bad())?;
        let bytes = u128::from(whole) * unit + fraction * unit / scale;
        u64::try_from(bytes).map(Self).map_err(|_| large())
    }
}

impl fmt::Display for ByteSize {
    /// In the largest binary unit that leaves a number of 1 or more, with one decimal where it is not whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut divisor, mut unit) = (1u64, "B");
        for name in ["KiB", "MiB", "GiB", "TiB"] {
            if self.0 / divisor < 1024 {
                break;
            }
            (divisor, unit) = (divisor * 1024, name);
        }
        let decimals = if self.0.is_multiple_of(divisor) { 0 } else { 1 };
        f.pad(&format!("{:.decimals$} {unit}", self.0 as f64 / divisor as f64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tables_line_up() {
        assert_eq!(format!("{:>10}|{:<9}|", ByteSize(1536), ByteSize(1 << 30)), "   1.5 KiB|1 GiB    |");
    }

    fn bytes(text: &str) -> u64 {
        text.parse::<ByteSize>().unwrap().0
    }

    #[test]
    fn people_write_sizes_in_many_ways() {
        assert_eq!(bytes("16MiB"), 16 << 20);
        assert_eq!(bytes("8GiB"), 8 << 30);
        assert_eq!(bytes("8GB"), 8_000_000_000);
        assert_eq!(bytes("512M"), 512 << 20);
        assert_eq!(bytes("4096"), 4096);
        assert_eq!(bytes(" 1.5 gib "), 3 << 29);
        assert_eq!(bytes("0.1K"), 102);
        assert_eq!(bytes("12b"), 12);
        assert_eq!(bytes("0"), 0);
        assert_eq!(bytes("18446744073709551615"), u64::MAX);
    }

    #[test]
    fn nonsense_is_refused() {
        let error = |text: &str| text.parse::<ByteSize>().unwrap_err();
        for text in ["", "MiB", "-1", ".5G", "1.", "1.2.3", "..", "1..2M"] {
            assert_eq!(error(text), ByteSizeError::Number(text.into()), "{text}");
        }
        for text in ["1X", "1KBB", "1 Mi", "1eb", "1e9", "1 G B", "5ib", "1kk"] {
            assert!(matches!(error(text), ByteSizeError::Unit { .. }), "{text}");
        }
        for text in ["18446744073709551616", "16777216T", "99999999999999999999999999"] {
            assert_eq!(error(text), ByteSizeError::TooLarge(text.into()));
        }
    }

    #[test]
    fn sizes_are_printed_in_binary_units() {
        let print = |n: u64| ByteSize(n).to_string();
        assert_eq!(print(0), "0 B");
        assert_eq!(print(1023), "1023 B");
        assert_eq!(print(1536), "1.5 KiB");
        assert_eq!(print(8 << 30), "8 GiB");
        assert_eq!(print((8 << 30) + 1), "8.0 GiB");
        assert_eq!(print(u64::MAX), "16777216.0 TiB");
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_an_error(text in "\\PC*") {
            let _ = text.parse::<ByteSize>();
        }

        #[test]
        fn what_is_printed_is_read_back_closely(n in 0..1u64 << 50) {
            let read = bytes(&ByteSize(n).to_string());
            prop_assert!(read.abs_diff(n) <= n / 10);
        }
    }
}
