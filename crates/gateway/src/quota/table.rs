//! The quotas of a snapshot, by whom they limit.

use std::{collections::HashMap, sync::Arc};

use stead_metering::Limit;

use super::{SubjectKind, meters::QuotaMeter, plan::EACH};

/// Who asks, for whom limits may hold. An empty name is nobody.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Who<'a> {
    pub(crate) project: &'a str,
    pub(crate) key: &'a str,
    pub(crate) user: &'a str,
    pub(crate) team: &'a str,
    pub(crate) route: &'a str,
}

impl<'a> Who<'a> {
    fn subjects(&self) -> [(SubjectKind, &'a str); 5] {
        [
            (SubjectKind::Key, self.key),
            (SubjectKind::User, self.user),
            (SubjectKind::Team, self.team),
            (SubjectKind::Project, self.project),
            (SubjectKind::Route, self.route),
        ]
    }
}

/// Quotas by project and subject.
#[derive(Default)]
pub(crate) struct QuotaTable(HashMap<Box<str>, HashMap<SubjectKind, Sort>>);

/// The quotas on one sort of subject.
#[derive(Default)]
struct Sort {
    named: HashMap<Box<str>, Vec<Arc<QuotaMeter>>>,
    /// Those on each by itself.
    each: Vec<Arc<QuotaMeter>>,
}

impl QuotaTable {
    pub(crate) fn of(meters: impl IntoIterator<Item = Arc<QuotaMeter>>) -> Self {
        let mut table = Self::default();
        for meter in meters {
            let project = table.0.entry(meter.project.clone()).or_default();
            let sort = project.entry(meter.kind).or_default();
            if &*meter.name == EACH {
                sort.each.push(meter);
            } else {
                sort.named.entry(meter.name.clone()).or_default().push(meter);
            }
        }
        table
    }

    /// The quotas that hold for who asks, each with the name that it counts by.
    pub(crate) fn of_whom<'a>(&'a self, who: &Who<'a>) -> Vec<(&'a Arc<QuotaMeter>, &'a str)> {
        let mut found = Vec::new();
        let Some(project) = self.0.get(who.project) else {
            return found;
        };
        for (kind, name) in who.subjects() {
            let Some(sort) = project.get(&kind).filter(|_| !name.is_empty()) else {
                continue;
            };
            let named = sort.named.get(name).into_iter().flatten();
            found.extend(named.chain(&sort.each).map(|meter| (meter, name)));
        }
        found
    }

    /// Whether nothing limits a project.
    pub(crate) fn is_free(&self, project: &str) -> bool {
        !self.0.contains_key(project)
    }
}

/// The limits of some quotas.
pub(super) fn limits(quotas: &[(&Arc<QuotaMeter>, &str)]) -> Vec<Arc<Limit>> {
    let mut limits = Vec::new();
    for (quota, name) in quotas {
        limits.extend(quota.limits(name).iter().map(|limit| Arc::clone(&limit.limit)));
    }
    limits
}
