//! MOETRC01, the binary format. Little endian: the magic, u32 n, n bytes of JSON, then for each token u32 sequence, u16 domain,
//! u16 position, u32 id, and for each of its layers `used` u16 experts, as many f16 weights, and `predicted` u16 experts twice:
//! what the layer's router names one layer early, and two.

use std::io::{self, Write};

use half::f16;
use serde_json::json;

use super::error::within;
use super::{Token, Trace, TraceError, limits};
use crate::residency::experts::ExpertShape;

pub(super) const MAGIC: &[u8; 8] = b"MOETRC01";
/// Bytes of a token before its layers.
const TOKEN: usize = 12;

/// The JSON of the header.
fn header(json: &[u8]) -> Result<(Trace, u64), TraceError> {
    let json: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).map_err(TraceError::Header)?;
    let number = |key| json.get(key).and_then(serde_json::Value::as_u64);
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let size = |key| number(key).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let shape = ExpertShape { layers: size("n_layers"), experts: size("n_experts"), used: size("top_k") };
    let mut trace = Trace::new(shape, size("n_pred"))?;
    trace.model = json.get("model").and_then(text).unwrap_or_default();
    trace.vocabulary = number("vocab").and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    trace.expert_bytes = number("expert_bytes").unwrap_or(0);
    let domains = json.get("domains").and_then(serde_json::Value::as_array);
    trace.domains = domains.into_iter().flatten().filter_map(text).collect();
    Ok((trace, number("n_tokens").unwrap_or(0)))
}

/// Reads the file, which begins with the magic.
pub(super) fn parse(file: &[u8]) -> Result<Trace, TraceError> {
    let cut = |expected: u64| TraceError::CutOff { found: file.len() as u64, expected, unit: "bytes" };
    let (head, rest) = file[MAGIC.len()..].split_first_chunk::<4>().ok_or_else(|| cut(12))?;
    let len = within("the length of the header", u32::from_le_bytes(*head).into(), 2, limits::HEADER_BYTES as u64)?;
    let (head, body) = rest.split_at_checked(len).ok_or_else(|| cut(12 + len as u64))?;
    let (mut trace, tokens) = header(head)?;

    let ExpertShape { layers, used, .. } = trace.shape;
    let record = TOKEN + layers * (4 * used + 4 * trace.predicted);
    let expected = tokens.checked_mul(record as u64).ok_or_else(|| cut(u64::MAX))?;
    let extra = (body.len() as u64).checked_sub(expected);
    match extra.ok_or_else(|| cut(12 + len as u64 + expected))? {
        0 => {}
        more => return Err(TraceError::Longer(more)),
    }
    for record in body.chunks_exact(record) {
        let (token, layers) = record.split_at(TOKEN);
        let short = |at| u16::from_le_bytes([token[at], token[at + 1]]);
        let long = |at| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
        trace.tokens.push(Token { sequence: long(0), domain: short(4), position: short(6), id: long(8) });
        let (layers, _) = layers.as_chunks::<2>();
        for layer in layers.chunks_exact(2 * used + 2 * trace.predicted) {
            let (chosen, layer) = layer.split_at(used);
            let (weights, early) = layer.split_at(used);
            let (one, two) = early.split_at(trace.predicted);
            trace.chosen.extend(chosen.iter().map(|&e| u16::from_le_bytes(e)));
            trace.weights.extend(weights.iter().map(|&w| f16::from_le_bytes(w)));
            trace.early[0].extend(one.iter().map(|&e| u16::from_le_bytes(e)));
            trace.early[1].extend(two.iter().map(|&e| u16::from_le_bytes(e)));
        }
    }
    Ok(trace)
}

/// Writes what [`parse`] reads.
pub(super) fn write(trace: &Trace, to: &mut dyn Write) -> io::Result<()> {
    let ExpertShape { layers, experts, used } = trace.shape;
    let header = json!({
        "n_layers": layers, "n_experts": experts, "top_k": used, "n_pred": trace.predicted,
        "expert_bytes": trace.expert_bytes, "domains": trace.domains, "n_tokens": trace.tokens.len(),
        "model": trace.model, "vocab": trace.vocabulary,
    });
    let header = header.to_string();
    let len = u32::try_from(header.len()).map_err(io::Error::other)?;
    to.write_all(MAGIC)?;
    to.write_all(&len.to_le_bytes())?;
    to.write_all(header.as_bytes())?;
    for (i, token) in trace.tokens.iter().enumerate() {
        let mut record = Vec::with_capacity(TOKEN + layers * 4 * (used + trace.predicted));
        record.extend(token.sequence.to_le_bytes());
        record.extend(token.domain.to_le_bytes());
        record.extend(token.position.to_le_bytes());
        record.extend(token.id.to_le_bytes());
        for layer in i * layers..(i + 1) * layers {
            let chosen = layer * used..(layer + 1) * used;
            let early = layer * trace.predicted..(layer + 1) * trace.predicted;
            record.extend(trace.chosen[chosen.clone()].iter().flat_map(|e| e.to_le_bytes()));
            record.extend(trace.weights[chosen].iter().flat_map(|w| w.to_le_bytes()));
            for ahead in &trace.early {
                record.extend(ahead[early.clone()].iter().flat_map(|e| e.to_le_bytes()));
            }
        }
        to.write_all(&record)?;
    }
    Ok(())
}
