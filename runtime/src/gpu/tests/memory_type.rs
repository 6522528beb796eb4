//! The choice of memory types, on the tables of drivers that this machine may not have.

use ash::vk::{self, MemoryPropertyFlags as Flags};

use super::super::memory_type::{Memory, MemoryTypes};

const LOCAL: Flags = Flags::DEVICE_LOCAL;
const VISIBLE: Flags = Flags::from_raw(Flags::HOST_VISIBLE.as_raw() | Flags::HOST_COHERENT.as_raw());
const CACHED: Flags = Flags::HOST_CACHED;
const GIB: u64 = 1 << 30;

fn table(heaps: &[(u64, bool)], types: &[(Flags, u32)]) -> MemoryTypes {
    let mut table = vk::PhysicalDeviceMemoryProperties::default();
    for (slot, &(size, local)) in table.memory_heaps.iter_mut().zip(heaps) {
        let flags = if local { vk::MemoryHeapFlags::DEVICE_LOCAL } else { vk::MemoryHeapFlags::empty() };
        *slot = vk::MemoryHeap { size, flags };
    }
    for (slot, &(property_flags, heap_index)) in table.memory_types.iter_mut().zip(types) {
        *slot = vk::MemoryType { property_flags, heap_index };
    }
    (table.memory_heap_count, table.memory_type_count) =
        (u32::try_from(heaps.len()).unwrap(), u32::try_from(types.len()).unwrap());
    MemoryTypes::new(&table)
}

/// The types for device memory, for device memory that is mapped, and for host memory.
fn choices(types: &MemoryTypes) -> [Option<u32>; 3] {
    [(Memory::Device, false), (Memory::Device, true), (Memory::Host, true)]
        .map(|(memory, mapped)| types.choose(memory, mapped, u32::MAX))
}

#[test]
fn a_card_with_a_small_window() {
    // NVIDIA: device memory, pinned memory with and without cache, and 256 MiB of device memory that the host sees.
    let types = table(
        &[(24 * GIB, true), (64 * GIB, false), (GIB / 4, true)],
        &[(Flags::empty(), 1), (LOCAL, 0), (VISIBLE, 1), (VISIBLE | CACHED, 1), (LOCAL | VISIBLE, 2)],
    );
    assert_eq!(types.device_heap().map(|heap| (heap.index, heap.bytes)), Some((0, 24 * GIB)));
    assert_eq!(choices(&types), [Some(1), None, Some(3)]);
    assert!(!types.unified());
}

#[test]
fn a_card_whose_memory_the_host_sees_whole() {
    // AMD with a resizable BAR, and a type that only an extension makes usable.
    let types = table(
        &[(16 * GIB, true), (64 * GIB, false)],
        &[
            (LOCAL, 0),
            (LOCAL | VISIBLE, 0),
            (VISIBLE, 1),
            (VISIBLE | CACHED, 1),
            (VISIBLE | CACHED | Flags::DEVICE_COHERENT_AMD, 1),
        ],
    );
    assert_eq!(choices(&types), [Some(0), Some(1), Some(3)]);
}

#[test]
fn shared_memory() {
    // lavapipe: one type for everything.
    let lavapipe = table(&[(2 * GIB, true)], &[(LOCAL | VISIBLE | CACHED, 0)]);
    assert_eq!(choices(&lavapipe), [Some(0); 3]);
    // Intel: the cached one suits the host better.
    let intel = table(&[(8 * GIB, true)], &[(LOCAL, 0), (LOCAL | VISIBLE, 0), (LOCAL | VISIBLE | CACHED, 0)]);
    assert_eq!(choices(&intel), [Some(0), Some(2), Some(2)]);
    // Cached memory that is not coherent is left alone.
    let mobile = table(&[(8 * GIB, true)], &[(LOCAL | Flags::HOST_VISIBLE | CACHED, 0), (LOCAL | VISIBLE, 0)]);
    assert_eq!(choices(&mobile), [Some(0), Some(1), Some(1)]);
}

#[test]
fn only_allowed_types_are_chosen() {
    let types = table(&[(GIB, true)], &[(LOCAL, 0), (LOCAL, 0), (VISIBLE, 0)]);
    assert_eq!(types.choose(Memory::Device, false, 0b110), Some(1));
    assert_eq!(types.choose(Memory::Host, true, 0b011), None);
    assert_eq!(table(&[], &[]).choose(Memory::Device, false, u32::MAX), None);
}
