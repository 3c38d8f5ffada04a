//! Templates and tokenizers as tables.

use std::sync::Arc;

use serde_json::{Value, json};
use stead_kernel::{Clock, Timestamp};

use super::{ChatTemplate, Tokenizer};
use crate::{
    error::{Error, Result},
    gguf::Gguf,
    testing::{self, FileOf, Item, LLAMA},
};

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_735_689_600).unwrap()
    }
}

fn read(file: &FileOf) -> Result<(Tokenizer, ChatTemplate)> {
    let written = file.write();
    let gguf = Gguf::open(written.path())?;
    let tokenizer = Tokenizer::read(&gguf, 10_000)?;
    let template = ChatTemplate::read(&gguf, &tokenizer, Arc::new(Stopped))?;
    Ok((tokenizer, template))
}

fn render(source: &str, messages: &Value, tools: Option<&Value>) -> Result<String> {
    let mut file = testing::model(LLAMA);
    file.set("tokenizer.chat_template", Item::Text(source.to_owned()));
    read(&file)?.1.render(messages.as_array().unwrap(), tools)
}

#[test]
fn templates_do_what_they_do_in_python() {
    let messages = json!([{"role": "user", "content": " Hi <b> "}]);
    let tools =
        json!([{"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": [1, "é<"]}}}]);
    let cases = [
        (
            "{% for m in messages %}{{ m.role }}:{{ m['content'].strip() }}{% endfor %}",
            "user:Hi <b>",
        ),
        (
            "{{ messages[0].content.startswith(' H') }} {{ 'a,b'.split(',')[1] }}",
            "True b",
        ),
        (
            "{{ tools[0].function | tojson }}",
            r#"{"name": "f", "parameters": {"b": 1, "a": [1, "é<"]}}"#,
        ),
        ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
        ("{{ strftime_now('%d %b %Y') }}", "01 Jan 2025"),
        (
            "{%- for m in messages %}{% if loop.first %}{% continue %}{% endif %}x{% endfor %}{{ eos_token }}",
            "<|im_end|>",
        ),
        (
            "{% if add_generation_prompt %}\n  {% if x is not defined %}\nyes\n  {% endif %}\n{% endif %}",
            "yes\n",
        ),
        (
            "{% set ns = namespace(n=0) %}{% for k, v in messages[0].items() %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
            "2",
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(
            render(source, &messages, Some(&tools)).as_deref(),
            Ok(expected),
            "{source}"
        );
    }
}

#[test]
fn messages_reach_the_template_as_text() {
    let source = "{% for m in messages %}[{{ m.role }}|{{ m.content }}|{% if m.tool_calls %}{{ m.tool_calls[0].function.arguments.x }}{% endif %}]{% endfor %}";
    let messages = json!([
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": "{\"x\": 7}"}}]},
    ]);
    assert_eq!(
        render(source, &messages, None).unwrap(),
        "[system|be brief|][user|ab|][assistant||7]"
    );
}

#[test]
fn what_a_template_or_message_gets_wrong_is_said() {
    let hello = json!([{"role": "user", "content": "hi"}]);
    let cases = [
        (
            "{{ raise_exception('no system here') }}",
            hello.clone(),
            "the model's chat template refuses the messages: no system here",
        ),
        ("x", json!([]), "there are no messages"),
        ("x", json!(["hi"]), "message 0 is no object"),
        ("x", json!([{"content": "hi"}]), "message 0 has no role"),
        (
            "x",
            json!([{"role": "user", "content": 3}]),
            "the content of message 0 is no text",
        ),
        (
            "x",
            json!([{"role": "user", "content": [{"type": "image_url"}]}]),
            "message 0 has a part that is no text, and the model reads nothing else",
        ),
    ];
    for (source, messages, message) in cases {
        assert_eq!(
            render(source, &messages, None),
            Err(Error::Request(message.to_owned()))
        );
    }
    assert!(matches!(render("{% if %}", &hello, None), Err(Error::Damaged(_))));
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    assert!(matches!(render(endless, &hello, None), Err(Error::Request(_))));
}

#[test]
fn without_a_template_chat_ml_serves_where_its_tokens_are() {
    let (tokenizer, template) = read(&testing::model(LLAMA)).unwrap();
    let prompt = template
        .render(&[json!({"role": "user", "content": "the"})], None)
        .unwrap();
    assert_eq!(prompt, "<|im_start|>user\nthe<|im_end|>\n<|im_start|>assistant\n");
    let tokens = tokenizer.encode(&prompt).unwrap();
    let text: Vec<u8> = tokens
        .iter()
        .flat_map(|token| tokenizer.bytes(*token).to_vec())
        .collect();
    assert_eq!(String::from_utf8_lossy(&text), "user\nthe\nassistant\n");
}

#[test]
fn byte_pairs_are_merged_and_any_text_survives() {
    let (tokenizer, _) = read(&testing::model(LLAMA)).unwrap();
    let names = testing::tokens();
    let spelled = |text: &str| -> Vec<String> {
        tokenizer
            .encode(text)
            .unwrap()
            .iter()
            .map(|token| names[*token as usize].clone())
            .collect()
    };
    assert_eq!(spelled("the the"), ["the", "Ġthe"]);
    assert_eq!(spelled("42"), ["4", "2"]);
    assert_eq!(spelled("a<|im_end|>"), ["a", "<|im_end|>"]);
    for text in ["", "héllo 世界 🎉\n\t x", "<|im_en", "\u{0}\u{7f}"] {
        let tokens = tokenizer.encode(text).unwrap();
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|token| tokenizer.bytes(*token).to_vec())
            .collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }
}

#[test]
fn pieces_get_their_spaces_start_and_bytes() {
    let mut file = FileOf::default();
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(["▁", "h", "i", "hi", "▁hi"].map(str::to_owned));
    let kinds = (0..tokens.len()).map(|token| match token {
        0 => 2,
        1 | 2 => 3,
        3..259 => 6,
        _ => 1,
    });
    let scores = (0..tokens.len()).map(|token| if token > 261 { -1.0 } else { -9.0 });
    file.set("tokenizer.ggml.model", Item::Text("llama".to_owned()));
    file.set("tokenizer.ggml.token_type", Item::Integers(kinds.collect()));
    file.set("tokenizer.ggml.scores", Item::Numbers(scores.collect()));
    file.set("tokenizer.ggml.bos_token_id", Item::Integer(1));
    file.set("tokenizer.ggml.eos_token_id", Item::Integer(2));
    file.set("tokenizer.ggml.tokens", Item::Texts(tokens));
    let (tokenizer, template) = read(&file).unwrap();
    assert_eq!(tokenizer.encode("hi hi").unwrap(), [1, 263, 263]);
    assert_eq!(tokenizer.encode("<s>hi\n").unwrap(), [1, 262, 13]);
    assert_eq!(tokenizer.bytes(263), b" hi");
    assert_eq!(tokenizer.bytes(13), b"\n");
    assert!(tokenizer.is_end(2) && !tokenizer.is_end(1));
    let refused = template.render(&[json!({"role": "user", "content": "hi"})], None);
    assert_eq!(refused, Err(Error::unsupported("its file has no chat template")));
}
