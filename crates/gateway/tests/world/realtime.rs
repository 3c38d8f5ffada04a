//! Realtime sessions over WebSocket, between a real client and a stand-in of a provider that speaks the events of
//! `OpenAI`'s API (<https://platform.openai.com/docs/api-reference/realtime-server-events>).

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use serde_json::{Value, json};
use stead_kernel::ports::{TokenUsage, events::Outcome};
use stead_net::{OutboundClient, OutboundOptions};
use stead_testkit::{World, poll_until};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Error, Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use crate::stage::{KEY, SOON, Stage};

/// How the stand-in greets.
#[derive(Clone, Copy)]
enum Greeting {
    Accept,
    Refuse(u16),
}

/// A stand-in of a provider.
#[derive(Clone)]
struct Speaker {
    address: SocketAddr,
    greeting: Greeting,
    /// The heads of the handshakes.
    asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    /// What it was told, closing frames included.
    heard: Arc<Mutex<Vec<Message>>>,
}

impl Speaker {
    async fn start(world: &World, greeting: Greeting) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let speaker = Self {
            address: listener.local_addr().unwrap(),
            greeting,
            asked: Arc::default(),
            heard: Arc::default(),
        };
        let (one, tasks) = (speaker.clone(), world.tasks.clone());
        world.tasks.spawn_until_stopped("speaker", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let speaker = one.clone();
                tasks.spawn("conversation", async move { speaker.converse(stream).await });
            }
        });
        speaker
    }

    #[expect(clippy::result_large_err, reason = "the library's own signature")]
    async fn converse(&self, stream: TcpStream) {
        let greet = |request: &Request<()>, mut response: Response<()>| {
            let head = (request.uri().to_string(), request.headers().clone());
            self.asked.lock().unwrap().push(head);
            if let Greeting::Refuse(status) = self.greeting {
                let body = json!({"error": {"message": "not now", "type": "server_error", "code": "busy"}});
                let mut refusal = Response::new(Some(body.to_string()));
                *refusal.status_mut() = StatusCode::from_u16(status).unwrap();
                return Err(refusal);
            }
            if let Some(offer) = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL) {
                let first = offer
                    .to_str()
                    .unwrap()
                    .split(',')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap();
                response
                    .headers_mut()
                    .insert(header::SEC_WEBSOCKET_PROTOCOL, first);
            }
            Ok(response)
        };
        let Ok(mut socket) = accept_hdr_async(stream, greet).await else {
            return;
        };
        say(
            &mut socket,
            json!({"type": "session.created", "session": {"id": "sess_1"}}),
        )
        .await;
        while let Some(Ok(message)) = socket.next().await {
            if !message.is_ping() && !message.is_pong() {
                self.heard.lock().unwrap().push(message.clone());
            }
            let event: Value = match &message {
                Message::Text(text) => serde_json::from_str(text).unwrap_or_default(),
                Message::Binary(_) => {
                    socket.send(message).await.unwrap();
                    continue;
                }
                _ => continue,
            };
            match event["type"].as_str().unwrap_or_default() {
                "response.create" => {
                    respond(&mut socket, event["response"]["instructions"] == "slowly").await;
                }
                "response.cancel" => {
                    say(&mut socket, done("cancelled", 5)).await;
                }
                "close" => {
                    let frame = CloseFrame {
                        code: CloseCode::from(u16::try_from(event["code"].as_u64().unwrap()).unwrap()),
                        reason: "as told, with provider-secret".into(),
                    };
                    socket.send(Message::Close(Some(frame))).await.unwrap();
                }
                "die" => return,
                _ => socket.send(message).await.unwrap(),
            }
        }
    }

    fn spec(&self) -> Value {
        json!({"baseUrl": format!("http://{}/v1", self.address), "network": "Private",
            "credential": {"secretRef": {"name": "credential", "key": "key"}}, "prices": [{"model": "m",
            "perMillionTokens": {"input": 1.0, "output": 10.0, "cached": 0.5, "audioInput": 100.0, "audioOutput": 200.0}}]})
    }

    fn heard(&self) -> Vec<Message> {
        self.heard.lock().unwrap().clone()
    }

    async fn hears(&self, wanted: impl Fn(&Message) -> bool) -> Message {
        poll_until(SOON, "the provider to be told", async || {
            self.heard().into_iter().find(|message| wanted(message))
        })
        .await
    }
}

/// What a response of the stand-in takes: text and sound, some of it from a cache.
fn done(status: &str, output: u64) -> Value {
    json!({"type": "response.done", "response": {"id": "resp_1", "status": status, "usage": {
        "total_tokens": 20 + output, "input_tokens": 20, "output_tokens": output,
        "input_token_details": {"text_tokens": 14, "audio_tokens": 6, "cached_tokens": 8,
            "cached_tokens_details": {"text_tokens": 6, "audio_tokens": 2}},
        "output_token_details": {"text_tokens": output - 4, "audio_tokens": 4}}}})
}

async fn respond(socket: &mut WebSocketStream<TcpStream>, slowly: bool) {
    say(
        socket,
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
    )
    .await;
    for piece in ["Hel", "lo"] {
        say(
            socket,
            json!({"type": "response.output_audio_transcript.delta", "delta": piece}),
        )
        .await;
    }
    if !slowly {
        say(socket, done("completed", 10)).await;
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, event: Value) {
    socket.send(Message::text(event.to_string())).await.unwrap();
}

/// A gateway that reaches this machine and is reached on it.
async fn stage(world: World) -> (Stage, SocketAddr) {
    let outbound = Arc::new(OutboundClient::new(OutboundOptions::default()).unwrap());
    let stage = Stage::start_changed(world, |context| context.ports.outbound = outbound).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = stage.routes();
    stage.world.tasks.spawn_until_stopped("server", async move {
        axum::serve(listener, routes).await.unwrap();
    });
    (stage, address)
}

/// A gateway with one provider `p` behind the route `talk`.
async fn one(more: Value) -> (Stage, SocketAddr, Speaker) {
    one_in(World::new(), more).await
}

async fn one_in(world: World, more: Value) -> (Stage, SocketAddr, Speaker) {
    let speaker = Speaker::start(&world, Greeting::Accept).await;
    let (stage, address) = stage(world).await;
    stage.secret("credential", "key", "provider-secret").await;
    stage.provider("p", speaker.spec()).await;
    let mut route = json!({"targets": [{"provider": "p", "model": "m"}]});
    for (name, value) in more.as_object().unwrap() {
        route[name] = value.clone();
    }
    stage.route("talk", route).await;
    (stage, address, speaker)
}

struct Client {
    socket: WebSocketStream<TcpStream>,
    head: HeaderMap,
}

async fn try_open(address: SocketAddr, query: &str, more: &[(&str, &str)]) -> Result<Client, Error> {
    let mut request = Request::get(format!("ws://{address}/v1/realtime{query}"))
        .header("host", address.to_string())
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, response) = client_async(request.body(()).unwrap(), stream).await?;
    Ok(Client {
        socket,
        head: response.headers().clone(),
    })
}

async fn open(address: SocketAddr, model: &str) -> Client {
    let key = format!("Bearer {KEY}");
    let mut client = try_open(address, &format!("?model={model}"), &[("authorization", &key)])
        .await
        .unwrap();
    assert_eq!(client.event().await["type"], "session.created");
    client
}

/// Status and code of a refusal before the upgrade.
async fn refused(address: SocketAddr, query: &str, more: &[(&str, &str)]) -> (u16, String) {
    match try_open(address, query, more).await {
        Err(Error::Http(response)) => {
            let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
            let error = &body["error"];
            assert!(
                error["message"].is_string() && error["type"].is_string(),
                "{body}"
            );
            (
                response.status().as_u16(),
                error["code"].as_str().unwrap().to_owned(),
            )
        }
        Err(error) => panic!("no answer: {error}"),
        Ok(_) => panic!("it was accepted"),
    }
}

async fn refused_with_key(address: SocketAddr, model: &str) -> (u16, String) {
    let key = format!("Bearer {KEY}");
    refused(address, &format!("?model={model}"), &[("authorization", &key)]).await
}

impl Client {
    async fn say(&mut self, event: Value) {
        say(&mut self.socket, event).await;
    }

    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(SOON, self.socket.next());
        next.await.unwrap().unwrap().unwrap()
    }

    async fn event(&mut self) -> Value {
        loop {
            match self.next().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("no event: {other:?}"),
            }
        }
    }

    /// Reads up to an event.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event().await;
            if event["type"] == kind {
                return event;
            }
        }
    }

    async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.map_or(1005, |frame| frame.code.into());
            }
        }
    }

    async fn close(mut self, code: u16) {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: "bye".into(),
        };
        self.socket.send(Message::Close(Some(frame))).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_both_ways_whatever_their_form() {
    let (stage, address, speaker) = one(json!({})).await;
    let mut client = open(address, "talk").await;
    let long = "x".repeat(1 << 20);
    for text in ["{\"type\":\"a\"}", "no JSON \u{1f600}", "", &long] {
        client.socket.send(Message::text(text)).await.unwrap();
        assert_eq!(client.next().await.into_text().unwrap().as_str(), text);
    }
    let bytes: Vec<u8> = (0..=255).collect();
    client.socket.send(Message::binary(bytes.clone())).await.unwrap();
    assert_eq!(client.next().await.into_data(), bytes);
    // A message in three frames is one message.
    for (text, kind, last) in [
        ("one ", Data::Text, false),
        ("two ", Data::Continue, false),
        ("three", Data::Continue, true),
    ] {
        let frame = Frame::message(text.as_bytes().to_vec(), OpCode::Data(kind), last);
        client.socket.send(Message::Frame(frame)).await.unwrap();
    }
    assert_eq!(client.next().await.into_text().unwrap().as_str(), "one two three");
    client
        .socket
        .send(Message::Ping("are you there".into()))
        .await
        .unwrap();
    assert_eq!(client.next().await, Message::Pong("are you there".into()));
    client.close(4_001).await;
    let told = speaker.hears(Message::is_close).await;
    let Message::Close(Some(frame)) = told else {
        panic!("{told:?}")
    };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4_001, "bye"));
    let row = stage.row().await;
    assert_eq!((row.outcome, row.usage), (Outcome::Ok, TokenUsage::default()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_one_row_with_the_usage_of_its_responses_and_the_providers_credential() {
    let (stage, address, speaker) = one(json!({})).await;
    let key = format!("Bearer {KEY}");
    let given = [
        ("authorization", key.as_str()),
        ("openai-beta", "realtime=v1"),
        ("cookie", "a=b"),
    ];
    let mut client = try_open(address, "?model=talk", &given).await.unwrap();
    assert_eq!(client.head["x-stead-route"], "talk");
    assert_eq!(client.head["x-stead-target"], "p/m");
    for _ in 0..2 {
        client.say(json!({"type": "response.create"})).await;
        client.until("response.done").await;
    }
    client.close(1_000).await;
    let row = stage.row().await;
    assert_eq!(
        (&*row.operation, row.outcome, &*row.provider),
        ("realtime", Outcome::Ok, "p")
    );
    let usage = TokenUsage {
        input: 40,
        output: 20,
        cached_input: 16,
        audio_input: 8,
        audio_output: 8,
        ..TokenUsage::default()
    };
    assert_eq!(row.usage, usage);
    // 16 cached at 0.5, 8 of sound at 100, 16 of text at 1; 8 of sound at 200 and 12 of text at 10 a million.
    assert_eq!(
        row.cost.unwrap().0,
        8_000 + 800_000 + 16_000 + 1_600_000 + 120_000
    );
    assert!(row.first_token_us.is_some());
    assert_eq!(row.labels["stead.dev/realtime-responses"], "2");
    let (uri, head) = speaker.asked.lock().unwrap()[0].clone();
    assert_eq!(uri, "/v1/realtime?model=m");
    assert_eq!(head["authorization"], "Bearer provider-secret");
    assert_eq!(head["openai-beta"], "realtime=v1");
    assert!(head.contains_key("traceparent") && !head.contains_key("cookie"));
    assert!(!format!("{head:?}").contains(KEY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_signs_in_by_a_subprotocol_that_goes_nowhere() {
    let (stage, address, speaker) = one(json!({})).await;
    let offer = format!("realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1");
    let given = [
        ("sec-websocket-protocol", offer.as_str()),
        ("origin", "http://127.0.0.1"),
    ];
    let client = try_open(address, "?model=p%2Fm", &given).await.unwrap();
    assert_eq!(client.head["sec-websocket-protocol"], "realtime");
    client.close(1_000).await;
    let (_, head) = speaker.asked.lock().unwrap()[0].clone();
    assert_eq!(
        head["sec-websocket-protocol"],
        "realtime, openai-beta.realtime-v1"
    );
    let row = stage.row().await;
    assert_eq!(&*row.key, "ada");
    assert!(!format!("{head:?} {row:?}").contains(KEY));
    let strange = [(
        "sec-websocket-protocol",
        "realtime, openai-insecure-api-key.sk-stead-other",
    )];
    assert_eq!(
        refused(address, "?model=p/m", &strange).await,
        (401, "invalid_api_key".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_refuses_is_passed_over_before_the_client_has_its_websocket() {
    let world = World::new();
    let busy = Speaker::start(&world, Greeting::Refuse(503)).await;
    let strict = Speaker::start(&world, Greeting::Refuse(401)).await;
    let good = Speaker::start(&world, Greeting::Accept).await;
    let (stage, address) = stage(world).await;
    stage.secret("credential", "key", "provider-secret").await;
    for (name, speaker) in [("busy", &busy), ("strict", &strict), ("good", &good)] {
        stage.provider(name, speaker.spec()).await;
    }
    let target = |name: &str, priority: u32| json!({"provider": name, "model": "m", "priority": priority});
    let all = json!({"targets": [target("busy", 1), target("strict", 2), target("good", 3)], "retry": {"attempts": 3}});
    stage.route("talk", all).await;
    let bad = json!({"targets": [target("busy", 1), target("strict", 2)], "retry": {"attempts": 2}});
    stage.route("bad", bad).await;
    let client = open(address, "talk").await;
    assert_eq!(client.head["x-stead-attempts"], "3");
    client.close(1_000).await;
    let row = stage.row().await;
    let statuses: Vec<u16> = row.attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!((statuses[0], statuses[1], &*row.provider), (503, 401, "good"));
    assert_eq!(
        refused_with_key(address, "bad").await,
        (502, "upstream_error".into())
    );
    assert_eq!(
        refused_with_key(address, "none").await,
        (404, "model_not_found".into())
    );
    // What speaks no WebSocket at all is told how to.
    let plain = stage.get("/v1/realtime?model=talk", KEY).await;
    assert_eq!(plain.error(), (426, "websocket_required".into()));
    assert_eq!(plain.header("upgrade"), "websocket");
    let rows = stage.rows(4).await;
    assert_eq!(rows.iter().filter(|row| row.outcome == Outcome::Ok).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_dies_is_told_as_an_event_and_what_was_used_is_billed() {
    let (stage, address, _speaker) = one(json!({})).await;
    let mut client = open(address, "talk").await;
    client.say(json!({"type": "response.create"})).await;
    client.until("response.done").await;
    client
        .say(json!({"type": "response.create", "response": {"instructions": "slowly"}}))
        .await;
    client.until("response.created").await;
    client.say(json!({"type": "die"})).await;
    let error = client.until("error").await;
    assert_eq!(error["error"]["code"], "upstream_error", "{error}");
    assert_eq!(client.closed().await, 1_011);
    let row = stage.row().await;
    assert_eq!(row.outcome, Outcome::Error);
    // Ten that were told, and two pieces that came after them.
    assert_eq!((row.usage.input, row.usage.output), (20, 12));
    assert_eq!(row.labels["stead.dev/usage"], "estimated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_providers_close_reaches_the_client_without_its_credential() {
    let (stage, address, _speaker) = one(json!({})).await;
    for (code, outcome) in [(1_000_u16, Outcome::Ok), (1_011, Outcome::Error)] {
        let mut client = open(address, "talk").await;
        client.say(json!({"type": "close", "code": code})).await;
        let Message::Close(Some(frame)) = client.next().await else {
            panic!("no close")
        };
        assert_eq!(u16::from(frame.code), code);
        assert_eq!(frame.reason.as_str(), "as told, with [redacted]");
        drop(client);
        let row = poll_until(SOON, "the row", async || {
            let rows = stage.world.ports.events.all_requests();
            rows.into_iter()
                .find(|row| row.labels["stead.dev/realtime-end"].contains(&code.to_string()))
        })
        .await;
        assert_eq!(row.outcome, outcome);
        assert!(!format!("{row:?}").contains("provider-secret"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_in_the_middle_pays_for_what_was_produced() {
    let (stage, address, speaker) = one(json!({})).await;
    let mut client = open(address, "talk").await;
    client
        .say(json!({"type": "response.create", "response": {"instructions": "slowly"}}))
        .await;
    client.until("response.output_audio_transcript.delta").await;
    drop(client);
    speaker
        .hears(|message| {
            message
                .to_text()
                .is_ok_and(|text| text.contains("response.cancel"))
        })
        .await;
    let row = stage.row().await;
    assert_eq!(row.outcome, Outcome::Cancelled);
    assert_eq!(
        (row.usage.input, row.usage.output, row.usage.audio_output),
        (20, 5, 4)
    );
    assert!(
        !row.labels.contains_key("stead.dev/usage"),
        "the provider has counted it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_bound_sessions_and_refuse_what_nobody_can_bound() {
    let (stage, address, speaker) = one(json!({})).await;
    stage.quota("at-a-time", json!({"concurrency": 1})).await;
    let first = open(address, "talk").await;
    assert_eq!(
        refused_with_key(address, "talk").await,
        (429, "rate_limit_exceeded".into())
    );
    first.close(1_000).await;
    stage.rows(2).await;
    open(address, "talk").await.close(1_000).await;
    stage.rows(3).await;
    stage
        .quota("count", json!({"limits": [{"per": "day", "requests": 1}]}))
        .await;
    // What is counted from now on begins with what the records say: two sessions.
    let (status, _) = refused_with_key(address, "talk").await;
    assert_eq!(status, 429);
    stage.delete("Quota", "quotas", "count").await;
    stage
        .quota(
            "soft",
            json!({"hard": false, "limits": [{"per": "day", "spendUsd": 0.000_001}]}),
        )
        .await;
    poll_until(SOON, "the quota to be gone", async || {
        let key = format!("Bearer {KEY}");
        try_open(address, "?model=talk", &[("authorization", &key)])
            .await
            .ok()
    })
    .await
    .close(1_000)
    .await;
    stage.rows(5).await;
    let sessions = speaker.asked.lock().unwrap().len();
    for limit in [
        json!({"spendUsd": 1_000.0}),
        json!({"tokens": 1_000_000}),
        json!({"outputTokens": 1_000_000}),
    ] {
        let mut limits = limit.clone();
        limits["per"] = "day".into();
        stage.quota("hard", json!({"limits": [limits]})).await;
        assert_eq!(
            refused_with_key(address, "talk").await,
            (400, "unbounded_request".into()),
            "{limit}"
        );
    }
    assert_eq!(
        speaker.asked.lock().unwrap().len(),
        sessions,
        "the provider is not asked"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_use_a_model_or_is_guarded_gets_no_session() {
    let (stage, address, speaker) = one(json!({})).await;
    stage
        .key("narrow", "sk-stead-narrow", json!({"models": ["other"]}))
        .await;
    let narrow = [("authorization", "Bearer sk-stead-narrow")];
    assert_eq!(
        refused(address, "?model=talk", &narrow).await,
        (403, "model_not_allowed".into())
    );
    assert_eq!(
        refused(address, "?model=talk", &[]).await,
        (401, "invalid_api_key".into())
    );
    assert!(speaker.asked.lock().unwrap().is_empty());
    let world = World::new();
    let guard = json!({"rules": [{"name": "names", "action": "Block", "words": ["falcon"]}]});
    Stage::apply_before(&world, "Guardrail", "guardrails", "g", guard).await;
    let (_stage, address, _speaker) = one_in(world, json!({})).await;
    assert_eq!(
        refused_with_key(address, "talk").await,
        (501, "unsupported".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_nothing_is_said_or_its_time_is_up() {
    for (timeouts, code) in [
        (json!({"idle": "200ms"}), "session_idle"),
        (json!({"total": "500ms"}), "session_expired"),
    ] {
        let (stage, address, _speaker) = one(json!({"timeouts": timeouts})).await;
        let mut client = open(address, "talk").await;
        let error = client.until("error").await;
        assert_eq!(error["error"]["code"], code, "{error}");
        assert_eq!(client.closed().await, 1_001);
        drop(client);
        assert_eq!(stage.row().await.outcome, Outcome::Ok);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_limit_ends_the_session() {
    let (stage, address, _speaker) = one(json!({})).await;
    let mut client = open(address, "talk").await;
    // What is not read any more may break the sending.
    drop(client.socket.send(Message::binary(vec![0; 25 << 20])).await);
    let error = client.until("error").await;
    assert_eq!(error["error"]["code"], "message_too_large", "{error}");
    assert_eq!(client.closed().await, 1_009);
    assert_eq!(stage.row().await.outcome, Outcome::Error);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_closes_sessions_with_going_away_and_settles_them() {
    let (stage, address, _speaker) = one(json!({})).await;
    let mut client = open(address, "talk").await;
    client
        .say(json!({"type": "response.create", "response": {"instructions": "slowly"}}))
        .await;
    client.until("response.output_audio_transcript.delta").await;
    let closing = async {
        assert_eq!(client.closed().await, 1_001);
        drop(client);
    };
    let (stage, ()) = tokio::join!(stage.restart(), closing);
    let row = stage.row().await;
    assert_eq!((row.outcome, row.usage.output), (Outcome::Ok, 5));
    assert!(stage.world.tasks.shutdown(SOON).await, "everything ends");
}
