//! What can be wrong with a vocabulary, a text or a chat template.

use thiserror::Error;

/// One variant a broken rule.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TextError {
    /// The archive names a kind of tokenizer that this version does not know.
    #[error("tokenizer kind {code} is not known to this version")]
    UnknownKind {
        /// The kind's code.
        code: u8,
    },
    /// No rules are known under the pre-tokenizer's name.
    #[error(
        "the pre-tokenizer \"{name}\" is not known to this version, and with another one the model would read other tokens than it was trained on"
    )]
    UnknownPreTokenizer {
        /// Its name, as `tokenizer.ggml.pre` gives it.
        name: String,
    },
    /// There is no token at all.
    #[error("the vocabulary is empty")]
    EmptyVocabulary,
    /// A table does not have one entry a token.
    #[error("the vocabulary has {tokens} tokens and {found} {table}")]
    TableLength {
        /// What the table holds.
        table: &'static str,
        /// Its length.
        found: usize,
        /// How many tokens there are.
        tokens: usize,
    },
    /// An id lies outside the embedding.
    #[error("token {id} lies outside the embedding, which has {vocab_size} rows")]
    IdOutsideEmbedding {
        /// The id.
        id: u32,
        /// Rows of the embedding.
        vocab_size: u32,
    },
    /// Two tokens have one text.
    #[error("tokens {first} and {second} are both {text:?}")]
    DuplicateToken {
        /// Their text.
        text: String,
        /// The lower id.
        first: u32,
        /// The higher id.
        second: u32,
    },
    /// A merge is not two tokens with a space between.
    #[error("merge {index} is {text:?}, which is not two tokens with a space between")]
    MergeSyntax {
        /// Its place in the list.
        index: u32,
        /// The merge.
        text: String,
    },
    /// A merge takes or makes a token that is not in the vocabulary.
    #[error("merge {index} names {token:?}, which is not in the vocabulary")]
    MergeOfMissingToken {
        /// Its place in the list.
        index: u32,
        /// The missing token.
        token: String,
    },
    /// A score cannot be compared.
    #[error("the score of token {id} is not a number")]
    ScoreNotANumber {
        /// The token.
        id: u32,
    },
    /// The `tokenizers` crate refuses the file.
    #[error("tokenizer.json cannot be used: {reason}")]
    HuggingFace {
        /// Why.
        reason: String,
    },
    /// It is not known which bytes the tokens of a `tokenizer.json` stand for.
    #[error("tokenizer.json spells its tokens for the decoder \"{name}\", which is not known to this version")]
    UnknownDecoder {
        /// The decoder.
        name: String,
    },
    /// A text could not be cut into words.
    #[error("the text cannot be cut into words: {reason}")]
    Split {
        /// Why.
        reason: String,
    },
    /// A text could not be encoded.
    #[error("the text cannot be encoded: {reason}")]
    Encode {
        /// Why.
        reason: String,
    },
    /// The model has no chat template: send plain text.
    #[error("the model has no chat template")]
    NoChatTemplate,
    /// The chat template is not valid Jinja.
    #[error("the chat template is not valid: {reason}")]
    ChatTemplateSyntax {
        /// Why.
        reason: String,
    },
    /// The chat template failed on these messages, or refused them.
    #[error("the chat template refuses the conversation: {reason}")]
    ChatTemplateRender {
        /// Why.
        reason: String,
    },
}
