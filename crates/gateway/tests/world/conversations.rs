//! Responses that the gateway keeps.

use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use stead_kernel::Body;
use stead_testkit::World;

use crate::{
    providers::{Provider, answer, whole_stream},
    stage::{KEY, Reply, Stage},
};

async fn with(provider: &Provider) -> Stage {
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", json!({})).await;
    stage
}

async fn ask(stage: &Stage, more: Value) -> Reply {
    let mut body = json!({"model": "p/m", "input": "hi"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    stage.post("/v1/responses", &body.to_string()).await
}

async fn delete(stage: &Stage, path: &str) -> Reply {
    let request = Request::builder()
        .method(Method::DELETE)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .body(Body::empty())
        .unwrap();
    stage.send(request).await
}

fn id(reply: &Reply) -> String {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_response_is_kept_and_the_next_one_goes_on_from_it() {
    let provider = Provider::script([answer("Hello"), answer("Again"), answer("Third")]);
    let stage = with(&provider).await;
    let first = ask(&stage, json!({})).await;
    let one = id(&first);
    let kept = stage.get(&format!("/v1/responses/{one}"), KEY).await;
    assert_eq!(kept.json(), first.json());
    let items = stage
        .get(&format!("/v1/responses/{one}/input_items"), KEY)
        .await
        .json();
    assert_eq!(items["data"][0]["content"][0]["text"], "hi", "{items}");

    let second = ask(&stage, json!({"input": "more", "previous_response_id": one})).await;
    let two = id(&second);
    assert_eq!(second.json()["previous_response_id"], json!(one));
    id(&ask(&stage, json!({"input": "most", "previous_response_id": two})).await);
    let asked = provider.asked();
    let texts: Vec<String> = asked[2].json()["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            let content = &message["content"];
            let text = content.as_str().or_else(|| content[0]["text"].as_str());
            format!("{}: {}", message["role"].as_str().unwrap(), text.unwrap())
        })
        .collect();
    assert_eq!(
        texts,
        [
            "user: hi",
            "assistant: Hello",
            "user: more",
            "assistant: Again",
            "user: most"
        ]
    );
}

#[tokio::test]
async fn a_streamed_response_can_be_read_once_its_stream_has_ended() {
    let provider = Provider::script([whole_stream()]);
    let stage = with(&provider).await;
    let reply = ask(&stage, json!({"stream": true})).await;
    let text = reply.text();
    let last = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["type"], "response.completed", "{text}");
    let id = last["response"]["id"].as_str().unwrap();
    let kept = stage.get(&format!("/v1/responses/{id}"), KEY).await;
    assert_eq!(kept.json(), last["response"]);
}

#[tokio::test]
async fn what_is_not_kept_cannot_be_gone_on_from() {
    let provider = Provider::script([answer("Hello"), answer("Hello")]);
    let stage = with(&provider).await;
    let secret = id(&ask(&stage, json!({"store": false})).await);
    let gone = id(&ask(&stage, json!({})).await);
    let path = format!("/v1/responses/{gone}");
    assert_eq!(
        delete(&stage, &path).await.json(),
        json!({"id": gone, "object": "response", "deleted": true})
    );
    for id in [secret.as_str(), gone.as_str(), "resp_x"] {
        let reply = ask(&stage, json!({"previous_response_id": id})).await;
        assert_eq!(reply.error(), (404, "previous_response_not_found".into()));
        let reply = stage.get(&format!("/v1/responses/{id}"), KEY).await;
        assert_eq!(reply.error(), (404, "response_not_found".into()));
        let reply = delete(&stage, &format!("/v1/responses/{id}")).await;
        assert_eq!(reply.error(), (404, "response_not_found".into()));
    }
    assert_eq!(
        provider.asked().len(),
        2,
        "the provider is asked for what is found only"
    );
}

#[tokio::test]
async fn responses_of_other_projects_do_not_exist() {
    let provider = Provider::script([answer("Hello")]);
    let stage = with(&provider).await;
    let id = id(&ask(&stage, json!({})).await);
    let path = format!("/v1/responses/{id}");
    assert_eq!(stage.get(&path, KEY).await.status, StatusCode::OK);
    let request = Request::get(&path)
        .header(header::AUTHORIZATION, "Bearer admin")
        .header("x-stead-project", "other")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        stage.send(request).await.error(),
        (404, "response_not_found".into())
    );
    let anonymous = stage.get(&path, "sk-stead-nobody").await;
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_not_kept_as_an_object_is_refused_by_name() {
    let provider = Provider::script([]);
    let stage = with(&provider).await;
    for (name, value) in [("background", json!(true)), ("conversation", json!("conv_1"))] {
        let reply = ask(&stage, json!({name: value})).await;
        assert_eq!(reply.error(), (501, "unsupported".into()));
        assert_eq!(reply.json()["error"]["param"], name);
    }
}
