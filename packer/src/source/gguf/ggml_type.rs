//! ggml's stored types by number, so that one which is not read can be named.

use symbiote_format::Dtype;

/// The type with this number; its name, or its number in words, where this program does not read it.
pub(super) fn dtype(code: u32) -> Result<Dtype, String> {
    // what is not ggml's is beyond a byte
    let known = u8::try_from(code).ok().and_then(|code| Dtype::from_code(code.into()));
    known.ok_or_else(|| name(code).map_or_else(|| format!("unknown type {code}"), String::from))
}

fn name(code: u32) -> Option<&'static str> {
    Some(match code {
        4 => "Q4_2",
        5 => "Q4_3",
        9 => "Q8_1",
        15 => "Q8_K",
        31 => "Q4_0_4_4",
        32 => "Q4_0_4_8",
        33 => "Q4_0_8_8",
        36 => "IQ4_NL_4_4",
        37 => "IQ4_NL_4_8",
        38 => "IQ4_NL_8_8",
        40 => "NVFP4",
        _ => return None,
    })
}
