//! Everything that is wrong with a source is refused in one sentence, and leaves no file.
#![allow(clippy::unwrap_used)] // in helpers of tests too, a failure is a panic

mod support;

use serde_json::{Value as Json, json};
use support::gguf::{self, Gguf, Value};
use support::{Bench, hugging_face};

/// `change` makes a good GGUF file bad; the sentence must have `expected` in it.
fn gguf_refused(expected: &str, change: impl Fn(&mut Gguf)) {
    let mut model = gguf::llama();
    change(&mut model);
    bytes_refused(expected, model.build());
}

fn bytes_refused(expected: &str, bytes: Vec<u8>) {
    let bench = Bench::new();
    bench.write("m.gguf", bytes);
    let error = bench.refused(&["convert", "m.gguf"]);
    assert!(error.contains(expected), "expected {expected:?} in {error:?}");
    assert_eq!(bench.files(), ["m.gguf"]);
}

#[test]
fn gguf_containers() {
    bytes_refused("does not start with GGUF", Vec::new());
    bytes_refused("does not start with GGUF", b"not a model at all".to_vec());
    gguf_refused("GGUF version 1", |m| m.version = 1);
    gguf_refused("GGUF version 4", |m| m.version = 4);
    gguf_refused("big-endian", |m| m.version = 3u32.swap_bytes());
    gguf_refused("claims 1152921504606846976 tensors", |m| m.claim.0 = Some(1 << 60));
    gguf_refused("claims 1152921504606846976 keys", |m| m.claim.1 = Some(1 << 60));
    gguf_refused("cut off", |m| m.claim.1 = Some(60000));
    gguf_refused("the key general.name is there twice", |m| {
        let pair = m.keys[1].clone();
        m.keys.push(pair);
    });
    gguf_refused("the key a?b has the unknown value type 99", |m| m.set("a\nb", Value::Raw(99, vec![])));
    gguf_refused("unknown value type 13", |m| m.set("x", Value::Raw(13, vec![])));
    gguf_refused("array of arrays", |m| m.set("x", Value::Raw(9, [9u32.to_le_bytes(), [0; 4], [0; 4]].concat())));
    gguf_refused("truth value of 2", |m| m.set("x", Value::Bool(2)));
    gguf_refused("cut off", |m| {
        m.set("x", Value::Raw(9, [&8u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat()));
    });
    gguf_refused("cut off", |m| {
        m.set("x", Value::Raw(9, [&10u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat()));
    });
    gguf_refused("not UTF-8", |m| {
        m.set("x", Value::Raw(8, [&2u64.to_le_bytes()[..], &[0xFF, 0xFE]].concat()));
    });
    gguf_refused("general.alignment is 48", |m| m.set("general.alignment", Value::U32(48)));
    gguf_refused("general.alignment is 0", |m| m.set("general.alignment", Value::U32(0)));
    gguf_refused("general.alignment is a text", |m| m.set("general.alignment", Value::Text("32".into())));
}

#[test]
fn gguf_tensors() {
    gguf_refused("two tensors are named token_embd.weight", |m| m.tensors[1].name = "token_embd.weight".into());
    gguf_refused("tensor 1 has no usable name", |m| m.tensors[1].name = "a\nb".into());
    gguf_refused("has 0 dimensions", |m| m.tensors[1].shape = vec![]);
    gguf_refused("has 5 dimensions", |m| m.tensors[1].shape = vec![1; 5]);
    gguf_refused("impossible shape [0]", |m| m.tensors[1].shape = vec![0]);
    gguf_refused("impossible shape", |m| m.tensors[0].shape = vec![1 << 40, 1 << 40]);
    gguf_refused("token_embd.weight is stored as NVFP4", |m| m.tensor("token_embd.weight").ty = 40);
    gguf_refused("stored as I32", |m| m.tensor("token_embd.weight").ty = 26);
    gguf_refused("stored as unknown type 99", |m| m.tensor("token_embd.weight").ty = 99);
    gguf_refused("rows of 100 elements, and Q4_0 stores blocks of 32", |m| {
        let t = m.tensor("token_embd.weight");
        (t.ty, t.shape) = (2, vec![40, 100]);
    });
    gguf_refused("no multiple of general.alignment", |m| m.tensors[1].offset = Some(40961));
    gguf_refused("there are", |m| m.tensors[1].offset = Some(1 << 40));
    gguf_refused("there are", |m| m.tensors[1].offset = Some(u64::MAX - 31));
    gguf_refused("overlap", |m| m.tensors[1].offset = Some(32));
    let mut cut = gguf::llama().build();
    cut.truncate(cut.len() - 1);
    bytes_refused("output.weight takes", cut);
}

#[test]
fn gguf_models() {
    gguf_refused("the architecture is gemma", |m| m.set("general.architecture", Value::Text("gemma".into())));
    gguf_refused("general.architecture is missing", |m| m.remove("general.architecture"));
    gguf_refused("llama.block_count is missing", |m| m.remove("llama.block_count"));
    gguf_refused("llama.block_count is a text", |m| m.set("llama.block_count", Value::Text("3".into())));
    gguf_refused("head_count is an array of 3", |m| m.set("llama.attention.head_count", Value::I32s(vec![4; 3])));
    gguf_refused("llama.attention.sinks", |m| m.set("llama.attention.sinks", Value::U32(1)));
    gguf_refused("llama.expert_used_count is missing", |m| m.set("llama.expert_count", Value::U32(8)));
    gguf_refused("layer_count = 5000", |m| m.set("llama.block_count", Value::U32(5000)));
    gguf_refused("kv_head_count = 3", |m| m.set("llama.attention.head_count_kv", Value::U32(3)));
    gguf_refused("head_count = 0", |m| m.set("llama.attention.head_count", Value::U32(0)));
    gguf_refused("llama.attention.value_length = 32", |m| m.set("llama.attention.value_length", Value::U32(32)));
    gguf_refused("blk.1.ffn_up.weight is missing", |m| m.tensors.retain(|t| t.name != "blk.1.ffn_up.weight"));
    gguf_refused("token_embd.weight is missing", |m| drop(m.tensors.remove(0)));
    gguf_refused("blk.0.attn_sinks.weight does not belong", |m| {
        let t = gguf::Tensor { name: "blk.0.attn_sinks.weight".into(), ..m.tensors[1].clone() };
        m.tensors.push(t);
    });
    gguf_refused("has shape [256, 256], and the hyperparameters ask for [512, 256]", |m| {
        let t = m.tensor("blk.0.attn_q.weight").clone();
        *m.tensor("blk.0.ffn_gate.weight") = gguf::Tensor { name: "blk.0.ffn_gate.weight".into(), ..t };
    });
    gguf_refused("rope_factors_short.weight is missing", |m| {
        m.set("llama.rope.scaling.type", Value::Text("longrope".into()));
    });
    gguf_refused("rope.scaling.type = su", |m| {
        m.set("llama.rope.scaling.type", Value::Text("su".into()));
    });
}

#[test]
fn gguf_tokenizers() {
    gguf_refused("the tokenizer is a \"bert\"", |m| m.set("tokenizer.ggml.model", Value::Text("bert".into())));
    gguf_refused("tokenizer.ggml.tokens is missing", |m| m.remove("tokenizer.ggml.tokens"));
    gguf_refused("tokenizer.ggml.merges is missing", |m| m.remove("tokenizer.ggml.merges"));
    gguf_refused("40 tokens and 3 entries in tokenizer.ggml.token_type", |m| {
        m.set("tokenizer.ggml.token_type", Value::I32s(vec![1; 3]));
    });
    gguf_refused("token 0 has the unknown type 9", |m| m.set("tokenizer.ggml.token_type", Value::I32s(vec![9; 40])));
    gguf_refused("eos_token_id is 40", |m| m.set("tokenizer.ggml.eos_token_id", Value::U32(40)));
    gguf_refused("it has 41 tokens and the embedding has 40 rows", |m| {
        let tokens = (0..41).map(|i| i.to_string()).collect();
        m.set("tokenizer.ggml.tokens", Value::Texts(tokens));
        m.remove("tokenizer.ggml.token_type");
    });
    gguf_refused("tokenizer.ggml.scores is missing", |m| m.set("tokenizer.ggml.model", Value::Text("llama".into())));
}

fn folder_refused(expected: &str, change: impl Fn(&mut hugging_face::Folder)) {
    let bench = Bench::new();
    let mut model = hugging_face::llama();
    change(&mut model);
    model.write(&bench.path("m"), 1);
    let error = bench.refused(&["convert", "m"]);
    assert!(error.contains(expected), "expected {expected:?} in {error:?}");
    assert_eq!(bench.files(), ["m"]);
}

fn config_refused(expected: &str, key: &str, value: Json) {
    folder_refused(expected, |m| m.config[key] = value.clone());
}

#[test]
fn folder_configs() {
    config_refused("MixtralForCausalLM (llama)", "architectures", json!(["MixtralForCausalLM"]));
    config_refused("LlamaForCausalLM (mistral)", "model_type", json!("mistral"));
    config_refused("q_proj.bias is missing", "attention_bias", json!(true));
    config_refused("gate_proj.bias is missing", "mlp_bias", json!(true));
    config_refused("hidden_act = \"relu\"", "hidden_act", json!("relu"));
    config_refused("quantization_config = an object", "quantization_config", json!({"bits": 4}));
    config_refused("sliding_window = 4096", "sliding_window", json!(4096));
    config_refused("partial_rotary_factor = 0.5", "partial_rotary_factor", json!(0.5));
    config_refused("hidden_size is missing", "hidden_size", Json::Null);
    config_refused("hidden_size is \"16\"", "hidden_size", json!("16"));
    config_refused("hidden_size is -1", "hidden_size", json!(-1));
    config_refused("vocab_size = 11", "vocab_size", json!(11));
    config_refused("ask for [64, 16]", "intermediate_size", json!(64));
    let rope = |expected: &str, rope: Json| config_refused(expected, "rope_parameters", rope);
    rope("rope_type = ntk", json!({"rope_type": "ntk", "factor": 2.0}));
    rope("rope_parameters.factor is missing", json!({"rope_type": "linear"}));
    rope("rope_parameters.mrope_section", json!({"rope_type": "default", "mrope_section": [1]}));
    rope(
        "rope.scaling.short",
        json!({"rope_type": "longrope", "factor": 2.0, "short_factor": [1.0], "long_factor": [1.0]}),
    );
    rope("rope.scaling.factor", json!({"rope_type": "linear", "factor": 0.0}));
    config_refused("rope_scaling is 3", "rope_scaling", json!(3));
}

#[test]
fn folder_tensors_and_tokenizers() {
    folder_refused("lm_head.weight is missing", |m| drop(m.tensors.pop()));
    folder_refused("q_proj.extra does not belong", |m| {
        let name = "model.layers.0.self_attn.q_proj.extra".into();
        m.tensors.push(hugging_face::Tensor { name, ..m.tensors[0].clone() });
    });
    folder_refused("model.norm.weight is stored as F64", |m| {
        let t = m.tensor("model.norm.weight");
        (t.dtype, t.data) = (safetensors::Dtype::F64, vec![0; 128]);
    });
    folder_refused("eos_token is \"<eos>\"", |m| m.file("tokenizer_config.json", &json!({"eos_token": "<eos>"})));
    folder_refused("chat_template is 3", |m| m.file("tokenizer_config.json", &json!({"chat_template": 3})));
    folder_refused("must be a JSON object", |m| m.file("tokenizer.json", &json!([])));
    folder_refused("stop token is 99", |m| m.file("generation_config.json", &json!({"eos_token_id": 99})));
    folder_refused("not valid JSON", |m| m.files.push(("tokenizer_config.json".into(), b"{".to_vec())));
    folder_refused("not UTF-8", |m| m.files.push(("tokenizer.json".into(), vec![0xFF])));
    folder_refused("tokenizer.model and no tokenizer.json", |m| {
        m.files = vec![("tokenizer.model".into(), vec![0])];
    });
}

#[test]
fn folder_files() {
    let bench = Bench::new();
    let folder = bench.path("m");
    std::fs::create_dir(&folder).unwrap();
    assert!(bench.refused(&["convert", "m"]).contains("no config.json"));
    std::fs::write(folder.join("config.json"), hugging_face::llama().config.to_string()).unwrap();
    assert!(bench.refused(&["convert", "m"]).contains("neither model.safetensors"));
    std::fs::write(folder.join("pytorch_model.bin"), b"x").unwrap();
    assert!(bench.refused(&["convert", "m"]).contains("can run code"));
    std::fs::write(folder.join("model.safetensors"), b"x").unwrap();
    assert!(bench.refused(&["convert", "m"]).contains("header cannot be used"));
    assert!(bench.refused(&["convert", "m/model.safetensors"]).contains("name its folder"));

    let index = |map: Json| {
        std::fs::write(folder.join("model.safetensors.index.json"), json!({ "weight_map": map }).to_string()).unwrap()
    };
    std::fs::remove_file(folder.join("model.safetensors")).unwrap();
    index(json!({"a": "../../etc/passwd"}));
    assert!(bench.refused(&["convert", "m"]).contains("must be a file beside it"));
    index(json!({"a": 3}));
    assert!(bench.refused(&["convert", "m"]).contains("a is 3"));
    index(json!({"a": "gone.safetensors"}));
    assert!(bench.refused(&["convert", "m"]).contains("no such file"));
    hugging_face::llama().write(&folder, 2);
    let mut map: Json =
        serde_json::from_slice(&std::fs::read(folder.join("model.safetensors.index.json")).unwrap()).unwrap();
    map["weight_map"]["extra"] = "model-00001-of-00002.safetensors".into();
    index(map["weight_map"].clone());
    assert!(bench.refused(&["convert", "m"]).contains("puts tensor extra into model-00001"));
    assert_eq!(bench.files(), ["m"]);
}
