//! Any bytes as a trace of routes, binary or CSV; what is read is written and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(trace) = symbiote_runtime::trace::Trace::parse(bytes) {
        let mut file = Vec::new();
        trace.write(&mut file).expect("a vector takes it");
        symbiote_runtime::trace::Trace::parse(&file).expect("it reads what it has written");
    }
});
