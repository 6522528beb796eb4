//! Buffers, the cap, and which device is opened.

use ash::vk;

use super::super::{Gpu, GpuError, GpuOptions, Memory};
use super::Validated;

#[test]
fn the_cap_refuses_and_freed_memory_counts_again() {
    let gpu = Validated::open(GpuOptions { vram_cap: Some(1 << 20), ..GpuOptions::default() });
    let half = gpu.buffer("half", 512 << 10, Memory::Device).unwrap();
    assert_eq!(gpu.memory_used().device, 512 << 10);
    let error = gpu.buffer("too much", (512 << 10) + 1, Memory::Device).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`too much` needs 512.2 KiB of GPU memory, but 512.0 KiB of the cap of 1.0 MiB are in use (512.0 KiB are free)"
    );
    drop(half);
    gpu.buffer("all", 1 << 20, Memory::Device).unwrap();
}

#[test]
fn refuses_buffers_of_impossible_sizes() {
    let gpu = Validated::open(GpuOptions::default());
    assert!(matches!(gpu.buffer("none", 0, Memory::Device), Err(GpuError::EmptyBuffer { .. })));
    assert!(matches!(gpu.buffer("all", u64::MAX, Memory::Host), Err(GpuError::TooLarge { .. })));
    assert!(matches!(gpu.buffer("all", u64::MAX - 300, Memory::Host), Err(GpuError::TooLarge { .. })));
    assert_eq!(gpu.memory_used(), super::super::MemoryUsed::default());
}

#[test]
fn mapped_buffers_check_their_ranges() {
    let gpu = Validated::open(GpuOptions::default());
    let mut buffer = gpu.buffer("host", 10, Memory::Host).unwrap();
    assert_eq!((buffer.len(), buffer.address() % 256), (10, 0));
    buffer.bytes_mut().unwrap().fill(9);
    buffer.write(8, &[1, 2]).unwrap();
    buffer.write(10, &[]).unwrap();
    assert!(matches!(buffer.write(9, &[1, 2]), Err(GpuError::OutOfRange { .. })));
    assert!(matches!(buffer.write(u64::MAX, &[1]), Err(GpuError::OutOfRange { .. })));
    assert_eq!(buffer.bytes().unwrap(), [9, 9, 9, 9, 9, 9, 9, 9, 1, 2]);
    let mut two = [0; 2];
    buffer.read(7, &mut two).unwrap();
    assert_eq!(two, [9, 1]);
}

#[test]
fn opens_by_index_or_name_and_says_what_there_is() {
    let devices = Gpu::list(true).unwrap_or_else(|error| panic!("{error}"));
    let best = Validated::open(GpuOptions::default());
    assert!(best.info().missing.is_none() && best.info().heap_bytes > 0 && best.info().subgroup.is_power_of_two());
    for device in devices.iter().filter(|device| device.missing.is_none()) {
        let by_index = Validated::open(GpuOptions { device: Some(device.index.to_string()), ..GpuOptions::default() });
        assert_eq!(by_index.info().name, device.name);
        let name = device.name.to_uppercase();
        let by_name = Validated::open(GpuOptions { device: Some(name), ..GpuOptions::default() });
        assert_eq!(by_name.info().name, device.name);
        assert!(by_index.info().kind >= best.info().kind);
    }
    let wrong = GpuOptions { device: Some("no such GPU".to_owned()), ..GpuOptions::default() };
    let error = Gpu::open(&wrong).err().unwrap().to_string();
    assert!(error.contains("no such GPU") && error.contains(&devices[0].name), "{error}");
}

#[test]
fn the_validation_layer_is_listened_to() {
    let folder = tempfile::tempdir().unwrap();
    let cache_dir = Some(folder.path().to_owned());
    let gpu = Gpu::open(&GpuOptions { validation: true, cache_dir, ..GpuOptions::default() });
    let gpu = gpu.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(gpu.validation_errors(), 0);
    let device = &gpu.shared.device.raw;
    let of_no_bytes = vk::BufferCreateInfo::default().usage(vk::BufferUsageFlags::TRANSFER_SRC);
    // SAFETY: a buffer of no bytes breaks a rule of Vulkan on purpose; nothing is ever done with it.
    unsafe {
        let buffer = device.create_buffer(&of_no_bytes, None);
        buffer.into_iter().for_each(|buffer| device.destroy_buffer(buffer, None));
    }
    assert_eq!(gpu.validation_errors(), 1);
    assert!(gpu.validation_messages()[0].contains("VUID-VkBufferCreateInfo-size-00912"));
}
