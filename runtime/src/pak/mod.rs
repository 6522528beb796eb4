//! pak
