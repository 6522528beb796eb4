//! Readers of standard output that go away, and disks that are full.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use symbiote_tests::program::{PACK, RUN, assert_refusal, command};

use super::Bench;

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let bench = Bench::new();
    let cases: [(&str, &[&str]); 6] = [
        (RUN, &["tiny.pak", "--raw", "-p", "hi", "-n", "100", "--ignore-stop"]),
        (RUN, &["tiny.pak", "--raw", "-p", "hi", "-n", "1", "--json"]),
        (RUN, &["--list-devices"]),
        (RUN, &["--list-devices", "--json"]),
        (PACK, &["inspect", "tiny.pak"]),
        (PACK, &["inspect", "tiny.pak", "--json"]),
    ];
    for (program, args) in cases {
        let mut command = command(program, bench.folder(), args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{program} {args:?}");
    }
}

#[test]
fn a_standard_error_that_is_gone_is_no_panic() {
    let bench = Bench::new();
    for (args, code) in [(vec!["tiny.pak", "--raw", "-p", "hi", "-n", "2"], 0), (vec!["nothing.pak", "-p", "hi"], 1)] {
        let mut command = command(RUN, bench.folder(), args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn a_full_disk_is_said() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let bench = Bench::new();
    let cases: [(&str, &[&str]); 2] =
        [(RUN, &["tiny.pak", "--raw", "-p", "hi", "-n", "2"]), (PACK, &["inspect", "tiny.pak"])];
    for (program, args) in cases {
        let mut command = command(program, bench.folder(), args);
        let done = command.stdout(full.try_clone().unwrap()).output().unwrap().into();
        assert_refusal(program, &done, 1, &["standard output cannot be written: "]);
    }
}
