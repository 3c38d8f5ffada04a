//! What the stores tell those who follow. Pure.

use std::collections::HashSet;

use stead_kernel::ports::{
    Told,
    events::Event,
    traces::{Kind, Subject, Write},
};

/// The requests among events.
pub(crate) fn of_events(events: &[Event]) -> Vec<Told> {
    let requests = events.iter().filter_map(|event| match event {
        Event::Request(row) => Some(Told::Request {
            project: row.project.clone(),
            id: row.id.clone(),
        }),
        Event::Audit(_) => None,
    });
    requests.collect()
}

/// The traces that writes are about, each once.
pub(crate) fn of_writes(writes: &[Write]) -> Vec<Told> {
    let mut seen = HashSet::new();
    let mut told = Vec::new();
    for write in writes {
        let (workspace, id) = match write {
            Write::Put(put) => match put.kind {
                Kind::Trace => (&put.workspace, Some(put.id)),
                Kind::Span => (&put.workspace, put.fields.trace_id),
            },
            Write::Score {
                workspace, subject, ..
            }
            | Write::Unscore {
                workspace, subject, ..
            } => (workspace, trace_of(subject)),
            Write::Comment { workspace, comment } => (workspace, trace_of(&comment.subject)),
            Write::Delete { .. }
            | Write::EditComment { .. }
            | Write::DeleteComments { .. }
            | Write::Thread { .. }
            | Write::DeleteProject { .. } => continue,
        };
        let Some(id) = id.filter(|id| seen.insert(*id)) else {
            continue;
        };
        told.push(Told::Trace {
            workspace: workspace.clone(),
            id,
        });
    }
    told
}

fn trace_of(subject: &Subject) -> Option<uuid::Uuid> {
    match subject {
        Subject::Entry(Kind::Trace, id) => Some(*id),
        Subject::Entry(Kind::Span, _) | Subject::Thread(..) => None,
    }
}
