//! What a span counts, as text: JSON, in which the three counts that nearly every span has are told by their places.
//! Pure.
//!
//! `[100,120,220]` is `prompt_tokens`, `completion_tokens` and `total_tokens`; an object with all other counts may follow.
//! Where one of the three is not told, all is one object.

use std::collections::BTreeMap;

use super::rows::damaged;

/// The counts that are told by their places.
const PLACED: [&str; 3] = ["prompt_tokens", "completion_tokens", "total_tokens"];

type Usage = BTreeMap<String, i64>;

/// As it is stored.
pub(super) fn text(usage: &Usage) -> String {
    let placed: Option<Vec<i64>> = PLACED.iter().map(|name| usage.get(*name).copied()).collect();
    let Some(placed) = placed else {
        return json(usage);
    };
    let others: BTreeMap<&String, &i64> = usage
        .iter()
        .filter(|(name, _)| !PLACED.contains(&name.as_str()))
        .collect();
    let counts: Vec<String> = placed.iter().map(i64::to_string).collect();
    if others.is_empty() {
        format!("[{}]", counts.join(","))
    } else {
        format!("[{},{}]", counts.join(","), json(&others))
    }
}

fn json(value: &impl serde::Serialize) -> String {
    // Counts by name are always JSON.
    serde_json::to_string(value).unwrap_or_default()
}

/// From what is stored.
///
/// # Errors
/// When it is none.
pub(super) fn read(text: &str) -> rusqlite::Result<Usage> {
    parse(text).ok_or_else(|| damaged("no usage"))
}

fn parse(text: &str) -> Option<Usage> {
    let Some(placed) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
        return serde_json::from_str(text).ok();
    };
    let (counts, others) = placed
        .split_once(",{")
        .map_or((placed, None), |(counts, others)| (counts, Some(others)));
    let mut usage: Usage = match others {
        Some(others) => serde_json::from_str(&format!("{{{others}")).ok()?,
        None => Usage::new(),
    };
    let mut counts = counts.split(',');
    for name in PLACED {
        usage.insert(name.to_owned(), counts.next()?.parse().ok()?);
    }
    counts.next().is_none().then_some(usage)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_come_back_as_they_were(
            others in prop::collection::btree_map("[a-z.,{}\\[\\]\"]{0,6}", any::<i64>(), 0..4),
            placed in prop::array::uniform3(prop::option::of(any::<i64>())),
        ) {
            let mut usage = others;
            for (name, count) in PLACED.iter().zip(placed) {
                usage.extend(count.map(|count| ((*name).to_owned(), count)));
            }
            prop_assert_eq!(read(&text(&usage)).unwrap(), usage);
        }

        #[test]
        fn garbage_is_refused_and_never_a_panic(text in ".{0,20}") {
            let _ = read(&text);
        }
    }

    #[test]
    fn the_usual_counts_are_short_and_older_texts_are_read() {
        let usage = |pairs: &[(&str, i64)]| -> Usage {
            pairs
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect()
        };
        let usual = usage(&[
            ("prompt_tokens", 100),
            ("completion_tokens", 120),
            ("total_tokens", 220),
        ]);
        assert_eq!(text(&usual), "[100,120,220]");
        assert_eq!(text(&usage(&[("x", 1)])), "{\"x\":1}");
        let older = "{\"completion_tokens\":120,\"prompt_tokens\":100,\"total_tokens\":220}";
        assert_eq!(read(older).unwrap(), usual);
        assert!(read("[1,2]").is_err() && read("[1,2,3,4]").is_err());
    }
}
