//! The experts of every token of every layer.

use half::f16;

use super::error::within;
use super::{TraceError, csv, limits, moetrc};
use crate::residency::experts::ExpertShape;

/// Stands for no expert.
pub const NONE: u16 = 0xFFFF;

/// Where a token stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Number of its sequence.
    pub sequence: u32,
    /// What its text is, of [`Trace::domains`].
    pub domain: u16,
    /// Its place in the sequence, modulo 2^16.
    pub position: u16,
    /// Its id; bit 31: the model wrote it itself.
    pub id: u32,
}

/// Where tokens went, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The experts. At most 65535 a layer.
    pub shape: ExpertShape,
    /// The model, in words.
    pub model: String,
    /// Its vocabulary, 0 where that is not known.
    pub vocabulary: u32,
    /// Bytes of one expert, on average; 0 where that is not known.
    pub expert_bytes: u64,
    /// Kinds of text, by name.
    pub domains: Vec<String>,
    /// The tokens.
    pub tokens: Vec<Token>,
    /// `[tokens][layers][used]`, by weight, the largest first.
    pub chosen: Vec<u16>,
    /// `[tokens][layers][used]`.
    pub weights: Vec<f16>,
    /// How many experts a router names early.
    pub predicted: usize,
    /// `[tokens][layers][predicted]`: what a layer's router names from the input of the layer before, the likeliest first; and
    /// from that of two before. [`NONE`] where there is no such.
    pub early: [Vec<u16>; 2],
    /// Uses of each expert by the prompt, if they are known apart: what is known before the first token of the trace.
    pub prompt: Vec<f32>,
}

impl Trace {
    /// A trace without tokens.
    pub fn new(shape: ExpertShape, predicted: usize) -> Result<Self, TraceError> {
        use symbiote_format::limits::{EXPERTS, EXPERTS_USED, LAYERS, PACKS};
        within("the number of layers", shape.layers as u64, 1, LAYERS.into())?;
        within("the number of experts", shape.experts as u64, 1, EXPERTS.into())?;
        within(
            "the number of experts a token",
            shape.used as u64,
            1,
            u64::from(EXPERTS_USED).min(shape.experts as u64),
        )?;
        within("the number of predictions", predicted as u64, 0, (limits::PREDICTED.min(shape.experts)) as u64)?;
        within("the number of all experts", shape.count() as u64, 1, PACKS as u64)?;
        Ok(Self {
            shape,
            model: String::new(),
            vocabulary: 0,
            expert_bytes: 0,
            domains: Vec::new(),
            tokens: Vec::new(),
            chosen: Vec::new(),
            weights: Vec::new(),
            predicted,
            early: [Vec::new(), Vec::new()],
            prompt: Vec::new(),
        })
    }

    /// A trace in either format, whole.
    pub fn parse(bytes: &[u8]) -> Result<Self, TraceError> {
        let trace = if bytes.starts_with(moetrc::MAGIC) {
            moetrc::parse(bytes)?
        } else if bytes.starts_with(&[0x1F, 0x8B]) {
            return Err(TraceError::Gzip);
        } else {
            csv::parse(bytes)?
        };
        if trace.tokens.is_empty() {
            return Err(TraceError::Empty);
        }
        trace.check()?;
        Ok(trace)
    }

    /// Longest file that is read, in bytes.
    pub const MAX_BYTES: u64 = limits::FILE_BYTES;

    /// The trace in the binary format.
    pub fn write(&self, to: &mut dyn std::io::Write) -> std::io::Result<()> {
        moetrc::write(self, to)
    }

    /// Experts that a token of a layer went through.
    pub fn chosen(&self, token: usize, layer: usize) -> &[u16] {
        let used = self.shape.used;
        &self.chosen[(token * self.shape.layers + layer) * used..][..used]
    }

    /// What the layer's router named one layer early, the likeliest first; empty where it did not.
    pub fn early(&self, token: usize, layer: usize) -> &[u16] {
        let all = self.early[0].get((token * self.shape.layers + layer) * self.predicted..).unwrap_or_default();
        let all = &all[..self.predicted.min(all.len())];
        &all[..all.iter().position(|&e| e == NONE).unwrap_or(all.len())]
    }

    /// Uses of each expert.
    pub fn heat(&self) -> Vec<f32> {
        let mut heat = vec![0.0; self.shape.count()];
        for (i, chosen) in self.chosen.chunks(self.shape.used).enumerate() {
            chosen.iter().for_each(|&e| heat[self.shape.expert(i % self.shape.layers, e.into())] += 1.0);
        }
        heat
    }

    /// Every expert is one of the layer's, and no token goes through one twice.
    fn check(&self) -> Result<(), TraceError> {
        let ExpertShape { layers, experts, .. } = self.shape;
        let mut seen = vec![0usize; experts];
        for token in 0..self.tokens.len() {
            for layer in 0..layers {
                let wrong = |reason| Err(TraceError::Route { token, layer, reason });
                let now = token * layers + layer + 1;
                for &e in self.chosen(token, layer) {
                    match seen.get_mut(usize::from(e)) {
                        None if e == NONE => return wrong("some experts are missing".into()),
                        None => return wrong(format!("expert {e} of {experts}")),
                        Some(last) if *last == now => return wrong(format!("expert {e} twice")),
                        Some(last) => *last = now,
                    }
                }
                if let Some(e) = self.early(token, layer).iter().find(|&&e| usize::from(e) >= experts) {
                    return wrong(format!("expert {e} of {experts} is predicted"));
                }
            }
        }
        Ok(())
    }
}
