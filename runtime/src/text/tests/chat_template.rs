//! Templates of the shapes that published models have, written anew.

use crate::text::{ChatTemplate, Message, TextError};

const CHATML: &str =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
Be kind.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}";

const LLAMA3: &str = "{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now('%d %b %Y') %}
    {%- endif %}
{%- endif %}
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + ('Tools: ' ~ (tools | tojson) if tools is not none else '') + system + '<|eot_id|>' }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
";

const MISTRAL: &str = "{%- set ns = namespace(users=0) %}{{ bos_token }}{% for message in messages %}
    {%- if (message['role'] == 'user') != (ns.users % 2 == 0) %}
        {{- raise_exception('Roles must alternate user/assistant!') }}
    {%- endif %}
    {%- set ns.users = ns.users + 1 %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + message['content'].strip() + ' [/INST]' }}
    {%- else %}
        {{- ' ' ~ message['content'] ~ eos_token }}
    {%- endif %}
{%- endfor %}";

const GEMMA: &str = "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}";

fn conversation(turns: &[(&str, &str)]) -> Vec<Message> {
    turns.iter().map(|&(role, content)| Message::new(role, content)).collect()
}

fn render(template: &str, turns: &[(&str, &str)], prompt: bool) -> Result<String, TextError> {
    ChatTemplate::new(template, "<s>", "</s>")?.render(&conversation(turns), prompt)
}

const TURNS: [(&str, &str); 3] = [("user", " Hi "), ("assistant", "Hello."), ("user", "Bye")];

#[test]
fn chatml() {
    assert_eq!(
        render(CHATML, &TURNS, true).unwrap(),
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(
        render(CHATML, &[("system", "S"), ("user", "U")], false).unwrap(),
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
    );
}

#[test]
fn llama3() {
    assert_eq!(
        render(LLAMA3, &[("system", " S\n"), ("user", " Hi ")], true).unwrap(),
        "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    );
}

#[test]
fn mistral_and_its_refusal() {
    assert_eq!(render(MISTRAL, &TURNS, true).unwrap(), "<s>[INST] Hi [/INST] Hello.</s>[INST] Bye [/INST]");
    let error = render(MISTRAL, &[("user", "a"), ("user", "b")], true).unwrap_err();
    assert!(
        matches!(&error, TextError::ChatTemplateRender { reason } if reason.contains("Roles must alternate")),
        "{error}"
    );
}

#[test]
fn gemma() {
    assert_eq!(
        render(GEMMA, &TURNS, true).unwrap(),
        "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n"
    );
}

#[test]
fn blocks_alone_on_a_line_leave_no_trace() {
    let template = "{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}\nend\n";
    assert_eq!(render(template, &TURNS, false).unwrap(), " Hi \nHello.\nBye\nend");
}

#[test]
fn what_templates_expect_of_python_is_there() {
    for (template, expected) in [
        ("{{ 'a,b'.split(',')[-1] }}{{ 'x'.startswith('x') }}{{ ' y '.strip() }}", "bTruey"),
        ("{% for m in messages %}{% if loop.index0 == 1 %}{% break %}{% endif %}{{ m.role }}{% endfor %}", "user"),
        ("{{ messages[0] | tojson }}", "{\"role\": \"user\", \"content\": \" Hi \"}"),
        ("{{ {'a': ['<']} | tojson(indent=1) }}", "{\n \"a\": [\n  \"<\"\n ]\n}"),
        ("{% generation %}a{%- endgeneration -%} b", "ab"),
        ("{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}", "role=user;content= Hi ;"),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('a') }}{{ messages[-1].content }}", "<a>Bye"),
        ("{{ tools is iterable }}{{ messages is iterable }}{{ 5 is iterable }}", "FalseTrueFalse"),
        ("{{ strftime_now('%Y') | length }}{{ none is none }}{{ missing }}", "4True"),
    ] {
        assert_eq!(render(template, &TURNS, false).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn bad_templates_are_refused() {
    assert_eq!(render("", &TURNS, true), Err(TextError::NoChatTemplate));
    assert!(matches!(render("{% if %}", &TURNS, true), Err(TextError::ChatTemplateSyntax { .. })));
    for endless in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ missing.role }}",
    ] {
        assert!(matches!(render(endless, &TURNS, true), Err(TextError::ChatTemplateRender { .. })), "{endless}");
    }
}
