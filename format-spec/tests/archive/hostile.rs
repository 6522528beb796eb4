//! Files made to do harm: nothing panics, whatever the bytes.

use proptest::prelude::*;
use symbiote_format::{Archive, Header};

use crate::support::{Bytes, seal, tiny};

/// Parses, and if that goes well does what readers do.
fn read(file: &[u8]) {
    if let Ok(archive) = Archive::parse(file) {
        for (i, pack) in archive.index().packs.iter().enumerate() {
            let _ = archive.segment(pack);
            let _ = archive.verify_pack(i);
        }
    }
}

fn aligned(bytes: &[u8]) -> Bytes {
    let mut aligned = Bytes::new();
    aligned.extend_from_slice(bytes);
    aligned
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
        read(&aligned(&bytes));
        let mut with_magic = aligned(&bytes);
        with_magic.iter_mut().zip(b"SYMBIOTE\x01\0\0\0\0\x10\0\0").for_each(|(b, m)| *b = *m);
        read(&with_magic);
    }

    #[test]
    fn any_header(file_len: u64, index_offset: u64, index_len: u64, tail in 0usize..9000) {
        let header = Header { file_len, index_offset, index_len, index_sha256: [0; 32] };
        let mut file = aligned(&header.encode());
        file.resize(4096 + tail, 0);
        read(&file);
    }

    #[test]
    fn any_index(index in prop::collection::vec(any::<u8>(), 0..4096)) {
        read(&seal(&[], &index));
    }

    /// The hash is right, so that what is left are rkyv's check and ours.
    #[test]
    fn a_good_index_gone_bad(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let draft = tiny();
        let mut index = draft.index.to_bytes().unwrap();
        for (at, value) in changes {
            let at = at.index(index.len());
            index[at] = value;
        }
        read(&seal(&draft.segments, &index));
    }

    #[test]
    fn numbers_of_an_index_gone_bad(at in any::<prop::sample::Index>(), value in prop_oneof![Just(u64::MAX), Just(1 << 63), any::<u64>()]) {
        let draft = tiny();
        let mut index = draft.index.to_bytes().unwrap();
        let at = at.index(index.len() / 8) * 8;
        index[at..at + 8].copy_from_slice(&value.to_le_bytes());
        read(&seal(&draft.segments, &index));
    }
}
