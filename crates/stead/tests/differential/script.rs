//! The scripts: tables of operations, as YAML.
//!
//! A file holds a list of cases. A case has a namespace of its own, `$ns`, and steps that follow each other; with
//! `each`, it is played once for every row of a table, whose columns are variables. A step's request is the key with
//! the method and the path, its value is the body:
//!
//! ```yaml
//! - case: an applied field is owned
//!   steps:
//!   - PATCH $cm/a?fieldManager=one: {apiVersion: v1, kind: ConfigMap, data: {k: v}}
//!     type: apply
//!   - GET $cm/a:
//!     save: {version: /metadata/resourceVersion}
//! ```

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};

/// What variables stand for; those of a case come on top.
const PLACES: &[(&str, &str)] = &[
    ("cm", "/api/v1/namespaces/$ns/configmaps"),
    ("secrets", "/api/v1/namespaces/$ns/secrets"),
    ("events", "/api/v1/namespaces/$ns/events"),
    ("newevents", "/apis/events.k8s.io/v1/namespaces/$ns/events"),
    ("leases", "/apis/coordination.k8s.io/v1/namespaces/$ns/leases"),
    ("widgets", "/apis/diff.test/v1/namespaces/$ns/widgets"),
    ("oldwidgets", "/apis/diff.test/v1beta1/namespaces/$ns/widgets"),
    ("things", "/apis/diff.test/v1/things"),
    ("crds", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
];

/// A sequence of steps on both servers.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The file's name without its ending.
    pub(crate) theme: String,
    pub(crate) name: String,
    pub(crate) steps: Vec<Value>,
}

impl Case {
    /// `theme: name`.
    pub(crate) fn title(&self) -> String {
        format!("{}: {}", self.theme, self.name)
    }
}

/// One request, before its variables are filled in.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The bytes to send.
    pub(crate) body: Vec<u8>,
    /// Repeated until the answer has this status.
    pub(crate) until: Option<u16>,
    /// Repeated until the value at the pointer is this one.
    pub(crate) until_value: Option<(String, Value)>,
    /// How many lines of a watch to read; all when absent.
    pub(crate) events: Option<usize>,
}

/// The cases of all files, in the order of their names.
pub(crate) fn read_all(folder: &Path) -> Vec<Case> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of scripts")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    files.iter().flat_map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<Case> {
    let theme = file.file_stem().expect("a name").to_string_lossy().into_owned();
    let text = std::fs::read_to_string(file).expect("readable");
    let cases: Vec<Value> = read_yaml(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    cases.iter().flat_map(|case| expand(&theme, case)).collect()
}

/// Reads YAML in which `y` is a letter.
pub(crate) fn read_yaml(text: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
}

/// A case for every row of its table.
fn expand(theme: &str, case: &Value) -> Vec<Case> {
    let name = case["case"].as_str().expect("a case has a name");
    let steps = case["steps"].as_array().expect("a case has steps").clone();
    let made = |name: String, steps| Case {
        theme: theme.to_owned(),
        name,
        steps,
    };
    let Some(rows) = case.get("each").and_then(Value::as_array) else {
        return vec![made(name.to_owned(), steps)];
    };
    rows.iter()
        .enumerate()
        .map(|(index, row)| {
            let row = row.as_object().expect("a row is a map");
            let values: BTreeMap<String, Value> = row.clone().into_iter().collect();
            let steps = steps.iter().map(|step| fill(step, &values)).collect();
            let label = row
                .values()
                .next()
                .map(|first| first.as_str().map_or_else(|| first.to_string(), str::to_owned));
            made(format!("{name} [{index}: {}]", label.unwrap_or_default()), steps)
        })
        .collect()
}

/// Fills variables in: a text that is one variable becomes its value, others are replaced within texts and names.
pub(crate) fn fill(value: &Value, variables: &BTreeMap<String, Value>) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('$').and_then(|name| variables.get(name)) {
            Some(whole) => whole.clone(),
            None => fill_text(text, variables).into(),
        },
        Value::Array(list) => list.iter().map(|item| fill(item, variables)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| (fill_text(key, variables), fill(item, variables)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn fill_text(text: &str, variables: &BTreeMap<String, Value>) -> String {
    let mut out = text.to_owned();
    // The longest first: one name may begin another.
    let mut names: Vec<&String> = variables.keys().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for name in names {
        let whole = format!("${name}");
        if out.contains(&whole) {
            let value = match &variables[name] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            out = out.replace(&whole, &value);
        }
    }
    out
}

/// What every case begins with.
pub(crate) fn places(namespace: &str) -> BTreeMap<String, Value> {
    let mut variables: BTreeMap<String, Value> = PLACES
        .iter()
        .map(|(name, path)| ((*name).to_owned(), path.replace("$ns", namespace).into()))
        .collect();
    variables.insert("ns".into(), namespace.into());
    variables
}

/// Reads a step whose variables are filled in.
pub(crate) fn step(value: &Value) -> Step {
    let map = value.as_object().expect("a step is a map");
    let (request, body) = map
        .iter()
        .find(|(key, _)| key.contains(" /"))
        .unwrap_or_else(|| panic!("no request in {value}"));
    let (method, path) = request.split_once(' ').expect("a method and a path");
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    let body = match (text("raw"), body) {
        (Some(raw), _) => raw.as_bytes().to_vec(),
        (None, Value::Null) => Vec::new(),
        (None, body) => body.to_string().into_bytes(),
    };
    let mut headers = vec![(
        "user-agent".to_owned(),
        text("agent").unwrap_or("differential/1").to_owned(),
    )];
    if !body.is_empty() {
        headers.push((
            "content-type".into(),
            media_type(text("type").unwrap_or("json-object")),
        ));
    }
    headers.push((
        "accept".into(),
        text("accept").map_or("application/json".into(), accepted),
    ));
    for (name, value) in map
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        headers.push((name.clone(), value.as_str().unwrap_or_default().to_owned()));
    }
    let until = map.get("until");
    Step {
        method: if method == "WATCH" { "GET" } else { method }.to_owned(),
        path: watched(method, path),
        headers,
        body,
        until: until
            .and_then(Value::as_u64)
            .and_then(|code| u16::try_from(code).ok()),
        until_value: until.and_then(Value::as_object).and_then(|map| {
            let (place, value) = map.iter().next()?;
            Some((place.clone(), value.clone()))
        }),
        events: map
            .get("events")
            .and_then(Value::as_u64)
            .map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
    }
}

fn watched(method: &str, path: &str) -> String {
    if method != "WATCH" {
        return path.to_owned();
    }
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}watch=true")
}

fn media_type(name: &str) -> String {
    match name {
        "apply" => "application/apply-patch+yaml",
        "merge" => "application/merge-patch+json",
        "json" => "application/json-patch+json",
        "strategic" => "application/strategic-merge-patch+json",
        "yaml" => "application/yaml",
        "json-object" => "application/json",
        other => other,
    }
    .to_owned()
}

fn accepted(name: &str) -> String {
    match name {
        "table" => "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        "metadata" => "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json",
        "metadata-list" => {
            "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
        }
        other => other,
    }
    .to_owned()
}
