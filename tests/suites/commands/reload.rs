//! Kernels from a folder, taken over when they change.

use std::path::Path;

use symbiote_runtime::engine::{OpenOptions, SymbioteEngine};
use symbiote_tests::fixtures;
use symbiote_tests::program::{RUN, run};
use tempfile::TempDir;

use super::open;

const KERNEL: &str = "activate.comp";
const RESULT: &str =
    "gate(a.x.at[at + gate_at] + bias_at(a.packs, a.gate_bias, INTERLEAVED ? 2 * first + gate_at : first + i), up)";

/// The kernels' sources in a folder of their own.
fn sources() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in symbiote_shaders::sources() {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// Rewrites the kernel with another expression for its result.
fn edit(folder: &Path, result: &str) {
    let (_, text) = symbiote_shaders::sources().iter().find(|(name, _)| *name == KERNEL).unwrap();
    assert!(text.contains(RESULT));
    std::fs::write(folder.join(KERNEL), text.replace(RESULT, result)).unwrap();
}

fn line_of_result() -> usize {
    let (_, text) = symbiote_shaders::sources().iter().find(|(name, _)| *name == KERNEL).unwrap();
    text.lines().position(|line| line.contains(RESULT)).unwrap() + 1
}

fn logits(engine: &mut SymbioteEngine) -> Vec<f32> {
    engine.truncate(0);
    engine.forward(&[1, 2, 3, 4, 5]).unwrap()
}

#[test]
fn a_change_is_taken_over_and_a_mistake_is_not() {
    let built_in = logits(&mut open("tiny-llama", &OpenOptions::default()));
    let folder = sources();
    let shader_dir = Some(folder.path().to_owned());
    let mut engine = open("tiny-llama", &OpenOptions { shader_dir, ..OpenOptions::default() });
    let original = logits(&mut engine);
    assert_eq!(original, built_in, "the same sources");
    assert_eq!(engine.reload_shaders().swapped, [""; 0], "nothing has changed");

    edit(folder.path(), "2.0 * gate(a.x.at[at + gate_at], up)");
    assert_eq!(engine.reload_shaders().swapped, ["activate"]);
    let changed = logits(&mut engine);
    assert_ne!(changed, original);

    edit(folder.path(), "gate(a.x.at[at + gate_at], no_such_name)");
    let report = engine.reload_shaders();
    assert_eq!(report.swapped, [""; 0]);
    let [(name, message)] = report.failed.as_slice() else { panic!("{report:?}") };
    assert_eq!(name, "activate");
    assert!(message.contains(KERNEL) && message.contains("no_such_name"), "{message}");
    assert!(message.contains(&format!(":{}:", line_of_result())), "{message}");
    assert_eq!(logits(&mut engine), changed, "the last that compiled stays");
    assert_eq!(engine.reload_shaders().failed, [], "a mistake is told once");

    edit(folder.path(), RESULT);
    assert_eq!(engine.reload_shaders().swapped, ["activate"]);
    assert_eq!(logits(&mut engine), original);
}

#[test]
fn the_program_uses_the_folder_and_tells_of_mistakes() {
    let folder = sources();
    let pak = fixtures::pak("tiny-llama");
    let ask = |folder: Option<&Path>| {
        let mut args =
            vec![pak.to_str().unwrap(), "--raw", "-p", "the end", "-n", "24", "--temp", "0", "--ignore-stop"];
        args.extend(folder.iter().flat_map(|f| ["--shader-dir", f.to_str().unwrap()]));
        args.push("--quiet");
        let done = run(RUN, Path::new("."), &args);
        assert_eq!(done.code, Some(0), "{done:?}");
        (done.stdout, done.stderr)
    };
    let (built_in, _) = ask(None);
    assert_eq!(ask(Some(folder.path())), (built_in.clone(), String::new()));

    edit(folder.path(), "0.0");
    assert_ne!(ask(Some(folder.path())).0, built_in);

    edit(folder.path(), "gate *");
    let (text, said) = ask(Some(folder.path()));
    assert_eq!(text, built_in);
    assert!(said.contains("kernel `activate` does not compile, so the one built in is used"), "{said}");
    assert!(said.contains(KERNEL) && said.contains(&format!(":{}:", line_of_result())), "{said}");
    assert!(!said.contains('\u{1b}'), "no colours in a pipe: {said:?}");
}
