//! Annotation queues: traces or threads that people are to look at.

mod locks;
mod routes;
mod shape;
mod store;

use stead_kernel::{
    Collection,
    ports::traces::{Filter, Operator},
};

pub(super) use routes::routes;

use self::store::Queues;
use super::{Caller, Opik, desk::uuid, wire::OpikError};

const QUEUES: &str = "opik.annotation_queues";
const ITEMS: &str = "opik.annotation_queue_items";

/// Their collections.
pub(super) const COLLECTIONS: [Collection; 2] = [
    Collection {
        name: QUEUES,
        indexes: &[],
    },
    Collection {
        name: ITEMS,
        indexes: &["place"],
    },
];

/// By which field traces are found by the queues that they are in.
pub(super) const FIELD: &str = "annotation_queue_ids";

/// Puts the traces of a queue in the place of the queue, in filters: only queues know what is in them.
pub(super) async fn resolve(opik: &Opik, caller: &Caller, filters: &mut [Filter]) -> Result<(), OpikError> {
    for filter in filters.iter_mut().filter(|filter| filter.field == FIELD) {
        let operator = match filter.operator {
            Operator::Contains | Operator::Equal => Operator::In,
            Operator::NotContains | Operator::NotEqual => Operator::NotIn,
            Operator::StartsWith
            | Operator::EndsWith
            | Operator::Greater
            | Operator::GreaterOrEqual
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::IsEmpty
            | Operator::IsNotEmpty
            | Operator::In
            | Operator::NotIn => {
                return Err(OpikError::invalid(format!(
                    "{FIELD} can be filtered with contains and not_contains"
                )));
            }
        };
        let queue = uuid(&filter.value, "annotation queue")?.to_string();
        let items = Queues::new(&opik.ports.records)
            .items(&caller.workspace, &queue)
            .await?;
        let items: Vec<String> = items.into_iter().map(|item| item.entity).collect();
        *filter = Filter::new("id", "", operator, items.join(","));
    }
    Ok(())
}
