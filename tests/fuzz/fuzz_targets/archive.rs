//! Any bytes as a whole archive; a good start is `format-spec/tests/golden/v1.pak` in the corpus.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut aligned = rkyv::util::AlignedVec::<16>::new();
    aligned.extend_from_slice(bytes);
    if let Ok(archive) = symbiote_format::Archive::parse(&aligned) {
        let packs = archive.index().packs.len();
        (0..packs).for_each(|pack| drop(archive.verify_pack(pack)));
    }
});
