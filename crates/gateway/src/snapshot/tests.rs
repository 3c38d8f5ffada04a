//! Names and who may use them.

use kube::core::DynamicObject;
use serde_json::{Value, json};
use stead_kernel::DataDir;

use super::*;
use crate::{key::text, provider::ModelProvider, route::ModelRoute};

fn id(project: &str, name: &str) -> (String, String) {
    (project.into(), name.into())
}

fn provider(project: &str, name: &str, spec: &Value, models: &[&str]) -> ModelProvider {
    serde_json::from_value(json!({
        "apiVersion": "stead.dev/v1alpha1", "kind": "ModelProvider",
        "metadata": {"name": name, "namespace": project}, "spec": spec,
        "status": {"models": models},
    }))
    .unwrap()
}

fn route(project: &str, name: &str, spec: &Value) -> ModelRoute {
    serde_json::from_value(json!({
        "apiVersion": "stead.dev/v1alpha1", "kind": "ModelRoute",
        "metadata": {"name": name, "namespace": project}, "spec": spec,
    }))
    .unwrap()
}

fn world() -> Snapshot {
    let mut sources = Sources::default();
    let providers = [
        provider("default", "a", &json!({"type": "openai"}), &["shared", "only-a"]),
        provider(
            "default",
            "b",
            &json!({"type": "openai", "models": ["shared", "x/y"]}),
            &[],
        ),
        provider(
            "default",
            "paid",
            &json!({"type": "openai", "availability": "Admins"}),
            &["gold"],
        ),
        provider(
            "default",
            "off",
            &json!({"type": "openai", "availability": "Disabled"}),
            &["lead"],
        ),
        provider("default", "local", &json!({"type": "embedded"}), &[]),
        provider(
            "infra",
            "common",
            &json!({"type": "openai", "allowedProjects": {"names": ["*"]}}),
            &["base"],
        ),
        provider(
            "infra",
            "own",
            &json!({"type": "openai", "allowedProjects": {"names": ["default"]}}),
            &["k"],
        ),
        provider(
            "infra",
            "a",
            &json!({"type": "openai", "allowedProjects": {"names": ["default"]}}),
            &["evil"],
        ),
    ];
    for object in providers {
        let key = id(
            object.metadata.namespace.as_ref().unwrap(),
            object.metadata.name.as_ref().unwrap(),
        );
        sources.providers.insert(key, object);
    }
    let model: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "stead.dev/v1alpha1", "kind": "Model",
        "metadata": {"name": "tiny", "namespace": "default"},
        "status": {"digest": format!("sha256:{}", "0".repeat(64)), "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap();
    sources.models.insert(
        id("default", "tiny"),
        embedded(&model, &DataDir::new("/data")).unwrap(),
    );
    sources.routes.insert(id("default", "chat"), chat());
    Snapshot {
        keys: KeyTable::default(),
        quotas: Arc::default(),
        catalog: Arc::new(sources.compile()),
    }
}

fn chat() -> ModelRoute {
    route(
        "default",
        "chat",
        &json!({"targets": [
            {"provider": "b", "model": "shared", "priority": 2},
            {"provider": "a", "model": "shared"},
            {"provider": "off", "model": "lead"},
            {"provider": "missing", "model": "m"},
            {"provider": "own", "model": "k", "project": "infra"},
            {"provider": "secret", "model": "k", "project": "infra"},
        ]}),
    )
}

fn asker(project: &str, admin: bool) -> Asker<'_> {
    Asker {
        project,
        admin,
        key: None,
    }
}

fn found(snapshot: &Snapshot, asker: Asker<'_>, model: &str) -> Result<String, Refusal> {
    snapshot.resolve(asker, model).map(|route| {
        let targets = route.targets.iter();
        let targets: Vec<String> = targets
            .map(|target| {
                format!(
                    "{}:{}/{}",
                    target.provider.project, target.provider.name, target.model
                )
            })
            .collect();
        targets.join(" ")
    })
}

#[test]
fn a_name_leads_to_a_route_a_provider_or_the_one_that_offers_it() {
    let snapshot = world();
    let cases = [
        ("chat", Ok("default:a/shared infra:own/k default:b/shared")),
        ("a/anything", Ok("default:a/anything")),
        ("b/shared", Ok("default:b/shared")),
        ("b/x/y", Ok("default:b/x/y")),
        ("x/y", Ok("default:b/x/y")),
        ("b/unlisted", Err(Refusal::Unknown)),
        ("only-a", Ok("default:a/only-a")),
        (
            "shared",
            Err(Refusal::Ambiguous(vec!["a/shared".into(), "b/shared".into()])),
        ),
        ("gold", Err(Refusal::Unknown)),
        ("paid/gold", Err(Refusal::Unknown)),
        ("lead", Err(Refusal::Unknown)),
        ("tiny", Ok("default:local/tiny")),
        ("local/other", Err(Refusal::Unknown)),
        ("base", Ok("infra:common/base")),
        ("evil", Err(Refusal::Unknown)),
        ("", Err(Refusal::Unknown)),
        ("/", Err(Refusal::Unknown)),
    ];
    for (model, expected) in cases {
        let expected = expected.map(str::to_owned);
        assert_eq!(
            found(&snapshot, asker("default", false), model),
            expected,
            "{model}"
        );
    }
    assert_eq!(
        found(&snapshot, asker("default", true), "gold").unwrap(),
        "default:paid/gold"
    );
}

#[test]
fn a_project_with_nothing_of_its_own_has_what_is_offered_to_all() {
    let snapshot = world();
    assert_eq!(
        found(&snapshot, asker("new", false), "base").unwrap(),
        "infra:common/base"
    );
    assert_eq!(
        found(&snapshot, asker("new", false), "only-a"),
        Err(Refusal::Unknown)
    );
}

#[test]
fn the_list_has_what_the_asker_may_use() {
    let snapshot = world();
    let names = |admin| -> Vec<String> {
        let names = snapshot.names(asker("default", admin));
        names.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(
        names(false),
        [
            "a/only-a",
            "a/shared",
            "b/shared",
            "b/x/y",
            "chat",
            "common/base",
            "local/tiny",
            "own/k"
        ]
    );
    assert!(names(true).contains(&"paid/gold".to_owned()));
}

#[test]
fn a_key_is_held_to_its_lists() {
    let snapshot = world();
    let object = serde_json::from_value(json!({
        "apiVersion": "stead.dev/v1alpha1", "kind": "ApiKey",
        "metadata": {"name": "k", "namespace": "default"},
        "spec": {"keyHash": text::print(&text::hash(b"k")), "routes": ["chat"], "models": ["local/*"]},
    }))
    .unwrap();
    let key = Key::of(&object).unwrap();
    let asker = Asker {
        project: "default",
        admin: false,
        key: Some(&key),
    };
    assert!(found(&snapshot, asker, "chat").is_ok());
    assert!(found(&snapshot, asker, "tiny").is_ok());
    assert_eq!(found(&snapshot, asker, "only-a"), Err(Refusal::NotAllowed));
    let names: Vec<String> = snapshot.names(asker).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["chat", "local/tiny"]);
}

#[test]
fn a_provider_without_its_secret_says_so() {
    let mut sources = Sources::default();
    let spec = json!({"type": "openai", "credential": {"secretRef": {"name": "s", "key": "k"}}});
    sources
        .providers
        .insert(id("default", "p"), provider("default", "p", &spec, &["m"]));
    let why = |sources: &mut Sources| {
        let catalog = sources.compile();
        match &catalog.projects["default"].providers["p"].api {
            Api::Broken(why) => why.clone(),
            Api::Http(api) => api.secret.as_deref().unwrap_or_default().to_owned(),
            Api::Embedded(_) => String::new(),
        }
    };
    let data = |key: &str, value: &str| Some(Secrets::from([(key.to_owned(), value.into())]));
    let cases = [
        (None, "Secret `s` is not read yet"),
        (Some(None), "there is no Secret `s`"),
        (Some(data("other", "x")), "Secret `s` has no key `k`"),
        (Some(data("k", " ")), "key `k` of Secret `s` is empty or no text"),
        (
            Some(data("k", "a\nb")),
            "the credential holds letters that no header may hold",
        ),
        (Some(data("k", "sk-1\n")), "sk-1"),
    ];
    for (secret, expected) in cases {
        sources.secrets = secret
            .into_iter()
            .map(|data| (id("default", "s"), data))
            .collect();
        assert_eq!(why(&mut sources), expected);
    }
}
