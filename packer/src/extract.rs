//! From an archive back to tensors: a safetensors file with every tensor of the source, bit for bit.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};
use symbiote_format::{Archive, ArchivedPart, ArchivedTensor, ArchivedWeightPack, Codec, Dtype};

use crate::archive_file::ArchiveFile;
use crate::error::{At, Error, Problem};
use crate::monitor::Monitor;
use crate::output::Output;
use crate::verify::verify;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtractReport {
    /// Tensors in the file.
    pub tensors: usize,
    /// Length of the file, in bytes.
    pub file_len: u64,
}

/// Writes every tensor of the archive `input` into the safetensors file `output`, with its name and bytes as in the
/// source. F32, F16 and BF16 keep type and shape. Quantised tensors, which safetensors has no types for, become U8
/// `[rows, bytes a row]`; `__metadata__` then has, under the tensor's name, `{"dtype": "Q4_K", "shape": [..]}`. A corrupt
/// archive is refused.
pub fn extract(input: &Path, output: &Path, force: bool, monitor: &dyn Monitor) -> Result<ExtractReport, Error> {
    let file = ArchiveFile::open(input)?;
    let archive = file.parse()?;
    let order = order(&archive);
    let (header, data_len) = header(&archive, &order).at(input)?;
    let file_len = header.len() as u64 + data_len;
    let mut out = Output::create(output, file_len, force)?;
    verify(input, monitor)?;
    out.file().write_all(&header).at(output)?;
    monitor.begin("extracting", data_len);
    let parts = parts_of_tensors(&archive);
    let mut buffer = Vec::new();
    for tensor in &order {
        for (pack, part) in &parts[*tensor] {
            if monitor.interrupted() {
                return Err(Problem::Interrupted).at(output);
            }
            // the codec's only entry: its bytes are the source's
            debug_assert_eq!(part.codec, Codec::Raw.code());
            buffer.resize(usize::try_from(part.raw_len.to_native()).unwrap_or(usize::MAX), 0);
            file.read(pack, part.offset.to_native(), &mut buffer)?;
            out.file().write_all(&buffer).at(output)?;
            monitor.advance(part.raw_len.to_native());
        }
    }
    out.commit()?;
    Ok(ExtractReport { tensors: order.len(), file_len })
}

/// Tensors with the widest elements first, so that all are aligned to their element's size; else as in the archive.
fn order(archive: &Archive) -> Vec<usize> {
    let tensors = &archive.index().tensors;
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(element(dtype(&tensors[*i])).1));
    order
}

/// The type that [`symbiote_format::Archive::parse`] has found in its table.
fn dtype(tensor: &ArchivedTensor) -> Dtype {
    Dtype::from_code(tensor.dtype.to_native()).unwrap_or(Dtype::F32)
}

/// The safetensors type and its bytes.
fn element(dtype: Dtype) -> (&'static str, u32) {
    match dtype {
        Dtype::F32 => ("F32", 4),
        Dtype::F16 => ("F16", 2),
        Dtype::Bf16 => ("BF16", 2),
        _ => ("U8", 1),
    }
}

/// The file up to its data: length of the JSON, and the JSON padded to eight bytes. Also the length of the data.
fn header(archive: &Archive, order: &[usize]) -> Result<(Vec<u8>, u64), Problem> {
    const METADATA: &str = "__metadata__";
    let index = archive.index();
    let mut metadata = Map::new();
    metadata.insert("format".into(), "pt".into());
    let (mut entries, mut at) = (Map::new(), 0u64);
    for tensor in order.iter().map(|i| &index.tensors[*i]) {
        let (name, dtype) = (tensor.name.as_str(), dtype(tensor));
        if name == METADATA {
            return Err(Problem::ReservedName { name: name.into() });
        }
        let shape: Vec<u64> = tensor.shape.iter().map(|d| d.to_native()).collect();
        // parse() has checked the products
        let columns = shape.last().copied().unwrap_or(1);
        let rows: u64 = shape.iter().product::<u64>() / columns;
        let row_bytes = dtype.row_bytes(columns).unwrap_or(0);
        let quantised = dtype.block_len() > 1;
        if quantised {
            let note = json!({ "dtype": dtype.name(), "shape": shape });
            metadata.insert(name.into(), note.to_string().into());
        }
        let end = at + rows * row_bytes;
        let stored: Value = if quantised { json!([rows, row_bytes]) } else { json!(shape) };
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

type PlacedPart<'a> = (&'a ArchivedWeightPack, &'a ArchivedPart);

/// The parts of each tensor, whose rows ascend in the order of the packs.
fn parts_of_tensors<'a>(archive: &Archive<'a>) -> Vec<Vec<PlacedPart<'a>>> {
    let index = archive.index();
    let mut of_tensor = vec![Vec::new(); index.tensors.len()];
    for pack in index.packs.iter() {
        let (first, count) = (pack.first_part.to_native() as usize, pack.part_count.to_native() as usize);
        for part in &index.parts[first..][..count] {
            of_tensor[part.tensor.to_native() as usize].push((pack, part));
        }
    }
    of_tensor
}
