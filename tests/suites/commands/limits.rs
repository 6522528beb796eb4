//! What ends an answer, and what it must look like.

use std::ops::ControlFlow;

use serde_json::{Value, json};
use symbiote_runtime::engine::{
    EngineError, GenerateOptions, Generation, Grammar, OpenOptions, Sampling, Stop, SymbioteEngine,
};
use symbiote_tests::fixtures;
use symbiote_tests::program::{RUN, done, refused};

use super::open;

fn smollm2() -> SymbioteEngine {
    let options = OpenOptions { context: Some(256), ..OpenOptions::default() };
    SymbioteEngine::open(fixtures::smollm2(), &options).unwrap()
}

fn greedy(max_tokens: u32) -> GenerateOptions {
    GenerateOptions { max_tokens, sampling: Sampling::greedy(), ignore_stop: true, ..GenerateOptions::default() }
}

/// The answer, and what the callback heard.
fn answer(engine: &mut SymbioteEngine, prompt: &str, options: &GenerateOptions) -> (Generation, Vec<String>) {
    let mut heard = Vec::new();
    let mut listen = |text: &str| {
        heard.push(text.to_owned());
        ControlFlow::Continue(())
    };
    let answer = engine.generate(prompt, options, &mut listen).unwrap();
    (answer, heard)
}

#[test]
fn an_answer_ends_before_a_text_and_prints_nothing_of_it() {
    let mut engine = smollm2();
    let prompt = "The capital of France is";
    let (whole, _) = answer(&mut engine, prompt, &greedy(24));
    assert_eq!(whole.stop, Stop::MaxTokens);
    // any stretch of the text, across the borders of its tokens
    let chars: Vec<char> = whole.text.chars().collect();
    for (from, to) in [(0, 1), (3, 5), (7, 20), (22, chars.len())] {
        let stop: String = chars[from..to].iter().collect();
        let options = GenerateOptions { stop: vec!["never there".into(), stop.clone()], ..greedy(24) };
        let (cut, heard) = answer(&mut engine, prompt, &options);
        assert_eq!(cut.stop, Stop::StopText, "{stop:?}");
        assert_eq!(cut.text, whole.text[..whole.text.find(&stop).unwrap()], "{stop:?}");
        assert_eq!(heard.concat(), cut.text);
        assert!(whole.tokens.starts_with(&cut.tokens));
    }
    // held back, and passed on where it was no beginning after all
    let options = GenerateOptions { stop: vec![whole.text.clone() + "?!"], ..greedy(24) };
    let (same, heard) = answer(&mut engine, prompt, &options);
    assert_eq!((same.stop, &same.text), (Stop::MaxTokens, &whole.text));
    assert_eq!(heard.last(), Some(&whole.text), "all of it was held back");
}

#[test]
fn probabilities_come_with_tokens() {
    let pak = fixtures::pak("tiny-llama");
    let pak = pak.to_str().unwrap();
    let args = [pak, "--raw", "-p", "the end", "-n", "6", "--temp", "0", "--ignore-stop", "--json", "--n-probs", "3"];
    let found: Value = serde_json::from_str(&done(RUN, ".".as_ref(), &args)).unwrap();
    let probs = found["probs"].as_array().unwrap();
    assert_eq!(probs.len(), 6);
    for (token, id) in probs.iter().zip(found["ids"].as_array().unwrap()) {
        let best = token["best"].as_array().unwrap();
        let logprobs: Vec<f64> = best.iter().map(|b| b["logprob"].as_f64().unwrap()).collect();
        assert_eq!((&token["id"], best.len()), (id, 3));
        // the greedy one is the best, and says the same of itself
        assert!(["id", "text", "bytes", "logprob"].iter().all(|key| token[key] == best[0][key]), "{token}");
        assert!(logprobs[0] >= logprobs[1] && logprobs[1] >= logprobs[2] && logprobs[0] < 0.0, "{token}");
        assert!(logprobs.iter().map(|p| p.exp()).sum::<f64>() <= 1.0 + 1e-6, "{token}");
        let bytes: Vec<u8> = token["bytes"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect();
        assert_eq!(token["text"], String::from_utf8_lossy(&bytes).as_ref());
    }
    let plain: Value = serde_json::from_str(&done(RUN, ".".as_ref(), &args[..args.len() - 2])).unwrap();
    assert!(plain.get("probs").is_none());
    assert_eq!(plain["ids"], found["ids"]);
}

#[test]
fn a_schema_holds_at_every_temperature() {
    let mut engine = smollm2();
    let schema = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "maxLength": 12 },
            "age": { "type": "integer", "minimum": 0, "maximum": 150 },
            "tags": { "type": "array", "items": { "enum": ["a", "b", null] }, "maxItems": 3 },
        },
        "required": ["name", "age", "tags"],
        "additionalProperties": false,
    });
    for seed in 0..6 {
        let options = GenerateOptions {
            max_tokens: 200,
            sampling: Sampling { temperature: 1.5, seed, ..Sampling::open() },
            grammar: Some(Grammar::JsonSchema(schema.to_string())),
            ..GenerateOptions::default()
        };
        let (found, _) = answer(&mut engine, "Describe a person.", &options);
        assert_eq!(found.stop, Stop::EndOfAnswer, "{:?}", found.text);
        let value: Value = serde_json::from_str(&found.text).unwrap_or_else(|e| panic!("{e}: {:?}", found.text));
        let object = value.as_object().unwrap();
        assert_eq!(object.keys().collect::<Vec<_>>(), ["name", "age", "tags"], "{value}");
        assert!(value["name"].as_str().unwrap().chars().count() <= 12, "{value}");
        assert!(value["age"].as_i64().is_some_and(|age| (0..=150).contains(&age)), "{value}");
        let tags = value["tags"].as_array().unwrap();
        assert!(tags.len() <= 3 && tags.iter().all(|t| t.is_null() || *t == "a" || *t == "b"), "{value}");
    }
}

#[test]
fn a_grammar_allows_what_it_derives() {
    let mut engine = smollm2();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..12 {
        let options = GenerateOptions {
            sampling: Sampling { temperature: 1.5, seed, ..Sampling::open() },
            grammar: Some(Grammar::Gbnf("root ::= \"yes\" | \"no\"".into())),
            // a grammar ends an answer all the same
            ignore_stop: seed % 2 == 0,
            ..GenerateOptions::default()
        };
        let (found, _) = answer(&mut engine, "Is the sky blue? ", &options);
        assert_eq!(found.stop, Stop::EndOfAnswer);
        seen.insert(found.text);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["no", "yes"]);
    let options = GenerateOptions { grammar: Some(Grammar::Regex("[0-9]{3}-[a-f]{2}".into())), ..greedy(99) };
    let (found, _) = answer(&mut engine, "A code: ", &options);
    let (digits, letters) = found.text.split_once('-').unwrap();
    assert!(digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()), "{}", found.text);
    assert!(letters.len() == 2 && letters.bytes().all(|b| (b'a'..=b'f').contains(&b)), "{}", found.text);
}

#[test]
fn grammars_and_schemas_that_do_not_do() {
    let mut engine = open("tiny-llama", &OpenOptions::default());
    let mut sentence = |grammar| {
        let options = GenerateOptions { grammar: Some(grammar), ..greedy(1) };
        match engine.generate("a", &options, &mut |_| ControlFlow::Continue(())) {
            Err(EngineError::Grammar(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    };
    let schema = |text: &str| Grammar::JsonSchema(text.into());
    for (grammar, expected) in [
        (Grammar::Gbnf("root ::= yes".into()), "wrong in line 1, column 10: there is no rule yes"),
        (schema("{\"type\":\"array\",\"uniqueItems\":true}"), "uniqueItems"),
        (schema("{\"type\":\"string\",\"format\":\"poem\"}"), "poem"),
        (schema("{\"type\":\"objekt\"}"), "objekt"),
        (schema("{\"type\":"), "the JSON schema is not JSON: EOF while parsing"),
        (Grammar::Regex("[a".into()), "the regular expression cannot be used: "),
    ] {
        let found = sentence(grammar);
        println!("{found}");
        assert!(found.contains(expected) && !found.contains('\n'), "{found:?} does not say {expected:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("g.gbnf"), "root ::= \"a\"\nroot ::= (\n").unwrap();
    let pak = fixtures::pak("tiny-llama");
    let pak = pak.to_str().unwrap();
    refused(
        RUN,
        folder.path(),
        [pak, "-p", "a", "--grammar", "g.gbnf"],
        &["line 2, column 1: the rule root is there twice"],
    );
    refused(RUN, folder.path(), [pak, "-p", "a", "--grammar", "nothing"], &["nothing: there is no such file"]);
    refused(RUN, folder.path(), [pak, "-p", "a", "-j", "{\"minContains\":1}"], &["minContains"]);
}
