//! Why co-access statistics are refused: one variant a broken rule.

use crate::limits;

/// A broken rule of co-access statistics. The caller adds the file's name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CoaccessError {
    /// The first bytes are something else.
    #[error(
        "these are no co-access statistics (the file does not start with COACCESS); `symbiote-run profile` makes them"
    )]
    NotCoaccess,
    /// A later version of the file.
    #[error(
        "the co-access statistics have version {found}, and this program reads version 1: update it, or profile the model again"
    )]
    UnknownVersion {
        /// The version found.
        found: u64,
    },
    /// Fewer bytes than the header says.
    #[error("the co-access statistics are cut off: copy the file again, or profile the model again")]
    Truncated,
    /// More bytes than the header says.
    #[error("something was appended to the co-access statistics: copy the file again, or profile the model again")]
    TrailingBytes,
    /// The content does not match its hash.
    #[error(
        "the co-access statistics are corrupt (their SHA-256 does not match): copy the file again, or profile the model again"
    )]
    Corrupt,
    /// More bytes than statistics may have.
    #[error("the co-access statistics take {found} bytes, and the limit is {}", limits::COACCESS_BYTES)]
    TooLong {
        /// How many.
        found: usize,
    },
    /// No valid rkyv archive.
    #[error("the co-access statistics cannot be read: {reason}")]
    Malformed {
        /// What rkyv says.
        reason: String,
    },
    /// Two annotations of one name.
    #[error("there are two annotations {name}")]
    Twice {
        /// The name.
        name: &'static str,
    },
    /// Numbers of layers and experts that no model has.
    #[error("the co-access statistics are of a model that cannot be")]
    Mixture,
    /// Statistics of another model.
    #[error(
        "the co-access statistics are of {found}, and the model is {expected}: profile this model with `symbiote-run profile`"
    )]
    OtherModel {
        /// What they are of.
        found: String,
        /// What they must be of.
        expected: String,
    },
    /// A model without experts.
    #[error("the model has no experts: co-access statistics are of mixtures of experts")]
    NoExperts,
    /// No domain, or too many.
    #[error("the co-access statistics have {found} domains: there must be 1 to {}", limits::DOMAINS)]
    Domains {
        /// How many.
        found: usize,
    },
    /// A domain without a name of its own.
    #[error(
        "domain {domain} of the co-access statistics has no usable name (1 to {} bytes, no control characters, no other's)",
        limits::DOMAIN_NAME_BYTES
    )]
    DomainName {
        /// Its number.
        domain: usize,
    },
    /// A domain without tokens, or more of them than 32 bits count.
    #[error("the domains of the co-access statistics must have 1 to 4294967295 tokens together, each at least one")]
    Tokens,
    /// Heat that is not what a domain's tokens make.
    #[error(
        "the heat of domain {domain} does not add up: each layer's must be its tokens times the experts that each goes through"
    )]
    Heat {
        /// The domain.
        domain: String,
    },
    /// A successor that is not in the next layer, out of order, or more frequent than its experts.
    #[error("successor {number} of the co-access statistics is impossible, or out of order")]
    Successor {
        /// Its number.
        number: usize,
    },
    /// An order that leaves an expert out.
    #[error("the order of experts does not have each expert of layer {layer} of the co-access statistics once")]
    Order {
        /// The layer, of those with experts.
        layer: usize,
    },
    /// Hits that shrink as a cache grows, or are more than requests.
    #[error("the hits of the co-access statistics do not ascend with the sizes of caches, or are too many")]
    Hits,
    /// Weights that no oracle has.
    #[error("the oracle's weights take {bytes} bytes: they must be 225 finite numbers, 900 bytes")]
    Weights {
        /// Their length.
        bytes: usize,
    },
    /// Weights without statistics.
    #[error("there are weights of an oracle (annotation oracle) and no co-access statistics beside them")]
    WeightsAlone,
}
