//! `stead kubeconfig`: the file with which kubectl and its kin reach the resource API.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::ArgMatches;
use serde_json::{Value, json};
use stead_kernel::{
    Error, Result,
    command::{Format, Terminal as _, View},
};

use super::Call;
use crate::{server::Target, yaml};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("kubeconfig").about(
        "Prints a kubeconfig for kubectl: stead kubeconfig > file; kubectl --kubeconfig file get models",
    )
}

pub(super) async fn run(_matches: ArgMatches, call: Call) -> Result<()> {
    let target = call.globals.finder.find()?;
    let config = config(&target, &call.globals.project).await?;
    // kubectl reads YAML or JSON; a table there is none.
    match call.globals.format {
        Format::Json => call.screen.print(&View {
            items: vec![config],
            ..View::default()
        })?,
        _ => call.screen.write(&yaml::print(&config)?)?,
    }
    call.screen
        .note("note: it holds a token that may do what you may: keep it to yourself");
    Ok(())
}

async fn config(target: &Target, project: &str) -> Result<Value> {
    let Some(address) = &target.https else {
        return Err(Error::unsupported(
            "kubectl sends tokens over https only, and no https address is known",
        )
        .hint("name it: --server https://…"));
    };
    let Some(token) = &target.token else {
        return Err(Error::unauthenticated("there is no token to put into it")
            .hint("give one with --token-file FILE or STEAD_TOKEN"));
    };
    let mut cluster = json!({"server": format!("{address}k8s")});
    if let (Some(file), Some(cluster)) = (&target.ca, cluster.as_object_mut()) {
        let pem = tokio::fs::read(file).await.map_err(|error| {
            Error::invalid(format!("the CA certificate in {} cannot be read", file.display())).because(error)
        })?;
        cluster.insert("certificate-authority-data".into(), STANDARD.encode(pem).into());
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "stead", "cluster": cluster}],
        "users": [{"name": "stead", "user": {"token": token}}],
        "contexts": [{"name": "stead", "context": {"cluster": "stead", "user": "stead", "namespace": project}}],
        "current-context": "stead",
    }))
}
