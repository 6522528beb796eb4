//! Device memory: allocations through VMA, the account of their bytes, the cap, and late destruction.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ash::vk;
use vk_mem::Alloc;

use super::error::{During, GpuError};
use super::logical_device::LogicalDevice;
use super::memory_type::{Memory, room};
use super::queue::{Queues, Ticket};

/// Every buffer starts on a multiple of this, which suits any vector load and any copy.
const ALIGNMENT: u64 = 256;

/// Those that packs are read into start where a page does, as direct reads from disk need it.
const PAGE: u64 = 4096;

/// Buffers from this size on have an allocation of their own; smaller ones share blocks of [`BLOCK`].
const DEDICATED: u64 = 4 << 20;

/// The largest block that small buffers share, so also the most that the account can be behind the driver.
const BLOCK: u64 = 16 << 20;

/// Bytes in use by the buffers of one [`Gpu`](super::Gpu).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsed {
    /// Bytes on the main device heap, which the cap is about. On a unified device that is everything.
    pub device: u64,
    /// Bytes elsewhere: pinned host memory.
    pub host: u64,
}

/// The memory of a device.
pub(super) struct DeviceMemory {
    // Declared first: VMA goes before the device does.
    vma: vk_mem::Allocator,
    pub(super) device: Arc<LogicalDevice>,
    queues: Arc<Queues>,
    families: Vec<u32>,
    device_type: u32,
    host_type: u32,
    map_device: bool,
    /// The most bytes on the main device heap; `u64::MAX` where there is no such limit.
    cap: AtomicU64,
    used: Mutex<MemoryUsed>,
    retired: Mutex<Vec<Retired>>,
}

/// A buffer with its memory.
pub(super) struct Allocated {
    pub(super) handle: vk::Buffer,
    pub(super) address: u64,
    /// Where the bytes are mapped, or null.
    pub(super) mapped: *mut u8,
    allocation: vk_mem::Allocation,
    /// What it counts for in the account.
    bytes: u64,
    on_device_heap: bool,
}

// SAFETY: VMA allocations and buffers belong to no thread, and the mapping is memory like any other.
unsafe impl Send for Allocated {}
// SAFETY: shared access only reads the handles.
unsafe impl Sync for Allocated {}

/// A buffer that nobody owns any more, but that submitted work may still reach by its address.
struct Retired {
    after: Vec<Ticket>,
    allocated: Allocated,
}

impl DeviceMemory {
    /// Sets VMA up on `device`. `map_device` says whether device memory is to be mapped.
    pub(super) fn new(
        device: &Arc<LogicalDevice>,
        queues: &Arc<Queues>,
        map_device: bool,
        cap: Option<u64>,
    ) -> Result<Self, GpuError> {
        let physical = &device.physical;
        let mut flags = vk_mem::AllocatorCreateFlags::BUFFER_DEVICE_ADDRESS;
        if physical.info.features.memory_budget {
            flags |= vk_mem::AllocatorCreateFlags::EXT_MEMORY_BUDGET;
        }
        let mut create = vk_mem::AllocatorCreateInfo::new(&device.instance.raw, &device.raw, physical.handle);
        create.flags = flags;
        create.vulkan_api_version = vk::API_VERSION_1_2;
        create.preferred_large_heap_block_size = BLOCK;
        // SAFETY: instance and device outlive the allocator, which is declared before the device that it holds.
        let vma = unsafe { vk_mem::Allocator::new(create) }.during("creating the memory allocator")?;

        let families = [Some(physical.queues.compute), physical.queues.transfer].into_iter().flatten().collect();
        let mut memory = Self {
            vma,
            device: Arc::clone(device),
            queues: Arc::clone(queues),
            families,
            device_type: 0,
            host_type: 0,
            map_device,
            cap: AtomicU64::new(cap.unwrap_or(u64::MAX)),
            used: Mutex::default(),
            retired: Mutex::default(),
        };
        let allowed = memory.allowed_types()?;
        let choose = |memory, mapped| {
            let missing = || GpuError::Unsupported {
                name: physical.info.name.clone(),
                missing: format!("a memory type for {memory:?} buffers"),
            };
            physical.memory.choose(memory, mapped, allowed).ok_or_else(missing)
        };
        memory.device_type = choose(Memory::Device, map_device)?;
        memory.host_type = choose(Memory::Host, true)?;
        Ok(memory)
    }

    /// Whether device memory is mapped.
    pub(super) fn is_mapped(&self) -> bool {
        self.map_device
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> MemoryUsed {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The memory types that our buffers can lie in: the same for all of them, as they differ in size only.
    fn allowed_types(&self) -> Result<u32, GpuError> {
        let create = self.buffer_info(ALIGNMENT);
        // SAFETY: the probe buffer is created, asked and destroyed here.
        unsafe {
            let probe = self.device.raw.create_buffer(&create, None).during("creating a buffer")?;
            let requirements = self.device.raw.get_buffer_memory_requirements(probe);
            self.device.raw.destroy_buffer(probe, None);
            Ok(requirements.memory_type_bits)
        }
    }

    fn buffer_info(&self, size: u64) -> vk::BufferCreateInfo<'_> {
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER
            | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS
            | vk::BufferUsageFlags::TRANSFER_SRC
            | vk::BufferUsageFlags::TRANSFER_DST;
        let info = vk::BufferCreateInfo::default().size(size).usage(usage);
        match self.families.as_slice() {
            [_] => info.sharing_mode(vk::SharingMode::EXCLUSIVE),
            families => info.sharing_mode(vk::SharingMode::CONCURRENT).queue_family_indices(families),
        }
    }

    /// A buffer of `len` bytes and its memory.
    pub(super) fn allocate(&self, name: &str, len: u64, memory: Memory) -> Result<Allocated, GpuError> {
        let physical = &self.device.physical;
        if len == 0 {
            return Err(GpuError::EmptyBuffer { name: name.to_owned() });
        }
        let too_large =
            || GpuError::TooLarge { name: name.to_owned(), needed: len, largest: physical.info.max_buffer_bytes };
        let bytes = Self::counted(len).ok_or_else(too_large)?;
        if bytes > physical.info.max_buffer_bytes {
            return Err(too_large());
        }
        let on_device_heap = self.on_device_heap(memory);
        self.free_passed();
        if self.reserve(name, bytes, on_device_heap).is_err() {
            // What is retired counts until it is gone, so let it go before saying no.
            self.free_retired()?;
            self.reserve(name, bytes, on_device_heap)?;
        }
        let allocated = self.create(name, bytes, memory, on_device_heap);
        if allocated.is_err() {
            self.release(bytes, on_device_heap);
        }
        allocated
    }

    /// Whether such buffers lie on the main device heap.
    pub(super) fn on_device_heap(&self, memory: Memory) -> bool {
        let table = &self.device.physical.memory;
        let heap = table.heap_of(self.type_of(memory)).map(|heap| heap.index);
        // pinned memory is the host's, and where that is one heap with the device's and treated as two, it is still
        memory == Memory::Device || self.map_device && heap == table.device_heap().map(|heap| heap.index)
    }

    /// What a buffer of `len` bytes counts for in the account.
    pub(super) fn counted(len: u64) -> Option<u64> {
        len.checked_next_multiple_of(ALIGNMENT)
    }

    fn type_of(&self, memory: Memory) -> u32 {
        match memory {
            Memory::Device => self.device_type,
            Memory::Host => self.host_type,
        }
    }

    fn create(&self, name: &str, bytes: u64, memory: Memory, on_device_heap: bool) -> Result<Allocated, GpuError> {
        let info = self.buffer_info(bytes);
        let mut flags = vk_mem::AllocationCreateFlags::empty();
        if memory == Memory::Host || self.map_device {
            flags |= vk_mem::AllocationCreateFlags::MAPPED;
        }
        if bytes >= DEDICATED {
            flags |= vk_mem::AllocationCreateFlags::DEDICATED_MEMORY;
        }
        let memory_type_bits = 1 << self.type_of(memory);
        let create = vk_mem::AllocationCreateInfo { flags, memory_type_bits, ..Default::default() };
        let alignment = if bytes.is_multiple_of(PAGE) { PAGE } else { ALIGNMENT };
        // SAFETY: the infos are valid, and what comes back is owned by the `Allocated` below.
        let created = unsafe { self.vma.create_buffer_with_alignment(&info, &create, alignment) };
        let (handle, allocation) = created.map_err(|result| self.refusal(name, bytes, on_device_heap, result))?;
        self.device.name(handle, name);
        let address = vk::BufferDeviceAddressInfo::default().buffer(handle);
        // SAFETY: the buffer was created with SHADER_DEVICE_ADDRESS and is bound to memory.
        let address = unsafe { self.device.raw.get_buffer_device_address(&address) };
        let mapped = self.vma.get_allocation_info(&allocation).mapped_data.cast();
        Ok(Allocated { handle, address, mapped, allocation, bytes, on_device_heap })
    }

    /// The most bytes of buffers on the main device heap; `u64::MAX` where there is no such limit.
    pub(super) fn cap(&self) -> u64 {
        self.cap.load(Ordering::Relaxed)
    }

    /// Sets another cap; what is allocated stays.
    pub(super) fn set_cap(&self, cap: u64) {
        self.cap.store(cap, Ordering::Relaxed);
    }

    /// The one place where the cap is enforced.
    fn reserve(&self, name: &str, bytes: u64, on_device_heap: bool) -> Result<(), GpuError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !on_device_heap {
            used.host = used.host.saturating_add(bytes);
            return Ok(());
        }
        let after = used.device.saturating_add(bytes);
        let cap = self.cap();
        if after > cap {
            return Err(GpuError::OverCap { name: name.to_owned(), needed: bytes, used: used.device, cap });
        }
        used.device = after;
        Ok(())
    }

    fn release(&self, bytes: u64, on_device_heap: bool) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let side = if on_device_heap { &mut used.device } else { &mut used.host };
        *side = side.saturating_sub(bytes);
    }

    /// Why the driver gave no memory.
    fn refusal(&self, name: &str, bytes: u64, on_device_heap: bool, result: vk::Result) -> GpuError {
        let physical = &self.device.physical;
        let out = matches!(result, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY | vk::Result::ERROR_OUT_OF_HOST_MEMORY);
        if !out {
            return GpuError::vulkan(format!("allocating `{name}`"), result);
        }
        let used = self.used();
        let memory_type = if on_device_heap { self.device_type } else { self.host_type };
        let budget = physical.info.features.memory_budget && on_device_heap;
        GpuError::OutOfMemory {
            memory: if on_device_heap { "GPU" } else { "host" },
            name: name.to_owned(),
            needed: bytes,
            used: if on_device_heap { used.device } else { used.host }.saturating_sub(bytes),
            heap: physical.memory.heap_of(memory_type).map_or(0, |heap| heap.bytes),
            free: room(&self.device.instance, physical.handle, &physical.memory, budget).map(|room| room.free()),
        }
    }

    /// Takes a buffer that nobody owns any more, and destroys it when all the work submitted so far is done.
    pub(super) fn retire(&self, allocated: Allocated) {
        let after = self.queues.each().map(|queue| queue.latest()).collect();
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(Retired { after, allocated });
        self.free_passed();
    }

    /// Destroys the retired buffers that the GPU is done with.
    pub(super) fn free_passed(&self) {
        let is_passed = |ticket: &Ticket| {
            let queue = self.queues.get(ticket.queue);
            ticket.value == 0 || queue.passed().is_ok_and(|passed| passed >= ticket.value)
        };
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let passed: Vec<_> = retired.extract_if(.., |retired| retired.after.iter().all(is_passed)).collect();
        drop(retired);
        passed.into_iter().for_each(|retired| self.destroy(retired.allocated));
    }

    /// Waits for the GPU to be done with all retired buffers, and destroys them.
    fn free_retired(&self) -> Result<(), GpuError> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let after: Vec<_> = retired.iter().flat_map(|retired| retired.after.clone()).collect();
        drop(retired);
        after.iter().try_for_each(|ticket| self.queues.get(ticket.queue).wait(ticket.value))?;
        self.free_passed();
        Ok(())
    }

    fn destroy(&self, mut allocated: Allocated) {
        // SAFETY: the buffer is owned here, and every submission that could reach it is done.
        unsafe { self.vma.destroy_buffer(allocated.handle, &mut allocated.allocation) };
        self.release(allocated.bytes, allocated.on_device_heap);
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        // Waiting fails only on a lost device, which reaches no memory any more.
        let _ = self.queues.each().try_for_each(|queue| queue.wait(queue.latest().value));
        let retired = std::mem::take(self.retired.get_mut().unwrap_or_else(PoisonError::into_inner));
        retired.into_iter().for_each(|retired| self.destroy(retired.allocated));
    }
}
