//! Any bytes as a part in bf16, and changed bytes of a good one.
#![no_main]

libfuzzer_sys::fuzz_target!(|part: symbiote_fuzz::Part| part.read(symbiote_format::Codec::Bf16));
