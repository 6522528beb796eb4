//! Ctrl-C, as the signal that it is.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use symbiote_tests::fixtures;
use symbiote_tests::program::{RUN, command};

/// A program in the middle of an answer that would take long.
fn start(args: &[&str]) -> Child {
    let mut command = command(RUN, Path::new("."), args);
    command.arg(fixtures::smollm2()).args(["--ignore-stop", "--temp", "0", "-n", "3000", "--ctx", "4000"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Presses Ctrl-C.
fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Counts the bytes of an output as they come.
fn count(mut output: ChildStdout) -> Arc<AtomicUsize> {
    let bytes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&bytes);
    spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(n @ 1..) = output.read(&mut buffer) {
            counter.fetch_add(n, Ordering::SeqCst);
        }
    });
    bytes
}

fn tokens_answered(figures: &str) -> u32 {
    let answer = figures.split("answer: ").nth(1).unwrap_or_else(|| panic!("no figures: {figures}"));
    answer.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn an_answer_stops_and_its_figures_are_printed() {
    let mut child = start(&["-p", "Write a very long story."]);
    let answer = child.stdout.as_mut().unwrap();
    answer.read_exact(&mut [0; 8]).unwrap();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(output.stdout.last(), Some(&b'\n'));
    assert!(said.starts_with("first token after ") && said.matches('\n').count() == 1, "{said}");
    assert!((1..1000).contains(&tokens_answered(&said)), "{said}");
}

#[test]
fn in_a_chat_only_the_answer_stops() {
    let mut child = start(&[]);
    let mut input = child.stdin.take().unwrap();
    let answered = count(child.stdout.take().unwrap());
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().starts_with("Ctrl-C stops an answer"));
    for _ in 0..2 {
        // what the last answer left in the pipe is counted by then
        sleep(Duration::from_millis(200));
        let before = answered.load(Ordering::SeqCst);
        input.write_all(b"Write a very long story.\n").unwrap();
        while answered.load(Ordering::SeqCst) < before + 8 {
            assert!(child.try_wait().unwrap().is_none(), "it goes on");
            sleep(Duration::from_millis(10));
        }
        interrupt(&child);
        assert!((1..1000).contains(&tokens_answered(&said.next().unwrap().unwrap())));
    }
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(said.next().is_none());
}

#[test]
fn without_an_answer_under_way_the_program_ends() {
    let mut child = start(&[]);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().starts_with("Ctrl-C stops an answer"));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(said.next().is_none());
}
