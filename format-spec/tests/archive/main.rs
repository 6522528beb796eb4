//! Archives whole, damaged, hostile and golden.

#![allow(clippy::unwrap_used)] // a panic is how a test fails, in its helpers too

#[path = "../support/mod.rs"]
mod support;

mod bad_files;
mod coaccess;
mod damage;
mod golden;
mod hostile;
mod independent_reader;
mod layout;
