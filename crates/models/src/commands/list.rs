//! `stead model list`

use clap::ArgMatches;
use kube::{Api, ResourceExt, api::ListParams};
use stead_kernel::{
    Clock, Error, Result, SystemClock, Timestamp,
    command::{Column, Session, View},
    conditions::READY,
    steps::StepState,
};

use super::api;
use crate::{Model, ModelStatus, size::human_size};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("list")
        .visible_alias("ls")
        .about("List the models and whether their files are here")
}

pub(super) async fn run(matches: &ArgMatches, session: &Session) -> Result<()> {
    let everywhere = all_projects(matches);
    let api = if everywhere {
        Api::all(session.server.client())
    } else {
        api(session)
    };
    let models = api.list(&ListParams::default()).await.map_err(Error::from)?.items;
    let mut items = Vec::with_capacity(models.len());
    for model in &models {
        items.push(
            serde_json::to_value(model).map_err(|error| Error::internal("a Model is JSON").because(error))?,
        );
    }
    session.terminal.print(&View {
        items,
        list: true,
        ..view(&models, everywhere)
    })
}

/// Whether `-A` was given; the command line has it for every command.
fn all_projects(matches: &ArgMatches) -> bool {
    let flag = matches.try_get_one::<bool>("all-namespaces");
    flag.ok().flatten().copied().unwrap_or_default()
}

/// The table of these Models, without the items; with a column of projects when they are of several.
pub(super) fn view(models: &[Model], everywhere: bool) -> View {
    let now = SystemClock.now();
    let mut columns: Vec<Column> = ["NAME", "READY", "SIZE", "AGE"].map(Column::new).into();
    columns.push(Column {
        name: "PROJECT".into(),
        wide: !everywhere,
    });
    columns.extend(["SOURCE", "DIGEST"].map(Column::wide));
    View {
        columns,
        rows: models.iter().map(|model| row(model, now)).collect(),
        names: models
            .iter()
            .map(|model| format!("model/{}", model.name_any()))
            .collect(),
        ..View::default()
    }
}

fn row(model: &Model, now: Timestamp) -> Vec<String> {
    let status = model.status.clone().unwrap_or_default();
    let created = model.metadata.creation_timestamp.as_ref().map(|time| time.0);
    vec![
        model.name_any(),
        ready(&status),
        status.size.map_or_else(|| "-".to_owned(), human_size),
        created.map_or_else(|| "-".to_owned(), |created| age(now, created)),
        model.namespace().unwrap_or_default(),
        status
            .source
            .clone()
            .unwrap_or_else(|| model.spec.sources.first().cloned().unwrap_or_default()),
        status.digest.unwrap_or_else(|| "-".to_owned()),
    ]
}

/// `True`, or how far it is, or why not.
fn ready(status: &ModelStatus) -> String {
    let Some(condition) = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == READY)
    else {
        return "-".to_owned();
    };
    if condition.status == "True" {
        return condition.status.clone();
    }
    let running = status.steps.iter().find(|step| step.state == StepState::Running);
    let percent = running.and_then(|step| {
        let progress = step.progress?;
        let total = progress.total.filter(|total| *total > 0)?;
        Some(format!(
            "{} {} %",
            step.name,
            u128::from(progress.done) * 100 / u128::from(total)
        ))
    });
    percent.unwrap_or_else(|| condition.reason.clone())
}

fn age(now: Timestamp, created: Timestamp) -> String {
    let seconds = now.duration_since(created).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
