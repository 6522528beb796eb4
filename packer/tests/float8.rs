//! Weights of 8 bits with scales, and tensors that nothing reads: kept bit for bit, or refused in one sentence.
#![allow(clippy::unwrap_used)] // in helpers of tests too, a failure is a panic

mod support;

use safetensors::Dtype::{self, BF16, F8_E4M3, F8_E8M0, F32, F64, I64};
use serde_json::{Value, json};
use support::hugging_face::{Folder, Tensor};
use support::{Bench, hugging_face, noise, read_safetensors};

const WEIGHTS: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];

fn tensor(name: String, dtype: Dtype, shape: &[usize]) -> Tensor {
    let len = shape.iter().product::<usize>() * dtype.bitsize() / 8;
    Tensor { data: noise(name.len() as u64, len), name, dtype, shape: shape.to_vec() }
}

/// A llama whose matrices are of 8 bits, each with what `scales` gives for its rows and columns.
fn llama(suffix: &str, scales: &dyn Fn(usize, usize) -> (Dtype, Vec<usize>), says: Value) -> Folder {
    let mut model = hugging_face::llama();
    model.config["quantization_config"] = says;
    for name in (0..2).flat_map(|l| WEIGHTS.map(|w| format!("model.layers.{l}.{w}.weight"))) {
        let shape = model.tensor(&name).shape.clone();
        *model.tensor(&name) = tensor(name.clone(), F8_E4M3, &shape);
        let (dtype, shape) = scales(shape[0], shape[1]);
        model.tensors.push(tensor(format!("{name}{suffix}"), dtype, &shape));
    }
    model
}

/// DeepSeek's layout.
fn blocks() -> Folder {
    let shape = |rows: usize, columns: usize| (F32, vec![rows.div_ceil(16), columns.div_ceil(16)]);
    llama("_scale_inv", &shape, json!({"quant_method": "fp8", "weight_block_size": [16, 16], "fmt": "e4m3"}))
}

/// compressed-tensors' layout.
fn rows() -> Folder {
    let weights = json!({"num_bits": 8, "type": "float", "strategy": "channel", "block_structure": null});
    let groups = json!({"group_0": {"weights": weights, "targets": ["Linear"]}});
    let says = json!({"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": groups});
    llama("_scale", &|rows, _| (BF16, vec![rows, 1]), says)
}

/// FBGEMM's layout.
fn fbgemm() -> Folder {
    let says =
        json!({"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0, "modules_to_not_convert": ["lm_head"]});
    let mut model = llama("_scale", &|rows, _| (F32, vec![rows, 1]), says);
    model.tensors.push(tensor("model.layers.0.mlp.up_proj.input_scale_ub".into(), F32, &[1]));
    model
}

/// One scale a tensor, and those of activations, keys and values beside it.
fn whole() -> Folder {
    let mut model =
        llama("_scale", &|_, _| (F32, vec![]), json!({"quant_method": "fp8", "activation_scheme": "static"}));
    for name in ["q_proj.input_scale", "k_proj.output_scale", "k_scale"] {
        model.tensors.push(tensor(format!("model.layers.1.self_attn.{name}"), F32, &[1]));
    }
    model
}

#[test]
fn weights_and_scales_come_back_bit_for_bit() {
    for (name, model) in [("blocks", blocks()), ("rows", rows()), ("fbgemm", fbgemm()), ("whole", whole())] {
        let bench = Bench::new();
        model.write(&bench.path("m"), 2);
        bench.done(&["convert", "m"]);
        let mut expected: Vec<_> = model
            .tensors
            .iter()
            .map(|t| {
                let shape = if t.shape.is_empty() { vec![1] } else { t.shape.clone() };
                (t.name.clone(), t.dtype.to_string(), shape, t.data.clone())
            })
            .collect();
        expected.sort();
        bench.done(&["extract", "m.pak", "-o", "m.safetensors"]);
        assert!(read_safetensors(&bench.path("m.safetensors")) == expected, "{name}");
        // to ship and back
        bench.done(&["convert", "m", "-o", "ship.pak", "--target", "ship"]);
        bench.done(&["verify", "ship.pak"]);
        bench.done(&["repack", "ship.pak", "-o", "run.pak"]);
        assert!(bench.read("run.pak") == bench.read("m.pak"), "{name}");
    }
}

#[test]
fn packs_are_cut_wherever_scales_are() {
    let bench = Bench::new();
    let mut model = blocks();
    let name = "model.layers.0.mlp.gate_proj.weight";
    let wide = |t: &mut Tensor, shape: &[usize]| *t = tensor(t.name.clone(), t.dtype, shape);
    model.config["intermediate_size"] = json!(3000);
    for layer in 0..2 {
        for (w, shape) in [("gate_proj", [3000, 16]), ("up_proj", [3000, 16]), ("down_proj", [16, 3000])] {
            let name = format!("model.layers.{layer}.mlp.{w}.weight");
            wide(model.tensor(&name), &shape);
            let scales = [shape[0].div_ceil(16), shape[1].div_ceil(16)];
            wide(model.tensor(&format!("{name}_scale_inv")), &scales);
        }
    }
    model.write(&bench.path("m"), 1);
    bench.done(&["convert", "m", "--pack-size", "16KiB"]);
    let json: Value = serde_json::from_str(&bench.done(&["inspect", "m.pak", "--json"])).unwrap();
    let tensors = json["tensors"].as_array().unwrap();
    let at = tensors.iter().position(|t| t["name"] == name).unwrap();
    assert_eq!(tensors[at + 1]["name"], format!("{name}_scale_inv"));
    assert_eq!(tensors[at + 1]["kind"], "scale");
}

/// What `convert` says of a changed model.
fn refused(model: Folder, expected: &str, change: impl FnOnce(&mut Folder)) {
    let (bench, mut model) = (Bench::new(), model);
    change(&mut model);
    model.write(&bench.path("m"), 1);
    let error = bench.refused(&["convert", "m"]);
    assert!(error.contains(expected), "expected {expected:?} in {error:?}");
    assert_eq!(bench.files(), ["m"], "nothing is left behind");
}

#[test]
fn what_is_not_computed_with_is_refused_by_name() {
    const Q: &str = "model.layers.0.self_attn.q_proj.weight";
    let scale = format!("{Q}_scale_inv");
    let says = |expected: &str, value: Value| refused(blocks(), expected, |m| m.config["quantization_config"] = value);
    says("quantization_config.quant_method = \"gptq\"", json!({"quant_method": "gptq"}));
    says("quantization_config = an object without quant_method", json!({"bits": 4}));
    says("weight_block_size = 128", json!({"quant_method": "fp8", "weight_block_size": 128}));
    says("scale_block = [16, 24]", json!({"quant_method": "fp8", "weight_block_size": [16, 24]}));
    // the blocks are unsaid
    says("_proj.weight_scale_inv has shape", json!({"quant_method": "fp8"}));
    let compressed = |expected: &str, format: &str, weights: Value| {
        let groups = json!({"group_0": {"weights": weights}});
        says(expected, json!({"quant_method": "compressed-tensors", "format": format, "config_groups": groups}));
    };
    compressed("format = \"pack-quantized\"", "pack-quantized", json!({}));
    compressed("num_bits = 4", "float-quantized", json!({"num_bits": 4, "type": "float"}));
    compressed("type = \"int\"", "naive-quantized", json!({"num_bits": 8, "type": "int"}));

    refused(blocks(), &format!("{Q} is stored as F8_E4M3 and {Q}_scale_inv or {Q}_scale is missing"), |m| {
        m.tensors.retain(|t| t.name != scale);
    });
    refused(blocks(), "q_proj.weight_scale_inv has shape [1, 3]", |m| {
        *m.tensor(&scale) = tensor(scale.clone(), F32, &[1, 3]);
    });
    refused(blocks(), "q_proj.weight_scale_inv is a scale stored as F8_E8M0", |m| {
        *m.tensor(&scale) = tensor(scale.clone(), F8_E8M0, &[1, 1]);
    });
    refused(blocks(), "q_proj.weight_scale_inv does not belong", |m| *m.tensor(Q) = tensor(Q.into(), BF16, &[16, 16]));
    refused(blocks(), "model.norm.weight is a vector stored as F8_E4M3", |m| {
        *m.tensor("model.norm.weight") = tensor("model.norm.weight".into(), F8_E4M3, &[16]);
    });
    refused(blocks(), "q_proj.weight is stored as I64, which no weight can be", |m| {
        *m.tensor(Q) = tensor(Q.into(), I64, &[16, 16]);
    });
}

/// Tables that programs save with a model, in types that weights never have.
#[test]
fn tensors_that_nothing_reads_are_kept_whatever_their_type() {
    let bench = Bench::new();
    let mut model = hugging_face::llama();
    let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    model.tensors.push(tensor(name.into(), F64, &[2]));
    model.write(&bench.path("m"), 1);
    bench.done(&["convert", "m"]);
    bench.done(&["verify", "m.pak"]);
    bench.done(&["extract", "m.pak", "-o", "m.safetensors"]);
    let found = read_safetensors(&bench.path("m.safetensors"));
    let (_, dtype, shape, data) = found.iter().find(|(n, ..)| n == name).unwrap();
    assert_eq!((dtype.as_str(), &shape[..]), ("F64", &[2][..]));
    assert!(*data == model.tensors.last().unwrap().data);
}
