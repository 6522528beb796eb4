//! Every kernel against plain arithmetic in f64, under Vulkan validation. Outputs are poisoned first, so that what a kernel
//! leaves unwritten shows, and what it writes beyond its rows too.
//!
//! | file | what |
//! |---|---|
//! | `expected` | what an output must hold, and the worst error of a kernel |
//! | `matmul`, `embed` | every stored type, over parts in several packs |
//! | `quant` | the kernel for quants on a GPU |
//! | `scaled` | numbers of 8 bits with factors |
//! | `packed`, `narrowed` | the same over packed parts, and over halves with exceptions |
//! | `norm`, `heads`, `attention`, `activate` | the rest of a layer |
//! | `attention_token`, `fused` | what a pass of one token does at once on a GPU |
//! | `latent` | latent attention in front of the softmax |
//! | `route`, `mixture` | the choice of experts; rows on their way to them and back |
//!
//! A kernel that relies on the size of a subgroup runs with every size of the device. Nothing else depends on the device.

mod activate;
mod attention;
mod attention_token;
mod embed;
mod expected;
mod fused;
mod heads;
mod latent;
mod matmul;
mod mixture;
mod narrowed;
mod norm;
mod packed;
mod quant;
mod route;
mod scaled;
