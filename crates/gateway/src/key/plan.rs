//! What follows from a key's spec: rules of admission, its status. Nothing here performs I/O.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};
use stead_kernel::{
    AccessRequest, Admission, Error, Result, Timestamp, Verb,
    conditions::{self, READY},
};

use super::{ApiKeySpec, ApiKeyStatus, PreviousKey, text};

/// The rules on writes that the schema cannot say; completes the owner.
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let new = spec(admission.new)?;
    let old = admission.old.and_then(|old| spec(old).ok());
    check_source(&new)?;
    check_expiry(&new)?;
    check_previous(&new)?;
    check_addresses(&new)?;
    check_team(admission, &new, old.as_ref())?;
    check_secret(admission, &new, old.as_ref())?;
    settle_owner(admission, &new, old.as_ref())?;
    check_stranger(admission, old.as_ref())
}

/// A key that is another's answers, and is billed, in their name: only they and admins change it.
fn check_stranger(admission: &Admission<'_>, old: Option<&ApiKeySpec>) -> Result<()> {
    let Some(old) = old else { return Ok(()) };
    let owner = old.owner.as_ref().map(|owner| owner.user.as_str());
    let own = owner.is_none_or(|owner| owner == admission.principal.user);
    if own || admission.principal.is_admin() || spec(admission.new)? == *old {
        return Ok(());
    }
    Err(
        Error::forbidden("spec: this key is another user's, who alone may change it")
            .hint("make one of your own: stead key create NAME"),
    )
}

fn spec(object: &Value) -> Result<ApiKeySpec> {
    ApiKeySpec::deserialize(object.get("spec").unwrap_or(&Value::Null))
        .map_err(|error| Error::invalid("spec: it does not have the form of an ApiKey").because(error))
}

fn check_source(new: &ApiKeySpec) -> Result<()> {
    match (&new.key_hash, &new.write_to_secret_ref) {
        (Some(hash), None) if text::parse(hash).is_none() => Err(Error::invalid(
            "spec.keyHash: write `sha256:` and the SHA-256 of the whole key in 64 small hex digits",
        )),
        (Some(_), None) | (None, Some(_)) => Ok(()),
        (Some(_), Some(_)) | (None, None) => Err(Error::invalid(
            "spec: a key has exactly one of keyHash and writeToSecretRef",
        )
        .hint("make a key and see it once with: stead key create NAME")),
    }
}

fn check_expiry(new: &ApiKeySpec) -> Result<()> {
    let Some(expires) = &new.expires else {
        return Ok(());
    };
    expires.parse::<Timestamp>().map(drop).map_err(|error| {
        Error::invalid("spec.expires: write a time such as 2027-01-01T00:00:00Z").because(error)
    })
}

fn check_previous(new: &ApiKeySpec) -> Result<()> {
    if new.rotations > 0 && new.write_to_secret_ref.is_none() {
        return Err(
            Error::invalid("spec.rotations: only a key in a Secret is replaced by the server")
                .hint("replace another key with: stead key rotate NAME"),
        );
    }
    let Some(previous) = &new.previous else {
        return Ok(());
    };
    if new.key_hash.is_none() {
        return Err(Error::invalid(
            "spec.previous: of a key in a Secret the status knows the one before",
        ));
    }
    if text::parse(&previous.key_hash).is_none() || previous.until.parse::<Timestamp>().is_err() {
        return Err(Error::invalid(
            "spec.previous: write a hash as in spec.keyHash, and a time such as 2027-01-01T00:00:00Z",
        ));
    }
    Ok(())
}

fn check_addresses(new: &ApiKeySpec) -> Result<()> {
    let wrong = new.allowed_addresses.iter().find(|text| network(text).is_none());
    match wrong {
        Some(text) => Err(Error::invalid(format!(
            "spec.allowedAddresses: {text:?} is no address or network"
        ))
        .hint("write for example 10.0.0.0/8 or 192.0.2.7")),
        None => Ok(()),
    }
}

/// A network, or a single address as one.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// A team pays for its keys, so who may choose one could charge any.
fn check_team(admission: &Admission<'_>, new: &ApiKeySpec, old: Option<&ApiKeySpec>) -> Result<()> {
    let before = old.and_then(|old| old.team.as_deref());
    if new.team.as_deref() == before || admission.principal.is_admin() {
        return Ok(());
    }
    Err(Error::forbidden(
        "spec.team: only an admin puts a key into a team or takes it out",
    ))
}

/// Whoever names a Secret to write to must be allowed to read that Secret.
fn check_secret(admission: &Admission<'_>, new: &ApiKeySpec, old: Option<&ApiKeySpec>) -> Result<()> {
    let Some(secret) = &new.write_to_secret_ref else {
        return Ok(());
    };
    if old.is_some_and(|old| old.write_to_secret_ref.as_ref() == Some(secret)) {
        return Ok(());
    }
    admission.authorizer.authorize(
        admission.principal,
        &AccessRequest {
            verb: Verb::Get,
            group: "",
            resource: "secrets",
            subresource: "",
            project: admission
                .new
                .pointer("/metadata/namespace")
                .and_then(Value::as_str),
            name: Some(&secret.name),
        },
    )
}

/// The owner is the author unless an admin names someone else; an update without one keeps it.
fn settle_owner(admission: &mut Admission<'_>, new: &ApiKeySpec, old: Option<&ApiKeySpec>) -> Result<()> {
    let author = admission.principal.user.as_str();
    let before = old
        .and_then(|old| old.owner.as_ref())
        .map(|owner| owner.user.as_str());
    match (&new.owner, before) {
        (Some(owner), before) => {
            let allowed = admission.principal.is_admin() || before.unwrap_or(author) == owner.user;
            allowed.then_some(()).ok_or_else(|| {
                Error::forbidden("spec.owner: only an admin may make a key for someone else")
                    .hint("leave spec.owner away")
            })
        }
        (None, before) => {
            let owner = json!({"user": before.unwrap_or(author)});
            if let Some(spec) = admission.new.get_mut("spec").and_then(Value::as_object_mut) {
                spec.insert("owner".into(), owner);
            }
            Ok(())
        }
    }
}

/// What the controller found about the key's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The spec has the hash.
    Given,
    /// The Secret is ours and holds a key with this hash.
    Written(String),
    /// The same, and a new key took the place of the one that the status knows.
    Replaced(String),
    /// The Secret is somebody else's, so it was left alone.
    Foreign(String),
}

/// The status that follows.
pub(crate) fn status(
    spec: &ApiKeySpec,
    old: Option<&ApiKeyStatus>,
    source: &Source,
    generation: Option<i64>,
    now: Timestamp,
) -> ApiKeyStatus {
    let mut status = old.cloned().unwrap_or_default();
    status.observed_generation = generation;
    if let Source::Replaced(_) = source {
        status.previous = status.key_hash.take().and_then(|hash| replaced(spec, hash, now));
    }
    status.rotations = spec.rotations;
    status.key_hash = match source {
        Source::Written(hash) | Source::Replaced(hash) => Some(hash.clone()),
        Source::Given | Source::Foreign(_) => None,
    };
    let expired = expiry(spec).is_some_and(|expires| expires <= now);
    let (ready, reason, message) = match source {
        Source::Foreign(secret) => (
            false,
            "SecretExists",
            format!("Secret `{secret}` was not made for this key; name another one or delete it"),
        ),
        Source::Given | Source::Written(_) | Source::Replaced(_) if spec.disabled => {
            (false, "Disabled", "it is switched off".to_owned())
        }
        Source::Given | Source::Written(_) | Source::Replaced(_) if expired => {
            (false, "Expired", "its time is over".to_owned())
        }
        Source::Given | Source::Written(_) | Source::Replaced(_) => (true, "Usable", String::new()),
    };
    conditions::set(
        &mut status.conditions,
        conditions::condition(READY, ready, reason, message, generation, now),
    );
    status
}

/// A key that was just replaced, if it goes on working.
fn replaced(spec: &ApiKeySpec, hash: String, now: Timestamp) -> Option<PreviousKey> {
    let overlap = spec.overlap.filter(|overlap| !overlap.0.is_zero())?;
    let until = now.checked_add(overlap.0).ok()?;
    Some(PreviousKey {
        key_hash: hash,
        until: until.to_string(),
    })
}

/// The key before this one, and until when it works.
pub(crate) fn previous(spec: &ApiKeySpec, status: Option<&ApiKeyStatus>) -> Option<(text::Hash, Timestamp)> {
    let previous = match &spec.write_to_secret_ref {
        Some(_) => status?.previous.as_ref()?,
        None => spec.previous.as_ref()?,
    };
    Some((text::parse(&previous.key_hash)?, previous.until.parse().ok()?))
}

/// When a key stops working.
pub(crate) fn expiry(spec: &ApiKeySpec) -> Option<Timestamp> {
    spec.expires.as_deref().and_then(|text| text.parse().ok())
}

#[cfg(test)]
mod tests {
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

    fn write(principal: &Principal, old: Option<Value>, spec: &Value) -> (Option<Reason>, Value) {
        let mut new = json!({"metadata": {"name": "ci", "namespace": "research"}, "spec": spec});
        let old = old.map(|spec| json!({"spec": spec}));
        let mut admission = Admission {
            principal,
            authorizer: &NoSecrets,
            old: old.as_ref(),
            new: &mut new,
        };
        let reason = admit(&mut admission).err().map(|error| error.reason());
        let owner = new.pointer("/spec/owner/user").cloned().unwrap_or_default();
        (reason, owner)
    }

    fn given() -> Value {
        json!({"keyHash": text::print(&text::hash(b"k"))})
    }

    fn with(mut spec: Value, field: &str, value: Value) -> Value {
        spec[field] = value;
        spec
    }

    #[test]
    fn a_key_has_exactly_one_source_and_a_readable_expiry() {
        let admin = Principal::admin();
        let cases = [
            (given(), None),
            (json!({}), Some(Reason::Invalid)),
            (json!({"keyHash": "sha256:12"}), Some(Reason::Invalid)),
            (json!({"writeToSecretRef": {"name": "s"}}), None),
            (
                with(given(), "writeToSecretRef", json!({"name": "s"})),
                Some(Reason::Invalid),
            ),
            (with(given(), "expires", json!("tomorrow")), Some(Reason::Invalid)),
            (with(given(), "expires", json!("2027-01-01T00:00:00Z")), None),
        ];
        for (spec, expected) in cases {
            assert_eq!(write(&admin, None, &spec).0, expected, "{spec}");
        }
    }

    #[test]
    fn the_owner_is_the_author_unless_an_admin_says_otherwise() {
        let bob = || with(given(), "owner", json!({"user": "bob"}));
        assert_eq!(write(&ada(), None, &given()), (None, json!("ada")));
        assert_eq!(write(&ada(), None, &bob()).0, Some(Reason::Forbidden));
        assert_eq!(write(&Principal::admin(), None, &bob()), (None, json!("bob")));
        assert_eq!(write(&ada(), Some(bob()), &given()), (None, json!("bob")));
        assert_eq!(write(&ada(), Some(bob()), &bob()), (None, json!("bob")));
        let mine = with(given(), "owner", json!({"user": "ada"}));
        assert_eq!(write(&ada(), Some(bob()), &mine).0, Some(Reason::Forbidden));
    }

    #[test]
    fn a_key_that_is_anothers_is_changed_by_them_and_admins_alone() {
        let owned = |user: &str, key: &[u8]| json!({"owner": {"user": user}, "keyHash": text::print(&text::hash(key))});
        let old = || Some(owned("admin", b"k"));
        assert_eq!(write(&ada(), old(), &owned("admin", b"k")).0, None);
        assert_eq!(
            write(&ada(), old(), &owned("admin", b"mine")).0,
            Some(Reason::Forbidden)
        );
        let wider = with(owned("admin", b"k"), "routes", json!(["paid"]));
        assert_eq!(write(&ada(), old(), &wider).0, Some(Reason::Forbidden));
        assert_eq!(write(&Principal::admin(), old(), &owned("admin", b"new")).0, None);
        assert_eq!(
            write(&ada(), Some(owned("ada", b"k")), &owned("ada", b"new")).0,
            None
        );
    }

    #[test]
    fn naming_a_secret_needs_the_right_to_read_it() {
        let spec = || json!({"writeToSecretRef": {"name": "s"}});
        assert_eq!(write(&ada(), None, &spec()).0, Some(Reason::Forbidden));
        assert_eq!(write(&ada(), Some(spec()), &spec()).0, None);
    }

    #[test]
    fn the_status_says_why_a_key_does_not_work() {
        let spec = |value: Value| ApiKeySpec::deserialize(value).unwrap();
        let written = Source::Written("sha256:00".into());
        let cases = [
            (json!({}), Source::Given, "Usable", None),
            (json!({"disabled": true}), Source::Given, "Disabled", None),
            (
                json!({"expires": "1970-01-01T00:00:00Z"}),
                Source::Given,
                "Expired",
                None,
            ),
            (json!({}), Source::Foreign("s".into()), "SecretExists", None),
            (json!({}), written, "Usable", Some("sha256:00")),
        ];
        for (value, source, reason, hash) in cases {
            let status = status(&spec(value), None, &source, Some(1), Timestamp::UNIX_EPOCH);
            assert_eq!(status.conditions[0].reason, reason);
            assert_eq!(status.key_hash.as_deref(), hash);
        }
    }

    #[test]
    fn a_key_names_its_predecessor_its_networks_and_its_team_in_good_form() {
        let admin = Principal::admin();
        let hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
        let previous = json!({"keyHash": hash, "until": "2027-01-01T00:00:00Z"});
        let in_secret = || json!({"writeToSecretRef": {"name": "s"}});
        let cases = [
            (with(given(), "previous", previous.clone()), None),
            (
                with(given(), "previous", json!({"keyHash": hash, "until": "soon"})),
                Some(Reason::Invalid),
            ),
            (with(in_secret(), "previous", previous), Some(Reason::Invalid)),
            (with(given(), "rotations", json!(1)), Some(Reason::Invalid)),
            (with(in_secret(), "rotations", json!(1)), None),
            (
                with(given(), "allowedAddresses", json!(["10.0.0.0/8", "::1"])),
                None,
            ),
            (
                with(given(), "allowedAddresses", json!(["10.0.0.0/33"])),
                Some(Reason::Invalid),
            ),
            (with(given(), "team", json!("blue")), None),
        ];
        for (spec, expected) in cases {
            assert_eq!(write(&admin, None, &spec).0, expected, "{spec}");
        }
        let in_team = || with(given(), "team", json!("blue"));
        assert_eq!(write(&ada(), None, &in_team()).0, Some(Reason::Forbidden));
        let owned = |spec: Value| with(spec, "owner", json!({"user": "ada"}));
        assert_eq!(
            write(&ada(), Some(owned(in_team())), &owned(given())).0,
            Some(Reason::Forbidden)
        );
        assert_eq!(write(&ada(), Some(owned(in_team())), &owned(in_team())).0, None);
    }

    #[test]
    fn a_replaced_key_works_for_the_overlap_and_no_longer() {
        let now: Timestamp = "2026-11-30T00:00:00Z".parse().unwrap();
        let hash = |letter: &str| format!("sha256:{}", letter.repeat(64));
        let old = ApiKeyStatus {
            key_hash: Some(hash("a")),
            ..ApiKeyStatus::default()
        };
        let spec = |overlap: Value| {
            let spec = json!({"writeToSecretRef": {"name": "s"}, "rotations": 1, "overlap": overlap});
            ApiKeySpec::deserialize(spec).unwrap()
        };
        let made = |overlap| {
            status(
                &spec(overlap),
                Some(&old),
                &Source::Replaced(hash("b")),
                None,
                now,
            )
        };
        let kept = made(json!("24h"));
        assert_eq!((kept.key_hash, kept.rotations), (Some(hash("b")), 1));
        let previous = kept.previous.unwrap();
        assert_eq!(
            (previous.key_hash, previous.until.as_str()),
            (hash("a"), "2026-12-01T00:00:00Z")
        );
        assert_eq!(made(Value::Null).previous, None);
    }
}
