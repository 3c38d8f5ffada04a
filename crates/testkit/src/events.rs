//! Events in memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use stead_kernel::{
    Result, Timestamp,
    ports::{
        Events, Page,
        events::{
            AuditQuery, AuditRow, Event, Outcome, RequestQuery, RequestRow, UsageGroup, UsageQuery, UsageRow,
        },
    },
};

/// Events in memory. Pages are cut at the limit; the page marker is the number of rows before.
#[derive(Default)]
pub struct MemoryEvents(Mutex<Vec<Event>>);

impl MemoryEvents {
    /// Every request, in the order of arrival.
    pub fn all_requests(&self) -> Vec<RequestRow> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter()
            .filter_map(|event| match event {
                Event::Request(row) => Some((**row).clone()),
                Event::Audit(_) => None,
            })
            .collect()
    }

    /// Every audit record, in the order of arrival.
    pub fn all_audit(&self) -> Vec<AuditRow> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter()
            .filter_map(|event| match event {
                Event::Audit(row) => Some((**row).clone()),
                Event::Request(_) => None,
            })
            .collect()
    }
}

#[async_trait]
impl Events for MemoryEvents {
    async fn append(&self, events: Vec<Event>) -> Result<()> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let position = list.iter().position(|old| id(old) == id(&event));
            match position.and_then(|index| list.get_mut(index)) {
                Some(old) => *old = event,
                None => list.push(event),
            }
        }
        Ok(())
    }

    async fn requests(&self, query: RequestQuery) -> Result<Page<RequestRow>> {
        let mut rows: Vec<RequestRow> = self.all_requests();
        rows.retain(|row| request_matches(row, &query));
        rows.sort_by(|a, b| (b.started, &b.id).cmp(&(a.started, &a.id)));
        for row in &mut rows {
            (row.input, row.output) = (None, None);
        }
        Ok(page(rows, query.after.as_deref(), query.limit))
    }

    async fn retire(&self, project: &str, before: Timestamp) -> Result<u64> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = list.len();
        list.retain(|event| match event {
            Event::Request(row) => row.project != project || row.started >= before,
            Event::Audit(_) => true,
        });
        Ok((known - list.len()) as u64)
    }

    async fn request(&self, id: &str) -> Result<Option<RequestRow>> {
        Ok(self
            .all_requests()
            .into_iter()
            .find(|row| row.id == id || row.trace_id == id))
    }

    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageRow>> {
        let mut sums: BTreeMap<Vec<String>, UsageRow> = BTreeMap::new();
        for row in self.all_requests() {
            if !within(row.started, query.since, query.until)
                || !in_projects(&row.project, query.projects.as_ref())
            {
                continue;
            }
            let group: Vec<String> = query.by.iter().map(|by| group_value(&row, *by)).collect();
            add(
                sums.entry(group.clone()).or_insert_with(|| UsageRow {
                    group,
                    ..UsageRow::default()
                }),
                &row,
            );
        }
        Ok(sums.into_values().collect())
    }

    async fn audit(&self, query: AuditQuery) -> Result<Page<AuditRow>> {
        let mut rows = self.all_audit();
        rows.retain(|row| {
            within(row.time, query.since, query.until)
                && in_projects(&row.project, query.projects.as_ref())
                && is(query.user.as_ref(), &row.user)
                && is(query.resource.as_ref(), &row.resource)
        });
        rows.sort_by(|a, b| (b.time, &b.id).cmp(&(a.time, &a.id)));
        Ok(page(rows, query.after.as_deref(), query.limit))
    }
}

fn id(event: &Event) -> (bool, &str) {
    match event {
        Event::Request(row) => (true, &row.id),
        Event::Audit(row) => (false, &row.id),
    }
}

fn is(wanted: Option<&String>, value: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == value)
}

fn in_projects(project: &str, projects: Option<&Vec<String>>) -> bool {
    projects.is_none_or(|list| list.iter().any(|own| own == project))
}

fn within(time: Timestamp, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    since.is_none_or(|since| time >= since) && until.is_none_or(|until| time < until)
}

fn request_matches(row: &RequestRow, query: &RequestQuery) -> bool {
    within(row.started, query.since, query.until)
        && in_projects(&row.project, query.projects.as_ref())
        && is(query.model.as_ref(), &row.model)
        && is(query.provider.as_ref(), &row.provider)
        && is(query.key.as_ref(), &row.key)
        && is(query.user.as_ref(), &row.user)
        && is(query.trace.as_ref(), &row.trace_id)
        && (!query.traced || row.trace_id != row.id.replace('-', ""))
        && query.outcome.is_none_or(|outcome| outcome == row.outcome)
}

fn page<T>(rows: Vec<T>, after: Option<&str>, limit: usize) -> Page<T> {
    let skip = after.and_then(|after| after.parse().ok()).unwrap_or(0);
    let limit = if limit == 0 { 50 } else { limit };
    let next = (rows.len() > skip + limit).then(|| (skip + limit).to_string());
    let items = rows.into_iter().skip(skip).take(limit).collect();
    Page { items, next }
}

fn group_value(row: &RequestRow, by: UsageGroup) -> String {
    match by {
        UsageGroup::Project => row.project.clone(),
        UsageGroup::User => row.user.clone(),
        UsageGroup::Key => row.key.clone(),
        UsageGroup::Model => row.model.clone(),
        UsageGroup::Provider => row.provider.clone(),
        UsageGroup::Route => row.route.clone(),
        UsageGroup::Team => row.team.clone(),
        UsageGroup::Replica => row.replica.clone(),
        UsageGroup::Day => row.started.strftime("%Y-%m-%d").to_string(),
        UsageGroup::Hour => row.started.strftime("%Y-%m-%dT%H").to_string(),
    }
}

fn add(sum: &mut UsageRow, row: &RequestRow) {
    sum.requests += 1;
    sum.errors += u64::from(row.outcome == Outcome::Error);
    sum.refused += u64::from(row.is_refused());
    sum.usage = sum.usage.plus(&row.usage);
    match row.cost {
        Some(cost) => sum.cost.0 += cost.0,
        None => sum.unpriced += 1,
    }
    sum.duration_us += row.duration_us;
    if let Some(first) = row.first_token_us {
        sum.first_token_us += first;
        sum.first_tokens += 1;
    }
}
