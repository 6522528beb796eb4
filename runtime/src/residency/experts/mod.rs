//! Which experts of a mixture a cache of slots keeps. Pure: the live manager and a replay of a recorded trace decide by the
//! same code.
//!
//! | file | what |
//! |---|---|
//! | `shape.rs` | [`ExpertShape`]: how experts are numbered |
//! | `policy.rs`, `clock.rs` | [`ExpertPolicy`]: what a cache asks before it gives a slot away; [`Clock`]: where the tokens are |
//! | `cache.rs` | [`ExpertCache`]: who holds which slot |
//! | `kind.rs` | [`OracleKind`]: the policies by name, and [`WarmStart`]: what they may know beforehand |
//! | `next_use.rs` | [`NextUse`]: learns when an expert is needed next |
//! | `usage.rs`, `pairs.rs`, `ranks.rs` | what it knows: uses, which experts follow which, what a router run early means |
//! | `network.rs`, `approximate.rs` | the network that it learns with; logarithms and powers for that |
//! | `guarded.rs` | [`Guarded`]: LRU decides where it would have been better |
//! | `age_frequency.rs`, `classic.rs`, `lru.rs`, `lfu.rs`, `pin.rs` | policies to compare with |

mod age_frequency;
mod approximate;
mod cache;
mod classic;
mod clock;
mod guarded;
mod kind;
mod lfu;
mod lru;
mod network;
mod next_use;
mod pairs;
mod pin;
mod policy;
mod ranks;
mod shape;
mod usage;

pub use age_frequency::AgeFrequency;
pub use cache::{Admission, ExpertCache};
pub use classic::Classic;
pub use clock::Clock;
pub use guarded::Guarded;
pub use kind::{Follows, OracleKind, WarmStart, policy};
pub use lfu::Lfu;
pub use lru::Lru;
pub use network::WEIGHTS;
pub use next_use::NextUse;
pub use pin::Pin;
pub use policy::ExpertPolicy;
pub use shape::ExpertShape;
