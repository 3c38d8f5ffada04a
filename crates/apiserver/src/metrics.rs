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
    durations: Mutex<BTreeMap<&'static str, Durations>>,
    reading: AtomicI64,
    changing: AtomicI64,
    writes: AtomicU64,
    watches: AtomicI64,
    watch_events: AtomicU64,
}

/// The upper bounds of the counts of durations, in seconds; those of the Kubernetes API server.
const BOUNDS: [f64; 14] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 5.0, 15.0, 60.0,
];

/// A family of samples: its name, its type, what it is, and each sample's labels and value.
type Family = (&'static str, &'static str, &'static str, Vec<(String, String)>);

/// How long requests took.
#[derive(Default)]
struct Durations {
    /// How many took at most as long as each bound says.
    within: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

/// A request under way, until it is dropped.
pub(crate) struct Flight {
    engine: std::sync::Arc<crate::engine::Engine>,
    reads: bool,
    begun: tokio::time::Instant,
}

impl Flight {
    pub(crate) fn begin(engine: &std::sync::Arc<crate::engine::Engine>, method: &axum::http::Method) -> Self {
        let flight = Self {
            engine: std::sync::Arc::clone(engine),
            reads: method.is_safe(),
            begun: tokio::time::Instant::now(),
        };
        flight.counter().fetch_add(1, Ordering::Relaxed);
        flight
    }

    /// How long it took so far.
    pub(crate) fn took(&self) -> std::time::Duration {
        self.begun.elapsed()
    }

    fn counter(&self) -> &AtomicI64 {
        let metrics = &self.engine.metrics;
        if self.reads {
            &metrics.reading
        } else {
            &metrics.changing
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.counter().fetch_sub(1, Ordering::Relaxed);
    }
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
    pub(crate) fn request(&self, verb: &'static str, code: u16, took: std::time::Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((verb, code)).or_default() += 1;
        drop(requests);
        let seconds = took.as_secs_f64();
        let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        let durations = durations.entry(verb).or_default();
        durations.count += 1;
        durations.seconds += seconds;
        for (within, bound) in durations.within.iter_mut().zip(BOUNDS) {
            *within += u64::from(seconds <= bound);
        }
    }

    pub(crate) fn watch_event(&self) {
        self.watch_events.fetch_add(1, Ordering::Relaxed);
    }

    /// The samples of the histogram of durations, without its name.
    fn durations(&self) -> Vec<(String, String)> {
        let durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        let mut samples = Vec::new();
        for (verb, durations) in durations.iter() {
            let verb = verb.to_uppercase();
            for (within, bound) in durations.within.iter().zip(BOUNDS) {
                samples.push((
                    format!("_bucket{{verb=\"{verb}\",le=\"{bound}\"}}"),
                    within.to_string(),
                ));
            }
            let count = durations.count.to_string();
            samples.push((format!("_bucket{{verb=\"{verb}\",le=\"+Inf\"}}"), count.clone()));
            samples.push((format!("_sum{{verb=\"{verb}\"}}"), durations.seconds.to_string()));
            samples.push((format!("_count{{verb=\"{verb}\"}}"), count));
        }
        samples
    }

    /// What the API server of Kubernetes counts, by its names.
    fn by_original_names(&self, store: &Store) -> Vec<Family> {
        let load = |counter: &AtomicI64| counter.load(Ordering::Relaxed).to_string();
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = requests
            .iter()
            .map(|((verb, code), count)| {
                let verb = verb.to_uppercase();
                (format!("{{verb=\"{verb}\",code=\"{code}\"}}"), count.to_string())
            })
            .collect();
        let objects = store.counts().unwrap_or_default();
        let objects = objects
            .into_iter()
            .map(|(resource, count)| (format!("{{resource=\"{resource}\"}}"), count.to_string()))
            .collect();
        let inflight = vec![
            ("{request_kind=\"readOnly\"}".to_owned(), load(&self.reading)),
            ("{request_kind=\"mutating\"}".to_owned(), load(&self.changing)),
        ];
        let events = vec![(
            String::new(),
            self.watch_events.load(Ordering::Relaxed).to_string(),
        )];
        vec![
            (
                "apiserver_request_total",
                "counter",
                "Requests by verb and code.",
                requests,
            ),
            (
                "apiserver_request_duration_seconds",
                "histogram",
                "How long requests took.",
                self.durations(),
            ),
            (
                "apiserver_current_inflight_requests",
                "gauge",
                "Requests under way.",
                inflight,
            ),
            (
                "apiserver_longrunning_requests",
                "gauge",
                "Open watches.",
                vec![("{verb=\"WATCH\"}".to_owned(), load(&self.watches))],
            ),
            ("apiserver_storage_objects", "gauge", "Stored objects.", objects),
            (
                "apiserver_watch_events_total",
                "counter",
                "Events sent to watchers.",
                events,
            ),
        ]
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
        for (name, kind, help, samples) in self.by_original_names(store) {
            family(name, kind, help, &samples);
        }
        text
    }
}
