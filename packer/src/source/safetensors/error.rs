//! Why a Hugging Face folder is refused: one variant a broken rule.

/// A broken rule of safetensors, or of the files around them. The caller adds the file's name.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SafetensorsError {
    /// A folder without a model.
    #[error("this folder has neither model.safetensors nor model.safetensors.index.json")]
    NoWeights,
    /// A folder with pickled weights only.
    #[error(
        "this folder has its weights as {found} only, which can run code when it is read: save the model as safetensors (transformers: save_pretrained)"
    )]
    Pickle {
        /// The file.
        found: &'static str,
    },
    /// A folder without a description of the model.
    #[error("this folder has no config.json")]
    NoConfig,
    /// A SentencePiece model that `tokenizer.json` was never made of.
    #[error(
        "this folder has tokenizer.model and no tokenizer.json: save one with transformers (AutoTokenizer.from_pretrained, then save_pretrained)"
    )]
    NoTokenizerJson,
    /// A file that is no JSON.
    #[error("it is not valid JSON: {reason}")]
    Json {
        /// What the parser says.
        reason: String,
    },
    /// JSON that is no object.
    #[error("it must be a JSON object")]
    NotAnObject,
    /// A key of another type than it must have.
    #[error("{key} is {found}: it must be {expected}")]
    KeyType {
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A header that does not describe its file.
    #[error("its header cannot be used: {reason}; copy or download the file again")]
    Header {
        /// What the safetensors crate says.
        reason: String,
    },
    /// A stored type that this program does not read.
    #[error(
        "tensor {name} is stored as {dtype}: this program reads F32, F16, BF16, and F8_E4M3 and F8_E5M2 with scales"
    )]
    UnknownType {
        /// The tensor.
        name: String,
        /// The type.
        dtype: String,
    },
    /// A tensor name that cannot be kept.
    #[error("a tensor has the unusable name {name:?} (1 to 512 bytes, no control characters)")]
    TensorName {
        /// The name.
        name: String,
    },
    /// One tensor in two files.
    #[error("tensor {name} is in an earlier file too")]
    DuplicateTensor {
        /// The tensor.
        name: String,
    },
    /// A shard whose name leads out of the folder.
    #[error("the weight map names the file {name:?}: it must be a file beside it")]
    ShardName {
        /// The name.
        name: String,
    },
    /// Too many shards.
    #[error("the weight map names {found} files, and the limit is {limit}")]
    ShardCount {
        /// Files named.
        found: usize,
        /// The cap.
        limit: usize,
    },
    /// A tensor that is not where the index says.
    #[error("the weight map puts tensor {name} into {shard}, which does not have it")]
    NotInShard {
        /// The tensor.
        name: String,
        /// The file.
        shard: String,
    },
    /// A vocabulary of another kind.
    #[error("the tokenizer is a {model}, which this program does not read: it reads BPE and Unigram")]
    UnknownTokenizer {
        /// Its model's type.
        model: String,
    },
    /// A vocabulary larger than the embedding.
    #[error(
        "the vocabulary has a token {id} and the embedding has {rows} rows: this is the tokenizer of another model, or vocab_size in config.json is wrong"
    )]
    TokenOutsideEmbedding {
        /// The greatest id.
        id: u64,
        /// Rows of the embedding.
        rows: u32,
    },
    /// A special token that the vocabulary does not have.
    #[error("{key} is {token:?}, which the vocabulary of tokenizer.json does not have")]
    UnknownToken {
        /// The key.
        key: &'static str,
        /// The token's text.
        token: String,
    },
}
