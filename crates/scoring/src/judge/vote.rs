//! What several opinions come to.

use crate::{
    metric::Score,
    number::{mean, number},
};

/// One opinion.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Of which score, where a judge gives several.
    pub name: Option<String>,
    /// The value.
    pub value: f64,
    /// Why.
    pub reason: String,
    /// Whether it is a yes or a no, where most opinions count; else the mean does.
    pub decides: bool,
}

/// The scores of several opinions: the mean, which estimates what G-Eval weighs by likelihood, or what most say (of as many,
/// no). The reason is that of the opinion nearest to it; of several, their values stand before it.
pub fn combine(metric: &str, opinions: &[Vec<Verdict>]) -> Vec<Score> {
    let Some(first) = opinions.first() else {
        return Vec::new();
    };
    let names = first.iter().map(|verdict| &verdict.name);
    names
        .filter_map(|name| {
            let same: Vec<&Verdict> = opinions
                .iter()
                .flatten()
                .filter(|verdict| verdict.name == *name)
                .collect();
            one(name.as_deref().unwrap_or(metric), &same)
        })
        .collect()
}

fn one(name: &str, verdicts: &[&Verdict]) -> Option<Score> {
    let values: Vec<f64> = verdicts.iter().map(|verdict| verdict.value).collect();
    let decides = verdicts.iter().all(|verdict| verdict.decides);
    let value = if decides {
        let yes = values.iter().filter(|value| **value > 0.5).count();
        if number(yes) * 2.0 > number(values.len()) {
            1.0
        } else {
            0.0
        }
    } else {
        mean(&values)?
    };
    let distance = |verdict: &Verdict| (verdict.value - value).abs();
    let nearest = verdicts
        .iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    let reason = if let [_, _, ..] = verdicts {
        let votes: Vec<String> = values
            .iter()
            .map(|value| {
                format!("{value:.3}")
                    .trim_end_matches('0')
                    .trim_end_matches('.')
                    .to_owned()
            })
            .collect();
        format!("votes: {}. {}", votes.join(", "), nearest.reason)
    } else {
        nearest.reason.clone()
    };
    Some(Score {
        name: name.to_owned(),
        value,
        reason: Some(reason),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(value: f64, reason: &str) -> Verdict {
        Verdict {
            name: None,
            value,
            reason: reason.into(),
            decides: false,
        }
    }

    #[test]
    fn votes_come_to_their_mean_with_the_nearest_reason() {
        let opinions = [
            verdict(0.2, "bad"),
            verdict(0.75, "good"),
            verdict(1.0, "perfect"),
        ]
        .map(|one| vec![one]);
        let scores = combine("m", &opinions);
        assert!((scores[0].value - 0.65).abs() < 1e-12);
        assert_eq!(scores[0].reason.as_deref(), Some("votes: 0.2, 0.75, 1. good"));
        assert_eq!(combine("m", &opinions[..1])[0].reason.as_deref(), Some("bad"));
        assert!(combine("m", &[]).is_empty());
    }

    #[test]
    fn most_votes_decide_on_yes_and_no_and_a_tie_is_a_no() {
        let opinion = |values: &[f64]| -> Vec<Vec<Verdict>> {
            let one = |value: &f64| Verdict {
                name: Some("safe".into()),
                decides: true,
                ..verdict(*value, "r")
            };
            values.iter().map(|value| vec![one(value)]).collect()
        };
        for (values, expected) in [
            (&[1.0, 0.0, 1.0][..], 1.0),
            (&[1.0, 0.0], 0.0),
            (&[0.0, 0.0, 1.0], 0.0),
        ] {
            let scores = combine("m", &opinion(values));
            assert_eq!((scores[0].name.as_str(), scores[0].value), ("safe", expected));
        }
    }
}
