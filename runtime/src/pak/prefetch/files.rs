//! Both backends on real files.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::disk::{DiskFile, FileStamp};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A file that is gone when the test ends, of so many bytes that differ from place to place.
pub(super) fn temporary(folder: &Path, len: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
    let mut random = ChaCha8Rng::seed_from_u64(len as u64);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes[..]);
    let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
    file.write_all(&bytes).unwrap();
    (file, bytes)
}

pub(super) fn disk(path: &Path, direct: bool) -> DiskFile {
    let file = File::open(path).unwrap();
    let stamp = FileStamp::from(&file.metadata().unwrap());
    DiskFile::reopen(&file, path, stamp, direct).unwrap()
}

/// A prefetcher, or nothing where this system has no ring.
fn open(path: &Path, backend: Backend, direct: bool) -> Option<AsyncPrefetcher> {
    let options = PrefetchOptions { chunk: 64 << 10, depth: 4, backend: Some(backend), direct, ..Default::default() };
    let opened = AsyncPrefetcher::start(disk(path, direct), options.possible());
    if backend == Backend::Uring { opened.ok() } else { Some(opened.unwrap()) }
}

/// Random ranges, some of them at once, against the file's bytes.
fn compare(prefetcher: &AsyncPrefetcher, bytes: &[u8]) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..8 {
        let mut reading = Vec::new();
        for id in 0..12 {
            let mut offset = random.random_range(0..bytes.len());
            // Most reads are of segments, and now and then one goes on to the end of the file.
            if id % 4 > 0 {
                offset -= offset % PAGE;
            }
            let most = bytes.len() - offset;
            let len = if id == 5 { most } else { random.random_range(0..=most.min(300_000)) };
            let (target, filled) = ReadTarget::owned(PageMemory::new(len), len);
            reading.push((filled, offset, len));
            prefetcher.submit(ReadRequest { id, offset: offset as u64, target, urgent: random.random() });
        }
        for _ in 0..reading.len() {
            prefetcher.wait(PATIENCE).unwrap().outcome.unwrap();
        }
        for (filled, offset, len) in reading {
            let Ok(memory) = filled.take() else { panic!("a read that is over still has its target") };
            assert!(memory.bytes()[..len] == bytes[offset..][..len], "{len} bytes at {offset} differ");
        }
    }
    assert!(prefetcher.poll().is_none() && prefetcher.wait(PATIENCE).is_none());
    assert!(!prefetcher.changed().unwrap());
    assert!(prefetcher.bytes_read() > 0);
}

#[test]
fn both_backends_read_what_the_file_holds() {
    let (file, bytes) = temporary(&std::env::temp_dir(), 3_000_001);
    for backend in [Backend::Uring, Backend::Pread] {
        for direct in [true, false] {
            let Some(prefetcher) = open(file.path(), backend, direct) else { continue };
            println!("{backend}, direct: {}", prefetcher.direct());
            assert_eq!(prefetcher.backend(), backend);
            assert!(direct || !prefetcher.direct());
            compare(&prefetcher, &bytes);
        }
    }
}

#[test]
fn memory_of_a_file_system_without_direct_reads_is_read_all_the_same() {
    let folder = Path::new("/dev/shm");
    if !folder.is_dir() {
        return;
    }
    let (file, bytes) = temporary(folder, 1_000_001);
    let prefetcher = AsyncPrefetcher::start(disk(file.path(), true), PrefetchOptions::default()).unwrap();
    // Newer kernels read even tmpfs this way; then there is nothing to fall back from.
    assert!(prefetcher.direct() || prefetcher.backend() == Backend::Pread);
    compare(&prefetcher, &bytes);
}

#[test]
fn misaligned_memory_is_read_into_by_way_of_aligned() {
    let (file, bytes) = temporary(&std::env::temp_dir(), 300_000);
    for backend in [Backend::Uring, Backend::Pread] {
        let Some(prefetcher) = open(file.path(), backend, true) else { continue };
        let len = 200_000;
        let (mut target, filled) = ReadTarget::owned(PageMemory::new(len + PAGE), len + 100);
        target.advance(100);
        prefetcher.submit(ReadRequest { id: 1, offset: 4096, target, urgent: false });
        prefetcher.wait(PATIENCE).unwrap().outcome.unwrap();
        let Ok(memory) = filled.take() else { panic!("the target is still held") };
        assert!(memory.bytes()[100..][..len] == bytes[4096..][..len]);
    }
}

#[test]
fn a_file_cut_off_while_it_is_open_is_an_error() {
    for backend in [Backend::Uring, Backend::Pread] {
        for direct in [true, false] {
            let (file, bytes) = temporary(&std::env::temp_dir(), 1_000_000);
            let Some(prefetcher) = open(file.path(), backend, direct) else { continue };
            file.as_file().set_len(500_000).unwrap();
            assert!(prefetcher.changed().unwrap());
            for (id, offset, len) in [(0, 0, 1_000_000), (1, 0, 500_000), (2, 499_712, 289), (3, 700_416, 4096)] {
                let (target, filled) = ReadTarget::owned(PageMemory::new(len), len);
                prefetcher.submit(ReadRequest { id, offset, target, urgent: false });
                let done = prefetcher.wait(PATIENCE).unwrap();
                let Ok(memory) = filled.take() else { panic!("the target is still held") };
                if id == 1 {
                    done.outcome.unwrap();
                    assert!(memory.bytes()[..len] == bytes[..len]);
                } else {
                    let error = done.outcome.unwrap_err();
                    assert!(matches!(error, ReadError::CutOff { .. }), "{error}");
                    assert!(error.to_string().starts_with(&file.path().display().to_string()), "{error}");
                }
            }
        }
    }
}

#[test]
fn a_read_past_the_end_is_refused_and_an_empty_one_is_done() {
    let (file, _) = temporary(&std::env::temp_dir(), 10_000);
    let prefetcher = open(file.path(), Backend::Pread, true).unwrap();
    for (offset, len, works) in [(8192, 1809, false), (u64::MAX, 5, false), (8192, 1808, true), (0, 0, true)] {
        let (target, _) = ReadTarget::owned(PageMemory::new(len), len);
        prefetcher.submit(ReadRequest { id: 3, offset, target, urgent: false });
        assert_eq!(prefetcher.wait(PATIENCE).unwrap().outcome.is_ok(), works);
    }
}

#[test]
fn overwriting_is_a_change_and_renaming_is_none() {
    let (file, bytes) = temporary(&std::env::temp_dir(), 10_000);
    let prefetcher = open(file.path(), Backend::Pread, true).unwrap();
    let disk = disk(file.path(), false);
    let moved = file.path().with_extension("moved");
    fs::hard_link(file.path(), &moved).unwrap();
    fs::remove_file(file.path()).unwrap();
    fs::write(file.path(), [0; 10_000]).unwrap();
    assert!(!prefetcher.changed().unwrap(), "another file of this name is not this file");
    compare(&prefetcher, &bytes);
    let again =
        DiskFile::reopen(disk.file(false), file.path(), FileStamp::from(&disk.file(false).metadata().unwrap()), true);
    let again = AsyncPrefetcher::start(again.unwrap(), PrefetchOptions::default()).unwrap();
    compare(&again, &bytes);
    // Some file systems count time in steps of some milliseconds.
    std::thread::sleep(Duration::from_millis(30));
    OpenOptions::new().write(true).open(&moved).unwrap().write_all(&[1]).unwrap();
    assert!(prefetcher.changed().unwrap());
    fs::remove_file(moved).unwrap();
}

#[test]
fn dropping_with_reads_in_flight_lets_go_of_every_target() {
    let (file, bytes) = temporary(&std::env::temp_dir(), 3_000_000);
    for backend in [Backend::Uring, Backend::Pread] {
        let Some(prefetcher) = open(file.path(), backend, true) else { continue };
        let mut filled = Vec::new();
        for id in 0..20 {
            let (target, memory) = ReadTarget::owned(PageMemory::new(bytes.len()), bytes.len());
            prefetcher.submit(ReadRequest { id, offset: 0, target, urgent: false });
            filled.push(memory);
        }
        // Now some chunks are in flight, and the first may be over.
        prefetcher.wait(Duration::from_millis(1));
        drop(prefetcher);
        assert!(filled.into_iter().all(|memory| memory.take().is_ok()));
    }
}
