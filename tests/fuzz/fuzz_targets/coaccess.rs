//! Any bytes as a file of co-access statistics, and as its content under a hash that is right, so that no fuzzer has to guess
//! SHA-256.
#![no_main]
use symbiote_format::{COACCESS_MAGIC, Coaccess, Sha256};

libfuzzer_sys::fuzz_target!(|input: (u16, &[u8])| {
    let (weights, content) = input;
    drop(Coaccess::from_file(content));
    let weights = u64::from(weights).min(content.len() as u64);
    let mut file = COACCESS_MAGIC.to_vec();
    for number in [1, content.len() as u64 - weights, weights] {
        file.extend(number.to_le_bytes());
    }
    file.extend(Sha256::of(content));
    file.extend(content);
    if let Ok(coaccess) = Coaccess::from_file(&file) {
        let again = Coaccess::from_file(&coaccess.to_file().expect("what was read is good")).expect("and is read again");
        assert!(again == coaccess);
        (0..coaccess.mixture.count()).for_each(|expert| assert!(coaccess.successors(expert).all(|(_, p)| p <= 1.0)));
        coaccess.closest_domain(&coaccess.counts()).expect("there is a domain");
    }
});
