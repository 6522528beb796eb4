//! Sizes in bytes, as people write and read them.

/// Reads `16MiB`, `16M`, `1.5GiB`, `500MB`, `4096`. `K`, `M`, `G` and `KiB`, `MiB`, `GiB` are powers of 1024; `KB`, `MB`,
/// `GB` are powers of 1000.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let refuse = || format!("{text:?} is not a size: write it like 16MiB, 500MB or 1048576");
    let text_trimmed = text.trim();
    let digits = text_trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text_trimmed.len());
    let (number, unit) = text_trimmed.split_at(digits);
    let unit: u32 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(refuse()),
    };
    let bytes = number.parse::<f64>().map_err(|_| refuse())? * f64::from(unit);
    if !(0.0..9e15).contains(&bytes) {
        return Err(refuse());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked just above; exact below 2^53
    Ok(bytes as u64)
}

/// `bytes` in the largest fitting unit of 1024, with one decimal.
pub fn format_size(bytes: u64) -> String {
    let (mut unit, mut names) = (1u64, ["B", "KiB", "MiB", "GiB", "TiB"].into_iter());
    let mut name = names.next().unwrap_or_default();
    while bytes / unit >= 1024 {
        let Some(larger) = names.next() else { break };
        (unit, name) = (unit * 1024, larger);
    }
    match unit {
        1 => format!("{bytes} {name}"),
        _ => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("16MiB", 16 << 20),
            ("16M", 16 << 20),
            ("1.5 GiB", 3 << 29),
            ("500MB", 500_000_000),
            ("4096", 4096),
            ("0", 0),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1 parsec", "-1", "1e3", "1.2.3", "99999999999999999999G"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_printed_in_the_largest_unit() {
        assert_eq!(format_size(0), "0 B");
        assert_eq!(format_size(1023), "1023 B");
        assert_eq!(format_size(1536), "1.5 KiB");
        assert_eq!(format_size(16 << 20), "16.0 MiB");
        assert_eq!(format_size(3 << 40), "3.0 TiB");
        assert!(format_size(u64::MAX).ends_with("TiB"));
    }
}
