//! The index as JSON.

use serde_json::{Map, Value, json};
use symbiote_format::archived::{ArchivedParam, ArchivedTokenizer};
use symbiote_format::{
    Archive, ArchivedTensor, ArchivedWeightPack, Codec, Dtype, NO_ID, NO_LAYER, PackRole, TensorKind, TokenizerKind,
    VERSION, hex,
};

pub(super) fn value(archive: &Archive) -> Value {
    let index = archive.index();
    let config: Map<String, Value> = index.params.iter().map(param).collect();
    let metadata: Map<String, Value> =
        index.metadata.iter().map(|m| (m.key.to_string(), m.value.as_str().into())).collect();
    let sources = index
        .provenance
        .sources
        .iter()
        .map(|s| json!({ "name": s.name.as_str(), "bytes": s.len.to_native(), "sha256": hex(&s.sha256) }));
    json!({
        "format_version": VERSION,
        "file_bytes": archive.file_len(),
        "architecture": index.architecture.as_str(),
        "config": config,
        "tokenizer": index.tokenizer.as_ref().map(tokenizer),
        "tensors": index.tensors.iter().map(tensor).collect::<Vec<_>>(),
        "packs": index.packs.iter().map(|p| pack(archive, p)).collect::<Vec<_>>(),
        "metadata": metadata,
        "provenance": {
            "writer": index.provenance.writer.as_str(),
            "source_format": index.provenance.source_format.as_str(),
            "sources": sources.collect::<Vec<_>>(),
        },
        "annotations": index.annotations.iter().map(|a| json!({ "name": a.name.as_str(), "bytes": a.bytes.len() })).collect::<Vec<_>>(),
    })
}

/// One number, several, or a text.
fn param(p: &ArchivedParam) -> (String, Value) {
    let numbers: Vec<f64> = p.numbers.iter().map(|n| n.to_native()).collect();
    let value = match numbers[..] {
        [] => p.text.as_str().into(),
        [number] => whole(number).map_or(number.into(), Value::from),
        _ => numbers.into(),
    };
    (p.key.to_string(), value)
}

/// `x` as an integer, where it is one that JSON readers keep exact.
fn whole(x: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation)] // dropped where it does not fit
    (x.fract() == 0.0 && x.abs() < EXACT).then_some(x as i64)
}

fn tokenizer(t: &ArchivedTokenizer) -> Value {
    let id = |id: u32| (id != NO_ID).then_some(id);
    json!({
        "kind": TokenizerKind::from_code(t.kind).map(TokenizerKind::name),
        "pre": t.pre.as_str(),
        "tokens": t.tokens.len(),
        "merges": t.merges.len(),
        "json_bytes": t.json.len(),
        "bos": id(t.bos.to_native()),
        "eos": id(t.eos.to_native()),
        "unk": id(t.unk.to_native()),
        "pad": id(t.pad.to_native()),
        "stop": t.stop.iter().map(|id| id.to_native()).collect::<Vec<_>>(),
        "add_bos": t.add_bos,
        "add_eos": t.add_eos,
        "add_space_prefix": t.add_space_prefix,
        "chat_template": t.chat_template.as_str(),
    })
}

fn tensor(t: &ArchivedTensor) -> Value {
    json!({
        "name": t.name.as_str(),
        "kind": TensorKind::from_code(t.kind.to_native()).map(TensorKind::name),
        "dtype": Dtype::from_code(t.dtype.to_native()).map(Dtype::name),
        "layer": layer(t.layer.to_native()),
        "shape": t.shape.iter().map(|d| d.to_native()).collect::<Vec<_>>(),
    })
}

fn pack(archive: &Archive, p: &ArchivedWeightPack) -> Value {
    let (first, count) = (p.first_part.to_native() as usize, p.part_count.to_native() as usize);
    let parts = archive.index().parts[first..][..count].iter().map(|part| {
        json!({
            "tensor": part.tensor.to_native(),
            "row": part.row.to_native(),
            "rows": part.rows.to_native(),
            "codec": Codec::from_code(part.codec).map(Codec::name),
            "offset": part.offset.to_native(),
            "coded_bytes": part.coded_len.to_native(),
            "raw_bytes": part.raw_len.to_native(),
        })
    });
    json!({
        "role": PackRole::from_code(p.role).map(PackRole::name),
        "layer": layer(p.layer.to_native()),
        "offset": p.offset.to_native(),
        "bytes": p.len.to_native(),
        "sha256": hex(&p.sha256),
        "parts": parts.collect::<Vec<_>>(),
    })
}

fn layer(layer: u32) -> Option<u32> {
    (layer != NO_LAYER).then_some(layer)
}
