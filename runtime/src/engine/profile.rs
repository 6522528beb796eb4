//! Time by kernel, from the device's timestamps.

use std::collections::BTreeMap;

use super::EngineError;
use crate::gpu::{Gpu, Recorder, Timestamps};

/// Most dispatches of a pass that are timed.
const DISPATCHES: u32 = 4096;

/// Times every dispatch of a pass and adds up by kernel.
pub struct Profile {
    timestamps: Timestamps,
    names: Vec<String>,
    totals: BTreeMap<String, KernelTime>,
}

/// What a kernel took.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelTime {
    /// Dispatches.
    pub count: u64,
    /// Nanoseconds on the device, barriers included.
    pub nanoseconds: f64,
}

impl Profile {
    pub(super) fn new(gpu: &Gpu) -> Result<Self, EngineError> {
        Ok(Self { timestamps: gpu.timestamps(DISPATCHES + 1)?, names: Vec::new(), totals: BTreeMap::new() })
    }

    /// Starts a recording.
    pub(super) fn start(&mut self, r: &mut Recorder) {
        self.names.clear();
        r.timestamp(&self.timestamps, 0);
    }

    /// Marks the end of a dispatch and its barrier.
    pub(super) fn mark(&mut self, r: &mut Recorder, name: String) {
        if let Some(index) = u32::try_from(self.names.len() + 1).ok().filter(|i| *i <= DISPATCHES) {
            r.timestamp(&self.timestamps, index);
            self.names.push(name);
        }
    }

    /// Adds up a recording that is done.
    pub(super) fn collect(&mut self) -> Result<(), EngineError> {
        for (index, name) in (0u32..).zip(std::mem::take(&mut self.names)) {
            let total = self.totals.entry(name).or_default();
            total.count += 1;
            total.nanoseconds += self.timestamps.nanoseconds(index, index + 1)?;
        }
        Ok(())
    }

    /// What every kernel took so far, by name.
    pub fn totals(&self) -> &BTreeMap<String, KernelTime> {
        &self.totals
    }
}
