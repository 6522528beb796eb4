//! Every architecture: what arrives in the archive, and what is refused by name. The models are the tiny ones that the
//! runtime's tests run.
#![allow(clippy::unwrap_used)] // in helpers of tests too, a failure is a panic

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use support::Bench;
use support::gguf::{Gguf, Value};
use support::hugging_face::Folder;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

fn folder(name: &str) -> Folder {
    Folder::read(&fixture(&format!("tiny-{name}")))
}

fn gguf(name: &str) -> Gguf {
    Gguf::read(&fixture(&format!("tiny-{name}/tiny-{name}.gguf")))
}

/// What `inspect` says of a model.
fn inspected(write: impl Fn(&Bench) -> &'static str) -> Json {
    let bench = Bench::new();
    let input = write(&bench);
    bench.done(&["convert", input, "-o", "m.pak"]);
    serde_json::from_str(&bench.done(&["inspect", "m.pak", "--json"])).unwrap()
}

fn of_folder(model: &Folder) -> Json {
    inspected(|bench| {
        model.write(&bench.path("m"), 1);
        "m"
    })
}

fn of_gguf(model: &Gguf) -> Json {
    inspected(|bench| {
        bench.write("m.gguf", model.build());
        "m.gguf"
    })
}

/// What is not as in Llama.
fn design(inspected: &Json) -> Json {
    const COMMON: [&str; 14] = [
        "vocab_size",
        "context_length",
        "hidden_size",
        "layer_count",
        "head_count",
        "kv_head_count",
        "head_dim",
        "ffn_size",
        "norm_eps",
        "tied_embeddings",
        "rope.base",
        "rope.dims",
        "rope.layout",
        "rope.scaling",
    ];
    let config = inspected["config"].as_object().unwrap();
    let rest = config.iter().filter(|(key, _)| !COMMON.contains(&key.as_str()) && !key.starts_with("rope.scaling."));
    Json::Object(rest.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// The same keys, texts and lists; numbers to the precision of `f32`.
fn alike(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| alike(value, other)))
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-6 * b.abs()
        }
        _ => a == b,
    }
}

#[track_caller]
fn is(found: &Json, expected: Json) {
    assert!(alike(found, &expected), "{found} is not {expected}");
}

#[test]
fn designs_of_both_sources() {
    let root = |x: f64| x.sqrt();
    // of safetensors, then of GGUF where that says something else
    let cases = [
        ("llama-biases", json!({}), None),
        ("mistral", json!({"attention.windows": [12, 12]}), None),
        ("qwen2", json!({}), None),
        ("qwen3", json!({}), None),
        (
            "gemma2",
            json!({
                "norm_weight_offset": 1, "activation": "gelu_tanh", "attention.scale": 0.25, "attention.softcap": 4,
                "logit_softcap": 6, "attention.windows": [10, 0, 10], "embedding_scale": root(32.0),
            }),
            Some(json!({
                "activation": "gelu_tanh", "attention.softcap": 4, "logit_softcap": 6,
                "attention.windows": [10, 0, 10], "embedding_scale": root(32.0),
            })),
        ),
        (
            "gemma3",
            json!({
                "norm_weight_offset": 1, "activation": "gelu_tanh", "attention.scale": 1.0 / root(12.0),
                "attention.windows": [9, 9, 9, 9, 9, 0, 9], "rope.turns": [2, 2, 2, 2, 2, 1, 2], "rope.local_base": 100,
                "embedding_scale": root(32.0),
            }),
            Some(json!({
                "activation": "gelu_tanh", "attention.windows": [9, 9, 9, 9, 9, 0, 9],
                "rope.turns": [2, 2, 2, 2, 2, 1, 2], "rope.local_base": 100, "embedding_scale": root(32.0),
            })),
        ),
        ("phi3-longrope", json!({}), None),
        ("phi3-window", json!({"attention.windows": [14, 14]}), None),
        ("olmo2", json!({}), None),
        (
            "granite",
            json!({"embedding_scale": 3, "attention.scale": 0.25, "residual_scale": 0.4, "logit_scale": 1.0 / 1.6}),
            None,
        ),
        ("smollm3", json!({"rope.turns": [1, 1, 1, 0, 1]}), None),
        (
            "starcoder2",
            json!({"norm": "layer", "activation": "gelu_tanh", "ffn.gated": 0, "attention.windows": [11, 11]}),
            None,
        ),
    ];
    let experts = |count, used, ffn_size, shared_ffn_size, scoring: &str, normalized, scale| {
        json!({
            "experts.count": count, "experts.used": used, "experts.ffn_size": ffn_size,
            "experts.shared_ffn_size": shared_ffn_size, "experts.scoring": scoring, "experts.normalized": normalized,
            "experts.scale": scale,
        })
    };
    let latent = |query_rank| json!({"latent.query_rank": query_rank, "latent.kv_rank": 20, "latent.value_dim": 16, "latent.norm_eps": 1e-6});
    let groups = |score: &str| json!({"experts.groups": 4, "experts.groups_used": 2, "experts.group_score": score});
    let all = |parts: &[Json]| parts.iter().flat_map(|part| part.as_object().unwrap().clone()).collect::<Json>();
    let scale =
        |multiplier: f64, dim| json!({"attention.scale": (0.1 * multiplier * 4f64.ln() + 1.0).powi(2) / root(dim)});
    let oss = [
        json!({"activation": "clamped_swiglu", "attention.windows": [11, 0]}),
        experts(6, 3, 64, 0, "softmax", 1, 1.0),
        json!({"experts.interleaved": 1}),
    ];
    let mixtures = [
        ("gpt-oss", all(&oss), Some(all(&oss[..2]))),
        ("deepseek2-lite", all(&[scale(0.707, 40.0), latent(0), experts(8, 3, 16, 32, "softmax", 0, 1.0)]), None),
        ("deepseek2", all(&[latent(24), experts(8, 3, 16, 16, "softmax", 0, 3.0), groups("best")]), None),
        (
            "deepseek3",
            all(&[scale(1.0, 20.0), latent(24), experts(8, 3, 16, 16, "sigmoid", 1, 2.5), groups("best_two")]),
            None,
        ),
    ];
    for (name, expected, of_gguf_file) in cases.into_iter().chain(mixtures) {
        let found = design(&of_folder(&folder(name)));
        assert!(alike(&found, &expected), "{name}: {found}");
        let found = design(&of_gguf(&gguf(name)));
        assert!(alike(&found, of_gguf_file.as_ref().unwrap_or(&expected)), "{name} in GGUF: {found}");
    }
    let gpt2 = design(&of_gguf(&gguf("gpt2")));
    let expected = json!({"norm": "layer", "activation": "gelu_tanh", "ffn.gated": 0, "rope.turns": [0, 0]});
    assert!(alike(&gpt2, &expected), "{gpt2}");
    let windows = design(&of_folder(&folder("qwen2-window")));
    assert!(alike(&windows, &json!({"attention.windows": [0, 16, 16]})), "{windows}");
}

#[test]
fn rows_turn_together_as_the_source_stores_them() {
    for name in ["llama-biases", "mistral", "granite", "smollm3", "deepseek2-lite", "deepseek3"] {
        assert_eq!(of_gguf(&gguf(name))["config"]["rope.layout"], "interleaved", "{name}");
    }
    for name in ["deepseek2-lite", "deepseek3"] {
        assert_eq!(of_folder(&folder(name))["config"]["rope.layout"], "interleaved", "{name}");
    }
    for name in ["qwen2", "qwen3", "gemma2", "gemma3", "phi3-longrope", "olmo2", "starcoder2"] {
        assert_eq!(of_gguf(&gguf(name))["config"]["rope.layout"], "halves", "{name}");
        assert_eq!(of_folder(&folder(name))["config"]["rope.layout"], "halves", "{name}");
    }
}

#[test]
fn longrope_of_both_sources() {
    for found in [of_folder(&folder("phi3-longrope")), of_gguf(&gguf("phi3-longrope"))] {
        let c = &found["config"];
        assert_eq!((&c["rope.dims"], &c["rope.scaling"]), (&json!(12), &json!("longrope")));
        assert_eq!(c["rope.scaling.original_context"], 32);
        assert!(alike(&c["rope.scaling.short"], &json!([1.0, 1.05, 1.1, 1.2, 1.3, 1.5])), "{c}");
        assert!(alike(&c["rope.scaling.long"], &json!([1.0, 1.2, 1.6, 2.4, 3.5, 4.5])), "{c}");
        let factor = (1.0 + 4f64.ln() / 32f64.ln()).sqrt();
        assert!(alike(&c["rope.scaling.attention_factor"], &json!(factor)), "{c}");
    }
    let old = |kind: &str| {
        let mut model = folder("phi3-longrope");
        let mut rope = model.config["rope_parameters"].take();
        (rope["type"], rope["rope_type"]) = (json!(kind), Json::Null);
        model.config["rope_scaling"] = rope;
        of_folder(&model)["config"]["rope.scaling"].clone()
    };
    assert_eq!((old("su"), old("yarn")), (json!("longrope"), json!("longrope")));
}

/// What transformers takes where a key is not there; `null` is something else.
#[test]
fn defaults_that_models_rely_on() {
    let of = |name: &str, changes: Json| {
        let mut model = folder(name);
        for (key, value) in changes.as_object().unwrap() {
            model.config[key] = value.clone();
        }
        let absent = |_: &String, value: &mut Json| value != "absent";
        model.config.as_object_mut().unwrap().retain(absent);
        of_folder(&model)["config"].clone()
    };
    let gone = "absent";
    is(&of("mistral", json!({"sliding_window": gone}))["attention.windows"], json!([4096, 4096]));
    assert_eq!(of("mistral", json!({"sliding_window": null}))["attention.windows"], Json::Null);
    let c = of("gemma2", json!({"attn_logit_softcapping": gone, "final_logit_softcapping": gone, "layer_types": gone}));
    assert_eq!((&c["attention.softcap"], &c["logit_softcap"]), (&json!(50), &json!(30)));
    is(&c["attention.windows"], json!([10, 0, 10]));
    let c = of("gemma2", json!({"attn_logit_softcapping": null, "query_pre_attn_scalar": gone}));
    assert_eq!((&c["attention.softcap"], &c["attention.scale"]), (&Json::Null, &json!(0.0625)));
    assert_eq!(of("gemma2", json!({"tie_word_embeddings": gone}))["tied_embeddings"], 1);
    let old = json!({
        "layer_types": gone, "rope_parameters": gone, "rope_theta": 5000.0, "rope_local_base_freq": 50.0,
        "sliding_window_pattern": 3, "_sliding_window_pattern": gone,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    });
    let c = of("gemma3", old.clone());
    assert_eq!(
        (&c["rope.base"], &c["rope.local_base"], &c["rope.scaling.factor"]),
        (&json!(5000), &json!(50), &json!(8))
    );
    is(&c["rope.turns"], json!([2, 2, 1, 2, 2, 1, 2]));
    let c = of("gemma3", json!({"layer_types": gone, "rope_parameters": gone}));
    assert_eq!((&c["rope.base"], &c["rope.local_base"]), (&json!(1_000_000), &json!(10_000)));
    is(&c["attention.windows"], json!([9, 9, 9, 9, 9, 0, 9]));
    let c = of("smollm3", json!({"no_rope_layers": gone, "layer_types": gone, "rope_parameters": gone}));
    is(&c["rope.turns"], json!([1, 1, 1, 0, 1]));
    assert_eq!(c["rope.base"], 2_000_000);
    let c = of("smollm3", json!({"no_rope_layers": gone, "no_rope_layer_interval": 2}));
    is(&c["rope.turns"], json!([1, 0, 1, 0, 1]));
    assert_eq!(of("granite", json!({"attention_multiplier": gone}))["attention.scale"], 1);
    assert_eq!(of("granite", json!({"logits_scaling": gone}))["logit_scale"], Json::Null);
    let c = of("qwen2-window", json!({"layer_types": gone, "max_window_layers": 2}));
    is(&c["attention.windows"], json!([0, 0, 16]));
    let c = of("qwen2-window", json!({"layer_types": gone, "use_sliding_window": gone}));
    assert_eq!(c["attention.windows"], Json::Null);
    assert_eq!(of("llama-biases", json!({"hidden_act": "gelu"}))["activation"], "gelu_erf");
    assert_eq!(of("starcoder2", json!({"hidden_act": gone}))["activation"], "gelu_tanh");
}

#[test]
fn gguf_keys_that_models_rely_on() {
    let of = |name: &str, change: &dyn Fn(&mut Gguf)| {
        let mut model = gguf(name);
        change(&mut model);
        of_gguf(&model)["config"].clone()
    };
    let gone = |name: &str, key: &str| of(name, &|m| m.remove(key));
    is(&gone("gemma2", "gemma2.attention.sliding_window")["attention.windows"], json!([4096, 0, 4096]));
    assert_eq!(gone("gemma2", "gemma2.attn_logit_softcapping")["attention.softcap"], 50);
    assert_eq!(gone("gemma2", "gemma2.final_logit_softcapping")["logit_softcap"], 30);
    assert_eq!(gone("gemma3", "gemma3.rope.freq_base_swa")["rope.local_base"], 10_000);
    assert_eq!(gone("gemma3", "gemma3.attention.sliding_window")["rope.turns"], Json::Null);
    let pattern = |value: Value| of("gemma3", &|m| m.set("gemma3.attention.sliding_window_pattern", value.clone()));
    is(&pattern(Value::U32(2))["attention.windows"], json!([9, 0, 9, 0, 9, 0, 9]));
    let list = [&7u32.to_le_bytes()[..], &7u64.to_le_bytes(), &[0, 1, 1, 0, 0, 0, 1]].concat();
    is(&pattern(Value::Raw(9, list))["attention.windows"], json!([0, 9, 9, 0, 0, 0, 9]));
    let softcap = of("gemma3", &|m| m.set("gemma3.final_logit_softcapping", Value::F32(20.0)));
    assert_eq!(softcap["logit_softcap"], 20);
    assert_eq!(gone("granite", "granite.attention.scale")["attention.scale"], Json::Null);
    let still = of("granite", &|m| m.set("granite.rope.scaling.finetuned", Value::Bool(0)));
    is(&still["rope.turns"], json!([0, 0]));
}

/// One key of `config.json` wrong: the sentence must name it.
#[test]
fn keys_of_config_json_are_refused_by_name() {
    let cases = [
        ("llama-biases", "hidden_act", json!("relu"), "hidden_act = \"relu\""),
        ("llama-biases", "attention_bias", json!(false), "q_proj.bias is there, and attention_bias is false"),
        ("llama-biases", "mlp_bias", json!(false), "gate_proj.bias is there, and mlp_bias is false"),
        ("qwen3", "attention_bias", json!(true), "q_proj.bias is missing"),
        ("llama-biases", "sliding_window", json!(8), "sliding_window = 8"),
        ("mistral", "sliding_window", json!(0), "sliding_window = 0"),
        ("mistral", "sliding_window", json!("8"), "sliding_window is \"8\""),
        ("mistral", "attention_bias", json!(true), "attention_bias = true"),
        ("mistral", "layer_types", json!(["full_attention", "full_attention"]), "layer_types = a list"),
        ("qwen2", "qkv_bias", json!(true), "qkv_bias = true"),
        ("qwen2-window", "layer_types", json!(["full_attention"]), "layer_types = a list"),
        ("qwen2-window", "layer_types", json!(["full_attention", "chunked_attention", "x"]), "layer_types = a list"),
        ("qwen2-window", "use_sliding_window", json!(false), "use_sliding_window = false"),
        ("qwen2-window", "max_window_layers", json!(-1), "max_window_layers is -1"),
        ("gemma2", "query_pre_attn_scalar", json!(0), "query_pre_attn_scalar = 0"),
        ("gemma2", "query_pre_attn_scalar", json!("x"), "query_pre_attn_scalar is \"x\""),
        ("gemma2", "attn_logit_softcapping", json!(-1.0), "attention.softcap = -1"),
        ("gemma2", "sliding_window", Json::Null, "sliding_window is missing"),
        ("gemma2", "attention_bias", json!(true), "attention_bias = true"),
        ("gemma2", "hidden_activation", json!("relu"), "hidden_activation = \"relu\""),
        ("gemma2", "use_bidirectional_attention", json!(true), "use_bidirectional_attention = true"),
        ("gemma3", "attn_logit_softcapping", json!(50.0), "attn_logit_softcapping = 50.0"),
        ("gemma3", "rope_parameters", json!({"rope_theta": 1e6}), "rope_parameters.rope_theta"),
        (
            "gemma3",
            "rope_parameters",
            json!({"sliding_attention": {"rope_type": "linear", "factor": 2.0}}),
            "rope_type = linear",
        ),
        ("qwen3", "rope_parameters", json!({"full_attention": {}}), "rope_parameters.full_attention"),
        ("qwen3", "rope_local_base_freq", json!(1e4), "rope_local_base_freq"),
        ("qwen3", "partial_rotary_factor", json!(0.5), "partial_rotary_factor = 0.5"),
        ("qwen3", "num_experts", json!(8), "num_experts = 8"),
        ("qwen3", "head_dim", json!(8), "q_proj.weight has shape [64, 32]"),
        ("phi3-longrope", "rope_parameters", json!({"rope_type": "longrope"}), "short_factor is missing"),
        ("olmo2", "clip_qkv", json!(8.0), "clip_qkv = 8.0"),
        ("granite", "logits_scaling", json!(0.0), "logits_scaling = 0"),
        ("granite", "residual_multiplier", json!("x"), "residual_multiplier is \"x\""),
        ("smollm3", "no_rope_layers", json!([1, 1]), "no_rope_layers = a list"),
        ("smollm3", "no_rope_layers", json!([1, 1, 1, 2, 1]), "no_rope_layers = a list"),
        ("starcoder2", "use_bias", json!(false), "q_proj.bias is there, and use_bias is false"),
        ("starcoder2", "norm_epsilon", json!("x"), "norm_epsilon is \"x\""),
        ("gpt-oss", "swiglu_limit", json!(5.0), "swiglu_limit = 5"),
        ("gpt-oss", "quantization_config", json!({"quant_method": "awq"}), "quant_method = awq"),
        ("gpt-oss", "attention_bias", json!(false), "q_proj.bias is there, and attention_bias is false"),
        ("deepseek2", "norm_topk_prob", json!(true), "norm_topk_prob = true"),
        ("deepseek2", "topk_method", json!("noaux_tc"), "topk_method = noaux_tc"),
        ("deepseek2", "topk_group", json!(1), "experts.used = 3"),
        ("deepseek2", "moe_layer_freq", json!(2), "moe_layer_freq = 2"),
        ("deepseek3", "scoring_func", json!("softmax"), "scoring_func = softmax"),
        ("deepseek3", "n_group", json!(3), "experts.groups = 3"),
        ("deepseek3", "qk_rope_head_dim", json!(6), "q_b_proj.weight has shape [80, 24]"),
        ("deepseek3", "q_lora_rank", Json::Null, "q_proj.weight is missing"),
        ("qwen3", "kv_lora_rank", json!(16), "kv_lora_rank = 16"),
        ("olmo2", "architectures", json!(["Olmo3ForCausalLM"]), "Olmo3ForCausalLM (olmo2)"),
    ];
    for (name, key, value, expected) in cases {
        let bench = Bench::new();
        let mut model = folder(name);
        model.config[key] = value;
        model.write(&bench.path("m"), 1);
        let error = bench.refused(&["convert", "m"]);
        assert!(error.contains(expected), "{name}, {key}: expected {expected:?} in {error:?}");
        assert_eq!(bench.files(), ["m"]);
    }
}

fn gguf_refused(name: &str, expected: &str, change: impl Fn(&mut Gguf)) {
    let bench = Bench::new();
    let mut model = gguf(name);
    change(&mut model);
    bench.write("m.gguf", model.build());
    let error = bench.refused(&["convert", "m.gguf"]);
    assert!(error.contains(expected), "{name}: expected {expected:?} in {error:?}");
    assert_eq!(bench.files(), ["m.gguf"]);
}

#[test]
fn keys_of_gguf_are_refused_by_name() {
    let set = |name, key: &str, value: Value, expected| gguf_refused(name, expected, |m| m.set(key, value.clone()));
    let gone = |name, key| gguf_refused(name, &format!("{key} is missing"), |m| m.remove(key));
    set("qwen2", "qwen2.attention.sliding_window", Value::U32(8), "qwen2.attention.sliding_window = 8");
    set("olmo2", "olmo2.attention.sliding_window", Value::U32(8), "olmo2.attention.sliding_window = 8");
    set("gemma2", "gemma2.rope.freq_base_swa", Value::F32(1e4), "gemma2.rope.freq_base_swa");
    set("gemma3", "gemma3.attn_logit_softcapping", Value::F32(50.0), "gemma3.attn_logit_softcapping");
    set("gemma3", "gemma3.attention.sliding_window", Value::F32(9.0), "gemma3.attention.sliding_window is 9");
    set("gemma3", "gemma3.attention.sliding_window_pattern", Value::I32s(vec![1; 7]), "sliding_window_pattern");
    let short = [&7u32.to_le_bytes()[..], &1u64.to_le_bytes(), &[1]].concat();
    set("gemma3", "gemma3.attention.sliding_window_pattern", Value::Raw(9, short), "must be 7 flags");
    set("granite", "granite.deepstack_mapping", Value::I32s(vec![0, 1]), "granite.deepstack_mapping");
    set("granite", "granite.logit_scale", Value::F32(-2.0), "logit_scale = -0.5");
    set("qwen3", "qwen3.residual_scale", Value::F32(0.5), "qwen3.residual_scale");
    set("phi3-longrope", "phi3.rope.scaling.type", Value::Text("yarn".into()), "phi3.rope.scaling.type = yarn");
    set("qwen3", "qwen3.rope.scaling.type", Value::Text("longrope".into()), "rope_factors_short.weight is missing");
    set("phi3-longrope", "phi3.rope.dimension_count", Value::U32(16), "rope_factors_short.weight has shape [6]");
    set("deepseek3", "deepseek2.expert_gating_func", Value::U32(9), "deepseek2.expert_gating_func = 9");
    set("qwen3", "qwen3.attention.kv_lora_rank", Value::U32(16), "qwen3.attention.kv_lora_rank");
    set("qwen3", "qwen3.rope.scaling.yarn_log_multiplier", Value::F32(0.1), "yarn_log_multiplier = 0.1");
    gone("deepseek2", "deepseek2.attention.kv_lora_rank");
    gone("granite", "granite.logit_scale");
    gone("starcoder2", "starcoder2.attention.layer_norm_epsilon");
    gone("gpt2", "gpt2.attention.layer_norm_epsilon");
    gone("gemma3", "gemma3.attention.layer_norm_rms_epsilon");
    gguf_refused("phi3-longrope", "rope_factors_long.weight is missing", |m| {
        m.tensors.retain(|t| t.name != "rope_factors_long.weight");
    });
    gguf_refused("phi3-longrope", "rope_factors_long.weight is a vector stored as F16", |m| {
        let t = m.tensor("rope_factors_long.weight");
        (t.ty, t.data) = (1, vec![0; 12]);
    });
    gguf_refused("qwen3", "blk.0.attn_norm.weight is a vector stored as Q4_0", |m| {
        let t = m.tensor("blk.0.attn_norm.weight");
        (t.ty, t.data) = (2, vec![0; 18]);
    });
    gguf_refused("gpt2", "the architecture is mistral", |m| {
        m.set("general.architecture", Value::Text("mistral".into()));
    });
}

/// Every tensor that only some architectures have: missing, of another shape, and where it does not belong.
#[test]
fn tensors_are_refused_by_name() {
    let cases = [
        ("qwen2", "model.layers.1.self_attn.k_proj.bias", "blk.1.attn_k.bias"),
        ("qwen3", "model.layers.0.self_attn.q_norm.weight", "blk.0.attn_q_norm.weight"),
        ("gemma2", "model.layers.2.post_attention_layernorm.weight", "blk.2.post_attention_norm.weight"),
        ("gemma2", "model.layers.2.pre_feedforward_layernorm.weight", "blk.2.ffn_norm.weight"),
        ("gemma3", "model.layers.6.post_feedforward_layernorm.weight", "blk.6.post_ffw_norm.weight"),
        ("gemma3", "model.layers.6.self_attn.k_norm.weight", "blk.6.attn_k_norm.weight"),
        ("phi3-window", "model.layers.0.self_attn.qkv_proj.weight", "blk.0.attn_qkv.weight"),
        ("phi3-window", "model.layers.0.mlp.gate_up_proj.weight", "blk.0.ffn_up.weight"),
        ("olmo2", "model.layers.1.self_attn.q_norm.weight", "blk.1.attn_q_norm.weight"),
        ("starcoder2", "model.layers.0.input_layernorm.bias", "blk.0.attn_norm.bias"),
        ("starcoder2", "model.layers.0.mlp.c_fc.weight", "blk.0.ffn_up.weight"),
        ("starcoder2", "model.norm.bias", "output_norm.bias"),
    ];
    for (name, in_folder, in_gguf) in cases {
        for (change, expected) in [(0, "is missing"), (1, "has shape [3")] {
            let bench = Bench::new();
            let mut model = folder(name);
            match change {
                0 => model.tensors.retain(|t| t.name != in_folder),
                _ => {
                    let t = model.tensor(in_folder);
                    (t.shape, t.data) = (vec![3], t.data[..3 * t.dtype.bitsize() / 8].to_vec());
                }
            }
            model.write(&bench.path("m"), 1);
            let error = bench.refused(&["convert", "m"]);
            assert!(error.contains(&format!("{in_folder} {expected}")), "{name}: {error}");
            gguf_refused(name, &format!("{in_gguf} {expected}"), |m| match change {
                0 => m.tensors.retain(|t| t.name != in_gguf),
                _ => {
                    let t = m.tensor(in_gguf);
                    (t.ty, t.shape, t.data) = (1, vec![3], vec![0; 6]);
                }
            });
        }
    }
    gguf_refused("gpt2", "position_embd.weight has shape [128, 32]", |m| {
        m.set("gpt2.context_length", Value::U32(64));
    });
    gguf_refused("qwen3", "blk.0.attn_q.extra does not belong to the qwen3 architecture", |m| {
        let t = m.tensor("blk.0.attn_q.weight").clone();
        m.tensors.push(support::gguf::Tensor { name: "blk.0.attn_q.extra".into(), ..t });
    });
}

/// Name, type, shape and bytes of every tensor, sorted.
type Tensors = Vec<(String, String, Vec<usize>, Vec<u8>)>;

#[test]
fn every_tensor_comes_back_bit_for_bit() {
    let round_trip = |bench: &Bench, input: &str, mut expected: Tensors| {
        // packs far below a tensor's size, so that tensors are cut
        bench.done(&["convert", input, "-o", "m.pak", "--pack-size", "4KiB", "--force"]);
        assert!(bench.done(&["verify", "m.pak"]).contains("all intact"));
        bench.done(&["extract", "m.pak", "-o", "m.safetensors", "--force"]);
        expected.sort();
        let found = support::read_safetensors(&bench.path("m.safetensors"));
        assert!(found == expected, "{input}");
    };
    let mut models = 0;
    for entry in std::fs::read_dir(fixture("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("tiny-") {
            continue;
        }
        let bench = Bench::new();
        if path.join("config.json").exists() && path.join("model.safetensors").exists() {
            let tensors = support::read_safetensors(&path.join("model.safetensors"));
            round_trip(&bench, path.to_str().unwrap(), tensors);
            models += 1;
        }
        let file = path.join(format!("{name}.gguf"));
        if file.exists() {
            let tensors = Gguf::read(&file).tensors.into_iter().map(|t| {
                let dtype = symbiote_format::Dtype::from_code(u16::try_from(t.ty).unwrap()).unwrap();
                let shape: Vec<usize> = t.shape.iter().map(|n| usize::try_from(*n).unwrap()).collect();
                if dtype.block_len() == 1 {
                    return (t.name, dtype.name().to_owned(), shape, t.data);
                }
                let rows: usize = shape[..shape.len() - 1].iter().product();
                (t.name, "U8".to_owned(), vec![rows, t.data.len() / rows], t.data)
            });
            round_trip(&bench, file.to_str().unwrap(), tensors.collect());
            models += 1;
        }
    }
    assert!(models >= 30, "{models}");
}

/// As published: the text in `text_config` and under `language_model.`, with next to nothing said of it.
#[test]
fn gemma3_with_vision_is_packed_for_its_text() {
    let mut model = folder("gemma3");
    let alone = of_folder(&model);
    for t in &mut model.tensors {
        t.name = format!("language_model.{}", t.name);
    }
    let vision = support::hugging_face::Tensor { name: "vision_tower.x.weight".into(), ..model.tensors[0].clone() };
    model.tensors.push(vision);
    let text = model.config.take();
    model.config = json!({
        "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text,
        "vision_config": {"hidden_size": 8}, "eos_token_id": [1, 2],
    });
    let found = of_folder(&model);
    assert_eq!(found["config"], alone["config"]);
    let tensors = found["tensors"].as_array().unwrap();
    assert_eq!(tensors.last().unwrap()["kind"], "unused");
    assert_eq!(tensors.len(), alone["tensors"].as_array().unwrap().len() + 1);

    let refused = |expected: &str, change: &dyn Fn(&mut Folder)| {
        let bench = Bench::new();
        let mut model = model.clone();
        change(&mut model);
        model.write(&bench.path("m"), 1);
        let error = bench.refused(&["convert", "m"]);
        assert!(error.contains(expected), "expected {expected:?} in {error:?}");
    };
    refused("text_config is missing", &|m| drop(m.config["text_config"].take()));
    refused("quantization_config = an object", &|m| m.config["quantization_config"] = json!({"bits": 4}));
    refused("audio_tower.weight does not belong", &|m| {
        m.tensors.last_mut().unwrap().name = "audio_tower.weight".into();
    });
}

/// Without MXFP4, transformers saves them so.
#[test]
fn transposed_experts_are_refused_by_name() {
    let bench = Bench::new();
    let mut model = folder("gpt-oss");
    let halves = ["_blocks", "_scales"].map(|half| format!("model.layers.0.mlp.experts.gate_up_proj{half}"));
    model.tensors.retain(|t| t.name != halves[1]);
    let t = model.tensor(&halves[0]);
    t.name = "model.layers.0.mlp.experts.gate_up_proj".into();
    (t.dtype, t.shape, t.data) = (safetensors::Dtype::BF16, vec![6, 64, 128], vec![0; 6 * 64 * 128 * 2]);
    model.write(&bench.path("m"), 1);
    let error = bench.refused(&["convert", "m"]);
    assert!(error.contains("experts.gate_up_proj has the experts transposed"), "{error}");

    let mut model = folder("gpt-oss");
    model.tensors.retain(|t| t.name != halves[1]);
    model.write(&bench.path("half"), 1);
    let error = bench.refused(&["convert", "half"]);
    assert!(error.contains("gate_up_proj_blocks is stored as U8"), "{error}");
}

/// Layers beyond the last guess further tokens: they are kept. GGUF files before 2025 have keys and values in one.
#[test]
fn deepseek_as_published() {
    let mut model = folder("deepseek3");
    let t = model.tensor("model.layers.1.mlp.gate.weight").clone();
    let next = support::hugging_face::Tensor { name: "model.layers.2.mlp.gate.weight".into(), ..t.clone() };
    model.tensors.push(next);
    let found = of_folder(&model);
    assert_eq!(found["tensors"].as_array().unwrap().last().unwrap()["kind"], "unused");
    let bench = Bench::new();
    let stray = support::hugging_face::Tensor { name: "model.layers.1.mlp.more.weight".into(), ..t };
    model.tensors.push(stray);
    model.write(&bench.path("m"), 1);
    let error = bench.refused(&["convert", "m"]);
    assert!(error.contains("model.layers.1.mlp.more.weight does not belong"), "{error}");

    let mut old = gguf("deepseek3");
    old.remove("deepseek2.attention.key_length_mla");
    old.remove("deepseek2.attention.value_length_mla");
    old.set("deepseek2.attention.key_length", Value::U32(20));
    old.set("deepseek2.attention.value_length", Value::U32(16));
    old.set("deepseek2.attention.head_count_kv", Value::U32(4));
    old.tensors.retain(|t| !t.name.ends_with("attn_v_b.weight"));
    for layer in 0..2 {
        let t = old.tensor(&format!("blk.{layer}.attn_k_b.weight"));
        t.name = format!("blk.{layer}.attn_kv_b.weight");
        (t.shape, t.data) = (vec![112, 20], vec![0; 112 * 20 * 2]);
    }
    let found = of_gguf(&old);
    is(&design(&found), design(&of_gguf(&gguf("deepseek3"))));
    assert_eq!((&found["config"]["head_dim"], &found["config"]["kv_head_count"]), (&json!(20), &json!(4)));
}

#[test]
fn gpt2_comes_from_gguf_alone() {
    let bench = Bench::new();
    let mut model = folder("qwen2");
    (model.config["model_type"], model.config["architectures"]) = (json!("gpt2"), json!(["GPT2LMHeadModel"]));
    model.write(&bench.path("m"), 1);
    let error = bench.refused(&["convert", "m"]);
    assert!(error.contains("GPT2LMHeadModel stores its matrices transposed"), "{error}");
}
