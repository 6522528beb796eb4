//! Which pack is where, and for how long. No Vulkan: device memory is behind [`PackStore`], file bytes behind
//! [`PackReader`], so that a simulator drives millions of steps without either.
//!
//! | file | what |
//! |---|---|
//! | `tier.rs` | [`MemoryTier`]: the places a pack can be |
//! | `scheduler.rs` | [`PackScheduler`]: what is read, copied and overwritten next; pure |
//! | `scheduler/guests.rs` | what caches take in, and what is read while nobody asks |
//! | `manager.rs` | [`NomadPackManager`]: the state of every pack, and the acts that change it |
//! | `manager/caches.rs` | places that packs take turns in |
//! | `manager/replan.rs` | from one plan to another while a model is in use |
//! | `pool.rs` | one tier's blocks and their budget |
//! | `store.rs` | [`PackStore`], [`PackReader`], [`PackCheck`]: the effects that it needs |
//! | `lease.rs` | [`Lease`]: packs that may not move while the GPU reads them |
//! | `plan.rs` | [`Plan`]: which pack lives where and how large the rings are; what that is made from |
//! | `planner.rs` | [`plan`]: chooses them |
//! | `mixture_planner.rs` | the same for mixtures of experts: what every token needs, and caches for the rest |
//! | `spread.rs` | some of a row of packs, evenly |
//! | `forecast.rs` | [`Forecast`]: how fast a plan can be at best |
//! | `experts/` | which experts of a mixture a cache of slots keeps |
//! | `oracle.rs` | [`VitalityOracle`]: when a pack is expected to be needed next |
//! | `telemetry.rs` | [`Counters`] and [`TierShare`]: what happened, and what is where |
//! | `token_cycle.rs` | [`BelowCycle`]: a budget under which no expert stays |
//! | `link_telemetry.rs` | [`LinkTelemetry`]: what a transfer costs, and which ones hide behind a step |
//! | `error.rs` | [`ResidencyError`] |

mod error;
pub mod experts;
mod forecast;
mod lease;
mod link_telemetry;
mod manager;
mod mixture_planner;
mod oracle;
mod plan;
mod planner;
mod pool;
mod scheduler;
mod spread;
mod store;
mod telemetry;
mod tier;
mod token_cycle;

pub use error::ResidencyError;
pub use forecast::{Forecast, Wire, WireLoad, Wires};
pub use lease::Lease;
pub use link_telemetry::{AheadBudget, LinkTelemetry};
pub use manager::{Cancel, Load, MAX_BLOCK, NomadPackManager, PACK_ALIGN, Residence};
pub use oracle::{DensePass, VitalityOracle};
pub use plan::{Limits, Need, PackTraffic, Plan, TooSmall};
pub use planner::{plan, replan};
pub use scheduler::{Action, Blocked, PackScheduler, Passed, Spot};
pub use store::{BoxError, Location, PackCheck, PackReader, PackStore};
pub use telemetry::{Counters, TierShare};
pub use tier::MemoryTier;
pub use token_cycle::BelowCycle;

#[cfg(test)]
mod planner_laws;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod wires;
