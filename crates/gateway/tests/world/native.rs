//! Providers that offer OpenAI's responses API besides chat completions.

use http::StatusCode;
use serde_json::{Value, json};
use stead_kernel::ports::events::Outcome;
use stead_testkit::World;

use crate::{
    providers::{Act, End, Provider, answer},
    stage::{KEY, Reply, Stage},
};

async fn with(provider: &Provider, spec: Value) -> Stage {
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", spec).await;
    stage
}

fn native() -> Value {
    json!({"responses": true})
}

/// A response that searched the web.
fn searched(id: &str) -> String {
    format!(
        "{{\"id\": \"{id}\", \"object\":\"response\",  \"status\":\"completed\", \"model\":\"m-1\", \"future\": 1e2, \"output\":[\
         {{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[]}},\
         {{\"type\":\"web_search_call\",\"id\":\"ws_1\",\"status\":\"completed\"}},\
         {{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"status\":\"completed\",\"content\":[\
         {{\"type\":\"output_text\",\"text\":\"It rained.\",\"annotations\":[]}}]}}],\
         \"usage\":{{\"input_tokens\":9,\"output_tokens\":3,\"total_tokens\":12}}}}"
    )
}

fn say(text: String) -> Act {
    Act::Say(200, &[], text)
}

const STREAM: [&str; 4] = [
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_s\",\"model\":\"m\"},\"sequence_number\":0}\n\n",
    "event: response.web_search_call.searching\ndata: {\"type\":\"response.web_search_call.searching\",\"output_index\":0,\"item_id\":\"ws_1\",\"sequence_number\":1}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":1,\"delta\":\"It rained.\",\"sequence_number\":2}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_s\",\"object\":\"response\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":9,\"output_tokens\":3}},\"sequence_number\":3}\n\n",
];

async fn kept(stage: &Stage, id: &str) -> Reply {
    stage.get(&format!("/v1/responses/{id}"), KEY).await
}

#[tokio::test]
async fn a_response_passes_byte_for_byte_and_is_kept_under_the_providers_id() {
    let provider = Provider::script([say(searched("resp_1")), say(searched("resp_2"))]);
    let stage = with(&provider, native()).await;
    let body = " {\"model\":\"p/m\", \"input\":\"What happened?\",\"future\":{\"a\":1e2},
        \"tools\":[{\"type\":\"web_search\"}],\"tool_choice\":{\"type\":\"web_search\"}}";
    let reply = stage.post("/v1/responses", body).await;
    assert_eq!((reply.status, reply.text()), (StatusCode::OK, searched("resp_1")));
    let asked = provider.asked().remove(0);
    assert_eq!(
        (asked.path.as_str(), &asked.body[..]),
        ("/v1/responses", body.replace("p/m", "m").as_bytes())
    );
    assert_eq!(kept(&stage, "resp_1").await.json(), reply.json());
    let row = stage.row().await;
    assert_eq!(
        (row.outcome, row.usage.input, row.usage.output),
        (Outcome::Ok, 9, 3)
    );

    // The provider need not have kept anything of it, nor be the one that is asked next.
    let next = json!({"model": "p/m", "input": "And then?", "previous_response_id": "resp_1"});
    let reply = stage.post("/v1/responses", &next.to_string()).await;
    assert_eq!(reply.json()["previous_response_id"], "resp_1", "{}", reply.text());
    let asked = provider.asked().remove(1).json();
    assert_eq!(asked.get("previous_response_id"), None);
    let items = asked["input"].as_array().unwrap();
    let kinds: Vec<&str> = items.iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(kinds, ["message", "web_search_call", "message", "message"]);
    assert_eq!(items[0].get("id"), None, "an id of ours means nothing to others");
}

#[tokio::test]
async fn a_streamed_response_passes_as_it_is_and_is_kept_when_it_ends() {
    let provider = Provider::script([Act::Stream(STREAM.to_vec(), End::Close)]);
    let stage = with(&provider, native()).await;
    let body = json!({"model": "p/m", "stream": true, "tools": [{"type": "web_search"}], "input": [
        {"role": "user", "content": "hi"}, {"type": "web_search_call", "id": "ws_0", "status": "completed"}]});
    let reply = stage.post("/v1/responses", &body.to_string()).await;
    assert_eq!(reply.text(), STREAM.concat());
    assert_eq!(kept(&stage, "resp_s").await.json()["status"], "completed");
    let row = stage.row().await;
    assert_eq!(
        (row.outcome, row.usage.input, row.usage.output),
        (Outcome::Ok, 9, 3)
    );
    assert_eq!(row.output.as_deref(), Some("It rained."));
}

#[tokio::test]
async fn a_response_that_breaks_off_ends_in_an_error_of_the_dialect() {
    let provider = Provider::script([Act::Stream(STREAM[..3].to_vec(), End::Break)]);
    let stage = with(&provider, native()).await;
    let body = json!({"model": "p/m", "stream": true, "input": "hi"});
    let text = stage.post("/v1/responses", &body.to_string()).await.text();
    assert!(
        text.contains("It rained.") && text.contains("response.failed"),
        "{text}"
    );
    assert_ne!(stage.row().await.outcome, Outcome::Ok);
}

#[tokio::test]
async fn an_answer_never_replaces_another_that_was_kept_under_its_id() {
    let other = searched("resp_1").replace("rained", "snowed");
    let provider = Provider::script([say(searched("resp_1")), say(other)]);
    let stage = with(&provider, native()).await;
    let body = json!({"model": "p/m", "input": "hi"}).to_string();
    let first = stage.post("/v1/responses", &body).await;
    let second = stage.post("/v1/responses", &body).await;
    assert!(
        second.header("x-stead-warnings").contains("could not be kept"),
        "{:?}",
        second.text()
    );
    assert_eq!(kept(&stage, "resp_1").await.json(), first.json());
}

#[tokio::test]
async fn a_chat_goes_to_responses_only_when_chat_completions_cannot_say_it() {
    let provider = Provider::script([answer("Hello"), say(searched("resp_1"))]);
    let stage = with(&provider, native()).await;
    let plain = json!({"model": "p/m", "messages": [{"role": "user", "content": "about \"web_search\""}]});
    let reply = stage.chat(plain).await;
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello");
    let tools = json!({"model": "p/m", "messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "web_search"}]});
    let reply = stage.chat(tools).await;
    assert_eq!(
        reply.json()["choices"][0]["message"]["content"],
        "It rained.",
        "{}",
        reply.text()
    );
    let paths: Vec<String> = provider.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/v1/chat/completions", "/v1/responses"]);
    let asked = provider.asked().remove(1).json();
    assert_eq!((&asked["store"], &asked["model"]), (&json!(false), &json!("m")));
}

#[tokio::test]
async fn thoughts_that_a_client_of_anthropic_asks_for_come_from_responses() {
    let provider = Provider::script([say(
        json!({"id": "resp_1", "status": "completed", "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "b3BhcXVl"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}],
            "usage": {"input_tokens": 9, "output_tokens": 3}})
        .to_string(),
    )]);
    let stage = with(&provider, native()).await;
    let body = json!({"model": "p/m", "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "summarized"},
        "messages": [{"role": "user", "content": "hi"}]});
    let reply = stage.post("/v1/messages", &body.to_string()).await.json();
    assert_eq!(
        reply["content"][0],
        json!({"type": "thinking", "thinking": "Hm.", "signature": "openai:b3BhcXVl"})
    );
    let asked = provider.asked().remove(0).json();
    assert_eq!(asked["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(asked["reasoning"], json!({"effort": "low", "summary": "auto"}));
}

#[tokio::test]
async fn what_only_responses_can_say_is_refused_where_they_are_not_offered() {
    let provider = Provider::script([answer("Hello")]);
    let stage = with(&provider, json!({})).await;
    let body = json!({"model": "p/m", "input": "hi", "tools": [{"type": "web_search"}]});
    let reply = stage.post("/v1/responses", &body.to_string()).await;
    assert_eq!(reply.error().0, 400, "{}", reply.text());
    let body = json!({"model": "p/m", "input": [{"role": "user", "content": "hi"}, {"type": "web_search_call", "id": "ws_1"}]});
    let reply = stage.post("/v1/responses", &body.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert!(
        reply
            .header("x-stead-warnings")
            .contains("steps of another provider's own tools")
    );
}
