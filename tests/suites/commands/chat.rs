//! A conversation through a pipe.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use symbiote_packer::{ConvertOptions, convert};
use symbiote_tests::fixtures;
use symbiote_tests::program::{Done, RUN, command};

/// Runs the chat of `pak` with `lines` as its input.
fn chat(pak: &Path, lines: &str, args: &[&str]) -> Done {
    let mut command = command(RUN, Path::new("."), args);
    let command = command.arg(pak).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn lines_are_answered_until_the_input_ends() {
    let pak = fixtures::smollm2();
    let settings = ["--temp", "0", "-n", "4", "--ctx", "256"];
    let talk = chat(&pak, "hello\n/new\n\nhello\nhello\n", &settings);
    assert_eq!(talk.code, Some(0), "{talk:?}");
    assert!(talk.stderr.starts_with("Ctrl-C stops an answer"), "{talk:?}");
    let answers: Vec<&str> = talk.stdout.lines().collect();
    assert_eq!(answers.len(), 3, "{talk:?}");
    assert_eq!(answers[0], answers[1], "/new forgets");
    let figures: Vec<&str> = talk.stderr.lines().skip(1).collect();
    assert_eq!(figures.len(), 3, "{talk:?}");
    // only what is new of the third message is computed
    let prompt = |n: usize| figures[n].split("prompt: ").nth(1)?.split(' ').next()?.parse::<usize>().ok();
    assert!(prompt(0).is_some() && prompt(2).is_some(), "{figures:?}");
    assert!(prompt(2) < prompt(0), "{figures:?}");

    let quiet = chat(&pak, "hello\n", &[&settings[..], &["--quiet"]].concat());
    assert_eq!((quiet.stdout.trim_end(), quiet.stderr.as_str()), (answers[0], ""));
}

#[test]
fn what_does_not_fit_is_refused_and_the_conversation_goes_on() {
    let long = "word ".repeat(300);
    for mode in ["--raw", "--system=Be brief."] {
        let settings = ["--temp", "0", "-n", "4", "--ctx", "150", "--ignore-stop", "-q", mode];
        let lines = format!("hi\n{long}\nho\n/exit\nnever read\n");
        let talk = chat(&fixtures::pak("tiny-llama"), &lines, &settings);
        assert_eq!(talk.code, Some(0), "{talk:?}");
        // what was refused is forgotten, so the next message is answered
        assert!(talk.stderr.starts_with("symbiote-run: ") && talk.stderr.matches('\n').count() == 1, "{talk:?}");
        assert!(talk.stderr.contains("do not fit into the context of 150"), "{talk:?}");
    }
}

#[test]
fn a_model_without_a_chat_template_continues_the_text() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(fixtures::path("tiny-llama").join(file), folder.path().join(file)).unwrap();
    }
    let pak = folder.path().join("plain.pak");
    convert(folder.path(), &pak, &ConvertOptions::default(), &()).unwrap();
    let talk = chat(&pak, "a\nb\n", &["--temp", "0", "-n", "4", "--ignore-stop"]);
    assert_eq!(talk.code, Some(0), "{talk:?}");
    assert!(talk.stderr.contains("no chat template, so it continues the text"), "{talk:?}");
    assert_eq!(talk.stderr.matches("; answer: 4 tokens").count(), 2, "{talk:?}");
}
