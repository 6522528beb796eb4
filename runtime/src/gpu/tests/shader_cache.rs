//! Pipelines by kernel, and hot reload.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::super::{Gpu, GpuError, GpuOptions, KernelKey, Memory, Pipeline, ReloadReport, ShaderCache, ShaderSource};
use super::{ADD, AddPush, Validated, glsl};

/// Kernels `NAME.comp`; `add` is built in.
struct Sources {
    add: Vec<u32>,
}

impl Sources {
    fn new() -> Self {
        Self { add: glsl(ADD).unwrap() }
    }
}

impl ShaderSource for Sources {
    fn spirv(&self, name: &str) -> Option<&[u32]> {
        (name == "add").then_some(self.add.as_slice())
    }

    fn compile(&self, name: &str, folder: &Path) -> Result<Vec<u32>, String> {
        let file = folder.join("kernels").join(format!("{name}.comp"));
        glsl(&fs::read_to_string(file).map_err(|error| error.to_string())?)
    }
}

fn key(name: &'static str, constants: &[u32]) -> KernelKey {
    KernelKey { name: name.into(), constants: constants.to_vec(), subgroup: None }
}

/// What `pipeline` makes of 30 and 4.
fn run(gpu: &Gpu, pipeline: &Arc<Pipeline>) -> u32 {
    let buffer = gpu.buffer("words", 12, Memory::Host).unwrap();
    buffer.write(0, &[30, 0, 0, 0, 4, 0, 0, 0]).unwrap();
    let a = buffer.address();
    let push = AddPush { a, b: a + 4, c: a + 8, count: 1, unused: 0 };
    let mut recorder = gpu.recorder("run").unwrap();
    recorder.dispatch(pipeline, bytemuck::bytes_of(&push), [1, 1, 1]).uses(&buffer);
    gpu.wait(gpu.submit(&recorder.finish().unwrap()).unwrap()).unwrap();
    super::words_of(buffer.bytes().unwrap())[2]
}

#[test]
fn one_pipeline_a_key() {
    let gpu = Validated::open(GpuOptions::default());
    let cache = ShaderCache::new(&gpu, Sources::new(), None).unwrap();
    let plain = cache.get(&key("add", &[])).unwrap();
    let more = cache.get(&key("add", &[5])).unwrap();
    assert_eq!((run(&gpu, &plain), run(&gpu, &more)), (34, 39));
    assert!(Arc::ptr_eq(&plain, &cache.get(&key("add", &[])).unwrap()));
    assert!(matches!(cache.get(&key("subtract", &[])), Err(GpuError::NoSuchKernel { .. })));
    assert_eq!(cache.reload_changed(), ReloadReport::default());
    let nowhere = ShaderCache::new(&gpu, Sources::new(), Some("/no/such/folder".into()));
    assert!(matches!(nowhere, Err(GpuError::ShaderFolder { .. })));
}

#[test]
fn a_changed_kernel_is_swapped_and_a_broken_one_is_not() {
    let gpu = Validated::open(GpuOptions::default());
    let folder = tempfile::tempdir().unwrap();
    let kernels = folder.path().join("kernels");
    fs::create_dir(&kernels).unwrap();
    let (add, copy) = (kernels.join("add.comp"), kernels.join("copy.comp"));
    fs::write(&add, ADD).unwrap();
    fs::write(&copy, ADD.replace("a.at[i] + b.at[i]", "a.at[i]")).unwrap();
    let cache = ShaderCache::new(&gpu, Sources::new(), Some(folder.path().to_owned())).unwrap();
    let get = |name, constant| cache.get(&key(name, &[constant])).unwrap();
    let results = || [("add", 0), ("add", 5), ("copy", 0)].map(|(name, extra)| run(&gpu, &get(name, extra)));
    assert_eq!(results(), [34, 39, 30]);
    assert_eq!(cache.reload_changed(), ReloadReport::default());

    // Changed: every variant of it is swapped, and nothing else. Recorded commands still have the old one.
    let old = get("add", 0);
    fs::write(&add, ADD.replace("a.at[i] + b.at[i]", "a.at[i] * b.at[i]")).unwrap();
    fs::write(kernels.join("notes.txt"), "new files count as a change too").unwrap();
    assert_eq!(cache.reload_changed(), ReloadReport { swapped: vec!["add".to_owned()], failed: vec![] });
    assert_eq!(results(), [120, 125, 30]);
    assert_eq!(run(&gpu, &old), 34);

    // Broken: the message is reported once, and the other kernel is swapped all the same.
    fs::write(&add, ADD.replace("a.at[i] + b.at[i]", "a.at[i] + nonsense")).unwrap();
    fs::write(&copy, ADD.replace("a.at[i] + b.at[i]", "b.at[i] * 2")).unwrap();
    let report = cache.reload_changed();
    assert_eq!(report.swapped, ["copy"]);
    assert!(report.failed.len() == 1 && report.failed[0].1.contains("nonsense"), "{report:?}");
    assert_eq!(cache.reload_changed(), ReloadReport::default());
    assert_eq!(results(), [120, 125, 8]);

    // Mended.
    fs::write(&add, ADD).unwrap();
    assert_eq!(cache.reload_changed().swapped, ["add"]);
    assert_eq!(results(), [34, 39, 8]);
}

#[test]
fn a_kernel_broken_from_the_start_gives_way_to_the_one_built_in() {
    let gpu = Validated::open(GpuOptions::default());
    let folder = tempfile::tempdir().unwrap();
    let kernels = folder.path().join("kernels");
    fs::create_dir(&kernels).unwrap();
    fs::write(kernels.join("add.comp"), "void main() { nonsense; }").unwrap();
    fs::write(kernels.join("other.comp"), "void main() { nonsense; }").unwrap();
    let cache = ShaderCache::new(&gpu, Sources::new(), Some(folder.path().to_owned())).unwrap();
    assert_eq!(run(&gpu, &cache.get(&key("add", &[])).unwrap()), 34);
    let error = cache.get(&key("other", &[])).err().unwrap();
    assert!(matches!(&error, GpuError::Kernel { message, .. } if message.contains("nonsense")), "{error}");
    fs::write(kernels.join("add.comp"), ADD.replace("a.at[i] + b.at[i]", "a.at[i] - b.at[i]")).unwrap();
    assert_eq!(cache.reload_changed().swapped, ["add"]);
    assert_eq!(run(&gpu, &cache.get(&key("add", &[])).unwrap()), 26);
}
