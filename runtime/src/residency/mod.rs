//! Which pack is where, and for how long. No Vulkan: device memory is behind [`PackStore`], file bytes behind
//! [`PackSource`], so that a simulator drives millions of steps without either.
//!
//! | file | what |
//! |---|---|
//! | `tier.rs` | [`MemoryTier`]: the places a pack can be |
//! | `store.rs` | [`PackStore`]: blocks of device memory, and copies into them |
//! | `source.rs` | [`PackSource`]: where the bytes of a pack come from |
//! | `manager.rs` | [`NomadPackManager`]: the state of every pack; loads and unloads |
//! | `lease.rs` | [`Lease`]: packs that may not move while the GPU reads them |
//! | `telemetry.rs` | [`Counters`] and [`TierShare`]: what happened, and what is where |
//! | `error.rs` | [`ResidencyError`] |

mod error;
mod lease;
mod manager;
mod source;
mod store;
mod telemetry;
mod tier;

pub use error::ResidencyError;
pub use lease::Lease;
pub use manager::{MAX_BLOCK, NomadPackManager, PACK_ALIGN};
pub use source::PackSource;
pub use store::{BoxError, PackStore};
pub use telemetry::{Counters, TierShare};
pub use tier::MemoryTier;

#[cfg(test)]
mod simulator;
