//! Makes archives whose hashes match and whose content is wrong.

use symbiote_format::{Archive, HEADER_LEN, Header, Index, SEGMENT_ALIGN, Sha256, lay_out_parts};

fn place(n: u64) -> usize {
    usize::try_from(n).unwrap()
}

/// The archive, with the coded bytes of its part number `part` changed, and the index by `index`.
pub fn tamper(archive: &[u8], part: usize, coded: impl Fn(&mut Vec<u8>), change: impl Fn(&mut Index)) -> Vec<u8> {
    let parsed = Archive::parse(archive).unwrap();
    let mut index = rkyv::deserialize::<Index, rkyv::rancor::Error>(parsed.index()).unwrap();
    let mut file = vec![0; place(HEADER_LEN)];
    for pack in &mut index.packs {
        let parts = &mut index.parts[pack.first_part as usize..][..pack.part_count as usize];
        let mut bytes: Vec<Vec<u8>> =
            parts.iter().map(|p| archive[place(pack.offset + p.offset)..][..place(p.coded_len)].to_vec()).collect();
        if let Some(mine) = part.checked_sub(pack.first_part as usize).and_then(|i| bytes.get_mut(i)) {
            coded(mine);
        }
        parts.iter_mut().zip(&bytes).for_each(|(p, bytes)| p.coded_len = bytes.len() as u64);
        pack.len = lay_out_parts(parts).unwrap();
        let mut segment = Vec::new();
        for (p, bytes) in parts.iter().zip(&bytes) {
            segment.resize(place(p.offset), 0);
            segment.extend(bytes);
        }
        pack.sha256 = Sha256::of(&segment);
        pack.offset = file.len() as u64;
        file.extend(segment);
        file.resize(file.len().next_multiple_of(place(SEGMENT_ALIGN)), 0);
    }
    change(&mut index);
    let offset = file.len() as u64;
    let index = index.to_bytes().unwrap();
    let header = Header::new(offset, &index).unwrap().encode();
    file.extend(index);
    file[..header.len()].copy_from_slice(&header);
    file
}
