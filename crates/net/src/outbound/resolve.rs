//! Names to addresses.

use std::{io, net::IpAddr};

use async_trait::async_trait;

/// Finds the addresses of a name; a seam, so that tests can lie about names.
#[async_trait]
pub(super) trait Resolve: Send + Sync {
    /// All addresses, in order of preference.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver (hosts file, DNS, whatever is configured).
pub(super) struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
