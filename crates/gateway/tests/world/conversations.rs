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

/// The texts of what a provider was asked, each with who said it.
fn said(asked: &crate::providers::Asked) -> Vec<String> {
    let body = asked.json();
    let messages = body["messages"].as_array().unwrap().iter();
    messages
        .map(|message| {
            let content = &message["content"];
            let text = content.as_str().or_else(|| content[0]["text"].as_str());
            format!("{}: {}", message["role"].as_str().unwrap(), text.unwrap())
        })
        .collect()
}

async fn texts(stage: &Stage, conversation: &str) -> Vec<String> {
    let path = format!("/v1/conversations/{conversation}/items?order=asc");
    let items = stage.get(&path, KEY).await.json();
    let items = items["data"].as_array().unwrap().iter();
    items
        .map(|item| {
            let text = item["content"][0]["text"].as_str().unwrap();
            format!("{}: {text}", item["role"].as_str().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_conversation_is_made_read_changed_and_removed() {
    let provider = Provider::script([]);
    let stage = with(&provider).await;
    let first = json!({"role": "user", "content": "one"});
    let body = json!({"metadata": {"topic": "a"}, "items": [first]}).to_string();
    let made = stage.post("/v1/conversations", &body).await.json();
    assert_eq!(
        (&made["object"], &made["metadata"]),
        (&json!("conversation"), &json!({"topic": "a"}))
    );
    let id = made["id"].as_str().unwrap();
    let path = format!("/v1/conversations/{id}");
    assert_eq!(stage.get(&path, KEY).await.json(), made);
    let changed = stage.post(&path, r#"{"metadata":{"topic":"b"}}"#).await.json();
    assert_eq!(changed["metadata"], json!({"topic": "b"}));
    let items = format!("{path}/items");
    let more = json!({"items": [{"role": "assistant", "content": "two"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "three"}]}]});
    let added = stage.post(&items, &more.to_string()).await.json();
    assert_eq!(
        (&added["object"], added["data"].as_array().unwrap().len()),
        (&json!("list"), 2)
    );
    assert_eq!(
        texts(&stage, id).await,
        ["user: one", "assistant: two", "user: three"]
    );
    let newest = stage.get(&format!("{items}?limit=1"), KEY).await.json();
    assert_eq!(
        (&newest["data"][0], &newest["has_more"]),
        (&added["data"][1], &json!(true))
    );
    let item = format!("{items}/{}", added["data"][0]["id"].as_str().unwrap());
    assert_eq!(stage.get(&item, KEY).await.json(), added["data"][0]);
    assert_eq!(delete(&stage, &item).await.json()["id"], json!(id));
    assert_eq!(
        stage.get(&item, KEY).await.error(),
        (404, "item_not_found".into())
    );
    assert_eq!(texts(&stage, id).await, ["user: one", "user: three"]);
    let gone = delete(&stage, &path).await.json();
    assert_eq!(
        gone,
        json!({"id": id, "object": "conversation.deleted", "deleted": true})
    );
    for path in [path.clone(), items.clone()] {
        assert_eq!(
            stage.get(&path, KEY).await.error(),
            (404, "conversation_not_found".into())
        );
    }
    assert_eq!(
        stage.post(&items, &more.to_string()).await.error(),
        (404, "conversation_not_found".into())
    );
}

#[tokio::test]
async fn conversations_are_bounded_and_belong_to_their_project() {
    let provider = Provider::script([]);
    let stage = with(&provider).await;
    let id = id(&stage.post("/v1/conversations", "").await);
    let path = format!("/v1/conversations/{id}");
    let many = json!({"items": vec![json!({"role": "user", "content": "x"}); 21]});
    let long = json!({"metadata": {"a": "x".repeat(513)}});
    for (path, body) in [
        (format!("{path}/items"), many),
        (format!("{path}/items"), json!({"items": []})),
        (format!("{path}/items"), json!({"items": ["text"]})),
        (path.clone(), long),
        (path.clone(), json!({"metadata": {"a": 1}})),
    ] {
        let reply = stage.post(&path, &body.to_string()).await;
        assert_eq!(reply.error(), (400, "invalid_request".into()), "{body}");
    }
    let request = Request::get(&path)
        .header(header::AUTHORIZATION, "Bearer admin")
        .header("x-stead-project", "other")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        stage.send(request).await.error(),
        (404, "conversation_not_found".into())
    );
    let reply = ask(&stage, json!({"conversation": "conv_none"})).await;
    assert_eq!(reply.error(), (404, "conversation_not_found".into()));
    let reply = ask(
        &stage,
        json!({"conversation": id, "previous_response_id": "resp_1"}),
    )
    .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(provider.asked().is_empty());
}

#[tokio::test]
async fn responses_add_what_was_asked_and_answered_to_their_conversation() {
    let provider = Provider::script([
        answer("Hello"),
        whole_stream(),
        answer("Third"),
        crate::providers::failure(400),
        answer("Last"),
    ]);
    let stage = with(&provider).await;
    let conversation = id(&stage.post("/v1/conversations", "").await);
    let first = ask(&stage, json!({"conversation": conversation})).await;
    assert_eq!(first.json()["conversation"], json!({"id": conversation}));
    let streamed = ask(
        &stage,
        json!({"input": "more", "stream": true, "conversation": {"id": conversation}}),
    )
    .await;
    assert!(streamed.text().contains("response.completed"));
    let unkept = ask(
        &stage,
        json!({"input": "most", "store": false, "conversation": conversation}),
    )
    .await;
    let response = id(&unkept);
    assert_eq!(
        stage.get(&format!("/v1/responses/{response}"), KEY).await.status,
        StatusCode::NOT_FOUND
    );
    let failed = ask(&stage, json!({"input": "bad", "conversation": conversation})).await;
    assert_eq!(failed.status, StatusCode::BAD_REQUEST);
    let expected = [
        "user: hi",
        "assistant: Hello",
        "user: more",
        "assistant: Hello",
        "user: most",
        "assistant: Third",
    ];
    assert_eq!(texts(&stage, &conversation).await, expected);
    // An item that the conversation has can be referred to, and is not added again.
    let items = stage
        .get(&format!("/v1/conversations/{conversation}/items?order=asc"), KEY)
        .await
        .json();
    let input = json!([{"type": "item_reference", "id": items["data"][0]["id"]}, {"role": "user", "content": "last"}]);
    id(&ask(&stage, json!({"input": input, "conversation": conversation})).await);
    let asked = provider.asked();
    assert_eq!(said(&asked[4])[..6], expected);
    assert_eq!(said(&asked[4])[6..], ["user: hi", "user: last"]);
    let all = texts(&stage, &conversation).await;
    assert_eq!(all[6..], ["user: last", "assistant: Last"]);
}
