//! Every flip and every cut is noticed.

use symbiote_format::{Archive, Result};

use crate::support::{Bytes, tiny};

/// Everything that can be checked of a file.
fn check(file: &[u8]) -> Result<()> {
    let archive = Archive::parse(file)?;
    (0..archive.index().packs.len()).try_for_each(|pack| archive.verify_pack(pack))
}

#[test]
fn every_flipped_byte_of_header_and_index_is_refused() {
    let mut file = tiny().seal();
    let index = usize::try_from(tiny().end()).unwrap();
    for at in (0..4096).chain(index..file.len()) {
        file[at] ^= 1 << (at % 8);
        assert!(Archive::parse(&file).is_err(), "byte {at}");
        file[at] ^= 1 << (at % 8);
    }
    check(&file).unwrap();
}

#[test]
fn every_flipped_byte_between_them_is_found_by_verification() {
    let mut file = tiny().seal();
    let index = usize::try_from(tiny().end()).unwrap();
    let packs = Archive::parse(&file).unwrap().index().packs.len();
    let mut owner = 0;
    for at in 4096..index {
        file[at] ^= 1 << (at % 8);
        let archive = Archive::parse(&file).unwrap();
        if owner + 1 < packs && archive.index().packs[owner + 1].offset <= at as u64 {
            owner += 1;
        }
        assert!(archive.verify_pack(owner).is_err(), "byte {at}");
        file[at] ^= 1 << (at % 8);
    }
    check(&file).unwrap();
}

#[test]
fn every_cut_is_refused() {
    let file = tiny().seal();
    for len in 0..file.len() {
        assert!(Archive::parse(&file[..len]).is_err(), "cut to {len} bytes");
    }
    let mut longer: Bytes = file.clone();
    for more in 1..20 {
        longer.push(0);
        assert!(Archive::parse(&longer).is_err(), "{more} bytes appended");
    }
}
