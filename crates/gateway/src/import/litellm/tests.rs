//! Configurations in the shapes that `LiteLLM`'s documentation shows.

use serde_json::Value;

use super::*;
use crate::import::{Note, NoteSort, Vocabulary};

const FIXTURES: [(&str, &str); 7] = [
    ("quickstart", include_str!("fixtures/quickstart.yaml")),
    ("balancing", include_str!("fixtures/balancing.yaml")),
    ("local", include_str!("fixtures/local.yaml")),
    ("clouds", include_str!("fixtures/clouds.yaml")),
    ("operations", include_str!("fixtures/operations.yaml")),
    ("fallbacks", include_str!("fixtures/fallbacks.yaml")),
    ("odd", include_str!("fixtures/odd.yaml")),
];

fn config(name: &str) -> Value {
    let (_, text) = FIXTURES.iter().find(|(known, _)| *known == name).unwrap();
    serde_saphyr::from_str(text).unwrap()
}

/// The vocabulary of this program; every variable is set but those that begin with `CUSTOM`.
fn translated(config: &Value) -> Import {
    let vocabulary = Vocabulary::of(&crate::module().kinds);
    let environment = |name: &str| (!name.starts_with("CUSTOM")).then(|| format!("secret-{name}"));
    translate(config, &vocabulary, &environment).unwrap()
}

fn spec(import: &Import, kind: &str, name: &str) -> Value {
    let mut all = import.objects.iter();
    let found = all.find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    let names: Vec<_> = import
        .objects
        .iter()
        .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]))
        .collect();
    found.unwrap_or_else(|| panic!("{kind} {name} is not in {names:?}"))["spec"].clone()
}

fn note<'a>(import: &'a Import, path: &str) -> &'a Note {
    let mut notes = import.notes.iter();
    let found = notes.find(|note| note.path == path);
    found.unwrap_or_else(|| panic!("{path} is not in {:#?}", import.notes))
}

#[test]
fn a_quickstart_becomes_providers_with_secrets_routes_and_the_admins_key() {
    let import = translated(&config("quickstart"));
    assert_eq!(
        spec(&import, "ModelProvider", "azure-openai"),
        json!({
            "type": "azure-openai",
            "baseUrl": "https://my-endpoint-europe-berri-992.openai.azure.com",
            "credential": {"secretRef": {"name": "azure-openai", "key": "api-key"}},
        })
    );
    assert_eq!(
        spec(&import, "ModelRoute", "gpt-4o"),
        json!({"targets": [{"provider": "azure-openai", "model": "gpt-4o-eu"}]})
    );
    assert_eq!(
        spec(&import, "ModelRoute", "text-embedding-3-small"),
        json!({"targets": [{"provider": "openai", "model": "text-embedding-3-small"}]}),
        "the vendor follows from the name, and its key from the usual variable"
    );
    assert_eq!(
        spec(&import, "ApiKey", "litellm-master"),
        json!({"owner": {"user": "admin"}, "keyHash": crate::key_hash("sk-1234")})
    );
    let secrets: Vec<_> = import
        .secrets
        .iter()
        .map(|part| (&*part.secret, &*part.origin))
        .collect();
    assert_eq!(
        secrets,
        [
            ("azure-openai", "$AZURE_API_KEY_EU"),
            ("openai", "$OPENAI_API_KEY"),
            ("anthropic", "$ANTHROPIC_API_KEY"),
        ]
    );
    assert!(
        note(&import, "general_settings.database_url")
            .text
            .contains("no database")
    );
}

#[test]
fn a_balanced_group_keeps_weights_tries_timeouts_and_fallbacks() {
    let import = translated(&config("balancing"));
    let route = spec(&import, "ModelRoute", "gpt-4");
    assert_eq!(route["targets"][0]["provider"], "azure-openai");
    assert_eq!(route["targets"][1]["provider"], "azure-openai-canada");
    assert_eq!(route["fallbacks"], json!(["gpt-4-backup"]));
    assert_eq!(route["retry"], json!({"attempts": 3, "backoff": "500ms"}));
    assert_eq!(route["timeouts"], json!({"total": "300s", "firstToken": "60s"}));
    assert_eq!(
        spec(&import, "ModelRoute", "gpt-4-latest")["targets"],
        route["targets"]
    );
    let backup = spec(&import, "ModelRoute", "gpt-4-backup");
    assert_eq!(
        backup["targets"],
        json!([
            {"provider": "openai", "model": "gpt-4-turbo", "weight": 2, "priority": 1},
            {"provider": "openrouter", "model": "openai/gpt-4-turbo", "weight": 1, "priority": 2},
        ])
    );
    assert_eq!(backup["retry"]["attempts"], 5, "a deployment's own tries win");
    for path in [
        "router_settings.redis_host",
        "router_settings.cooldown_time",
        "router_settings.allowed_fails",
    ] {
        note(&import, path);
    }
}

#[test]
fn servers_of_ones_own_are_private_and_need_no_made_up_key() {
    let import = translated(&config("local"));
    assert_eq!(
        spec(&import, "ModelProvider", "ollama"),
        json!({"type": "ollama", "baseUrl": "http://localhost:11434", "network": "Private"})
    );
    let vllm = spec(&import, "ModelProvider", "vllm");
    assert_eq!(
        (&vllm["network"], vllm.get("credential")),
        (&json!("Private"), None)
    );
    assert_eq!(
        spec(&import, "ModelProvider", "openai-compatible")["baseUrl"],
        "http://vllm:8000/v1"
    );
    assert_eq!(
        spec(&import, "ModelProvider", "openai-compatible-inference")["baseUrl"],
        "https://inference.friendli.ai/v1"
    );
    spec(&import, "ModelProvider", "groq");
    spec(&import, "ModelRoute", "local-embeddings");
    assert!(
        note(&import, "model_list[3].model_name")
            .text
            .contains("local-embeddings")
    );
    assert!(
        note(&import, "model_list[4].model_name")
            .text
            .contains("groq/MODEL")
    );
    assert_eq!(
        note(&import, "model_list[6].litellm_params.model").sort,
        NoteSort::Missing
    );
    note(&import, "model_list[2].litellm_params.extra_headers");
}

#[test]
fn clouds_get_their_addresses_and_every_part_of_their_credentials() {
    let import = translated(&config("clouds"));
    assert_eq!(
        spec(&import, "ModelProvider", "bedrock"),
        json!({
            "type": "bedrock",
            "baseUrl": "https://bedrock-runtime.us-west-2.amazonaws.com",
            "credential": {"secretRef": {"name": "bedrock"}},
        })
    );
    let other = spec(&import, "ModelProvider", "bedrock-bedrock-runtime");
    assert_eq!(
        other["baseUrl"],
        "https://bedrock-runtime.eu-central-1.amazonaws.com"
    );
    assert_eq!(
        spec(&import, "ModelRoute", "bedrock-claude")["targets"][0]["model"],
        "anthropic.claude-sonnet-4-5-20250929-v1:0"
    );
    assert_eq!(
        spec(&import, "ModelProvider", "vertex")["baseUrl"],
        "https://us-central1-aiplatform.googleapis.com/v1/projects/adroit-crow-413218/locations/us-central1"
    );
    let value = |secret: &str, key: &str| {
        let mut parts = import.secrets.iter();
        let part = parts
            .find(|part| part.secret == secret && part.key == key)
            .unwrap();
        (part.origin.clone(), part.value.clone())
    };
    assert_eq!(
        value("bedrock", "access-key-id"),
        ("$CUSTOM_AWS_ACCESS_KEY_ID".into(), None)
    );
    assert_eq!(
        value("mistral", "api-key").1.as_deref(),
        Some("sk-inline-mistral")
    );
    assert_eq!(
        value("vertex", "api-key").0,
        "the file /secrets/service-account.json"
    );
    assert_eq!(note(&import, "$CUSTOM_AWS_ACCESS_KEY_ID").sort, NoteSort::Todo);
    note(&import, "model_list[1].litellm_params.aws_role_name");
}

#[test]
fn fallbacks_lead_to_routes_only_and_odd_names_are_changed_and_said() {
    let import = translated(&config("fallbacks"));
    let small = spec(&import, "ModelRoute", "gpt-3.5-turbo-small");
    assert_eq!(small["fallbacks"], json!(["gpt-3.5-turbo-large", "claude-opus"]));
    assert_eq!(
        spec(&import, "ModelRoute", "gpt-4--eu")["fallbacks"],
        json!(["claude-opus"])
    );
    assert_eq!(spec(&import, "ModelRoute", "claude-opus").get("fallbacks"), None);
    assert_eq!(
        spec(&import, "ModelRoute", "claude-opus")["timeouts"]["total"],
        "120500ms"
    );
    spec(&import, "ModelRoute", "best");
    spec(&import, "ModelRoute", "hidden-one");
    for path in [
        "model_list[0].model_name",
        "litellm_settings.fallbacks[0].gpt-3.5-turbo-small",
        "litellm_settings.fallbacks[1].unknown-group",
        "litellm_settings.context_window_fallbacks",
        "router_settings.model_group_alias.dangling",
        "router_settings.retry_policy",
    ] {
        note(&import, path);
    }
    assert_eq!(small["breaker"], json!({"failures": 0}));
}

#[test]
fn what_is_no_configuration_is_noted_or_refused_and_breaks_nothing() {
    let import = translated(&config("odd"));
    for path in [
        "model_list[0]",
        "model_list[2]",
        "model_list[3].litellm_params.rpm",
        "model_list[3].litellm_params.weight",
        "model_list[4].litellm_params.model",
        "model_list[7].litellm_params.model",
        "litellm_settings",
        "environment_variables.LIST",
    ] {
        note(&import, path);
    }
    let vocabulary = Vocabulary::of(&crate::module().kinds);
    for none in [json!([]), json!("x"), json!(null)] {
        assert!(translate(&none, &vocabulary, &|_| None).is_err());
    }
    assert!(translated(&json!({})).objects.is_empty());
}

/// Every field that says something changes what comes out: an object, a Secret, or a note.
#[test]
fn nothing_is_dropped_in_silence() {
    for (name, _) in FIXTURES {
        let whole = config(name);
        let expected = translated(&whole);
        for path in leaves(&whole, &mut Vec::new()) {
            let (mut without, mut other) = (whole.clone(), whole.clone());
            remove(&mut without, &path);
            change(&mut other, &path);
            // Inside lists and mappings that are noted as a whole, the note does not change.
            let noted = expected.notes.iter().any(|note| covers(&note.path, &path));
            let counts = translated(&without) != expected || translated(&other) != expected;
            assert!(noted || counts, "{name}: {path:?} is dropped in silence");
        }
    }
}

/// A step of a path: a field or a place in a list.
type Step = Result<String, usize>;

fn leaves(value: &Value, path: &mut Vec<Step>) -> Vec<Vec<Step>> {
    let mut found = Vec::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, inner) in fields {
                path.push(Ok(name.clone()));
                found.extend(leaves(inner, path));
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, inner) in items.iter().enumerate() {
                path.push(Err(index));
                found.extend(leaves(inner, path));
                path.pop();
            }
        }
        Value::Null => {}
        _ => found.push(path.clone()),
    }
    found
}

fn remove(value: &mut Value, path: &[Step]) {
    match path {
        [Ok(name)] => drop(value.as_object_mut().unwrap().remove(name)),
        [Err(index)] => drop(value.as_array_mut().unwrap().remove(*index)),
        [Ok(name), rest @ ..] => remove(&mut value[name], rest),
        [Err(index), rest @ ..] => remove(&mut value[*index], rest),
        [] => {}
    }
}

/// Makes a leaf say something else.
fn change(value: &mut Value, path: &[Step]) {
    let leaf = path.iter().fold(value, |value, step| match step {
        Ok(name) => &mut value[name],
        Err(index) => &mut value[*index],
    });
    *leaf = match &*leaf {
        Value::String(text) => format!("{text}x").into(),
        Value::Number(number) => (number.as_f64().unwrap() + 1.0).into(),
        Value::Bool(yes) => (!yes).into(),
        other => other.clone(),
    };
}

fn covers(note: &str, path: &[Step]) -> bool {
    let mut text = String::new();
    for step in path {
        match step {
            Ok(name) if text.is_empty() => text.push_str(name),
            Ok(name) => text = format!("{text}.{name}"),
            Err(index) => text = format!("{text}[{index}]"),
        }
        if text == note {
            return true;
        }
    }
    false
}
