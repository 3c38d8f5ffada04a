//! Who may do what by roles and their bindings (`rbac.authorization.k8s.io/v1`), beside what the process itself decides.
//!
//! *Invariant:* an answer looks into memory only; what is stored is read when it changes.
//! *Invariant:* roles only add: what the authorizer below allows stays allowed, and who signs in with a key for models or
//! as a gateway has no roles.

mod defaults;
mod rule;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use serde_json::Value;
use stead_kernel::{AccessRequest, Authorizer, Credential, Principal, Result};

use crate::object::{self, top};
pub(crate) use defaults::defaults;
pub(crate) use rule::{Ask, Rule};

/// The group of roles and bindings.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// Where a role is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RoleRef {
    /// Empty for roles of the whole cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// Who is bound to a role.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    User(String),
    Group(String),
}

#[derive(Debug, Clone)]
struct Binding {
    name: String,
    /// Empty for bindings in the whole cluster.
    namespace: String,
    role: RoleRef,
    subjects: Vec<Subject>,
}

/// All roles and bindings, and the service accounts there are.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    roles: HashMap<RoleRef, Vec<Rule>>,
    bindings: Vec<Binding>,
    /// The uid of each service account, by namespace and name.
    accounts: HashMap<(String, String), String>,
    /// What the rules of aggregated roles should be, where they are not that yet.
    pub(crate) stale: Vec<(String, Vec<Rule>)>,
}

impl Policy {
    /// Reads the stored roles, bindings and service accounts.
    pub(crate) fn read(roles: &[Value], bindings: &[Value], accounts: &[Value]) -> Self {
        let mut policy = Self::default();
        for role in roles {
            let place = RoleRef {
                namespace: object::namespace(role).into(),
                name: object::name(role).into(),
            };
            policy.roles.insert(place, Rule::read_all(role));
        }
        // Roles that are made of others may be made of each other: as many rounds as there are of them suffice.
        let made: Vec<&Value> = roles
            .iter()
            .filter(|role| role.get("aggregationRule").is_some_and(Value::is_object))
            .collect();
        for _ in 0..=made.len() {
            for role in &made {
                let rules = policy.aggregated(role, roles);
                let place = RoleRef {
                    namespace: String::new(),
                    name: object::name(role).into(),
                };
                policy.roles.insert(place, rules);
            }
        }
        for role in made {
            let name = object::name(role).to_owned();
            let place = RoleRef {
                namespace: String::new(),
                name: name.clone(),
            };
            let rules = policy.roles.get(&place).cloned().unwrap_or_default();
            if rules != Rule::read_all(role) {
                policy.stale.push((name, rules));
            }
        }
        policy.bindings = bindings.iter().map(read_binding).collect();
        policy.accounts = accounts
            .iter()
            .map(|account| {
                let place = (
                    object::namespace(account).to_owned(),
                    object::name(account).to_owned(),
                );
                (place, object::uid(account).to_owned())
            })
            .collect();
        policy
    }

    /// The rules of all roles that a role's selectors choose.
    fn aggregated(&self, role: &Value, roles: &[Value]) -> Vec<Rule> {
        let selectors = role
            .pointer("/aggregationRule/clusterRoleSelectors")
            .and_then(Value::as_array);
        let mut chosen: Vec<&str> = Vec::new();
        for selector in selectors.into_iter().flatten() {
            let fits = |other: &&Value| {
                object::namespace(other).is_empty()
                    && object::name(other) != object::name(role)
                    && selects(selector, other)
            };
            chosen.extend(roles.iter().filter(fits).map(object::name));
        }
        chosen.sort_unstable();
        let mut rules = Vec::new();
        for name in chosen {
            let place = RoleRef {
                namespace: String::new(),
                name: name.into(),
            };
            for rule in self.roles.get(&place).into_iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
        rules
    }

    /// The bindings of someone that count in a namespace, with the rules of their roles.
    fn bound<'a>(
        &'a self,
        who: &'a Principal,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Binding, &'a [Rule])> {
        let counts =
            move |binding: &&Binding| binding.namespace.is_empty() || Some(&*binding.namespace) == namespace;
        let is = move |subject: &Subject| match subject {
            Subject::User(name) => *name == who.user,
            Subject::Group(name) => who.groups.contains(name),
        };
        self.bindings
            .iter()
            .filter(counts)
            .filter(move |binding| binding.subjects.iter().any(is))
            .filter_map(|binding| Some((binding, self.roles.get(&binding.role)?.as_slice())))
    }

    /// The rules that someone has in a namespace, or in the whole cluster.
    pub(crate) fn rules(&self, who: &Principal, namespace: Option<&str>) -> Vec<Rule> {
        if !has_roles(who) {
            return Vec::new();
        }
        self.bound(who, namespace)
            .flat_map(|(_, rules)| rules.iter().cloned())
            .collect()
    }

    /// By what someone may do something; `None` when by nothing.
    pub(crate) fn why(&self, who: &Principal, namespace: Option<&str>, ask: &Ask<'_>) -> Option<String> {
        if !has_roles(who) {
            return None;
        }
        let mut bound = self.bound(who, namespace);
        let (binding, _) = bound.find(|(_, rules)| rules.iter().any(|rule| rule.allows(ask)))?;
        let (binding_kind, place) = if binding.namespace.is_empty() {
            ("ClusterRoleBinding", binding.name.clone())
        } else {
            ("RoleBinding", format!("{}/{}", binding.name, binding.namespace))
        };
        let role_kind = if binding.role.namespace.is_empty() {
            "ClusterRole"
        } else {
            "Role"
        };
        Some(format!(
            "RBAC: allowed by {binding_kind} {place:?} of {role_kind} {:?} to User {:?}",
            binding.role.name, who.user
        ))
    }

    /// Whether someone may ask for what is no resource.
    pub(crate) fn allows_path(&self, who: &Principal, verb: &str, path: &str) -> bool {
        has_roles(who)
            && self
                .bound(who, None)
                .any(|(_, rules)| rules.iter().any(|rule| rule.allows_path(verb, path)))
    }

    /// The rules of a role; `None` when there is no such role.
    pub(crate) fn role(&self, place: &RoleRef) -> Option<&[Rule]> {
        self.roles.get(place).map(Vec::as_slice)
    }

    /// The uid of a service account, if there is one.
    pub(crate) fn account(&self, namespace: &str, name: &str) -> Option<&str> {
        self.accounts
            .get(&(namespace.to_owned(), name.to_owned()))
            .map(String::as_str)
    }
}

/// Whether roles count for this principal.
fn has_roles(who: &Principal) -> bool {
    match who.credential {
        Credential::Process | Credential::Token | Credential::Session => true,
        Credential::ApiKey { .. } | Credential::Gateway { .. } => false,
    }
}

fn read_binding(binding: &Value) -> Binding {
    let namespace = object::namespace(binding).to_owned();
    let subjects = binding
        .get("subjects")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    Binding {
        role: role_ref(binding),
        subjects: subjects
            .filter_map(|subject| {
                let name = top(subject, "name");
                Some(match top(subject, "kind") {
                    "User" => Subject::User(name.into()),
                    "Group" => Subject::Group(name.into()),
                    "ServiceAccount" => {
                        let own = top(subject, "namespace");
                        let place = if own.is_empty() { &namespace } else { own };
                        Subject::User(account_user(place, name))
                    }
                    _ => return None,
                })
            })
            .collect(),
        name: object::name(binding).into(),
        namespace,
    }
}

/// The role that a binding binds to.
pub(crate) fn role_ref(binding: &Value) -> RoleRef {
    let role = binding.get("roleRef").unwrap_or(&Value::Null);
    let namespace = if top(role, "kind") == "Role" {
        object::namespace(binding)
    } else {
        ""
    };
    RoleRef {
        namespace: namespace.into(),
        name: top(role, "name").into(),
    }
}

/// The user that a service account is.
pub(crate) fn account_user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Whether a label selector of `meta/v1` chooses an object.
fn selects(selector: &Value, object: &Value) -> bool {
    let labels = object::metadata(object).and_then(|metadata| metadata.get("labels"));
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let equal = wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| label(key) == value.as_str());
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    equal
        && expressions.into_iter().flatten().all(|expression| {
            let found = label(top(expression, "key"));
            let values = expression.get("values").and_then(Value::as_array);
            let listed: HashSet<&str> = values.into_iter().flatten().filter_map(Value::as_str).collect();
            match top(expression, "operator") {
                "In" => found.is_some_and(|found| listed.contains(found)),
                "NotIn" => found.is_none_or(|found| !listed.contains(found)),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

/// The authorizer that asks the roles where another one refuses.
pub(crate) struct Rbac {
    below: Arc<dyn Authorizer>,
    policy: ArcSwap<Policy>,
}

impl Rbac {
    pub(crate) fn new(below: Arc<dyn Authorizer>) -> Self {
        Self {
            below,
            policy: ArcSwap::default(),
        }
    }

    /// What is stored now.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    pub(crate) fn replace(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// What the process itself decides, without roles.
    pub(crate) fn below(&self) -> &dyn Authorizer {
        &*self.below
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, principal: &Principal, request: &AccessRequest<'_>) -> Result<()> {
        let Err(refusal) = self.below.authorize(principal, request) else {
            return Ok(());
        };
        let ask = Ask {
            verb: request.verb.as_str(),
            group: request.group,
            resource: request.resource,
            subresource: request.subresource,
            name: request.name,
        };
        // A Namespace lies in itself.
        let own = request
            .name
            .filter(|_| request.group.is_empty() && request.resource == "namespaces");
        match self.policy.load().why(principal, request.project.or(own), &ask) {
            Some(_) => Ok(()),
            None => Err(refusal),
        }
    }
}
