//! Which Models may be written by whom: what a schema cannot say.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stead_kernel::{Admission, Error, Result};

use super::{ModelSpec, Network};
use crate::source::{Place, Source};

/// Says that an admin wrote the `file:` sources; its value is their SHA-256, so it holds for exactly these.
const FILES_BY_ADMIN: &str = "stead.dev/file-sources-by-admin";

/// The rule on writes. Sources must parse; `http:` needs a pin; private addresses are for admins; an admin's `file:`
/// sources are marked as such, and nobody else can set the mark (see [`may_read_any_file`]).
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let spec = spec(admission.new)?;
    let old = admission.old.and_then(|old| spec_of(old).ok());
    let sources = parse(&spec)?;
    let changed = old
        .as_ref()
        .is_none_or(|old| old.sources != spec.sources || old.network != spec.network);
    if spec.network == Network::Private && changed && !admission.principal.is_admin() {
        return Err(Error::forbidden(
            "spec.network: only an admin may have files fetched from private addresses",
        )
        .hint("leave it out, or ask an admin to write this Model"));
    }
    mark_files(admission, &sources, old.as_ref());
    Ok(())
}

/// Whether an admin wrote these `file:` sources, so that the configuration's list of folders doesn't matter.
pub(crate) fn may_read_any_file(
    annotations: Option<&std::collections::BTreeMap<String, String>>,
    spec: &ModelSpec,
) -> bool {
    let mark = annotations.and_then(|annotations| annotations.get(FILES_BY_ADMIN));
    let sources: Vec<Source> = spec.sources.iter().filter_map(|text| text.parse().ok()).collect();
    fingerprint(&sources).is_some_and(|fingerprint| mark == Some(&fingerprint))
}

fn spec(object: &Value) -> Result<ModelSpec> {
    spec_of(object).map_err(|error| Error::invalid("spec: not the spec of a Model").because(error))
}

fn spec_of(object: &Value) -> serde_json::Result<ModelSpec> {
    serde_json::from_value(object.get("spec").cloned().unwrap_or(Value::Null))
}

fn parse(spec: &ModelSpec) -> Result<Vec<Source>> {
    let mut sources = Vec::with_capacity(spec.sources.len());
    for (index, text) in spec.sources.iter().enumerate() {
        let source: Source = text
            .parse()
            .map_err(|why| Error::invalid(format!("spec.sources[{index}]: {why}")))?;
        if source.is_plain_http() && source.pin.is_none() && spec.sha256.is_none() {
            return Err(Error::invalid(format!(
                "spec.sources[{index}]: anyone on the way could replace a file that comes over plain http"
            ))
            .hint("use https, or pin the file with spec.sha256"));
        }
        if source
            .pin
            .as_ref()
            .zip(spec.sha256.as_ref())
            .is_some_and(|(own, common)| own != common)
        {
            return Err(Error::invalid(format!(
                "spec.sources[{index}]: its pin differs from spec.sha256"
            )));
        }
        sources.push(source);
    }
    Ok(sources)
}

fn mark_files(admission: &mut Admission<'_>, sources: &[Source], old: Option<&ModelSpec>) {
    let present = fingerprint(sources);
    let before = old.and_then(|old| {
        let sources: Vec<Source> = old.sources.iter().filter_map(|text| text.parse().ok()).collect();
        fingerprint(&sources)
    });
    let mark_before = admission
        .old
        .and_then(|old| {
            old.pointer("/metadata/annotations")
                .and_then(|list| list.get(FILES_BY_ADMIN))
        })
        .cloned();
    // Controllers act with an admin's rights on everybody's objects, so only a change of the sources counts.
    let mark = match present {
        Some(present) if Some(&present) != before.as_ref() => {
            admission.principal.is_admin().then(|| json!(present))
        }
        _ => mark_before,
    };
    set_annotation(admission.new, mark);
}

fn set_annotation(object: &mut Value, value: Option<Value>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let Some(value) = value else {
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(FILES_BY_ADMIN);
        }
        return;
    };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if !annotations.is_object() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(FILES_BY_ADMIN.into(), value);
    }
}

/// The SHA-256 of all `file:` sources; `None` when there is none.
fn fingerprint(sources: &[Source]) -> Option<String> {
    let mut hasher = Sha256::new();
    let mut any = false;
    for source in sources {
        if let Place::File(path) = &source.place {
            any = true;
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update([0]);
        }
    }
    any.then(|| crate::blobs::hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use stead_kernel::{Credential, Principal, Reason};
    use stead_testkit::AllowAll;

    use super::*;

    fn user() -> Principal {
        Principal {
            user: "ada".into(),
            groups: Vec::new(),
            projects: vec!["default".into()],
            credential: Credential::Token,
        }
    }

    fn model(spec: &Value) -> Value {
        json!({"metadata": {"name": "m"}, "spec": spec})
    }

    fn write(principal: &Principal, old: Option<&Value>, mut new: Value) -> Result<Value> {
        admit(&mut Admission {
            principal,
            authorizer: &AllowAll,
            old,
            new: &mut new,
        })?;
        Ok(new)
    }

    fn marked(object: &Value) -> bool {
        let annotations = object
            .pointer("/metadata/annotations")
            .cloned()
            .unwrap_or_default();
        may_read_any_file(
            serde_json::from_value::<Option<_>>(annotations).unwrap().as_ref(),
            &spec_of(object).unwrap(),
        )
    }

    #[test]
    fn rules_on_the_spec() {
        let pin = "ab".repeat(32);
        let (admin, user) = (Principal::admin(), user());
        let cases = [
            (&user, json!({"sources": ["hf:o/r/f.gguf"]}), None),
            (&user, json!({"sources": ["tiny"]}), Some(Reason::Invalid)),
            (
                &user,
                json!({"sources": ["http://x.example/a"]}),
                Some(Reason::Invalid),
            ),
            (
                &user,
                json!({"sources": ["http://x.example/a"], "sha256": pin}),
                None,
            ),
            (
                &user,
                json!({"sources": [format!("http://x.example/a#sha256={pin}")]}),
                None,
            ),
            (
                &user,
                json!({"sources": [format!("https://x.example/a#sha256={pin}")], "sha256": "cd".repeat(32)}),
                Some(Reason::Invalid),
            ),
            (
                &user,
                json!({"sources": ["https://x/a"], "network": "Private"}),
                Some(Reason::Forbidden),
            ),
            (
                &admin,
                json!({"sources": ["https://x/a"], "network": "Private"}),
                None,
            ),
        ];
        for (principal, spec, refusal) in cases {
            let result = write(principal, None, model(&spec));
            assert_eq!(result.err().map(|error| error.reason()), refusal, "{spec}");
        }
    }

    #[test]
    fn a_user_may_keep_but_not_redirect_an_admins_private_model() {
        let spec = json!({"sources": ["https://x/a"], "network": "Private"});
        let old = write(&Principal::admin(), None, model(&spec)).unwrap();
        assert!(write(&user(), Some(&old), model(&spec)).is_ok());
        let other = json!({"sources": ["https://y/a"], "network": "Private"});
        assert!(write(&user(), Some(&old), model(&other)).is_err());
    }

    #[test]
    fn the_mark_of_an_admins_files_holds_for_exactly_these_and_cannot_be_forged() {
        let spec = json!({"sources": ["file:/a.gguf"]});
        let by_admin = write(&Principal::admin(), None, model(&spec)).unwrap();
        assert!(marked(&by_admin));
        let by_user = write(&user(), None, model(&spec)).unwrap();
        assert!(!marked(&by_user));
        let forged = write(&user(), None, by_admin.clone()).unwrap();
        assert!(!marked(&forged));
        let mut moved = by_admin.clone();
        moved["spec"]["sources"] = json!(["file:/b.gguf"]);
        assert!(!marked(&write(&user(), Some(&by_admin), moved).unwrap()));
        assert!(marked(
            &write(&user(), Some(&by_admin), by_admin.clone()).unwrap()
        ));
        // A controller that only adds a finalizer does not vouch for a user's files.
        assert!(!marked(
            &write(&Principal::controller("models"), Some(&by_user), by_user.clone()).unwrap()
        ));
    }
}
