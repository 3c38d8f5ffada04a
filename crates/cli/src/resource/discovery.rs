//! Which kinds the server has, and by which names people call them.

use futures::future::try_join_all;
use serde_json::Value;
use stead_kernel::{Error, GROUP, Result};

use super::nearest;
use crate::{
    json::at,
    server::{Api, segment},
};

/// One kind of resource in one version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) namespaced: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) verbs: Vec<String>,
    /// Whether this is the version that the server prefers for its group.
    pub(crate) preferred: bool,
}

impl Resource {
    /// `stead.dev/v1alpha1`, or `v1` in the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The name that leads an object's: `modelprovider.stead.dev`.
    pub(crate) fn label(&self) -> String {
        if self.group.is_empty() {
            self.singular.clone()
        } else {
            format!("{}.{}", self.singular, self.group)
        }
    }

    /// The path of the list in a project, or over all of them.
    pub(crate) fn collection(&self, project: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match project {
            Some(project) if self.namespaced => {
                format!("{root}/namespaces/{}/{}", segment(project), self.plural)
            }
            _ => format!("{root}/{}", self.plural),
        }
    }

    /// The path of one object.
    pub(crate) fn object(&self, project: &str, name: &str) -> String {
        format!("{}/{}", self.collection(Some(project)), segment(name))
    }

    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// Every name that a person may use, but for qualified ones.
    fn names(&self) -> impl Iterator<Item = &str> {
        let own = [self.plural.as_str(), self.singular.as_str(), self.kind.as_str()];
        own.into_iter().chain(self.short_names.iter().map(String::as_str))
    }

    /// Whether this name, in small letters and without a group, means this resource.
    fn is_called(&self, name: &str) -> bool {
        self.names().any(|known| known.eq_ignore_ascii_case(name))
            || self
                .short_names
                .iter()
                .any(|short| name.strip_suffix('s').is_some_and(|name| name == short))
    }

    /// Whether what follows the first dot of a qualified name means this resource's group or version and group.
    fn is_qualified_by(&self, rest: &str) -> bool {
        rest == self.group
            || rest
                .strip_prefix(&self.version)
                .is_some_and(|rest| rest.trim_start_matches('.') == self.group)
    }

    /// The order in which resources of one name are preferred.
    fn rank(&self) -> (u8, bool) {
        let group = match self.group.as_str() {
            "" => 0,
            GROUP => 1,
            _ => 2,
        };
        (group, !self.preferred)
    }
}

/// All kinds that the server has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Discovery(Vec<Resource>);

impl Discovery {
    /// Asks the server.
    pub(crate) async fn load(api: &Api) -> Result<Self> {
        let (core, groups) = futures::try_join!(api.get("/api/v1"), api.get("/apis"))?;
        let mut versions = Vec::new();
        for group in list(&groups, "groups") {
            let preferred = at(group, "/preferredVersion/groupVersion");
            for version in list(group, "versions").filter_map(|version| at(version, "/groupVersion").as_str())
            {
                versions.push((version, preferred == version));
            }
        }
        let lists = versions.iter().map(|(version, preferred)| async move {
            let answer = api.get(&format!("/apis/{version}")).await?;
            Ok::<_, Error>((*version, *preferred, answer))
        });
        let mut all = resources("v1", true, &core);
        for (version, preferred, answer) in try_join_all(lists).await? {
            all.extend(resources(version, preferred, &answer));
        }
        all.sort_by_key(Resource::rank);
        Ok(Self(all))
    }

    /// Every resource, preferred ones first.
    pub(crate) fn all(&self) -> &[Resource] {
        &self.0
    }

    /// The resource that a person means: a plural, singular, kind or short name, with or without its group.
    ///
    /// # Errors
    /// `NotFound` with the most similar name.
    pub(crate) fn resolve(&self, text: &str) -> Result<&Resource> {
        let name = text.to_lowercase();
        if let Some(found) = self.0.iter().find(|resource| resource.is_called(&name)) {
            return Ok(found);
        }
        if let Some((name, rest)) = name.split_once('.') {
            let meant = |resource: &&Resource| resource.is_called(name) && resource.is_qualified_by(rest);
            if let Some(found) = self.0.iter().find(meant) {
                return Ok(found);
            }
        }
        let error = Error::not_found(format!("there is no kind {text:?}"));
        Err(match nearest(&name, self.0.iter().flat_map(Resource::names)) {
            Some(similar) => error.hint(format!("did you mean {similar:?}? All kinds: stead explain")),
            None => error.hint("all kinds: stead explain"),
        })
    }

    /// The resources of a comma-separated list of names and categories.
    pub(crate) fn resolve_all(&self, text: &str) -> Result<Vec<Resource>> {
        let mut found: Vec<Resource> = Vec::new();
        for name in text.split(',').filter(|name| !name.is_empty()) {
            let in_category = |resource: &&Resource| {
                resource.preferred && resource.categories.iter().any(|own| own == name)
            };
            let mut some: Vec<Resource> = self.0.iter().filter(in_category).cloned().collect();
            if some.is_empty() {
                some.push(self.resolve(name)?.clone());
            }
            for resource in some {
                if !found.contains(&resource) {
                    found.push(resource);
                }
            }
        }
        Ok(found)
    }

    /// The resource of a manifest's `apiVersion` and `kind`.
    ///
    /// # Errors
    /// `NotFound` with what it may have meant.
    pub(crate) fn of_manifest(&self, api_version: &str, kind: &str) -> Result<&Resource> {
        let exact = |resource: &&Resource| resource.kind == kind && resource.api_version() == api_version;
        if let Some(found) = self.0.iter().find(exact) {
            return Ok(found);
        }
        let error = Error::not_found(format!("the server has no kind {kind} in {api_version}"));
        if let Some(other) = self.0.iter().find(|resource| resource.kind == kind) {
            return Err(error.hint(format!("did you mean apiVersion {}?", other.api_version())));
        }
        let kinds = self.0.iter().map(|resource| resource.kind.as_str());
        Err(match nearest(kind, kinds) {
            Some(similar) => error.hint(format!("did you mean kind {similar}?")),
            None => error.hint("all kinds: stead explain"),
        })
    }
}

fn resources(group_version: &str, preferred: bool, answer: &Value) -> Vec<Resource> {
    let (group, version) = group_version.rsplit_once('/').unwrap_or(("", group_version));
    let whole = list(answer, "resources").filter(|entry| !text(entry, "name").contains('/'));
    whole
        .map(|entry| {
            let kind = text(entry, "kind");
            let singular = Some(text(entry, "singularName")).filter(|name| !name.is_empty());
            Resource {
                group: group.into(),
                version: version.into(),
                plural: text(entry, "name"),
                singular: singular.unwrap_or_else(|| kind.to_lowercase()),
                kind,
                namespaced: at(entry, "/namespaced") == true,
                short_names: texts(entry, "shortNames"),
                categories: texts(entry, "categories"),
                verbs: texts(entry, "verbs"),
                preferred,
            }
        })
        .collect()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[name].as_array().into_iter().flatten()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value, name: &str) -> Vec<String> {
    list(value, name)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(group: &str, plural: &str, kind: &str, short: &[&str]) -> Resource {
        Resource {
            group: group.into(),
            version: if group.is_empty() { "v1" } else { "v1alpha1" }.into(),
            plural: plural.into(),
            singular: kind.to_lowercase(),
            kind: kind.into(),
            short_names: short.iter().map(|name| (*name).to_owned()).collect(),
            categories: vec!["all".into()],
            preferred: true,
            namespaced: true,
            ..Resource::default()
        }
    }

    fn discovery() -> Discovery {
        Discovery(vec![
            resource("", "events", "Event", &["ev"]),
            resource(GROUP, "modelproviders", "ModelProvider", &["provider"]),
            resource(GROUP, "models", "Model", &[]),
            resource("events.k8s.io", "events", "Event", &["ev"]),
        ])
    }

    #[test]
    fn a_kind_answers_to_all_its_names() {
        let discovery = discovery();
        let names = [
            ("modelproviders", "ModelProvider"),
            ("modelprovider", "ModelProvider"),
            ("ModelProvider", "ModelProvider"),
            ("provider", "ModelProvider"),
            ("providers", "ModelProvider"),
            ("MODELPROVIDERS.stead.dev", "ModelProvider"),
            ("provider.v1alpha1.stead.dev", "ModelProvider"),
            ("models", "Model"),
        ];
        for (name, kind) in names {
            assert_eq!(discovery.resolve(name).unwrap().kind, kind, "{name}");
        }
        assert_eq!(discovery.resolve("ev").unwrap().group, "");
        assert_eq!(
            discovery.resolve("events.events.k8s.io").unwrap().group,
            "events.k8s.io"
        );
        assert_eq!(
            discovery.resolve("events.v1alpha1.events.k8s.io").unwrap().group,
            "events.k8s.io"
        );
        assert_eq!(discovery.resolve("events.v1").unwrap().group, "");
    }

    #[test]
    fn an_unknown_kind_names_the_most_similar_one() {
        let error = discovery().resolve("modelprovidrs").unwrap_err();
        assert_eq!(error.reason(), stead_kernel::Reason::NotFound);
        assert_eq!(
            error.get_hint(),
            Some("did you mean \"modelproviders\"? All kinds: stead explain")
        );
        let error = discovery().of_manifest("stead.dev/v1", "Model").err().unwrap();
        assert_eq!(
            error.get_hint(),
            Some("did you mean apiVersion stead.dev/v1alpha1?")
        );
    }

    #[test]
    fn lists_and_categories_name_each_resource_once() {
        let kinds = |text: &str| -> Vec<String> {
            discovery()
                .resolve_all(text)
                .unwrap()
                .into_iter()
                .map(|resource| resource.kind)
                .collect()
        };
        assert_eq!(kinds("models,providers,Model"), ["Model", "ModelProvider"]);
        assert_eq!(kinds("all").len(), 4);
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        let models = resource(GROUP, "models", "Model", &[]);
        assert_eq!(
            models.object("a/b", "../x?y#z w"),
            "/apis/stead.dev/v1alpha1/namespaces/a%2Fb/models/..%2Fx%3Fy%23z%20w"
        );
        assert!(models.object("p", "..").ends_with("/%2E%2E"));
    }
}
