//! Ctrl-C while weights stream from disk.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use symbiote_tests::fixtures;
use symbiote_tests::program::{RUN, command};

use super::{least_vram, with};

const LONG: [&str; 9] = [
    "--ignore-stop",
    "--temp",
    "0",
    "-n",
    "1000",
    "--ctx",
    "1024",
    "-p",
    "Write a very long story, with many persons.",
];

/// An answer with the least memory that works.
fn start() -> Child {
    static VRAM: LazyLock<String> = LazyLock::new(|| least_vram(&fixtures::smollm2(), &LONG));
    let pak = fixtures::smollm2();
    let mut command = command(RUN, Path::new("."), with(&pak, &[&LONG[..], &["--vram", &VRAM]].concat()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Presses Ctrl-C; the program must end soon.
fn interrupt(child: Child) -> Output {
    let start = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    output
}

#[test]
fn an_answer_stops_and_its_figures_are_printed() {
    let mut child = start();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 8]).unwrap();
    let output = interrupt(child);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(output.stdout.last(), Some(&b'\n'));
    assert!(said.starts_with("first token after ") && said.matches('\n').count() == 1, "{said}");
    let tokens: u32 = said.split("answer: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((1..900).contains(&tokens), "{said}");
}

/// At any time before the first token: either the program was still opening the model, and ends as if nobody listened, or
/// the prompt was being computed, and the answer is empty.
#[test]
fn a_prompt_stops_too() {
    for milliseconds in [100, 700] {
        let child = start();
        sleep(Duration::from_millis(milliseconds));
        let output = interrupt(child);
        let said = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(130) => assert_eq!(said, ""),
            Some(0) => assert!(said.contains("; answer: ") && said.matches('\n').count() == 1, "{said}"),
            // before there is a handler the signal ends the program itself
            code => assert!(code.is_none() && said.is_empty(), "{code:?} {said}"),
        }
    }
}
