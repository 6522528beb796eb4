//! Builds GGUF files, right ones and wrong ones.

use symbiote_format::Dtype;

use super::noise;

/// A value of a key.
#[derive(Clone)]
pub enum Value {
    U32(u32),
    I32(i32),
    U64(u64),
    F32(f32),
    Bool(u8),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    /// Type code and bytes, whatever they are.
    Raw(u32, Vec<u8>),
}

/// A tensor: shape outermost first, ggml type code.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<u64>,
    pub ty: u32,
    pub data: Vec<u8>,
    /// Offset to claim instead of the true one.
    pub offset: Option<u64>,
}

/// A file to be.
#[derive(Clone)]
pub struct Gguf {
    pub version: u32,
    pub keys: Vec<(String, Value)>,
    pub tensors: Vec<Tensor>,
    pub alignment: u64,
    /// Counts to claim instead of the true ones.
    pub claim: (Option<u64>, Option<u64>),
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        let array = |out: &mut Vec<u8>, ty: u32, len: usize| {
            out.extend(9u32.to_le_bytes());
            out.extend(ty.to_le_bytes());
            out.extend((len as u64).to_le_bytes());
        };
        let scalar = |out: &mut Vec<u8>, ty: u32, bytes: &[u8]| {
            out.extend(ty.to_le_bytes());
            out.extend(bytes);
        };
        match self {
            Self::U32(n) => scalar(out, 4, &n.to_le_bytes()),
            Self::I32(n) => scalar(out, 5, &n.to_le_bytes()),
            Self::U64(n) => scalar(out, 10, &n.to_le_bytes()),
            Self::F32(x) => scalar(out, 6, &x.to_le_bytes()),
            Self::Bool(b) => scalar(out, 7, &[*b]),
            Self::Raw(ty, bytes) => scalar(out, *ty, bytes),
            Self::Text(t) => {
                out.extend(8u32.to_le_bytes());
                text(out, t.as_bytes());
            }
            Self::Texts(list) => {
                array(out, 8, list.len());
                list.iter().for_each(|t| text(out, t.as_bytes()));
            }
            Self::I32s(list) => {
                array(out, 5, list.len());
                list.iter().for_each(|n| out.extend(n.to_le_bytes()));
            }
            Self::F32s(list) => {
                array(out, 6, list.len());
                list.iter().for_each(|x| out.extend(x.to_le_bytes()));
            }
        }
    }
}

impl Gguf {
    /// A file of version 3 and the usual alignment, its values as their bytes. It is trusted.
    pub fn read(path: &std::path::Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mut at = Cursor { bytes: &bytes, at: 8 };
        let (tensor_count, pairs) = (at.u64(), at.u64());
        let pair = |at: &mut Cursor| {
            let (key, ty) = (at.text(), at.u32());
            let start = at.at;
            at.skip(ty);
            (key, Value::Raw(ty, bytes[start..at.at].to_vec()))
        };
        let keys = (0..pairs).map(|_| pair(&mut at)).collect();
        let tensor = |at: &mut Cursor| {
            let name = at.text();
            let mut shape: Vec<u64> = (0..at.u32()).map(|_| at.u64()).collect();
            shape.reverse();
            Tensor { name, shape, ty: at.u32(), data: Vec::new(), offset: Some(at.u64()) }
        };
        let mut tensors: Vec<Tensor> = (0..tensor_count).map(|_| tensor(&mut at)).collect();
        let start = at.at.next_multiple_of(32);
        for t in &mut tensors {
            let dtype = Dtype::from_code(u16::try_from(t.ty).unwrap()).unwrap();
            let rows: u64 = t.shape.iter().rev().skip(1).product();
            let len = usize::try_from(rows * dtype.row_bytes(*t.shape.last().unwrap()).unwrap()).unwrap();
            let offset = usize::try_from(t.offset.take().unwrap()).unwrap();
            t.data = bytes[start + offset..][..len].to_vec();
        }
        Self { version: 3, keys, tensors, alignment: 32, claim: (None, None) }
    }

    pub fn set(&mut self, key: &str, value: Value) {
        match self.keys.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key.into(), value)),
        }
    }

    pub fn remove(&mut self, key: &str) {
        self.keys.retain(|(k, _)| k != key);
    }

    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|t| t.name == name).unwrap()
    }

    pub fn build(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.claim.0.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.claim.1.unwrap_or(self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            text(&mut out, key.as_bytes());
            value.write(&mut out);
        }
        let mut data = Vec::new();
        for t in &self.tensors {
            let offset = (data.len() as u64).next_multiple_of(self.alignment);
            data.resize(usize::try_from(offset).unwrap(), 0);
            data.extend(&t.data);
            text(&mut out, t.name.as_bytes());
            out.extend(u32::try_from(t.shape.len()).unwrap().to_le_bytes());
            t.shape.iter().rev().for_each(|d| out.extend(d.to_le_bytes()));
            out.extend(t.ty.to_le_bytes());
            out.extend(t.offset.unwrap_or(offset).to_le_bytes());
        }
        let start = (out.len() as u64).next_multiple_of(self.alignment);
        out.resize(usize::try_from(start).unwrap(), 0);
        out.extend(data);
        out
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        self.at += len;
        &self.bytes[self.at - len..self.at]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn text(&mut self) -> String {
        let len = usize::try_from(self.u64()).unwrap();
        String::from_utf8(self.take(len).to_vec()).unwrap()
    }

    fn skip(&mut self, ty: u32) {
        match ty {
            0 | 1 | 7 => drop(self.take(1)),
            2 | 3 => drop(self.take(2)),
            4..=6 => drop(self.take(4)),
            8 => drop(self.text()),
            9 => {
                let ty = self.u32();
                (0..self.u64()).for_each(|_| self.skip(ty));
            }
            10..=12 => drop(self.take(8)),
            _ => panic!("value type {ty}"),
        }
    }
}

pub const VOCABULARY: u64 = 40;
pub const LAYERS: u64 = 3;

/// A llama of three layers, 256 wide, whose tensors go through all the stored types in turn.
pub fn llama() -> Gguf {
    llama_of(&Dtype::ALL)
}

pub fn llama_of(dtypes: &[Dtype]) -> Gguf {
    let u = |n: u32| Value::U32(n);
    let t = |s: &str| Value::Text(s.into());
    let tokens: Vec<String> =
        (0..VOCABULARY).map(|i| if i == 7 { "<|im_end|>".into() } else { format!("t{i}") }).collect();
    let types = (0..VOCABULARY).map(|i| if i == 7 { 3 } else { 1 }).collect();
    let keys = [
        ("general.architecture", t("llama")),
        ("general.name", t("a test")),
        ("llama.context_length", u(128)),
        ("llama.embedding_length", u(256)),
        ("llama.block_count", u(3)),
        ("llama.feed_forward_length", u(512)),
        ("llama.attention.head_count", u(4)),
        ("llama.attention.head_count_kv", u(2)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.freq_base", Value::F32(5e5)),
        ("tokenizer.ggml.model", t("gpt2")),
        ("tokenizer.ggml.pre", t("smollm")),
        ("tokenizer.ggml.tokens", Value::Texts(tokens)),
        ("tokenizer.ggml.token_type", Value::I32s(types)),
        ("tokenizer.ggml.merges", Value::Texts(vec!["t 1".into()])),
        ("tokenizer.ggml.bos_token_id", u(1)),
        ("tokenizer.ggml.eos_token_id", u(2)),
    ];
    let mut g = Gguf {
        version: 3,
        keys: keys.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        tensors: Vec::new(),
        alignment: 32,
        claim: (None, None),
    };
    let mut matrix = |name: String, rows: u64, columns: u64| {
        // vectors are stored as plain numbers
        let dtype = match dtypes[g.tensors.len() % dtypes.len()] {
            coded if rows == 1 && coded.block_len() != 1 => Dtype::F32,
            dtype => dtype,
        };
        let len = usize::try_from(rows * dtype.row_bytes(columns).unwrap()).unwrap();
        let data = noise(g.tensors.len() as u64, len);
        let ty = u32::from(dtype.code());
        let shape = if rows == 1 { vec![columns] } else { vec![rows, columns] };
        g.tensors.push(Tensor { name, shape, ty, data, offset: None });
    };
    matrix("token_embd.weight".into(), VOCABULARY, 256);
    for layer in 0..LAYERS {
        for (name, rows, columns) in [
            ("attn_norm", 1, 256),
            ("ffn_norm", 1, 256),
            ("attn_q", 256, 256),
            ("attn_k", 128, 256),
            ("attn_v", 128, 256),
            ("attn_output", 256, 256),
            ("ffn_gate", 512, 256),
            ("ffn_up", 512, 256),
            ("ffn_down", 256, 512),
        ] {
            matrix(format!("blk.{layer}.{name}.weight"), rows, columns);
        }
    }
    matrix("output_norm.weight".into(), 1, 256);
    matrix("output.weight".into(), VOCABULARY, 256);
    g
}
