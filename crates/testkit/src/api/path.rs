//! Paths of the resource API.

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ResourcePath {
    /// `apis/stead.dev/v1alpha1` or `api/v1`.
    pub(super) group: String,
    /// Plural name.
    pub(super) plural: String,
    /// The project; `None` for cluster-scoped objects and lists over all projects.
    pub(super) project: Option<String>,
    /// The object; `None` for collections.
    pub(super) name: Option<String>,
    /// Whether the status subresource is meant.
    pub(super) status: bool,
}

impl ResourcePath {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => (format!("api/{version}"), rest),
            ["apis", group, version, rest @ ..] => (format!("apis/{group}/{version}"), rest),
            _ => return None,
        };
        let (project, rest) = match rest {
            ["namespaces", project, rest @ ..] if !rest.is_empty() => (Some((*project).to_owned()), rest),
            rest => (None, rest),
        };
        let (plural, name, status) = match rest {
            [plural] => (plural, None, false),
            [plural, name] => (plural, Some(name), false),
            [plural, name, "status"] => (plural, Some(name), true),
            _ => return None,
        };
        Some(Self {
            group,
            plural: (*plural).to_owned(),
            project,
            name: name.map(|name| (*name).to_owned()),
            status,
        })
    }

    /// Whether the object at `other` is in the collection (or is the object) that this path names.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.group == other.group
            && self.plural == other.plural
            && (self.project.is_none() || self.project == other.project)
            && (self.name.is_none() || self.name == other.name)
    }
}
