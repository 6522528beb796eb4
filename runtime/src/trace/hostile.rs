//! Files that are no traces, or claim what they are not: each is an error, and nothing is set aside for a claim.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{NONE, Token, Trace, TraceError};
use crate::residency::experts::ExpertShape;

/// Three tokens of two layers of eight experts.
fn small() -> Trace {
    let mut trace = Trace::independent(ExpertShape { layers: 2, experts: 8, used: 2 }, 3).unwrap();
    trace.predicted = 3;
    trace.early = [[0, 1, 2].repeat(6), [7, NONE, NONE].repeat(6)];
    trace.domains = vec!["a".into(), "b".into()];
    trace.tokens[2] = Token { sequence: 1, domain: 1, position: 65535, id: 1 << 31 | 5 };
    (trace.vocabulary, trace.expert_bytes) = (100, 4096);
    trace
}

fn file(trace: &Trace) -> Vec<u8> {
    let mut file = Vec::new();
    trace.write(&mut file).unwrap();
    file
}

const CSV: &str = "# route_trace v1\n# model=m.gguf arch=x n_layer=2 n_expert=4 n_expert_used=1\n# layer=0 expert_bytes=10 dense_bytes=1\n\
turn,phase,step,layer,slot,expert,weight,residency,expert_bytes\n0,0,0,0,0,3,1.0,0,0\n0,1,1,0,0,2,0.5,0,0\n0,1,1,1,0,3,0.5,0,0\n";

#[test]
fn what_is_written_is_read() {
    let trace = small();
    let back = Trace::parse(&file(&trace)).unwrap();
    assert_eq!(back, trace);
    assert_eq!((back.early(2, 1), back.chosen(0, 1).len()), (&[0, 1, 2][..], 2));
}

#[test]
fn a_csv_is_read() {
    let trace = Trace::parse(CSV.as_bytes()).unwrap();
    assert_eq!((trace.tokens.len(), trace.chosen(0, 0), trace.chosen(0, 1)), (1, &[2][..], &[3][..]));
    assert_eq!((trace.prompt[3], trace.expert_bytes, trace.model.as_str()), (1.0, 10, "m.gguf"));
    assert!(trace.early(0, 1).is_empty());
}

#[test]
fn a_csv_that_is_wrong_says_where() {
    let said = |from: &str, to: &str| Trace::parse(CSV.replace(from, to).as_bytes()).unwrap_err().to_string();
    assert_eq!(said("0,1,1,1,0,3", "0,1,1,2,0,3"), "line 7: layer is `2`; it must be a number below 2");
    assert_eq!(said("0,1,1,1,0,3", "0,1,1,1,1,3"), "line 7: slot is `1`; it must be a number below 1");
    assert_eq!(said("0,1,1,1,0,3", "0,1,1,0,0,3"), "line 7: token 0, layer 0, slot 0 is there twice");
    assert_eq!(said("0,1,1,1,0,3,0.5,0,0\n", "0,1,1,1\n"), "line 7: slot is ``; it must be a number below 1");
    assert_eq!(said("0,1,1,1,0,3,0.5", "0,0,1,1,0,3,0.5"), "token 0, layer 1: some experts are missing");
    assert_eq!(
        said("n_expert=4", "n_expert=4000000000"),
        "the number of experts is 4000000000; it must be from 1 to 4096"
    );
    assert!(said("n_layer=2", "n_layer=4096").starts_with("the trace is cut off: 3 lines of at least 4096"));
    assert!(said("expert,", "expret,").starts_with("this is no trace"));
    assert!(said("0.5", "x").contains("weight is `x`"));
}

#[test]
fn claims_beyond_the_file_are_refused() {
    let good = file(&small());
    let said = |bytes: &[u8]| Trace::parse(bytes).unwrap_err();
    for len in 0..good.len() {
        let _ = said(&good[..len]);
    }
    assert!(matches!(said(&[&good[..], &[0]].concat()), TraceError::Longer(1)));
    assert!(matches!(said(&[0x1F, 0x8B, 8, 0]), TraceError::Gzip));
    assert!(matches!(said(b""), TraceError::NotOne));
    assert!(matches!(said(b"\xFF\xFE"), TraceError::NotOne));
    let (head, body) = good[12..].split_at(u32::from_le_bytes(good[8..12].try_into().unwrap()) as usize);
    let with = |from: &str, to: &str| {
        let json = std::str::from_utf8(head).unwrap();
        assert!(json.contains(from), "{json}");
        let json = json.replace(from, to);
        let len = u32::try_from(json.len()).unwrap().to_le_bytes();
        said(&[&good[..8], &len, json.as_bytes(), body].concat())
    };
    for (from, to) in [
        ("\"n_tokens\":3", "\"n_tokens\":18446744073709551615"),
        ("\"n_tokens\":3", "\"n_tokens\":4"),
        ("\"n_tokens\":3", "\"n_tokens\":2"),
        ("\"n_tokens\":3", "\"n_tokens\":0"),
        ("\"n_layers\":2", "\"n_layers\":4294967296"),
        ("\"n_layers\":2", "\"n_layers\":0"),
        ("\"n_layers\":2", "\"n_layers\":-1"),
        ("\"n_experts\":8", "\"n_experts\":5000"),
        ("\"n_experts\":8", "\"n_experts\":7"),
        ("\"n_experts\":8", "\"n_experts\":\"8\""),
        ("\"top_k\":2", "\"top_k\":9"),
        ("\"n_pred\":3", "\"n_pred\":300"),
    ] {
        println!("{to}: {}", with(from, to));
    }
    let mut long = good.clone();
    long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(said(&long), TraceError::Range { key: "the length of the header", .. }));
}

#[test]
fn any_bytes_are_a_trace_or_an_error() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for good in [file(&small()), CSV.as_bytes().to_vec()] {
        let mut traces = 0;
        for _ in 0..4000 {
            let mut bytes = good.clone();
            for _ in 0..1 + rng.next_u32() % 3 {
                let at = rng.next_u32() as usize % bytes.len();
                bytes[at] = rng.next_u32().to_le_bytes()[0];
            }
            bytes.truncate(bytes.len() - usize::from(rng.next_u32() % 4 == 0));
            if let Ok(trace) = Trace::parse(&bytes) {
                // what is read can be written
                assert_eq!(trace.chosen.len(), trace.tokens.len() * trace.shape.active());
                file(&trace);
                traces += 1;
            }
        }
        assert!(traces > 0 && traces < 4000);
    }
}
