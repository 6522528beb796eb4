//! An open archive: the map and the view into it, in one value.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use self_cell::self_cell;
use symbiote_format::{Archive, Coaccess, ModelConfig};

use super::PakError;
use super::map::map;
use super::prefetch::FileStamp;

self_cell! {
    struct MappedArchive {
        owner: Mmap,
        #[covariant]
        dependent: Archive,
    }
}

/// A `.pak` file, mapped and checked. Segments are not hashed by opening it: see [`Archive::verify_pack`].
pub struct PakFile {
    path: PathBuf,
    mapped: MappedArchive,
    /// What is mapped, for whoever reads it otherwise: by now its path may name another file.
    file: File,
    stamp: FileStamp,
}

impl PakFile {
    /// Maps the file at `path` and checks its header, its index and its layout.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PakError> {
        let path = path.as_ref().to_path_buf();
        let io = |doing| {
            let path = path.clone();
            move |error| PakError::Io { path, doing, error }
        };
        // The kind of file is looked at before it is opened: opening a pipe waits for a writer.
        let found = std::fs::metadata(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => PakError::Missing { path: path.clone() },
            _ => io("open")(error),
        })?;
        if found.is_dir() {
            return Err(PakError::Folder { path });
        }
        if !found.is_file() {
            return Err(PakError::NotAFile { path });
        }
        if found.len() == 0 {
            return Err(PakError::Empty { path });
        }
        let file = File::open(&path).map_err(io("open"))?;
        let stamp = FileStamp::from(&file.metadata().map_err(io("open"))?);
        let map = map(&file).map_err(io("map"))?;
        let mapped = MappedArchive::try_new(map, |bytes| Archive::parse(bytes))
            .map_err(|error| PakError::Format { path: path.clone(), error })?;
        Ok(Self { path, mapped, file, stamp })
    }

    /// The archive, checked.
    pub fn archive(&self) -> &Archive<'_> {
        self.mapped.borrow_dependent()
    }

    /// The model's hyperparameters.
    pub fn config(&self) -> &ModelConfig {
        self.archive().config()
    }

    /// What texts did to the model's experts, if anybody has profiled it.
    pub fn coaccess(&self) -> Option<&Coaccess> {
        self.archive().coaccess()
    }

    /// The name that the file was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that is mapped.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// What the file was when it was mapped.
    pub(super) fn stamp(&self) -> FileStamp {
        self.stamp
    }
}

impl fmt::Debug for PakFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PakFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use symbiote_format::{Design, FormatError, HEADER_LEN, Header, Index, RopeLayout, RopeScaling};

    use std::time::Duration;

    use super::*;
    use crate::pak::{AsyncPrefetcher, PrefetchOptions, measure};

    /// A file that is gone when the test ends.
    struct Temporary(PathBuf);

    impl Temporary {
        fn with(name: &str, bytes: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("symbiote-pak-{}-{name}", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            Self(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// An archive of no packs: the shortest that is valid.
    fn shortest() -> Vec<u8> {
        let config = ModelConfig {
            vocab_size: 320,
            context_length: 128,
            hidden_size: 64,
            layer_count: 3,
            head_count: 4,
            kv_head_count: 2,
            head_dim: 16,
            ffn_size: 176,
            norm_eps: 1e-5,
            tied_embeddings: true,
            rope_base: 1e4,
            rope_dims: 16,
            rope_layout: RopeLayout::Halves,
            rope_scaling: RopeScaling::None,
            design: Design::default(),
        };
        let index = Index { params: config.to_params(), ..Index::default() }.to_bytes().unwrap();
        let mut bytes = Header::new(HEADER_LEN, &index).unwrap().encode().to_vec();
        bytes.extend_from_slice(&index);
        bytes
    }

    fn refusal(path: &Path) -> String {
        let error = PakFile::open(path).unwrap_err().to_string();
        let name = path.display().to_string();
        assert!(error.starts_with(&name), "{error} does not start with {name}");
        error[name.len()..].to_owned()
    }

    #[test]
    fn a_valid_archive_opens_and_can_be_moved() {
        let file = Temporary::with("valid", &shortest());
        let pak = Box::new(PakFile::open(&file.0).unwrap());
        let moved = *pak;
        assert_eq!(moved.path(), file.0);
        assert_eq!(moved.config().hidden_size, 64);
        assert_eq!(moved.archive().file_len(), shortest().len() as u64);
    }

    #[test]
    fn the_disk_under_an_archive_can_be_measured() {
        let file = Temporary::with("measured", &shortest());
        let pak = PakFile::open(&file.0).unwrap();
        assert!(measure(&pak, Duration::from_millis(5), PrefetchOptions::default()).unwrap() > 1.0);
        // Its path is gone, the file is not.
        std::fs::remove_file(&file.0).unwrap();
        let prefetcher = AsyncPrefetcher::open(&pak, PrefetchOptions::default()).unwrap();
        assert!(!prefetcher.changed().unwrap());
        assert_eq!(prefetcher.path(), file.0);
    }

    #[test]
    fn what_cannot_be_an_archive_is_said_in_one_sentence() {
        assert_eq!(refusal(Path::new("/nowhere/model.pak")), ": there is no such file");
        assert_eq!(refusal(&std::env::temp_dir()), ": this is a folder; name the .pak file in it");
        assert!(refusal(Path::new("/dev/null")).starts_with(": this is not a regular file"));
        assert!(refusal(&Temporary::with("empty", b"").0).starts_with(": the file is empty"));
        assert!(refusal(&Temporary::with("text", b"GGUF and more").0).starts_with(": this is not a .pak archive"));
    }

    #[test]
    fn a_cut_off_archive_is_refused() {
        let whole = shortest();
        let file = Temporary::with("cut", &whole[..whole.len() - 1]);
        let expected = whole.len() as u64;
        let error = match PakFile::open(&file.0).unwrap_err() {
            PakError::Format { error, .. } => error,
            other => panic!("{other}"),
        };
        assert_eq!(error, FormatError::Truncated { expected, found: expected - 1 });
    }
}
