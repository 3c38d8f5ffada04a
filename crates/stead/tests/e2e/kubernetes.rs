//! kubectl and kube-rs over https, as a user of a real cluster has them.

use std::path::{Path, PathBuf};

use kube::{
    Api, Client, Config, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;
use stead_testkit::{Process, poll_until};

use crate::support::{Ended, Installation, SOON, run, told};

/// kubectl with the kubeconfig that `stead kubeconfig` printed.
struct Kubectl {
    program: PathBuf,
    config: String,
    home: String,
}

impl Kubectl {
    async fn of(installation: &Installation) -> Self {
        let config = installation.path("kubeconfig");
        std::fs::write(&config, installation.stead(&["kubeconfig"]).await.ok()).expect("writable");
        Self {
            program: PathBuf::from(told("KUBECTL")),
            config: config.to_string_lossy().into_owned(),
            home: installation.path("home").to_string_lossy().into_owned(),
        }
    }

    async fn try_run(&self, arguments: &[&str], input: &str) -> Ended {
        let environment = [("KUBECONFIG", self.config.as_str()), ("HOME", self.home.as_str())];
        run(&self.program, arguments, &environment, input).await
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let ended = self.try_run(arguments, "").await;
        assert_eq!(
            ended.code, 0,
            "kubectl {arguments:?}\nstdout: {}\nstderr: {}",
            ended.stdout, ended.stderr
        );
        ended.stdout
    }
}

const PROVIDER: &str = "apiVersion: stead.dev/v1alpha1\nkind: ModelProvider\nmetadata: {name: box, labels: {place: office}}\n\
                        spec: {type: openai-compatible, baseUrl: 'http://192.0.2.7:8000/v1'}\n";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_discovers_and_explains_every_kind() {
    let installation = Installation::started().await;
    let kubectl = Kubectl::of(&installation).await;

    let resources = kubectl.run(&["api-resources"]).await;
    for name in [
        "modelproviders",
        "modelroutes",
        "apikeys",
        "models",
        "users",
        "secrets",
        "customresourcedefinitions",
    ] {
        assert!(resources.contains(name), "{name} in {resources}");
    }
    let explained = kubectl.run(&["explain", "modelprovider.spec.baseUrl"]).await;
    assert!(
        explained.contains("baseUrl") && explained.contains("<string>"),
        "{explained}"
    );
    kubectl.run(&["explain", "modelroute", "--recursive"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_writes_every_way_it_knows() {
    let installation = Installation::started().await;
    let kubectl = Kubectl::of(&installation).await;
    let applied = kubectl.try_run(&["apply", "-f", "-"], PROVIDER).await.ok();
    assert!(
        applied.contains("modelprovider.stead.dev/box created"),
        "{applied}"
    );
    let again = kubectl.try_run(&["apply", "-f", "-"], PROVIDER).await.ok();
    assert!(again.contains("unchanged"), "{again}");
    let server_side = kubectl
        .try_run(
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            PROVIDER,
        )
        .await
        .ok();
    assert!(server_side.contains("serverside-applied"), "{server_side}");

    let table = kubectl.run(&["get", "providers", "-l", "place=office"]).await;
    assert!(table.starts_with("NAME") && table.contains("box"), "{table}");
    assert_eq!(
        kubectl
            .run(&["get", "providers", "-l", "place=home", "-o", "name"])
            .await,
        ""
    );
    kubectl
        .run(&[
            "patch",
            "provider",
            "box",
            "--type=merge",
            "-p",
            r#"{"metadata":{"labels":{"place":"lab"}}}"#,
        ])
        .await;
    let operations = r#"[{"op":"replace","path":"/spec/baseUrl","value":"http://192.0.2.8:8000/v1"}]"#;
    kubectl
        .run(&["patch", "provider", "box", "--type=json", "-p", operations])
        .await;
    let url = kubectl
        .run(&[
            "get",
            "provider",
            "box",
            "-o",
            "jsonpath={.spec.baseUrl} {.metadata.labels.place}",
        ])
        .await;
    assert_eq!(url, "http://192.0.2.8:8000/v1 lab");
    kubectl.run(&["label", "provider", "box", "tier=slow"]).await;
    kubectl
        .run(&[
            "wait",
            "provider/box",
            "--for=jsonpath={.metadata.labels.tier}=slow",
            "--timeout=30s",
        ])
        .await;
    kubectl.run(&["describe", "provider", "box"]).await;
    let ended = kubectl.try_run(&["delete", "provider", "box"], "").await.ok();
    assert!(ended.contains("deleted"), "{ended}");
    let gone = kubectl.try_run(&["get", "provider", "box"], "").await;
    assert!(gone.code != 0 && gone.stderr.contains("NotFound"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_follows_changes_and_waits_for_deletion() {
    let installation = Installation::started().await;
    let kubectl = Kubectl::of(&installation).await;
    let environment = [
        ("KUBECONFIG", kubectl.config.as_str()),
        ("HOME", kubectl.home.as_str()),
    ];
    let watch = Process::start(
        Path::new(&kubectl.program),
        ["get", "configmaps", "-w"],
        &environment,
    );
    kubectl
        .run(&["create", "configmap", "first", "--from-literal=a=1"])
        .await;
    watch.line("first", SOON).await;
    kubectl.run(&["create", "namespace", "research"]).await;
    kubectl
        .run(&[
            "-n",
            "research",
            "create",
            "secret",
            "generic",
            "s",
            "--from-literal=k=very-secret",
        ])
        .await;
    let read = kubectl
        .run(&["-n", "research", "get", "secret", "s", "-o", "jsonpath={.data.k}"])
        .await;
    assert_eq!(read, "dmVyeS1zZWNyZXQ=");
    kubectl
        .run(&["delete", "namespace", "research", "--timeout=60s"])
        .await;
    let gone = kubectl
        .try_run(&["-n", "research", "get", "secret", "s"], "")
        .await;
    assert!(gone.stderr.contains("NotFound"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_field_is_refused_with_its_path_and_an_api_key_opens_nothing() {
    let installation = Installation::started().await;
    let kubectl = Kubectl::of(&installation).await;
    let wrong = PROVIDER.replace("baseUrl", "baseURL");
    let refused = kubectl.try_run(&["apply", "-f", "-"], &wrong).await;
    assert!(
        refused.code != 0 && refused.stderr.contains("spec.baseURL"),
        "{refused:?}"
    );
    let refused = installation.stead_reading(&["apply", "-f", "-"], &wrong).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("spec.baseURL") && refused.stderr.contains("baseUrl"),
        "{refused:?}"
    );

    let key = installation
        .stead(&["key", "create", "app", "-o", "name"])
        .await
        .ok();
    let (status, answer, _) = installation
        .try_json(
            "GET",
            "/k8s/api/v1/namespaces/default/secrets",
            &json!(null),
            key.trim(),
        )
        .await
        .expect("an answer");
    assert!(status == 401 || status == 403, "{status} {answer}");
    assert_eq!(answer["kind"], "Status");
}

async fn client(installation: &Installation) -> Client {
    let text = installation.stead(&["kubeconfig"]).await.ok();
    let kubeconfig = Kubeconfig::from_yaml(&text).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("a usable one");
    assert_eq!(config.cluster_url.scheme_str(), Some("https"));
    Client::try_from(config).expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_applies_lists_patches_and_deletes() {
    stead_net::install_crypto_provider();
    let installation = Installation::started().await;
    let client = client(&installation).await;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("stead.dev", "v1alpha1", "ModelRoute"));
    let routes: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);
    let desired = json!({"apiVersion": "stead.dev/v1alpha1", "kind": "ModelRoute", "metadata": {"name": "r"},
        "spec": {"targets": [{"provider": "p", "model": "m"}]}});
    let applied = routes
        .patch("r", &PatchParams::apply("test"), &Patch::Apply(&desired))
        .await
        .expect("applied");
    assert!(
        applied
            .managed_fields()
            .iter()
            .any(|entry| entry.manager.as_deref() == Some("test"))
    );
    let other = json!({"apiVersion": "stead.dev/v1alpha1", "kind": "ModelRoute", "metadata": {"name": "r"},
        "spec": {"targets": [{"provider": "q", "model": "m"}]}});
    let conflict = routes
        .patch("r", &PatchParams::apply("other"), &Patch::Apply(&other))
        .await
        .expect_err("a conflict");
    assert!(
        matches!(&conflict, kube::Error::Api(status) if status.code == 409),
        "{conflict}"
    );
    let merge = json!({"metadata": {"annotations": {"a": "b"}}});
    routes
        .patch("r", &PatchParams::default(), &Patch::Merge(&merge))
        .await
        .expect("patched");
    let listed = routes.list(&ListParams::default()).await.expect("listed");
    assert_eq!(listed.items.len(), 1);
    routes
        .delete("r", &kube::api::DeleteParams::default())
        .await
        .expect("deleted");
    poll_until(SOON, "the route to be gone", async || {
        routes
            .get_opt("r")
            .await
            .expect("an answer")
            .is_none()
            .then_some(())
    })
    .await;
}
