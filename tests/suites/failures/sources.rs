//! Sources that cannot be converted. Whatever is wrong, neither the archive nor a part of it is left.

use symbiote_tests::fixtures;
use symbiote_tests::gguf::{Gguf, TENSOR_COUNT_AT};
use symbiote_tests::program::{PACK, RUN, done, refused};

use super::Bench;

/// Fails to convert `input` and leaves nothing.
fn convert_refused(bench: &Bench, input: &str, expected: &[&str]) {
    let before = bench.files();
    refused(PACK, bench.folder(), ["convert", input], expected);
    refused(PACK, bench.folder(), ["convert", input, "-o", "out.pak"], expected);
    assert_eq!(bench.files(), before);
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let at = bytes.windows(old.len()).position(|w| w == old).unwrap();
    bytes[at..][..new.len()].copy_from_slice(new);
}

#[test]
fn gguf_files() {
    type Change = fn(Gguf) -> Vec<u8>;
    let stored_as = |file: &mut Gguf, ty: u32| {
        let at = file.tensor("blk.1.ffn_up.weight").ty_at;
        file.bytes[at..at + 4].copy_from_slice(&ty.to_le_bytes());
    };
    let changes: [(&str, Change, &[&str]); 11] = [
        ("empty", |_| Vec::new(), &["does not start with GGUF"]),
        ("text", |_| b"a file of another kind".to_vec(), &["does not start with GGUF"]),
        ("many-tensors", |f| count(f.bytes, TENSOR_COUNT_AT), &["claims 1152921504606846976 tensors"]),
        ("many-keys", |f| count(f.bytes, TENSOR_COUNT_AT + 8), &["claims 1152921504606846976 keys"]),
        ("cut-header", |f| f.bytes[..1000].to_vec(), &["cut off"]),
        ("cut-data", |f| f.bytes[..f.bytes.len() - 1].to_vec(), &["cut off; copy or download it again"]),
        ("lacks", |f| f.without("blk.1.ffn_up.weight"), &["tensor blk.1.ffn_up.weight is missing"]),
        ("gemma", |f| swap(f.bytes, b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0gemma"), &["gemma", "knows llama"]),
        ("tokenizer", |f| swap(f.bytes, b"gpt2", b"bert"), &["\"bert\"", "it reads gpt2 (byte-level BPE)"]),
        ("nvfp4", |_| Vec::new(), &["blk.1.ffn_up.weight is stored as NVFP4", "use a file in F32, F16"]),
        ("type-99", |_| Vec::new(), &["blk.1.ffn_up.weight is stored as unknown type 99", "use a file in F32, F16"]),
    ];
    let bench = Bench::new();
    for (name, change, expected) in changes {
        let mut file = Gguf::read(&fixtures::path("tiny-llama/tiny-llama-q4_0.gguf"));
        let bytes = match name {
            "nvfp4" | "type-99" => {
                stored_as(&mut file, if name == "nvfp4" { 40 } else { 99 });
                file.bytes
            }
            _ => change(file),
        };
        let name = format!("{name}.gguf");
        bench.write(&name, bytes);
        convert_refused(&bench, &name, &[&[name.as_str()], expected].concat());
    }
}

fn count(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at..at + 8].copy_from_slice(&(1u64 << 60).to_le_bytes());
    bytes
}

fn swap(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    replace(&mut bytes, old, new);
    bytes
}

/// A copy of a fixture folder without what `keep` refuses.
fn copy_folder(bench: &Bench, fixture: &str, name: &str, keep: impl Fn(&str) -> bool) {
    std::fs::create_dir(bench.path(name)).unwrap();
    for entry in std::fs::read_dir(fixtures::path(fixture)).unwrap() {
        let entry = entry.unwrap();
        let file = entry.file_name().into_string().unwrap();
        if keep(&file) && !file.ends_with(".gguf") {
            std::fs::copy(entry.path(), bench.path(name).join(file)).unwrap();
        }
    }
}

#[test]
fn folders() {
    let bench = Bench::new();
    copy_folder(&bench, "tiny-llama", "no-config", |f| f != "config.json");
    copy_folder(&bench, "tiny-llama", "no-weights", |f| !f.ends_with(".safetensors"));
    copy_folder(&bench, "tiny-llama-bf16-tied", "no-shard", |f| f != "model-00002-of-00003.safetensors");
    copy_folder(&bench, "tiny-llama", "bad-json", |f| f != "config.json");
    bench.write("bad-json/config.json", "{\"architectures\": [");
    copy_folder(&bench, "tiny-llama", "rwkv", |f| f != "config.json");
    let rwkv = r#"{"architectures": ["RwkvForCausalLM"], "model_type": "rwkv"}"#;
    bench.write("rwkv/config.json", rwkv);
    copy_folder(&bench, "tiny-llama", "cut", |f| f != "model.safetensors");
    bench.write("cut/model.safetensors", &fixtures::bytes("tiny-llama/model.safetensors")[..50_000]);
    let tokenizer = |name: &str, old: &str, new: &str| {
        copy_folder(&bench, "tiny-llama", name, |f| f != "tokenizer.json");
        let text = String::from_utf8(fixtures::bytes("tiny-llama/tokenizer.json")).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        match old {
            "vocab" => json["model"]["vocab"][new] = 320.into(),
            key => json["model"][key] = new.into(),
        }
        bench.write(&format!("{name}/tokenizer.json"), json.to_string());
    };
    tokenizer("large", "vocab", "beyond");
    tokenizer("wordpiece", "type", "WordPiece");
    for (name, expected) in [
        ("large", "tokenizer.json: the vocabulary has a token 320 and the embedding has 320 rows"),
        ("wordpiece", "tokenizer.json: the tokenizer is a WordPiece, which this program does not read"),
        ("nothing", "there is no such file or folder"),
        ("no-config", "config.json"),
        ("no-weights", "model.safetensors"),
        ("no-shard", "model-00002-of-00003.safetensors: there is no such file"),
        ("bad-json", "config.json: "),
        ("rwkv", "RwkvForCausalLM"),
        ("cut", "model.safetensors: "),
        ("/dev/null", "this is not a regular file"),
    ] {
        convert_refused(&bench, name, &[name, expected]);
    }
}

#[test]
fn an_archive_without_a_tokenizer_is_made_and_says_so_when_run() {
    let bench = Bench::new();
    copy_folder(&bench, "tiny-llama", "mute", |f| !f.starts_with("tokenizer"));
    assert!(done(PACK, bench.folder(), &["convert", "mute"]).trim_end().ends_with("no tokenizer"));
    let expected = ["mute.pak: the archive has no tokenizer", "convert the model again"];
    refused(RUN, bench.folder(), ["mute.pak", "-p", "hi"], &expected);
    refused(RUN, bench.folder(), ["mute.pak"], &expected);
    bench.write("text", "word ".repeat(1000));
    refused(RUN, bench.folder(), ["perplexity", "mute.pak", "--file", "text", "--ctx", "16"], &expected);
}

#[test]
fn outputs_are_kept() {
    let bench = Bench::new();
    bench.write("there.pak", "precious");
    let source = fixtures::path("tiny-llama");
    let source = source.to_str().unwrap();
    let refuse = |output: &str, expected: &[&str]| {
        refused(PACK, bench.folder(), ["convert", source, "-o", output], expected);
    };
    refuse("there.pak", &["there.pak: the file exists", "-o", "--force"]);
    refuse("no/such/folder.pak", &["no/such/folder.pak: there is no such file or folder"]);
    refuse(".", &["this cannot be the output"]);
    assert_eq!(std::fs::read(bench.path("there.pak")).unwrap(), b"precious");
    refused(PACK, bench.folder(), ["extract", "tiny.pak", "-o", "there.pak"], &["the file exists"]);
    // a failed run leaves what it was to replace
    bench.write("bad.gguf", "GGUF");
    refused(PACK, bench.folder(), ["convert", "bad.gguf", "-o", "there.pak", "--force"], &["bad.gguf"]);
    assert_eq!(std::fs::read(bench.path("there.pak")).unwrap(), b"precious");
    done(PACK, bench.folder(), &["convert", source, "-o", "there.pak", "--force"]);
    done(PACK, bench.folder(), &["verify", "there.pak"]);
    assert_eq!(bench.files(), ["bad.gguf", "there.pak", "tiny.pak"]);
}
