//! Load, forward pass, KV cache, sampler.
//!
//! | file | what |
//! |---|---|
//! | `symbiote_engine.rs` | [`SymbioteEngine`]: open, forward |
//! | `generate.rs` | [`SymbioteEngine::generate`] |
//! | `perplexity.rs` | [`SymbioteEngine::perplexity`] |
//! | `coaccess.rs` | [`SymbioteEngine::coaccess`] |
//! | `forward.rs` | the forward pass, as one page |
//! | `weights.rs` | which rows of which packs an operation reads |
//! | `pack_table.rs` | the tables through which kernels reach them |
//! | `pack_blocks.rs`, `pack_file.rs` | packs in memory that the device reaches; packs in the file |
//! | `stages.rs` | commands, submitted as the packs that they read come |
//! | `memory_plan.rs` | budgets, and the plan of the packs |
//! | `relief.rs` | other budgets while the model is in use |
//! | `expert_pager.rs` | which experts of a mixture are brought, and which stay |
//! | `route_trace.rs` | a trace of a model |
//! | `routes.rs` | where tokens go in a mixture of experts |
//! | `state.rs` | activations, KV cache |
//! | `need.rs` | the device memory that all this will take |
//! | `kernels.rs` | which kernel variant on this device |
//! | `matrix_layout.rs`, `half_denormals.rs` | what the device is asked of what Vulkan leaves open |
//! | `shader_source.rs` | where kernels come from |
//! | `profile.rs` | time by kernel |
//! | `wires.rs` | how fast disk, link and VRAM are |
//! | `rope.rs` | angles |
//! | `sampler/`, `token_probs.rs` | the next token; how probable it was |
//! | `stop_texts.rs`, `grammar/` | texts that end an answer; what it must look like |
//! | `prompt_cache.rs` | a sequence in a file |
//! | `options.rs`, `error.rs` | settings; [`EngineError`] |

mod coaccess;
mod error;
mod expert_pager;
mod forward;
mod generate;
mod grammar;
mod half_denormals;
mod kernels;
mod matrix_layout;
mod memory_plan;
mod need;
mod options;
mod pack_blocks;
mod pack_file;
mod pack_table;
mod perplexity;
mod profile;
mod prompt_cache;
mod relief;
mod rope;
mod route_trace;
mod routes;
mod sampler;
mod shader_source;
mod stages;
mod state;
mod stop_texts;
mod symbiote_engine;
mod token_probs;
mod weights;
mod wires;

pub use coaccess::ProfileText;
pub use error::EngineError;
pub use expert_pager::{ExpertCounters, ExpertPager};
pub use generate::{Generation, Stop};
pub use grammar::Grammar;
pub use memory_plan::{MemoryPlan, USUAL_WIRES};
pub use need::Need;
pub use options::{DEFAULT_BATCH, DEFAULT_CONTEXT, GenerateOptions, KvType, Link, OpenOptions};
pub use perplexity::Perplexity;
pub use profile::{KernelTime, Profile};
pub use prompt_cache::PromptCacheError;
pub use relief::Meter;
pub use rope::Rope;
pub use routes::{RouteListener, RouteScript, Routes};
pub use sampler::{Dry, Sampler, Sampling, Step};
pub use symbiote_engine::{LoadProgress, Packs, PassListener, PassReport, SymbioteEngine};
pub use token_probs::TokenProbs;
pub use wires::measure_wires;
