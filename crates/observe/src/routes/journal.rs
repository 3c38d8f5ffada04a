//! `POST /api/gateway/journal`: takes in the rows of gateways that run on their own.
//!
//! *Invariant:* `204` is answered after the event store has every row for good.
//!
//! *Invariant:* only requests are taken in, never audit records, and each says which gateway sent it.

use std::io::Read;

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
};
use http::{HeaderMap, HeaderValue};
use stead_kernel::{
    AccessRequest, Credential, Error, GROUP, Identity, Ports, Principal, Result, Verb,
    http::{ApiError, BodyError, read_body},
    ports::events::{Event, JournalBatch},
    resources,
};

/// The largest body, in bytes, as it comes.
const BODY_LIMIT: usize = 64 << 20;
/// The largest body, in bytes, once it is decompressed.
const TEXT_LIMIT: u64 = 96 << 20;

/// Stores the rows of a batch.
pub(super) async fn append(
    State(ports): State<Ports>,
    request: Request,
) -> std::result::Result<StatusCode, ApiError> {
    let principal = Identity::require(request.extensions())?;
    let asked = AccessRequest {
        verb: Verb::Create,
        group: GROUP,
        resource: resources::JOURNALS,
        subresource: "",
        project: None,
        name: None,
    };
    ports.authorizer.authorize(&principal, &asked)?;
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, BODY_LIMIT).await;
    let body = body.map_err(|error| match error {
        BodyError::TooLarge => Error::too_large(format!("a batch has at most {BODY_LIMIT} bytes")),
        BodyError::Incomplete => Error::invalid("the body ended before it was complete"),
    })?;
    let encoding = encoding(&parts.headers)?;
    let read = tokio::task::spawn_blocking(move || parse(&body, encoding)).await;
    let batch = read.map_err(|error| Error::internal("the batch could not be read").because(error))??;
    ports.events.append(events(batch, &principal)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Zstd,
}

fn encoding(headers: &HeaderMap) -> Result<Encoding> {
    let named = headers.get(header::CONTENT_ENCODING);
    match named.map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(Encoding::Identity),
        Some(b"zstd") => Ok(Encoding::Zstd),
        Some(_) => Err(Error::unsupported(
            "content-encoding: a batch is compressed with zstd, or not at all",
        )),
    }
}

/// Decompresses, within bounds, and reads.
fn parse(body: &[u8], encoding: Encoding) -> Result<JournalBatch> {
    let broken = |error: std::io::Error| Error::invalid("the batch cannot be decompressed").because(error);
    let mut text = Vec::new();
    let read = match encoding {
        Encoding::Identity => return read_json(body),
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(body).map_err(broken)?;
            decoder.take(TEXT_LIMIT + 1).read_to_end(&mut text)
        }
    };
    let length = read.map_err(broken)?;
    if u64::try_from(length).unwrap_or(u64::MAX) > TEXT_LIMIT {
        return Err(Error::too_large(format!(
            "a batch has at most {TEXT_LIMIT} bytes once it is decompressed"
        )));
    }
    read_json(&text)
}

fn read_json(text: &[u8]) -> Result<JournalBatch> {
    serde_json::from_slice(text)
        .map_err(|error| Error::invalid("the body is no batch of rows").because(error))
}

fn events(batch: JournalBatch, principal: &Principal) -> Vec<Event> {
    let gateway = match &principal.credential {
        Credential::Gateway { name } => Some(name),
        Credential::Process | Credential::Token | Credential::Session | Credential::ApiKey { .. } => None,
    };
    let rows = batch.rows.into_iter().map(|mut row| {
        if let Some(name) = gateway {
            row.replica.clone_from(name);
        }
        Event::Request(Box::new(row))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use stead_kernel::{Authorizer, ports::events::RequestRow};
    use stead_testkit::FakePorts;
    use tower::ServiceExt;

    use super::*;

    /// Gateways may add to journals.
    struct Gateways;

    impl Authorizer for Gateways {
        fn authorize(&self, principal: &Principal, request: &AccessRequest<'_>) -> Result<()> {
            let gateway = matches!(principal.credential, Credential::Gateway { .. });
            let adds =
                (request.verb, request.group, request.resource) == (Verb::Create, GROUP, resources::JOURNALS);
            let allowed = gateway && adds && request.project.is_none();
            allowed.then_some(()).ok_or_else(|| Error::forbidden("not you"))
        }
    }

    fn batch(ids: &[&str]) -> Vec<u8> {
        let rows = ids.iter().map(|id| RequestRow {
            id: (*id).into(),
            output: Some("x".repeat(1_000)),
            ..RequestRow::default()
        });
        let batch = JournalBatch { rows: rows.collect() };
        serde_json::to_vec(&batch).expect("JSON")
    }

    async fn send(fakes: &FakePorts, body: Vec<u8>, encoding: &str, who: Option<Principal>) -> StatusCode {
        let ports = Ports {
            authorizer: Arc::new(Gateways),
            ..fakes.ports()
        };
        let mut request = http::Request::post(stead_kernel::ports::events::JOURNAL_PATH)
            .header("content-encoding", encoding)
            .body(Body::from(body))
            .expect("a request");
        if let Some(who) = who {
            request.extensions_mut().insert(Identity::Known(Arc::new(who)));
        }
        let mut context = stead_testkit::World::new().context();
        context.ports = ports;
        let answer = super::super::routes(&crate::opik::opik(&context))
            .oneshot(request)
            .await;
        answer.expect("an answer").status()
    }

    #[tokio::test]
    async fn rows_are_stored_once_however_they_are_compressed_and_say_who_sent_them() {
        let fakes = FakePorts::default();
        let eu = || Some(Principal::gateway("eu-1"));
        let zstd = zstd::bulk::compress(&batch(&["a", "c"]), 1).expect("compressed");
        assert_eq!(send(&fakes, batch(&["a"]), "identity", eu()).await, 204);
        assert_eq!(send(&fakes, batch(&["b"]), "identity", eu()).await, 204);
        assert_eq!(send(&fakes, zstd, "zstd", eu()).await, 204);
        let rows = fakes.events.all_requests();
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        assert!(rows.iter().all(|row| row.replica == "eu-1"));
    }

    #[tokio::test]
    async fn others_and_garbage_are_refused_and_nothing_is_stored() {
        let fakes = FakePorts::default();
        let eu = || Some(Principal::gateway("eu-1"));
        let audit = br#"{"rows":[],"audit":[{"id":"x"}]}"#.to_vec();
        let bomb = zstd::bulk::compress(&vec![b' '; 97 << 20], 1).expect("compressed");
        let table = [
            (batch(&["a"]), "identity", None, 401),
            (batch(&["a"]), "identity", Some(Principal::controller("x")), 403),
            (batch(&["a"]), "br", eu(), 501),
            (batch(&["a"]), "zstd", eu(), 400),
            (b"{".to_vec(), "identity", eu(), 400),
            (audit, "identity", eu(), 400),
            (bomb, "zstd", eu(), 413),
        ];
        for (body, encoding, who, status) in table {
            assert_eq!(send(&fakes, body, encoding, who).await, status, "{encoding}");
        }
        assert!(fakes.events.all_requests().is_empty());
    }
}
