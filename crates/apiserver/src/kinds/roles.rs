//! The core kinds that say who may do what, as a table.

use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};

use super::{
    Form,
    core::{CoreKind, schema_of},
    printing,
    rules::Rules,
};
use crate::rbac::GROUP;

/// Where service accounts are stored.
pub(crate) const ACCOUNTS: &str = "serviceaccounts";
/// Where roles of the whole cluster are stored.
pub(crate) const CLUSTER_ROLES: &str = "rbac.authorization.k8s.io/clusterroles";
/// Where roles of a namespace are stored.
pub(crate) const ROLES: &str = "rbac.authorization.k8s.io/roles";
/// Where bindings in the whole cluster are stored.
pub(crate) const CLUSTER_BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";
/// Where bindings in a namespace are stored.
pub(crate) const ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/rolebindings";

/// What is the same for all of these kinds.
const BASE: CoreKind = CoreKind {
    group: GROUP,
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    namespaced: false,
    status: false,
    storage: "",
    form: Form::Plain,
    rules: Rules::Role,
    schema: schema_of::<ClusterRole>,
    columns: printing::created,
    view: None,
    fields: &[],
};

pub(super) const ACCESS: &[CoreKind] = &[
    CoreKind {
        group: "",
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        namespaced: true,
        storage: ACCOUNTS,
        rules: Rules::Account,
        schema: schema_of::<ServiceAccount>,
        columns: printing::aged,
        ..BASE
    },
    CoreKind {
        kind: "ClusterRole",
        plural: "clusterroles",
        singular: "clusterrole",
        storage: CLUSTER_ROLES,
        ..BASE
    },
    CoreKind {
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        storage: CLUSTER_BINDINGS,
        rules: Rules::Binding,
        schema: schema_of::<ClusterRoleBinding>,
        columns: printing::cluster_role_binding,
        view: Some(printing::binding_view),
        ..BASE
    },
    CoreKind {
        kind: "Role",
        plural: "roles",
        singular: "role",
        namespaced: true,
        storage: ROLES,
        schema: schema_of::<Role>,
        ..BASE
    },
    CoreKind {
        kind: "RoleBinding",
        plural: "rolebindings",
        singular: "rolebinding",
        namespaced: true,
        storage: ROLE_BINDINGS,
        rules: Rules::Binding,
        schema: schema_of::<RoleBinding>,
        columns: printing::role_binding,
        view: Some(printing::binding_view),
        ..BASE
    },
];
