//! A writer of archives for tests: as plain as can be, and no stricter than its caller.

#![allow(dead_code, clippy::unwrap_used)] // every test binary takes what it needs, and panics are failures

use rkyv::util::AlignedVec;
use symbiote_format::{
    Annotation, CacheHits, Coaccess, Codec, Design, Domain, Dtype, Experts, Header, Index, Metadata, Mixture,
    ModelConfig, NO_ID, NO_LAYER, PackRole, Param, Part, Provenance, RopeLayout, RopeScaling, SEGMENT_ALIGN, Sha256,
    Source, Successor, Tensor, TensorKind, Tokenizer, TokenizerKind, WeightPack, align_up, lay_out_parts,
};

/// Bytes that start where a memory map would.
pub type Bytes = AlignedVec<16>;

/// An archive in the making: its index may be spoilt before it is sealed.
#[derive(Clone, Default)]
pub struct Draft {
    pub index: Index,
    pub segments: Vec<Vec<u8>>,
}

impl Draft {
    /// Adds a tensor and returns its number.
    pub fn tensor(&mut self, name: &str, kind: TensorKind, dtype: Dtype, layer: u32, shape: &[u64]) -> u32 {
        let shape = shape.to_vec();
        self.index.tensors.push(Tensor { name: name.into(), kind: kind.code(), dtype: dtype.code(), layer, shape });
        u32::try_from(self.index.tensors.len() - 1).unwrap()
    }

    /// Adds a pack of `(tensor, first row, rows)`, its bytes made up.
    pub fn pack(&mut self, role: PackRole, layer: u32, rows: &[(u32, u32, u32)]) {
        let mut parts: Vec<Part> = rows.iter().map(|&(tensor, row, rows)| self.part(tensor, row, rows)).collect();
        let mut segment = vec![0; usize::try_from(lay_out_parts(&mut parts).unwrap()).unwrap()];
        let mut state = u32::try_from(self.segments.len()).unwrap() + 1;
        for part in &parts {
            let start = usize::try_from(part.offset).unwrap();
            for byte in &mut segment[start..][..usize::try_from(part.coded_len).unwrap()] {
                // Numerical Recipes' generator; its upper byte is random enough.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = state.to_le_bytes()[3];
            }
        }
        self.push(role, layer, parts, segment);
    }

    /// Adds a pack of a whole tensor, as coded.
    pub fn coded_pack(&mut self, tensor: u32, rows: u32, codec: Codec, coded: &[u8]) {
        let (codec, coded_len) = (codec.code(), coded.len() as u64);
        let part = Part { codec, coded_len, ..self.part(tensor, 0, rows) };
        self.push(PackRole::Norms, NO_LAYER, vec![part], coded.to_vec());
    }

    fn push(&mut self, role: PackRole, layer: u32, parts: Vec<Part>, segment: Vec<u8>) {
        self.index.packs.push(WeightPack {
            role: role.code(),
            layer,
            first_part: u32::try_from(self.index.parts.len()).unwrap(),
            part_count: u32::try_from(parts.len()).unwrap(),
            offset: self.end(),
            len: segment.len() as u64,
            sha256: Sha256::of(&segment),
        });
        self.index.parts.extend(parts);
        self.segments.push(segment);
    }

    fn part(&self, tensor: u32, row: u32, rows: u32) -> Part {
        let t = &self.index.tensors[tensor as usize];
        let row_bytes = Dtype::from_code(t.dtype).unwrap().row_bytes(*t.shape.last().unwrap()).unwrap();
        let raw_len = u64::from(rows) * row_bytes;
        Part { tensor, row, rows, codec: Codec::Raw.code(), offset: 0, coded_len: raw_len, raw_len }
    }

    /// Where the next segment, or the index, starts.
    pub fn end(&self) -> u64 {
        self.segments.iter().fold(4096, |end, s| align_up(end + s.len() as u64, SEGMENT_ALIGN).unwrap())
    }

    /// The whole file. The index is written as it is, right or wrong.
    pub fn seal(&self) -> Bytes {
        seal(&self.segments, &self.index.to_bytes().unwrap())
    }
}

/// A file of these segments and this index, whatever it is; header and padding are right.
pub fn seal(segments: &[Vec<u8>], index: &[u8]) -> Bytes {
    let mut file = Bytes::new();
    file.resize(4096, 0);
    for segment in segments {
        file.extend_from_slice(segment);
        file.resize(file.len().next_multiple_of(4096), 0);
    }
    let header = Header::new(file.len() as u64, index).unwrap().encode();
    file.extend_from_slice(index);
    file[..4096].copy_from_slice(&header);
    file
}

/// Hyperparameters of [`tiny`].
pub fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: 4,
        context_length: 64,
        hidden_size: 32,
        layer_count: 1,
        head_count: 2,
        kv_head_count: 1,
        head_dim: 16,
        ffn_size: 64,
        norm_eps: 1e-5,
        tied_embeddings: true,
        rope_base: 1e4,
        rope_dims: 16,
        rope_layout: RopeLayout::Interleaved,
        rope_scaling: RopeScaling::Linear { factor: 2.5 },
        design: Design::default(),
    }
}

/// A whole model of one layer, with everything in its index that an index can have. `golden/v1.pak` is this.
pub fn tiny() -> Draft {
    use TensorKind as K;
    let mut d = Draft::default();
    let embedding = d.tensor("token_embd.weight", K::TokenEmbedding, Dtype::Bf16, NO_LAYER, &[4, 32]);
    let attn_norm = d.tensor("blk.0.attn_norm.weight", K::AttentionNorm, Dtype::F32, 0, &[32]);
    let ffn_norm = d.tensor("blk.0.ffn_norm.weight", K::FfnNorm, Dtype::F32, 0, &[32]);
    let query = d.tensor("blk.0.attn_q.weight", K::Query, Dtype::Q8_0, 0, &[32, 32]);
    let key = d.tensor("blk.0.attn_k.weight", K::Key, Dtype::Q8_0, 0, &[16, 32]);
    let value = d.tensor("blk.0.attn_v.weight", K::Value, Dtype::Q5_1, 0, &[16, 32]);
    let output = d.tensor("blk.0.attn_output.weight", K::AttentionOutput, Dtype::Q4_0, 0, &[32, 32]);
    let gate = d.tensor("blk.0.ffn_gate.weight", K::FfnGate, Dtype::F16, 0, &[64, 32]);
    let up = d.tensor("blk.0.ffn_up.weight", K::FfnUp, Dtype::F16, 0, &[64, 32]);
    let down = d.tensor("blk.0.ffn_down.weight", K::FfnDown, Dtype::Q4_1, 0, &[2, 16, 64]);
    let output_norm = d.tensor("output_norm.weight", K::OutputNorm, Dtype::F32, NO_LAYER, &[32]);
    d.pack(PackRole::Embedding, NO_LAYER, &[(embedding, 0, 4)]);
    d.pack(PackRole::Norms, 0, &[(attn_norm, 0, 1), (ffn_norm, 0, 1)]);
    d.pack(PackRole::AttentionHeads, 0, &[(query, 0, 32), (key, 0, 16), (value, 0, 16)]);
    d.pack(PackRole::AttentionOutput, 0, &[(output, 0, 32)]);
    d.pack(PackRole::MlpBlock, 0, &[(gate, 0, 33), (up, 0, 33)]);
    d.pack(PackRole::MlpBlock, 0, &[(gate, 33, 31), (up, 33, 31)]);
    d.pack(PackRole::MlpDown, 0, &[(down, 0, 32)]);
    d.pack(PackRole::Norms, NO_LAYER, &[(output_norm, 0, 1)]);

    d.index.architecture = "llama".into();
    d.index.params = config().to_params();
    d.index.tokenizer = Some(Tokenizer {
        kind: TokenizerKind::GgufBpe.code(),
        pre: "smollm".into(),
        tokens: ["<|endoftext|>", "a", "b", "ab"].map(String::from).into(),
        types: vec![3, 1, 1, 1],
        merges: vec!["a b".into()],
        bos: 0,
        eos: 0,
        unk: NO_ID,
        pad: NO_ID,
        stop: vec![0],
        add_bos: true,
        chat_template: "{% for m in messages %}{{ m.content }}{% endfor %}".into(),
        ..Tokenizer::default()
    });
    d.index.metadata = vec![Metadata { key: "general.name".into(), value: "tiny, of made-up weights".into() }];
    let source = Source { name: "tiny.gguf".into(), len: 12_345, sha256: Sha256::of(b"tiny.gguf") };
    d.index.provenance = Provenance { writer: "golden 1".into(), source_format: "gguf".into(), sources: vec![source] };
    d.index.annotations = vec![Annotation { name: "coaccess".into(), bytes: vec![1, 2, 3] }];
    d
}

/// A model of two layers of three experts, two of them used: of the first layer all experts are in one tensor of each kind, of the
/// second each has tensors of its own, its gate and up rows together. Beside them what else mixtures have.
pub fn mixture() -> Draft {
    use TensorKind as K;
    let mut d = Draft::default();
    let design = Design { experts: Some(Experts { shared_ffn_size: 8, ..Experts::of(3, 2, 4) }), ..Design::default() };
    d.index.params = ModelConfig { layer_count: 2, design, ..config() }.to_params();
    let mut add = |name: &str, kind, layer, shape: &[u64]| d.tensor(name, kind, Dtype::F32, layer, shape);
    let router = add("0.router", K::Router, 0, &[3, 32]);
    let bias = add("0.router.bias", K::RouterBias, 0, &[3]);
    let gate = add("0.gate", K::ExpertGate, 0, &[3, 4, 32]);
    let up = add("0.up", K::ExpertUp, 0, &[3, 4, 32]);
    let down = add("0.down", K::ExpertDown, 0, &[3, 32, 4]);
    let down_bias = add("0.down.bias", K::ExpertDownBias, 0, &[3, 32]);
    let shared = add("1.shared.gate_up", K::SharedGateUp, 1, &[16, 32]);
    let shared_router = add("1.shared.router", K::SharedRouter, 1, &[1, 32]);
    let of_each = [0, 1, 2].map(|expert| {
        let gate_up = add(&format!("1.{expert}.gate_up"), K::ExpertGateUp, 1, &[8, 32]);
        [(gate_up, 0, 8), (add(&format!("1.{expert}.down"), K::ExpertDown, 1, &[32, 4]), 0, 32)]
    });
    d.index.metadata = vec![Metadata { key: "general.name".into(), value: "mixed".into() }];
    d.pack(PackRole::Norms, 0, &[(bias, 0, 1), (down_bias, 0, 3)]);
    d.pack(PackRole::Router, 0, &[(router, 0, 3)]);
    for expert in 0..3 {
        d.pack(PackRole::Expert, 0, &[(gate, expert * 4, 4), (up, expert * 4, 4), (down, expert * 32, 32)]);
    }
    d.pack(PackRole::Norms, 1, &[(shared_router, 0, 1)]);
    d.pack(PackRole::MlpBlock, 1, &[(shared, 0, 16)]);
    of_each.iter().for_each(|parts| d.pack(PackRole::Expert, 1, parts));
    d
}

/// [`tiny`] and a tensor of 8 bits in two packs, the last but one, with factors of blocks.
pub fn with_scales() -> Draft {
    let mut draft = tiny();
    draft.index.params.push(Param { key: "scale_block".into(), numbers: vec![2.0, 16.0], ..Param::default() });
    let weight = draft.tensor("w", TensorKind::FfnUp, Dtype::F8E5M2, 0, &[5, 24]);
    let scale = draft.tensor("w_scale", TensorKind::Scale, Dtype::Bf16, 0, &[3, 2]);
    draft.pack(PackRole::Norms, 0, &[(scale, 0, 3)]);
    draft.pack(PackRole::MlpBlock, 0, &[(weight, 0, 3)]);
    draft.pack(PackRole::MlpBlock, 0, &[(weight, 3, 2)]);
    draft
}

/// Statistics of [`mixture`].
pub fn statistics() -> Coaccess {
    let domain = |name: &str, tokens, heat: [u32; 6]| Domain { name: name.into(), tokens, heat: heat.into() };
    let successor = |(expert, next, count)| Successor { expert, next, count };
    let index = mixture().index;
    Coaccess {
        mixture: Mixture::of(&index).unwrap(),
        domains: vec![domain("essay", 8, [7, 8, 1, 8, 1, 7]), domain("code", 6, [5, 3, 4, 6, 3, 3])],
        successors: [(0, 3, 10), (0, 5, 6), (1, 3, 11)].map(successor).into(),
        order: vec![0, 1, 2, 2, 0, 1],
        hits: vec![CacheHits { slots: 2, hits: 0 }, CacheHits { slots: 6, hits: 50 }],
        warm_start: Some(Box::new(std::array::from_fn(|i| i as f32))),
    }
}
