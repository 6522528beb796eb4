//! Queues, and the timeline semaphore that says how far each of them is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ash::vk;

use super::error::{During, GpuError};
use super::logical_device::LogicalDevice;

/// Which of a device's queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueKind {
    /// Dispatches and copies.
    Compute,
    /// Copies beside the dispatches, where the device has a queue for that; else the compute queue.
    Transfer,
}

/// A point on a queue's timeline: it is passed when the work submitted with it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) queue: QueueKind,
    pub(super) value: u64,
}

impl Ticket {
    /// A ticket that has always been passed.
    pub const DONE: Self = Self { queue: QueueKind::Compute, value: 0 };

    /// Its place on the queue's timeline; later submissions have larger ones.
    pub fn value(self) -> u64 {
        self.value
    }
}

/// A queue, its timeline and the command buffers that wait for their next use.
pub(super) struct Queue {
    pub(super) device: Arc<LogicalDevice>,
    pub(super) kind: QueueKind,
    family: u32,
    handle: Mutex<vk::Queue>,
    timeline: vk::Semaphore,
    submitted: AtomicU64,
    free: Mutex<Vec<CommandSlot>>,
}

/// One command buffer and the pool that it alone lives in, so that each is recorded on whatever thread likes to.
pub(super) struct CommandSlot {
    pub(super) buffer: vk::CommandBuffer,
    pool: vk::CommandPool,
}

impl Queue {
    fn new(device: &Arc<LogicalDevice>, kind: QueueKind, family: u32) -> Result<Self, GpuError> {
        let mut of_kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let create = vk::SemaphoreCreateInfo::default().push_next(&mut of_kind);
        // SAFETY: the device was created with timeline semaphores, and with one queue of this family.
        let (timeline, handle) =
            unsafe { (device.raw.create_semaphore(&create, None), device.raw.get_device_queue(family, 0)) };
        let timeline = timeline.during("creating a timeline semaphore")?;
        device.name(timeline, &format!("{kind:?} timeline"));
        Ok(Self {
            device: Arc::clone(device),
            kind,
            family,
            handle: Mutex::new(handle),
            timeline,
            submitted: AtomicU64::new(0),
            free: Mutex::default(),
        })
    }

    /// The ticket of the latest submission.
    pub(super) fn latest(&self) -> Ticket {
        Ticket { queue: self.kind, value: self.submitted.load(Ordering::Acquire) }
    }

    /// How far the GPU is.
    pub(super) fn passed(&self) -> Result<u64, GpuError> {
        // SAFETY: the semaphore is a timeline of this device.
        unsafe { self.device.raw.get_semaphore_counter_value(self.timeline) }.during("reading a timeline")
    }

    /// Blocks until the GPU is at `value`.
    pub(super) fn wait(&self, value: u64) -> Result<(), GpuError> {
        self.wait_for(value, u64::MAX).map(drop)
    }

    /// Blocks until the GPU is at `value`, or for `nanoseconds`; whether it is there.
    pub(super) fn wait_for(&self, value: u64, nanoseconds: u64) -> Result<bool, GpuError> {
        if value == 0 {
            return Ok(true);
        }
        let (timelines, values) = ([self.timeline], [value]);
        let info = vk::SemaphoreWaitInfo::default().semaphores(&timelines).values(&values);
        // SAFETY: the semaphore is a timeline of this device.
        match unsafe { self.device.raw.wait_semaphores(&info, nanoseconds) } {
            Err(vk::Result::TIMEOUT) => Ok(false),
            waited => waited.during("waiting for the GPU").map(|()| true),
        }
    }

    /// Submits `commands`, to start when every one of `after` is passed.
    pub(super) fn submit(
        &self,
        commands: vk::CommandBuffer,
        after: &[(&Queue, u64)],
        name: &str,
    ) -> Result<Ticket, GpuError> {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let value = self.submitted.load(Ordering::Acquire) + 1;
        let (waits, wait_values): (Vec<_>, Vec<_>) =
            after.iter().map(|(queue, value)| (queue.timeline, *value)).unzip();
        let stages = vec![vk::PipelineStageFlags::ALL_COMMANDS; waits.len()];
        let (signals, signal_values) = ([self.timeline], [value]);
        let mut timelines = vk::TimelineSemaphoreSubmitInfo::default()
            .wait_semaphore_values(&wait_values)
            .signal_semaphore_values(&signal_values);
        let buffers = [commands];
        let submit = vk::SubmitInfo::default()
            .command_buffers(&buffers)
            .wait_semaphores(&waits)
            .wait_dst_stage_mask(&stages)
            .signal_semaphores(&signals)
            .push_next(&mut timelines);
        // SAFETY: the lock keeps other threads off the queue and its values rising; the command buffer is recorded,
        // allows being pending more than once, and its owner keeps it until the value is passed.
        unsafe { self.device.raw.queue_submit(*handle, &[submit], vk::Fence::null()) }
            .map_err(|result| GpuError::vulkan(format!("submitting `{name}`"), result))?;
        self.submitted.store(value, Ordering::Release);
        Ok(Ticket { queue: self.kind, value })
    }

    /// An empty command buffer, out of those given back where there is one.
    pub(super) fn command_slot(&self) -> Result<CommandSlot, GpuError> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(slot) = free {
            return Ok(slot);
        }
        let create = vk::CommandPoolCreateInfo::default().queue_family_index(self.family);
        // SAFETY: the device has queues of this family.
        let pool = unsafe { self.device.raw.create_command_pool(&create, None) }.during("creating a command pool")?;
        let allocate = vk::CommandBufferAllocateInfo::default()
            .command_pool(pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        // SAFETY: the pool is new and this thread's; it is destroyed again if it gives no buffer.
        let buffers = unsafe {
            self.device.raw.allocate_command_buffers(&allocate).inspect_err(|_| {
                self.device.raw.destroy_command_pool(pool, None);
            })
        };
        match buffers.during("allocating a command buffer")?.first() {
            Some(&buffer) => Ok(CommandSlot { buffer, pool }),
            None => Err(GpuError::vulkan("allocating a command buffer", vk::Result::ERROR_UNKNOWN)),
        }
    }

    /// Takes back a command buffer that the GPU is done with.
    pub(super) fn give_back(&self, slot: CommandSlot) {
        // SAFETY: the slot is owned here, and no longer pending.
        let reset = unsafe { self.device.raw.reset_command_pool(slot.pool, vk::CommandPoolResetFlags::empty()) };
        match reset {
            Ok(()) => self.free.lock().unwrap_or_else(PoisonError::into_inner).push(slot),
            // SAFETY: as above; destroying the pool frees its buffer.
            Err(_) => unsafe { self.device.raw.destroy_command_pool(slot.pool, None) },
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let handle = *self.handle.get_mut().unwrap_or_else(PoisonError::into_inner);
        let free = std::mem::take(self.free.get_mut().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: nothing else uses the queue any more. Waiting fails only on a lost device, which does no more work;
        // then the semaphore and the pools are unused.
        unsafe {
            let _ = self.device.raw.queue_wait_idle(handle);
            free.iter().for_each(|slot| self.device.raw.destroy_command_pool(slot.pool, None));
            self.device.raw.destroy_semaphore(self.timeline, None);
        }
    }
}

/// The queues of a device.
pub(super) struct Queues {
    pub(super) compute: Arc<Queue>,
    transfer: Option<Arc<Queue>>,
}

impl Queues {
    /// Fetches the queues that the device was opened with.
    pub(super) fn new(device: &Arc<LogicalDevice>) -> Result<Self, GpuError> {
        let families = device.physical.queues;
        let transfer = families.transfer.map(|family| Queue::new(device, QueueKind::Transfer, family).map(Arc::new));
        Ok(Self {
            compute: Arc::new(Queue::new(device, QueueKind::Compute, families.compute)?),
            transfer: transfer.transpose()?,
        })
    }

    /// The queue for `kind`; the compute queue where there is no transfer queue.
    pub(super) fn get(&self, kind: QueueKind) -> &Arc<Queue> {
        match (kind, &self.transfer) {
            (QueueKind::Transfer, Some(transfer)) => transfer,
            _ => &self.compute,
        }
    }

    /// Every queue once.
    pub(super) fn each(&self) -> impl Iterator<Item = &Arc<Queue>> {
        std::iter::once(&self.compute).chain(&self.transfer)
    }
}
