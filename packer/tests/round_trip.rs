//! What goes in comes out, bit for bit, and the same every time.
#![allow(clippy::unwrap_used)] // in helpers of tests too, a failure is a panic

mod support;

use serde_json::{Value, json};
use support::gguf::{self, Value as Key};
use support::{Bench, hugging_face, noise, read_safetensors};
use symbiote_format::Dtype;

#[test]
fn a_gguf_of_every_type_comes_back_bit_for_bit() {
    // a model has fewer matrices than there are types
    Dtype::ALL.chunks(13).for_each(comes_back);
}

fn comes_back(dtypes: &[Dtype]) {
    let bench = Bench::new();
    let model = gguf::llama_of(dtypes);
    bench.write("m.gguf", model.build());
    // packs far below a tensor's size, so that tensors are cut
    bench.done(&["convert", "m.gguf", "--pack-size", "20KiB"]);
    assert!(bench.done(&["verify", "m.pak"]).contains("all intact"));
    bench.done(&["extract", "m.pak", "-o", "m.safetensors"]);

    let found = read_safetensors(&bench.path("m.safetensors"));
    assert_eq!(found.len(), model.tensors.len());
    let bytes = std::fs::read(bench.path("m.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let notes = header.metadata().clone().unwrap();
    for t in &model.tensors {
        let (_, ty, shape, data) = found.iter().find(|(name, ..)| *name == t.name).unwrap();
        assert!(*data == t.data, "{} differs", t.name);
        let dtype = Dtype::from_code(u16::try_from(t.ty).unwrap()).unwrap();
        if dtype.block_len() == 1 {
            assert_eq!(*ty, dtype.name());
            assert_eq!(shape.iter().map(|d| *d as u64).collect::<Vec<_>>(), t.shape);
        } else {
            let note: Value = serde_json::from_str(&notes[&t.name]).unwrap();
            assert_eq!(note, json!({ "dtype": dtype.name(), "shape": t.shape }));
            assert_eq!(ty, "U8");
        }
    }
    let stored = |dtype: &Dtype| model.tensors.iter().any(|t| t.ty == u32::from(dtype.code()));
    assert!(dtypes.iter().all(stored), "the model has every type");
}

#[test]
fn version_2_and_other_alignments_are_read() {
    let bench = Bench::new();
    let mut model = gguf::llama();
    (model.version, model.alignment) = (2, 128);
    model.set("general.alignment", Key::U32(128));
    bench.write("m.gguf", model.build());
    bench.done(&["convert", "m.gguf"]);
    bench.done(&["extract", "m.pak", "-o", "m.safetensors"]);
    let found = read_safetensors(&bench.path("m.safetensors"));
    assert!(model.tensors.iter().all(|t| found.iter().any(|(name, _, _, data)| *name == t.name && *data == t.data)));
}

#[test]
fn a_folder_comes_back_bit_for_bit_from_one_file_or_several() {
    let bench = Bench::new();
    let model = hugging_face::llama();
    for shards in [1, 3] {
        let (folder, pak, out) = (format!("m{shards}"), format!("m{shards}.pak"), format!("m{shards}.safetensors"));
        model.write(&bench.path(&folder), shards);
        bench.done(&["convert", &folder]);
        bench.done(&["extract", &pak, "-o", &out]);
        let mut expected: Vec<_> = model
            .tensors
            .iter()
            .map(|t| (t.name.clone(), t.dtype.to_string(), t.shape.clone(), t.data.clone()))
            .collect();
        expected.sort();
        assert!(read_safetensors(&bench.path(&out)) == expected);
        let json = inspect(&bench, &pak);
        assert_eq!(json["provenance"]["sources"].as_array().unwrap().len(), shards);
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let bench = Bench::new();
    bench.write("m.gguf", gguf::llama().build());
    hugging_face::llama().write(&bench.path("hf"), 2);
    for input in ["m.gguf", "hf"] {
        bench.done(&["convert", input, "-o", "a.pak", "--force", "--pack-size", "32KiB"]);
        bench.done(&["convert", input, "-o", "b.pak", "--force", "--pack-size", "32KiB"]);
        assert!(std::fs::read(bench.path("a.pak")).unwrap() == std::fs::read(bench.path("b.pak")).unwrap());
    }
}

#[test]
fn a_split_gguf_is_found_from_any_of_its_files() {
    let bench = Bench::new();
    let whole = gguf::llama();
    for shard in 0..3u32 {
        let mut part = whole.clone();
        part.tensors = whole
            .tensors
            .iter()
            .enumerate()
            .filter(|(i, _)| i / 11 == shard as usize)
            .map(|(_, t)| t.clone())
            .collect();
        if shard > 0 {
            part.keys.clear();
        }
        let tensors = i32::try_from(whole.tensors.len()).unwrap();
        part.set("split.no", Key::U32(shard));
        part.set("split.count", Key::U32(3));
        part.set("split.tensors.count", Key::I32(tensors));
        bench.write(&format!("m-{:05}-of-00003.gguf", shard + 1), part.build());
    }
    bench.done(&["convert", "m-00002-of-00003.gguf"]);
    bench.done(&["extract", "m.pak", "-o", "m.safetensors"]);
    let found = read_safetensors(&bench.path("m.safetensors"));
    for t in &whole.tensors {
        assert!(found.iter().any(|(name, _, _, data)| *name == t.name && *data == t.data), "{}", t.name);
    }
    assert_eq!(inspect(&bench, "m.pak")["provenance"]["sources"][2]["name"], "m-00003-of-00003.gguf");

    std::fs::rename(bench.path("m-00003-of-00003.gguf"), bench.path("gone")).unwrap();
    assert!(bench.refused(&["convert", "m-00001-of-00003.gguf", "-o", "x.pak"]).contains("no such file"));
    std::fs::copy(bench.path("m-00001-of-00003.gguf"), bench.path("m-00003-of-00003.gguf")).unwrap();
    let error = bench.refused(&["convert", "m-00001-of-00003.gguf", "-o", "x.pak"]);
    assert!(error.contains("file 3 of 3 of a split model, and it is file 1 of 3"), "{error}");
    std::fs::rename(bench.path("m-00001-of-00003.gguf"), bench.path("renamed.gguf")).unwrap();
    assert!(bench.refused(&["convert", "renamed.gguf"]).contains("its name must end in -00001-of-00003.gguf"));
}

#[test]
fn a_tied_head_that_is_the_embedding_is_kept_unused() {
    let bench = Bench::new();
    let mut model = hugging_face::llama();
    model.config["tie_word_embeddings"] = true.into();
    let embedding = model.tensor("model.embed_tokens.weight").clone();
    *model.tensor("lm_head.weight") = hugging_face::Tensor { name: "lm_head.weight".into(), ..embedding };
    model.write(&bench.path("same"), 1);
    bench.done(&["convert", "same"]);
    let json = inspect(&bench, "same.pak");
    let head = json["tensors"].as_array().unwrap().iter().find(|t| t["name"] == "lm_head.weight").unwrap();
    assert_eq!(head["kind"], "unused");

    model.tensor("lm_head.weight").data[5] ^= 1;
    model.write(&bench.path("other"), 1);
    assert!(bench.refused(&["convert", "other"]).contains("lm_head.weight differs from model.embed_tokens.weight"));

    model.tensors.retain(|t| t.name != "lm_head.weight");
    model.write(&bench.path("none"), 1);
    bench.done(&["convert", "none"]);
    assert_eq!(inspect(&bench, "none.pak")["config"]["tied_embeddings"], 1);
}

#[test]
fn tensors_known_to_be_unused_are_kept() {
    let bench = Bench::new();
    let mut model = hugging_face::llama();
    let (name, shape) = ("model.layers.1.self_attn.rotary_emb.inv_freq".into(), vec![2]);
    model.tensors.push(hugging_face::Tensor { name, dtype: safetensors::Dtype::F32, shape, data: noise(9, 8) });
    model.write(&bench.path("m"), 1);
    bench.done(&["convert", "m"]);
    let json = inspect(&bench, "m.pak");
    assert_eq!(json["tensors"].as_array().unwrap().last().unwrap()["kind"], "unused");
    assert_eq!(json["packs"].as_array().unwrap().last().unwrap()["layer"], Value::Null);
}

fn inspect(bench: &Bench, pak: &str) -> Value {
    serde_json::from_str(&bench.done(&["inspect", pak, "--json"])).unwrap()
}
