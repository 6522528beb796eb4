//! Where things lie in memory, and how much of it there is. No Vulkan: ranges are numbers.
//!
//! | file | what |
//! |---|---|
//! | `tree.rs` | the binary tree of free and used nodes of one block |
//! | `allocator.rs` | [`FractalMemoryAllocator`]: ranges in many blocks, and their books |
//! | `defragment.rs` | [`Move`]: a plan that closes the holes |
//! | `account.rs` | [`Account`] and [`LeakReport`]: who holds how much |
//! | `budget.rs` | [`Budget`]: a hard cap |
//! | `pressure.rs` | [`Pressure`]: memory that others take meanwhile |
//! | `process.rs` | what the process holds, by the kernel's account |

mod account;
mod allocator;
mod budget;
mod defragment;
mod pressure;
mod process;
mod tree;

pub use account::{Account, Holder, LeakReport};
pub use allocator::{AllocError, FractalMemoryAllocator, NODE, Range};
pub use budget::{Budget, OverBudget};
pub use defragment::Move;
pub use pressure::{Pressure, Reading, Room, margin};
pub use process::{available_bytes, peak_resident_bytes, resident_bytes};
pub use symbiote_format::{ByteSize, ByteSizeError};

#[cfg(test)]
mod oracle;
