//! `stead wait`: until objects are as they are wanted to be, with their steps shown meanwhile.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::Value;
use stead_kernel::{
    Error, Result,
    command::{ProgressBar, Terminal as _},
    conditions::READY,
};
use tokio::time::Instant;

use super::{Call, Tally, jsonpath::JsonPath, selector, timeout, words};
use crate::{
    arguments::text,
    json::{at, items_at, text_at},
    report::usage,
    resource::{Discovery, Resource, name, project, version},
    server::{Accept, Api, Change, Query, Watch},
};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("wait")
        .about("Waits for objects: stead wait model/x --for=condition=Ready")
        .arg(words().required(true))
        .arg(selector())
        .arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .help("All objects of the kind in the project"),
        )
        .arg(
            Arg::new("for")
                .long("for")
                .value_name("WHAT")
                .default_value("condition=Ready")
                .value_parser(Goal::parse)
                .help("condition=NAME[=STATUS], create, delete, or jsonpath={PATH}[=VALUE]"),
        )
        .arg(timeout("30s"))
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
enum Goal {
    Condition {
        name: String,
        status: String,
    },
    Exists,
    Gone,
    Value {
        path: JsonPath,
        text: String,
        wanted: Option<String>,
    },
}

impl Goal {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "delete" => Ok(Self::Gone),
            None if text == "create" => Ok(Self::Exists),
            Some(("condition", rest)) if !rest.is_empty() => {
                let (name, status) = rest.split_once('=').unwrap_or((rest, "True"));
                Ok(Self::Condition {
                    name: name.into(),
                    status: status.into(),
                })
            }
            Some(("jsonpath", rest)) => {
                // The path may hold = itself, in braces.
                let end = if rest.starts_with('{') {
                    rest.rfind('}').map(|end| end + 1)
                } else {
                    rest.find('=')
                };
                let (path, wanted) = rest
                    .split_at_checked(end.unwrap_or(rest.len()))
                    .unwrap_or((rest, ""));
                let wanted = wanted
                    .strip_prefix('=')
                    .map(|wanted| wanted.trim_matches(['"', '\'']).to_owned());
                Ok(Self::Value {
                    path: JsonPath::parse(path)?,
                    text: path.into(),
                    wanted,
                })
            }
            _ => Err("write condition=NAME, create, delete, or jsonpath={.path}=VALUE".into()),
        }
    }

    /// Whether the object, `None` when there is none, is as wanted.
    fn is_met(&self, object: Option<&Value>) -> bool {
        match (self, object) {
            (Self::Gone, object) => object.is_none(),
            (_, None) => false,
            (Self::Exists, Some(_)) => true,
            (Self::Condition { name, status }, Some(object)) => {
                condition(object, name).is_some_and(|condition| {
                    is_current(object, condition)
                        && text_at(condition, "/status").eq_ignore_ascii_case(status)
                })
            }
            (Self::Value { path, wanted, .. }, Some(object)) => {
                let found = path.find(object);
                match wanted {
                    Some(wanted) => found.iter().any(|value| plain(value) == *wanted),
                    None => !found.is_empty(),
                }
            }
        }
    }

    /// Whether waiting makes sense for an object that is not there.
    fn needs_object(&self) -> bool {
        matches!(self, Self::Condition { .. } | Self::Value { .. })
    }

    fn done(&self) -> String {
        match self {
            Self::Gone => "deleted".into(),
            Self::Exists => "created".into(),
            Self::Condition { .. } | Self::Value { .. } => "condition met".into(),
        }
    }

    /// What is still missing.
    fn missing(&self, object: Option<&Value>) -> String {
        let Some(object) = object else {
            return "it does not exist".into();
        };
        match self {
            Self::Gone => "it is still there".into(),
            Self::Exists => String::new(),
            Self::Condition { name, .. } => match condition(object, name) {
                None => format!("it has no condition {name}"),
                Some(condition) if !is_current(object, condition) => {
                    format!("{name} is not yet known for the latest change")
                }
                Some(condition) => {
                    let [status, reason, message] =
                        ["/status", "/reason", "/message"].map(|place| text_at(condition, place));
                    format!("{name} is {status} ({reason}): {message}")
                        .trim_end_matches(": ")
                        .to_owned()
                }
            },
            Self::Value { path, text, .. } => match path.find(object).first() {
                Some(value) => format!("{text} is {}", plain(value)),
                None => format!("{text} is not there"),
            },
        }
    }
}

fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let mut all = at(object, "/status/conditions").as_array()?.iter();
    all.find(|condition| text_at(condition, "/type").eq_ignore_ascii_case(name))
}

/// Whether a condition speaks of the object as it is, and not as it was before its last change.
fn is_current(object: &Value, condition: &Value) -> bool {
    match (
        at(condition, "/observedGeneration").as_i64(),
        at(object, "/metadata/generation").as_i64(),
    ) {
        (Some(observed), Some(generation)) => observed >= generation,
        _ => true,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// An object that is waited for.
struct Awaited {
    resource: Resource,
    project: String,
    name: String,
}

pub(super) async fn run(matches: ArgMatches, call: Call) -> Result<()> {
    let Some(goal) = matches.get_one::<Goal>("for").cloned() else {
        return Err(usage("say what --for"));
    };
    let patience: Duration = matches.get_one("timeout").copied().unwrap_or_default();
    let deadline = Instant::now().checked_add(patience);
    let api = call.api()?;
    let discovery = Discovery::load(&api).await?;
    let awaited = awaited(&matches, &call, &api, &discovery).await?;
    if awaited.is_empty() {
        return if goal == Goal::Gone {
            Ok(())
        } else {
            Err(Error::not_found("nothing matches what is waited for"))
        };
    }
    let mut tally = Tally::new(&call.screen, awaited.len());
    for one in &awaited {
        let label = format!("{}/{}", one.resource.label(), one.name);
        let bar = call.screen.progress(&label, None);
        let mut waiting = Waiting {
            api: &api,
            one,
            goal: &goal,
            bar: bar.as_ref(),
            last: None,
        };
        let outcome = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, waiting.end()).await,
            None => Ok(waiting.end().await),
        };
        let result = match outcome {
            Ok(result) => result,
            Err(_) => waiting.why_not(&label, patience).await,
        };
        drop(bar);
        tally.count(match result {
            Ok(()) => call.screen.write(&format!("{label} {}\n", goal.done())),
            Err(error) => Err(error),
        });
    }
    tally.end("as wanted")
}

async fn awaited(
    matches: &ArgMatches,
    call: &Call,
    api: &Api,
    discovery: &Discovery,
) -> Result<Vec<Awaited>> {
    let mut awaited = Vec::new();
    for chosen in Call::chosen(matches, discovery)? {
        let resource = chosen.resource;
        if let Some(name) = chosen.name {
            awaited.push(Awaited {
                resource,
                project: call.globals.project.clone(),
                name,
            });
            continue;
        }
        let selector = text(matches, "selector");
        if selector.is_none() && !matches.get_flag("all") {
            return Err(usage(format!(
                "name the {} to wait for, or give -l LABELS or --all",
                resource.plural
            )));
        }
        let mut query = Query::default();
        if let Some(selector) = selector {
            query.set("labelSelector", selector);
        }
        let list = api
            .list(&resource.collection(call.list_project()), &query, Accept::Objects)
            .await?;
        for item in items_at(&list, "/items") {
            let project = project(item).unwrap_or_default().to_owned();
            awaited.push(Awaited {
                resource: resource.clone(),
                project,
                name: name(item).to_owned(),
            });
        }
    }
    Ok(awaited)
}

struct Waiting<'a> {
    api: &'a Api,
    one: &'a Awaited,
    goal: &'a Goal,
    bar: &'a dyn ProgressBar,
    /// The object as it was last seen.
    last: Option<Value>,
}

impl Waiting<'_> {
    async fn end(&mut self) -> Result<()> {
        let Awaited {
            resource,
            project,
            name,
        } = self.one;
        let mut query = Query::default();
        query.set("fieldSelector", format!("metadata.name={name}"));
        let path = resource.collection(Some(project));
        loop {
            let mut list = self.api.list(&path, &query, Accept::Objects).await?;
            let from = version(&list).to_owned();
            let items = list
                .get_mut("items")
                .and_then(Value::as_array_mut)
                .map(std::mem::take);
            // A server that does not select by name is no reason to wait for another object.
            let found = items
                .into_iter()
                .flatten()
                .find(|item| crate::resource::name(item) == name);
            if self.see(found) {
                return Ok(());
            }
            if self.last.is_none() && self.goal.needs_object() {
                return self.api.get(&resource.object(project, name)).await.map(drop);
            }
            let mut watch = Watch::new(
                self.api.clone(),
                path.clone(),
                query.clone(),
                Accept::Objects,
                &from,
            );
            loop {
                let now = match watch.next().await? {
                    Change::Changed(object) => Some(object),
                    Change::Deleted(_) => None,
                    Change::Lost => break,
                };
                if self.see(now) {
                    return Ok(());
                }
                if self.last.is_none() && self.goal.needs_object() {
                    return Err(Error::not_found(format!(
                        "{}/{name} was deleted meanwhile",
                        resource.label()
                    )));
                }
            }
        }
    }

    /// The error that says what is still missing when time is over.
    async fn why_not(&mut self, label: &str, patience: Duration) -> Result<()> {
        if self.last.is_none() {
            self.last = self
                .api
                .find(&self.one.resource.object(&self.one.project, &self.one.name))
                .await?;
        }
        let missing = self.goal.missing(self.last.as_ref());
        Err(Error::timeout(format!(
            "{label} is not as wanted after {patience:?}: {missing}"
        )))
    }

    /// Looks at the object, and shows the step that is under way.
    fn see(&mut self, object: Option<Value>) -> bool {
        if let Some(object) = &object {
            let mut steps = items_at(object, "/status/steps").iter();
            if let Some(step) = steps.find(|step| at(step, "/state") == "Running") {
                self.bar.set(
                    at(step, "/progress/done").as_u64().unwrap_or(0),
                    at(step, "/progress/total").as_u64(),
                );
                self.bar
                    .message(format!("{} {}", text_at(step, "/name"), text_at(step, "/message")).trim());
            } else if let Some(ready) = condition(object, READY) {
                self.bar.message(text_at(ready, "/message"));
            }
        }
        self.last = object;
        self.goal.is_met(self.last.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_waited_for_is_understood_and_judged() {
        let object = json!({"metadata": {"generation": 2}, "status": {"phase": "Up", "conditions": [
            {"type": "Ready", "status": "True", "observedGeneration": 2},
            {"type": "Stale", "status": "True", "observedGeneration": 1},
            {"type": "Down", "status": "False"}]}});
        let cases = [
            ("condition=Ready", true),
            ("condition=ready=true", true),
            ("condition=Ready=False", false),
            ("condition=Stale", false),
            ("condition=Down=False", true),
            ("condition=None", false),
            ("jsonpath={.status.phase}=Up", true),
            ("jsonpath='{.status.phase}'=Up", false),
            ("jsonpath=.status.phase=Down", false),
            (
                "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}=True",
                true,
            ),
            ("jsonpath={.status.phase}", true),
            ("jsonpath={.status.gone}", false),
            ("delete", false),
            ("create", true),
        ];
        for (text, met) in cases {
            let goal = Goal::parse(text);
            assert_eq!(goal.is_ok_and(|goal| goal.is_met(Some(&object))), met, "{text}");
        }
        assert!(Goal::parse("delete").unwrap().is_met(None));
        assert!(Goal::parse("condition=").is_err() && Goal::parse("ready").is_err());
    }
}
