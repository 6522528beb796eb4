//! Hyperparameters and tokenizers as they arrive in the archive.
#![allow(clippy::unwrap_used)] // in helpers of tests too, a failure is a panic

mod support;

use serde_json::{Value as Json, json};
use support::gguf::{self, Gguf, Value};
use support::{Bench, hugging_face};

fn of_gguf(change: impl Fn(&mut Gguf)) -> Json {
    let bench = Bench::new();
    let mut model = gguf::llama();
    change(&mut model);
    bench.write("m.gguf", model.build());
    bench.done(&["convert", "m.gguf"]);
    serde_json::from_str(&bench.done(&["inspect", "m.pak", "--json"])).unwrap()
}

fn of_folder(change: impl Fn(&mut hugging_face::Folder)) -> Json {
    let bench = Bench::new();
    let mut model = hugging_face::llama();
    change(&mut model);
    model.write(&bench.path("m"), 1);
    bench.done(&["convert", "m"]);
    serde_json::from_str(&bench.done(&["inspect", "m.pak", "--json"])).unwrap()
}

fn close(found: &Json, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} is not {expected}");
}

#[test]
fn gguf_hyperparameters() {
    let c = &of_gguf(|_| ())["config"];
    assert_eq!((&c["head_dim"], &c["kv_head_count"], &c["vocab_size"]), (&json!(64), &json!(2), &json!(40)));
    assert_eq!(
        (&c["rope.layout"], &c["rope.scaling"], &c["tied_embeddings"]),
        (&json!("interleaved"), &json!("none"), &json!(0))
    );
    assert_eq!(c["rope.base"], 500_000);
    let tied = of_gguf(|m| m.tensors.retain(|t| t.name != "output.weight"));
    assert_eq!(tied["config"]["tied_embeddings"], 1);
}

#[test]
fn gguf_rope_scalings() {
    let scaling = |pairs: &[(&str, Value)]| {
        let set =
            |m: &mut Gguf| pairs.iter().for_each(|(key, value)| m.set(&format!("llama.rope.{key}"), value.clone()));
        of_gguf(set)["config"].clone()
    };
    let text = |t: &str| Value::Text(t.into());
    let linear = scaling(&[("scale_linear", Value::F32(4.0))]);
    assert_eq!((&linear["rope.scaling"], &linear["rope.scaling.factor"]), (&json!("linear"), &json!(4)));
    let none = scaling(&[("scaling.type", text("none")), ("scaling.factor", Value::F32(4.0))]);
    assert_eq!(none["rope.scaling"], "none");
    let yarn = scaling(&[
        ("scaling.type", text("yarn")),
        ("scaling.factor", Value::F32(4.0)),
        ("scaling.original_context_length", Value::U32(32)),
    ]);
    assert_eq!((&yarn["rope.scaling.original_context"], &yarn["rope.scaling.beta_fast"]), (&json!(32), &json!(32)));
    close(&yarn["rope.scaling.attention_factor"], 0.1 * 4f64.ln() + 1.0);
    let yarn = scaling(&[
        ("scaling.type", text("yarn")),
        ("scaling.factor", Value::F32(4.0)),
        ("scaling.attn_factor", Value::F32(0.5)),
    ]);
    close(&yarn["rope.scaling.attention_factor"], 0.5 * (0.1 * 4f64.ln() + 1.0));
    assert_eq!(yarn["rope.scaling.original_context"], 128);
}

#[test]
fn rope_factors_come_first_in_a_pack_of_their_own() {
    let json = of_gguf(|m| {
        let t = gguf::Tensor {
            name: "rope_freqs.weight".into(),
            shape: vec![32],
            ty: 0,
            data: support::noise(1, 128),
            offset: None,
        };
        m.tensors.push(t);
    });
    assert_eq!(json["tensors"][0]["kind"], "rope_freqs");
    assert_eq!(
        (&json["packs"][0]["role"], &json["packs"][0]["parts"].as_array().unwrap().len()),
        (&json!("norms"), &1)
    );
}

#[test]
fn gguf_tokenizer_defaults_are_llama_cpps() {
    let t = &of_gguf(|_| ())["tokenizer"];
    assert_eq!(
        (&t["kind"], &t["pre"], &t["add_bos"], &t["add_space_prefix"]),
        (&json!("gguf-bpe"), &json!("smollm"), &json!(false), &json!(false))
    );
    assert_eq!((&t["bos"], &t["eos"], &t["unk"], &t["stop"]), (&json!(1), &json!(2), &Json::Null, &json!([2, 7])));
    let t = &of_gguf(|m| m.set("tokenizer.ggml.pre", Value::Text("llama-bpe".into())))["tokenizer"];
    assert_eq!(t["add_bos"], true);
    let t = &of_gguf(|m| {
        m.set("tokenizer.ggml.pre", Value::Text("llama-bpe".into()));
        m.set("tokenizer.ggml.add_bos_token", Value::Bool(0));
    })["tokenizer"];
    assert_eq!(t["add_bos"], false);
    let sentence_piece = of_gguf(|m| {
        m.set("tokenizer.ggml.model", Value::Text("llama".into()));
        m.set("tokenizer.ggml.scores", Value::F32s(vec![0.5; 40]));
        ["bos_token_id", "eos_token_id", "merges"].iter().for_each(|key| m.remove(&format!("tokenizer.ggml.{key}")));
    });
    let t = &sentence_piece["tokenizer"];
    assert_eq!((&t["bos"], &t["eos"], &t["unk"]), (&json!(1), &json!(2), &json!(0)));
    assert_eq!((&t["add_bos"], &t["add_space_prefix"], &t["pre"]), (&json!(true), &json!(true), &json!("")));
    let t = &of_gguf(|m| {
        m.set("tokenizer.ggml.eot_token_id", Value::U32(9));
        m.set("tokenizer.ggml.add_eos_token", Value::Bool(1));
    })["tokenizer"];
    assert_eq!((&t["stop"], &t["add_eos"]), (&json!([2, 7, 9]), &json!(true)));
    assert_eq!(of_gguf(|m| m.remove("tokenizer.ggml.model"))["tokenizer"], Json::Null);
}

#[test]
fn folder_hyperparameters_and_tokenizer() {
    let json = of_folder(|_| ());
    let c = &json["config"];
    assert_eq!(
        (&c["head_dim"], &c["rope.layout"], &c["rope.base"], &c["rope.scaling"]),
        (&json!(4), &json!("halves"), &json!(500), &json!("none"))
    );
    let t = &json["tokenizer"];
    assert_eq!(
        (&t["kind"], &t["bos"], &t["eos"], &t["stop"]),
        (&json!("tokenizer.json"), &json!(0), &json!(1), &json!([1, 3]))
    );
    assert_eq!((&t["chat_template"], &t["add_bos"]), (&json!("{{ x }}"), &json!(false)));

    let t = of_folder(|m| {
        let named = json!([{ "name": "tool_use", "template": "tools" }, { "name": "default", "template": "plain" }]);
        m.file("tokenizer_config.json", &json!({ "add_bos_token": true, "chat_template": named }));
    });
    assert_eq!((&t["tokenizer"]["chat_template"], &t["tokenizer"]["add_bos"]), (&json!("plain"), &json!(true)));
    let t = of_folder(|m| m.files.push(("chat_template.jinja".into(), b"from its own file".to_vec())));
    assert_eq!(t["tokenizer"]["chat_template"], "from its own file");
    assert_eq!(of_folder(|m| m.files.clear())["tokenizer"], Json::Null);
}

#[test]
fn folder_rope_scalings() {
    let old = |rope: Json| of_folder(|m| m.config["rope_scaling"] = rope.clone())["config"].clone();
    let new = |rope: Json| of_folder(|m| m.config["rope_parameters"] = rope.clone())["config"].clone();

    assert_eq!(new(json!({"rope_type": "default", "rope_theta": 7000.0}))["rope.base"], 7000);
    assert_eq!(old(json!({"type": "linear", "factor": 2.0}))["rope.scaling.factor"], 2);
    assert_eq!(new(json!({"rope_type": "dynamic", "factor": 2.0}))["rope.scaling"], "dynamic");
    let llama3 = old(
        json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}),
    );
    assert_eq!(
        (&llama3["rope.scaling.high_freq_factor"], &llama3["rope.scaling.original_context"]),
        (&json!(4), &json!(32))
    );

    let yarn = new(json!({"rope_type": "yarn", "factor": 4.0, "beta_fast": 16, "truncate": true}));
    assert_eq!(
        (&yarn["rope.scaling.original_context"], &yarn["rope.scaling.beta_fast"], &yarn["rope.scaling.beta_slow"]),
        (&json!(64), &json!(16), &json!(1))
    );
    close(&yarn["rope.scaling.attention_factor"], 0.1 * 4f64.ln() + 1.0);
    let yarn = new(json!({"rope_type": "yarn", "factor": 4.0, "mscale": 0.5, "mscale_all_dim": 2.0}));
    close(&yarn["rope.scaling.attention_factor"], (0.05 * 4f64.ln() + 1.0) / (0.2 * 4f64.ln() + 1.0));
    let yarn = new(json!({"rope_type": "yarn", "original_max_position_embeddings": 16, "attention_factor": 1.5}));
    assert_eq!((&yarn["rope.scaling.factor"], &yarn["rope.scaling.attention_factor"]), (&json!(4), &json!(1.5)));

    let longrope = new(
        json!({"rope_type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [2.0, 3.0], "original_max_position_embeddings": 16}),
    );
    assert_eq!(longrope["rope.scaling.short"], json!([1.0, 1.5]));
    close(&longrope["rope.scaling.attention_factor"], (1.0 + 4f64.ln() / 16f64.ln()).sqrt());
}
