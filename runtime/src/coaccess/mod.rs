//! Where texts go in a mixture of experts, counted: [`Coaccess`](symbiote_format::Coaccess) of a model. No Vulkan.
//!
//! | file | what |
//! |---|---|
//! | `counter.rs` | [`CoaccessCounter`]: from routes to statistics |
//! | `reuse.rs` | what an LRU cache of any size would have had |
//! | `chain.rs` | experts in an order in which neighbours are used together |
//! | `warm_start.rs` | what statistics tell an oracle before the first token |

mod chain;
mod counter;
mod reuse;
mod warm_start;

pub use counter::CoaccessCounter;
