//! Uploads and downloads, mapped and through the staging ring.

use super::super::{GpuOptions, Memory};
use super::Validated;

/// Bytes without a pattern that a shifted copy would keep.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..len).map(|_| next()).collect()
}

fn round_trips(options: GpuOptions, mapped: impl Fn(bool) -> bool) {
    let gpu = Validated::open(options);
    // More than the ring holds, and not a multiple of anything.
    let len = (40 << 20) + 13;
    let target = gpu.buffer("target", len, Memory::Device).unwrap();
    assert!(mapped(target.is_mapped()));
    assert_eq!(target.bytes().is_ok(), target.is_mapped());
    let mut expected = noise(usize::try_from(len).unwrap());
    gpu.upload(&target, 0, &expected).unwrap();
    for (offset, size) in [(0, 1), (1, 3), (5, 0), (4095, 4098), (expected.len() - 7, 7), (3, (17 << 20) + 1)] {
        let bytes = noise(size + 11).split_off(11);
        gpu.upload(&target, offset as u64, &bytes).unwrap();
        expected[offset..offset + size].copy_from_slice(&bytes);
    }
    let mut found = vec![0; expected.len()];
    gpu.download(&target, 0, &mut found).unwrap();
    assert!(found == expected);
    for (offset, size) in [(1, 1), (4093, 17), (expected.len() - 5, 5), (expected.len(), 0)] {
        let mut part = vec![0; size];
        gpu.download(&target, offset as u64, &mut part).unwrap();
        assert_eq!(part, expected[offset..offset + size]);
    }
    assert!(gpu.upload(&target, len - 1, &[0; 2]).is_err());
    assert!(gpu.download(&target, len, &mut [0]).is_err());
}

#[test]
fn round_trips_as_the_device_likes_it() {
    round_trips(GpuOptions::default(), |_| true);
}

#[test]
fn round_trips_through_the_ring() {
    round_trips(GpuOptions { force_staging: true, ..GpuOptions::default() }, |mapped| !mapped);
}

#[test]
fn uploads_and_commands_take_turns() {
    let gpu = Validated::open(GpuOptions { force_staging: true, ..GpuOptions::default() });
    let [from, to] = ["from", "to"].map(|name| gpu.buffer(name, 1 << 20, Memory::Device).unwrap());
    let mut recorder = gpu.recorder("copy").unwrap();
    recorder.copy(&from, 0, &to, 0, 1 << 20);
    let copy = recorder.finish().unwrap();
    for round in 0..8_u8 {
        gpu.upload(&from, 0, &vec![round; 1 << 20]).unwrap();
        gpu.submit(&copy).unwrap();
        // Must not overtake the copy.
        gpu.upload(&from, 0, &vec![0xff; 1 << 20]).unwrap();
        let mut found = vec![0; 1 << 20];
        gpu.download(&to, 0, &mut found).unwrap();
        assert!(found.iter().all(|&byte| byte == round));
    }
}
