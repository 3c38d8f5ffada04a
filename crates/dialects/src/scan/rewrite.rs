//! Changing members of objects in place: everything that is not changed stays byte for byte.

use std::ops::Range;

use super::{ScanError, json::Scanner, text};

/// What becomes of a member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// It stays.
    Keep,
    /// It goes.
    Drop,
    /// It gets this name, which has nothing to escape.
    Name(&'static str),
    /// It gets this value, JSON.
    Value(Vec<u8>),
}

/// Changes an object's members; `None` when all of them stay. `decide` sees each name and its value, JSON.
///
/// # Errors
/// Malformed JSON, or what `decide` says.
pub(crate) fn object<E: From<ScanError>>(
    body: &[u8],
    mut decide: impl FnMut(&str, &[u8]) -> Result<Change, E>,
) -> Result<Option<Vec<u8>>, E> {
    let mut members: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    Scanner::new(body)?.whole_object(|key, value| {
        members.push((key, value));
        Ok(())
    })?;
    let mut changes = Vec::with_capacity(members.len());
    for (key, value) in &members {
        let name = text(body, key.clone())?;
        changes.push(decide(&name, body.get(value.clone()).unwrap_or_default())?);
    }
    if changes.iter().all(|change| *change == Change::Keep) {
        return Ok(None);
    }
    Ok(Some(written(body, &members, changes)))
}

fn written(body: &[u8], members: &[(Range<usize>, Range<usize>)], changes: Vec<Change>) -> Vec<u8> {
    let bytes = |range: Range<usize>| body.get(range).unwrap_or_default();
    let mut out = Vec::with_capacity(body.len() + 64);
    let start = members.first().map_or(0, |(key, _)| key.start);
    out.extend_from_slice(bytes(0..start));
    // Where the member before ends, and whether it was kept; the text between two that stay stays too.
    let mut before: Option<(usize, bool)> = None;
    let mut is_empty = true;
    for ((key, value), change) in members.iter().zip(changes) {
        let is_kept = change != Change::Drop;
        if is_kept {
            match before {
                Some((end, true)) => out.extend_from_slice(bytes(end..key.start)),
                _ if is_empty => {}
                _ => out.push(b','),
            }
            is_empty = false;
        }
        match change {
            Change::Drop => {}
            Change::Keep => out.extend_from_slice(bytes(key.start..value.end)),
            Change::Name(name) => {
                out.push(b'"');
                out.extend_from_slice(name.as_bytes());
                out.push(b'"');
                out.extend_from_slice(bytes(key.end..value.end));
            }
            Change::Value(new) => {
                out.extend_from_slice(bytes(key.start..value.start));
                out.extend_from_slice(&new);
            }
        }
        before = Some((value.end, is_kept));
    }
    let end = members.last().map_or(0, |(_, value)| value.end);
    out.extend_from_slice(bytes(end..body.len()));
    out
}

/// Changes a list's elements; `None` when all of them stay. `change` gives an element's new JSON.
///
/// # Errors
/// Malformed JSON, or what `change` says.
pub(crate) fn list<E: From<ScanError>>(
    body: &[u8],
    mut change: impl FnMut(usize, &[u8]) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<Vec<u8>>, E> {
    let mut elements = Vec::new();
    Scanner::new(body)?.whole_list(|element| elements.push(element))?;
    let (mut out, mut from) = (Vec::new(), 0);
    for (index, element) in elements.into_iter().enumerate() {
        if let Some(new) = change(index, body.get(element.clone()).unwrap_or_default())? {
            out.extend_from_slice(body.get(from..element.start).unwrap_or_default());
            out.extend_from_slice(&new);
            from = element.end;
        }
    }
    if from == 0 {
        return Ok(None);
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn changed(body: &str, decide: impl Fn(&str) -> Change) -> Option<String> {
        let out = object::<ScanError>(body.as_bytes(), |name, _| Ok(decide(name))).unwrap();
        out.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn members_go_get_names_and_get_values_and_the_rest_stays() {
        let body = "{ \"a\" : 1,\n  \"b\": [2, 3] ,\"c\":{}\t}";
        let drop = |gone: &'static str| {
            move |name: &str| {
                if gone.contains(name) {
                    Change::Drop
                } else {
                    Change::Keep
                }
            }
        };
        assert_eq!(changed(body, |_| Change::Keep), None);
        let cases = [
            ("a", "{ \"b\": [2, 3] ,\"c\":{}\t}"),
            ("b", "{ \"a\" : 1,\"c\":{}\t}"),
            ("c", "{ \"a\" : 1,\n  \"b\": [2, 3]\t}"),
            ("ab", "{ \"c\":{}\t}"),
            ("ac", "{ \"b\": [2, 3]\t}"),
            ("bc", "{ \"a\" : 1\t}"),
            ("abc", "{ \t}"),
        ];
        for (gone, wanted) in cases {
            assert_eq!(changed(body, drop(gone)).unwrap(), wanted, "{gone}");
        }
        let renamed = changed(body, |name| {
            if name == "b" {
                Change::Name("z")
            } else {
                Change::Keep
            }
        });
        assert_eq!(renamed.unwrap(), "{ \"a\" : 1,\n  \"z\": [2, 3] ,\"c\":{}\t}");
        let valued = changed(body, |name| {
            if name == "c" {
                Change::Value(b"7".to_vec())
            } else {
                Change::Keep
            }
        });
        assert_eq!(valued.unwrap(), "{ \"a\" : 1,\n  \"b\": [2, 3] ,\"c\":7\t}");
    }

    #[test]
    fn elements_of_lists_change_in_place() {
        let change = |body: &str| {
            list::<ScanError>(body.as_bytes(), |_, element| {
                Ok((element == b"1").then(|| b"one".to_vec()))
            })
        };
        assert_eq!(change("[ 1 , 2,1]").unwrap().unwrap(), b"[ one , 2,one]");
        assert_eq!(change("[2]").unwrap(), None);
        assert_eq!(change(" [] ").unwrap(), None);
        for body in ["", "[", "[1", "[1,", "[1] x", "{}"] {
            assert!(change(body).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn whatever_goes_the_rest_means_the_same(
            members in prop::collection::btree_map("[a-z]{1,4}", 0_u32..9, 0..6), gone in "[a-m]{0,3}",
        ) {
            let value: Map<String, Value> = members.iter().map(|(key, value)| (key.clone(), (*value).into())).collect();
            let body = serde_json::to_string_pretty(&value).unwrap();
            let goes = |name: &str| name.chars().any(|letter| gone.contains(letter));
            let out = changed(&body, |name| if goes(name) { Change::Drop } else { Change::Keep });
            let out: Map<String, Value> = serde_json::from_str(&out.unwrap_or(body)).unwrap();
            let wanted: Map<String, Value> = value.into_iter().filter(|(name, _)| !goes(name)).collect();
            prop_assert_eq!(out, wanted);
        }

        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = object::<ScanError>(&body, |_, _| Ok(Change::Drop));
            let _ = list::<ScanError>(&body, |_, _| Ok(Some(Vec::new())));
        }
    }
}
