//! From an archive back to tensors: a safetensors file with every tensor of the source, bit for bit.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};
use symbiote_format::{Archive, Dtype};

use crate::archive_file::ArchiveFile;
use crate::error::{At, Error, Problem};
use crate::monitor::Monitor;
use crate::origin::Packed;
use crate::outline::Outline;
use crate::output::Output;
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
/// source. Plain types keep type and shape. Quantised tensors, which safetensors has no types for, become U8
/// `[rows, bytes a row]`; `__metadata__` then has, under the tensor's name, `{"dtype": "Q4_K", "shape": [..]}`. A corrupt
/// archive is refused.
pub fn extract(input: &Path, output: &Path, force: bool, monitor: &dyn Monitor) -> Result<ExtractReport, Error> {
    let file = ArchiveFile::open(input)?;
    let archive = file.parse()?;
    let outline = Outline::of_archived(archive.index()).at(input)?;
    let packed = Packed { outline: &outline, file: &file, archive: &archive };
    let order = order(&outline);
    let (header, data_len) = header(&archive, &outline, &order).at(input)?;
    let file_len = header.len() as u64 + data_len;
    let mut out = Output::create(output, file_len, force)?;
    verify_hashes(&packed, monitor)?;
    out.file().write_all(&header).at(output)?;
    monitor.begin("extracting", data_len);
    let parts = parts_of_tensors(&outline);
    let (mut coded, mut raw) = (Vec::new(), Vec::new());
    for (pack, part) in order.iter().flat_map(|tensor| &parts[*tensor]) {
        if monitor.interrupted() {
            return Err(Problem::Interrupted).at(output);
        }
        packed.read_part(*pack, *part, &mut coded, &mut raw)?;
        out.file().write_all(&raw).at(output)?;
        monitor.advance(raw.len() as u64);
    }
    out.commit()?;
    Ok(ExtractReport { tensors: order.len(), file_len })
}

/// Tensors with the widest elements first, so that all are aligned to their element's size; else as in the archive.
fn order(outline: &Outline) -> Vec<usize> {
    let mut order: Vec<usize> = (0..outline.tensors.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(element(outline.tensors[*i].dtype).1));
    order
}

/// The safetensors type, which has the same name here, and its bytes.
fn element(dtype: Dtype) -> (&'static str, u32) {
    if dtype.block_len() == 1 { (dtype.name(), dtype.block_bytes()) } else { ("U8", 1) }
}

/// The file up to its data: length of the JSON, and the JSON padded to eight bytes. Also the length of the data.
fn header(archive: &Archive, outline: &Outline, order: &[usize]) -> Result<(Vec<u8>, u64), Problem> {
    const METADATA: &str = "__metadata__";
    let index = archive.index();
    let mut metadata = Map::new();
    metadata.insert("format".into(), "pt".into());
    let (mut entries, mut at) = (Map::new(), 0u64);
    for number in order {
        let matrix = &outline.tensors[*number];
        let (name, dtype) = (matrix.name.as_str(), matrix.dtype);
        if name == METADATA {
            return Err(Problem::ReservedName { name: name.into() });
        }
        let shape: Vec<u64> = index.tensors[*number].shape.iter().map(|d| d.to_native()).collect();
        let quantised = dtype.block_len() > 1;
        if quantised {
            let note = json!({ "dtype": dtype.name(), "shape": shape });
            metadata.insert(name.into(), note.to_string().into());
        }
        let end = at + u64::from(matrix.rows) * matrix.row_bytes;
        let stored: Value = if quantised { json!([matrix.rows, matrix.row_bytes]) } else { json!(shape) };
        entries.insert(name.into(), json!({ "dtype": element(dtype).0, "shape": stored, "data_offsets": [at, end] }));
        at = end;
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
