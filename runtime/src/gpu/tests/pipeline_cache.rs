//! The pipeline cache on disk.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::{Gpu, GpuOptions, PipelineInfo};
use super::{ADD, glsl};

/// Opens a device with its cache in `folder`, makes a pipeline and closes it again.
fn visit(folder: &Path) {
    let options = GpuOptions { validation: true, cache_dir: Some(folder.to_owned()), ..GpuOptions::default() };
    let gpu = Gpu::open(&options).unwrap_or_else(|error| panic!("{error}"));
    let spirv = glsl(ADD).unwrap();
    gpu.pipeline(&PipelineInfo { name: "add", spirv: &spirv, ..PipelineInfo::default() }).unwrap();
    assert_eq!(gpu.validation_errors(), 0, "{:#?}", gpu.validation_messages());
}

fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Whether the hash of a file fits its data, and the data has Vulkan's header.
fn is_whole(bytes: &[u8]) -> bool {
    bytes.len() >= 64 && Sha256::digest(&bytes[32..]).as_slice() == &bytes[..32]
}

#[test]
fn damaged_files_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    // A folder that does not exist yet is made.
    let folder = folder.path().join("symbiote");
    visit(&folder);
    let file = only_file(&folder);
    let good = fs::read(&file).unwrap();
    assert!(is_whole(&good));
    let flipped = |at: usize| good.iter().enumerate().map(|(i, byte)| byte ^ u8::from(i == at)).collect::<Vec<_>>();
    let longer = [good.as_slice(), &[0]].concat();
    let damaged =
        [vec![], good[..20].to_vec(), good[..good.len() - 1].to_vec(), flipped(3), flipped(good.len() - 1), longer];
    for bytes in damaged {
        fs::write(&file, bytes).unwrap();
        visit(&folder);
        assert_eq!(only_file(&folder), file);
        assert!(is_whole(&fs::read(&file).unwrap()));
    }
}

#[test]
fn an_unusable_folder_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    visit(&file);
    visit(&file.join("below"));
    assert_eq!(fs::read(&file).unwrap(), b"not a folder");
}

#[test]
fn a_cache_that_has_not_changed_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    visit(folder.path());
    let file = only_file(folder.path());
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    visit(folder.path());
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
}
