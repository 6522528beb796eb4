//! The prefetcher over disks that fail, are short or are slow.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::chunk::Chunk;
use super::files::{disk, temporary};
use super::pread::PreadThreads;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const CHUNK: usize = 16 << 10;
const LEN: usize = 20 * CHUNK + 1000;

/// A prefetcher over a file of [`LEN`] bytes whose every read goes through `fault`, which is given the chunk and a
/// working read.
struct Faulty {
    bytes: Vec<u8>,
    prefetcher: AsyncPrefetcher,
    _file: tempfile::NamedTempFile,
}

type Working<'a> = &'a dyn Fn(&mut Chunk) -> io::Result<usize>;

fn faulty(
    threads: usize,
    direct: bool,
    fault: impl Fn(&mut Chunk, Working) -> io::Result<usize> + Send + Sync + 'static,
) -> Faulty {
    let (file, bytes) = temporary(&std::env::temp_dir(), LEN);
    let disk = Arc::new(disk(file.path(), direct));
    let of = Arc::clone(&disk);
    let working = move |chunk: &mut Chunk| {
        let (direct, offset) = (chunk.is_direct(), chunk.offset());
        of.file(direct).read_at(chunk.memory(), offset)
    };
    let (reads, waker) = PreadThreads::new(threads, Arc::new(move |chunk| fault(chunk, &working))).unwrap();
    let options = PrefetchOptions { chunk: CHUNK, depth: threads, ..Default::default() };
    let prefetcher = AsyncPrefetcher::run(disk, options.possible(), Backend::Pread, reads, waker).unwrap();
    Faulty { bytes, prefetcher, _file: file }
}

fn refused(errno: Errno) -> io::Result<usize> {
    Err(io::Error::from_raw_os_error(errno.raw_os_error()))
}

impl Faulty {
    fn submit(&self, id: u64, offset: usize, len: usize, urgent: bool) -> Filled {
        let (target, filled) = ReadTarget::owned(PageMemory::new(len), len);
        self.prefetcher.submit(ReadRequest { id, offset: offset as u64, target, urgent });
        filled
    }

    /// Reads the whole file.
    fn read(&self) -> Result<(), ReadError> {
        let filled = self.submit(0, 0, LEN, false);
        let done = self.prefetcher.wait(PATIENCE).unwrap();
        let Ok(memory) = filled.take() else { panic!("a read that is over still has its target") };
        assert!(done.outcome.is_err() || memory.bytes()[..LEN] == self.bytes, "wrong bytes, and no error");
        done.outcome
    }
}

#[test]
fn short_and_interrupted_reads_go_on_where_they_stopped() {
    for direct in [true, false] {
        let count = AtomicUsize::new(0);
        let faulty = faulty(3, direct, move |chunk, read| match count.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => refused(Errno::INTR),
            1 => {
                // Part of a page, after which reads are not aligned any more.
                let bytes = read(chunk)?.min(5000);
                chunk.memory()[bytes..].fill(0xEE);
                Ok(bytes)
            }
            2 => Ok(read(chunk)?.min(PAGE)),
            _ => read(chunk),
        });
        faulty.read().unwrap();
        faulty.read().unwrap();
    }
}

#[test]
fn an_error_of_the_disk_is_told_once_and_the_next_read_works() {
    let failures = AtomicUsize::new(0);
    let faulty = faulty(2, true, move |chunk, read| {
        let bad = chunk.offset() == 3 * CHUNK as u64 && failures.fetch_add(1, Ordering::Relaxed) == 0;
        if bad { refused(Errno::IO) } else { read(chunk) }
    });
    let error = faulty.read().unwrap_err();
    assert!(matches!(&error, ReadError::Io { offset: 49152, .. }), "{error}");
    assert!(error.to_string().contains(": cannot read it at byte 49152: "), "{error}");
    faulty.read().unwrap();
    assert!(faulty.prefetcher.poll().is_none());
}

#[test]
fn endless_interruptions_and_endless_nothing_end() {
    let interrupted = faulty(2, true, |_, _| refused(Errno::INTR));
    assert!(matches!(interrupted.read(), Err(ReadError::Io { .. })));
    let nothing = faulty(2, true, |_, _| Ok(0));
    assert!(matches!(nothing.read(), Err(ReadError::CutOff { found: 0, .. })));
}

#[test]
fn memory_that_cannot_be_pinned_is_copied_to() {
    let lent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lent);
    let faulty = faulty(2, true, move |chunk, read| {
        if chunk.is_direct() && chunk.wants_bounce(false) {
            count.fetch_add(1, Ordering::Relaxed);
            return refused(Errno::FAULT);
        }
        read(chunk)
    });
    faulty.read().unwrap();
    faulty.read().unwrap();
    assert!(lent.load(Ordering::Relaxed) <= 2, "after the first refusal nothing else is tried");
}

#[test]
fn a_refusal_of_direct_reads_is_no_failure() {
    let faulty = faulty(2, true, |chunk, read| if chunk.is_direct() { refused(Errno::INVAL) } else { read(chunk) });
    faulty.read().unwrap();
}

/// Lets no read through until it is opened: slower than any disk.
#[derive(Clone, Default)]
struct Gate(Arc<AtomicBool>);

impl Gate {
    fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn pass(&self) {
        while !self.0.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_slow_disk_keeps_nobody_but_those_who_wait() {
    let gate = Gate::default();
    let slow = gate.clone();
    let faulty = faulty(1, true, move |chunk, read| {
        slow.pass();
        read(chunk)
    });
    let filled = [1, 2].map(|id| faulty.submit(id, 0, LEN, false));
    assert!(faulty.prefetcher.poll().is_none());
    assert!(faulty.prefetcher.wait(Duration::from_millis(30)).is_none());
    let filled = filled.map(|filled| filled.take().err().expect("the target is in use"));
    gate.open();
    assert_eq!([1, 2].map(|_| faulty.prefetcher.wait(PATIENCE).unwrap().id), [1, 2]);
    assert!(filled.into_iter().all(|filled| filled.take().is_ok()));
}

#[test]
fn urgent_requests_go_first_even_between_the_chunks_of_others() {
    let (gate, order) = (Gate::default(), Arc::new(Mutex::new(Vec::new())));
    let (slow, seen) = (gate.clone(), Arc::clone(&order));
    let faulty = faulty(1, true, move |chunk, read| {
        seen.lock().unwrap().push(chunk.request().id);
        slow.pass();
        read(chunk)
    });
    let submit = |(id, chunks, urgent)| faulty.submit(id, 0, chunks * CHUNK, urgent);
    let _first = submit((1, 2, false));
    while order.lock().unwrap().is_empty() {
        thread::yield_now();
    }
    let _others = [(2, 1, false), (3, 1, true), (4, 1, true)].map(submit);
    gate.open();
    assert_eq!([(); 4].map(|()| faulty.prefetcher.wait(PATIENCE).unwrap().id), [3, 4, 1, 2]);
    assert_eq!(*order.lock().unwrap(), [1, 3, 4, 1, 2]);
}

#[test]
fn dropping_gives_up_what_waits_and_outlives_what_is_in_flight() {
    let (started, finished) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&started), Arc::clone(&finished));
    let faulty = faulty(2, true, move |chunk, read| {
        counts.0.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(50));
        let result = read(chunk);
        counts.1.fetch_add(1, Ordering::SeqCst);
        result
    });
    let filled = [0, 1].map(|id| faulty.submit(id, 0, LEN, false));
    while started.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    drop(faulty.prefetcher);
    let started = started.load(Ordering::SeqCst);
    assert!(started < 42, "every chunk was started");
    assert_eq!(started, finished.load(Ordering::SeqCst), "a chunk is still being read");
    for filled in filled {
        assert!(filled.take().is_ok(), "a target is still held");
    }
}

#[test]
fn a_bug_in_a_reading_thread_fails_its_request_and_no_other() {
    let faulty = faulty(2, true, |chunk, read| {
        assert!(chunk.offset() != CHUNK as u64, "a bug");
        read(chunk)
    });
    assert!(matches!(faulty.read(), Err(ReadError::Io { offset: 16384, .. })));
    let filled = faulty.submit(1, 4 * CHUNK, CHUNK, false);
    faulty.prefetcher.wait(PATIENCE).unwrap().outcome.unwrap();
    assert!(filled.take().is_ok());
}
