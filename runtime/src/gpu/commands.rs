//! Commands: dispatches and copies, recorded once and submitted as often as one likes.

use std::any::Any;
use std::sync::Arc;

use ash::vk;

use super::buffer::Buffer;
use super::error::{During, GpuError};
use super::logical_device::PUSH_BYTES;
use super::pipeline::Pipeline;
use super::queue::{CommandSlot, Queue, QueueKind};
use super::timestamps::Timestamps;

/// Most bytes of one [`Recorder::update`]: Vulkan's limit.
pub const UPDATE_BYTES: usize = 65536;

/// Records commands. The first error is kept and answered by [`Recorder::finish`], so that a pass reads as a list.
///
/// Submissions to one queue run in order, and each sees what the ones before it wrote. Within a recording, commands
/// run at the same time unless a [`barrier`](Recorder::barrier) lies between them.
pub struct Recorder {
    recorded: Recorded,
    bound: vk::Pipeline,
    /// Query pools reset by this recording.
    reset: Vec<vk::QueryPool>,
    error: Option<GpuError>,
}

/// Finished commands. Cloning is cheap; the GPU keeps what it still needs.
#[derive(Clone)]
pub struct Commands {
    pub(super) recorded: Arc<Recorded>,
}

/// A command buffer with everything that it needs alive.
pub(super) struct Recorded {
    name: String,
    queue: Arc<Queue>,
    /// Taken only by `drop`.
    slot: Option<CommandSlot>,
    keeps: Vec<Box<dyn Any + Send + Sync>>,
}

impl Recorder {
    pub(super) fn new(queue: &Arc<Queue>, name: &str) -> Result<Self, GpuError> {
        let slot = queue.command_slot()?;
        let handle = slot.buffer;
        queue.device.name(handle, name);
        let recorded =
            Recorded { name: name.to_owned(), queue: Arc::clone(queue), slot: Some(slot), keeps: Vec::new() };
        let begin = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::SIMULTANEOUS_USE);
        // SAFETY: the command buffer is empty, this recorder's alone, and no longer pending.
        unsafe { queue.device.raw.begin_command_buffer(handle, &begin) }.during("starting to record")?;
        let recorder = Self { recorded, bound: vk::Pipeline::null(), reset: Vec::new(), error: None };
        // What earlier submissions to this queue wrote is visible to this one.
        let all = vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE;
        let any = vk::PipelineStageFlags::ALL_COMMANDS;
        recorder.memory_barrier((any, vk::AccessFlags::MEMORY_WRITE), (any, all));
        Ok(recorder)
    }

    /// Dispatches `groups` workgroups of `pipeline` with `push` as its push constants.
    pub fn dispatch(&mut self, pipeline: &Arc<Pipeline>, push: &[u8], groups: [u32; 3]) -> &mut Self {
        self.dispatch_from(pipeline, push, 0, groups)
    }

    /// Dispatches `groups` workgroups whose numbers start at `(first, 0, 0)`.
    pub fn dispatch_from(&mut self, pipeline: &Arc<Pipeline>, push: &[u8], first: u32, groups: [u32; 3]) -> &mut Self {
        let end = [first.saturating_add(groups[0]), groups[1], groups[2]];
        if let Err(error) = self.check_dispatch(pipeline, push, end) {
            self.error.get_or_insert(error);
            return self;
        }
        let commands = self.handle();
        if self.bound != pipeline.handle {
            self.bound = pipeline.handle;
            self.keep(Arc::clone(pipeline));
            // SAFETY: recording; the pipeline is kept by the commands.
            unsafe {
                self.device().cmd_bind_pipeline(commands, vk::PipelineBindPoint::COMPUTE, pipeline.handle);
            }
        }
        let device = &self.recorded.queue.device;
        // SAFETY: recording on a queue that computes; constants and counts are within the limits. What the kernel does
        // with the addresses among its constants is between it and its caller.
        unsafe {
            if !push.is_empty() {
                device.raw.cmd_push_constants(commands, device.layout, vk::ShaderStageFlags::COMPUTE, 0, push);
            }
            if first == 0 {
                device.raw.cmd_dispatch(commands, groups[0], groups[1], groups[2]);
            } else {
                device.raw.cmd_dispatch_base(commands, first, 0, 0, groups[0], groups[1], groups[2]);
            }
        }
        self
    }

    fn check_dispatch(&self, pipeline: &Pipeline, push: &[u8], groups: [u32; 3]) -> Result<(), GpuError> {
        let name = || pipeline.name().to_owned();
        let queue = &self.recorded.queue;
        if queue.kind == QueueKind::Transfer {
            return Err(GpuError::DispatchOnTransfer { commands: self.recorded.name.clone(), pipeline: name() });
        }
        if push.len() > PUSH_BYTES as usize || !push.len().is_multiple_of(4) {
            return Err(GpuError::PushConstants { pipeline: name(), len: push.len() });
        }
        let limit = queue.device.physical.info.max_workgroups;
        if groups.iter().zip(limit).any(|(&count, limit)| count > limit) {
            return Err(GpuError::TooManyGroups { pipeline: name(), groups, limit });
        }
        Ok(())
    }

    /// Lets what follows see what was written before: by kernels, copies and fills alike.
    pub fn barrier(&mut self) -> &mut Self {
        let (stages, shader_read, shader_write) = match self.recorded.queue.kind {
            QueueKind::Compute => (
                vk::PipelineStageFlags::COMPUTE_SHADER | vk::PipelineStageFlags::TRANSFER,
                vk::AccessFlags::SHADER_READ,
                vk::AccessFlags::SHADER_WRITE,
            ),
            QueueKind::Transfer => {
                (vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::empty(), vk::AccessFlags::empty())
            }
        };
        let reads = shader_read | vk::AccessFlags::TRANSFER_READ;
        let writes = shader_write | vk::AccessFlags::TRANSFER_WRITE;
        self.memory_barrier((stages, writes), (stages, reads | writes));
        self
    }

    /// Copies `len` bytes from `source` at `from` to `target` at `to`.
    pub fn copy(&mut self, source: &Buffer, from: u64, target: &Buffer, to: u64, len: u64) -> &mut Self {
        if let Err(error) = source.check(from, len).and_then(|()| target.check(to, len)) {
            self.error.get_or_insert(error);
            return self;
        }
        if len == 0 {
            return self;
        }
        let region = [vk::BufferCopy { src_offset: from, dst_offset: to, size: len }];
        // SAFETY: recording; both ranges lie in their buffers, which the commands keep.
        unsafe {
            self.device().cmd_copy_buffer(self.handle(), source.shared.handle, target.shared.handle, &region);
        }
        self.uses(source).uses(target)
    }

    /// Writes `bytes`, at most [`UPDATE_BYTES`] of them, to `buffer` at `offset`; both lengths are multiples of 4.
    pub fn update(&mut self, buffer: &Buffer, offset: u64, bytes: &[u8]) -> &mut Self {
        let len = bytes.len() as u64;
        let unaligned = || GpuError::UnalignedFill { name: buffer.name().to_owned(), offset, len };
        let fits = offset.is_multiple_of(4) && len.is_multiple_of(4) && bytes.len() <= UPDATE_BYTES;
        let aligned = if fits { Ok(()) } else { Err(unaligned()) };
        if let Err(error) = buffer.check(offset, len).and(aligned) {
            self.error.get_or_insert(error);
            return self;
        }
        if len == 0 {
            return self;
        }
        // SAFETY: recording; the range is made of whole words of the buffer, which the commands keep.
        unsafe { self.device().cmd_update_buffer(self.handle(), buffer.shared.handle, offset, bytes) };
        self.uses(buffer)
    }

    /// Fills `len` bytes of `buffer` from `offset` on with copies of `word`; both must be multiples of 4.
    pub fn fill(&mut self, buffer: &Buffer, offset: u64, len: u64, word: u32) -> &mut Self {
        let unaligned = || GpuError::UnalignedFill { name: buffer.name().to_owned(), offset, len };
        let aligned = if offset.is_multiple_of(4) && len.is_multiple_of(4) { Ok(()) } else { Err(unaligned()) };
        if let Err(error) = buffer.check(offset, len).and(aligned) {
            self.error.get_or_insert(error);
            return self;
        }
        if len == 0 {
            return self;
        }
        // SAFETY: recording; the range is made of whole words of the buffer, which the commands keep.
        unsafe { self.device().cmd_fill_buffer(self.handle(), buffer.shared.handle, offset, len, word) };
        self.uses(buffer)
    }

    /// Writes the time at which everything recorded before is done to place `index` of `timestamps`.
    pub fn timestamp(&mut self, timestamps: &Timestamps, index: u32) -> &mut Self {
        let pool = &timestamps.pool;
        if index >= pool.count || self.recorded.queue.kind == QueueKind::Transfer {
            self.error.get_or_insert(GpuError::NoSuchTimestamp { index, count: pool.count });
            return self;
        }
        let first_use = !self.reset.contains(&pool.handle);
        if first_use {
            self.reset.push(pool.handle);
            self.keep(Arc::clone(pool));
        }
        // SAFETY: recording on the compute queue, which has timestamps; the commands keep the pool, which is reset before
        // its first query is written.
        unsafe {
            if first_use {
                self.device().cmd_reset_query_pool(self.handle(), pool.handle, 0, pool.count);
            }
            self.device().cmd_write_timestamp(
                self.handle(),
                vk::PipelineStageFlags::BOTTOM_OF_PIPE,
                pool.handle,
                index,
            );
        }
        self
    }

    /// Keeps a buffer, which kernels reach by its address alone, as long as the commands and the work they do.
    pub fn uses(&mut self, buffer: &Buffer) -> &mut Self {
        self.keep(Arc::clone(&buffer.shared))
    }

    /// Keeps anything, such as a lease, as long as the commands and the work they do.
    pub fn keep(&mut self, value: impl Any + Send + Sync) -> &mut Self {
        self.recorded.keeps.push(Box::new(value));
        self
    }

    /// Ends the recording, or answers its first error.
    pub fn finish(self) -> Result<Commands, GpuError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        // What was written is visible to the host once the ticket is passed.
        let any = vk::PipelineStageFlags::ALL_COMMANDS;
        let host = (vk::PipelineStageFlags::HOST, vk::AccessFlags::HOST_READ);
        self.memory_barrier((any, vk::AccessFlags::MEMORY_WRITE), host);
        // SAFETY: the recording was begun and is ended once.
        unsafe { self.device().end_command_buffer(self.handle()) }.during("ending a recording")?;
        Ok(Commands { recorded: Arc::new(self.recorded) })
    }

    fn memory_barrier(
        &self,
        (from, wrote): (vk::PipelineStageFlags, vk::AccessFlags),
        (to, sees): (vk::PipelineStageFlags, vk::AccessFlags),
    ) {
        let barrier = [vk::MemoryBarrier::default().src_access_mask(wrote).dst_access_mask(sees)];
        let flags = vk::DependencyFlags::empty();
        // SAFETY: recording; the callers name stages that the queue has.
        unsafe { self.device().cmd_pipeline_barrier(self.handle(), from, to, flags, &barrier, &[], &[]) };
    }

    fn device(&self) -> &ash::Device {
        &self.recorded.queue.device.raw
    }

    fn handle(&self) -> vk::CommandBuffer {
        self.recorded.handle()
    }
}

impl Recorded {
    pub(super) fn handle(&self) -> vk::CommandBuffer {
        self.slot.as_ref().map_or(vk::CommandBuffer::null(), |slot| slot.buffer)
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // Submitted commands are held until they are done, so the slot is not pending.
        if let Some(slot) = self.slot.take() {
            self.queue.give_back(slot);
        }
    }
}
