//! Roles and bindings in force: read when they change, aggregated, and given away only by who has what they give.

use std::sync::Arc;

use serde_json::{Value, json};
use stead_kernel::{AccessRequest, Credential, Principal, Verb};

use super::{Caller, Engine, Part, Target, WriteOptions, draft::Tracking};
use crate::{
    failure::{Failure, Outcome},
    kinds::{ACCOUNTS, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, ResourceType, rules::Rules},
    object::{self, root_mut},
    rbac::{self, Ask, Policy, RoleRef, Rule},
};

/// Writes the rules of aggregated roles whenever they should be others; ends with the server.
pub(crate) async fn aggregate(engine: Arc<Engine>) {
    loop {
        if let Err(failure) = engine.aggregate_now().await {
            let message = failure.message();
            tracing::warn!(message, "the rules of an aggregated role could not be written");
        }
        engine.access_changed.notified().await;
    }
}

impl Engine {
    /// Reads what decides who may do what, if the write was to such an object.
    pub(super) async fn access_written(&self, kind: &ResourceType) {
        if !matches!(kind.rules, Rules::Role | Rules::Binding | Rules::Account) {
            return;
        }
        if let Err(failure) = self.reload_access().await {
            tracing::error!(message = failure.message(), "the roles could not be read again");
        }
    }

    /// Reads the stored roles, bindings and service accounts.
    pub(crate) async fn reload_access(&self) -> Outcome<()> {
        let _turn = self.access.lock().await;
        let mut read = Vec::new();
        for storages in [
            [CLUSTER_ROLES, ROLES].as_slice(),
            &[CLUSTER_BINDINGS, ROLE_BINDINGS],
            &[ACCOUNTS],
        ] {
            let mut objects = Vec::new();
            for storage in storages {
                objects.extend(self.stored(storage).await?);
            }
            read.push(objects);
        }
        let [roles, bindings, accounts] = read.as_slice() else {
            return Ok(());
        };
        self.rbac.replace(Policy::read(roles, bindings, accounts));
        self.access_changed.notify_one();
        Ok(())
    }

    async fn stored(&self, storage: &str) -> Outcome<Vec<Value>> {
        let Some(kind) = self.registry.load().stored_at(storage).map(Arc::clone) else {
            return Ok(Vec::new());
        };
        let mut objects = Vec::new();
        for key in self.store.keys_of(storage, None).await? {
            if let Some(row) = self.store.get(&key)? {
                objects.push(self.decode(&kind, &row)?);
            }
        }
        Ok(objects)
    }

    fn role_target(&self, storage: &str, name: &str) -> Option<Target> {
        let kind = self.registry.load().stored_at(storage).map(Arc::clone)?;
        Some(Target {
            kind,
            namespace: String::new(),
            name: name.into(),
            part: Part::Main,
        })
    }

    /// Writes the rules of the aggregated roles that should have others now.
    pub(crate) async fn aggregate_now(&self) -> Outcome<()> {
        for (name, rules) in self.rbac.policy().stale.clone() {
            self.write_aggregated(&name, &rules).await?;
        }
        Ok(())
    }

    async fn write_aggregated(&self, name: &str, rules: &[Rule]) -> Outcome<()> {
        let Some(target) = self.role_target(CLUSTER_ROLES, name) else {
            return Ok(());
        };
        let Some(old) = self.load(&target)? else {
            return Ok(());
        };
        let mut new = old.clone();
        let rules: Vec<Value> = rules.iter().map(Rule::show).collect();
        root_mut(&mut new).insert("rules".into(), rules.into());
        let options = WriteOptions {
            manager: "clusterrole-aggregation-controller".into(),
            ..WriteOptions::default()
        };
        let caller = Caller::of(Principal::controller("clusterrole-aggregation-controller"));
        self.replace(
            &caller,
            &target,
            &options,
            (old, new),
            Tracking::Compare,
            Verb::Update,
        )
        .await
        .map(|_| ())
    }

    /// Makes the roles and bindings that are there from the start, where they are missing, and brings those that were not
    /// taken out of care (`autoupdate`) to what this program says.
    pub(crate) async fn prepare_access(self: &Arc<Self>, caller: &Caller) -> Outcome<()> {
        let registry = self.registry.load_full();
        let kinds = registry.types().iter().map(|kind| &**kind);
        for mut wanted in rbac::defaults(kinds, self.rbac.below()) {
            let storage = if object::top(&wanted, "kind") == "ClusterRole" {
                CLUSTER_ROLES
            } else {
                CLUSTER_BINDINGS
            };
            let name = object::name(&wanted).to_owned();
            let Some(target) = self.role_target(storage, &name) else {
                continue;
            };
            let options = WriteOptions {
                manager: "stead".into(),
                ..WriteOptions::default()
            };
            let Some(old) = self.load(&target)? else {
                self.create(caller, &target, wanted, &options).await?;
                continue;
            };
            let care = "/metadata/annotations/rbac.authorization.kubernetes.io~1autoupdate";
            let kept = storage != CLUSTER_ROLES || wanted.get("aggregationRule").is_some();
            if kept || old.pointer(care).and_then(Value::as_str) != Some("true") {
                continue;
            }
            let mut new = old.clone();
            let rules = root_mut(&mut wanted)
                .shift_remove("rules")
                .unwrap_or_else(|| json!([]));
            root_mut(&mut new).insert("rules".into(), rules);
            self.replace(
                caller,
                &target,
                &options,
                (old, new),
                Tracking::Compare,
                Verb::Update,
            )
            .await?;
        }
        Ok(())
    }

    /// Refuses a role, or a binding to one, that gives more than its writer has.
    pub(super) fn check_grant(
        &self,
        caller: &Caller,
        target: &Target,
        old: Option<&Value>,
        new: &Value,
    ) -> Outcome<()> {
        let given: Vec<Rule> = match target.kind.rules {
            Rules::Role if old.is_some_and(|old| old.get("rules") == new.get("rules")) => return Ok(()),
            Rules::Role => Rule::read_all(new),
            Rules::Binding => {
                let same = |old: &Value| {
                    old.get("subjects") == new.get("subjects") && old.get("roleRef") == new.get("roleRef")
                };
                if old.is_some_and(same) {
                    return Ok(());
                }
                let place = rbac::role_ref(new);
                let policy = self.rbac.policy();
                match policy.role(&place) {
                    Some(rules) => rules.to_vec(),
                    // What is not there gives nothing yet, and nobody but who may bind it can say that it should.
                    None if self.may_hand_on(caller, target, "bind", &place) => return Ok(()),
                    None => {
                        let kind = if place.namespace.is_empty() {
                            "clusterroles"
                        } else {
                            "roles"
                        };
                        return Err(Failure::named_not_found(rbac::GROUP, kind, &place.name));
                    }
                }
            }
            _ => return Ok(()),
        };
        let place = match target.kind.rules {
            Rules::Binding => rbac::role_ref(new),
            _ => RoleRef {
                namespace: target.namespace.clone(),
                name: target.name.clone(),
            },
        };
        let verb = if target.kind.rules == Rules::Binding {
            "bind"
        } else {
            "escalate"
        };
        if self.may_hand_on(caller, target, verb, &place) {
            return Ok(());
        }
        let namespace = Some(&*target.namespace).filter(|namespace| !namespace.is_empty());
        let held = self.rbac.policy().rules(&caller.principal, namespace);
        let missing: Vec<String> = given
            .iter()
            .flat_map(Rule::parts)
            .filter(|part| !held.iter().any(|own| own.covers(part)) && !self.holds(caller, namespace, part))
            .map(|part| part.words())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let who = &caller.principal;
        let why = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            who.user,
            json!(who.groups),
            missing.join("\n")
        );
        Err(Failure::forbidden(&target.kind, &target.name, &why))
    }

    /// Whether someone may give away more than they have: the process itself, admins, and who has the verb for it.
    fn may_hand_on(&self, caller: &Caller, target: &Target, verb: &str, role: &RoleRef) -> bool {
        let who = &caller.principal;
        if who.credential == Credential::Process || who.is_admin() {
            return true;
        }
        let namespace = Some(&*target.namespace).filter(|namespace| !namespace.is_empty());
        let ask = Ask {
            verb,
            group: rbac::GROUP,
            resource: if role.namespace.is_empty() {
                "clusterroles"
            } else {
                "roles"
            },
            subresource: "",
            name: Some(&role.name),
        };
        self.rbac.policy().why(who, namespace, &ask).is_some()
    }

    /// Whether the authorizer below gives someone what a smallest rule gives.
    fn holds(&self, caller: &Caller, namespace: Option<&str>, part: &Rule) -> bool {
        let one = |list: &'_ [String]| {
            list.first()
                .map(String::as_str)
                .filter(|word| *word != "*")
                .map(str::to_owned)
        };
        let (Some(verb), Some(group), Some(resource)) =
            (one(&part.verbs), one(&part.groups), one(&part.resources))
        else {
            return false;
        };
        let Some(verb) = Verb::ALL.into_iter().find(|known| known.as_str() == verb) else {
            return false;
        };
        let (resource, subresource) = resource.split_once('/').unwrap_or((&resource, ""));
        let request = AccessRequest {
            verb,
            group: &group,
            resource,
            subresource,
            project: namespace,
            name: part.names.first().map(String::as_str),
        };
        resource != "*" && self.rbac.below().authorize(&caller.principal, &request).is_ok()
    }
}
