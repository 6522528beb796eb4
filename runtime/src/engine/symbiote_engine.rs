//! The engine: an archive, opened on a device.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::forward::Pass;
use super::kernels::Kernels;
use super::matrix_layout;
use super::need::Need;
use super::pack_blocks::PackBlocks;
use super::pack_table::{PackTable, PartTables};
use super::shader_source::BuiltIn;
use super::state::{Activations, KvCache, LOGIT_ROWS, stride};
use super::weights::{Operation, Weights};
use super::{DEFAULT_BATCH, DEFAULT_CONTEXT, EngineError, KernelTime, OpenOptions, Profile, Rope};
use crate::gpu::{DeviceInfo, Gpu, QueueKind, Recorder, ReloadReport, ShaderCache, Ticket};
use crate::memory::Budget;
use crate::pak::PakFile;
use crate::residency::{Lease, NomadPackManager};
use crate::text::Tokenizer;
use symbiote_format::ModelConfig;

/// Hears of bytes as they are loaded: (so far, in all).
pub type LoadProgress<'a> = &'a mut dyn FnMut(u64, u64);

/// A model on a device, with one sequence of tokens behind it.
pub struct SymbioteEngine {
    pak: PakFile,
    config: ModelConfig,
    tokenizer: Option<Arc<Tokenizer>>,
    gpu: Gpu,
    kernels: Kernels,
    weights: Weights,
    packs: NomadPackManager<PackBlocks>,
    pack_table: PackTable,
    /// Reached by address only; it lives as long as the engine.
    _part_tables: PartTables,
    act: Activations,
    kv: KvCache,
    rope: Rope,
    batch: u32,
    profile: Option<RefCell<Profile>>,
    /// Tokens whose keys and values are in the cache.
    sequence: Vec<u32>,
}

impl SymbioteEngine {
    /// Opens an archive on a device and loads it.
    pub fn open(
        path: impl AsRef<Path>,
        options: &OpenOptions,
        progress: LoadProgress<'_>,
    ) -> Result<Self, EngineError> {
        let pak = PakFile::open(path)?;
        let config = pak.config().clone();
        check(pak.archive().index().architecture.as_str(), &config)?;
        let context = options.context.unwrap_or(config.context_length.min(DEFAULT_CONTEXT));
        if context == 0 || context > config.context_length {
            return Err(EngineError::Context { asked: context, least: 1, most: config.context_length });
        }
        let batch = options.batch.unwrap_or(DEFAULT_BATCH).clamp(1, context);
        let archived = pak.archive().index().tokenizer.as_ref();
        let tokenizer = archived.map(|t| Tokenizer::from_archive(t, config.vocab_size)).transpose()?.map(Arc::new);

        let gpu = Gpu::open(&options.gpu)?;
        let cache = ShaderCache::new(&gpu, BuiltIn, options.shader_dir.clone())?;
        let matrices = matrix_layout::as_expected(&gpu, &cache)?;
        let kernels = Kernels::new(cache, gpu.info(), matrices);
        let mut weights = Weights::new(pak.archive(), kernels.tile_rows())?;
        let rope = Rope::new(&config, context, &weights.rope_factors);
        let splits = kernels.attention_splits();
        let sizes = Activations::sizes(&config, batch, splits, matrices && weights.packed());
        let layers = (0..config.layer_count).map(|_| KvCache::layer_bytes(&config, context, options.kv_type));
        let need = Need::new(&gpu, pak.archive().index(), &mut weights, &sizes, layers);
        need.check(&gpu, context, options.gpu.vram_cap.is_some())?;
        let act = Activations::new(&gpu, sizes)?;
        let kv = KvCache::new(&gpu, &config, context, options.kv_type)?;
        let part_tables = PartTables::new(&gpu, &mut weights)?;
        let archive = pak.archive();
        let pack_table = PackTable::new(&gpu, archive.index().packs.len())?;

        let lengths: Vec<u64> = archive.index().packs.iter().map(|p| p.len.to_native()).collect();
        let all = lengths.iter().sum();
        let budget = Budget::new(gpu.memory_available());
        let largest = gpu.info().max_buffer_bytes;
        let mut packs = NomadPackManager::new(lengths, PackBlocks::new(gpu.clone()), budget).with_max_block(largest);
        let mut loaded = 0;
        packs.load_all(archive, options.verify, &mut |bytes| {
            loaded += bytes;
            progress(loaded, all);
        })?;
        let profile = options.profile.then(|| Profile::new(&gpu).map(RefCell::new)).transpose()?;
        let sequence = Vec::new();
        Ok(Self {
            pak,
            config,
            tokenizer,
            gpu,
            kernels,
            weights,
            packs,
            pack_table,
            _part_tables: part_tables,
            act,
            kv,
            rope,
            batch,
            profile,
            sequence,
        })
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
        let position = to_u32(self.sequence.len());
        let mut turns = Vec::new();
        (position..).zip(tokens).for_each(|(p, _)| self.rope.turns(p, &mut turns));
        self.act.tokens.write(0, bytemuck::cast_slice(tokens))?;
        self.act.turns.write(0, bytemuck::cast_slice(&turns))?;

        let leases = self.lease_all()?;
        let outcome = self.run(tokens, position, wanted, each);
        let passed = self.gpu.latest(QueueKind::Compute).value();
        leases.into_iter().for_each(|lease| self.packs.release(lease, passed));
        outcome?;
        self.packs.completed(passed);
        self.sequence.extend_from_slice(tokens);
        Ok(())
    }

    fn run(
        &self,
        tokens: &[u32],
        position: u32,
        wanted: std::ops::Range<usize>,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), EngineError> {
        let pass = Pass {
            config: &self.config,
            weights: &self.weights,
            packs: self.pack_table.address(),
            kernels: &self.kernels,
            act: &self.act,
            kv: &self.kv,
            position,
            tokens: to_u32(tokens.len()),
            profile: self.profile.as_ref(),
        };
        // The first rows of logits go with the layers, so that a decoded token is one submission.
        let mut recorder = self.recorder("pass")?;
        pass.layers(&mut recorder)?;
        let mut rows = wanted;
        loop {
            let count = rows.len().min(LOGIT_ROWS as usize);
            if count > 0 {
                pass.head(&mut recorder, to_u32(rows.start), to_u32(count))?;
            }
            let ticket = self.submit(recorder)?;
            self.gpu.wait(ticket)?;
            self.profile.as_ref().map_or(Ok(()), |p| p.borrow_mut().collect())?;
            let width = self.config.vocab_size as usize;
            let row_bytes = stride(self.config.vocab_size) as usize * 4;
            for (i, row) in rows.clone().take(count).zip(self.act.readback.bytes()?.chunks_exact(row_bytes)) {
                each(i, &bytemuck::cast_slice(row)[..width]);
            }
            rows.start += count;
            if rows.is_empty() {
                return Ok(());
            }
            recorder = self.recorder("head")?;
        }
    }

    /// Leases every pack, an operation at a time, and tells the kernels where they are.
    fn lease_all(&mut self) -> Result<Vec<Lease>, EngineError> {
        let w = &self.weights;
        let mut leases = Vec::new();
        let mut lease = |packs: &[usize]| -> Result<(), EngineError> {
            let lease = self.packs.lease(packs)?;
            self.pack_table.set(&lease);
            leases.push(lease);
            Ok(())
        };
        lease(&w.embedding.packs)?;
        for layer in &w.layers {
            lease(&[layer.attention_norm.pack as usize, layer.ffn_norm.pack as usize])?;
            let operations: [&Operation; 4] = [&layer.qkv, &layer.output, &layer.gate_up, &layer.down];
            operations.into_iter().try_for_each(|o| lease(&o.packs))?;
        }
        lease(&[w.output_norm.pack as usize])?;
        lease(&w.head.packs)?;
        self.pack_table.flush(&self.gpu)?;
        Ok(leases)
    }

    fn recorder(&self, name: &str) -> Result<Recorder, EngineError> {
        let mut recorder = self.gpu.recorder(name)?;
        if let Some(profile) = &self.profile {
            profile.borrow_mut().start(&mut recorder);
        }
        Ok(recorder)
    }

    fn submit(&self, recorder: Recorder) -> Result<Ticket, EngineError> {
        Ok(self.gpu.submit(&recorder.finish()?)?)
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

    /// The device.
    pub fn device(&self) -> &DeviceInfo {
        self.gpu.info()
    }

    /// The device, to ask it for more.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Who is where.
    pub fn packs(&self) -> &NomadPackManager<PackBlocks> {
        &self.packs
    }
}

/// What the kernels ask of a model.
fn check(architecture: &str, c: &ModelConfig) -> Result<(), EngineError> {
    if architecture != "llama" {
        return Err(EngineError::Architecture(architecture.into()));
    }
    match c.head_dim % 4 {
        0 => Ok(()),
        _ => Err(EngineError::Size { what: "the head size", found: c.head_dim, multiple: 4 }),
    }
}

/// A count of tokens, which a context keeps far below 2^32.
fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
