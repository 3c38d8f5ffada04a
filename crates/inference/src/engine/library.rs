//! The models that are loaded or being loaded, by the path of their file.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use stead_kernel::ports::ModelFile;

use super::{EngineOptions, model::Loaded};
use crate::error::{Error, Result};

/// A load that all who want the model wait for.
type Load = Shared<BoxFuture<'static, Result<Loaded>>>;

/// Loaded models.
pub(super) struct Library {
    options: EngineOptions,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_path: HashMap<PathBuf, Entry>,
    /// Counts uses, for the order of the last ones.
    uses: u64,
}

struct Entry {
    load: Load,
    last_use: u64,
}

impl Library {
    /// No models yet.
    pub(super) fn new(options: EngineOptions) -> Self {
        Self {
            options,
            entries: Mutex::default(),
        }
    }

    /// The model of a file, loaded by the first who asks.
    pub(super) async fn get(&self, file: &ModelFile) -> stead_kernel::Result<Loaded> {
        let load = self.find_or_start(file);
        match load.clone().await {
            Ok(model) => Ok(model),
            Err(error) => {
                // The next request tries again: the file may have been replaced.
                let mut entries = self.entries();
                if entries
                    .by_path
                    .get(&file.path)
                    .is_some_and(|entry| entry.load.ptr_eq(&load))
                {
                    entries.by_path.remove(&file.path);
                }
                Err(error.of_model(&file.name))
            }
        }
    }

    /// Forgets a model; requests that use it keep it until they end.
    pub(super) fn forget(&self, file: &ModelFile) {
        self.entries().by_path.remove(&file.path);
    }

    fn find_or_start(&self, file: &ModelFile) -> Load {
        let mut entries = self.entries();
        entries.uses += 1;
        let now = entries.uses;
        if let Some(entry) = entries.by_path.get_mut(&file.path) {
            entry.last_use = now;
            return entry.load.clone();
        }
        let load = self.start(file);
        entries.by_path.insert(
            file.path.clone(),
            Entry {
                load: load.clone(),
                last_use: now,
            },
        );
        if entries.by_path.len() > self.options.models.max(1) {
            let oldest = entries.by_path.iter().min_by_key(|(_, entry)| entry.last_use);
            let oldest = oldest.map(|(path, _)| path.clone());
            oldest.and_then(|path| entries.by_path.remove(&path));
        }
        load
    }

    /// Starts a load that goes on even when the one who asked first goes away.
    fn start(&self, file: &ModelFile) -> Load {
        let (path, options) = (file.path.clone(), self.options.clone());
        let name = file.name.clone();
        let load = async move {
            let started = tokio::time::Instant::now();
            let model = tokio::task::spawn_blocking(move || Loaded::load(&path, &options)).await;
            let model = model.unwrap_or_else(|_| Err(Error::Defect("loading it failed".to_owned())));
            match &model {
                Ok(_) => tracing::info!(model = name, elapsed = ?started.elapsed(), "loaded a model"),
                Err(error) => tracing::warn!(model = name, %error, "a model cannot be loaded"),
            }
            model
        };
        let task = self.options.tasks.spawn("load a model", load);
        task.map(|result| result.unwrap_or_else(|_| Err(Error::Defect("loading it failed".to_owned()))))
            .boxed()
            .shared()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
