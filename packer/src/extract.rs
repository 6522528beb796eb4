//! From an archive back to tensors: a safetensors file with every tensor of the source, bit for bit.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};
use symbiote_format::{Archive, Dtype};

use crate::architecture::Layout;
use crate::archive_file::ArchiveFile;
use crate::error::{At, Error, Problem};
use crate::monitor::Monitor;
use crate::origin::Packed;
use crate::outline::Outline;
use crate::output::Output;
use crate::source::mxfp4;
use crate::verify::verify_hashes;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtractReport {
    /// Tensors in the file.
    pub tensors: usize,
    /// Length of the file, in bytes.
    pub file_len: u64,
}

/// Writes every tensor of the archive `input` into the safetensors file `output`, with its name and bytes as in the
/// source. Plain types keep type and shape, and MXFP4 out of safetensors is in two tensors as it was there. Quantised tensors of
/// GGUF, which safetensors has no types for, become U8 `[rows, bytes a row]`; `__metadata__` then has, under the tensor's name,
/// `{"dtype": "Q4_K", "shape": [..]}`. A corrupt archive is refused.
pub fn extract(input: &Path, output: &Path, force: bool, monitor: &dyn Monitor) -> Result<ExtractReport, Error> {
    let file = ArchiveFile::open(input)?;
    let archive = file.parse()?;
    let outline = Outline::of_archived(archive.index()).at(input)?;
    let packed = Packed { outline: &outline, file: &file, archive: &archive };
    let entries = entries(&archive, &outline);
    let (header, data_len) = header(&archive, &outline, &entries).at(input)?;
    let file_len = header.len() as u64 + data_len;
    let mut out = Output::create(output, file_len, force)?;
    verify_hashes(&packed, monitor)?;
    out.file().write_all(&header).at(output)?;
    monitor.begin("extracting", data_len);
    let parts = parts_of_tensors(&outline);
    let (mut coded, mut raw, mut half) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, (pack, part)) in entries.iter().flat_map(|e| parts[e.tensor].iter().map(move |part| (e, part))) {
        if monitor.interrupted() {
            return Err(Problem::Interrupted).at(output);
        }
        packed.read_part(*pack, *part, &mut coded, &mut raw)?;
        let bytes = entry.bytes(&raw, &mut half);
        out.file().write_all(bytes).at(output)?;
        monitor.advance(bytes.len() as u64);
    }
    out.commit()?;
    Ok(ExtractReport { tensors: entries.len(), file_len })
}

/// A tensor of the file.
#[derive(Clone, Copy)]
struct Entry {
    /// Its number in the archive.
    tensor: usize,
    piece: Piece,
}

/// What a tensor of the file has of one of the archive.
#[derive(Clone, Copy, PartialEq)]
enum Piece {
    Whole,
    /// The nibbles of MXFP4.
    Nibbles,
    /// Its exponents.
    Exponents,
}

impl Entry {
    /// Its bytes of the rows `raw`; `half` is memory for them.
    fn bytes<'a>(&self, raw: &'a [u8], half: &'a mut Vec<u8>) -> &'a [u8] {
        half.clear();
        match self.piece {
            Piece::Whole => return raw,
            Piece::Nibbles => mxfp4::nibbles(raw, half),
            Piece::Exponents => mxfp4::exponents(raw, half),
        }
        half
    }
}

/// Tensors with the widest elements first, so that all are aligned to their element's size; else as in the archive.
fn entries(archive: &Archive, outline: &Outline) -> Vec<Entry> {
    let apart = archive.index().provenance.source_format == Layout::HuggingFace.name();
    let pieces = |tensor: usize| match outline.tensors[tensor].dtype {
        Dtype::Mxfp4 if apart => &[Piece::Nibbles, Piece::Exponents][..],
        _ => &[Piece::Whole],
    };
    let all = (0..outline.tensors.len())
        .flat_map(|tensor| pieces(tensor).iter().map(move |piece| Entry { tensor, piece: *piece }));
    let mut entries: Vec<Entry> = all.collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(element(outline.tensors[entry.tensor].dtype).1));
    entries
}

/// The safetensors type, which has the same name here, and its bytes.
fn element(dtype: Dtype) -> (&'static str, u32) {
    if dtype.block_len() == 1 { (dtype.name(), dtype.block_bytes()) } else { ("U8", 1) }
}

/// The file up to its data: length of the JSON, and the JSON padded to eight bytes. Also the length of the data.
fn header(archive: &Archive, outline: &Outline, order: &[Entry]) -> Result<(Vec<u8>, u64), Problem> {
    const METADATA: &str = "__metadata__";
    let index = archive.index();
    let mut metadata = Map::new();
    metadata.insert("format".into(), "pt".into());
    let (mut entries, mut at) = (Map::new(), 0u64);
    for Entry { tensor, piece } in order {
        let matrix = &outline.tensors[*tensor];
        let suffix = match piece {
            Piece::Whole => "",
            Piece::Nibbles => mxfp4::SUFFIXES[0],
            Piece::Exponents => mxfp4::SUFFIXES[1],
        };
        let (name, dtype) = (format!("{}{suffix}", matrix.name), matrix.dtype);
        if name == METADATA {
            return Err(Problem::ReservedName { name });
        }
        let mut shape: Vec<u64> = index.tensors[*tensor].shape.iter().map(|d| d.to_native()).collect();
        let mut len = u64::from(matrix.rows) * matrix.row_bytes;
        if *piece == Piece::Whole && dtype.block_len() > 1 {
            let note = json!({ "dtype": dtype.name(), "shape": shape });
            metadata.insert(name.clone(), note.to_string().into());
            shape = vec![matrix.rows.into(), matrix.row_bytes];
        } else if *piece != Piece::Whole {
            shape.iter_mut().next_back().into_iter().for_each(|columns| *columns /= u64::from(dtype.block_len()));
            shape.extend((*piece == Piece::Nibbles).then_some(mxfp4::NIBBLES as u64));
            len = shape.iter().product();
        }
        entries.insert(name, json!({ "dtype": element(dtype).0, "shape": shape, "data_offsets": [at, at + len] }));
        at += len;
    }
    let mut all = Map::new();
    all.insert(METADATA.into(), metadata.into());
    all.extend(entries);
    let mut text = Value::from(all).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.extend(text);
    Ok((header, at))
}

/// Pack and part of all the rows of each tensor, which ascend in the order of the packs.
fn parts_of_tensors(outline: &Outline) -> Vec<Vec<(usize, usize)>> {
    let mut of_tensor = vec![Vec::new(); outline.tensors.len()];
    for (pack, parts) in outline.packs.iter().enumerate() {
        for part in parts.clone() {
            of_tensor[outline.parts[part].tensor].push((pack, part));
        }
    }
    of_tensor
}
