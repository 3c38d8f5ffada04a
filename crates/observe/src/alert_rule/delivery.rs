//! What is told, and how it gets to the webhook: signed, tried again, and the same however often
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use ring::hmac;
use serde_json::{Value, json};
use stead_kernel::{
    Body, Error, Result, Timestamp,
    ports::{Reach, SendOptions},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    AlertRuleSpec, Network, Webhook,
    held::{Delivery, Held},
    plan::Event,
};
use crate::opik::Opik;

/// How long a webhook may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The pause after the first try that failed; it doubles.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// How long it is tried.
const GIVE_UP: Duration = Duration::from_hours(24);
/// The most that waits to be told; the oldest goes first.
const WAITING: usize = 20;
/// How much of an answer is read.
const ANSWER_LIMIT: usize = 64 << 10;
/// What the secrets of the Standard Webhooks begin with; the rest is base64.
const PREFIX: &str = "whsec_";

/// What a try came to.
#[derive(Debug)]
pub(crate) struct Sent {
    /// What the webhook answered, if it did.
    pub(crate) status: Option<u16>,
    /// Why it counts as failed.
    pub(crate) error: Option<String>,
    /// How long it took.
    pub(crate) took: Duration,
    /// What was sent.
    pub(crate) body: String,
}

/// The body of a message.
fn body(kind: &str, project: &str, name: &str, spec: &AlertRuleSpec, held: &Held, now: Timestamp) -> String {
    let thresholds: Vec<Value> = spec
        .thresholds
        .iter()
        .enumerate()
        .map(|(place, threshold)| {
            json!({"threshold": threshold, "value": held.values.get(place).copied().flatten(),
                "crossed": held.crossed.get(place).copied().unwrap_or_default()})
        })
        .collect();
    json!({
        "type": kind,
        "timestamp": now,
        "data": {
            "alert": name,
            "title": spec.title.as_deref().unwrap_or(name),
            "project": project,
            "opikProjects": spec.opik_projects,
            "firingSince": held.fired,
            "thresholds": thresholds,
        },
    })
    .to_string()
}

/// Puts a message where it waits to be told.
pub(super) fn enqueue(
    held: &mut Held,
    event: Event,
    [project, name]: [&str; 2],
    spec: &AlertRuleSpec,
    now: Timestamp,
) {
    let body = body(event.as_str(), project, name, spec, held, now);
    held.outbox.push(Delivery {
        id: format!("msg_{}", Uuid::now_v7().simple()),
        body,
        made: now,
        tries: 0,
        next: now,
    });
    let over = held.outbox.len().saturating_sub(WAITING);
    held.outbox.drain(..over);
}

/// Tells what is due, the oldest first; a message that is not taken keeps later ones waiting, so that order holds.
pub(super) async fn deliver(opik: &Opik, project: &str, webhook: &Webhook, held: &mut Held, now: Timestamp) {
    while let Some(first) = held.outbox.first_mut() {
        if first.next > now {
            return;
        }
        let sent = send(opik, project, webhook, &first.id, &first.body, now).await;
        let Some(error) = sent.error else {
            held.outbox.remove(0);
            held.sent = Some(now);
            held.last_error.clear();
            continue;
        };
        first.tries += 1;
        let pause = PAUSE
            .saturating_mul(1 << first.tries.saturating_sub(1).min(16))
            .min(LONGEST_PAUSE);
        first.next = now.checked_add(pause).unwrap_or(now);
        let given_up = now.duration_since(first.made).unsigned_abs() >= GIVE_UP;
        held.last_error = error;
        if !given_up {
            return;
        }
        held.outbox.remove(0);
        held.last_error.push_str(" (given up after a day)");
    }
}

/// Sends a message that says it is a test.
pub(crate) async fn test(opik: &Opik, project: &str, name: &str, spec: &AlertRuleSpec) -> Sent {
    let now = opik.ports.clock.now();
    let body = body("alert.test", project, name, spec, &Held::default(), now);
    let id = format!("msg_{}", Uuid::now_v7().simple());
    send(opik, project, &spec.webhook, &id, &body, now).await
}

async fn send(opik: &Opik, project: &str, webhook: &Webhook, id: &str, body: &str, now: Timestamp) -> Sent {
    let begun = Instant::now();
    let result = match request(opik, project, webhook, id, body, now).await {
        Ok(request) => match tokio::time::timeout(PATIENCE, post(opik, webhook, request)).await {
            Ok(result) => result,
            Err(_) => Err(Error::timeout(format!("no answer in {} s", PATIENCE.as_secs()))),
        },
        Err(error) => Err(error),
    };
    let (status, error) = match result {
        Ok(status) if (200..300).contains(&status) => (Some(status), None),
        Ok(status) => (Some(status), Some(format!("the webhook answered HTTP {status}"))),
        Err(error) => (None, Some(error.full_message())),
    };
    Sent {
        status,
        error,
        took: begun.elapsed(),
        body: body.to_owned(),
    }
}

async fn post(opik: &Opik, webhook: &Webhook, request: Request<Body>) -> Result<u16> {
    let options = SendOptions {
        reach: match webhook.network {
            Network::Public => Reach::Public,
            Network::Private => Reach::Private,
        },
        connect_timeout: PATIENCE,
    };
    let response = opik.ports.outbound.send(request, options).await?;
    let status = response.status().as_u16();
    // The connection can be used again once the answer was read; what it says does not matter.
    let _ = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    Ok(status)
}

async fn request(
    opik: &Opik,
    project: &str,
    webhook: &Webhook,
    id: &str,
    body: &str,
    now: Timestamp,
) -> Result<Request<Body>> {
    let seconds = now.as_second().to_string();
    let mut request = Request::post(&webhook.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "stead")
        .header("webhook-id", id)
        .header("webhook-timestamp", &seconds);
    for (name, value) in &webhook.headers {
        request = request.header(name, value);
    }
    if let Some(reference) = &webhook.secret_ref {
        let secrets: Api<Secret> = Api::namespaced(opik.client.clone(), project);
        let secret = secrets.get_opt(&reference.name).await?;
        let value = secret
            .and_then(|secret| secret.data?.remove(&reference.key))
            .map(|value| value.0);
        let value = value
            .and_then(|value| String::from_utf8(value).ok())
            .map(|value| value.trim().to_owned());
        let value = value.filter(|value| !value.is_empty()).ok_or_else(|| {
            Error::not_found(format!(
                "Secret `{}` has no text under the key `{}`",
                reference.name, reference.key
            ))
        })?;
        request = request.header(
            "webhook-signature",
            signature(&value, &format!("{id}.{seconds}.{body}"))?,
        );
    }
    request
        .body(Body::from(body.to_owned()))
        .map_err(|error| Error::invalid("the webhook's address or headers cannot be used").because(error))
}

/// `v1,` and the HMAC-SHA256 in base64. A secret that begins with `whsec_` is base64 from there on, any other one is its text.
fn signature(secret: &str, signed: &str) -> Result<String> {
    let key = match secret.strip_prefix(PREFIX) {
        Some(encoded) => BASE64_STANDARD
            .decode(encoded)
            .map_err(|_| Error::invalid("the webhook's secret is no base64 after `whsec_`"))?,
        None => secret.as_bytes().to_vec(),
    };
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
    Ok(format!("v1,{}", BASE64_STANDARD.encode(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // The example of the Standard Webhooks' libraries.
        let signed = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        assert_eq!(
            signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signed).unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert!(signature("whsec_!", signed).is_err());
        assert_ne!(
            signature("plain", signed).unwrap(),
            signature("other", signed).unwrap()
        );
    }
}
