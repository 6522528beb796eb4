//! Builds Hugging Face folders.

use std::path::Path;

use serde_json::{Value, json};

use super::noise;

/// A folder to be: `config.json`, tensors by file, other files.
#[derive(Clone)]
pub struct Folder {
    pub config: Value,
    pub tensors: Vec<Tensor>,
    pub files: Vec<(String, Vec<u8>)>,
}

#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub dtype: safetensors::Dtype,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

impl Folder {
    /// A folder with one file of tensors.
    pub fn read(path: &Path) -> Self {
        let config = serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
        let bytes = std::fs::read(path.join("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |(name, view): (String, safetensors::tensor::TensorView)| {
            let (dtype, shape, data) = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            Tensor { name, dtype, shape, data }
        };
        Self { config, tensors: file.tensors().into_iter().map(tensor).collect(), files: Vec::new() }
    }

    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|t| t.name == name).unwrap()
    }

    pub fn file(&mut self, name: &str, value: &Value) {
        self.files.retain(|(n, _)| n != name);
        self.files.push((name.into(), value.to_string().into_bytes()));
    }

    /// Writes the folder with its tensors in one file, or spread over `shards`.
    pub fn write(&self, path: &Path, shards: usize) {
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join("config.json"), self.config.to_string()).unwrap();
        for (name, bytes) in &self.files {
            std::fs::write(path.join(name), bytes).unwrap();
        }
        if shards == 1 {
            write_safetensors(&path.join("model.safetensors"), &self.tensors.iter().collect::<Vec<_>>());
            return;
        }
        let mut weight_map = serde_json::Map::new();
        for shard in 0..shards {
            let name = format!("model-{:05}-of-{shards:05}.safetensors", shard + 1);
            let mine: Vec<_> =
                self.tensors.iter().enumerate().filter(|(i, _)| i % shards == shard).map(|(_, t)| t).collect();
            write_safetensors(&path.join(&name), &mine);
            mine.iter().for_each(|t| drop(weight_map.insert(t.name.clone(), name.clone().into())));
        }
        let index = json!({ "metadata": {}, "weight_map": weight_map });
        std::fs::write(path.join("model.safetensors.index.json"), index.to_string()).unwrap();
    }
}

fn write_safetensors(path: &Path, tensors: &[&Tensor]) {
    let views = tensors.iter().map(|t| {
        let view = safetensors::tensor::TensorView::new(t.dtype, t.shape.clone(), &t.data).unwrap();
        (t.name.as_str(), view)
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A llama of two layers, 16 wide, in the three plain types, with a tokenizer.
pub fn llama() -> Folder {
    use safetensors::Dtype::{BF16, F16, F32};
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 16,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6,
        "vocab_size": 10,
        "hidden_act": "silu",
        "bos_token_id": 0,
        "eos_token_id": 1,
        "rope_theta": 500.0,
    });
    let tokenizer = json!({
        "added_tokens": [{ "id": 0, "content": "<s>" }, { "id": 1, "content": "</s>" }],
        "model": { "type": "BPE", "vocab": { "a": 2, "b": 3 }, "merges": [] },
    });
    let mut f = Folder { config, tensors: Vec::new(), files: Vec::new() };
    f.file("tokenizer.json", &tokenizer);
    f.file(
        "tokenizer_config.json",
        &json!({ "bos_token": "<s>", "eos_token": { "content": "</s>" }, "chat_template": "{{ x }}" }),
    );
    f.file("generation_config.json", &json!({ "eos_token_id": [1, 3] }));
    let mut add = |name: String, shape: &[usize]| {
        let dtype = [BF16, F16, F32][f.tensors.len() % 3];
        let len = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let data = noise(f.tensors.len() as u64, len);
        f.tensors.push(Tensor { name, dtype, shape: shape.to_vec(), data });
    };
    add("model.embed_tokens.weight".into(), &[10, 16]);
    for layer in 0..2 {
        for (name, shape) in [
            ("input_layernorm", &[16][..]),
            ("post_attention_layernorm", &[16]),
            ("self_attn.q_proj", &[16, 16]),
            ("self_attn.k_proj", &[8, 16]),
            ("self_attn.v_proj", &[8, 16]),
            ("self_attn.o_proj", &[16, 16]),
            ("mlp.gate_proj", &[40, 16]),
            ("mlp.up_proj", &[40, 16]),
            ("mlp.down_proj", &[16, 40]),
        ] {
            add(format!("model.layers.{layer}.{name}.weight"), shape);
        }
    }
    add("model.norm.weight".into(), &[16]);
    add("lm_head.weight".into(), &[10, 16]);
    f
}
