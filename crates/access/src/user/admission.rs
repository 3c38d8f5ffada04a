//! What the schema of User cannot say. Pure.

use serde_json::Value;
use stead_kernel::{Admission, Error, Result};

/// Names of principals that are no users.
const RESERVED: [&str; 3] = ["admin", "anonymous", "system"];
/// The longest name, in characters.
const LONGEST: usize = 63;

/// Whether a text can be a user's or a project's name: a DNS label (RFC 1123).
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends_well = |byte: Option<u8>| byte.is_some_and(plain);
    text.len() <= LONGEST
        && ends_well(text.bytes().next())
        && ends_well(text.bytes().last())
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
}

/// Refuses users whose name is someone else's, and projects that cannot exist.
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let name = admission.new.pointer("/metadata/name").and_then(Value::as_str);
    if let Some(name) = name {
        refuse_name(name)?;
    }
    let projects = admission.new.pointer("/spec/projects").and_then(Value::as_array);
    let mut seen = Vec::new();
    for project in projects.into_iter().flatten().filter_map(Value::as_str) {
        if !is_name(project) {
            return Err(Error::invalid(format!(
                "spec.projects: {project:?} cannot be a project's name"
            )));
        }
        if seen.contains(&project) {
            return Err(Error::invalid(format!("spec.projects: {project} is there twice")));
        }
        seen.push(project);
    }
    Ok(())
}

fn refuse_name(name: &str) -> Result<()> {
    if RESERVED.contains(&name) {
        return Err(
            Error::invalid(format!("metadata.name: {name} is not a person's name"))
                .hint("it stands for the admin token or for Stead itself: choose another one"),
        );
    }
    if !is_name(name) {
        return Err(
            Error::invalid(format!("metadata.name: {name:?} cannot be a user's name"))
                .hint("use lower-case letters, digits and dashes, 63 at most"),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_kernel::Principal;
    use stead_testkit::AllowAll;

    use super::*;

    fn admitted(name: &str, projects: &Value) -> Result<()> {
        let mut new = json!({"metadata": {"name": name}, "spec": {"projects": projects}});
        admit(&mut Admission {
            principal: &Principal::admin(),
            authorizer: &AllowAll,
            old: None,
            new: &mut new,
        })
    }

    #[test]
    fn names_of_others_and_impossible_names_are_refused() {
        for (name, projects, error) in [
            ("ada", json!(["default", "research"]), None),
            ("a-1", json!([]), None),
            (
                "admin",
                json!([]),
                Some("metadata.name: admin is not a person's name"),
            ),
            (
                "system",
                json!([]),
                Some("metadata.name: system is not a person's name"),
            ),
            (
                "a.b",
                json!([]),
                Some("metadata.name: \"a.b\" cannot be a user's name"),
            ),
            (
                "-a",
                json!([]),
                Some("metadata.name: \"-a\" cannot be a user's name"),
            ),
            (
                "ada",
                json!(["A"]),
                Some("spec.projects: \"A\" cannot be a project's name"),
            ),
            ("ada", json!(["a", "a"]), Some("spec.projects: a is there twice")),
        ] {
            let message = admitted(name, &projects)
                .err()
                .map(|error| error.message().to_owned());
            assert_eq!(message.as_deref(), error, "{name} {projects}");
        }
    }
}
