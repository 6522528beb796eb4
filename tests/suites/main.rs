//! The whole-system suites, as one binary.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_sign_loss, missing_docs)]

mod budgets;
mod commands;
mod failures;
mod kernels;
mod logits;
mod packed_logits;
mod paging;
mod peer;
mod synthetic;
