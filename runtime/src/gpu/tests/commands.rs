//! Dispatches, copies, fills, barriers, tickets and timestamps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::{GpuError, GpuOptions, Memory, PipelineInfo, QueueKind, Ticket};
use super::{ADD, AddPush, Validated, glsl, words_of};

#[test]
fn adds_two_buffers() {
    let gpu = Validated::open(GpuOptions::default());
    let add = gpu.kernel("add", ADD, &[100]);
    let count = 1000_u32;
    let words = |f: fn(u32) -> u32| (0..count).flat_map(|i| f(i).to_le_bytes()).collect::<Vec<_>>();
    let bytes = u64::from(count) * 4;
    let a = gpu.buffer("a", bytes, Memory::Host).unwrap();
    let b = gpu.buffer("b", bytes, Memory::Device).unwrap();
    // One word more, to see that nothing is written behind the end.
    let c = gpu.buffer("c", bytes + 4, Memory::Host).unwrap();
    a.write(0, &words(|i| i)).unwrap();
    gpu.upload(&b, 0, &words(|i| i * 3)).unwrap();

    let mut recorder = gpu.recorder("test").unwrap();
    let push = AddPush { a: a.address(), b: b.address(), c: c.address(), count, unused: 0 };
    recorder
        .fill(&c, 0, bytes + 4, 0xdead_beef)
        .barrier()
        .dispatch(&add, bytemuck::bytes_of(&push), [count.div_ceil(64), 1, 1])
        .uses(&a)
        .uses(&b);
    let commands = recorder.finish().unwrap();
    let ticket = gpu.submit(&commands).unwrap();
    gpu.wait(ticket).unwrap();
    assert!(gpu.is_done(ticket).unwrap());
    let sums = words_of(c.bytes().unwrap());
    let expected: Vec<u32> = (0..count).map(|i| i * 4 + 100).chain([0xdead_beef]).collect();
    assert_eq!(sums, expected);
}

#[test]
fn replayed_dispatches_run_in_order() {
    let gpu = Validated::open(GpuOptions::default());
    let add = gpu.kernel("add", ADD, &[1]);
    let one = gpu.kernel("add two", ADD, &[2]);
    let [a, b] = ["a", "b"].map(|name| gpu.buffer(name, 256, Memory::Device).unwrap());
    let zero = gpu.buffer("zero", 256, Memory::Device).unwrap();
    gpu.upload(&zero, 0, &[0; 256]).unwrap();
    gpu.upload(&a, 0, &[0; 256]).unwrap();
    // a -> b adds 1, b -> a adds 2: any step out of order shows in the sum.
    let mut recorder = gpu.recorder("steps").unwrap();
    for _ in 0..50 {
        let there = AddPush { a: a.address(), b: zero.address(), c: b.address(), count: 64, unused: 0 };
        let back = AddPush { a: b.address(), b: zero.address(), c: a.address(), count: 64, unused: 0 };
        recorder.dispatch(&add, bytemuck::bytes_of(&there), [1, 1, 1]).barrier();
        recorder.dispatch(&one, bytemuck::bytes_of(&back), [1, 1, 1]).barrier();
    }
    let steps = recorder.finish().unwrap();
    let tickets: Vec<_> = (0..4).map(|_| gpu.submit(&steps).unwrap()).collect();
    let mut bytes = [0; 256];
    gpu.download(&a, 0, &mut bytes).unwrap();
    assert_eq!(words_of(&bytes), [600; 64]);
    assert!(tickets.iter().all(|ticket| gpu.is_done(*ticket).unwrap()));
}

#[test]
fn what_commands_keep_goes_when_they_are_done() {
    struct Lease(Arc<AtomicBool>);
    impl Drop for Lease {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let gpu = Validated::open(GpuOptions::default());
    let ended = Arc::new(AtomicBool::new(false));
    let [a, b] = ["a", "b"].map(|name| gpu.buffer(name, 1 << 20, Memory::Device).unwrap());
    let mut recorder = gpu.transfer_recorder("copy").unwrap();
    recorder.fill(&a, 0, 1 << 20, 7).barrier().copy(&a, 0, &b, 0, 1 << 20).keep(Lease(Arc::clone(&ended)));
    let commands = recorder.finish().unwrap();
    // Buffers may go at any time.
    drop(a);
    let ticket = gpu.submit(&commands).unwrap();
    drop(commands);
    let mut word = [0; 4];
    gpu.wait(ticket).unwrap();
    assert!(ended.load(Ordering::SeqCst));
    gpu.download(&b, (1 << 20) - 4, &mut word).unwrap();
    assert_eq!(word, 7_u32.to_le_bytes());
    drop(b);
    gpu.wait_all().unwrap();
    assert_eq!(gpu.memory_used().device, 0);
}

#[test]
fn refuses_what_the_device_cannot_do() {
    let gpu = Validated::open(GpuOptions::default());
    let add = gpu.kernel("add", ADD, &[]);
    let limit = gpu.info().max_workgroups[1];
    if let Some(more) = limit.checked_add(1) {
        let mut recorder = gpu.recorder("too many").unwrap();
        recorder.dispatch(&add, &[0; 32], [1, more, 1]);
        assert!(matches!(recorder.finish(), Err(GpuError::TooManyGroups { .. })));
    }
    for len in [132, 6] {
        let mut recorder = gpu.recorder("push").unwrap();
        recorder.dispatch(&add, &vec![0; len], [1, 1, 1]);
        assert!(matches!(recorder.finish(), Err(GpuError::PushConstants { .. })));
    }
    let buffer = gpu.buffer("small", 10, Memory::Device).unwrap();
    let mut recorder = gpu.recorder("range").unwrap();
    // The first error is the one that counts.
    recorder.copy(&buffer, 4, &buffer, 0, 7).fill(&buffer, 2, 4, 0);
    assert!(matches!(recorder.finish(), Err(GpuError::OutOfRange { offset: 4, len: 7, .. })));
    let mut recorder = gpu.recorder("fill").unwrap();
    recorder.fill(&buffer, 2, 4, 0);
    assert!(matches!(recorder.finish(), Err(GpuError::UnalignedFill { .. })));

    let not_spirv = PipelineInfo { name: "junk", spirv: &[1, 2, 3], ..PipelineInfo::default() };
    assert!(matches!(gpu.pipeline(&not_spirv), Err(GpuError::NotSpirv { .. })));
    let spirv = glsl(ADD).unwrap();
    let wide = PipelineInfo { name: "wide", spirv: &spirv, subgroup: Some(4096), ..PipelineInfo::default() };
    assert!(matches!(gpu.pipeline(&wide), Err(GpuError::SubgroupSize { .. })));
    let own = PipelineInfo { subgroup: Some(gpu.info().subgroup), name: "own", ..wide };
    gpu.pipeline(&own).unwrap();
}

#[test]
fn timestamps_count_nanoseconds() {
    let gpu = Validated::open(GpuOptions::default());
    let timestamps = gpu.timestamps(2).unwrap();
    let buffer = gpu.buffer("buffer", 16 << 20, Memory::Device).unwrap();
    let mut recorder = gpu.recorder("timed").unwrap();
    recorder.timestamp(&timestamps, 0).fill(&buffer, 0, buffer.len(), 1).timestamp(&timestamps, 1);
    let ticket = gpu.submit(&recorder.finish().unwrap()).unwrap();
    gpu.wait(ticket).unwrap();
    let took = timestamps.nanoseconds(0, 1).unwrap();
    assert!((100.0..60e9).contains(&took), "{took} ns");
    assert!(matches!(timestamps.nanoseconds(0, 2), Err(GpuError::NoSuchTimestamp { index: 2, count: 2 })));
    let mut recorder = gpu.recorder("out of range").unwrap();
    recorder.timestamp(&timestamps, 2);
    assert!(matches!(recorder.finish(), Err(GpuError::NoSuchTimestamp { .. })));
}

#[test]
fn a_done_ticket_is_done() {
    let gpu = Validated::open(GpuOptions::default());
    assert!(gpu.is_done(Ticket::DONE).unwrap());
    gpu.wait(Ticket::DONE).unwrap();
    gpu.wait(gpu.latest(QueueKind::Transfer)).unwrap();
}

#[test]
fn handles_go_from_thread_to_thread() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<super::super::Gpu>();
    shared::<super::super::Buffer>();
    shared::<super::super::Commands>();
    shared::<super::super::ShaderCache>();
    sent::<super::super::Recorder>();
}
