//! Which experts of a mixture a cache of slots keeps. Pure: the live manager and a replay of a recorded trace decide by the
//! same code.
//!
//! | file | what |
//! |---|---|
//! | `shape.rs` | [`ExpertShape`]: how experts are numbered |
//! | `policy.rs` | [`ExpertPolicy`]: what a cache asks before it gives a slot away |
//! | `cache.rs` | [`ExpertCache`]: who holds which slot |
//! | `kind.rs` | [`OracleKind`]: the policies by name, and [`WarmStart`]: what they may know beforehand |
//! | `lru.rs`, `pin.rs` | policies that predict nothing |

mod cache;
mod kind;
mod lru;
mod pin;
mod policy;
mod shape;

pub use cache::{Admission, ExpertCache};
pub use kind::{Follows, OracleKind, WarmStart, policy};
pub use lru::Lru;
pub use pin::Pin;
pub use policy::ExpertPolicy;
pub use shape::ExpertShape;
