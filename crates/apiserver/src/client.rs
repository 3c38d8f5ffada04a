//! The resource API for this very process: requests are function calls.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::http::{Request, Response};
use futures::future::BoxFuture;
use kube::client::Body as ClientBody;
use stead_kernel::{Body, Identity, Principal};
use tower::Service;

use crate::{engine::Engine, http::serve};

/// Answers the requests of one principal.
#[derive(Clone)]
pub(crate) struct InProcess {
    pub(crate) engine: Arc<Engine>,
    pub(crate) principal: Arc<Principal>,
}

impl Service<Request<ClientBody>> for InProcess {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ClientBody>) -> Self::Future {
        let mut request = request.map(Body::new);
        let identity = Identity::Known(Arc::clone(&self.principal));
        request.extensions_mut().insert(identity);
        let engine = Arc::clone(&self.engine);
        Box::pin(async move { Ok(serve(engine, request).await) })
    }
}
