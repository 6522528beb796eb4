//! `symbiote-run bench`: what it says, over budgets too.

use std::path::Path;

use serde_json::Value;
use symbiote_format::Codec;
use symbiote_tests::program::{RUN, done, run};

use super::{WIRES, at};
use crate::budgets::archive;

const QUICK: [&str; 8] = ["--prompt-tokens", "20", "-n", "6", "--ctx", "64", "--batch", "16"];

fn bench(folder: &Path, pak: &str, extra: &[&str]) -> String {
    done(RUN, folder, &[&["bench", pak], &WIRES[..], &QUICK[..], extra].concat())
}

/// Sane figures of one measurement.
fn check(found: &Value) {
    let number = |key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key}: {found}"));
    assert_eq!((number("prompt_tokens"), number("passes")), (20.0, 6.0));
    for key in ["first_token_seconds", "prompt_tokens_per_second", "decode_tokens_per_second", "vram_gbps"] {
        assert!(number(key) > 0.0, "{key}: {found}");
    }
    let shares = ["from_vram", "from_ram", "from_disk"].map(number);
    assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{found}");
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{found}");
    // what the plan leaves on disk is read, and nothing else
    assert_eq!(shares[2] > 0.0, found["plan"]["disk_bytes"].as_u64().unwrap() > 0, "{found}");
    assert_eq!(shares[2] > 0.0, number("disk_gbps") > 0.0, "{found}");
    assert_eq!(found["plan"]["forecast"]["tokens_per_second"], found["forecast_tokens_per_second"]);
    assert!(number("stall_seconds_a_token") >= 0.0);
    assert!(number("peak_rss") > number("vram_used") && number("vram_used") > 0.0, "{found}");
    assert!(!found["device"].as_str().unwrap().is_empty());
}

#[test]
fn one_measurement() {
    let folder = tempfile::tempdir().unwrap();
    let pak = archive(folder.path(), "tiny-llama-bf16-tied", Codec::P12);
    let pak = pak.file_name().unwrap().to_str().unwrap();
    check(&serde_json::from_str(&bench(folder.path(), pak, &["--json"])).unwrap());
    let text = bench(folder.path(), pak, &[]);
    for part in
        ["first token after ", "prompt ", " over 20 tokens", " over 6, forecast ", "from VRAM 100.0 %", "peak RSS"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // as few tokens as there can be
    let least = ["--prompt-tokens", "0", "-n", "0", "--ctx", "3", "--disk-gbps", "1", "--vram-gbps", "20", "--json"];
    let args = [&["bench", pak, "--link-gbps", "10"], &least[..]].concat();
    let found: Value = serde_json::from_str(&done(RUN, folder.path(), &args)).unwrap();
    assert_eq!((&found["prompt_tokens"], &found["passes"]), (&1.into(), &1.into()));
}

#[test]
fn a_sweep_draws_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    // a name that has to be quoted in XML
    let model = "a & b <\"c'> ]]>.pak";
    std::fs::rename(archive(folder.path(), "tiny-llama-bf16-tied", Codec::P12), at(&folder, model)).unwrap();
    let rows: Value =
        serde_json::from_str(&bench(folder.path(), model, &["--sweep", "3", "--chart", "x.svg", "--json"])).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let mut last = 0;
    for row in rows {
        let cap = row["vram"].as_u64().unwrap();
        assert!(cap > last, "{cap} {last}");
        last = cap;
        check(&row["measured"]);
        assert!(row["measured"]["vram_used"].as_u64().unwrap() <= cap, "{row}");
    }
    let share = |row: usize| rows[row]["measured"]["from_vram"].as_f64().unwrap();
    assert!(share(0) < share(1) && share(2) == 1.0, "{} {} {}", share(0), share(1), share(2));

    let svg = std::fs::read_to_string(at(&folder, "x.svg")).unwrap();
    let texts = well_formed(&svg);
    assert!(texts.iter().any(|text| text.starts_with(&format!("{model} on "))), "{texts:?}");
    assert_eq!(svg.matches("<polyline").count(), 2);
    let cut = svg.trim_end().strip_suffix("</svg>").unwrap();
    assert!(std::panic::catch_unwind(|| well_formed(cut)).is_err(), "what is checked is checked");
}

#[test]
fn a_chart_that_cannot_be_written_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let pak = archive(folder.path(), "tiny-llama-bf16-tied", Codec::P12);
    let args = [&["bench", pak.to_str().unwrap(), "--sweep", "2", "--chart", "no/such/x.svg"], &WIRES[..], &QUICK[..]]
        .concat();
    let found = run(RUN, folder.path(), args);
    assert_eq!(found.code, Some(1), "{found:?}");
    assert!(found.stderr.lines().last().unwrap().contains("no/such/x.svg: "), "{found:?}");
}

/// Panics unless `xml` is well-formed, as far as pictures go: tags in pairs, quoted attributes, no bare `&` or `<`. Returns
/// the texts.
fn well_formed(xml: &str) -> Vec<String> {
    let (mut open, mut texts): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    let mut rest = xml.trim();
    while !rest.is_empty() {
        let (text, tag) = rest.split_once('<').unwrap_or_else(|| panic!("text behind the last tag: {rest}"));
        assert!(!text.contains("]]>"), "{text}");
        texts.push(unescape(text));
        let (tag, behind) = tag.split_once('>').expect("a tag ends");
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else {
            let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(!name.is_empty() && name.chars().all(char::is_alphanumeric), "{tag}");
            let quoted: Vec<&str> = attributes.split('"').collect();
            assert!(quoted.len() % 2 == 1 && quoted.last().unwrap().is_empty(), "{tag}");
            assert!(quoted.chunks_exact(2).all(|pair| pair[0].trim().len() > 1 && pair[0].ends_with('=')), "{tag}");
            if !empty {
                open.push(name);
            }
        }
        assert!(!open.is_empty() || rest.is_empty(), "one tag holds all");
    }
    assert!(open.is_empty(), "{open:?} do not end");
    texts.retain(|text| !text.trim().is_empty());
    texts
}

fn unescape(text: &str) -> String {
    let known = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'")];
    let entities = text.matches('&').count();
    let named: usize = known.iter().chain(&[("&amp;", "&")]).map(|(entity, _)| text.matches(entity).count()).sum();
    assert_eq!(entities, named, "a bare &: {text}");
    known.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain)).replace("&amp;", "&")
}
