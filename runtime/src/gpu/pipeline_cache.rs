//! The driver's pipeline cache, kept on disk between runs.
//!
//! The file is `pipelines-<device UUID>-<driver version>` in the cache folder: the SHA-256 of what follows, then the
//! driver's own data. Data that is cut off, changed or another driver's is not shown to the driver, as drivers have
//! crashed on it; it is ignored and replaced.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ash::vk;
use sha2::{Digest, Sha256};

use super::error::{During, GpuError};
use super::logical_device::LogicalDevice;
use super::physical_device::Identity;

/// Bytes of a SHA-256.
const HASH_BYTES: usize = 32;

/// A larger file is not ours.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The driver's cache of compiled pipelines, loaded on creation and saved on drop.
pub(super) struct PipelineCache {
    pub(super) handle: vk::PipelineCache,
    device: Arc<LogicalDevice>,
    /// Where it is kept; nowhere if the environment names no folder for it.
    file: Option<PathBuf>,
    /// The hash of what the file holds.
    saved: Mutex<Option<Vec<u8>>>,
}

impl PipelineCache {
    /// Loads what an earlier run left in `folder`, or starts with an empty cache.
    pub(super) fn new(device: &Arc<LogicalDevice>, folder: Option<PathBuf>) -> Result<Self, GpuError> {
        let identity = &device.physical.identity;
        let file = folder.or_else(default_folder).map(|folder| folder.join(file_name(identity)));
        let data = file.as_deref().and_then(|file| load(file, identity));
        let create = vk::PipelineCacheCreateInfo::default().initial_data(data.as_deref().unwrap_or_default());
        // SAFETY: the initial data is what this driver gave out, unchanged: hash and header are checked.
        let handle =
            unsafe { device.raw.create_pipeline_cache(&create, None) }.during("creating the pipeline cache")?;
        let saved = Mutex::new(data.map(|data| Sha256::digest(data).to_vec()));
        Ok(Self { handle, device: Arc::clone(device), file, saved })
    }

    /// Writes the cache to its file if it has changed. A cache that cannot be written costs time, so it is only logged.
    pub(super) fn save(&self) {
        let Some(file) = &self.file else { return };
        // SAFETY: the cache belongs to this device, and is internally synchronised.
        let Ok(data) = (unsafe { self.device.raw.get_pipeline_cache_data(self.handle) }) else { return };
        let hash = Sha256::digest(&data).to_vec();
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.as_ref() == Some(&hash) {
            return;
        }
        match write(file, &hash, &data) {
            Ok(()) => *saved = Some(hash),
            Err(error) => tracing::warn!("pipeline cache {}: {error}", file.display()),
        }
    }
}

impl Drop for PipelineCache {
    fn drop(&mut self) {
        self.save();
        // SAFETY: pipelines do not need their cache once they are made.
        unsafe { self.device.raw.destroy_pipeline_cache(self.handle, None) };
    }
}

/// `$XDG_CACHE_HOME/symbiote`, or `~/.cache/symbiote`.
fn default_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("symbiote"))
}

fn file_name(identity: &Identity) -> String {
    let uuid = identity.device_uuid.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    format!("pipelines-{uuid}-{:08x}", identity.driver_version)
}

/// The driver's data out of `file`, if it is there, whole, and this driver's.
fn load(file: &Path, identity: &Identity) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).ok()?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    let (hash, data) = bytes.split_at_checked(HASH_BYTES)?;
    let whole = Sha256::digest(data).as_slice() == hash;
    if !whole || !is_of(identity, data) {
        tracing::warn!("pipeline cache {}: damaged or another driver's, ignored", file.display());
        return None;
    }
    Some(data.to_vec())
}

/// Whether `data` starts with the header that Vulkan prescribes, with this device and driver in it.
fn is_of(identity: &Identity, data: &[u8]) -> bool {
    let expected = [32, 1, identity.vendor, identity.device].map(u32::to_le_bytes).concat();
    let header = [expected.as_slice(), &identity.cache_uuid].concat();
    data.starts_with(&header)
}

/// Writes a sibling and renames it, so that the file is always whole, whoever else writes it.
fn write(file: &Path, hash: &[u8], data: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut out| out.write_all(hash).and_then(|()| out.write_all(data)))
        .and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        // The write failed already; a file left behind is all that this could add.
        let _ = fs::remove_file(&temporary);
    }
    written
}
