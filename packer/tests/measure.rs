//! `inspect --codecs`: what each codec makes of a model, whatever file it is in.
#![allow(clippy::unwrap_used)] // in helpers of tests too, a failure is a panic

mod support;

use serde_json::{Value, json};
use support::gguf::{self, Tensor};
use support::weights::{From32, trained, with_trained_weights};
use support::{Bench, hugging_face};
use symbiote_format::{Codec, Dtype};
use symbiote_packer::{Monitor, Problem, measure};

fn measured(bench: &Bench, file: &str) -> Value {
    serde_json::from_str(&bench.done(&["inspect", "--codecs", "--json", file])).unwrap()
}

fn tensor<'a>(json: &'a Value, name: &str) -> &'a Value {
    json["tensors"].as_array().unwrap().iter().find(|t| t["name"] == name).unwrap()
}

fn plain_gguf() -> gguf::Gguf {
    with_trained_weights(gguf::llama_of(&[Dtype::Bf16, Dtype::F16, Dtype::F32]))
}

/// The tensors of a GGUF model as a folder has them.
fn as_folder(model: &gguf::Gguf) -> hugging_face::Folder {
    let dtype = |ty| match ty {
        0 => safetensors::Dtype::F32,
        1 => safetensors::Dtype::F16,
        _ => safetensors::Dtype::BF16,
    };
    let tensor = |t: &Tensor| hugging_face::Tensor {
        name: t.name.clone(),
        dtype: dtype(t.ty),
        shape: t.shape.iter().map(|d| usize::try_from(*d).unwrap()).collect(),
        data: t.data.clone(),
    };
    let tensors = model.tensors.iter().map(tensor).collect();
    hugging_face::Folder { tensors, config: json!({ "architectures": ["NobodyKnowsThis"] }), files: Vec::new() }
}

#[test]
fn a_model_measures_the_same_in_every_file_whatever_its_architecture() {
    let bench = Bench::new();
    let mut model = plain_gguf();
    bench.write("m.gguf", model.build());
    bench.done(&["convert", "m.gguf"]);
    model.set("general.architecture", gguf::Value::Text("nobody-knows-this".into()));
    bench.write("other.gguf", model.build());
    as_folder(&model).write(&bench.path("one"), 1);
    as_folder(&model).write(&bench.path("three"), 3);
    std::fs::remove_file(bench.path("three/config.json")).unwrap();
    std::fs::copy(bench.path("one/model.safetensors"), bench.path("bare.safetensors")).unwrap();

    let expected = measured(&bench, "m.gguf");
    assert_eq!(expected["total"]["tensors"], 30);
    for file in ["other.gguf", "one", "three", "bare.safetensors", "m.pak"] {
        let found = measured(&bench, file);
        for t in expected["tensors"].as_array().unwrap() {
            let other = tensor(&found, t["name"].as_str().unwrap());
            // an archive has its tensors in other parts
            let keys = if file == "m.pak" {
                &["source_bytes", "weights", "floor_bits_per_weight", "rows"][..]
            } else {
                &["codecs", "floor_bits_per_weight", "run", "ship", "type"]
            };
            keys.iter().for_each(|key| assert_eq!(t[key], other[key], "{file}: {t} {key}"));
        }
    }
}

#[test]
fn lengths_floors_and_exceptions_are_true() {
    let bench = Bench::new();
    let model = plain_gguf();
    bench.write("m.gguf", model.build());
    let json = measured(&bench, "m.gguf");
    let t = tensor(&json, "token_embd.weight");
    assert_eq!(
        (&t["type"], &t["rows"], &t["columns"], &t["weights"]),
        (&json!("BF16"), &json!(40), &json!(256), &json!(10240))
    );

    let data = trained(0, Dtype::Bf16, From32::Bf16, 10240);
    let shape = symbiote_format::codec::Shape { dtype: Dtype::Bf16, rows: 40, columns: 256 };
    for codec in Codec::ALL.iter().copied().filter(|codec| codec.takes(Dtype::Bf16)) {
        let mut coded = Vec::new();
        codec.encode(shape, &data, &mut coded).unwrap();
        assert_eq!(t["codecs"][codec.name()]["bytes"], coded.len(), "{codec}");
        let bits = t["codecs"][codec.name()]["bits_per_weight"].as_f64().unwrap();
        assert!((bits - coded.len() as f64 * 8.0 / 10240.0).abs() < 1e-9);
    }
    let floor = t["floor_bits_per_weight"].as_f64().unwrap();
    assert!((10.0..11.0).contains(&floor), "{floor}");
    let exceptions = |codec: &str| t["codecs"][codec]["exceptions"]["count"].as_u64().unwrap();
    assert!(exceptions("p12") < 20 && (50..1000).contains(&exceptions("p11")), "{t}");
    assert_eq!(t["run"]["source_bytes_by_codec"], json!({ "p12": 20480 }));
    assert_eq!(t["run"]["bytes"], t["codecs"]["p12"]["bytes"]);

    let total = &json["total"];
    let sum =
        |key: &str| json["tensors"].as_array().unwrap().iter().map(|t| t[key]["bytes"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((&total["run"]["bytes"], &total["ship"]["bytes"]), (&sum("run").into(), &sum("ship").into()));
    let weights: Vec<_> = json["types"].as_array().unwrap().iter().map(|t| t["weights"].as_u64().unwrap()).collect();
    assert_eq!((weights.len(), &json!(weights.iter().sum::<u64>())), (3, &total["weights"]));
    assert!(json["floor"].as_str().unwrap().contains("order-0 entropy"));
}

/// What is measured is what is written, where the parts are the same.
#[test]
fn targets_are_as_large_as_archives_for_them() {
    let bench = Bench::new();
    bench.write("m.gguf", with_trained_weights(gguf::llama()).build());
    bench.done(&["convert", "m.gguf"]);
    let total = &measured(&bench, "m.pak")["total"];
    for target in ["run", "ship"] {
        let report = bench.done(&["repack", "m.pak", "-o", "x.pak", "--target", target, "--force", "--json"]);
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(total[target]["bytes"], report["weights"]["coded_bytes"]);
    }
}

#[test]
fn tensors_of_other_types_are_left_out_and_said_to_be() {
    let bench = Bench::new();
    let mut model = plain_gguf();
    model.tensor("blk.1.ffn_up.weight").ty = 40;
    bench.write("m.gguf", model.build());
    let mut folder = as_folder(&plain_gguf());
    folder.tensors.push(hugging_face::Tensor {
        name: "scale".into(),
        dtype: safetensors::Dtype::F32,
        shape: vec![],
        data: vec![0; 4],
    });
    folder.tensors.push(hugging_face::Tensor {
        name: "none".into(),
        dtype: safetensors::Dtype::F32,
        shape: vec![0, 4],
        data: vec![],
    });
    folder.tensors.push(hugging_face::Tensor {
        name: "odd".into(),
        dtype: safetensors::Dtype::C64,
        shape: vec![2],
        data: vec![0; 16],
    });
    folder.write(&bench.path("m"), 1);

    let json = measured(&bench, "m.gguf");
    assert_eq!(json["left_out"], json!([{ "name": "blk.1.ffn_up.weight", "type": "NVFP4" }]));
    assert_eq!(json["total"]["tensors"], 29);
    let json = measured(&bench, "m");
    assert_eq!(json["left_out"], json!([{ "name": "odd", "type": "C64" }]));
    assert_eq!((&json["total"]["tensors"], &tensor(&json, "scale")["weights"]), (&json!(31), &json!(1)));
    let text = bench.done(&["inspect", "--codecs", "m"]);
    assert!(text.contains("left out: 1 tensor of types that are not read (C64)"), "{text}");
    assert!(bench.refused(&["convert", "m.gguf"]).contains("blk.1.ffn_up.weight is stored as NVFP4"));
}

#[test]
fn the_table_and_the_picture() {
    let bench = Bench::new();
    bench.write("a & b.gguf", plain_gguf().build());
    let text = bench.done(&["inspect", "a & b.gguf", "--codecs", "--chart", "c.svg"]);
    for word in [
        "a & b.gguf: 30 tensors, ",
        "decoded again and is its source, bit for bit",
        "token_embd.weight",
        "10,240",
        "--target run",
        "--target ship",
        "order-0 entropy",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let svg = String::from_utf8(bench.read("c.svg")).unwrap();
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"), "{svg}");
    for word in ["a &amp; b.gguf", ">p12</text>", "BF16: 10 tensors", "--target ship", "floor"] {
        assert!(svg.contains(word), "{word} in {svg}");
    }
    assert!(bench.refused(&["inspect", "a & b.gguf", "--codecs", "--chart", "c.svg"]).contains("--force"));
    bench.done(&["inspect", "a & b.gguf", "--codecs", "--chart", "c.svg", "--force"]);
    assert!(bench.misused(&["inspect", "m.pak", "--chart", "c.svg"]).contains("--codecs"));
    let error = bench.misused(&["inspect", "--codecs", "m.pak", "--chart", "a & b.gguf", "--force"]);
    assert!(error.contains("must end in .svg"), "{error}");
}

#[test]
fn what_has_no_weights_is_refused_and_leaves_no_picture() {
    let bench = Bench::new();
    bench.write("text", "a file of another kind");
    bench.write("bad.safetensors", [0xFF; 64]);
    bench.write("bad.gguf", b"GGUF");
    bench.write("bad.pak", b"SYMBIOTE");
    std::fs::create_dir(bench.path("empty")).unwrap();
    for (file, expected) in [
        ("text", "name a .pak archive, a GGUF or safetensors file, or a folder"),
        ("bad.safetensors", "its header cannot be used"),
        ("bad.gguf", "cut off"),
        ("bad.pak", "cut off"),
        ("empty", "neither model.safetensors"),
        ("gone", "no such file"),
        ("/dev/null", "not a regular file"),
    ] {
        let error = bench.refused(&["inspect", "--codecs", file, "--chart", "c.svg"]);
        assert!(error.contains(expected), "{file}: {error}");
    }
    assert_eq!(bench.files(), ["bad.gguf", "bad.pak", "bad.safetensors", "empty", "text"]);
}

/// Says stop at once.
struct Stop;

impl Monitor for Stop {
    fn interrupted(&self) -> bool {
        true
    }
}

#[test]
fn an_interrupted_measurement_leaves_no_picture() {
    let bench = Bench::new();
    let input = bench.write("m.gguf", plain_gguf().build());
    let error = measure(&input, Some(&bench.path("c.svg")), false, &Stop).unwrap_err();
    assert!(matches!(error.problem, Problem::Interrupted));
    assert_eq!(bench.files(), ["m.gguf"]);
}
