//! The server: finding it, speaking to it, understanding its errors.

mod api;
mod failure;
mod find;
mod remote;
mod watch;

use std::sync::Arc;

use stead_kernel::{Result, command::Server};

pub(crate) use api::{Accept, Api, Query, segment};
pub(crate) use find::{Finder, Target};
pub(crate) use watch::{Change, Watch};

use remote::{Absent, Remote};

/// Finds the server; nothing is sent yet.
pub(crate) fn connect(finder: &Finder) -> Result<Arc<dyn Server>> {
    Ok(Arc::new(Remote::new(finder.find()?, finder.version)?))
}

/// Finds the server, or stands in with one whose every request fails for the reason that it was not found: a
/// command that needs none (a dry run) works without.
pub(crate) fn connect_lazily(finder: &Finder) -> Arc<dyn Server> {
    connect(finder).unwrap_or_else(|_| Arc::new(Absent(finder.clone())))
}

/// The error that a failed answer tells.
pub(crate) async fn error_of(response: http::Response<stead_kernel::Body>) -> stead_kernel::Error {
    match remote::read_json(response).await {
        Err(error) => error,
        Ok(_) => stead_kernel::Error::internal("the server's answer is no failure"),
    }
}

/// The text of an answer, whatever its status.
pub(crate) async fn text_of(response: http::Response<stead_kernel::Body>) -> Result<String> {
    Ok(String::from_utf8_lossy(&remote::read(response).await?).into_owned())
}
