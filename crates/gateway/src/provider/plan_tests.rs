//! Tables of the provider's rules.

use serde_json::json;
use stead_kernel::{Authorizer, Credential, Principal, Reason};

use super::*;

struct NoSecrets;

impl Authorizer for NoSecrets {
    fn authorize(&self, principal: &Principal, _: &AccessRequest<'_>) -> Result<()> {
        if principal.is_admin() {
            return Ok(());
        }
        Err(Error::forbidden("no secrets for you"))
    }
}

fn ada() -> Principal {
    Principal {
        user: "ada".into(),
        groups: Vec::new(),
        projects: vec!["research".into()],
        credential: Credential::Session,
    }
}

fn write(principal: &Principal, old: Option<&Value>, spec: &Value) -> Option<Reason> {
    let mut new = json!({"metadata": {"name": "x", "namespace": "research"}, "spec": spec});
    let old = old.map(|spec| json!({"metadata": {"name": "x", "namespace": "research"}, "spec": spec}));
    let mut admission = Admission {
        principal,
        authorizer: &NoSecrets,
        old: old.as_ref(),
        new: &mut new,
    };
    admit(&mut admission).err().map(|error| error.reason())
}

#[test]
fn addresses_are_checked_and_completed() {
    let good = [
        ("https://api.example.com", "https://api.example.com/v1"),
        ("https://api.example.com/", "https://api.example.com/v1"),
        ("http://10.0.0.5:8000/v1/", "http://10.0.0.5:8000/v1"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
        ("http://[::1]:8000", "http://[::1]:8000/v1"),
    ];
    for (text, expected) in good {
        assert_eq!(base_url(text, "/v1").ok().as_deref(), Some(expected), "{text}");
    }
    let bad = [
        "",
        "api.example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://user:word@example.com/v1",
        "https://example.com/v1?key=1",
        "https://example.com/v1#x",
    ];
    for text in bad {
        assert!(base_url(text, "/v1").is_err(), "{text}");
    }
}

#[test]
fn each_type_lists_models_at_its_own_address() {
    let table = [
        ("openai", "https://api.openai.com/v1/models"),
        ("anthropic", "https://api.anthropic.com/v1/models?limit=1000"),
        ("ollama", "http://127.0.0.1:11434/api/tags"),
    ];
    for (kind, expected) in table {
        let spec = ModelProviderSpec::deserialize(json!({"type": kind})).unwrap();
        assert_eq!(
            Endpoints::of(&spec).unwrap().unwrap().models().as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn a_type_has_one_spelling() {
    for kind in ProviderType::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), json!(kind.as_str()));
    }
}

#[test]
fn writes_that_break_a_rule_are_refused() {
    let key = json!({"secretRef": {"name": "s", "key": "k"}});
    let cases = [
        (json!({"type": "openai-compatible"}), Some(Reason::Invalid)),
        (
            json!({"type": "embedded", "baseUrl": "http://x"}),
            Some(Reason::Invalid),
        ),
        (
            json!({"type": "embedded", "credential": key}),
            Some(Reason::Invalid),
        ),
        (
            json!({"type": "embedded", "models": ["m"]}),
            Some(Reason::Invalid),
        ),
        (json!({"type": "embedded"}), None),
        (json!({"type": "openai", "models": [" "]}), Some(Reason::Invalid)),
        (
            json!({"type": "openai", "baseUrl": "http://example.com", "credential": key}),
            Some(Reason::Invalid),
        ),
        (
            json!({"type": "openai", "baseUrl": "http://10.0.0.1", "credential": key, "network": "Private"}),
            None,
        ),
        (
            json!({"type": "openai", "allowedProjects": {"names": ["*"]}}),
            None,
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(write(&Principal::admin(), None, &spec), expected, "{spec}");
    }
}

#[test]
fn private_networks_secrets_and_other_projects_need_the_right_to_them() {
    let private = json!({"type": "ollama", "network": "Private"});
    let moved = json!({"type": "ollama", "network": "Private", "baseUrl": "http://10.0.0.9/v1"});
    let listed = json!({"type": "ollama", "network": "Private", "models": ["m"]});
    let keyed = json!({"type": "openai", "credential": {"secretRef": {"name": "s", "key": "k"}}});
    let redirected = json!({"type": "openai", "baseUrl": "https://evil.example/v1",
        "credential": {"secretRef": {"name": "s", "key": "k"}}});
    let offered = |project: &str| json!({"type": "openai", "allowedProjects": {"names": [project]}});
    let cases = [
        (None, private.clone(), Some(Reason::Forbidden)),
        (Some(private.clone()), listed, None),
        (Some(private), moved, Some(Reason::Forbidden)),
        (None, keyed.clone(), Some(Reason::Forbidden)),
        (Some(keyed.clone()), keyed.clone(), None),
        (Some(keyed), redirected, Some(Reason::Forbidden)),
        (None, offered("research"), None),
        (None, offered("finance"), Some(Reason::Forbidden)),
        (None, offered("*"), Some(Reason::Forbidden)),
    ];
    for (old, spec, expected) in cases {
        assert_eq!(write(&ada(), old.as_ref(), &spec), expected, "{old:?} -> {spec}");
    }
}

#[test]
fn model_lists_of_both_forms_are_read_and_garbage_is_not() {
    let openai = br#"{"object":"list","data":[{"id":"b","x":1},{"id":"a"},{"id":"b"}]}"#;
    assert_eq!(
        model_names(ProviderType::OpenAi, openai),
        Some(vec!["a".into(), "b".into()])
    );
    let ollama = br#"{"models":[{"name":"llama3:8b","size":1}]}"#;
    assert_eq!(
        model_names(ProviderType::Ollama, ollama),
        Some(vec!["llama3:8b".into()])
    );
    for garbage in [&b"<html>"[..], b"{}", b"[]", b"{\"data\":3}"] {
        assert_eq!(model_names(ProviderType::OpenAi, garbage), None);
    }
}

#[test]
fn a_provider_that_is_down_keeps_its_models() {
    let spec = ModelProviderSpec::deserialize(json!({"type": "openai"})).unwrap();
    let up = status(
        &spec,
        None,
        &Observed::Answered(vec!["m".into()]),
        Some(1),
        Timestamp::UNIX_EPOCH,
    );
    assert!(conditions::is_true(&up.conditions, READY));
    let failed = Observed::Failed {
        reason: "Unreachable",
        message: "no route".into(),
    };
    let down = status(&spec, Some(&up), &failed, Some(1), Timestamp::MAX);
    assert_eq!(down.models, ["m"]);
    assert_eq!(down.last_error.as_deref(), Some("no route"));
    assert_eq!(down.conditions[0].last_transition_time.0, Timestamp::MAX);
}

#[test]
fn who_may_not_read_the_credential_lets_nobody_else_use_it() {
    let paid = |more: Value| {
        let mut spec = json!({
            "type": "openai", "availability": "Admins", "credential": {"secretRef": {"name": "s", "key": "k"}},
        });
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        spec
    };
    let old = paid(json!({}));
    let everyone = paid(json!({"availability": "Everyone"}));
    let offered = paid(json!({"allowedProjects": {"names": ["research"]}}));
    assert_eq!(write(&ada(), Some(&old), &paid(json!({"models": ["m"]}))), None);
    for wider in [&everyone, &offered] {
        assert_eq!(
            write(&ada(), Some(&old), wider),
            Some(Reason::Forbidden),
            "{wider}"
        );
        assert_eq!(write(&Principal::admin(), Some(&old), wider), None, "{wider}");
    }
    let private =
        |availability: &str| json!({"type": "ollama", "network": "Private", "availability": availability});
    let wider = write(&ada(), Some(&private("Admins")), &private("Everyone"));
    assert_eq!(wider, Some(Reason::Forbidden));
}
