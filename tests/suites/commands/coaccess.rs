//! profile, convert --coaccess, annotate and inspect --coaccess: what texts do to experts, from the model to the archive.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use symbiote_format::{Coaccess, PackRole};
use symbiote_runtime::engine::{OpenOptions, ProfileText, SymbioteEngine};
use symbiote_runtime::pak::PakFile;
use symbiote_tests::fixtures;
use symbiote_tests::program::{PACK, RUN, done, refused, run};
use tempfile::TempDir;

const ESSAY: &str = "The sea was calm, and nobody spoke for a while. Then the wind came back.\n";
const CODE: &str = "fn main() { let x = [1, 2, 3]; println!(\"{x:?}\"); }\n";

/// A folder with `moe/`, a mixture of experts with a tokenizer of one character a token, and two texts.
pub fn bench() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let moe = folder.path().join("moe");
    std::fs::create_dir(&moe).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixtures::path("tiny-qwen3moe").join(file), moe.join(file)).unwrap();
    }
    // its 96 tokens: what ASCII prints, the space and the new line, as byte-level BPE writes them
    let texts = ('!'..='~').chain(['\u{120}', '\u{10a}']);
    let vocabulary: serde_json::Map<String, Value> = texts.zip(0..).map(|(c, id)| (c.into(), json!(id))).collect();
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": bytes, "post_processor": null,
        "decoder": bytes, "model": { "type": "BPE", "vocab": vocabulary, "merges": [] },
    });
    std::fs::write(moe.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(folder.path().join("essay.txt"), ESSAY.repeat(3)).unwrap();
    std::fs::write(folder.path().join("main.rs"), CODE.repeat(2)).unwrap();
    folder
}

fn pack(folder: &TempDir, args: &[&str]) -> String {
    done(PACK, folder.path(), args)
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn bytes(folder: &TempDir, name: &str) -> Vec<u8> {
    std::fs::read(folder.path().join(name)).unwrap()
}

/// Runs `profile` over both texts.
fn profile(folder: &TempDir, more: &[&str]) -> String {
    let args = ["profile", "m.pak", "--text", "essay.txt", "--text", "code=main.rs", "--ctx", "100"];
    done(RUN, folder.path(), &[&args, more].concat())
}

#[test]
fn statistics_go_from_texts_into_the_archive() {
    let folder = bench();
    let said = pack(&folder, &["convert", "moe", "-o", "m.pak"]);
    assert!(said.contains("no co-access statistics"), "{said}");
    let found = json_of(&profile(&folder, &["--json"]));
    let tokens = [ESSAY.len() * 3, CODE.len() * 2];
    assert_eq!(found["tokens"], json!(tokens[0] + tokens[1]));
    let domains = json!([{ "name": "essay", "tokens": tokens[0] }, { "name": "code", "tokens": tokens[1] }]);
    assert_eq!(found["domains"], domains);
    assert_eq!(found["file"], "m.coaccess");
    assert_eq!((&found["token_cycle"]["experts"], &found["warm_start"]), (&json!(6), &json!(true)));
    let again = profile(&folder, &["--force"]);
    assert!(again.starts_with("m.coaccess: ") && again.contains("a token goes through 6 of 16 experts"), "{again}");
    assert_eq!(Coaccess::from_file(&bytes(&folder, "m.coaccess")).unwrap().tokens() as usize, tokens[0] + tokens[1]);

    let said = pack(&folder, &["annotate", "m.pak", "--coaccess", "m.coaccess", "-o", "a.pak"]);
    assert!(said.starts_with("a.pak: qwen3moe, ") && said.ends_with(", co-access statistics\n"), "{said}");
    let order = ["--coaccess", "m.coaccess", "--order", "coaccess"];
    let converted = pack(&folder, &[&["convert", "moe", "-o", "c.pak", "--json"], &order[..]].concat());
    assert_eq!(json_of(&converted)["coaccess"], true);
    // in its own place
    std::fs::copy(folder.path().join("m.pak"), folder.path().join("own.pak")).unwrap();
    pack(&folder, &[&["annotate", "own.pak"], &order[..]].concat());
    assert!(bytes(&folder, "own.pak") == bytes(&folder, "c.pak"), "annotate makes what convert does");
    pack(&folder, &["annotate", "own.pak", "--coaccess", "m.coaccess"]);
    assert!(bytes(&folder, "own.pak") == bytes(&folder, "c.pak"), "without --order experts lie as they did");
    pack(&folder, &["annotate", "own.pak", "--coaccess", "m.coaccess", "--order", "number"]);
    assert!(bytes(&folder, "own.pak") == bytes(&folder, "a.pak"), "and go back by number");
    pack(&folder, &["repack", "c.pak", "-o", "s.pak", "--target", "ship"]);
    pack(&folder, &["repack", "s.pak", "-o", "r.pak"]);
    assert!(bytes(&folder, "r.pak") == bytes(&folder, "c.pak"), "repack keeps statistics and order");
    for pak in ["a.pak", "c.pak", "s.pak"] {
        assert!(pack(&folder, &["verify", pak]).ends_with("all intact\n"));
    }
    for pak in ["m", "c"] {
        pack(&folder, &["extract", &format!("{pak}.pak"), "-o", &format!("{pak}.safetensors")]);
    }
    assert!(bytes(&folder, "m.safetensors") == bytes(&folder, "c.safetensors"));

    let text = pack(&folder, &["inspect", "c.pak", "--coaccess", "--chart", "heat.svg"]);
    assert!(text.starts_with("c.pak: ") && text.contains("token cycle  6 of 16 experts, "), "{text}");
    assert!(text.contains("warm start   the oracle's weights"), "{text}");
    let picture = String::from_utf8(bytes(&folder, "heat.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n") && picture.contains("code: "), "{picture}");
    let [of_archive, of_file] =
        ["c.pak", "m.coaccess"].map(|file| json_of(&pack(&folder, &["inspect", file, "--coaccess", "--json"])));
    for key in ["model", "tokens", "heat", "domains", "successors", "order", "lru", "warm_start"] {
        assert_eq!(of_archive[key], of_file[key], "{key}");
    }
    let layer: u64 = of_file["heat"][1].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(layer, 3 * found["tokens"].as_u64().unwrap());
    assert_eq!(of_archive["token_cycle"]["bytes"], found["token_cycle"]["bytes"]);
}

/// The counts of `profile` are those of every route that the engine tells.
#[test]
fn counts_are_those_of_the_routes() {
    let folder = bench();
    pack(&folder, &["convert", "moe", "-o", "m.pak"]);
    let open = || {
        let options = OpenOptions { context: Some(100), batch: Some(16), ..OpenOptions::default() };
        SymbioteEngine::open(folder.path().join("m.pak"), &options).unwrap()
    };
    let texts = [("essay", ESSAY.repeat(3)), ("code", CODE.into()), ("essay", CODE.repeat(4))];
    let given = texts.clone().map(|(domain, text)| ProfileText { domain: domain.into(), text });
    let mut engine = open();
    // a listener of before hears nothing, and is there again
    let heard = Arc::new(Mutex::new(0));
    let told = Arc::clone(&heard);
    engine.on_route(Box::new(move |_| *told.lock().unwrap() += 1));
    let mut progress = Vec::new();
    let found = engine.coaccess(&given, &mut |done, all| progress.push((done, all))).unwrap();
    assert_eq!(*heard.lock().unwrap(), 0);
    assert!(engine.sequence().is_empty());
    engine.forward(&[1]).unwrap();
    assert_eq!(*heard.lock().unwrap(), 2);
    let all = texts.iter().map(|(_, text)| text.len()).sum::<usize>();
    assert!(progress.is_sorted() && progress.last() == Some(&(all, all)), "{progress:?}");

    // heat[domain][layer][expert], and the pairs of both layers
    let (mut heat, mut pairs) = ([[[0u32; 8]; 2]; 2], [[0u32; 8]; 8]);
    let mut engine = open();
    let routes: Arc<Mutex<Vec<Vec<u32>>>> = Arc::default();
    let told = Arc::clone(&routes);
    engine.on_route(Box::new(move |r| told.lock().unwrap().push(r.chosen.to_vec())));
    let tokenizer = engine.tokenizer().unwrap();
    for (name, text) in &texts {
        for window in tokenizer.encode(text, Default::default()).unwrap().chunks(100) {
            engine.truncate(0);
            engine.forward(window).unwrap();
            for pass in routes.lock().unwrap().drain(..).collect::<Vec<_>>().chunks(2) {
                let domain = usize::from(*name == "code");
                for (layer, chosen) in pass.iter().enumerate() {
                    chosen.iter().for_each(|e| heat[domain][layer][*e as usize] += 1);
                }
                for (first, second) in pass[0].chunks(3).zip(pass[1].chunks(3)) {
                    first.iter().for_each(|a| second.iter().for_each(|b| pairs[*a as usize][*b as usize] += 1));
                }
            }
        }
    }
    assert_eq!(found.domains[0].heat, heat[0].concat());
    assert_eq!(found.domains[1].heat, heat[1].concat());
    assert!(!found.successors.is_empty());
    for s in &found.successors {
        assert_eq!(s.count, pairs[s.expert as usize][s.next as usize - 8], "{s:?}");
    }
    let of_code = found.closest_domain(&heat[1].concat()).unwrap();
    assert_eq!(of_code.name, "code");
}

/// Every segment of an archive by its pack.
fn segments(path: &Path) -> Vec<Vec<u8>> {
    let pak = PakFile::open(path).unwrap();
    let archive = pak.archive();
    archive.index().packs.iter().map(|pack| archive.segment(pack).to_vec()).collect()
}

#[test]
fn segments_and_logits_stay_what_they_were() {
    let folder = bench();
    pack(&folder, &["convert", "moe", "-o", "m.pak"]);
    profile(&folder, &[]);
    pack(&folder, &["annotate", "m.pak", "--coaccess", "m.coaccess", "-o", "a.pak"]);
    pack(&folder, &["annotate", "m.pak", "--coaccess", "m.coaccess", "-o", "o.pak", "--order", "coaccess"]);
    let path = |name: &str| folder.path().join(name);
    let logits = |name: &str| {
        let mut engine = SymbioteEngine::open(path(name), &OpenOptions::default()).unwrap();
        let mut bits = Vec::new();
        let tokens: Vec<u32> = (0..24).map(|i| i * 37 % 96).collect();
        engine.forward_from(&tokens, 0, &mut |_, row| bits.extend(row.iter().map(|x| x.to_bits()))).unwrap();
        bits
    };
    let (bare, expected) = (segments(&path("m.pak")), logits("m.pak"));
    for name in ["a.pak", "o.pak"] {
        assert!(segments(&path(name)) == bare, "{name}");
        assert!(logits(name) == expected, "{name}");
    }
    // neighbours on disk, in the order that the statistics advise
    let pak = PakFile::open(path("o.pak")).unwrap();
    let packs = &pak.archive().index().packs;
    let statistics = pak.coaccess().unwrap();
    for layer in 0..2 {
        let expert = |p: &&symbiote_format::ArchivedWeightPack| p.role == PackRole::Expert.code() && p.layer == layer;
        let mut places: Vec<(u64, u32)> = packs.iter().filter(expert).map(|p| p.offset.to_native()).zip(0..).collect();
        places.sort_unstable();
        let order: Vec<u32> = places.iter().map(|(_, number)| *number).collect();
        assert_eq!(order, statistics.order(layer as usize));
        assert!(places.windows(2).all(|w| w[1].0 - w[0].0 <= 8192), "{places:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = bench();
    let (at, path) = (folder.path(), |name: &str| folder.path().join(name));
    pack(&folder, &["convert", "moe", "-o", "m.pak"]);
    profile(&folder, &[]);
    let before = bytes(&folder, "m.pak");
    let fixture = |name: &str| fixtures::path(name).display().to_string();
    pack(&folder, &["convert", &fixture("tiny-olmoe"), "-o", "olmoe.pak"]);
    pack(&folder, &["convert", &fixture("tiny-llama"), "-o", "dense.pak"]);

    let annotate = |pak: &str, file: &str, expected: &[&str]| {
        refused(PACK, at, ["annotate", pak, "--coaccess", file], expected);
    };
    let other =
        "the co-access statistics are of a model without a name (qwen3moe, 2 layers of 8 experts, 3 of them used)";
    annotate("olmoe.pak", "m.coaccess", &["m.coaccess: ", other, "profile this model"]);
    annotate("dense.pak", "m.coaccess", &["m.coaccess: the model has no experts"]);
    annotate("m.pak", "none.coaccess", &["none.coaccess: there is no such file"]);
    annotate("m.pak", "m.pak", &["m.pak: these are no co-access statistics"]);
    annotate("m.coaccess", "m.coaccess", &["m.coaccess: this is not a .pak archive"]);
    let good = bytes(&folder, "m.coaccess");
    let spoilt = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let mut bytes = good.clone();
        change(&mut bytes);
        std::fs::write(path("bad.coaccess"), bytes).unwrap();
        annotate("m.pak", "bad.coaccess", &["bad.coaccess: the co-access statistics", expected]);
        refused(PACK, at, ["inspect", "bad.coaccess", "--coaccess"], &["bad.coaccess: ", expected]);
        let convert = ["convert", "moe", "-o", "new.pak", "--coaccess", "bad.coaccess"];
        refused(PACK, at, convert, &["bad.coaccess: ", expected]);
        assert!(!path("new.pak").exists());
    };
    spoilt(&|b| b.truncate(b.len() - 1), "cut off");
    spoilt(&|b| b[70] ^= 1, "corrupt");
    spoilt(&|b| b[8] = 9, "have version 9");
    // counts that no memory holds
    spoilt(&|b| b[16..24].fill(0xFF), "cut off");
    std::fs::File::create(path("long.coaccess")).unwrap().set_len(1 << 30).unwrap();
    annotate("m.pak", "long.coaccess", &["long.coaccess: it has 1073741824 bytes, and the limit is"]);
    refused(
        PACK,
        at,
        ["convert", &fixture("tiny-llama"), "-o", "new.pak", "--coaccess", "m.coaccess"],
        &["no experts"],
    );
    let taken = ["annotate", "m.pak", "--coaccess", "m.coaccess", "-o", "dense.pak"];
    refused(PACK, at, taken, &["dense.pak: the file exists"]);
    assert!(bytes(&folder, "m.pak") == before, "nothing was touched");

    refused(PACK, at, ["inspect", "m.pak", "--coaccess"], &["m.pak: it has no co-access statistics"]);
    refused(PACK, at, ["inspect", "dense.pak", "--coaccess"], &["dense.pak: the model has no experts"]);
    for args in [
        &["inspect", "m.pak", "--coaccess", "--codecs"][..],
        &["inspect", "m.pak", "--chart", "x.svg"],
        &["inspect", "m.coaccess", "--coaccess", "--chart", "m.pak"],
        &["convert", "moe", "-o", "new.pak", "--order", "coaccess"],
        &["annotate", "m.pak"],
    ] {
        assert_eq!(run(PACK, at, args).code, Some(2), "{args:?}");
    }
}

#[test]
fn what_cannot_be_profiled_is_refused() {
    let folder = bench();
    let at = folder.path();
    pack(&folder, &["convert", "moe", "-o", "m.pak"]);
    pack(&folder, &["convert", &fixtures::path("tiny-qwen3moe").display().to_string(), "-o", "mute.pak"]);
    pack(&folder, &["convert", &fixtures::path("tiny-llama").display().to_string(), "-o", "dense.pak"]);
    std::fs::write(at.join("empty.txt"), "").unwrap();
    let profile = |pak: &str, text: &str, expected: &[&str]| {
        refused(RUN, at, ["profile", pak, "--text", text, "-o", "new.coaccess"], expected);
        assert!(!at.join("new.coaccess").exists());
    };
    profile("dense.pak", "essay.txt", &["dense.pak: the model has no experts"]);
    profile("mute.pak", "essay.txt", &["mute.pak: the archive has no tokenizer"]);
    profile("none.pak", "essay.txt", &["none.pak: there is no such file"]);
    profile("m.pak", "none.txt", &["none.txt: there is no such file"]);
    profile("m.pak", "sea=none.txt", &["none.txt: there is no such file"]);
    profile("m.pak", "empty.txt", &["empty.txt: the file is empty"]);
    profile("m.pak", "=essay.txt", &["essay.txt: a domain's name has 1 to 64 bytes"]);
    profile("m.pak", "moe", &["moe: this is a folder"]);
    refused(RUN, at, ["profile", "m.pak", "--text", "essay.txt", "-o", "essay.txt"], &["essay.txt: the file exists"]);
    refused(
        RUN,
        at,
        ["profile", "m.pak", "--text", "essay.txt", "-o", "none/x.coaccess"],
        &["none/x.coaccess: there is no such folder"],
    );
    refused(RUN, at, ["profile", "m.pak", "--text", "essay.txt", "-o", "moe", "--force"], &["moe: this is a folder"]);
    assert_eq!(run(RUN, at, ["profile", "m.pak"]).code, Some(2));
    assert_eq!(bytes(&folder, "essay.txt"), ESSAY.repeat(3).as_bytes());
}
