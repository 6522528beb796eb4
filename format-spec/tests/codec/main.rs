//! Every codec gives back what it was given, and refuses what it cannot have written.

#![allow(clippy::unwrap_used)] // a panic is how a test fails, in its helpers too

mod golden;
mod hostile;
mod naive;
mod refused;
mod round_trip;
mod weights;
