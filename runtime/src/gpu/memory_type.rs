//! Memory types and heaps: which type a buffer's memory comes from. Reads tables, allocates nothing.

use ash::vk::{self, MemoryHeapFlags, MemoryPropertyFlags};

use super::instance::Instance;
use crate::memory::Room;

/// Where the bytes of a buffer lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// The device's own memory, fast for kernels. Mapped as well on unified devices, and only there.
    Device,
    /// Pinned memory of the host, always mapped, cached for the CPU where the device allows that: for uploads, for
    /// results, and for packs that the copy engine or a kernel reads across the link.
    Host,
}

/// A heap of a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heap {
    pub(super) index: u32,
    pub(super) bytes: u64,
}

/// The memory types and heaps of a device.
#[derive(Clone, Debug)]
pub(super) struct MemoryTypes {
    /// Properties and heap of each type.
    types: Vec<(MemoryPropertyFlags, u32)>,
    /// Size and flags of each heap.
    heaps: Vec<(u64, MemoryHeapFlags)>,
}

impl MemoryTypes {
    /// Reads the driver's table.
    pub(super) fn new(table: &vk::PhysicalDeviceMemoryProperties) -> Self {
        let types = table.memory_types_as_slice().iter().map(|kind| (kind.property_flags, kind.heap_index));
        let heaps = table.memory_heaps_as_slice().iter().map(|heap| (heap.size, heap.flags));
        Self { types: types.collect(), heaps: heaps.collect() }
    }

    /// The largest device-local heap, the first of equals.
    pub(super) fn device_heap(&self) -> Option<Heap> {
        let heaps = (0_u32..).zip(&self.heaps);
        let local = heaps.filter(|(_, (_, flags))| flags.contains(MemoryHeapFlags::DEVICE_LOCAL));
        let largest = local.reduce(|best, next| if next.1.0 > best.1.0 { next } else { best });
        largest.map(|(index, &(bytes, _))| Heap { index, bytes })
    }

    /// The heap of memory type `index`.
    pub(super) fn heap_of(&self, index: u32) -> Option<Heap> {
        let heap = self.types.get(usize::try_from(index).ok()?)?.1;
        let bytes = self.heaps.get(usize::try_from(heap).ok()?)?.0;
        Some(Heap { index: heap, bytes })
    }

    /// Whether the main device heap has a type that the host maps, coherently.
    pub(super) fn unified(&self) -> bool {
        self.choose(Memory::Device, true, u32::MAX).is_some()
    }

    /// The type to take memory for `memory` from, out of those whose bit is set in `allowed`. `mapped` says whether
    /// device memory has to be mapped too.
    pub(super) fn choose(&self, memory: Memory, mapped: bool, allowed: u32) -> Option<u32> {
        // Types with any other property (protected, lazily allocated, device-coherent) are for other uses.
        let visible = MemoryPropertyFlags::HOST_VISIBLE | MemoryPropertyFlags::HOST_COHERENT;
        let ordinary = visible | MemoryPropertyFlags::DEVICE_LOCAL | MemoryPropertyFlags::HOST_CACHED;
        let device_heap = self.device_heap()?.index;
        let candidates = (0_u32..32).zip(&self.types).filter(|&(index, &(flags, heap))| {
            let usable = allowed & (1 << index) != 0 && ordinary.contains(flags);
            usable
                && match memory {
                    Memory::Device => {
                        let reachable = !mapped || flags.contains(visible);
                        heap == device_heap && flags.contains(MemoryPropertyFlags::DEVICE_LOCAL) && reachable
                    }
                    Memory::Host => flags.contains(visible),
                }
        });
        // Fewest drawbacks first; among equals the driver's order, which Vulkan defines as best first.
        candidates
            .min_by_key(|(index, (flags, _))| {
                let cached = flags.contains(MemoryPropertyFlags::HOST_CACHED);
                let drawbacks = match memory {
                    Memory::Device if mapped => u32::from(!cached),
                    // A window into device memory is smaller or slower than device memory alone.
                    Memory::Device => u32::from(flags.contains(MemoryPropertyFlags::HOST_VISIBLE)),
                    Memory::Host => {
                        2 * u32::from(!cached) + u32::from(flags.contains(MemoryPropertyFlags::DEVICE_LOCAL))
                    }
                };
                (drawbacks, *index)
            })
            .map(|(index, _)| index)
    }
}

/// What the driver says of the main device heap, for this process and now.
pub(super) fn room(
    instance: &Instance,
    device: vk::PhysicalDevice,
    types: &MemoryTypes,
    memory_budget: bool,
) -> Option<Room> {
    if !memory_budget {
        return None;
    }
    let heap = usize::try_from(types.device_heap()?.index).ok()?;
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    let mut all = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
    // SAFETY: the device comes from this instance and lists VK_EXT_memory_budget.
    unsafe { instance.raw.get_physical_device_memory_properties2(device, &mut all) };
    Some(Room { budget: *budget.heap_budget.get(heap)?, usage: *budget.heap_usage.get(heap)? })
}
