//! The handle that everything starts from: an open device, its queues, and what is in flight on them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::buffer::Buffer;
use super::commands::{Commands, Recorded, Recorder};
use super::device_memory::{DeviceMemory, MemoryUsed};
use super::error::GpuError;
use super::instance::Instance;
use super::logical_device::LogicalDevice;
use super::memory_type::{Memory, room};
use super::physical_device::{self, DeviceInfo};
use super::pipeline::{Pipeline, PipelineInfo};
use super::pipeline_cache::PipelineCache;
use super::queue::{QueueKind, Queues, Ticket};
use super::staging::Staging;
use super::timestamps::Timestamps;
use crate::memory::Room;

/// How to open a device.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// The device's index or a part of its name; the best one if absent: discrete, integrated, virtual, CPU.
    pub device: Option<String>,
    /// Whether to run under the Khronos validation layer, with synchronization validation.
    pub validation: bool,
    /// The most bytes of buffers on the device heap.
    pub vram_cap: Option<u64>,
    /// Whether to treat device memory as unreachable from the host, even where it is shared: for tests.
    pub force_staging: bool,
    /// Where the pipeline cache is kept; `$XDG_CACHE_HOME/symbiote` or `~/.cache/symbiote` if absent.
    pub cache_dir: Option<PathBuf>,
}

/// An open device. Cloning is cheap; what was made from it may outlive it.
#[derive(Clone)]
pub struct Gpu {
    pub(super) shared: Arc<Shared>,
}

/// What the clones of a [`Gpu`] share.
pub(super) struct Shared {
    in_flight: Mutex<Vec<(Ticket, Arc<Recorded>)>>,
    pub(super) staging: Mutex<Staging>,
    cache: PipelineCache,
    memory: Arc<DeviceMemory>,
    queues: Arc<Queues>,
    pub(super) device: Arc<LogicalDevice>,
}

impl Gpu {
    /// The devices of this machine, usable or not.
    pub fn list(validation: bool) -> Result<Vec<DeviceInfo>, GpuError> {
        let instance = Instance::new(validation)?;
        Ok(physical_device::survey(&instance)?.into_iter().map(|device| device.info).collect())
    }

    /// Opens the device that `options` name.
    pub fn open(options: &GpuOptions) -> Result<Self, GpuError> {
        let instance = Instance::new(options.validation)?;
        let physical = physical_device::choose(physical_device::survey(&instance)?, options.device.as_deref())?;
        let map_device = physical.info.unified && !options.force_staging;
        let device = Arc::new(LogicalDevice::new(instance, physical)?);
        let queues = Arc::new(Queues::new(&device)?);
        let memory = Arc::new(DeviceMemory::new(&device, &queues, map_device, options.vram_cap)?);
        let cache = PipelineCache::new(&device, options.cache_dir.clone())?;
        let (in_flight, staging) = (Mutex::default(), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { in_flight, staging, cache, memory, queues, device }) })
    }

    /// What the device is and can do.
    pub fn info(&self) -> &DeviceInfo {
        &self.shared.device.physical.info
    }

    /// Whether the host reaches all device memory, which is then the same as RAM.
    pub fn is_unified(&self) -> bool {
        self.shared.memory.is_mapped()
    }

    /// How many errors the validation layer has reported; 0 without validation.
    pub fn validation_errors(&self) -> u32 {
        self.shared.device.instance.validation_errors()
    }

    /// The first errors and warnings that the validation layer has reported.
    pub fn validation_messages(&self) -> Vec<String> {
        self.shared.device.instance.validation_messages()
    }

    /// Bytes in use by the buffers of this device.
    pub fn memory_used(&self) -> MemoryUsed {
        self.shared.let_go();
        self.shared.memory.used()
    }

    /// Bytes that may still be asked of the device heap: the least of what the cap, the driver's budget (where it tells it)
    /// and the size of the heap leave.
    pub fn memory_available(&self) -> u64 {
        let used = self.memory_used().device;
        let heap = self.info().heap_bytes.saturating_sub(used);
        let cap = self.shared.memory.cap().saturating_sub(used);
        heap.min(cap).min(self.room().map_or(u64::MAX, |room| room.free()))
    }

    /// What a buffer of `len` bytes counts for on the device heap, before it is there; 0 if it lies elsewhere.
    pub fn device_bytes(&self, len: u64, memory: Memory) -> u64 {
        let counted = DeviceMemory::counted(len).unwrap_or(u64::MAX);
        if self.shared.memory.on_device_heap(memory) { counted } else { 0 }
    }

    /// Sets another cap on the bytes of buffers on the device heap; buffers that there are stay.
    pub fn set_vram_cap(&self, cap: u64) {
        self.shared.memory.set_cap(cap);
    }

    /// What the driver says of the device heap now, where it says anything.
    pub fn room(&self) -> Option<Room> {
        let device = &self.shared.device;
        let listed = device.physical.info.features.memory_budget;
        room(&device.instance, device.physical.handle, &device.physical.memory, listed)
    }

    /// A buffer of `len` bytes. Its bytes are undefined at first.
    pub fn buffer(&self, name: &str, len: u64, memory: Memory) -> Result<Buffer, GpuError> {
        // buffers that nobody owns may be kept by commands that are over
        self.shared.let_go();
        Buffer::new(&self.shared.memory, name, len, memory)
    }

    /// A compute pipeline.
    pub fn pipeline(&self, info: &PipelineInfo<'_>) -> Result<Arc<Pipeline>, GpuError> {
        Pipeline::new(&self.shared.device, &self.shared.cache, info).map(Arc::new)
    }

    /// Writes the pipeline cache to disk now, rather than when the device is closed.
    pub fn save_pipeline_cache(&self) {
        self.shared.cache.save();
    }

    /// Places for `count` timestamps.
    pub fn timestamps(&self, count: u32) -> Result<Timestamps, GpuError> {
        Timestamps::new(&self.shared.device, count)
    }

    /// Starts recording for the compute queue.
    pub fn recorder(&self, name: &str) -> Result<Recorder, GpuError> {
        Recorder::new(&self.shared.queues.compute, name)
    }

    /// Starts recording copies for the transfer queue, or for the compute queue where there is no other.
    pub fn transfer_recorder(&self, name: &str) -> Result<Recorder, GpuError> {
        Recorder::new(self.shared.queues.get(QueueKind::Transfer), name)
    }

    /// Submits `commands`, which start after all that was submitted to their queue before, and after every
    /// [`upload`](Self::upload).
    pub fn submit(&self, commands: &Commands) -> Result<Ticket, GpuError> {
        self.submit_after(commands, &[self.uploaded()])
    }

    /// Submits `commands`, which start after all that was submitted to their queue before, and when every one of
    /// `after` is passed. They do not wait for uploads that `after` does not name.
    pub fn submit_after(&self, commands: &Commands, after: &[Ticket]) -> Result<Ticket, GpuError> {
        let recorded = &commands.recorded;
        let queue = recorded.queue();
        // One queue runs in order anyway.
        let elsewhere = after.iter().filter(|ticket| ticket.queue != queue.kind && ticket.value > 0);
        let waits: Vec<_> =
            elsewhere.map(|ticket| (self.shared.queues.get(ticket.queue).as_ref(), ticket.value)).collect();
        let ticket = queue.submit(recorded.handle(), &waits, recorded.name())?;
        self.shared.in_flight().push((ticket, Arc::clone(recorded)));
        self.shared.let_go();
        Ok(ticket)
    }

    /// Whether the work of `ticket` is done.
    pub fn is_done(&self, ticket: Ticket) -> Result<bool, GpuError> {
        let done = ticket.value == 0 || self.shared.queues.get(ticket.queue).passed()? >= ticket.value;
        self.shared.let_go();
        Ok(done)
    }

    /// Blocks until the work of `ticket` is done. What it wrote to mapped buffers is then there to be read.
    pub fn wait(&self, ticket: Ticket) -> Result<(), GpuError> {
        self.shared.queues.get(ticket.queue).wait(ticket.value)?;
        self.shared.let_go();
        Ok(())
    }

    /// Blocks until the work of `ticket` is done, or for `timeout`; whether it is done.
    pub fn wait_for(&self, ticket: Ticket, timeout: Duration) -> Result<bool, GpuError> {
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let done = self.shared.queues.get(ticket.queue).wait_for(ticket.value, nanoseconds)?;
        self.shared.let_go();
        Ok(done)
    }

    /// The ticket of a place on a queue's timeline.
    pub fn ticket(&self, queue: QueueKind, value: u64) -> Ticket {
        Ticket { queue: self.shared.queues.get(queue).kind, value }
    }

    /// How far a queue is.
    pub fn passed(&self, queue: QueueKind) -> Result<u64, GpuError> {
        self.shared.queues.get(queue).passed()
    }

    /// The ticket of the latest [`upload`](Self::upload).
    pub fn uploaded(&self) -> Ticket {
        self.shared.staging.lock().unwrap_or_else(PoisonError::into_inner).uploaded()
    }

    /// Blocks until everything submitted so far is done.
    pub fn wait_all(&self) -> Result<(), GpuError> {
        self.shared.queues.each().try_for_each(|queue| queue.wait(queue.latest().value))?;
        self.shared.let_go();
        Ok(())
    }

    /// The ticket of the latest submission to a queue.
    pub fn latest(&self, queue: QueueKind) -> Ticket {
        self.shared.queues.get(queue).latest()
    }
}

impl Shared {
    fn in_flight(&self) -> std::sync::MutexGuard<'_, Vec<(Ticket, Arc<Recorded>)>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what finished submissions kept alive.
    fn let_go(&self) {
        let is_done =
            |ticket: &Ticket| self.queues.get(ticket.queue).passed().is_ok_and(|passed| passed >= ticket.value);
        let done: Vec<_> = self.in_flight().extract_if(.., |(ticket, _)| is_done(ticket)).collect();
        // Dropped here, without the lock: what is kept may do anything when it goes.
        drop(done);
        self.memory.free_passed();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Waiting fails only on a lost device, which does no more work. After it nothing in flight is pending.
        let _ = self.queues.each().try_for_each(|queue| queue.wait(queue.latest().value));
    }
}
