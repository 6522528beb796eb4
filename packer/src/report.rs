//! What was written, for people and for programs.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};
use symbiote_format::{ByteSize, Coaccess, Codec, Index, PackRole};

/// What an archive holds that was just written.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchiveReport {
    /// The architecture.
    pub architecture: String,
    /// Tensors in the archive.
    pub tensors: usize,
    /// Packs in the archive.
    pub packs: usize,
    /// Length of the archive, in bytes.
    pub file_len: u64,
    /// A vocabulary is in it.
    pub has_tokenizer: bool,
    /// Co-access statistics are in it; nothing for a model without experts.
    pub coaccess: Option<bool>,
    /// What each codec has done, in the order of their codes; those that were used.
    pub codecs: Vec<CodecUse>,
}

/// The parts that have one codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecUse {
    /// The codec.
    pub codec: Codec,
    /// How many parts have it.
    pub parts: usize,
    /// Their bytes in the source.
    pub source_bytes: u64,
    /// Their bytes as coded.
    pub coded_bytes: u64,
}

impl ArchiveReport {
    pub(crate) fn of(index: &Index, file_len: u64) -> Self {
        let of_codec = |codec: Codec| {
            let mut all = CodecUse { codec, parts: 0, source_bytes: 0, coded_bytes: 0 };
            for part in index.parts.iter().filter(|part| part.codec == codec.code()) {
                all.parts += 1;
                all.source_bytes += part.raw_len;
                all.coded_bytes += part.coded_len;
            }
            all
        };
        Self {
            architecture: index.architecture.clone(),
            tensors: index.tensors.len(),
            packs: index.packs.len(),
            file_len,
            has_tokenizer: index.tokenizer.is_some(),
            coaccess: index.packs.iter().any(|p| p.role == PackRole::Expert.code()).then(|| Coaccess::is_in(index)),
            codecs: Codec::ALL.iter().map(|codec| of_codec(*codec)).filter(|all| all.parts > 0).collect(),
        }
    }

    /// Bytes of all weights in the source, and as coded.
    pub fn weight_bytes(&self) -> (u64, u64) {
        let sum = |bytes: fn(&CodecUse) -> u64| self.codecs.iter().map(bytes).sum();
        (sum(|all| all.source_bytes), sum(|all| all.coded_bytes))
    }

    /// All of it and the archive's path, for programs.
    pub fn to_json(&self, path: &Path) -> Value {
        let (source_bytes, coded_bytes) = self.weight_bytes();
        let codecs: Map<String, Value> = self
            .codecs
            .iter()
            .map(|c| {
                let entry = json!({ "parts": c.parts, "source_bytes": c.source_bytes, "coded_bytes": c.coded_bytes });
                (c.codec.name().into(), entry)
            })
            .collect();
        json!({
            "archive": path.display().to_string(),
            "architecture": self.architecture,
            "tensors": self.tensors,
            "packs": self.packs,
            "file_bytes": self.file_len,
            "tokenizer": self.has_tokenizer,
            "coaccess": self.coaccess,
            "weights": { "source_bytes": source_bytes, "coded_bytes": coded_bytes },
            "codecs": codecs,
        })
    }
}

/// As in `llama, 30 tensors in 12 packs, 101.1 MiB, weights at 0.751 of their source`.
impl fmt::Display for ArchiveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { architecture, tensors, packs, file_len, .. } = self;
        write!(f, "{architecture}, {tensors} tensors in {packs} packs, {}", ByteSize(*file_len))?;
        let (source, coded) = self.weight_bytes();
        let share = ratio(coded, source);
        if share < 0.9995 {
            write!(f, ", weights at {share:.3} of their source")?;
        }
        if !self.has_tokenizer {
            write!(f, ", no tokenizer")?;
        }
        match self.coaccess {
            Some(true) => write!(f, ", co-access statistics")?,
            Some(false) => write!(f, ", no co-access statistics (`symbiote-run profile` makes them)")?,
            None => {}
        }
        Ok(())
    }
}

/// `part / whole`; 1 of nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}
