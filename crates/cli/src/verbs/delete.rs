//! `stead delete`: removes objects and waits until they are gone.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Value, json};
use stead_kernel::{
    Error, Reason, Result,
    command::{Format, Terminal as _},
};

use super::{Call, Tally, manifests, selector, timeout, words};
use crate::{
    arguments::text,
    json::{at, items_at},
    report::usage,
    resource::{Discovery, Resource, name, project, version},
    server::{Accept, Api, Change, Query, Watch},
};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("delete")
        .about("Removes objects: stead delete KIND NAME…, KIND/NAME…, -f FILE")
        .arg(words().conflicts_with("filename"))
        .args(manifests())
        .arg(selector().conflicts_with("filename"))
        .arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .help("All objects of the kind in the project"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Checks everything, changes nothing"),
        )
        .arg(
            Arg::new("ignore-not-found")
                .long("ignore-not-found")
                .action(ArgAction::SetTrue)
                .help("What is gone already is no failure"),
        )
        .arg(
            Arg::new("wait")
                .long("wait")
                .value_name("true|false")
                .num_args(0..=1)
                .require_equals(true)
                .default_value("true")
                .default_missing_value("true")
                .value_parser(clap::value_parser!(bool))
                .help("Whether to wait until they are gone"),
        )
        .arg(timeout("2m"))
}

/// Something to remove.
struct Doomed {
    resource: Resource,
    project: String,
    name: String,
}

pub(super) async fn run(matches: ArgMatches, call: Call) -> Result<()> {
    let documents = if matches.contains_id("filename") {
        call.documents(&matches).await?
    } else {
        Vec::new()
    };
    let api = call.api()?;
    let discovery = Discovery::load(&api).await?;
    let mut doomed = Vec::new();
    for document in documents.iter().rev() {
        let resource = discovery
            .of_manifest(document.api_version(), document.kind())?
            .clone();
        let project = project(&document.value)
            .unwrap_or(&call.globals.project)
            .to_owned();
        doomed.push(Doomed {
            resource,
            project,
            name: document.name().to_owned(),
        });
    }
    if documents.is_empty() {
        doomed = chosen(&matches, &call, &api, &discovery).await?;
    }
    if doomed.is_empty() {
        call.screen.note("nothing found");
        return Ok(());
    }
    let delete = Delete {
        call: &call,
        api,
        dry_run: matches.get_flag("dry-run"),
        forgiving: matches.get_flag("ignore-not-found")
            || matches.get_flag("all")
            || matches.contains_id("selector"),
        patience: matches
            .get_one("wait")
            .copied()
            .unwrap_or(true)
            .then(|| matches.get_one("timeout").copied().unwrap_or(Duration::MAX)),
    };
    let mut tally = Tally::new(&call.screen, doomed.len());
    for one in &doomed {
        tally.count(delete.one(one).await);
    }
    tally.end("deleted")
}

async fn chosen(matches: &ArgMatches, call: &Call, api: &Api, discovery: &Discovery) -> Result<Vec<Doomed>> {
    let selector = text(matches, "selector");
    let mut doomed = Vec::new();
    for chosen in Call::chosen(matches, discovery)? {
        let resource = chosen.resource;
        if let Some(name) = chosen.name {
            if selector.is_some() || matches.get_flag("all") || call.globals.all_projects {
                return Err(usage("give names, a selector or --all, and names in one project"));
            }
            doomed.push(Doomed {
                resource,
                project: call.globals.project.clone(),
                name,
            });
            continue;
        }
        if selector.is_none() && !matches.get_flag("all") {
            return Err(usage(format!(
                "name the {} to delete, or give -l LABELS or --all",
                resource.plural
            )));
        }
        let mut query = Query::default();
        if let Some(selector) = &selector {
            query.set("labelSelector", selector);
        }
        let list = api
            .list(&resource.collection(call.list_project()), &query, Accept::Objects)
            .await?;
        for item in items_at(&list, "/items") {
            doomed.push(Doomed {
                resource: resource.clone(),
                project: project(item).unwrap_or_default().to_owned(),
                name: name(item).to_owned(),
            });
        }
    }
    Ok(doomed)
}

struct Delete<'a> {
    call: &'a Call,
    api: Api,
    dry_run: bool,
    /// Whether what is gone already is no failure.
    forgiving: bool,
    /// How long to wait until it is gone; `None` for not at all.
    patience: Option<Duration>,
}

impl Delete<'_> {
    async fn one(&self, doomed: &Doomed) -> Result<()> {
        let path = doomed.resource.object(&doomed.project, &doomed.name);
        let mut options =
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
        if let (true, Some(options)) = (self.dry_run, options.as_object_mut()) {
            options.insert("dryRun".into(), json!(["All"]));
        }
        let mut query = Query::default();
        if self.dry_run {
            query.set("dryRun", "All");
        }
        match self.api.delete(&query.on(&path), &options).await {
            Ok(_) => {}
            Err(error) if error.reason() == Reason::NotFound && self.forgiving => return Ok(()),
            Err(error) => return Err(error),
        }
        if let (Some(patience), false) = (self.patience, self.dry_run) {
            self.wait(doomed, &path, patience).await?;
        }
        let label = format!("{}/{}", doomed.resource.label(), doomed.name);
        let dry_run = if self.dry_run { " (dry run)" } else { "" };
        match self.call.globals.format {
            Format::Name => self.call.screen.write(&format!("{label}\n")),
            _ => self.call.screen.write(&format!("{label} deleted{dry_run}\n")),
        }
    }

    async fn wait(&self, doomed: &Doomed, path: &str, patience: Duration) -> Result<()> {
        if let Ok(result) = tokio::time::timeout(patience, gone(&self.api, doomed, path)).await {
            return result;
        }
        let left = self.api.find(path).await?.unwrap_or_default();
        let finalizers: Vec<&str> = items_at(&left, "/metadata/finalizers")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let why = if finalizers.is_empty() {
            String::new()
        } else {
            format!(": {} has work left", finalizers.join(", "))
        };
        let text = format!(
            "{}/{} is still being deleted{why}",
            doomed.resource.label(),
            doomed.name
        );
        Err(Error::timeout(text).hint("it goes on without you; --wait=false does not wait"))
    }
}

/// Resolves when the object that is being deleted is gone, or another has its name.
async fn gone(api: &Api, doomed: &Doomed, path: &str) -> Result<()> {
    let Some(first) = api.find(path).await? else {
        return Ok(());
    };
    let uid = at(&first, "/metadata/uid").clone();
    if at(&first, "/metadata/deletionTimestamp").is_null() {
        // Made anew since.
        return Ok(());
    }
    let mut query = Query::default();
    query.set("fieldSelector", format!("metadata.name={}", doomed.name));
    let list = doomed.resource.collection(Some(&doomed.project));
    let mut watch = Watch::new(api.clone(), list, query, Accept::Objects, version(&first));
    loop {
        match watch.next().await? {
            Change::Deleted(object) | Change::Changed(object) if *at(&object, "/metadata/uid") != uid => {
                return Ok(());
            }
            Change::Deleted(_) => return Ok(()),
            Change::Changed(_) => {}
            Change::Lost => return Box::pin(gone(api, doomed, path)).await,
        }
    }
}
