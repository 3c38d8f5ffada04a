//! The model APIs of this process, for domains that ask models themselves.

use axum::{Router, extract::Request};
use http::{Response, StatusCode};
use stead_kernel::{Body, Identity, ports::Models};
use tokio::sync::watch;
use tower::ServiceExt;

/// The routes, once all domains have started.
#[derive(Clone)]
pub(super) struct Asked(watch::Sender<Option<Router>>);

impl Default for Asked {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Asked {
    /// The server is complete: who waits is answered.
    pub(super) fn open(&self, routes: Router) {
        self.0.send_replace(Some(routes));
    }
}

#[async_trait::async_trait]
impl Models for Asked {
    async fn call(&self, identity: Identity, mut request: Request) -> Response<Body> {
        let mut routes = self.0.subscribe();
        let routes = match routes.wait_for(Option::is_some).await {
            Ok(routes) => routes.clone(),
            Err(_) => None,
        };
        let is_model_api = request.uri().path().starts_with("/v1/");
        let Some(routes) = routes.filter(|_| is_model_api) else {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        request.extensions_mut().insert(identity);
        match routes.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
