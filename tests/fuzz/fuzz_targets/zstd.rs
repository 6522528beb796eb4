//! Any bytes as a part in zstd, and changed bytes of a good one.
#![no_main]

libfuzzer_sys::fuzz_target!(|part: symbiote_fuzz::Part| part.read(symbiote_format::Codec::Zstd));
