//! `GET /v1/realtime`: a WebSocket to a model.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use stead_kernel::Body;

use super::{
    caller::Caller,
    error::ApiError,
    job::{Done, Ready, Rest},
    serve::{PathModel, begin},
    surface::Surface,
};
use crate::{
    Gateway,
    operation::Operation,
    realtime::{self, Asked, Session},
};

/// Opens a session, once a provider has.
pub(super) async fn open(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let surface = Surface::openai(Operation::Realtime);
    let (mut parts, _) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = match Caller::of(&parts, &snapshot, gateway.clock.now()) {
        Ok(caller) => caller,
        Err(error) => return surface.refuse(error),
    };
    let asked = Asked::of(&parts);
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let mut job = begin(&gateway, surface, (snapshot, caller), &parts.headers);
    let refuse = |error, job: super::job::Job| Done::refused(error, job.ledger).respond(surface);
    let (asked, upgrade) = match (asked, upgrade) {
        (Ok(asked), Some(upgrade)) => (asked, upgrade),
        (Ok(_), None) => return refuse(no_upgrade(), job),
        (Err(error), _) => return told_how(refuse(error, job)),
    };
    let Ok(place) = Arc::clone(&gateway.sessions).try_acquire_owned() else {
        return refuse(too_many(), job);
    };
    job.passed = asked.passed();
    job.headers = parts.headers;
    let done = match job.prepare(asked.body(), &PathModel::default()).await {
        Ok(Ready::Ask(prepared)) => job.run(*prepared).await,
        Ok(Ready::Answered(answered, controls)) => job.answered(*answered, controls).await,
        Err(error) => return refuse(error, job),
    };
    let (mut headers, rest) = done.settle();
    let mut response = match rest {
        Rest::Joined(joint) => {
            headers.extend(realtime::accept(&asked, joint.joined.protocol.as_ref()));
            let session = Session {
                ledger: joint.ledger,
                provider: joint.provider,
                idle: joint.limits.session_idle,
                until: joint.began + joint.limits.session_total,
                stop: gateway.tasks.token(),
                place,
            };
            let running = session.run(upgrade, *joint.joined);
            drop(gateway.tasks.spawn("realtime session", running));
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response
        }
        Rest::Failed(error) => surface.refuse(error),
        Rest::Whole(..) | Rest::Stream(..) => surface.refuse(ApiError::upstream("no WebSocket came")),
    };
    response.headers_mut().extend(headers);
    response
}

/// Who asked for no WebSocket hears how to.
fn told_how(mut response: Response) -> Response {
    if response.status() == StatusCode::UPGRADE_REQUIRED {
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

fn no_upgrade() -> ApiError {
    ApiError::unavailable(
        "upgrade_impossible",
        "this connection cannot become a WebSocket; something between the client and this server may be in the way",
    )
}

fn too_many() -> ApiError {
    ApiError::unavailable(
        "too_many_sessions",
        "this process has as many realtime sessions as it takes; try again later",
    )
}
