//! Where records lie: in the data folder, or in the database that a setting names.

use std::sync::Arc;

use stead_kernel::{Clock, Collection, DataDir, Error, Result, StoreUrl};
use stead_telemetry::{PostgresOptions, PostgresRecords, RecordEngine, RecordStore};

/// Opens the store of records.
///
/// # Errors
/// What the store says; `Conflict` when the database holds nothing and the data folder has records, which would seem lost.
pub(crate) async fn open(
    url: &StoreUrl,
    data: &DataDir,
    collections: &[Collection],
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn RecordEngine>> {
    if url.is_empty() {
        return Ok(Arc::new(RecordStore::open(&data.records(), collections, clock)?));
    }
    let database = database(url, collections, clock).await?;
    if data.records().exists() && database.is_empty().await? {
        return Err(Error::conflict(format!(
            "recordsUrl names a database that holds no records, and {} has some",
            data.records().display()
        ))
        .hint("take them over: stead import records; or move the file away to begin with none"));
    }
    Ok(Arc::new(database))
}

/// Connects to the database.
///
/// # Errors
/// What the store says.
pub(crate) async fn database(
    url: &StoreUrl,
    collections: &[Collection],
    clock: Arc<dyn Clock>,
) -> Result<PostgresRecords> {
    let reading = tokio::task::spawn_blocking(stead_net::database_tls);
    let tls = reading
        .await
        .map_err(|error| Error::internal("the certificate store could not be read").because(error))?;
    PostgresRecords::open(PostgresOptions {
        url: url.expose(),
        tls,
        collections,
        clock,
    })
    .await
}
