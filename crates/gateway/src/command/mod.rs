//! The gateway's commands below `stead`.

pub(crate) mod key;
pub(crate) mod prompt;
pub(crate) mod provider;

use clap::ArgMatches;
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use stead_kernel::{
    Error, Result,
    command::{Column, Session, View},
};

/// The value of an argument that clap requires.
fn required<'a>(arguments: &'a ArgMatches, name: &str) -> Result<&'a str> {
    arguments
        .get_one::<String>(name)
        .map(String::as_str)
        .ok_or_else(|| Error::invalid(format!("{name} is missing")))
}

fn many(arguments: &ArgMatches, name: &str) -> Vec<String> {
    let values = arguments.get_many::<String>(name);
    values.into_iter().flatten().cloned().collect()
}

fn api<K>(session: &Session) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(session.server.client(), &session.project)
}

/// Lists objects of a kind as a table of these columns.
async fn list<K>(session: &Session, columns: &[&str], cells: fn(&K) -> Vec<String>) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug,
{
    let found = api::<K>(session).list(&ListParams::default()).await?;
    let mut view = View {
        columns: columns.iter().map(|name| Column::new(name)).collect(),
        list: true,
        ..View::default()
    };
    for object in &found {
        view.rows.push(cells(object));
        view.items.push(value(object)?);
        view.names.push(object.name_any());
    }
    session.terminal.print(&view)
}

async fn remove<K>(session: &Session, what: &str, name: &str, done: &str) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    api::<K>(session).delete(name, &DeleteParams::default()).await?;
    session.terminal.note(&format!("{what} {name} {done}"));
    Ok(())
}

fn value(object: &impl Serialize) -> Result<Value> {
    serde_json::to_value(object)
        .map_err(|error| Error::internal("an object cannot be printed").because(error))
}

/// A field of a condition of this type.
fn ready(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) -> String {
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.map_or_else(|| "Unknown".to_owned(), |ready| ready.status.clone())
}
