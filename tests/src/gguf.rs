//! A GGUF file's tensor table, read independently of the packer. It trusts the file.

use std::ops::Range;
use std::path::Path;

/// One tensor of the table.
#[derive(Clone, Debug)]
pub struct TensorEntry {
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<u64>,
    /// Code of its stored type.
    pub ty: u32,
    /// Where that code stands in the file.
    pub ty_at: usize,
    /// Where the entry stands in the file.
    pub entry: Range<usize>,
    /// Where its data lie in the file, up to the next tensor's.
    pub data: Range<usize>,
}

/// A file with its table.
pub struct Gguf {
    pub bytes: Vec<u8>,
    pub tensors: Vec<TensorEntry>,
    /// Where the data start.
    pub data: usize,
}

/// Where the number of tensors stands.
pub const TENSOR_COUNT_AT: usize = 8;
const ALIGNMENT: usize = 32;

impl Gguf {
    pub fn read(path: &Path) -> Self {
        Self::parse(std::fs::read(path).unwrap())
    }

    pub fn parse(bytes: Vec<u8>) -> Self {
        let mut at = Cursor { bytes: &bytes, at: TENSOR_COUNT_AT };
        let (tensor_count, pairs) = (at.u64(), at.u64());
        for _ in 0..pairs {
            at.text();
            let ty = at.u32();
            at.skip_value(ty);
        }
        let mut tensors: Vec<TensorEntry> = (0..tensor_count).map(|_| at.tensor()).collect();
        let data = at.at.next_multiple_of(ALIGNMENT);
        let mut ends: Vec<usize> = tensors.iter().map(|t| t.data.start).chain([bytes.len() - data]).collect();
        ends.sort_unstable();
        for t in &mut tensors {
            let end = ends[ends.partition_point(|end| *end <= t.data.start)];
            t.data = data + t.data.start..data + end;
        }
        Self { bytes, tensors, data }
    }

    pub fn tensor(&self, name: &str) -> &TensorEntry {
        self.tensors.iter().find(|t| t.name == name).unwrap()
    }

    /// The file without one entry of its table; the data stay.
    pub fn without(&self, name: &str) -> Vec<u8> {
        let entry = self.tensor(name).entry.clone();
        let table_end = self.tensors.last().unwrap().entry.end;
        let mut bytes = self.bytes[..table_end].to_vec();
        bytes.drain(entry);
        let count = self.tensors.len() as u64 - 1;
        bytes[TENSOR_COUNT_AT..][..8].copy_from_slice(&count.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.extend_from_slice(&self.bytes[self.data..]);
        bytes
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let bytes = &self.bytes[self.at..][..len];
        self.at += len;
        bytes
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn text(&mut self) -> String {
        let len = self.u64() as usize;
        String::from_utf8(self.take(len).to_vec()).unwrap()
    }

    fn skip_value(&mut self, ty: u32) {
        match ty {
            0 | 1 | 7 => drop(self.take(1)),
            2 | 3 => drop(self.take(2)),
            4..=6 => drop(self.take(4)),
            8 => drop(self.text()),
            9 => {
                let ty = self.u32();
                (0..self.u64()).for_each(|_| self.skip_value(ty));
            }
            10..=12 => drop(self.take(8)),
            _ => panic!("value type {ty}"),
        }
    }

    /// With `data.start` from the start of the data, and no end yet.
    fn tensor(&mut self) -> TensorEntry {
        let start = self.at;
        let name = self.text();
        let dims = self.u32();
        let mut shape: Vec<u64> = (0..dims).map(|_| self.u64()).collect();
        shape.reverse();
        let ty_at = self.at;
        let ty = self.u32();
        let offset = self.u64() as usize;
        TensorEntry { name, shape, ty, ty_at, entry: start..self.at, data: offset..offset }
    }
}
