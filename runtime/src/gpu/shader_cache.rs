//! Pipelines by kernel: made on first use, and swapped when the kernel's source changes.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::context::Gpu;
use super::error::GpuError;
use super::pipeline::{Pipeline, PipelineInfo};

/// More files than this in a shader folder are not looked at, nor folders deeper than [`DEPTH_MAX`].
const FILES_MAX: usize = 4096;

/// How deep folders in a shader folder are looked into.
const DEPTH_MAX: u32 = 4;

/// Where kernels come from.
pub trait ShaderSource: Send + Sync {
    /// The SPIR-V of kernel `name` that was built in.
    fn spirv(&self, name: &str) -> Option<&[u32]>;

    /// Compiles kernel `name` from the GLSL sources in `folder`, or answers the compiler's message.
    fn compile(&self, name: &str, folder: &Path) -> Result<Vec<u32>, String>;
}

/// What tells one pipeline from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KernelKey {
    /// The kernel's name in the [`ShaderSource`].
    pub name: Cow<'static, str>,
    /// The values of specialization constants 0, 1, 2 and so on.
    pub constants: Vec<u32>,
    /// The subgroup size that the kernel relies on, if it does.
    pub subgroup: Option<u32>,
}

/// What [`ShaderCache::reload_changed`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// Kernels with new pipelines. Commands recorded with the old ones run the old ones: record them again.
    pub swapped: Vec<String>,
    /// Kernels that keep their old pipelines, and why: the compiler's or the driver's message.
    pub failed: Vec<(String, String)>,
}

/// Pipelines by kernel.
pub struct ShaderCache {
    gpu: Gpu,
    source: Box<dyn ShaderSource>,
    folder: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pipelines: HashMap<KernelKey, Arc<Pipeline>>,
    /// What the folder's version of each kernel in use was compiled to.
    compiled: HashMap<String, Vec<u32>>,
    /// The folder as it was when it was last looked at.
    seen: Vec<FileState>,
}

/// What changes when a file is saved.
type FileState = (PathBuf, u64, Option<SystemTime>);

impl ShaderCache {
    /// Pipelines on `gpu` from the kernels of `source`: those in `folder` if there is one, else those built in.
    pub fn new(gpu: &Gpu, source: impl ShaderSource + 'static, folder: Option<PathBuf>) -> Result<Self, GpuError> {
        let seen = match &folder {
            Some(folder) => {
                look_at(folder).map_err(|reason| GpuError::ShaderFolder { folder: folder.clone(), reason })?
            }
            None => Vec::new(),
        };
        let state = Mutex::new(State { seen, ..State::default() });
        Ok(Self { gpu: gpu.clone(), source: Box::new(source), folder, state })
    }

    /// The pipeline for `key`. A kernel in the folder that does not compile gives way to the one built in.
    pub fn get(&self, key: &KernelKey) -> Result<Arc<Pipeline>, GpuError> {
        let mut state = self.state();
        if let Some(pipeline) = state.pipelines.get(key) {
            return Ok(Arc::clone(pipeline));
        }
        let name = key.name.as_ref();
        let built_in = self.source.spirv(name);
        if let Some(folder) = self.folder.as_deref().filter(|_| !state.compiled.contains_key(name)) {
            match self.source.compile(name, folder) {
                Ok(spirv) => drop(state.compiled.insert(name.to_owned(), spirv)),
                Err(message) if built_in.is_some() => {
                    tracing::error!("kernel `{name}` does not compile, so the one built in is used: {message}");
                }
                Err(message) => return Err(GpuError::Kernel { name: name.to_owned(), message }),
            }
        }
        let spirv = state.compiled.get(name).map(Vec::as_slice).or(built_in);
        let spirv = spirv.ok_or_else(|| GpuError::NoSuchKernel { name: name.to_owned() })?;
        let pipeline = self.build(key, spirv)?;
        state.pipelines.insert(key.clone(), Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Looks whether a file in the folder has changed, and if so compiles the kernels in use anew. A kernel changes with
    /// all its pipelines or not at all. Cheap if nothing has changed: one look at the folder, so call it between tokens.
    pub fn reload_changed(&self) -> ReloadReport {
        let mut report = ReloadReport::default();
        let Some(folder) = &self.folder else { return report };
        // A folder that cannot be read just now is looked at again the next time.
        let Ok(now) = look_at(folder) else { return report };
        let mut state = self.state();
        if now == state.seen {
            return report;
        }
        state.seen = now;
        let in_use: BTreeSet<_> = state.pipelines.keys().map(|key| key.name.clone()).collect();
        for name in in_use {
            match self.reload(&mut state, &name, folder) {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!("kernel `{name}` reloaded");
                    report.swapped.push(name.into_owned());
                }
                Err(message) => {
                    tracing::error!("kernel `{name}` stays as it was: {message}");
                    report.failed.push((name.into_owned(), message));
                }
            }
        }
        report
    }

    /// Compiles `name` and swaps its pipelines; false if it compiles to what it was.
    fn reload(&self, state: &mut State, name: &str, folder: &Path) -> Result<bool, String> {
        let spirv = self.source.compile(name, folder)?;
        if state.compiled.get(name) == Some(&spirv) {
            return Ok(false);
        }
        let keys = state.pipelines.keys().filter(|key| key.name == name);
        let rebuilt = keys.map(|key| Ok((key.clone(), self.build(key, &spirv)?)));
        let rebuilt = rebuilt.collect::<Result<Vec<_>, GpuError>>().map_err(|error| error.to_string())?;
        // The old pipelines live on in the commands that use them.
        state.pipelines.extend(rebuilt);
        state.compiled.insert(name.to_owned(), spirv);
        Ok(true)
    }

    fn build(&self, key: &KernelKey, spirv: &[u32]) -> Result<Arc<Pipeline>, GpuError> {
        let name = format!("{}{:?}", key.name, key.constants);
        self.gpu.pipeline(&PipelineInfo { name: &name, spirv, constants: &key.constants, subgroup: key.subgroup })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of every file in `folder`.
fn look_at(folder: &Path) -> io::Result<Vec<FileState>> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            // Gone between listing and looking: an editor at work.
            let Ok(about) = fs::metadata(&path) else { continue };
            if about.is_dir() && depth < DEPTH_MAX {
                folders.push((path, depth + 1));
            } else if about.is_file() && files.len() < FILES_MAX {
                files.push((path, about.len(), about.modified().ok()));
            }
        }
    }
    files.sort();
    Ok(files)
}
