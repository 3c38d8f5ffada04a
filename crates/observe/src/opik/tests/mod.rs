//! The routes over a real store.

mod doors;
mod kept;
mod records;
mod replay;

use std::{io::Write as _, sync::Arc};

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use stead_kernel::{
    Credential, Identity, OpikLocal, Principal, Settings,
    http::Connection,
    ports::{Prices, Traces},
};
use stead_telemetry::{SignalOptions, SignalStore, TraceOptions, TraceStore};
use stead_testkit::{ManualClock, NoPrices, World};
use tower::ServiceExt;

/// A router over a store in a temporary folder.
pub(crate) struct Stand {
    pub(crate) router: Router,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<TraceStore>,
    pub(crate) signals: Arc<SignalStore>,
    pub(crate) world: World,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A program of this machine, without a key.
    Local,
    /// Somebody with a key of the project `default`.
    Key,
    /// Somebody elsewhere without a key.
    Stranger,
}

/// An answer.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The lines of a stream.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

pub(crate) fn stand(local: OpikLocal) -> Stand {
    stand_with(local, Arc::new(NoPrices))
}

/// The same, where models have prices.
pub(crate) fn stand_with(local: OpikLocal, prices: Arc<dyn Prices>) -> Stand {
    let world = World::new();
    let clock = world.ports.clock.clone();
    clock.set("2026-11-21T06:54:00Z".parse().unwrap());
    let mut context = world.context();
    let store = Arc::new(
        TraceStore::open(TraceOptions {
            folder: context.data.traces(),
            retention_days: 30,
            clock: clock.clone(),
            prices,
            rate: 0,
            tasks: context.tasks.clone(),
        })
        .unwrap()
        .telling(Arc::clone(&context.ports.feed)),
    );
    context.ports.traces = Arc::clone(&store) as Arc<dyn Traces>;
    let signals = SignalStore::open(SignalOptions {
        folder: context.data.signals(),
        retention_days: 30,
        clock: clock.clone(),
        rate: 0,
        tasks: context.tasks.clone(),
    });
    let signals = Arc::new(signals.unwrap().telling(Arc::clone(&context.ports.feed)));
    context.ports.signals = Arc::clone(&signals) as _;
    context.settings = Arc::new(Settings {
        opik_local: local,
        ..Settings::default()
    });
    Stand {
        router: {
            let opik = super::opik(&context);
            super::routes(&context, opik.clone())
                .merge(crate::traces::routes(&opik))
                .merge(crate::routes::routes(&opik))
                .merge(crate::logs::routes(&opik))
                .merge(crate::metrics::routes(&opik))
                .merge(crate::otlp::routes(&context, opik))
        },
        clock,
        store,
        signals,
        world,
    }
}

/// A request as it reaches the router: who asks is known by then.
pub(crate) fn request(who: Who, method: &Method, path: &str) -> http::request::Builder {
    let peer = if who == Who::Stranger {
        "203.0.113.9:1"
    } else {
        "127.0.0.1:1"
    };
    let identity = match who {
        Who::Local | Who::Stranger => Identity::Anonymous,
        Who::Key => Identity::Known(Arc::new(Principal {
            user: "ada".into(),
            groups: Vec::new(),
            projects: Vec::new(),
            credential: Credential::ApiKey {
                project: "default".into(),
                name: "laptop".into(),
            },
        })),
    };
    Request::builder()
        .method(method)
        .uri(path)
        .extension(identity)
        .extension(Connection {
            peer: peer.parse().unwrap(),
            tls: false,
        })
}

impl Stand {
    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        Answered {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    /// A request with a JSON body, or none.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answered {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request(Who::Local, &method, path).body(body).unwrap())
            .await
    }
}

/// Compressed with gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
