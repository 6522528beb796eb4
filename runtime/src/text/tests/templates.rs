//! Published templates, rendered as transformers renders them. They are other people's and not kept here, so the test runs
//! where `SYMBIOTE_TEMPLATE_DIR` names a folder of them, such as llama.cpp's `models/templates`; `make_digests.py` in
//! `tests/fixtures/templates` asked transformers.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::text::{ChatTemplate, Message};

/// 2024-07-26, 13:05:09, as in `make_digests.py`.
fn now() -> u64 {
    1_721_999_109
}

fn render(source: &str, conversation: &Value) -> Result<String, crate::text::TextError> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let messages = conversation["messages"].as_array().unwrap().iter();
    let messages: Vec<Message> = messages.map(|m| Message::new(text(&m["role"]), text(&m["content"]))).collect();
    let prompt = conversation["add_generation_prompt"].as_bool().unwrap();
    let mut template = ChatTemplate::with_clock(source, "<s>", "</s>", now)?;
    let others = conversation
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| !["messages", "add_generation_prompt"].contains(&key.as_str()));
    others.for_each(|(key, value)| template.set(key, value));
    template.render(&messages, prompt)
}

#[test]
#[ignore = "needs SYMBIOTE_TEMPLATE_DIR"]
fn published_templates_give_the_text_of_transformers() {
    let templates =
        std::env::var("SYMBIOTE_TEMPLATE_DIR").expect("SYMBIOTE_TEMPLATE_DIR names the folder of templates");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/templates");
    let read = |name: &str| std::fs::read_to_string(fixtures.join(name)).unwrap();
    let conversations: Vec<Value> = serde_json::from_str(&read("conversations.json")).unwrap();
    let golden: BTreeMap<String, Vec<String>> = serde_json::from_str(&read("digests.json")).unwrap();
    let mut differ = 0;
    for (name, row) in &golden {
        let source = std::fs::read_to_string(Path::new(&templates).join(format!("{name}.jinja"))).unwrap();
        assert_eq!(row.len(), conversations.len());
        for (number, (conversation, expected)) in conversations.iter().zip(row).enumerate() {
            let (found, text) = match render(&source, conversation) {
                Ok(text) => (symbiote_format::hex(Sha256::digest(&text).as_slice()), text),
                Err(error) => ("refused".into(), error.to_string()),
            };
            if found != *expected {
                differ += 1;
                println!("{name}, conversation {number}: {text:?}");
                if let Ok(folder) = std::env::var("SYMBIOTE_TEMPLATE_OUT") {
                    std::fs::write(Path::new(&folder).join(format!("{name}.{number}.txt")), &text).unwrap();
                }
            }
        }
    }
    assert_eq!(differ, 0, "of {}", golden.len() * conversations.len());
}
