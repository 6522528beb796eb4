//! Chat templates by name, for models that come without one: the turns of the published formats, and no more.

/// The template called `name`, one of [`NAMES`].
pub fn named_template(name: &str) -> Option<&'static str> {
    let (_, template) = TEMPLATES.iter().find(|(known, _)| *known == name)?;
    Some(template)
}

/// What [`named_template`] knows.
pub const NAMES: [&str; 7] = ["chatml", "gemma", "granite", "llama2", "llama3", "mistral", "phi3"];

const TEMPLATES: [(&str, &str); 7] = [
    (
        "chatml",
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}\
         {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    ),
    (
        "gemma",
        "{{ bos_token }}{% for m in messages %}\
         {% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}\
         {{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim + '<end_of_turn>\n' }}\
         {% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
    ),
    (
        "granite",
        "{% for m in messages %}\
         {{ '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content + '<|end_of_text|>\n' }}{% endfor %}\
         {% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}",
    ),
    (
        "llama2",
        "{% set ns = namespace(system='') %}{% for m in messages %}\
         {% if m.role == 'system' %}{% set ns.system = '<<SYS>>\n' + m.content + '\n<</SYS>>\n\n' %}\
         {% elif m.role == 'user' %}{{ bos_token + '[INST] ' + ns.system + m.content | trim + ' [/INST]' }}{% set ns.system = '' %}\
         {% else %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}",
    ),
    (
        "llama3",
        "{{ bos_token }}{% for m in messages %}\
         {{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}\
         {% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    ),
    (
        "mistral",
        "{% set ns = namespace(system='') %}{{ bos_token }}{% for m in messages %}\
         {% if m.role == 'system' %}{% set ns.system = m.content + '\n\n' %}\
         {% elif m.role == 'user' %}{{ '[INST] ' + ns.system + m.content + ' [/INST]' }}{% set ns.system = '' %}\
         {% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}",
    ),
    (
        "phi3",
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}\
         {% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{ChatTemplate, Message};

    #[test]
    fn every_name_renders_a_conversation_with_all_that_was_said() {
        for name in NAMES {
            let template = ChatTemplate::new(named_template(name).unwrap(), "<s>", "</s>").unwrap();
            let turns = [("user", "one"), ("assistant", "two"), ("user", "three")];
            let mut messages: Vec<Message> = turns.map(|(role, text)| Message::new(role, text)).to_vec();
            let text = template.render(&messages, true).unwrap();
            assert!(turns.iter().all(|(_, said)| text.contains(said)), "{name}: {text}");
            messages.insert(0, Message::new("system", "zero"));
            let refused = template.render(&messages, true).map(|text| assert!(text.contains("zero"), "{name}: {text}"));
            assert_eq!(refused.is_err(), name == "gemma");
        }
        assert_eq!(named_template("x"), None);
    }
}
