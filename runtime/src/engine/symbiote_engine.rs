//! The engine: an archive, opened on a device.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::forward::Pass;
use super::kernels::{Kernels, Probed, WIDE};
use super::memory_plan::{MemoryPlan, USUAL_WIRES, rooms};
use super::need::Need;
use super::pack_blocks::PackBlocks;
use super::pack_file::{PackFile, PackJudge};
use super::pack_table::{PackTable, PartTables};
use super::relief::Meter;
use super::routes::{RouteListener, RouteScript};
use super::shader_source::BuiltIn;
use super::stages::Stages;
use super::state::{ActivationSizes, Activations, KvCache, LOGIT_ROWS, stride};
use super::weights::Weights;
use super::{
    DEFAULT_BATCH, DEFAULT_CONTEXT, EngineError, ExpertCounters, ExpertPager, KernelTime, Link, OpenOptions, Profile,
    Rope,
};
use crate::gpu::{Buffer, DeviceInfo, Gpu, ReloadReport, ShaderCache};
use crate::memory::{Pressure, resident_bytes};
use crate::pak::{AsyncPrefetcher, PakFile};
use crate::residency::{BelowCycle, Cancel, Counters, NomadPackManager, ResidencyError, Wires};
use crate::text::Tokenizer;
use symbiote_format::ModelConfig;

/// Hears of bytes as they are loaded: (so far, in all).
pub type LoadProgress = Box<dyn FnMut(u64, u64) + Send>;

/// What a pass did.
#[derive(Clone, Copy, Debug)]
pub struct PassReport {
    /// Its tokens.
    pub tokens: usize,
    /// The time that it took.
    pub time: Duration,
    /// What happened to packs meanwhile.
    pub counters: Counters,
}

/// Hears of every pass.
pub type PassListener = Box<dyn FnMut(&PassReport) + Send>;

/// Packs in the device's memory, in pinned memory and in the archive's file.
pub type Packs = NomadPackManager<PackBlocks, PackFile>;

/// A model on a device, with one sequence of tokens behind it.
pub struct SymbioteEngine {
    pak: Arc<PakFile>,
    config: ModelConfig,
    tokenizer: Option<Arc<Tokenizer>>,
    chat_template: String,
    pub(super) gpu: Gpu,
    kernels: Kernels,
    weights: Weights,
    /// The packs that the layers and the head read, in the order in which they do.
    order: [Vec<usize>; 2],
    pub(super) memory: MemoryPlan,
    pub(super) packs: Packs,
    /// Decides which experts stay, where not all of them do.
    pub(super) pager: Option<ExpertPager>,
    /// Where products find packs, and where the embedding does.
    pub(super) tables: [PackTable; 2],
    /// Reached by address only; it lives as long as the engine.
    _part_tables: PartTables,
    act: Activations,
    kv: KvCache,
    /// The main turns, and local ones where the model has them.
    ropes: Vec<Rope>,
    batch: u32,
    link: Link,
    profile: Option<RefCell<Profile>>,
    /// What others take of the memories, and who says so.
    pub(super) pressure: Pressure,
    pub(super) meter: Meter,
    pub(super) opened: Instant,
    /// Until everything that stays has been read.
    progress: Option<LoadProgress>,
    listener: Option<PassListener>,
    routes: Option<RouteListener>,
    script: Option<Box<dyn RouteScript>>,
    /// Tokens whose keys and values are in the cache.
    sequence: Vec<u32>,
    /// Reads that were over when the file was last found to be as it was opened.
    checked_reads: u64,
    /// The file was found changed: what is in memory may be of either.
    file_changed: bool,
}

impl SymbioteEngine {
    /// Opens an archive on a device and finds a place for all of it. Weights are read as the first tokens need them.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, EngineError> {
        Self::open_with(path, options, USUAL_WIRES)
    }

    /// What [`open`](Self::open) would put where; nothing is loaded. The wires decide how long rings are.
    pub fn plan(path: impl AsRef<Path>, options: &OpenOptions, wires: Wires) -> Result<MemoryPlan, EngineError> {
        Ok(Prepared::new(path.as_ref(), options, wires)?.memory)
    }

    /// As [`open`](Self::open), on a machine whose wires are known.
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions, wires: Wires) -> Result<Self, EngineError> {
        let Prepared { pak, config, tokenizer, gpu, kernels, mut weights, ropes, sizes, context, batch, memory } =
            Prepared::new(path.as_ref(), options, wires)?;
        let archived = pak.archive().index().tokenizer.as_ref();
        let chat_template = archived.map_or_else(String::new, |t| t.chat_template.as_str().to_owned());
        let free = rooms(&gpu).map(|room| room.map_or(0, |room| room.free()));
        let act = Activations::new(&gpu, &sizes)?;
        let kv = KvCache::new(&gpu, &config, context, options.kv_type)?;
        let part_tables = PartTables::new(&gpu, &mut weights)?;
        let count = memory.traffic.len();
        let tables = [PackTable::new(&gpu, count)?, PackTable::new(&gpu, count)?];

        let reader = PackFile::new(&pak, AsyncPrefetcher::open(&pak, memory.reads())?);
        let effects = (
            PackBlocks::new(gpu.clone(), options.crossings.max(1)),
            reader,
            Box::new(PackJudge::new(pak.archive())) as Box<_>,
        );
        let lengths = memory.traffic.iter().map(|p| p.len).collect();
        let residence = memory.residence(options.verify);
        let experts = config.design.experts.as_ref().map_or(0, |e| e.used);
        let (how, known) = ((options.oracle, !options.no_prefetch), pak.coaccess().cloned());
        let pager = ExpertPager::new(&weights.expert_packs(), experts, &residence, known, wires, how);
        let packs = NomadPackManager::new(lengths, residence, effects, memory.budgets(), gpu.info().max_buffer_bytes)?;
        let mut packs = packs;
        // what every token needs comes with the first one, experts as they are chosen and when nothing else is read
        packs.fill(weights.expert_packs().into_iter().flatten().flatten().copied())?;
        let profile = options.profile.then(|| Profile::new(&gpu).map(RefCell::new)).transpose()?;
        Ok(Self {
            pak,
            config,
            tokenizer,
            chat_template,
            gpu,
            kernels,
            order: [weights.layer_packs(), weights.head_packs()],
            weights,
            memory,
            packs,
            pager,
            tables,
            _part_tables: part_tables,
            act,
            kv,
            ropes,
            batch,
            link: options.link,
            profile,
            pressure: Pressure::new(free),
            meter: Box::new(rooms),
            opened: Instant::now(),
            progress: None,
            listener: None,
            routes: None,
            script: None,
            sequence: Vec::new(),
            checked_reads: 0,
            file_changed: false,
        })
    }

    /// Waits until all that stays is in its place: experts else come as they are chosen, and while nothing else is read.
    pub fn settle(&mut self) -> Result<(), EngineError> {
        Ok(self.packs.settle()?)
    }

    /// Tells `progress` of the bytes that stay in memory, as they are read.
    pub fn on_load(&mut self, progress: LoadProgress) {
        self.progress = Some(progress);
    }

    /// Tells `listener` of every pass.
    pub fn on_pass(&mut self, listener: PassListener) {
        self.listener = Some(listener);
    }

    /// Tells `listener` where tokens go in a mixture of experts.
    pub fn on_route(&mut self, listener: RouteListener) {
        self.routes = Some(listener);
    }

    /// As [`on_route`](Self::on_route), or nobody; returns who was told before.
    pub(super) fn swap_route_listener(&mut self, listener: Option<RouteListener>) -> Option<RouteListener> {
        std::mem::replace(&mut self.routes, listener)
    }

    /// Sends single tokens where `script` says.
    pub fn follow_script(&mut self, script: Box<dyn RouteScript>) {
        self.script = Some(script);
    }

    /// A pass that waits for weights ends with an error when `cancel` says so.
    pub fn cancel_on(&mut self, cancel: Cancel) {
        self.packs.cancel_on(cancel);
    }

    /// Appends `tokens` to the sequence and returns the logits after the last of them, `[vocabulary]`.
    pub fn forward(&mut self, tokens: &[u32]) -> Result<Vec<f32>, EngineError> {
        let last = tokens.len().checked_sub(1).ok_or(EngineError::EmptyPrompt)?;
        let mut logits = Vec::new();
        self.forward_from(tokens, last, &mut |_, row| logits.extend_from_slice(row))?;
        Ok(logits)
    }

    /// Appends `tokens` to the sequence and gives the logits after each of them from number `first` on, in order, as
    /// (number of the token, `[vocabulary]`).
    pub fn forward_from(
        &mut self,
        tokens: &[u32],
        first: usize,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), EngineError> {
        self.check_tokens(tokens)?;
        let before = self.sequence.len();
        let mut done = 0;
        for chunk in tokens.chunks(self.batch()) {
            let wanted = first.clamp(done, done + chunk.len()) - done..chunk.len();
            let outcome = self.pass(chunk, wanted, &mut |i, row| each(done + i, row));
            if outcome.is_err() {
                self.sequence.truncate(before);
            }
            outcome?;
            done += chunk.len();
        }
        Ok(())
    }

    /// One pass over at most `batch` tokens, with logits for those numbered `wanted`.
    fn pass(
        &mut self,
        tokens: &[u32],
        wanted: std::ops::Range<usize>,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), EngineError> {
        self.relieve()?;
        let (start, before) = (Instant::now(), self.packs.counters());
        let position = to_u32(self.sequence.len());
        self.write_inputs(tokens, position)?;

        let [layers, head] = &self.order;
        let heads = std::iter::repeat_n(head, wanted.len().div_ceil(LOGIT_ROWS as usize)).flatten();
        // what follows, as a rule, is a token
        let uses: Vec<usize> = layers.iter().chain(heads).chain(layers).chain(head).copied().collect();
        // a wider pass reads weights more than once
        self.packs.read_in_place(self.link == Link::Direct && tokens.len() <= WIDE as usize);
        let announced = self.packs.announce(&uses).map_err(EngineError::from);
        let outcome = match announced.and_then(|()| self.run(tokens, position, wanted, each)) {
            Ok(()) => self.check_file(self.packs.counters().reads > self.checked_reads),
            // what cannot be read, or is no weights, may be so because the file is another by now
            Err(error @ EngineError::Residency(ResidencyError::Source { .. })) => self.check_file(true).and(Err(error)),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.packs.forget();
        }
        outcome?;
        self.progress = None;
        self.sequence.extend_from_slice(tokens);
        if let Some(listener) = &mut self.listener {
            let counters = self.packs.counters().since(&before);
            listener(&PassReport { tokens: tokens.len(), time: start.elapsed(), counters });
        }
        Ok(())
    }

    /// What the kernels read of the tokens: their ids, positions and turns.
    fn write_inputs(&mut self, tokens: &[u32], position: u32) -> Result<(), EngineError> {
        let positions: Vec<u32> = (position..).zip(tokens).map(|(position, _)| position).collect();
        self.act.tokens.write(0, bytemuck::cast_slice(tokens))?;
        self.act.tokens.write(u64::from(self.batch) * 4, bytemuck::cast_slice(&positions))?;
        let set_bytes = u64::from(self.batch) * u64::from(self.config.rope_dims) * 4;
        for (set, rope) in (0u64..).zip(&self.ropes) {
            let mut turns = Vec::new();
            positions.iter().for_each(|position| rope.turns(*position, &mut turns));
            self.act.turns.write(set * set_bytes, bytemuck::cast_slice(&turns))?;
        }
        Ok(())
    }

    fn run(
        &mut self,
        tokens: &[u32],
        position: u32,
        wanted: std::ops::Range<usize>,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), EngineError> {
        let pass = Pass {
            config: &self.config,
            weights: &self.weights,
            kernels: &self.kernels,
            act: &self.act,
            kv: &self.kv,
            position,
            tokens: to_u32(tokens.len()),
            ids: tokens,
            batch: self.batch,
        };
        let [table, lookups] = &mut self.tables;
        let profile = self.profile.as_ref();
        let mut stages = Stages::new(&self.gpu, &mut self.packs, [table, lookups], profile)?;
        stages.tell(self.progress.as_mut(), self.memory.staying_bytes());
        stages.page_experts(self.pager.as_mut());
        stages.tell_routes(self.routes.as_mut(), self.script.as_mut());
        // the first rows of logits go with the last layers
        let begun = pass.layers(&mut stages)?;
        let mut rows = wanted;
        loop {
            let count = rows.len().min(LOGIT_ROWS as usize);
            if count > 0 {
                pass.head(&mut stages, to_u32(rows.start), to_u32(count), begun)?;
            }
            let ticket = stages.submit()?;
            stages.wait(ticket)?;
            let width = self.config.vocab_size as usize;
            let row_bytes = stride(self.config.vocab_size) as usize * 4;
            for (i, row) in rows.clone().take(count).zip(self.act.readback.bytes()?.chunks_exact(row_bytes)) {
                each(i, &bytemuck::cast_slice(row)[..width]);
            }
            rows.start += count;
            if rows.is_empty() {
                return Ok(());
            }
        }
    }

    /// Refuses what was computed if the file's bytes are no longer those that were opened; `read` says that some of them were
    /// read since this was last asked.
    fn check_file(&mut self, read: bool) -> Result<(), EngineError> {
        self.file_changed = self.file_changed || read && self.packs.reader().prefetcher().changed()?;
        self.checked_reads = self.packs.counters().reads;
        match self.file_changed {
            true => Err(EngineError::FileChanged { path: self.pak.path().to_path_buf() }),
            false => Ok(()),
        }
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), EngineError> {
        let (used, vocabulary) = (self.sequence.len(), self.config.vocab_size);
        if tokens.len() > self.kv.capacity as usize - used {
            return Err(EngineError::ContextFull { tokens: tokens.len(), used, context: self.kv.capacity });
        }
        match tokens.iter().find(|t| **t >= vocabulary) {
            Some(&token) => Err(EngineError::Token { token, vocabulary }),
            None => Ok(()),
        }
    }

    /// What every kernel took so far; none unless the options asked for it.
    pub fn kernel_times(&self) -> BTreeMap<String, KernelTime> {
        self.profile.as_ref().map_or_else(BTreeMap::new, |p| p.borrow().totals().clone())
    }

    /// Forgets all tokens but the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.sequence.truncate(len);
    }

    /// The tokens so far.
    pub fn sequence(&self) -> &[u32] {
        &self.sequence
    }

    /// The keys and values of the sequence, and a buffer of the host's to copy them through.
    pub(super) fn cache(&self) -> (&KvCache, &Buffer) {
        (&self.kv, &self.act.readback)
    }

    /// Takes `tokens` for the sequence, whose keys and values are in the cache.
    pub(super) fn adopt(&mut self, tokens: Vec<u32>) {
        self.sequence = tokens;
    }

    /// Takes over changed shader sources, between tokens. A kernel that does not compile stays as it was.
    pub fn reload_shaders(&self) -> ReloadReport {
        self.kernels.reload_changed()
    }

    /// Most tokens of one pass.
    pub fn batch(&self) -> usize {
        self.batch as usize
    }

    /// Most tokens of a sequence.
    pub fn context(&self) -> u32 {
        self.kv.capacity
    }

    /// The model's sizes.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The archive.
    pub fn pak(&self) -> &PakFile {
        &self.pak
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> Result<Arc<Tokenizer>, EngineError> {
        self.tokenizer.clone().ok_or(EngineError::NoTokenizer)
    }

    /// The template of conversations; empty where the archive has none. As it was when the archive was opened: pages of the
    /// map are gone when the file is cut off.
    pub fn chat_template(&self) -> &str {
        &self.chat_template
    }

    /// The device.
    pub fn device(&self) -> &DeviceInfo {
        self.gpu.info()
    }

    /// The device, to ask it for more.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Who is where.
    pub fn packs(&self) -> &Packs {
        &self.packs
    }

    /// What happened to experts, where not all of them stay.
    pub fn experts(&self) -> Option<ExpertCounters> {
        self.pager.as_ref().map(ExpertPager::counters)
    }

    /// What is to be said of too little room for experts.
    pub fn below_cycle(&self) -> Option<BelowCycle> {
        let (plan, cycle) = (&self.memory.plan, self.pak.archive().token_cycle_bytes()?);
        let [vram, _] = self.memory.planned();
        self.pager.as_ref().and_then(|_| BelowCycle::of("--vram", vram, plan.cache_bytes()[0], cycle))
    }

    /// What is where, and why.
    pub fn memory(&self) -> &MemoryPlan {
        &self.memory
    }
}

/// Everything that is known of an engine before it takes memory.
struct Prepared {
    pak: Arc<PakFile>,
    config: ModelConfig,
    tokenizer: Option<Arc<Tokenizer>>,
    gpu: Gpu,
    kernels: Kernels,
    weights: Weights,
    ropes: Vec<Rope>,
    sizes: ActivationSizes,
    context: u32,
    batch: u32,
    memory: MemoryPlan,
}

impl Prepared {
    fn new(path: &Path, options: &OpenOptions, wires: Wires) -> Result<Self, EngineError> {
        let pak = Arc::new(PakFile::open(path)?);
        let config = pak.config().clone();
        check(&config)?;
        let context = options.context.unwrap_or(config.context_length.min(DEFAULT_CONTEXT));
        if context == 0 || context > config.context_length {
            return Err(EngineError::Context { asked: context, least: 1, most: config.context_length });
        }
        let batch = options.batch.unwrap_or(DEFAULT_BATCH).clamp(1, context);
        let gpu = Gpu::open(&options.gpu)?;
        let open_device = resident_bytes();
        let archived = pak.archive().index().tokenizer.as_ref();
        let tokenizer = archived.map(|t| Tokenizer::from_archive(t, config.vocab_size)).transpose()?.map(Arc::new);
        let cache = ShaderCache::new(&gpu, BuiltIn, options.shader_dir.clone())?;
        let probed = Probed::new(&gpu, &cache, pak.archive().index())?;
        let kernels = Kernels::new(cache, gpu.info(), probed, options.like_gpu);
        let mut weights = Weights::new(pak.archive(), &kernels)?;
        let main = Rope::new(&config, context, &weights.rope_factors);
        let ropes = [main].into_iter().chain(Rope::local(&config, context)).collect();
        let splits = kernels.attention_splits();
        let sizes = Activations::sizes(&config, batch, splits, probed.matrices && weights.packed());
        let layers = (0..config.layer_count).map(|_| KvCache::layer_bytes(&config, context, options.kv_type));
        let need = Need::new(&gpu, pak.archive().index(), &mut weights, &sizes, layers);
        let traffic = weights.traffic(pak.archive().index(), config.design.experts.as_ref().map_or(0, |e| e.used));
        let held = options.ram_held.unwrap_or_else(|| resident_bytes().saturating_sub(open_device));
        let memory = MemoryPlan::new(&gpu, traffic, need, context, (held, pak.archive().file_len()), options, wires)?;
        Ok(Self { pak, config, tokenizer, gpu, kernels, weights, ropes, sizes, context, batch, memory })
    }
}

/// What the kernels ask of a model.
fn check(c: &ModelConfig) -> Result<(), EngineError> {
    let sizes = [("the head size", c.head_dim), ("the size of a head of values", c.value_dim())];
    match sizes.into_iter().find(|(_, size)| size % 4 != 0) {
        None => Ok(()),
        Some((what, found)) => Err(EngineError::Size { what, found, multiple: 4 }),
    }
}

/// A count of tokens, which a context keeps far below 2^32.
fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
