//! What the whole-system suites share: the CPU oracle, fixtures and small measures.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // test support: a failure here is a failed test

pub mod blocks;
pub mod fixtures;
pub mod kernel_rig;
pub mod oracle;

/// ||a - b|| / ||b||, in f64; NaN if any element is.
pub fn relative_error(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    let norm: f64 = b.iter().map(|b| b * b).sum();
    (difference / norm).sqrt()
}
