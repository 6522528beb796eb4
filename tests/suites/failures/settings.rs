//! Settings, prompts and machines that do not do.

use symbiote_tests::fixtures;
use symbiote_tests::program::{PACK, RUN, assert_refusal, command, refused, run};

use super::Bench;

#[test]
fn wrong_usage_is_one_line_and_code_2() {
    let cases: [(&str, &[&str], &[&str]); 25] = [
        (RUN, &["--nonsense"], &["unexpected argument '--nonsense'", "--help"]),
        (RUN, &["-p", "hi"], &["required arguments", "<MODEL>"]),
        (RUN, &["tiny.pak", "-p", "hi", "--prompt-file", "f"], &["--prompt-file", "cannot be used with"]),
        (RUN, &["tiny.pak", "-n", "-5"], &["unexpected argument '-5'"]),
        (RUN, &["tiny.pak", "-n", "many"], &["'many'", "--max-tokens"]),
        (RUN, &["tiny.pak", "--batch", "0"], &["--batch", "0 is not in 1"]),
        (RUN, &["tiny.pak", "--ctx", "99999999999"], &["--ctx"]),
        (RUN, &["tiny.pak", "--vram", "lots"], &["--vram", "is not a size", "such as 16MiB"]),
        (RUN, &["tiny.pak", "--vram", "1QB"], &["\"QB\" is not a unit of size"]),
        (RUN, &["tiny.pak", "--kv-type", "q4"], &["--kv-type", "q8, f16, f32"]),
        (RUN, &["tiny.pak", "-p", "hi", "--n-probs", "3"], &["--json"]),
        (RUN, &["tiny.pak", "-p", "hi", "--context-shift"], &["--context-shift is not supported", "--ctx"]),
        (RUN, &["tiny.pak", "-p", "hi", "--stop", ""], &["--stop", "it is empty"]),
        (RUN, &["tiny.pak", "-p", "hi", "--grammar", "g", "--regex", "r"], &["cannot be used with"]),
        (RUN, &["tiny.pak", "--json"], &["--json needs a prompt: -p or --prompt-file"]),
        (RUN, &["perplexity", "tiny.pak"], &["--file"]),
        (PACK, &["convert"], &["<INPUT>"]),
        (PACK, &["convert", "m", "--pack-size", "big"], &["--pack-size", "big"]),
        (PACK, &["convert", "m", "--codec", "zip"], &["--codec", "'zip'"]),
        (
            PACK,
            &["convert", "m", "--codec", "zstd"],
            &["--target run cannot use zstd", "decoded first", "--target ship"],
        ),
        (PACK, &["repack", "tiny.pak", "-o", "x.pak", "--codec", "zfp"], &["--target run cannot use zfp"]),
        (PACK, &["repack", "tiny.pak"], &["--output"]),
        (PACK, &["inspect", "tiny.pak", "--chart", "x.svg"], &["--codecs"]),
        (PACK, &["extract", "tiny.pak"], &["--output"]),
        (PACK, &["unpack"], &["unrecognized subcommand 'unpack'"]),
    ];
    let bench = Bench::new();
    for (program, args, expected) in cases {
        assert_refusal(program, &run(program, bench.folder(), args), 2, expected);
    }
    for program in [RUN, PACK] {
        let bare = run(program, bench.folder(), [""; 0]);
        assert_eq!((bare.code, bare.stdout.as_str()), (Some(2), ""));
        assert!(bare.stderr.contains("Usage:"), "{bare:?}");
        let help = run(program, bench.folder(), ["--help"]);
        assert!(help.code == Some(0) && help.stderr.is_empty() && help.stdout.contains("Usage:"), "{help:?}");
    }
}

#[test]
fn bad_sampling_settings_are_refused_before_the_model_is_read() {
    let bench = Bench::new();
    for (flag, value, expected) in [
        ("--top-p", "0", "top-p is 0; it must be above 0 and at most 1"),
        ("--top-p", "1.5", "top-p is 1.5; it must be above 0 and at most 1"),
        ("--top-p", "nan", "top-p is NaN"),
        ("--temp", "NaN", "temp is NaN; it must be 0 or more"),
        ("--temp", "inf", "temp is inf; it must be 0 or more"),
        ("--temp=-1", "-q", "temp is -1; it must be 0 or more"),
        ("--min-p", "1.5", "min-p is 1.5; it must be from 0 to 1"),
        ("--typical", "0", "typical is 0; it must be above 0 and at most 1"),
        ("--dry-base", "0.5", "dry-base is 0.5; it must be 1 or more"),
        ("--mirostat", "3", "mirostat is 3; it must be 0, 1 or 2"),
        ("--logit-bias", "7+inf", "logit-bias of token 7 is inf"),
        ("--logit-bias", "7", "'7' for '--logit-bias"),
        ("--logit-bias", "Hello+1", "it must be a token's id, a sign and a number"),
        ("--dry-sequence-breaker", "\\d", "\\d stands for nothing: write \\\\ for a backslash"),
        ("--repeat-penalty", "0", "repeat-penalty is 0; it must be above 0"),
        ("--temp", "warm", "invalid value 'warm' for '--temp <T>'"),
    ] {
        let done = run(RUN, bench.folder(), ["nothing.pak", "-p", "hi", flag, value]);
        assert_refusal(RUN, &done, 2, &[expected]);
    }
}

#[test]
fn contexts_and_prompts() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("folder")).unwrap();
    bench.write("binary", [0xFF, 0xFE]);
    bench.write("empty", "");
    bench.write("short", "A short text.");
    let many = "many words ".repeat(30);
    let context = "a context of 0 tokens was asked for: it must be from 1 to 256";
    let cases: [(&[&str], &[&str]); 10] = [
        (&["--ctx", "0", "-p", "hi"], &["tiny.pak: ", context]),
        (&["--ctx", "257", "-p", "hi"], &["tiny.pak: ", "from 1 to 256"]),
        (&["--ctx", "999999999", "-p", "hi"], &["tiny.pak: ", "999999999", "from 1 to 256"]),
        (&["--raw", "--ctx", "16", "-p", &many], &["tokens do not fit into the context of 16: shorten", "--ctx"]),
        (&["--ctx", "16", "-p", "hi there"], &["tokens do not fit into the context of 16: shorten", "--ctx"]),
        (&["--prompt-file", "nothing"], &["nothing: there is no such file"]),
        (&["--prompt-file", "folder"], &["folder: this is a folder"]),
        (&["--prompt-file", "binary"], &["binary: this is not UTF-8 text"]),
        (&["--shader-dir", "nothing", "-p", "hi"], &["nothing: there is no such file or folder"]),
        (&["--device", "nonsense", "-p", "hi"], &["no Vulkan device matches `nonsense`; there is: 0: "]),
    ];
    for (args, expected) in cases {
        refused(RUN, bench.folder(), [&["tiny.pak"], args].concat(), expected);
    }
    refused(
        RUN,
        bench.folder(),
        ["tiny.pak", "-p", "hi", "--logit-bias", "320+1"],
        &["token 320 is not in the vocabulary of 320"],
    );
    // SmolLM2 puts no token before a text, so that nothing is left of this one
    let smollm2 = fixtures::smollm2();
    let args = [smollm2.as_os_str(), "--raw".as_ref(), "--prompt-file".as_ref(), "empty".as_ref()];
    refused(RUN, bench.folder(), args, &["gguf.pak: the prompt is empty"]);
    let perplexity: [(&[&str], &[&str]); 5] = [
        (&["short"], &["short: windows of 256 tokens need a text of at least 512, and it has ", "--ctx"]),
        (&["short", "--ctx", "3"], &["tiny.pak: ", "from 4 to 256"]),
        (&["empty", "--ctx", "4"], &["empty: windows of 4 tokens need a text of at least 8"]),
        (&["nothing"], &["nothing: there is no such file"]),
        (&["binary"], &["binary: this is not UTF-8 text"]),
    ];
    for (args, expected) in perplexity {
        refused(RUN, bench.folder(), [&["perplexity", "tiny.pak", "--file"], args].concat(), expected);
    }
}

#[test]
fn a_machine_without_a_driver() {
    let bench = Bench::new();
    let cases: [&[&str]; 3] = [&["tiny.pak", "-p", "hi"], &["--list-devices"], &["--list-devices", "--json"]];
    for args in cases {
        let mut command = command(RUN, bench.folder(), args);
        command.envs([("VK_DRIVER_FILES", "/nonexistent"), ("VK_ICD_FILENAMES", "/nonexistent")]);
        let done = command.output().unwrap().into();
        assert_refusal(RUN, &done, 1, &["found no driver", "install", "mesa-vulkan-drivers"]);
    }
}
