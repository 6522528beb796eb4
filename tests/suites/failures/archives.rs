//! Archives that are damaged, foreign, or lack something.

use std::ops::Range;

use symbiote_format::{
    Archive, Design, HEADER_LEN, Header, Index, ModelConfig, NO_ID, RopeLayout, RopeScaling, Sha256, Tokenizer,
    TokenizerKind,
};
use symbiote_tests::program::{PACK, RUN, refused};

use super::Bench;

const HASH: Range<usize> = 4064..4096;

/// All that reads an archive, on `file`.
fn commands(file: &str) -> [(&'static str, Vec<&str>); 5] {
    [
        (RUN, vec![file, "-p", "hi", "-n", "1"]),
        (PACK, vec!["inspect", file]),
        (PACK, vec!["repack", file, "-o", "out.pak"]),
        (PACK, vec!["verify", file]),
        (PACK, vec!["extract", file, "-o", "out.safetensors"]),
    ]
}

#[test]
fn damaged_archives() {
    type Change = fn(&mut Vec<u8>);
    let again = "copy or download the archive again";
    let changes: [(&str, Change, &[&str]); 13] = [
        ("empty.pak", |b| b.clear(), &["convert"]),
        ("cut-3.pak", |b| b.truncate(3), &["not a .pak archive", "symbiote-pack convert"]),
        ("cut-8.pak", |b| b.truncate(8), &["cut off: 8 of 4096 bytes", again]),
        ("cut-4095.pak", |b| b.truncate(4095), &["cut off: 4095 of 4096 bytes", again]),
        ("cut-4096.pak", |b| b.truncate(4096), &["cut off: 4096 of ", again]),
        ("cut-half.pak", |b| b.truncate(b.len() / 2), &["cut off", again]),
        ("cut-1.pak", |b| b.truncate(b.len() - 1), &["cut off", again]),
        ("longer.pak", |b| b.push(0), &["something was appended"]),
        ("magic.pak", |b| b[0] = b'A', &["not a .pak archive", "symbiote-pack convert"]),
        ("header.pak", |b| b[20] ^= 1, &["the header is corrupt", again]),
        ("hash.pak", |b| b[4095] ^= 1, &["the header is corrupt", again]),
        ("index.pak", |b| flip(b, 50), &["the index is corrupt", again]),
        (
            "newer.pak",
            |b| newer(b),
            &["format version 2", "reads version 1", "convert the model again, or update the program"],
        ),
    ];
    let bench = Bench::new();
    let good = std::fs::read(bench.path("tiny.pak")).unwrap();
    for (name, change, expected) in changes {
        let mut bytes = good.clone();
        change(&mut bytes);
        bench.write(name, bytes);
        for (program, args) in commands(name) {
            refused(program, bench.folder(), args, &[&[name], expected].concat());
        }
        assert!(!bench.path("out.safetensors").exists() && !bench.path("out.pak").exists());
    }
}

/// Flips a bit this far from the end.
fn flip(bytes: &mut [u8], from_end: usize) {
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
}

fn newer(bytes: &mut [u8]) {
    bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
    let hash = Sha256::of(&bytes[..HASH.start]);
    bytes[HASH].copy_from_slice(&hash);
}

#[test]
fn a_corrupt_segment_is_named() {
    let bench = Bench::new();
    let mut bytes = std::fs::read(bench.path("tiny.pak")).unwrap();
    let archive = Archive::parse(&bytes).unwrap();
    let places: Vec<u64> = archive.index().packs.iter().map(|p| p.offset.to_native() + p.len.to_native() / 2).collect();
    let damage = |bytes: &mut Vec<u8>, pack: usize| bytes[places[pack] as usize] ^= 0x10;
    let checks: [(&str, &[&str]); 5] = [
        (PACK, &["verify", "bad.pak"]),
        (PACK, &["extract", "bad.pak", "-o", "out.safetensors"]),
        (PACK, &["repack", "bad.pak", "-o", "out.pak", "--target", "ship"]),
        (PACK, &["inspect", "--codecs", "bad.pak"]),
        (RUN, &["bad.pak", "--verify", "-p", "hi", "-n", "1"]),
    ];
    let last = places.len() - 1;
    for pack in [0, 3, last] {
        damage(&mut bytes, pack);
        bench.write("bad.pak", &bytes);
        for (program, args) in checks {
            let said = refused(program, bench.folder(), args, &[&format!("bad.pak: pack {pack} ("), "is corrupt"]);
            assert!(said.ends_with("copy or download the archive again"), "{said}");
        }
        damage(&mut bytes, pack);
    }
    [0, 3, last].into_iter().for_each(|pack| damage(&mut bytes, pack));
    bench.write("bad.pak", &bytes);
    refused(PACK, bench.folder(), ["verify", "bad.pak"], &["pack 0 (", "2 more packs are corrupt"]);
    assert_eq!(bench.files(), ["bad.pak", "tiny.pak"]);
}

#[test]
fn what_is_no_file() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("folder")).unwrap();
    bench.write("model.gguf", b"GGUF and more");
    for (name, expected) in [
        ("nothing.pak", "there is no such file"),
        ("folder", "this is"),
        ("/dev/null", "this is not a regular file"),
        ("model.gguf", "convert a model with `symbiote-pack convert`"),
    ] {
        for (program, args) in commands(name) {
            refused(program, bench.folder(), args, &[name, expected]);
        }
    }
}

fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: 320,
        context_length: 128,
        hidden_size: 64,
        layer_count: 3,
        head_count: 4,
        kv_head_count: 2,
        head_dim: 16,
        ffn_size: 176,
        norm_eps: 1e-5,
        tied_embeddings: true,
        rope_base: 1e4,
        rope_dims: 16,
        rope_layout: RopeLayout::Halves,
        rope_scaling: RopeScaling::None,
        design: Design::default(),
    }
}

/// A whole vocabulary that breaks no rule.
fn tokenizer() -> Tokenizer {
    Tokenizer {
        kind: TokenizerKind::GgufBpe.code(),
        pre: "smollm".into(),
        tokens: (0..320).map(|i| format!("t{i}")).collect(),
        types: vec![1; 320],
        bos: NO_ID,
        eos: NO_ID,
        unk: NO_ID,
        pad: NO_ID,
        ..Tokenizer::default()
    }
}

/// Archives of no packs: valid ones of the format, that the runtime cannot run.
#[test]
fn archives_that_cannot_run() {
    let bench = Bench::new();
    let llama = |tokenizer, config: ModelConfig| Index {
        architecture: "llama".into(),
        params: config.to_params(),
        tokenizer: Some(tokenizer),
        ..Index::default()
    };
    let with = |change: fn(&mut Tokenizer)| {
        let mut tokenizer = tokenizer();
        change(&mut tokenizer);
        llama(tokenizer, config())
    };
    let cases: [(&str, Index, &[&str]); 8] = [
        ("bare", llama(tokenizer(), config()), &["has no attn_q tensor for layer 0"]),
        ("head-size", llama(tokenizer(), ModelConfig { head_dim: 18, ..config() }), &["head size is 18"]),
        ("eos", with(|t| t.eos = 320), &["eos token is 320 and the embedding has 320 rows"]),
        ("stop", with(|t| t.stop = vec![1, 4000]), &["stop token is 4000"]),
        ("long", with(|t| t.tokens.push("more".into())), &["321 tokens", "320 rows"]),
        ("types", with(|t| t.types.truncate(319)), &["319 token types"]),
        ("merges", with(|t| t.merges.push("t1 zz".into())), &["names \"zz\", which is not in the vocabulary"]),
        ("pre", with(|t| t.pre = "none such".into()), &["the pre-tokenizer \"none such\" is not known"]),
    ];
    for (name, index, expected) in cases {
        let index = index.to_bytes().unwrap();
        let header = Header::new(HEADER_LEN, &index).unwrap().encode();
        let file = format!("{name}.pak");
        bench.write(&file, [&header[..], &index].concat());
        refused(RUN, bench.folder(), [&file, "-p", "hi"], &[&[file.as_str()], expected].concat());
    }
}
