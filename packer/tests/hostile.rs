//! Whatever bytes come, nothing panics, and a failed run leaves no file.
#![allow(clippy::unwrap_used)] // in helpers of tests too, a failure is a panic

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use support::{Bench, gguf, hugging_face};
use symbiote_format::Dtype;
use symbiote_packer::{ConvertOptions, check_gguf, convert};

/// A small good file: its header is most of it.
fn small() -> Vec<u8> {
    let mut model = gguf::llama_of(&[Dtype::Q4_0]);
    model.tensors.iter_mut().for_each(|t| t.data.truncate(64));
    model.build()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(tail in vec(any::<u8>(), 0..400), version in 0u32..5) {
        let _ = check_gguf(&tail);
        let _ = check_gguf(&[b"GGUF", &version.to_le_bytes()[..], &tail].concat());
    }

    #[test]
    fn mutations_never_panic(
        changes in vec((any::<Index>(), any::<u8>()), 1..8),
        wild in proptest::option::of((any::<Index>(), any::<u64>())),
        cut in proptest::option::of(any::<Index>()),
    ) {
        let mut bytes = small();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((at, number)) = wild {
            let at = at.index(bytes.len() - 8);
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = check_gguf(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_mutated_model_converts_whole_or_not_at_all(changes in vec((any::<Index>(), any::<u8>()), 1..4)) {
        let bench = Bench::new();
        let mut bytes = gguf::llama().build();
        for (at, byte) in changes {
            // the first 4000 bytes are the header
            let at = at.index(4000);
            bytes[at] = byte;
        }
        let (input, output) = (bench.write("m.gguf", bytes), bench.path("m.pak"));
        match convert(&input, &output, &ConvertOptions::default(), &()) {
            Ok(_) => prop_assert!(symbiote_packer::verify(&output, &()).is_ok()),
            Err(error) => {
                prop_assert!(!error.to_string().contains('\n'));
                prop_assert_eq!(bench.files(), ["m.gguf"]);
            }
        }
    }

    #[test]
    fn a_mutated_folder_converts_whole_or_not_at_all(
        file in 0usize..4,
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let bench = Bench::new();
        hugging_face::llama().write(&bench.path("m"), 1);
        let name = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"][file];
        let path = bench.path("m").join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let header = bytes.len().min(1800);
        for (at, byte) in changes {
            bytes[at.index(header)] = byte;
        }
        std::fs::write(&path, bytes).unwrap();
        match convert(&bench.path("m"), &bench.path("m.pak"), &ConvertOptions::default(), &()) {
            Ok(_) => prop_assert!(symbiote_packer::verify(&bench.path("m.pak"), &()).is_ok()),
            Err(_) => prop_assert_eq!(bench.files(), ["m"]),
        }
    }
}
