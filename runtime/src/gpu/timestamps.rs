//! Timestamps: how long kernels take on the GPU's own clock.

use std::sync::Arc;

use ash::vk;

use super::error::{During, GpuError};
use super::logical_device::LogicalDevice;

/// Places for timestamps, written by [`Recorder::timestamp`](super::Recorder::timestamp).
#[derive(Clone)]
pub struct Timestamps {
    pub(super) pool: Arc<QueryPool>,
}

pub(super) struct QueryPool {
    pub(super) handle: vk::QueryPool,
    pub(super) count: u32,
    device: Arc<LogicalDevice>,
}

impl Timestamps {
    pub(super) fn new(device: &Arc<LogicalDevice>, count: u32) -> Result<Self, GpuError> {
        if count == 0 || device.physical.queues.timestamp_bits == 0 {
            return Err(GpuError::NoSuchTimestamp { index: 0, count: 0 });
        }
        let create = vk::QueryPoolCreateInfo::default().query_type(vk::QueryType::TIMESTAMP).query_count(count);
        // SAFETY: the device is alive and its compute queue has timestamps.
        let handle = unsafe { device.raw.create_query_pool(&create, None) }.during("creating a query pool")?;
        Ok(Self { pool: Arc::new(QueryPool { handle, count, device: Arc::clone(device) }) })
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.pool.count
    }

    /// Nanoseconds from timestamp `from` to timestamp `to`, after the commands that wrote them are done.
    pub fn nanoseconds(&self, from: u32, to: u32) -> Result<f64, GpuError> {
        let physical = &self.pool.device.physical;
        let (first, last) = (self.read(from)?, self.read(to)?);
        // Counters of fewer than 64 bits wrap around.
        let unused = u64::BITS.saturating_sub(physical.queues.timestamp_bits);
        let ticks = (last.wrapping_sub(first) << unused) >> unused;
        // A pass takes far fewer than 2^53 ticks, so the float is exact.
        #[allow(clippy::cast_precision_loss)]
        let ticks = ticks as f64;
        Ok(ticks * f64::from(physical.timestamp_period))
    }

    fn read(&self, index: u32) -> Result<u64, GpuError> {
        let count = self.pool.count;
        if index >= count {
            return Err(GpuError::NoSuchTimestamp { index, count });
        }
        let mut value = [0_u64];
        let device = &self.pool.device.raw;
        // SAFETY: the index lies in the pool. Without WAIT a query that was never written answers NOT_READY.
        unsafe { device.get_query_pool_results(self.pool.handle, index, &mut value, vk::QueryResultFlags::TYPE_64) }
            .during("reading a timestamp")?;
        Ok(value[0])
    }
}

impl Drop for QueryPool {
    fn drop(&mut self) {
        // SAFETY: commands that write to the pool hold it until they are done.
        unsafe { self.device.raw.destroy_query_pool(self.handle, None) };
    }
}
