//! Counters, in Prometheus' text format.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use crate::store::Store;

/// What the server counts.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    writes: AtomicU64,
    watches: AtomicI64,
}

/// Counts a watch for as long as it lives.
pub(crate) struct Watching(std::sync::Arc<crate::engine::Engine>);

impl Watching {
    pub(crate) fn begin(engine: &std::sync::Arc<crate::engine::Engine>) -> Self {
        engine.metrics.watches.fetch_add(1, Ordering::Relaxed);
        Self(std::sync::Arc::clone(engine))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.metrics.watches.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn request(&self, verb: &'static str, code: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((verb, code)).or_default() += 1;
    }

    pub(crate) fn write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// The text for `/metrics`.
    pub(crate) fn render(&self, store: &Store) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, String)]| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let requests: Vec<_> = self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|((verb, code), count)| (format!("{{verb=\"{verb}\",code=\"{code}\"}}"), count.to_string()))
            .collect();
        let single = |value: String| vec![(String::new(), value)];
        family(
            "stead_apiserver_requests_total",
            "counter",
            "Requests to the resource API.",
            &requests,
        );
        family(
            "stead_apiserver_writes_total",
            "counter",
            "Writes handed to the store.",
            &single(self.writes.load(Ordering::Relaxed).to_string()),
        );
        family(
            "stead_apiserver_watches",
            "gauge",
            "Open watches.",
            &single(self.watches.load(Ordering::Relaxed).to_string()),
        );
        family(
            "stead_apiserver_resource_version",
            "gauge",
            "The newest resource version.",
            &single(store.window().latest().to_string()),
        );
        family(
            "stead_apiserver_window_changes",
            "gauge",
            "Changes from which a watch can begin.",
            &single(store.window().len().to_string()),
        );
        let objects: Vec<_> = store
            .counts()
            .unwrap_or_default()
            .into_iter()
            .map(|(resource, count)| (format!("{{resource=\"{resource}\"}}"), count.to_string()))
            .collect();
        family("stead_apiserver_objects", "gauge", "Stored objects.", &objects);
        text
    }
}
