//! What this process holds in RAM, and what the machine has left, by the kernel's account. Zero and unknown where there is no
//! `/proc`.

/// Bytes of RAM that this process holds now.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kibibytes(&status, "VmRSS:").unwrap_or(0)
}

/// The most bytes of RAM that this process has held.
pub fn peak_resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kibibytes(&status, "VmHWM:").unwrap_or(0)
}

/// Bytes of RAM that new work can have without swapping.
pub fn available_bytes() -> Option<u64> {
    kibibytes(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// The value of a line like `VmRSS:     1234 kB`, in bytes.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_in_bytes() {
        assert_eq!(kibibytes("Name:\tx\nVmRSS:\t    1234 kB\n", "VmRSS:"), Some(1234 * 1024));
        assert_eq!(kibibytes("VmRSS:\tmany kB\n", "VmRSS:"), None);
        assert_eq!(kibibytes("", "VmRSS:"), None);
    }

    #[test]
    fn what_is_touched_is_held() {
        let before = resident_bytes();
        let touched = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(resident_bytes() >= before + (60 << 20), "{}", touched.len());
        assert!(peak_resident_bytes() >= resident_bytes());
    }
}
