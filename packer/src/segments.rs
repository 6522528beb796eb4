//! Copying weights: several threads read and hash segments, one writes them in order. Memory is bounded by a fixed number
//! of buffers, whatever the model's size.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use symbiote_format::{SEGMENT_ALIGN, Sha256, WeightPack, align_up};

use crate::draft::Draft;
use crate::error::{At, Error, Problem};
use crate::limits;
use crate::monitor::Monitor;
use crate::source::SourceFile;

/// A segment on its way from a reader to the writer.
struct Filled {
    pack: usize,
    bytes: Result<(Vec<u8>, [u8; 32]), Error>,
}

/// Writes the segments of `draft`, from where `out` stands, each padded to its alignment; returns their hashes.
pub(crate) fn copy(
    draft: &Draft,
    files: &[SourceFile],
    out: &mut File,
    out_path: &Path,
    monitor: &dyn Monitor,
) -> Result<Vec<[u8; 32]>, Error> {
    let packs = &draft.index.packs;
    let (threads, buffers) = resources(packs);
    let (give_back, free) = channel::<Vec<u8>>();
    (0..buffers).for_each(|_| drop(give_back.send(Vec::new())));
    let reader =
        Reader { draft, files, next: AtomicUsize::new(0), stop: AtomicBool::new(false), free: Mutex::new(free) };
    let (send, filled) = channel::<Filled>();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (reader, send) = (&reader, send.clone());
            scope.spawn(move || reader.run(&send));
        }
        drop(send);
        let hashes = write_in_order(packs, &filled, &give_back, out, out_path, monitor);
        // wakes the readers that wait for a buffer
        reader.stop.store(true, Ordering::Relaxed);
        drop(give_back);
        hashes
    })
}

/// Reader threads, and buffers for them and the writer.
fn resources(packs: &[WeightPack]) -> (usize, usize) {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    let longest = packs.iter().map(|p| p.len).max().unwrap_or(0).max(1);
    let fit = usize::try_from(limits::BUFFER_BYTES / longest).unwrap_or(usize::MAX);
    (threads, fit.clamp(1, threads + 2))
}

struct Reader<'a> {
    draft: &'a Draft,
    files: &'a [SourceFile],
    next: AtomicUsize,
    stop: AtomicBool,
    free: Mutex<Receiver<Vec<u8>>>,
}

impl Reader<'_> {
    fn run(&self, send: &Sender<Filled>) {
        // The buffer comes before the number, so the lowest number on its way always has one: nobody waits in a circle.
        while let Some(buffer) = self.buffer() {
            let pack = self.next.fetch_add(1, Ordering::Relaxed);
            if pack >= self.draft.index.packs.len() || self.stop.load(Ordering::Relaxed) {
                return;
            }
            let bytes = self.fill(pack, buffer).map(|bytes| {
                let hash = Sha256::of(&bytes);
                (bytes, hash)
            });
            if send.send(Filled { pack, bytes }).is_err() {
                return;
            }
        }
    }

    fn buffer(&self) -> Option<Vec<u8>> {
        self.free.lock().ok()?.recv().ok()
    }

    /// The segment of one pack: its parts in their places, zeros between them.
    fn fill(&self, pack: usize, mut buffer: Vec<u8>) -> Result<Vec<u8>, Error> {
        let index = &self.draft.index;
        let pack = &index.packs[pack];
        buffer.clear();
        buffer.resize(size(pack.len), 0);
        for part in &index.parts[pack.first_part as usize..][..pack.part_count as usize] {
            let stored = &self.draft.stored[part.tensor as usize];
            // one row's length divides the part's: a part is whole rows
            let start = stored.offset + part.raw_len / u64::from(part.rows) * u64::from(part.row);
            let place = size(part.offset)..size(part.offset + part.coded_len);
            self.files[stored.file].read_at(&mut buffer[place], start)?;
        }
        Ok(buffer)
    }
}

/// A length that [`symbiote_format::check_index`] has found below a pack's cap.
fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn write_in_order(
    packs: &[WeightPack],
    filled: &Receiver<Filled>,
    give_back: &Sender<Vec<u8>>,
    out: &mut File,
    out_path: &Path,
    monitor: &dyn Monitor,
) -> Result<Vec<[u8; 32]>, Error> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut early = BTreeMap::new();
    let mut hashes = Vec::with_capacity(packs.len());
    for (number, pack) in packs.iter().enumerate() {
        if monitor.interrupted() {
            return Err(Problem::Interrupted).at(out_path);
        }
        let (bytes, hash) = loop {
            if let Some(segment) = early.remove(&number) {
                break segment;
            }
            // readers end early only after an error, which has come before
            let Ok(Filled { pack, bytes }) = filled.recv() else { return Err(Problem::Interrupted).at(out_path) };
            early.insert(pack, bytes?);
        };
        let padding = align_up(pack.len, SEGMENT_ALIGN).unwrap_or(pack.len) - pack.len;
        out.write_all(&bytes).and_then(|()| out.write_all(&ZEROS[..size(padding)])).at(out_path)?;
        hashes.push(hash);
        monitor.advance(pack.len);
        let _ = give_back.send(bytes); // the readers may be done
    }
    Ok(hashes)
}
