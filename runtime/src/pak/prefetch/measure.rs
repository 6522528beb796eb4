//! How fast the disk is, read as the engine reads it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::pak::{PakError, PakFile};

use super::options::PrefetchOptions;
use super::prefetcher::AsyncPrefetcher;
use super::request::ReadRequest;
use super::target::{Filled, PAGE, PageMemory, ReadTarget};

/// The longest read, in bytes: packs may be longer, and the memory to read them into is not free.
const READ_LEN: u64 = 8 << 20;

/// How long a read may take before the disk counts as one that gives nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many reads are under way; with a chunk of 1 MiB this keeps any queue full.
const READS: u64 = 4;

/// Reads packs from random places of the archive for a while: bytes per second, at least 1. It takes 32 MiB of RAM.
///
/// Where the file system has no direct reads, what the page cache holds already is measured as part of the disk.
pub fn measure(file: &PakFile, time: Duration, options: PrefetchOptions) -> Result<f64, PakError> {
    let prefetcher = AsyncPrefetcher::open(file, options)?;
    let packs = file.archive().index().packs.iter();
    let mut places: Vec<_> = packs.map(|pack| (pack.offset.to_native(), pack.len.to_native())).collect();
    places.retain(|&(_, len)| len > 0);
    if places.is_empty() {
        places.push((0, file.archive().file_len()));
    }
    // Always the same places, so that two measurements differ by the disk alone.
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut below = |end: u64| random.next_u64() % end;
    let mut reading = HashMap::new();
    let mut start = |id: u64, memory: PageMemory, reading: &mut HashMap<u64, (Filled, usize)>| {
        let (offset, len) = places[usize::try_from(below(places.len() as u64)).unwrap_or(0)];
        let page = PAGE as u64;
        let first = below(len.saturating_sub(READ_LEN) / page + 1) * page;
        let len = usize::try_from((len - first).min(READ_LEN)).unwrap_or(0);
        let (target, filled) = ReadTarget::owned(memory, len);
        reading.insert(id, (filled, len));
        prefetcher.submit(ReadRequest { id, offset: offset + first, target, urgent: false });
    };
    let begin = Instant::now();
    let longest = usize::try_from(READ_LEN).unwrap_or(0);
    for id in 0..READS {
        start(id, PageMemory::new(longest), &mut reading);
    }
    let mut bytes = 0;
    // The first read to end after the time is over counts: a slow disk has one, too.
    while let Some(done) = prefetcher.wait(PATIENCE) {
        done.outcome.map_err(|error| PakError::Read { error })?;
        let Some((filled, len)) = reading.remove(&done.id) else { continue };
        bytes += len;
        if begin.elapsed() >= time {
            break;
        }
        let memory = filled.take().unwrap_or_else(|_| PageMemory::new(longest));
        start(done.id + READS, memory, &mut reading);
    }
    #[allow(clippy::cast_precision_loss)] // a speed need not be exact
    Ok((bytes as f64 / begin.elapsed().as_secs_f64()).max(1.0))
}
