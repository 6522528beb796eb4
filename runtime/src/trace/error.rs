//! Why a file is no trace.

/// Why a file is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Neither format.
    #[error("this is no trace: it starts with neither MOETRC01 nor the lines of a route CSV")]
    NotOne,
    /// A compressed one.
    #[error("this is compressed: gunzip it first")]
    Gzip,
    /// The file ends before what it claims.
    #[error("the trace is cut off: {found} {unit} of at least {expected}")]
    CutOff {
        /// What is there.
        found: u64,
        /// What is claimed.
        expected: u64,
        /// Of what.
        unit: &'static str,
    },
    /// More than what it claims.
    #[error("{0} bytes follow the last token")]
    Longer(u64),
    /// The JSON of the header cannot be read.
    #[error("the header is not the JSON of a trace: {0}")]
    Header(serde_json::Error),
    /// A number outside its range.
    #[error("{key} is {found}; it must be {expected}")]
    Range {
        /// Its name.
        key: &'static str,
        /// What was found.
        found: u64,
        /// What is accepted.
        expected: String,
    },
    /// An expert that the model does not have, or one twice.
    #[error("token {token}, layer {layer}: {reason}")]
    Route {
        /// Which token, counted from 0.
        token: usize,
        /// Which layer.
        layer: usize,
        /// What is wrong.
        reason: String,
    },
    /// A line of a CSV.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Nothing to replay.
    #[error("the trace has no tokens")]
    Empty,
}

/// Refuses a number outside `from..=to`.
pub(super) fn within(key: &'static str, found: u64, from: u64, to: u64) -> Result<usize, TraceError> {
    if !(from..=to).contains(&found) {
        return Err(TraceError::Range { key, found, expected: format!("from {from} to {to}") });
    }
    usize::try_from(found).map_err(|_| TraceError::Range { key, found, expected: "less".into() })
}
