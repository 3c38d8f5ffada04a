//! The way to the server.

use std::{error::Error as _, time::Duration};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use stead_kernel::{Error, Result};
use tokio_postgres::{Config, config::TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Connections that one process holds at most.
const CONNECTIONS: usize = 8;
/// How long connecting takes at most, when the address does not say.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request waits for a free connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// What every connection is set to: a commit that is answered is on the disk, and no statement holds others up for ever.
const SESSION: &str = "SET synchronous_commit = on; SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'";

/// Connections to the server that an address names; none is made yet.
///
/// # Errors
/// `Invalid` when the address is none; it is not in the error, since it may hold a password.
pub(super) fn pool(url: &str, tls: rustls::ClientConfig) -> Result<Pool> {
    let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        let why = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        Error::invalid(format!(
            "the address of the database of records is none of PostgreSQL's: {why}"
        ))
        .hint("postgres://user:password@host:5432/database?sslmode=require")
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_application_name().is_none() {
        config.application_name("stead");
    }
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = Manager::from_config(config, MakeRustlsConnect::new(tls), recycling);
    Pool::builder(manager)
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(PATIENCE))
        .post_create(Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
        }))
        .build()
        .map_err(|error| Error::internal("the connections to the database of records").because(error))
}

/// A connection.
///
/// # Errors
/// `Unavailable` when none is to be had.
pub(super) async fn take(pool: &Pool) -> Result<Object> {
    pool.get().await.map_err(|error| match error {
        PoolError::Closed => Error::unavailable("the store of records is closed"),
        PoolError::Timeout(_) => Error::unavailable("the database of records does not answer in time")
            .hint("see whether it is up and how many connections it allows"),
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => broken(error),
        error => Error::unavailable("the database of records cannot be reached").because(error),
    })
}

/// What the server or the way to it said.
pub(super) fn broken(error: tokio_postgres::Error) -> Error {
    let told = error
        .as_db_error()
        .map(|told| format!("{} ({})", told.message(), told.code().code()));
    let why = told
        .or_else(|| error.source().map(ToString::to_string))
        .unwrap_or_else(|| error.to_string());
    Error::unavailable(format!("the database of records failed: {why}")).because(error)
}
