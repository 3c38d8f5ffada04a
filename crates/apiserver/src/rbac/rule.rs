//! One rule of a role: what it allows, and whether it covers another (`rbac.authorization.k8s.io/v1`, `PolicyRule`).

use serde_json::{Value, json};

/// What someone wants to do with a resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) name: Option<&'a str>,
}

/// A rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) paths: Vec<String>,
}

fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|known| known == "*" || known == word)
}

impl Rule {
    /// The rule that an object's list holds.
    pub(crate) fn read(rule: &Value) -> Self {
        let texts = |field| {
            let list = rule.get(field).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            paths: texts("nonResourceURLs"),
        }
    }

    /// All rules of a role.
    pub(crate) fn read_all(role: &Value) -> Vec<Self> {
        let rules = role.get("rules").and_then(Value::as_array).into_iter().flatten();
        rules.map(Self::read).collect()
    }

    /// The rule as reviews and roles show it.
    pub(crate) fn show(&self) -> Value {
        let lists = [
            ("verbs", &self.verbs),
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.paths),
        ];
        let filled = lists.into_iter().filter(|(_, list)| !list.is_empty());
        filled
            .map(|(field, list)| (field.to_owned(), json!(list)))
            .collect()
    }

    /// Whether it allows this.
    pub(crate) fn allows(&self, ask: &Ask<'_>) -> bool {
        let named = self.names.is_empty()
            || ask
                .name
                .is_some_and(|name| self.names.iter().any(|own| own == name));
        named && has(&self.verbs, ask.verb) && has(&self.groups, ask.group) && self.has_resource(ask)
    }

    fn has_resource(&self, ask: &Ask<'_>) -> bool {
        self.resources
            .iter()
            .any(|resource| match resource.split_once('/') {
                _ if resource == "*" => true,
                None => ask.subresource.is_empty() && resource == ask.resource,
                Some((of, part)) => {
                    !ask.subresource.is_empty()
                        && (of == "*" || of == ask.resource)
                        && part == ask.subresource
                }
            })
    }

    /// Whether it allows a request to what is no resource.
    pub(crate) fn allows_path(&self, verb: &str, path: &str) -> bool {
        has(&self.verbs, verb)
            && self.paths.iter().any(|known| match known.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => known == path,
            })
    }

    /// The smallest rules that it is made of: one verb, one group and one resource, or one verb and one path.
    pub(crate) fn parts(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        let names: Vec<Vec<String>> = if self.names.is_empty() {
            vec![Vec::new()]
        } else {
            self.names.iter().map(|name| vec![name.clone()]).collect()
        };
        for verb in &self.verbs {
            let verbs = vec![verb.clone()];
            for path in &self.paths {
                parts.push(Self {
                    verbs: verbs.clone(),
                    paths: vec![path.clone()],
                    ..Self::default()
                });
            }
            for group in &self.groups {
                for resource in &self.resources {
                    parts.extend(names.iter().map(|names| Self {
                        verbs: verbs.clone(),
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        names: names.clone(),
                        paths: Vec::new(),
                    }));
                }
            }
        }
        parts
    }

    /// Whether everything that a smallest rule allows is allowed by this one.
    pub(crate) fn covers(&self, part: &Self) -> bool {
        let within = |own: &[String], wanted: &[String]| wanted.iter().all(|word| has(own, word));
        if !within(&self.verbs, &part.verbs) {
            return false;
        }
        if let Some(path) = part.paths.first() {
            return self.paths.iter().any(|known| match known.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => known == path,
            });
        }
        let named = self.names.is_empty()
            || (!part.names.is_empty() && part.names.iter().all(|name| self.names.contains(name)));
        let resource = part.resources.first().is_some_and(|wanted| {
            let any = wanted.split_once('/').map(|(_, part)| format!("*/{part}"));
            self.resources
                .iter()
                .any(|own| own == "*" || own == wanted || Some(own) == any.as_ref())
        });
        named && within(&self.groups, &part.groups) && resource
    }

    /// The rule as a refusal names it.
    pub(crate) fn words(&self) -> String {
        let mut words = Vec::new();
        for (name, list) in [
            ("APIGroups", &self.groups),
            ("NonResourceURLs", &self.paths),
            ("Resources", &self.resources),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ] {
            if !list.is_empty() {
                words.push(format!("{name}:{}", json!(list)));
            }
        }
        format!("{{{}}}", words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Rule {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Rule {
            verbs: texts(verbs),
            groups: texts(groups),
            resources: texts(resources),
            names: texts(names),
            paths: Vec::new(),
        }
    }

    #[test]
    fn rules_allow_what_they_name() {
        let ask = |verb, resource, subresource, name| Ask {
            verb,
            group: "",
            resource,
            subresource,
            name,
        };
        for (rule, ask, allowed) in [
            (
                rule(&["get"], &[""], &["pods"], &[]),
                ask("get", "pods", "", Some("a")),
                true,
            ),
            (
                rule(&["get"], &[""], &["pods"], &[]),
                ask("list", "pods", "", None),
                false,
            ),
            (
                rule(&["get"], &["apps"], &["pods"], &[]),
                ask("get", "pods", "", None),
                false,
            ),
            (rule(&["*"], &["*"], &["*"], &[]), ask("x", "y", "z", None), true),
            (
                rule(&["get"], &[""], &["pods"], &[]),
                ask("get", "pods", "log", None),
                false,
            ),
            (
                rule(&["get"], &[""], &["pods/log"], &[]),
                ask("get", "pods", "log", None),
                true,
            ),
            (
                rule(&["get"], &[""], &["*/scale"], &[]),
                ask("get", "pods", "scale", None),
                true,
            ),
            (
                rule(&["get"], &[""], &["*/scale"], &[]),
                ask("get", "pods", "", None),
                false,
            ),
            (
                rule(&["get"], &[""], &["pods"], &["a"]),
                ask("get", "pods", "", Some("a")),
                true,
            ),
            (
                rule(&["get"], &[""], &["pods"], &["a"]),
                ask("get", "pods", "", Some("b")),
                false,
            ),
            (
                rule(&["list"], &[""], &["pods"], &["a"]),
                ask("list", "pods", "", None),
                false,
            ),
        ] {
            assert_eq!(rule.allows(&ask), allowed, "{rule:?} {ask:?}");
        }
    }

    #[test]
    fn a_rule_covers_another_that_allows_no_more() {
        let own = rule(&["get", "list"], &[""], &["pods", "*/scale"], &[]);
        let covered = |wanted: Rule| wanted.parts().iter().all(|part| own.covers(part));
        assert!(covered(rule(&["get"], &[""], &["pods"], &[])));
        assert!(covered(rule(&["get"], &[""], &["pods"], &["a"])));
        assert!(covered(rule(&["list"], &[""], &["x/scale"], &[])));
        assert!(!covered(rule(&["*"], &[""], &["pods"], &[])));
        assert!(!covered(rule(&["get"], &["*"], &["pods"], &[])));
        assert!(!covered(rule(&["get"], &[""], &["pods", "secrets"], &[])));
        let named = rule(&["get"], &[""], &["pods"], &["a"]);
        assert!(
            !rule(&["get"], &[""], &["pods"], &[])
                .parts()
                .iter()
                .all(|part| named.covers(part))
        );
    }
}
