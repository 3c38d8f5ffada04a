//! Which fields the kinds have, by number: those of the `generated.proto` files of k8s.io/api and k8s.io/apimachinery.

/// How a field's value reads.
#[derive(Clone, Copy)]
pub(super) enum Type {
    /// Empty means absent.
    Text,
    Int,
    /// Zero means absent.
    Count,
    Flag,
    /// A time with whole seconds.
    Time,
    /// A time with microseconds.
    MicroTime,
    Message(&'static [Field]),
    Texts,
    Messages(&'static [Field]),
    TextMap,
    BytesMap,
    /// Texts by name, each list in a message of its own.
    TextsMap,
    /// A message whose one field is JSON text.
    Json,
}

/// A field's number, JSON name and type.
pub(super) type Field = (u32, &'static str, Type);

const OWNER: &[Field] = &[
    (1, "kind", Type::Text),
    (3, "name", Type::Text),
    (4, "uid", Type::Text),
    (5, "apiVersion", Type::Text),
    (6, "controller", Type::Flag),
    (7, "blockOwnerDeletion", Type::Flag),
];
const MANAGED_FIELDS: &[Field] = &[
    (1, "manager", Type::Text),
    (2, "operation", Type::Text),
    (3, "apiVersion", Type::Text),
    (4, "time", Type::Time),
    (6, "fieldsType", Type::Text),
    (7, "fieldsV1", Type::Json),
    (8, "subresource", Type::Text),
];
const METADATA: &[Field] = &[
    (1, "name", Type::Text),
    (2, "generateName", Type::Text),
    (3, "namespace", Type::Text),
    (5, "uid", Type::Text),
    (6, "resourceVersion", Type::Text),
    (7, "generation", Type::Count),
    (8, "creationTimestamp", Type::Time),
    (9, "deletionTimestamp", Type::Time),
    (10, "deletionGracePeriodSeconds", Type::Int),
    (11, "labels", Type::TextMap),
    (12, "annotations", Type::TextMap),
    (13, "ownerReferences", Type::Messages(OWNER)),
    (14, "finalizers", Type::Texts),
    (17, "managedFields", Type::Messages(MANAGED_FIELDS)),
];
const NAMESPACE: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "spec", Type::Message(&[(1, "finalizers", Type::Texts)])),
    (3, "status", Type::Message(&[(1, "phase", Type::Text)])),
];
const SECRET: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "data", Type::BytesMap),
    (3, "type", Type::Text),
    (4, "stringData", Type::TextMap),
    (5, "immutable", Type::Flag),
];
const CONFIG_MAP: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "data", Type::TextMap),
    (3, "binaryData", Type::BytesMap),
    (4, "immutable", Type::Flag),
];
const REFERENCE: &[Field] = &[
    (1, "kind", Type::Text),
    (2, "namespace", Type::Text),
    (3, "name", Type::Text),
    (4, "uid", Type::Text),
    (5, "apiVersion", Type::Text),
    (6, "resourceVersion", Type::Text),
    (7, "fieldPath", Type::Text),
];
const SOURCE: &[Field] = &[(1, "component", Type::Text), (2, "host", Type::Text)];
const SERIES: &[Field] = &[(1, "count", Type::Int), (2, "lastObservedTime", Type::MicroTime)];
const EVENT: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "involvedObject", Type::Message(REFERENCE)),
    (3, "reason", Type::Text),
    (4, "message", Type::Text),
    (5, "source", Type::Message(SOURCE)),
    (6, "firstTimestamp", Type::Time),
    (7, "lastTimestamp", Type::Time),
    (8, "count", Type::Count),
    (9, "type", Type::Text),
    (10, "eventTime", Type::MicroTime),
    (11, "series", Type::Message(SERIES)),
    (12, "action", Type::Text),
    (13, "related", Type::Message(REFERENCE)),
    (14, "reportingComponent", Type::Text),
    (15, "reportingInstance", Type::Text),
];
const NEW_EVENT: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "eventTime", Type::MicroTime),
    (3, "series", Type::Message(SERIES)),
    (4, "reportingController", Type::Text),
    (5, "reportingInstance", Type::Text),
    (6, "action", Type::Text),
    (7, "reason", Type::Text),
    (8, "regarding", Type::Message(REFERENCE)),
    (9, "related", Type::Message(REFERENCE)),
    (10, "note", Type::Text),
    (11, "type", Type::Text),
    (12, "deprecatedSource", Type::Message(SOURCE)),
    (13, "deprecatedFirstTimestamp", Type::Time),
    (14, "deprecatedLastTimestamp", Type::Time),
    (15, "deprecatedCount", Type::Count),
];
const LEASE_SPEC: &[Field] = &[
    (1, "holderIdentity", Type::Text),
    (2, "leaseDurationSeconds", Type::Int),
    (3, "acquireTime", Type::MicroTime),
    (4, "renewTime", Type::MicroTime),
    (5, "leaseTransitions", Type::Int),
    (6, "strategy", Type::Text),
    (7, "preferredHolder", Type::Text),
];
const LEASE: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "spec", Type::Message(LEASE_SPEC)),
];
const ATTRIBUTES: &[Field] = &[
    (1, "namespace", Type::Text),
    (2, "verb", Type::Text),
    (3, "group", Type::Text),
    (4, "version", Type::Text),
    (5, "resource", Type::Text),
    (6, "subresource", Type::Text),
    (7, "name", Type::Text),
];
const PATH_ATTRIBUTES: &[Field] = &[(1, "path", Type::Text), (2, "verb", Type::Text)];
const ACCESS_SPEC: &[Field] = &[
    (1, "resourceAttributes", Type::Message(ATTRIBUTES)),
    (2, "nonResourceAttributes", Type::Message(PATH_ATTRIBUTES)),
];
const ACCESS_SPEC_OF_OTHERS: &[Field] = &[
    (1, "resourceAttributes", Type::Message(ATTRIBUTES)),
    (2, "nonResourceAttributes", Type::Message(PATH_ATTRIBUTES)),
    (3, "user", Type::Text),
    (4, "groups", Type::Texts),
    (5, "extra", Type::TextsMap),
    (6, "uid", Type::Text),
];
const ACCESS_REVIEW_OF_OTHERS: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "spec", Type::Message(ACCESS_SPEC_OF_OTHERS)),
];
const ACCESS_REVIEW: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "spec", Type::Message(ACCESS_SPEC)),
];
const RULES_REVIEW: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "spec", Type::Message(&[(1, "namespace", Type::Text)])),
];
const SELF_REVIEW: &[Field] = &[(1, "metadata", Type::Message(METADATA))];
const ACCOUNT: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "secrets", Type::Messages(REFERENCE)),
    (3, "imagePullSecrets", Type::Messages(&[(1, "name", Type::Text)])),
    (4, "automountServiceAccountToken", Type::Flag),
];
const BOUND: &[Field] = &[
    (1, "kind", Type::Text),
    (2, "apiVersion", Type::Text),
    (3, "name", Type::Text),
    (4, "uid", Type::Text),
];
const TOKEN_REQUEST: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (
        2,
        "spec",
        Type::Message(&[
            (1, "audiences", Type::Texts),
            (3, "boundObjectRef", Type::Message(BOUND)),
            (4, "expirationSeconds", Type::Int),
        ]),
    ),
];
const TOKEN_REVIEW: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (
        2,
        "spec",
        Type::Message(&[(1, "token", Type::Text), (2, "audiences", Type::Texts)]),
    ),
];
const RULE: &[Field] = &[
    (1, "verbs", Type::Texts),
    (2, "apiGroups", Type::Texts),
    (3, "resources", Type::Texts),
    (4, "resourceNames", Type::Texts),
    (5, "nonResourceURLs", Type::Texts),
];
const REQUIREMENT: &[Field] = &[
    (1, "key", Type::Text),
    (2, "operator", Type::Text),
    (3, "values", Type::Texts),
];
const SELECTOR: &[Field] = &[
    (1, "matchLabels", Type::TextMap),
    (2, "matchExpressions", Type::Messages(REQUIREMENT)),
];
/// Roles have no third field.
const ROLE: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "rules", Type::Messages(RULE)),
    (
        3,
        "aggregationRule",
        Type::Message(&[(1, "clusterRoleSelectors", Type::Messages(SELECTOR))]),
    ),
];
const SUBJECT: &[Field] = &[
    (1, "kind", Type::Text),
    (2, "apiGroup", Type::Text),
    (3, "name", Type::Text),
    (4, "namespace", Type::Text),
];
const ROLE_REF: &[Field] = &[
    (1, "apiGroup", Type::Text),
    (2, "kind", Type::Text),
    (3, "name", Type::Text),
];
const BINDING: &[Field] = &[
    (1, "metadata", Type::Message(METADATA)),
    (2, "subjects", Type::Messages(SUBJECT)),
    (3, "roleRef", Type::Message(ROLE_REF)),
];
const DELETE_OPTIONS: &[Field] = &[
    (1, "gracePeriodSeconds", Type::Int),
    (
        2,
        "preconditions",
        Type::Message(&[(1, "uid", Type::Text), (2, "resourceVersion", Type::Text)]),
    ),
    (3, "orphanDependents", Type::Flag),
    (4, "propagationPolicy", Type::Text),
    (5, "dryRun", Type::Texts),
];

/// The kinds that are understood.
pub(super) const KINDS: &[(&str, &str, &[Field])] = &[
    ("v1", "Namespace", NAMESPACE),
    ("v1", "Secret", SECRET),
    ("v1", "ConfigMap", CONFIG_MAP),
    ("v1", "Event", EVENT),
    ("events.k8s.io/v1", "Event", NEW_EVENT),
    ("coordination.k8s.io/v1", "Lease", LEASE),
    (
        "authorization.k8s.io/v1",
        "SelfSubjectAccessReview",
        ACCESS_REVIEW,
    ),
    (
        "authorization.k8s.io/v1",
        "SubjectAccessReview",
        ACCESS_REVIEW_OF_OTHERS,
    ),
    (
        "authorization.k8s.io/v1",
        "LocalSubjectAccessReview",
        ACCESS_REVIEW_OF_OTHERS,
    ),
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview", RULES_REVIEW),
    ("authentication.k8s.io/v1", "SelfSubjectReview", SELF_REVIEW),
    ("authentication.k8s.io/v1", "TokenRequest", TOKEN_REQUEST),
    ("authentication.k8s.io/v1", "TokenReview", TOKEN_REVIEW),
    ("v1", "ServiceAccount", ACCOUNT),
    ("rbac.authorization.k8s.io/v1", "Role", ROLE),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", ROLE),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", BINDING),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", BINDING),
    ("v1", "DeleteOptions", DELETE_OPTIONS),
    ("meta.k8s.io/v1", "DeleteOptions", DELETE_OPTIONS),
];
