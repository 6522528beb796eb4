//! `golden/v1.pak` and `golden/v1.coaccess`: what version 1 is, in bytes. The files never change; what no longer reads or writes
//! them is wrong.

use symbiote_format::{Archive, Coaccess, Dtype, Header, Index, NO_LAYER, PackRole, hex};

use crate::support::{Bytes, config, statistics, tiny};

const GOLDEN: &[u8] = include_bytes!("../golden/v1.pak");

fn golden() -> Bytes {
    let mut aligned = Bytes::new();
    aligned.extend_from_slice(GOLDEN);
    aligned
}

#[test]
fn it_is_read() {
    let file = golden();
    let archive = Archive::parse(&file).unwrap();
    assert_eq!(archive.config(), &config());
    let index = archive.index();
    assert_eq!((index.tensors.len(), index.packs.len(), index.parts.len()), (11, 8, 13));
    assert_eq!(index.architecture.as_str(), "llama");
    let tokenizer = index.tokenizer.as_ref().unwrap();
    assert_eq!(tokenizer.tokens.iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["<|endoftext|>", "a", "b", "ab"]);
    assert_eq!((tokenizer.bos.to_native(), tokenizer.add_bos, tokenizer.add_eos), (0, true, false));
    let value = &index.tensors[5];
    assert_eq!((value.name.as_str(), value.dtype.to_native()), ("blk.0.attn_v.weight", Dtype::Q5_1.code()));
    assert_eq!(index.tensors[9].shape.iter().map(|n| n.to_native()).collect::<Vec<_>>(), [2, 16, 64]);
    let pack = &index.packs[2];
    assert_eq!(PackRole::from_code(pack.role), Some(PackRole::AttentionHeads));
    assert_eq!((pack.offset.to_native(), pack.len.to_native(), pack.layer.to_native()), (12288, 2432, 0));
    assert_eq!(index.packs[7].layer, NO_LAYER);
    assert_eq!(index.annotations[0].bytes.as_slice(), [1, 2, 3]);
    (0..8).for_each(|pack| archive.verify_pack(pack).unwrap());
}

#[test]
fn its_index_is_written_again_byte_for_byte() {
    let file = golden();
    let archive = Archive::parse(&file).unwrap();
    let index: Index = rkyv::deserialize::<Index, rkyv::rancor::Error>(archive.index()).unwrap();
    let header = Header::decode(&file).unwrap();
    let start = usize::try_from(header.index_offset).unwrap();
    let written = index.to_bytes().unwrap();
    assert!(written == file[start..], "the index's layout has changed: that takes a new version of the format");
    assert_eq!(Header::new(header.index_offset, &written).unwrap().encode(), file[..4096]);
}

#[test]
fn the_tests_writer_still_writes_it() {
    let (written, golden) = (tiny().seal(), golden());
    let differs = written.iter().zip(&golden[..]).position(|(a, b)| a != b);
    assert_eq!((written.len(), differs), (golden.len(), None));
}

#[test]
fn statistics_are_read_and_written_again_byte_for_byte() {
    let golden = include_bytes!("../golden/v1.coaccess");
    assert_eq!(Coaccess::from_file(golden).unwrap(), statistics());
    assert!(
        statistics().to_file().unwrap() == golden,
        "their layout has changed: that takes a new version of the file"
    );
    let sum = hex(&symbiote_format::Sha256::of(golden));
    assert_eq!(sum, "07d3fd84fd9b6bb02d57bbc2d484798a40c4aed45e7f6ca0e9312d30581212ce");
}

#[test]
fn it_is_the_file_that_was_committed() {
    let sum = hex(&symbiote_format::Sha256::of(GOLDEN));
    assert_eq!(sum, "631a26d355dacb71bea15e6974bbfdb1484a3e3d30b0c02f70c6057f1d5ecf9c");
}
