//! A measurement for programs.

use serde_json::{Map, Value, json};

use super::floor;
use super::tally::{Measurement, PartsOf, Total};
use crate::report::ratio;

impl Measurement {
    /// All of it.
    pub fn to_json(&self) -> Value {
        let tensors = self.tensors.iter().map(|t| {
            let (name, dtype, smallest) = (&t.name, t.dtype.name(), t.total.best().0.name());
            let (rows, columns) = t.shape;
            let head = json!({ "name": name, "type": dtype, "rows": rows, "columns": columns, "smallest": smallest });
            joined(head, total(&t.total))
        });
        let types = self
            .types()
            .into_iter()
            .map(|(dtype, tensors, sum)| joined(json!({ "type": dtype.name(), "tensors": tensors }), total(&sum)));
        let left_out = self.left_out.iter().map(|(name, dtype)| json!({ "name": name, "type": dtype }));
        json!({
            "file": self.file,
            "floor": floor::NOTE,
            "total": joined(json!({ "tensors": self.tensors.len() }), total(&self.total())),
            "types": types.collect::<Vec<_>>(),
            "tensors": tensors.collect::<Vec<_>>(),
            "left_out": left_out.collect::<Vec<_>>(),
        })
    }
}

fn joined(mut a: Value, b: Value) -> Value {
    if let (Value::Object(a), Value::Object(b)) = (&mut a, b) {
        a.extend(b);
    }
    a
}

fn total(t: &Total) -> Value {
    let coded = t.coded.iter().map(|(codec, bytes, exceptions)| {
        let mut of_codec = json!({ "bytes": bytes, "bits_per_weight": t.bits(*bytes) });
        if let Some(count) = exceptions {
            of_codec["exceptions"] = json!({ "count": count, "share": ratio(*count, t.weights.max(1)) });
        }
        (codec.name().to_owned(), of_codec)
    });
    json!({
        "weights": t.weights,
        "source_bytes": t.source_bytes,
        "floor_bits_per_weight": t.floor(),
        "codecs": coded.collect::<Map<_, _>>(),
        "best_by_tensor": { "bytes": t.best_bytes, "ratio": ratio(t.best_bytes, t.source_bytes) },
        "run": target(t, &t.run),
        "ship": target(t, &t.ship),
    })
}

fn target(t: &Total, parts: &PartsOf) -> Value {
    let by_codec = parts.source_bytes.iter().map(|(codec, bytes)| (codec.name().to_owned(), Value::from(*bytes)));
    json!({
        "bytes": parts.bytes,
        "bits_per_weight": t.bits(parts.bytes),
        "ratio": ratio(parts.bytes, t.source_bytes),
        "source_bytes_by_codec": by_codec.collect::<Map<_, _>>(),
    })
}
