//! The text format of BigMoeOnEdge's route traces: lines `# key=value ..` that describe the model, a line of column names, and a
//! line for each expert of each token of each layer. Phase 0 is the prompt, whose uses are only counted; turns after the first
//! follow without theirs.

use std::collections::HashMap;

use half::f16;

use super::{NONE, Token, Trace, TraceError};
use crate::residency::experts::ExpertShape;

/// What is read of a line, by the names of the columns.
const COLUMNS: [&str; 7] = ["turn", "phase", "step", "layer", "slot", "expert", "weight"];

/// Reads the file.
pub(super) fn parse(file: &[u8]) -> Result<Trace, TraceError> {
    let text = std::str::from_utf8(file).map_err(|_| TraceError::NotOne)?;
    let mut lines = text.lines().enumerate();
    let mut head = HashMap::new();
    let mut bytes = (0u64, 0u64);
    let columns = loop {
        let (_, line) = lines.next().ok_or(TraceError::NotOne)?;
        let Some(line) = line.strip_prefix('#') else { break columns(line)? };
        let pairs: Vec<_> = line.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
        match pairs[..] {
            [("layer", _), ("expert_bytes", n), ..] => {
                bytes = (bytes.0.saturating_add(n.parse().unwrap_or(0)), bytes.1 + 1);
            }
            _ => head.extend(pairs),
        }
    };
    let size = |key| head.get(key).and_then(|n: &&str| n.parse().ok()).unwrap_or(0);
    let shape = ExpertShape { layers: size("n_layer"), experts: size("n_expert"), used: size("n_expert_used") };
    let mut trace = Trace::new(shape, 0)?;
    trace.model = head.get("model").map_or(String::new(), |model| (*model).to_owned());
    trace.expert_bytes = bytes.0 / bytes.1.max(1);

    // no more memory than a token's lines pay for
    let rows = lines.clone().count();
    if rows < shape.active() {
        return Err(TraceError::CutOff { found: rows as u64, expected: shape.active() as u64, unit: "lines" });
    }
    trace.prompt = vec![0.0; shape.count()];
    let mut tokens = HashMap::new();
    for (number, line) in lines {
        row(line, &columns, &mut trace, &mut tokens).map_err(|reason| TraceError::Line { line: number + 1, reason })?;
        let expected = trace.tokens.len() * shape.active();
        if rows < expected {
            return Err(TraceError::CutOff { found: rows as u64, expected: expected as u64, unit: "lines" });
        }
    }
    if trace.prompt.iter().all(|&uses| uses == 0.0) {
        trace.prompt.clear();
    }
    Ok(trace)
}

/// Where [`COLUMNS`] are.
fn columns(line: &str) -> Result<[usize; 7], TraceError> {
    let names: Vec<&str> = line.split(',').map(str::trim).collect();
    let mut columns = [0; 7];
    for (column, name) in columns.iter_mut().zip(COLUMNS) {
        *column = names.iter().position(|n| *n == name).ok_or(TraceError::NotOne)?;
    }
    Ok(columns)
}

/// One expert of one token of one layer.
fn row(
    line: &str,
    columns: &[usize; 7],
    trace: &mut Trace,
    tokens: &mut HashMap<(u64, u64), usize>,
) -> Result<(), String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let field = |column: usize| fields.get(columns[column]).copied().unwrap_or_default();
    let number = |column: usize, end: usize| match field(column).parse::<usize>() {
        Ok(n) if n < end => Ok(n),
        _ => Err(format!("{} is `{}`; it must be a number below {end}", COLUMNS[column], field(column))),
    };
    let ExpertShape { layers, experts, used } = trace.shape;
    let most = u32::MAX as usize;
    let (turn, phase, step) = (number(0, most)?, number(1, most)?, number(2, most)?);
    let (layer, slot, expert) = (number(3, layers)?, number(4, used)?, number(5, experts)?);
    let weight: f32 = field(6).parse().map_err(|_| format!("weight is `{}`; it must be a number", field(6)))?;
    if phase == 0 {
        if turn == 0 {
            trace.prompt[layer * experts + expert] += 1.0;
        }
        return Ok(());
    }
    let next = trace.tokens.len();
    let token = *tokens.entry((turn as u64, step as u64)).or_insert(next);
    if token == next {
        #[allow(clippy::cast_possible_truncation)] // positions count modulo 2^16, turns are below 2^32
        let at = Token { sequence: turn as u32, position: step as u16, id: 1 << 31, ..Token::default() };
        trace.tokens.push(at);
        trace.chosen.resize(trace.tokens.len() * layers * used, NONE);
        trace.weights.resize(trace.tokens.len() * layers * used, f16::ZERO);
    }
    let at = (token * layers + layer) * used + slot;
    if trace.chosen[at] != NONE {
        return Err(format!("token {token}, layer {layer}, slot {slot} is there twice"));
    }
    trace.chosen[at] = u16::try_from(expert).map_err(|e| e.to_string())?;
    trace.weights[at] = f16::from_f32(weight);
    Ok(())
}
