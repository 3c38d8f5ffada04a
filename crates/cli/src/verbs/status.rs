//! `stead status`: is the server up, is it ready, and what does it have.

use clap::ArgMatches;
use futures::future::join_all;
use http::Request;
use serde_json::{Value, json};
use stead_kernel::{
    Body, Error, GROUP, Reason, Result,
    command::{Column, Server, Terminal as _, View},
    conditions::READY,
};

use super::{Call, version::server_version};
use crate::{
    json::{at, items_at, text_at},
    resource::{Discovery, Resource, name, project},
    server::{self, Accept, Api, Query},
};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("status").about("Shows whether the server is up, where, and what it has")
}

pub(super) async fn run(_matches: ArgMatches, call: Call) -> Result<()> {
    let (version, address) = server_version(&call).await?;
    let api = call.api()?;
    let health = health(api.server()).await?;
    let counts = counts(&api, &call).await?;
    let mut view = View {
        columns: vec![Column::new("PART"), Column::new("STATE"), Column::new("DETAIL")],
        ..View::default()
    };
    view.rows.push(vec![
        "server".into(),
        "up".into(),
        format!("{version} at {address}"),
    ]);
    view.rows
        .push(vec!["health".into(), health.word().into(), health.detail.clone()]);
    view.rows.extend(counts.iter().map(Count::row));
    view.items.push(json!({
        "address": address, "version": version, "ready": health.ready, "detail": health.detail,
        "kinds": counts.iter().map(Count::item).collect::<Vec<_>>(),
    }));
    view.names.push(address);
    call.screen.print(&view)?;
    if health.ready {
        Ok(())
    } else {
        Err(Error::unavailable("the server is not ready").hint("its log says more"))
    }
}

struct Health {
    ready: bool,
    detail: String,
}

impl Health {
    const fn word(&self) -> &'static str {
        if self.ready { "ready" } else { "not ready" }
    }
}

async fn health(server: &dyn Server) -> Result<Health> {
    let request = Request::get("/readyz?verbose").body(Body::empty());
    let response = server
        .send(request.map_err(|error| Error::internal("the request is malformed").because(error))?)
        .await?;
    let ready = response.status().is_success();
    let text = server::text_of(response).await?;
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && *line != "ok");
    // In the verbose form, [+] leads what is well and [-] what is not.
    let failing: Vec<&str> = lines.filter(|line| !line.starts_with("[+]")).collect();
    Ok(Health {
        ready,
        detail: if ready { String::new() } else { failing.join("; ") },
    })
}

/// How many objects of a kind there are, and which of them are not ready.
struct Count {
    resource: Resource,
    total: usize,
    /// Objects that say whether they are ready.
    judged: usize,
    unready: Vec<(String, String)>,
}

impl Count {
    fn of(resource: Resource, list: &Value) -> Self {
        let mut count = Self {
            resource,
            total: 0,
            judged: 0,
            unready: Vec::new(),
        };
        for item in items_at(list, "/items") {
            count.total += 1;
            let mut conditions = items_at(item, "/status/conditions").iter();
            let Some(ready) = conditions.find(|condition| at(condition, "/type") == READY) else {
                continue;
            };
            count.judged += 1;
            if at(ready, "/status") != "True" {
                let label = project(item).map_or_else(
                    || name(item).to_owned(),
                    |project| format!("{project}/{}", name(item)),
                );
                count.unready.push((label, text_at(ready, "/message").to_owned()));
            }
        }
        count
    }

    fn row(&self) -> Vec<String> {
        let state = if self.judged == 0 {
            format!("{}", self.total)
        } else {
            format!("{}/{} ready", self.judged - self.unready.len(), self.total)
        };
        let detail = self.unready.iter().map(|(name, why)| format!("{name}: {why}"));
        vec![
            self.resource.plural.clone(),
            state,
            detail.collect::<Vec<_>>().join("; "),
        ]
    }

    fn item(&self) -> Value {
        let unready = self
            .unready
            .iter()
            .map(|(name, why)| json!({"name": name, "message": why}));
        json!({"kind": self.resource.kind, "total": self.total, "notReady": unready.collect::<Vec<_>>()})
    }
}

/// Counts what the caller may see of Stead's own kinds.
async fn counts(api: &Api, call: &Call) -> Result<Vec<Count>> {
    let discovery = Discovery::load(api).await?;
    let own = discovery
        .all()
        .iter()
        .filter(|resource| resource.group == GROUP && resource.preferred && resource.can("list"));
    let lists = own.map(|resource| async {
        let everywhere = api
            .list(&resource.collection(None), &Query::default(), Accept::Objects)
            .await;
        let list = match everywhere {
            // Who may not see every project sees their own.
            Err(error) if error.reason() == Reason::Forbidden => {
                api.list(
                    &resource.collection(Some(&call.globals.project)),
                    &Query::default(),
                    Accept::Objects,
                )
                .await
            }
            other => other,
        };
        (resource.clone(), list)
    });
    let mut counts = Vec::new();
    for (resource, list) in join_all(lists).await {
        match list {
            Ok(list) => counts.push(Count::of(resource, &list)),
            Err(error) if error.reason() == Reason::Forbidden => {}
            Err(error) => return Err(error),
        }
    }
    Ok(counts)
}
