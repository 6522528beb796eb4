//! What the whole-system suites share: the CPU oracle, fixtures and small measures.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // test support: a failure here is a failed test

pub mod blocks;
pub mod fixtures;
pub mod gguf;
pub mod golden;
pub mod kernel_rig;
pub mod kv_rows;
pub mod near_halves;
pub mod oracle;
pub mod program;

/// ||a - b|| / ||b||, in f64; NaN if any element is.
pub fn relative_error(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    let norm: f64 = b.iter().map(|b| b * b).sum();
    (difference / norm).sqrt()
}
