//! The commands against a running controller, a resource API in memory and a scripted web.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures::{StreamExt, stream};
use stead_kernel::{Principal, Reason, command::Format};
use stead_testkit::{FakeTerminal, LocalServer, World};

use super::*;
use crate::size::human_size;

const SOURCE: &str = "https://models.example/My_Model.gguf";

struct Place {
    world: World,
}

impl Place {
    /// A world whose host has a model, and one that gives its first bytes only.
    async fn new() -> Self {
        let world = World::new();
        let model = Router::new().fallback(async || [b"GGUF".as_slice(), &[7; 2_000]].concat());
        world.ports.web.host("models.example", model);
        let slow = || {
            Body::from_stream(
                stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"GGUF"))]).chain(stream::pending()),
            )
        };
        world
            .ports
            .web
            .host("slow.example", Router::new().fallback(get(async move || slow())));
        crate::model::start(world.context()).await.unwrap();
        Self { world }
    }

    async fn model(&self, arguments: &[&str], terminal: FakeTerminal) -> (Result<()>, Arc<FakeTerminal>) {
        let terminal = Arc::new(terminal);
        let server = LocalServer::new(Router::new(), Principal::admin(), self.world.api.clone());
        let session = terminal.session(server, Format::Table);
        let matches = command().spec.get_matches_from([&["model"], arguments].concat());
        (run(matches, session).await, terminal)
    }
}

fn person() -> FakeTerminal {
    FakeTerminal::person(&[])
}

#[tokio::test(start_paused = true)]
async fn a_model_is_pulled_listed_and_removed() {
    let place = Place::new().await;
    let (result, terminal) = place.model(&["pull", SOURCE], person()).await;
    result.unwrap();
    assert!(
        terminal.notes().contains(&"my-model is here: 2.0 kB".to_owned()),
        "{:?}",
        terminal.notes()
    );
    let row = &terminal.printed()[0].rows[0];
    assert_eq!(row[..3], ["my-model", "True", "2.0 kB"]);
    assert_eq!(row[4..6], ["default", SOURCE]);
    let stored = place.world.api.all("models").remove(0);
    assert_eq!(stored["status"]["humanSize"], "2.0 kB");
    let (result, terminal) = place.model(&["list"], person()).await;
    result.unwrap();
    assert_eq!(terminal.printed()[0].names, ["model/my-model"]);
    assert!(
        place.model(&["pull", "my-model"], person()).await.0.is_ok(),
        "pulling again changes nothing"
    );
    assert!(place.model(&["pull", SOURCE], person()).await.0.is_ok());
    let (clash, _) = place
        .model(
            &["pull", "--name", "my-model", "https://slow.example/x"],
            person(),
        )
        .await;
    assert_eq!(clash.unwrap_err().reason(), Reason::Conflict);
    place.model(&["rm", "my-model"], person()).await.0.unwrap();
    assert!(place.world.api.all("models").is_empty());
    let (missing, _) = place.model(&["rm", "my-model"], person()).await;
    assert_eq!(missing.unwrap_err().reason(), Reason::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_failed_pull_says_what_each_source_said_and_is_tried_again_when_asked() {
    let place = Place::new().await;
    let (result, _) = place
        .model(&["pull", "https://away.example/m.gguf"], person())
        .await;
    let message = result.unwrap_err().full_message();
    assert!(message.contains("away.example does not answer"), "{message}");
    let router = Router::new().fallback(async || b"GGUF and more".to_vec());
    place.world.ports.web.host("away.example", router);
    let (result, terminal) = place.model(&["pull", "m"], person()).await;
    result.unwrap();
    assert!(
        terminal.notes().contains(&"m is here: 13 B".to_owned()),
        "{:?}",
        terminal.notes()
    );
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_leaves_the_server_at_it_and_says_so() {
    let place = Place::new().await;
    let source = "https://slow.example/big.gguf";
    let (result, terminal) = place
        .model(
            &["pull", source],
            person().interrupting_after(Duration::from_secs(10)),
        )
        .await;
    result.unwrap();
    let notes = terminal.notes().join("\n");
    assert!(
        notes.contains("the server goes on fetching big") && notes.contains("fetch big: from"),
        "{notes}"
    );
    assert_eq!(place.world.api.all("models").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_pulled_is_refused_before_anything_is_made() {
    let place = Place::new().await;
    for (what, reason) in [
        ("nothing", Reason::NotFound),
        ("ftp://x/y", Reason::Invalid),
        ("hf:x", Reason::Invalid),
    ] {
        let (result, _) = place.model(&["pull", what], person()).await;
        assert_eq!(result.unwrap_err().reason(), reason, "{what}");
    }
    assert!(place.world.api.all("models").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_default_model_is_made_again_by_its_name() {
    let place = Place::new().await;
    let (result, _) = place.model(&["pull", crate::DEFAULT_MODEL], person()).await;
    let message = result.unwrap_err().full_message();
    assert!(
        message.contains("huggingface.co does not answer") && message.contains("pip is not installed"),
        "{message}"
    );
    let (made, wanted) = (place.world.api.all("models").remove(0), crate::default_model());
    for field in ["/metadata/name", "/spec/sources", "/spec/sha256"] {
        assert_eq!(made.pointer(field), wanted.pointer(field), "{field}");
    }
}

#[test]
fn sizes_are_for_people() {
    for (bytes, text) in [
        (0, "0 B"),
        (999, "999 B"),
        (98_362_432, "98.3 MB"),
        (1_500_000_000, "1.5 GB"),
    ] {
        assert_eq!(human_size(bytes), text);
    }
}

#[test]
fn the_command_is_well_formed() {
    command().spec.debug_assert();
}
