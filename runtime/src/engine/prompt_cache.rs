//! A sequence in a file: its tokens, keys and values, to go on from another time.
//!
//! Numbers are little-endian. A head of [`HEAD`] bytes: `SYMBKV`, two zero bytes, the version, the type of the elements, the
//! context, the count of tokens (each u32), SHA-256 of the archive's index. Then the ids of the tokens (u32), what
//! [`KvCache::runs`](super::state::KvCache::runs) lists, and SHA-256 of all before.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use super::state::KvRun;
use super::{EngineError, KvType, SymbioteEngine};

const MAGIC: &[u8; 8] = b"SYMBKV\0\0";
const VERSION: u32 = 1;
const HEAD: usize = 56;
const HASH: usize = 32;

/// Why a file is no sequence to go on from.
#[derive(Debug, thiserror::Error)]
pub enum PromptCacheError {
    /// The file.
    #[error("{}", plain(.0))]
    Io(#[from] io::Error),
    /// Something else.
    #[error("this is not a prompt cache")]
    NotOne,
    /// Another version.
    #[error("this is a prompt cache of version {0}; this program reads version {VERSION}")]
    Version(u32),
    /// Of another archive.
    #[error("this prompt cache was made with another model")]
    Model,
    /// Of an engine with other options.
    #[error("this prompt cache was made with {option} {found}; this run has {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value in the file.
        found: String,
        /// Its value now.
        expected: String,
    },
    /// Bytes are not what they were.
    #[error("this prompt cache is damaged")]
    Damaged,
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "this prompt cache is cut off".into(),
        io::ErrorKind::StorageFull => "the disk is full".into(),
        _ => error.to_string(),
    }
}

impl SymbioteEngine {
    /// Writes the sequence so far, to be [loaded](Self::load_sequence) by an engine with the same archive, context and type of
    /// keys and values. Returns the bytes written.
    pub fn save_sequence(&self, to: &mut dyn Write) -> Result<u64, EngineError> {
        let mut to = Hashed { inner: to, hash: Sha256::new(), bytes: 0 };
        let tokens = self.sequence();
        to.put(&self.head(count(tokens)))?;
        to.put(bytemuck::cast_slice(tokens))?;
        let mut chunk = Vec::new();
        for run in self.cache_runs(count(tokens)) {
            chunk.resize(len(run), 0);
            self.read_run(run, &mut chunk)?;
            to.put(&chunk)?;
        }
        let hash = to.hash.clone().finalize();
        to.put(&hash)?;
        Ok(to.bytes)
    }

    /// Takes a [saved](Self::save_sequence) sequence for this engine's own, all of it or, on an error, none.
    pub fn load_sequence(&mut self, from: &mut dyn Read) -> Result<(), EngineError> {
        self.truncate(0);
        let mut from = Hashed { inner: from, hash: Sha256::new(), bytes: 0 };
        let mut head = [0; HEAD];
        match from.get(&mut head) {
            Err(PromptCacheError::Io(e)) if e.kind() == io::ErrorKind::UnexpectedEof => Err(PromptCacheError::NotOne),
            done => done,
        }?;
        let positions = self.check_head(&head)?;
        let mut tokens = vec![0u32; positions as usize];
        from.get(bytemuck::cast_slice_mut(&mut tokens))?;
        let mut chunk = Vec::new();
        for run in self.cache_runs(positions) {
            chunk.resize(len(run), 0);
            from.get(&mut chunk)?;
            self.write_run(run, &chunk)?;
        }
        let expected = from.hash.clone().finalize();
        let mut found = [0; HASH];
        from.get(&mut found)?;
        let more = from.inner.read(&mut [0]).map_err(PromptCacheError::from)?;
        let vocabulary = self.config().vocab_size;
        if found != *expected || more > 0 || tokens.iter().any(|token| *token >= vocabulary) {
            return Err(PromptCacheError::Damaged.into());
        }
        self.adopt(tokens);
        Ok(())
    }

    fn head(&self, positions: u32) -> [u8; HEAD] {
        let (kv, _) = self.cache();
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(MAGIC);
        for (at, number) in (8..).step_by(4).zip([VERSION, kv_code(kv.kv_type), kv.capacity, positions]) {
            head[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        head[24..].copy_from_slice(self.pak().archive().index_sha256());
        head
    }

    /// The number of positions that follow a head.
    fn check_head(&self, head: &[u8; HEAD]) -> Result<u32, PromptCacheError> {
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let expected = self.head(number(20));
        if head[..8] != *MAGIC {
            return Err(PromptCacheError::NotOne);
        }
        if number(8) != VERSION {
            return Err(PromptCacheError::Version(number(8)));
        }
        if head[24..] != expected[24..] {
            return Err(PromptCacheError::Model);
        }
        let (kv, _) = self.cache();
        if number(12) != kv_code(kv.kv_type) {
            let known =
                [KvType::Q8, KvType::F16, KvType::F32].into_iter().find(|kv_type| kv_code(*kv_type) == number(12));
            let found = known.map_or_else(|| format!("of code {}", number(12)), kv_name);
            return Err(PromptCacheError::Option { option: "--kv-type", found, expected: kv_name(kv.kv_type) });
        }
        if number(16) != kv.capacity {
            let (found, expected) = (number(16).to_string(), kv.capacity.to_string());
            return Err(PromptCacheError::Option { option: "--ctx", found, expected });
        }
        // more than fit cannot have been there
        if number(20) > kv.capacity { Err(PromptCacheError::Damaged) } else { Ok(number(20)) }
    }

    fn cache_runs(&self, positions: u32) -> impl Iterator<Item = KvRun> + use<> {
        self.cache().0.runs(self.config(), positions)
    }

    fn read_run(&self, run: KvRun, bytes: &mut [u8]) -> Result<(), EngineError> {
        let (kv, through) = self.cache();
        let step = usize::try_from(through.len()).unwrap_or(usize::MAX);
        for (from, piece) in (run.offset..).step_by(step).zip(bytes.chunks_mut(step)) {
            let mut recorder = self.gpu().recorder("save keys and values")?;
            recorder.copy(kv.buffer(run.layer), from, through, 0, piece.len() as u64);
            self.gpu().wait(self.gpu().submit(&recorder.finish()?)?)?;
            through.read(0, piece)?;
        }
        Ok(())
    }

    fn write_run(&self, run: KvRun, bytes: &[u8]) -> Result<(), EngineError> {
        let (kv, through) = self.cache();
        let step = usize::try_from(through.len()).unwrap_or(usize::MAX);
        for (to, piece) in (run.offset..).step_by(step).zip(bytes.chunks(step)) {
            through.write(0, piece)?;
            let mut recorder = self.gpu().recorder("load keys and values")?;
            recorder.copy(through, 0, kv.buffer(run.layer), to, piece.len() as u64);
            self.gpu().wait(self.gpu().submit(&recorder.finish()?)?)?;
        }
        Ok(())
    }
}

/// Bytes as they pass, hashed.
struct Hashed<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl Hashed<&mut dyn Write> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), PromptCacheError> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(self.inner.write_all(bytes)?)
    }
}

impl Hashed<&mut dyn Read> {
    fn get(&mut self, bytes: &mut [u8]) -> Result<(), PromptCacheError> {
        self.inner.read_exact(bytes)?;
        self.hash.update(bytes);
        Ok(())
    }
}

fn kv_code(kv_type: KvType) -> u32 {
    match kv_type {
        KvType::F32 => 0,
        KvType::F16 => 1,
        KvType::Q8 => 2,
    }
}

fn kv_name(kv_type: KvType) -> String {
    format!("{kv_type:?}").to_lowercase()
}

/// A context keeps it far below 2^32.
fn count(tokens: &[u32]) -> u32 {
    u32::try_from(tokens.len()).unwrap_or(u32::MAX)
}

fn len(run: KvRun) -> usize {
    usize::try_from(run.len).unwrap_or(usize::MAX)
}
