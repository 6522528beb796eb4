//! The library, as a program that embeds it uses it.

use std::ops::ControlFlow;

use symbiote_runtime::engine::{EngineError, GenerateOptions, OpenOptions, Sampling, Stop, SymbioteEngine};
use symbiote_tests::{fixtures, relative_error};

use super::open;

/// Ids that are as good as any.
fn ids(n: u32) -> Vec<u32> {
    (0..n).map(|i| (i * 37 + 11) % 320).collect()
}

fn difference(a: &[f32], b: &[f32]) -> f64 {
    let b: Vec<f64> = b.iter().map(|b| f64::from(*b)).collect();
    relative_error(a, &b)
}

#[test]
fn a_sequence_in_chunks_is_the_sequence() {
    let mut engine = open("tiny-llama", &OpenOptions::default());
    let ids = ids(50);
    let whole = engine.forward(&ids).unwrap();
    assert_eq!(whole.len(), engine.config().vocab_size as usize);
    assert_eq!(engine.sequence(), ids);
    for cuts in [&[50][..], &[1, 49], &[7, 8, 9, 26], &[25, 24, 1], &[1; 50]] {
        engine.truncate(0);
        let mut at = 0;
        let mut last = Vec::new();
        for cut in cuts {
            last = engine.forward(&ids[at..at + cut]).unwrap();
            at += cut;
        }
        assert!(difference(&last, &whole) < 1e-4, "{cuts:?}: {}", difference(&last, &whole));
    }
    // the batch cuts as well
    let mut small = open("tiny-llama", &OpenOptions { batch: Some(16), ..OpenOptions::default() });
    assert!(difference(&small.forward(&ids).unwrap(), &whole) < 1e-4);
}

#[test]
fn what_is_truncated_and_computed_again_is_the_same_to_the_bit() {
    let mut engine = open("tiny-llama", &OpenOptions::default());
    let ids = ids(40);
    engine.forward(&ids[..30]).unwrap();
    let first = engine.forward(&ids[30..]).unwrap();
    engine.truncate(30);
    engine.forward(&[5, 6, 7]).unwrap();
    engine.truncate(30);
    assert_eq!(engine.forward(&ids[30..]).unwrap(), first);
}

#[test]
fn logits_are_given_from_the_first_asked_for() {
    let mut engine = open("tiny-llama", &OpenOptions { batch: Some(16), ..OpenOptions::default() });
    let ids = ids(40);
    let mut rows = Vec::new();
    engine.forward_from(&ids, 13, &mut |i, row| rows.push((i, row.to_vec()))).unwrap();
    assert_eq!(rows.iter().map(|(i, _)| *i).collect::<Vec<_>>(), (13..40).collect::<Vec<_>>());
    for (i, row) in [&rows[0], &rows[20]] {
        engine.truncate(0);
        assert!(difference(&engine.forward(&ids[..=*i]).unwrap(), row) < 1e-4);
    }
}

#[test]
fn the_callback_hears_the_whole_text_and_stops_it() {
    let mut engine = open("tiny-llama", &OpenOptions { batch: Some(16), ..OpenOptions::default() });
    let options = GenerateOptions {
        max_tokens: 40,
        sampling: Sampling::greedy(),
        ignore_stop: true,
        ..GenerateOptions::default()
    };
    let mut heard = String::new();
    let mut listen = |text: &str| {
        heard.push_str(text);
        ControlFlow::Continue(())
    };
    let whole = engine.generate("the end", &options, &mut listen).unwrap();
    assert_eq!((whole.stop, whole.tokens.len(), &whole.text), (Stop::MaxTokens, 40, &heard));

    let mut calls = 0;
    let mut stop = |_: &str| {
        calls += 1;
        if calls == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let part = engine.generate("the end", &options, &mut stop).unwrap();
    assert_eq!((part.stop, part.tokens.as_slice()), (Stop::Cancelled, &whole.tokens[..5]));
    assert_eq!(part.prompt_tokens, 1, "the rest of the prompt was in the cache");

    // a prompt of several passes is stopped between them
    engine.truncate(0);
    let long = engine.generate_from(&ids(100), &options, &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!((long.stop, long.prompt_tokens, long.tokens.len()), (Stop::Cancelled, 16, 0));
    // and can go on from there
    let rest = engine.generate_from(&ids(100), &options, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((rest.stop, rest.prompt_tokens), (Stop::MaxTokens, 84));
}

#[test]
fn the_context_ends_an_answer() {
    let mut engine = open("tiny-llama", &OpenOptions { context: Some(20), ..OpenOptions::default() });
    let options = GenerateOptions { ignore_stop: true, ..GenerateOptions::default() };
    let answer = engine.generate_from(&ids(12), &options, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((answer.stop, engine.sequence().len()), (Stop::ContextFull, 20));
    assert_eq!(engine.sequence()[12..], answer.tokens[..8]);
}

#[test]
fn misuse_is_an_error_and_changes_nothing() {
    let mut engine = open("tiny-llama", &OpenOptions { context: Some(20), ..OpenOptions::default() });
    let logits = engine.forward(&ids(10)).unwrap();
    assert!(matches!(engine.forward(&[]), Err(EngineError::EmptyPrompt)));
    assert!(matches!(engine.forward(&[320]), Err(EngineError::Token { token: 320, vocabulary: 320 })));
    let full = engine.forward(&ids(11));
    assert!(matches!(full, Err(EngineError::ContextFull { tokens: 11, used: 10, context: 20 })));
    let bad =
        GenerateOptions { sampling: Sampling { top_p: 0.0, ..Sampling::default() }, ..GenerateOptions::default() };
    let refused = engine.generate_from(&[1], &bad, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(EngineError::Sampling(_))));
    assert_eq!(engine.sequence(), ids(10));
    engine.truncate(9);
    assert!(difference(&engine.forward(&ids(10)[9..]).unwrap(), &logits) < 1e-4);
}

#[test]
fn progress_is_told_to_the_end() {
    let (tell, hear) = std::sync::mpsc::channel();
    let mut engine = SymbioteEngine::open(fixtures::pak("tiny-llama"), &OpenOptions::default()).unwrap();
    engine.on_load(Box::new(move |done, all| tell.send((done, all)).unwrap()));
    assert!(hear.try_recv().is_err(), "weights are read when they are needed");
    engine.forward(&[1]).unwrap();
    engine.forward(&[1]).unwrap();
    let heard: Vec<(u64, u64)> = hear.iter().collect();
    // how often depends on how fast the disk is
    assert!(heard.is_sorted(), "{heard:?}");
    assert!(heard.last().is_some_and(|(done, all)| done == all), "{heard:?}");
}
