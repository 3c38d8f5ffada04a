//! Where traces lie: in the data folder, or in the ClickHouse that a setting names.

use std::{fs, sync::Arc};

use stead_kernel::{
    Clock, Result,
    ports::{Feed, Outbound, Prices},
};
use stead_telemetry::{ClickHouseOptions, ClickHouseTraces, TraceEngine, TraceOptions, TraceStore};

use super::Ground;

/// Opens the store of traces.
///
/// # Errors
/// What the store says.
pub(super) async fn open(
    ground: &Ground,
    clock: Arc<dyn Clock>,
    feed: Arc<Feed>,
) -> Result<Arc<dyn TraceEngine>> {
    let settings = &ground.settings;
    if settings.events_url.is_empty() {
        let store = TraceStore::open(TraceOptions {
            folder: ground.data.traces(),
            retention_days: settings.retention_days,
            clock,
            prices: Arc::clone(&ground.prices) as Arc<dyn Prices>,
            rate: settings.ingest_rate,
            tasks: ground.tasks.clone(),
        })?;
        return Ok(Arc::new(store.telling(feed)));
    }
    let store = in_clickhouse(ground, clock).await?;
    Ok(Arc::new(store.telling(feed)))
}

async fn in_clickhouse(ground: &Ground, clock: Arc<dyn Clock>) -> Result<ClickHouseTraces> {
    let settings = &ground.settings;
    let store = ClickHouseTraces::open(ClickHouseOptions {
        url: settings.events_url.expose(),
        outbound: Arc::clone(&ground.outbound) as Arc<dyn Outbound>,
        retention_days: settings.retention_days,
        clock,
        prices: Arc::clone(&ground.prices) as Arc<dyn Prices>,
        rate: settings.ingest_rate,
        tasks: ground.tasks.clone(),
    })
    .await?;
    let files = fs::read_dir(ground.data.traces()).into_iter().flatten().flatten();
    if files.count() > 0 && store.is_empty().await? {
        let folder = ground.data.traces();
        tracing::warn!(
            "the traces in {} are not shown while eventsUrl is set: stead trace export, without it, and stead trace import take them over",
            folder.display()
        );
    }
    Ok(store)
}
