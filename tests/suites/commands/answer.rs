//! `symbiote-run` with a prompt, and what needs no model.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;
use symbiote_tests::fixtures;
use symbiote_tests::program::{RUN, done, refused, run};

/// The JSON that a run prints.
fn json(pak: &Path, args: &[&str]) -> Value {
    let args: Vec<&OsStr> = [pak.as_os_str()].into_iter().chain(args.iter().map(OsStr::new)).collect();
    serde_json::from_str(&done(RUN, Path::new("."), &args)).unwrap()
}

#[test]
fn an_answer_as_json_is_deterministic() {
    let pak = fixtures::pak("tiny-llama");
    let args = ["--raw", "-p", "the end", "-n", "8", "--temp", "0", "--ignore-stop", "--json"];
    let first = json(&pak, &args);
    let ids = |answer: &Value, key: &str| answer[key].as_array().unwrap().len();
    assert_eq!((ids(&first, "ids"), &first["stop"]), (8, &"MaxTokens".into()));
    assert_eq!(first["prompt_tokens"], ids(&first, "prompt_ids"));
    assert_eq!(first["decode_passes"], 7);
    for figure in ["prompt_seconds", "prompt_tokens_per_second", "decode_seconds", "decode_tokens_per_second"] {
        assert!(first[figure].as_f64().unwrap() > 0.0, "{figure}: {first}");
    }
    let second = json(&pak, &args);
    assert_eq!((&first["ids"], &first["text"]), (&second["ids"], &second["text"]));
}

#[test]
fn the_seed_decides_the_text() {
    let pak = fixtures::pak("tiny-llama");
    let text = |seed: &str| {
        let settings = ["--raw", "-p", "the end", "-n", "32", "--temp", "1", "--ignore-stop", "--json", "--seed", seed];
        json(&pak, &settings)["ids"].clone()
    };
    let first = text("1");
    assert_eq!(first, text("1"));
    assert_ne!(first, text("2"));
    let free = ["--raw", "-p", "the end", "-n", "32", "--temp", "1", "--ignore-stop", "--json"];
    assert_ne!(json(&pak, &free)["ids"], json(&pak, &free)["ids"], "without a seed the clock decides");
}

/// The ids of the prompt that a run reads.
fn prompt_ids(pak: &Path, args: &[&str]) -> Value {
    json(pak, &[&["-p", "the end", "-n", "1", "--temp", "0", "--ignore-stop", "--json"], args].concat())["prompt_ids"]
        .clone()
}

#[test]
fn a_chat_template_can_be_named_given_or_read() {
    let pak = fixtures::pak("tiny-llama");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.jinja");
    let text = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    std::fs::write(&file, text).unwrap();
    // the model's own is ChatML too, behind the token that begins a sequence
    let own = prompt_ids(&pak, &[]);
    for asked in [file.to_str().unwrap(), "chatml", text] {
        let ids = prompt_ids(&pak, &["--chat-template", asked]);
        assert_eq!(ids.as_array().unwrap(), &own.as_array().unwrap()[1..], "{asked}");
    }
    assert_ne!(prompt_ids(&pak, &["--chat-template", "gemma"]), own);
    assert_ne!(prompt_ids(&pak, &["--system", "Be brief."]), own);
    let switch = ["--chat-template", "{{ 'on' if enable_thinking else 'off' }}"];
    let off = [&switch[..], &["--chat-template-kwargs", "{\"enable_thinking\": true}"]].concat();
    assert_ne!(prompt_ids(&pak, &off), prompt_ids(&pak, &switch));
}

#[test]
fn a_system_message_is_never_lost() {
    let pak = fixtures::pak("tiny-llama");
    let pak = pak.to_str().unwrap();
    let refused = |args: &[&str], expected: &[&str]| {
        refused(RUN, Path::new("."), [&[pak, "-p", "hi", "--system", "Be brief."], args].concat(), expected);
    };
    let no_place = "the chat template takes no system message: leave --system out, or say it in the prompt";
    refused(&["--chat-template", "gemma"], &[no_place, "System role not supported"]);
    refused(&["--chat-template", "{{ messages[-1].content }}"], &[no_place]);
    refused(&["--chat-template", "{{ messages[-1].content"], &["the chat template is not valid"]);
    refused(&["--chat-template", "no-such-file"], &["no-such-file: there is no such file", "chatml, gemma, granite"]);
}

#[test]
fn smollm2_answers() {
    let pak = fixtures::smollm2();
    let settings = ["--temp", "0", "-n", "8", "--ctx", "256"];
    let question = ["-p", "What is the capital of France? Answer in one sentence."];
    let args: Vec<&OsStr> =
        [pak.as_os_str()].into_iter().chain(settings.iter().chain(&question).map(OsStr::new)).collect();
    let plain = run(RUN, Path::new("."), &args);
    assert!(plain.code == Some(0) && plain.stdout.contains("Paris"), "{plain:?}");
    assert!(plain.stdout.ends_with('\n'), "{plain:?}");
    // the figures are a line of their own, after the answer's
    assert!(plain.stderr.starts_with("first token after ") && plain.stderr.contains("; answer: "), "{plain:?}");
    assert_eq!(plain.stderr.matches('\n').count(), 1, "{plain:?}");

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("question"), question[1]).unwrap();
    let file = ["--prompt-file", "question", "--quiet"];
    let args: Vec<&OsStr> = [pak.as_os_str()].into_iter().chain(settings.iter().chain(&file).map(OsStr::new)).collect();
    let quiet = run(RUN, folder.path(), &args);
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (plain.stdout, ""));
}

#[test]
fn devices_are_listed() {
    let text = done(RUN, Path::new("."), &["--list-devices"]);
    let list: Value = serde_json::from_str(&done(RUN, Path::new("."), &["--list-devices", "--json"])).unwrap();
    let devices = list.as_array().unwrap();
    assert_eq!(text.lines().count(), devices.len());
    for (line, device) in text.lines().zip(devices) {
        let name = device["name"].as_str().unwrap();
        assert!(line.starts_with(&format!("{}: {name} (", device["index"])), "{line}");
        assert!(device["memory_bytes"].as_u64().unwrap() > 0 && device["subgroup"].as_u64().unwrap() > 0);
        assert_eq!(device["missing"].is_null(), !line.contains("cannot be used"), "{line}");
    }
}

#[test]
fn perplexity_as_json() {
    let pak = fixtures::smollm2();
    let text = fixtures::bytes("perplexity.txt");
    let folder = tempfile::tempdir().unwrap();
    // a part of it, for time's sake
    std::fs::write(folder.path().join("text"), &text[..700]).unwrap();
    let args: Vec<&OsStr> = ["perplexity".as_ref(), pak.as_os_str()]
        .into_iter()
        .chain(["--file", "text", "--ctx", "64", "--json"].map(OsStr::new))
        .collect();
    let found: Value = serde_json::from_str(&done(RUN, folder.path(), &args)).unwrap();
    let number = |key: &str| found[key].as_u64().unwrap();
    let running: Vec<f64> = found["running"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
    assert_eq!(number("ctx"), 64);
    assert_eq!(number("windows"), number("tokens") / 64);
    assert_eq!(number("scored"), number("windows") * 31, "the second half of a window, less the last token's guess");
    assert_eq!(running.len() as u64, number("windows"));
    assert_eq!(running.last().copied(), found["perplexity"].as_f64());
    assert!(running.iter().all(|p| (1.0..200.0).contains(p)), "{running:?}");
}
