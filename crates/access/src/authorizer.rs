//! Who may do what: a fixed table, to which the roles of the resource API add.
//!
//! *Invariant:* an answer costs a look into memory.

use stead_kernel::{AccessRequest, Authorizer, Credential, Error, GROUP, Principal, Result};

use crate::gateway::Gateways;

/// The fixed table:
///
/// | principal | may |
/// | --- | --- |
/// | admins | everything |
/// | a user | everything but Secrets in their own projects, where statuses are the server's and quotas the admins' to write; read their own projects' Namespace objects, their own User and the definitions of kinds; ask what they may do |
/// | an API key | nothing: it is good for model APIs and for Opik's, in its own project, which ask nobody here |
/// | a gateway, while its token is good | read the gateway's kinds and the Secrets that they name, add to journals, take and renew leases of quotas |
#[derive(Clone, Default)]
pub struct TableAuthorizer {
    gateways: Option<Gateways>,
}

impl TableAuthorizer {
    /// The table where gateways sign in; without them, a gateway may nothing.
    pub fn new(gateways: Gateways) -> Self {
        Self {
            gateways: Some(gateways),
        }
    }

    fn gateway(&self, name: &str, request: &AccessRequest<'_>) -> Result<(), &'static str> {
        let gateways = self.gateways.as_ref().ok_or("no gateway signs in here")?;
        gateways.authorize(name, request)
    }
}

/// The group of the definitions of kinds.
const DEFINITIONS: &str = "apiextensions.k8s.io";
/// The group of questions about one's own rights.
const QUESTIONS: &str = "authorization.k8s.io";

impl Authorizer for TableAuthorizer {
    fn authorize(&self, principal: &Principal, request: &AccessRequest<'_>) -> Result<()> {
        if matches!(principal.credential, Credential::ApiKey { .. }) {
            return Err(
                refusal(principal, request, "an API key is good for model APIs only")
                    .hint("sign in as a user, or use the admin token"),
            );
        }
        if let Credential::Gateway { name } = &principal.credential {
            return self
                .gateway(name, request)
                .map_err(|why| refusal(principal, request, why));
        }
        if principal.is_admin() {
            return Ok(());
        }
        match rule(principal, request) {
            Verdict::Allowed => Ok(()),
            Verdict::Secret => Err(refusal(principal, request, "Secrets are for admins")),
            Verdict::Quota => Err(refusal(principal, request, "quotas are set by admins")),
            Verdict::Status => Err(refusal(principal, request, "what is so is for the server to say")),
            Verdict::NotOwn => Err(
                refusal(principal, request, "the project is not one of the user's own")
                    .hint("an admin can add it to spec.projects of the user"),
            ),
            Verdict::AcrossProjects => {
                Err(
                    refusal(principal, request, "that is not in a project of the user's own")
                        .hint("name a project: -n PROJECT"),
                )
            }
        }
    }
}

/// What the table says about a user who is no admin.
enum Verdict {
    Allowed,
    Secret,
    Quota,
    Status,
    NotOwn,
    AcrossProjects,
}

fn rule(principal: &Principal, request: &AccessRequest<'_>) -> Verdict {
    let read = request.verb.is_read();
    let whole = request.subresource.is_empty();
    let allowed = |condition: bool| {
        if condition {
            Verdict::Allowed
        } else {
            Verdict::AcrossProjects
        }
    };
    match (request.group, request.resource) {
        ("", "secrets") => Verdict::Secret,
        // Before projects: Kubernetes says of a Namespace that it lies in itself.
        ("", "namespaces") => allowed(read && whole && request.name.is_some_and(|name| principal.owns(name))),
        (DEFINITIONS, "customresourcedefinitions") => allowed(read && whole),
        (QUESTIONS, "selfsubjectaccessreviews" | "selfsubjectrulesreviews") => Verdict::Allowed,
        // What limits a user is not theirs to take away.
        (GROUP, "quotas") if !read => Verdict::Quota,
        (GROUP, "users") => {
            let own = request.name == Some(principal.user.as_str());
            allowed(own && whole && request.verb == stead_kernel::Verb::Get)
        }
        _ => match request.project {
            // A status is believed: the hash of a written key, the digest of a model's file. No rule checks who wrote it.
            Some(project) if principal.owns(project) && !read && !whole => Verdict::Status,
            Some(project) if principal.owns(project) => Verdict::Allowed,
            Some(_) => Verdict::NotOwn,
            None => Verdict::AcrossProjects,
        },
    }
}

fn refusal(principal: &Principal, request: &AccessRequest<'_>, why: &str) -> Error {
    let AccessRequest {
        verb,
        group,
        resource,
        subresource,
        project,
        name,
    } = request;
    let mut what = format!("{} {resource}", verb.as_str());
    if !subresource.is_empty() {
        what = format!("{what}/{subresource}");
    }
    if !group.is_empty() {
        what = format!("{what}.{group}");
    }
    if let Some(name) = name {
        what = format!("{what} {name:?}");
    }
    if let Some(project) = project {
        what = format!("{what} in project {project:?}");
    }
    Error::forbidden(format!("user {:?} may not {what}: {why}", principal.user))
}

#[cfg(test)]
mod tests {
    use stead_kernel::{Reason, Verb, groups};

    use super::*;

    fn user() -> Principal {
        Principal {
            user: "ada".into(),
            groups: vec![groups::AUTHENTICATED.into()],
            projects: vec!["own".into(), "second".into()],
            credential: Credential::Session,
        }
    }

    fn by_key(principal: Principal) -> Principal {
        Principal {
            credential: Credential::ApiKey {
                project: "own".into(),
                name: "ci".into(),
            },
            ..principal
        }
    }

    /// Group, resource, subresource, project, name.
    type Target = (
        &'static str,
        &'static str,
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
    );

    /// Every sort of target, with the verbs that a user may do to it.
    const TABLE: &[(Target, &[Verb])] = {
        const READ: &[Verb] = &[Verb::Get, Verb::List, Verb::Watch];
        const ALL: &[Verb] = &Verb::ALL;
        const NONE: &[Verb] = &[];
        &[
            (("stead.dev", "modelproviders", "", Some("own"), None), ALL),
            (("stead.dev", "modelproviders", "", Some("own"), Some("x")), ALL),
            (("stead.dev", "quotas", "", Some("own"), Some("x")), READ),
            (
                ("stead.dev", "modelproviders", "status", Some("second"), Some("x")),
                READ,
            ),
            (("stead.dev", "apikeys", "status", Some("own"), Some("x")), READ),
            (("stead.dev", "apikeys", "", Some("own"), Some("x")), ALL),
            (("", "configmaps", "", Some("own"), Some("x")), ALL),
            (("", "events", "", Some("own"), None), ALL),
            (("coordination.k8s.io", "leases", "", Some("own"), None), ALL),
            (("", "requests", "", Some("own"), None), ALL),
            (("stead.dev", "modelproviders", "", Some("other"), None), NONE),
            (
                ("stead.dev", "modelproviders", "", Some("other"), Some("x")),
                NONE,
            ),
            (("stead.dev", "modelproviders", "", None, None), NONE),
            (("", "secrets", "", Some("own"), None), NONE),
            (("", "secrets", "", Some("own"), Some("x")), NONE),
            (("", "secrets", "", None, None), NONE),
            (("", "namespaces", "", None, Some("own")), READ),
            (("", "namespaces", "", Some("own"), Some("own")), READ),
            (("", "namespaces", "status", None, Some("own")), NONE),
            (("", "namespaces", "", None, Some("other")), NONE),
            (("", "namespaces", "", Some("own"), None), NONE),
            (("", "namespaces", "", None, None), NONE),
            (
                (
                    "apiextensions.k8s.io",
                    "customresourcedefinitions",
                    "",
                    None,
                    None,
                ),
                READ,
            ),
            (
                (
                    "apiextensions.k8s.io",
                    "customresourcedefinitions",
                    "",
                    None,
                    Some("users.stead.dev"),
                ),
                READ,
            ),
            (
                (
                    "apiextensions.k8s.io",
                    "customresourcedefinitions",
                    "status",
                    None,
                    Some("users.stead.dev"),
                ),
                NONE,
            ),
            (
                ("authorization.k8s.io", "selfsubjectaccessreviews", "", None, None),
                ALL,
            ),
            (
                ("authorization.k8s.io", "subjectaccessreviews", "", None, None),
                NONE,
            ),
            (("stead.dev", "users", "", None, Some("ada")), &[Verb::Get]),
            (("stead.dev", "users", "status", None, Some("ada")), NONE),
            (("stead.dev", "users", "", None, Some("bob")), NONE),
            (("stead.dev", "users", "", None, None), NONE),
            (("stead.dev", "users", "", Some("own"), Some("bob")), NONE),
            (
                ("rbac.authorization.k8s.io", "clusterroles", "", None, Some("x")),
                NONE,
            ),
            (("", "nodes", "", None, None), NONE),
        ]
    };

    #[test]
    fn the_table_holds_for_every_role_verb_and_resource() {
        let admins = [Principal::admin(), Principal::controller("gateway")];
        for ((group, resource, subresource, project, name), verbs) in TABLE.iter().copied() {
            for verb in Verb::ALL {
                let request = AccessRequest {
                    verb,
                    group,
                    resource,
                    subresource,
                    project,
                    name,
                };
                let may =
                    |principal: &Principal| match TableAuthorizer::default().authorize(principal, &request) {
                        Ok(()) => true,
                        Err(error) => {
                            assert_eq!(error.reason(), Reason::Forbidden);
                            false
                        }
                    };
                assert_eq!(may(&user()), verbs.contains(&verb), "a user: {request:?}");
                assert!(admins.iter().all(&may), "an admin: {request:?}");
                assert!(!may(&by_key(user())), "a user's key: {request:?}");
                assert!(!may(&by_key(Principal::admin())), "an admin's key: {request:?}");
            }
        }
    }

    #[test]
    fn a_refusal_says_who_what_and_why() {
        let request = AccessRequest {
            verb: Verb::Delete,
            group: "stead.dev",
            resource: "models",
            subresource: "status",
            project: Some("other"),
            name: Some("tiny"),
        };
        let error = TableAuthorizer::default()
            .authorize(&user(), &request)
            .expect_err("not own");
        assert_eq!(
            error.message(),
            "user \"ada\" may not delete models/status.stead.dev \"tiny\" in project \"other\": the project is not one of \
             the user's own"
        );
        assert_eq!(
            error.get_hint(),
            Some("an admin can add it to spec.projects of the user")
        );
    }
}
