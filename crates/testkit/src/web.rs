//! The web beyond this machine, as routers in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use axum::Router;
use http::{Request, Response};
use stead_kernel::{
    Body, Error, Result,
    ports::{Outbound, Reach, SendOptions},
};
use tower::ServiceExt;
use url::Url;

/// Hosts that answer from routers in memory. A host that nobody added is unreachable. Bodies stream, so a handler
/// can cut one in the middle by ending its stream with an error, or stall it.
#[derive(Default)]
pub struct FakeWeb {
    hosts: Mutex<BTreeMap<String, (Reach, Router)>>,
    sent: Arc<Mutex<Vec<(String, SendOptions)>>>,
}

impl FakeWeb {
    /// Adds (or replaces) a public host: `example.com` or `example.com:8443`.
    pub fn host(&self, name: &str, router: Router) {
        self.put(name, Reach::Public, router);
    }

    /// Adds a host with a private address, which only [`Reach::Private`] may reach.
    pub fn private_host(&self, name: &str, router: Router) {
        self.put(name, Reach::Private, router);
    }

    /// Takes a host away.
    pub fn remove(&self, name: &str) {
        self.hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    /// `METHOD URL` of every request so far, with its options.
    pub fn sent(&self) -> Vec<(String, SendOptions)> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, name: &str, reach: Reach, router: Router) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.insert(name.to_owned(), (reach, router));
    }

    fn find(&self, url: &Url, reach: Reach) -> Result<Router> {
        let host = url.host_str().unwrap_or_default();
        let name = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((needed, router)) = hosts.get(&name) else {
            return Err(Error::unavailable(format!("{name} does not answer")));
        };
        if reach < *needed {
            return Err(Error::forbidden(format!("{name} has a private address")));
        }
        Ok(router.clone())
    }
}

#[async_trait]
impl Outbound for FakeWeb {
    async fn send(&self, mut request: Request<Body>, options: SendOptions) -> Result<Response<Body>> {
        let text = request.uri().to_string();
        let url = Url::parse(&text).map_err(|error| Error::invalid("no absolute URL").because(error))?;
        let line = format!("{} {text}", request.method());
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((line, options));
        let router = self.find(&url, options.reach)?;
        if let Some(path) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = path.into();
        }
        match router.oneshot(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }

    async fn check(&self, url: &Url, reach: Reach) -> Result<()> {
        self.find(url, reach).map(drop)
    }
}
