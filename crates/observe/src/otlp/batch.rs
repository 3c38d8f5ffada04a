//! The spans of a request, one by one, with what their resource and scope say. Pure.
//!
//! *Invariant:* a span that is not as the protocol wants it is counted as rejected, and no other one with it.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    resource::v1::Resource,
    trace::v1::{ScopeSpans, Span},
};
use serde_json::{Map, Value};
use stead_kernel::Timestamp;

use super::{
    attributes::{Attributes, object},
    ids::{SpanId, TraceId},
};

/// What spans have in common.
#[derive(Debug, Default)]
pub(super) struct Origin {
    /// What the resource says.
    pub(super) resource: Map<String, Value>,
    /// The project that the resource names.
    pub(super) project: Option<String>,
    /// The environment that it names.
    pub(super) environment: Option<String>,
    /// The service's name.
    pub(super) service: Option<String>,
}

/// One span.
#[derive(Debug)]
pub(super) struct Item {
    /// Its trace.
    pub(super) trace: TraceId,
    /// Its id.
    pub(super) id: SpanId,
    /// The span that it is in.
    pub(super) parent: Option<SpanId>,
    /// When it began.
    pub(super) start: Timestamp,
    /// When it ended, if it has.
    pub(super) end: Option<Timestamp>,
    /// What wrote it.
    pub(super) scope: Arc<str>,
    /// Where it comes from.
    pub(super) origin: Arc<Origin>,
    /// All that is said of it.
    pub(super) span: Span,
}

/// Spans, lines or points that are not taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    /// How many.
    pub(super) count: u64,
    /// Why the first of them is not.
    pub(super) reason: String,
}

impl Rejected {
    /// One more.
    pub(super) fn add(&mut self, reason: impl FnOnce() -> String) {
        if self.count == 0 {
            self.reason = reason();
        }
        self.count += 1;
    }
}

/// Where the project is named in a resource.
const PROJECTS: [&str; 3] = ["opik.project.name", "opik.project", "openinference.project.name"];
/// Where the environment is (<https://opentelemetry.io/docs/specs/semconv/resource/deployment-environment/>).
const ENVIRONMENTS: [&str; 2] = ["deployment.environment.name", "deployment.environment"];

/// The spans of a request that can be taken.
pub(super) fn items(request: ExportTraceServiceRequest) -> (Vec<Item>, Rejected) {
    let (mut items, mut rejected) = (Vec::new(), Rejected::default());
    for group in request.resource_spans {
        let origin = Arc::new(origin(group.resource.unwrap_or_default()));
        for ScopeSpans { scope, spans, .. } in group.scope_spans {
            let scope: Arc<str> = scope.unwrap_or_default().name.into();
            for span in spans {
                match item(span, &scope, &origin) {
                    Ok(item) => items.push(item),
                    Err(reason) => rejected.add(|| reason),
                }
            }
        }
    }
    (items, rejected)
}

fn origin(resource: Resource) -> Origin {
    let told = Attributes::new(resource.attributes.clone());
    let first = |names: &[&str]| names.iter().find_map(|name| told.text(name)).map(str::to_owned);
    Origin {
        project: first(&PROJECTS),
        environment: first(&ENVIRONMENTS),
        service: first(&["service.name"]),
        resource: object(resource.attributes).collect(),
    }
}

/// Checks a span (<https://github.com/open-telemetry/opentelemetry-proto>, `trace.proto`: ids have 16 and 8 bytes, not
/// all of them zero).
fn item(mut span: Span, scope: &Arc<str>, origin: &Arc<Origin>) -> Result<Item, String> {
    let name = || format!("span {:?}", span.name.chars().take(80).collect::<String>());
    let trace: TraceId = id(&span.trace_id)
        .ok_or_else(|| format!("{} has no trace id of 16 bytes that are not all zero", name()))?;
    let own: SpanId = id(&span.span_id)
        .ok_or_else(|| format!("{} has no span id of 8 bytes that are not all zero", name()))?;
    // Some name the trace as the parent of its first span; zeros are no parent either.
    let is_none = span.parent_span_id == span.trace_id || span.parent_span_id.iter().all(|byte| *byte == 0);
    let parent = if is_none {
        None
    } else {
        let parent: SpanId = id(&span.parent_span_id)
            .ok_or_else(|| format!("{} has a parent id of other than 8 bytes", name()))?;
        Some(parent).filter(|parent| *parent != own)
    };
    let time = |nanos: u64| {
        let time = Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
        (nanos > 0).then_some(time)
    };
    let start =
        time(span.start_time_unix_nano).ok_or_else(|| format!("{} tells no time of its start", name()))?;
    span.trace_id.clear();
    Ok(Item {
        trace,
        id: own,
        parent,
        start,
        end: time(span.end_time_unix_nano),
        scope: Arc::clone(scope),
        origin: Arc::clone(origin),
        span,
    })
}

fn id<const LENGTH: usize>(bytes: &[u8]) -> Option<[u8; LENGTH]> {
    let id: [u8; LENGTH] = bytes.try_into().ok()?;
    id.iter().any(|byte| *byte != 0).then_some(id)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

    use super::*;

    #[test]
    fn a_span_that_is_not_as_it_must_be_is_rejected_alone() {
        let good = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            start_time_unix_nano: 1,
            end_time_unix_nano: 2,
            ..Span::default()
        };
        let with = |change: fn(&mut Span)| {
            let mut span = good.clone();
            change(&mut span);
            span
        };
        for (span, taken, parent) in [
            (good.clone(), true, None),
            (with(|span| span.parent_span_id = vec![3; 8]), true, Some([3; 8])),
            (with(|span| span.parent_span_id = vec![0; 8]), true, None),
            (with(|span| span.parent_span_id = vec![1; 16]), true, None),
            (with(|span| span.parent_span_id = vec![2; 8]), true, None),
            (with(|span| span.parent_span_id = vec![3; 4]), false, None),
            (with(|span| span.trace_id = vec![0; 16]), false, None),
            (with(|span| span.trace_id = vec![1; 15]), false, None),
            (with(|span| span.span_id.clear()), false, None),
            (with(|span| span.start_time_unix_nano = 0), false, None),
            (with(|span| span.end_time_unix_nano = 0), true, None),
        ] {
            let request = ExportTraceServiceRequest {
                resource_spans: vec![ResourceSpans {
                    scope_spans: vec![ScopeSpans {
                        spans: vec![span, good.clone()],
                        ..ScopeSpans::default()
                    }],
                    ..ResourceSpans::default()
                }],
            };
            let (items, rejected) = items(request);
            assert_eq!(rejected.count, u64::from(!taken));
            assert_eq!(rejected.reason.is_empty(), taken);
            assert_eq!(items.len(), if taken { 2 } else { 1 });
            assert_eq!(items[0].parent.filter(|_| taken), parent);
        }
    }
}
