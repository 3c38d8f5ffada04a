//! Metrics apart for each value of a field (`BreakdownConfig`): a line for each of the ten values that come to most, and
//! one for all others. Pure.

use serde::Deserialize;
use stead_kernel::{
    Timestamp,
    ports::traces::{Counted, Grouped, Order, Sums},
};

use super::stats::Lines;
use crate::opik::OpikError;

/// How many values have a line of their own.
const OWN: usize = 10;
/// The name of the line of all others, and that of what has no value, as Opik's dashboards read them.
const OTHERS: &str = "__others__";
const UNKNOWN: &str = "Unknown";

/// By what a metric is broken down.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Breakdown {
    field: Option<String>,
    metadata_key: Option<String>,
    sub_metric: Option<String>,
}

/// A value of the field with the sums of what has it.
type Group = (String, Vec<(Timestamp, Sums)>);
/// A metric's values over time.
pub(super) type Line = (String, Vec<(Timestamp, f64)>);

impl Breakdown {
    /// The field that is asked for, if one is and this is a field of what is counted.
    pub(super) fn field(&self, of: Counted) -> Result<Option<Order>, OpikError> {
        let name = self.field.as_deref().unwrap_or("none").to_lowercase();
        let known: &[&str] = match of {
            Counted::Threads => &["tags"],
            Counted::Traces => &["tags", "metadata", "name", "error_info", "error_type"],
            Counted::Spans => &[
                "tags",
                "metadata",
                "name",
                "error_info",
                "error_type",
                "model",
                "provider",
                "type",
            ],
        };
        if name == "none" {
            return Ok(None);
        }
        if !known.contains(&name.as_str()) {
            return Err(OpikError::invalid(format!(
                "this metric cannot be broken down by {name}; it can by {}",
                known.join(", ")
            )));
        }
        let key = self.metadata_key.clone().unwrap_or_default();
        if name == "metadata" && key.is_empty() {
            return Err(OpikError::invalid(
                "metadata_key is required to break a metric down by metadata",
            ));
        }
        let (field, key) = match name.as_str() {
            "metadata" => ("metadata", key),
            "error_info" => ("has_error", String::new()),
            other => (other, String::new()),
        };
        Ok(Some(Order {
            field: field.to_owned(),
            key,
            descending: false,
        }))
    }

    /// The lines of the values.
    pub(super) fn lines(&self, groups: Grouped, lines: Lines) -> Vec<Line> {
        let mut ranked: Vec<(f64, Group)> = groups
            .into_iter()
            .map(|(name, sums)| {
                let name = if name.is_empty() { UNKNOWN.to_owned() } else { name };
                (self.worth(&sums, lines), (name, sums))
            })
            .collect();
        ranked.sort_by(|own, other| other.0.total_cmp(&own.0).then_with(|| own.1.0.cmp(&other.1.0)));
        let rest = ranked.split_off(ranked.len().min(OWN));
        let mut all: Vec<Line> = ranked
            .into_iter()
            .flat_map(|(_, (name, sums))| self.named(&name, &sums, lines))
            .collect();
        if !rest.is_empty() {
            let mut others: std::collections::BTreeMap<Timestamp, Sums> = std::collections::BTreeMap::new();
            for (time, sums) in rest.iter().flat_map(|(_, (_, sums))| sums) {
                others.entry(*time).or_default().merge(sums);
            }
            let others: Vec<(Timestamp, Sums)> = others.into_iter().collect();
            all.extend(self.named(OTHERS, &others, lines));
        }
        all
    }

    /// Whether a line of a metric is the one asked for: `p50` of `duration.p50`.
    fn is_asked(&self, name: &str) -> bool {
        self.sub_metric.as_deref().is_none_or(|asked| {
            let last = name.rsplit('.').next();
            name == asked || last == Some(asked)
        })
    }

    /// What the values of a group come to, by which groups are ranked.
    fn worth(&self, sums: &[(Timestamp, Sums)], lines: Lines) -> f64 {
        let values = sums.iter().flat_map(|(_, sums)| lines(sums));
        values
            .filter(|(name, _)| self.is_asked(name))
            .map(|(_, value)| value)
            .sum()
    }

    /// The lines of one group: named after it, and where a metric has several and none of them is asked for, after both.
    fn named(&self, group: &str, sums: &[(Timestamp, Sums)], lines: Lines) -> Vec<Line> {
        let mut found: Vec<Line> = Vec::new();
        for (time, sums) in sums {
            for (name, value) in lines(sums) {
                if !self.is_asked(&name) {
                    continue;
                }
                match found.iter_mut().find(|(own, _)| *own == name) {
                    Some((_, points)) => points.push((*time, value)),
                    None => found.push((name, vec![(*time, value)])),
                }
            }
        }
        let is_one = found.len() == 1;
        let title = |name: String| {
            if is_one {
                group.to_owned()
            } else {
                format!("{group}.{name}")
            }
        };
        found
            .into_iter()
            .map(|(name, points)| (title(name), points))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breakdown(field: &str, sub_metric: Option<&str>) -> Breakdown {
        Breakdown {
            field: Some(field.into()),
            metadata_key: None,
            sub_metric: sub_metric.map(str::to_owned),
        }
    }

    #[test]
    fn ten_values_have_a_line_and_all_others_share_one() {
        let of = |name: &str, count: u64| {
            let sums = Sums {
                count,
                ..Sums::default()
            };
            (name.to_owned(), vec![(Timestamp::UNIX_EPOCH, sums)])
        };
        let groups: Grouped = (1..=12)
            .map(|number| of(&format!("m{number:02}"), number))
            .chain([of("", 50)])
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let count: Lines = |sums| vec![("spans".into(), sums.count as f64)];
        let lines = breakdown("model", None).lines(groups, count);
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[0], ("Unknown".into(), vec![(Timestamp::UNIX_EPOCH, 50.0)]));
        assert_eq!(lines[1].0, "m12");
        assert_eq!(
            lines[10],
            ("__others__".into(), vec![(Timestamp::UNIX_EPOCH, 6.0)])
        );
    }

    #[test]
    fn a_line_of_several_can_be_asked_for() {
        let quantiles: Lines = |_| vec![("duration.p50".into(), 1.0), ("duration.p90".into(), 2.0)];
        let groups = || vec![("a".to_owned(), vec![(Timestamp::UNIX_EPOCH, Sums::default())])];
        let one = breakdown("name", Some("p90")).lines(groups(), quantiles);
        assert_eq!(one, [("a".into(), vec![(Timestamp::UNIX_EPOCH, 2.0)])]);
        let both = breakdown("name", None).lines(groups(), quantiles);
        assert_eq!(
            both.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["a.duration.p50", "a.duration.p90"]
        );
    }

    #[test]
    fn a_field_must_be_one_of_what_is_counted() {
        assert!(breakdown("none", None).field(Counted::Threads).unwrap().is_none());
        assert!(breakdown("model", None).field(Counted::Traces).is_err());
        assert!(breakdown("metadata", None).field(Counted::Spans).is_err());
        assert_eq!(
            breakdown("TAGS", None)
                .field(Counted::Threads)
                .unwrap()
                .unwrap()
                .field,
            "tags"
        );
    }
}
