//! Files that expire (<https://platform.openai.com/docs/api-reference/files/create#files_create-expires_after>).

use std::time::Duration;

use serde_json::Value;
use stead_kernel::{
    Context, Error, Reason, Result,
    ports::{Record, RecordQuery},
};

use super::{FILES, Files, decode};

/// After how many seconds a file may expire.
const SECONDS: std::ops::RangeInclusive<u64> = 3_600..=2_592_000;
/// How often those that have expired are removed.
const ROUND: Duration = Duration::from_hours(1);
/// How many files are looked at at once.
const PAGE: usize = 1_000;

/// The lifetime that `anchor` and `seconds` say.
///
/// # Errors
/// `Invalid`.
pub(crate) fn lifetime(anchor: &str, seconds: Option<u64>) -> Result<u64> {
    if anchor != "created_at" {
        return Err(Error::invalid("expires_after.anchor must be created_at"));
    }
    seconds
        .filter(|seconds| SECONDS.contains(seconds))
        .ok_or_else(|| {
            let (least, most) = (SECONDS.start(), SECONDS.end());
            Error::invalid(format!("expires_after.seconds must be from {least} to {most}"))
        })
}

/// The same of an object.
///
/// # Errors
/// `Invalid`.
pub(crate) fn lifetime_of(given: &Value) -> Result<u64> {
    let anchor = given.get("anchor").and_then(Value::as_str).unwrap_or_default();
    lifetime(anchor, given.get("seconds").and_then(Value::as_u64))
}

impl Files {
    /// Removes expired files from time to time, where this process has the records.
    pub(crate) fn look_after(&self, context: &Context) {
        if context.control.is_some() {
            return;
        }
        let files = self.clone();
        context.tasks.spawn_until_stopped("files", async move {
            loop {
                if let Err(error) = files.prune().await {
                    if error.reason() == Reason::Unsupported {
                        return;
                    }
                    tracing::warn!(error = error.full_message(), "expired files were not removed");
                }
                tokio::time::sleep(ROUND).await;
            }
        });
    }

    /// Removes the files that have expired and that no batch reads.
    pub(crate) async fn prune(&self) -> Result<()> {
        let mut query = RecordQuery {
            collection: FILES.into(),
            limit: PAGE,
            ..RecordQuery::default()
        };
        loop {
            let page = self.records.list(query.clone()).await?;
            for record in page.items {
                self.remove_expired(record).await?;
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(());
            }
        }
    }

    async fn remove_expired(&self, record: Record) -> Result<()> {
        let key = record.key.clone();
        if !decode(record)?.has_expired(self.now()) {
            return Ok(());
        }
        if crate::batches::reads(&self.records, &key.project, &key.id).await? {
            return Ok(());
        }
        self.remove(&key.project, &key.id).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_testkit::World;

    use super::*;

    #[test]
    fn a_lifetime_is_an_hour_to_thirty_days_from_the_making() {
        for seconds in [3_600, 2_592_000] {
            assert_eq!(
                lifetime_of(&json!({"anchor": "created_at", "seconds": seconds})).unwrap(),
                seconds
            );
        }
        for given in [
            json!({}),
            json!({"anchor": "created_at"}),
            json!({"anchor": "last_active_at", "seconds": 3_600}),
            json!({"anchor": "created_at", "seconds": 3_599}),
            json!({"anchor": "created_at", "seconds": 2_592_001}),
        ] {
            assert!(lifetime_of(&given).is_err(), "{given}");
        }
    }

    #[tokio::test]
    async fn an_expired_file_does_not_exist_and_is_removed() {
        let world = World::new();
        let files = Files::open(&world.context()).await.unwrap();
        let id = files.store_for("lab", Some(3_600)).await;
        let stays = files.store_for("lab", None).await;
        assert!(files.shown("lab", &id).await.unwrap().document(&id)["expires_at"].is_i64());
        world.ports.clock.advance(Duration::from_hours(1));
        assert!(
            files.shown("lab", &id).await.is_err(),
            "it does not exist any more"
        );
        assert!(
            files.get("lab", &id).await.is_ok(),
            "a batch may go on reading it"
        );
        files.prune().await.unwrap();
        assert!(files.get("lab", &id).await.is_err());
        assert!(files.shown("lab", &stays).await.is_ok());
        let contents = std::fs::read_dir(world.data().blobs().join("files")).unwrap();
        assert_eq!(contents.count(), 1);
    }
}
