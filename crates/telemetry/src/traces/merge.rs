//! How what is told of one entry becomes one: field by field, the value of the highest rank. Pure.
//!
//! *Invariant:* the same writes give the same entry in any order.

use stead_kernel::{
    Timestamp,
    ports::traces::{Fields, Json, Origin},
};
use uuid::Uuid;

/// How many fields there are.
pub(super) const FIELDS: usize = 20;
/// What a change's rank has above every report's: no time in microseconds is as large.
const CHANGE: i64 = 1 << 62;

/// The rank of each field's value, in the order of [`absorb`]; that of an absent field means nothing.
pub(super) type Ranks = [i64; FIELDS];

/// The rank of what was told so at that time.
pub(super) fn rank(origin: Origin, told: Timestamp) -> i64 {
    let micros = told.as_microsecond();
    match origin {
        Origin::Report => micros,
        Origin::Change => micros.saturating_add(CHANGE),
    }
}

/// What is told twice with the same rank: one of the two wins, whichever came first.
trait Tie {
    fn beats(&self, other: &Self) -> bool;
}

macro_rules! ordered {
    ($($sort:ty),*) => {
        $(impl Tie for $sort {
            fn beats(&self, other: &Self) -> bool {
                self > other
            }
        })*
    };
}
ordered!(Uuid, String, Timestamp, Vec<String>, std::collections::BTreeMap<String, i64>);

impl Tie for Json {
    fn beats(&self, other: &Self) -> bool {
        self.get() > other.get()
    }
}

impl Tie for f64 {
    fn beats(&self, other: &Self) -> bool {
        self.total_cmp(other).is_gt()
    }
}

fn one<T: Tie>(own: &mut Option<T>, own_rank: &mut i64, other: Option<T>, rank: i64) {
    let Some(other) = other else { return };
    let wins = match own {
        None => true,
        Some(own) => rank > *own_rank || (rank == *own_rank && other.beats(own)),
    };
    if wins {
        *own = Some(other);
        *own_rank = rank;
    }
}

/// Takes in what else is known of the entry.
#[expect(clippy::cognitive_complexity, reason = "a line for each field")]
pub(super) fn absorb(own: &mut Fields, ranks: &mut Ranks, other: Fields, others: &Ranks) {
    let mut ranks = ranks.iter_mut().zip(others);
    macro_rules! absorb {
        ($($field:ident),*) => {
            $(if let Some((rank, other_rank)) = ranks.next() {
                one(&mut own.$field, rank, other.$field, *other_rank);
            })*
        };
    }
    // The first four are those whose values lie apart.
    absorb!(
        input,
        output,
        metadata,
        error,
        trace_id,
        parent_span_id,
        name,
        sort,
        start,
        end,
        tags,
        model,
        provider,
        usage,
        cost,
        cost_version,
        first_token_ms,
        thread,
        source,
        environment
    );
}

/// What an entry is told to be part of, twice and differently.
pub(super) fn conflict(own: &Fields, other: &Fields) -> Option<&'static str> {
    let differ =
        |own: Option<Uuid>, other: Option<Uuid>| own.zip(other).is_some_and(|(own, other)| own != other);
    if differ(own.trace_id, other.trace_id) {
        return Some("trace");
    }
    differ(own.parent_span_id, other.parent_span_id).then_some("parent span")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn json(number: u8) -> Json {
        RawValue::from_string(number.to_string()).unwrap()
    }

    /// A write that tells some of the fields.
    fn write() -> impl Strategy<Value = (Fields, i64)> {
        (
            prop::option::of(0_u8..3),
            prop::option::of(0_u8..3),
            prop::option::of(0_u8..3),
            prop::option::of("[ab]"),
            prop::option::of(0_u8..3),
            prop::bool::ANY,
            0_i64..4,
        )
            .prop_map(|(input, output, cost, name, tags, change, at)| {
                let fields = Fields {
                    input: input.map(json),
                    output: output.map(json),
                    cost: cost.map(f64::from),
                    name,
                    tags: tags.map(|number| vec![number.to_string()]),
                    ..Fields::default()
                };
                let origin = if change { Origin::Change } else { Origin::Report };
                (fields, rank(origin, Timestamp::from_second(at).unwrap()))
            })
    }

    fn merged(writes: &[(Fields, i64)]) -> (Fields, Ranks) {
        let (mut fields, mut ranks) = (Fields::default(), [0; FIELDS]);
        for (other, rank) in writes {
            absorb(&mut fields, &mut ranks, other.clone(), &[*rank; FIELDS]);
        }
        (fields, ranks)
    }

    proptest! {
        #[test]
        fn the_same_writes_in_any_order_and_grouping_give_the_same_entry(
            (writes, shuffled) in prop::collection::vec(write(), 0..7)
                .prop_flat_map(|writes| (Just(writes.clone()), Just(writes).prop_shuffle())),
            cut in 0_usize..7,
        ) {
            let (expected, _) = merged(&writes);
            let (in_order, _) = merged(&shuffled);
            prop_assert_eq!(format!("{expected:?}"), format!("{in_order:?}"));
            // As when some were merged before they reached the store.
            let (first, rest) = shuffled.split_at(cut.min(shuffled.len()));
            let ((mut fields, mut ranks), (other, others)) = (merged(first), merged(rest));
            absorb(&mut fields, &mut ranks, other, &others);
            prop_assert_eq!(format!("{expected:?}"), format!("{fields:?}"));
        }
    }

    #[test]
    fn a_value_is_not_undone_by_silence_and_a_change_outranks_every_report() {
        let told = |name: Option<&str>| Fields {
            name: name.map(str::to_owned),
            ..Fields::default()
        };
        let second = |second| Timestamp::from_second(second).unwrap();
        let writes = [
            (told(Some("start")), rank(Origin::Report, second(1))),
            (told(Some("changed")), rank(Origin::Change, second(2))),
            (told(Some("end")), rank(Origin::Report, second(3))),
            (told(None), rank(Origin::Change, second(4))),
        ];
        assert_eq!(merged(&writes).0.name.as_deref(), Some("changed"));
    }
}
