//! What a long run reports to its caller, and how the caller stops it.

/// Watches a run. All methods may be called from several threads.
pub trait Monitor: Sync {
    /// A stage of `total` bytes begins.
    fn begin(&self, stage: &str, total: u64) {
        let _ = (stage, total);
    }
    /// `bytes` more of the stage are done.
    fn advance(&self, bytes: u64) {
        let _ = bytes;
    }
    /// True once the run should stop: it then fails with [`Problem::Interrupted`](crate::Problem::Interrupted) and leaves
    /// no file.
    fn interrupted(&self) -> bool {
        false
    }
}

/// Nobody watches.
impl Monitor for () {}
