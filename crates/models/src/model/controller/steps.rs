//! The three steps to a file: fetch, verify, store. Each is checked before it is done, so that a restart goes on.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use stead_kernel::{
    Clock, Error, Result,
    steps::{self, Progress, Report, Step},
};

use crate::{
    blobs::{Blobs, disk_error, hash_file, sync_folder},
    fetch::{self, Fetch, Fetched},
    model::plan::Held,
    source::Source,
};

/// The note that a file is complete, in the Model's folder.
const COMPLETE: &str = "complete.json";
/// How long fetching may take in all; standing still ends it much sooner.
const FETCH_TIMEOUT: Duration = Duration::from_hours(72);
/// How long reading the file from the disk may take.
const DISK_TIMEOUT: Duration = Duration::from_hours(6);

/// One try to bring a file here.
pub(super) struct Work {
    fetch: Fetch,
    sources: Vec<(Source, Option<String>)>,
    blobs: Blobs,
    fetched: Mutex<Option<Fetched>>,
}

/// The complete but not yet stored file in a Model's folder, if there is one.
pub(super) fn complete(folder: &Path) -> Option<Fetched> {
    serde_json::from_slice(&fs::read(folder.join(COMPLETE)).ok()?).ok()
}

impl Work {
    pub(super) fn new(fetch: Fetch, sources: Vec<(Source, Option<String>)>, blobs: Blobs) -> Self {
        Self {
            fetch,
            sources,
            blobs,
            fetched: Mutex::default(),
        }
    }

    /// Does all steps and returns what is then here.
    pub(super) async fn run(self: Arc<Self>, clock: &dyn Clock, report: &dyn Report) -> Result<Held> {
        let list: Vec<Box<dyn Step>> = vec![
            Box::new(FetchStep(Arc::clone(&self))),
            Box::new(VerifyStep(Arc::clone(&self))),
            Box::new(StoreStep(Arc::clone(&self))),
        ];
        steps::run(&list, clock, report).await?;
        let fetched = self.fetched()?;
        Ok(Held {
            digest: digest(&fetched),
            size: fetched.size,
            source: fetched.source,
        })
    }

    fn fetched(&self) -> Result<Fetched> {
        let fetched = self
            .fetched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        fetched.ok_or_else(|| Error::internal("a step ran before the file was fetched"))
    }

    fn set_fetched(&self, fetched: Fetched) {
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
    }

    fn path(&self, fetched: &Fetched) -> PathBuf {
        self.fetch.folder.join(&fetched.file)
    }

    /// Whether the file has its place already.
    fn is_stored(&self, fetched: &Fetched) -> bool {
        self.blobs.size(&digest(fetched)) == Some(fetched.size)
    }

    /// What an earlier process completed, if it is still there and still wanted.
    fn completed_before(&self) -> Option<Fetched> {
        let fetched = complete(&self.fetch.folder)?;
        let wanted = self.sources.iter().any(|(source, pin)| {
            source.text == fetched.source && pin.as_ref().is_none_or(|pin| *pin == fetched.sha256)
        });
        // A name with a path in it would lead out of the folder.
        let plain = Path::new(&fetched.file).components().count() == 1 && !fetched.file.starts_with('.');
        let there = fs::metadata(self.path(&fetched)).is_ok_and(|metadata| metadata.len() == fetched.size);
        (wanted && plain && (there || self.is_stored(&fetched))).then_some(fetched)
    }

    fn note_complete(&self, fetched: &Fetched) -> std::io::Result<()> {
        let folder = &self.fetch.folder;
        let fresh = folder.join("complete.json.new");
        fs::write(&fresh, serde_json::to_vec(fetched)?)?;
        fs::File::open(&fresh)?.sync_all()?;
        fs::rename(&fresh, folder.join(COMPLETE))?;
        sync_folder(folder)
    }
}

fn digest(fetched: &Fetched) -> String {
    format!("sha256:{}", fetched.sha256)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("a thread for files ended early").because(error)),
    }
}

struct FetchStep(Arc<Work>);

#[async_trait]
impl Step for FetchStep {
    fn name(&self) -> &'static str {
        "fetch"
    }

    fn timeout(&self) -> Duration {
        FETCH_TIMEOUT
    }

    fn retries(&self) -> u32 {
        1
    }

    async fn check(&self) -> Result<bool> {
        let Some(fetched) = self.0.completed_before() else {
            return Ok(false);
        };
        self.0.set_fetched(fetched);
        Ok(true)
    }

    async fn act(&self, progress: &Progress) -> Result<()> {
        let fetched = fetch::fetch(&self.0.fetch, &self.0.sources, progress).await?;
        let work = Arc::clone(&self.0);
        blocking(move || {
            work.note_complete(&fetched)
                .map_err(|error| disk_error("cannot note that the file is complete", error))?;
            work.set_fetched(fetched);
            Ok(())
        })
        .await
    }
}

struct VerifyStep(Arc<Work>);

#[async_trait]
impl Step for VerifyStep {
    fn name(&self) -> &'static str {
        "verify"
    }

    fn timeout(&self) -> Duration {
        DISK_TIMEOUT
    }

    fn retries(&self) -> u32 {
        0
    }

    async fn check(&self) -> Result<bool> {
        Ok(self.0.is_stored(&self.0.fetched()?))
    }

    /// Reads the file back: what the disk returns must be what came.
    async fn act(&self, progress: &Progress) -> Result<()> {
        let (work, progress) = (Arc::clone(&self.0), progress.clone());
        blocking(move || {
            let fetched = work.fetched()?;
            let found = hash_file(&work.path(&fetched), &progress)
                .map_err(|error| disk_error("cannot read the model file back", error))?;
            if found == fetched.sha256 {
                return Ok(());
            }
            fetch::clear(&work.fetch.folder)?;
            Err(Error::unavailable(
                "the disk returned other bytes than were fetched; they were thrown away",
            ))
        })
        .await
    }
}

struct StoreStep(Arc<Work>);

#[async_trait]
impl Step for StoreStep {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> Result<bool> {
        Ok(self.0.is_stored(&self.0.fetched()?))
    }

    async fn act(&self, _progress: &Progress) -> Result<()> {
        let work = Arc::clone(&self.0);
        blocking(move || {
            let fetched = work.fetched()?;
            work.blobs.adopt(&work.path(&fetched), &digest(&fetched))
        })
        .await
    }
}
