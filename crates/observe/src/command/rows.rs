//! Rows of files: CSV, JSON and JSON lines. Pure.

use serde_json::{Map, Value};
use stead_kernel::{Error, Result};

/// The rows of a file as JSON objects; what it is tells its name, and where that does not, its beginning.
///
/// # Errors
/// `Invalid` with the line that is not right.
pub(crate) fn rows(name: &str, text: &str) -> Result<Vec<Value>> {
    let ends = |ending: &str| name.to_ascii_lowercase().ends_with(ending);
    let text = text.trim_start_matches('\u{feff}');
    if ends(".csv") {
        return csv(text);
    }
    if ends(".jsonl") || ends(".ndjson") {
        return json_lines(text);
    }
    match text.trim_start().chars().next() {
        Some('[') => json_list(text),
        Some('{') => json_lines(text),
        _ => csv(text),
    }
}

fn json_list(text: &str) -> Result<Vec<Value>> {
    let rows: Vec<Value> = serde_json::from_str(text)
        .map_err(|error| Error::invalid(format!("it is no list in JSON: {error}")))?;
    match rows.iter().position(|row| !row.is_object()) {
        Some(place) => Err(Error::invalid(format!("item {} is no JSON object", place + 1))),
        None => Ok(rows),
    }
}

fn json_lines(text: &str) -> Result<Vec<Value>> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(place, line)| {
            let row: Result<Value, _> = serde_json::from_str(line);
            let row =
                row.map_err(|error| Error::invalid(format!("line {}: it is no JSON: {error}", place + 1)))?;
            if row.is_object() {
                return Ok(row);
            }
            Err(Error::invalid(format!(
                "line {}: it is no JSON object",
                place + 1
            )))
        })
        .collect()
}

/// Rows by the names of the first one (<https://www.rfc-editor.org/rfc/rfc4180>). Every cell is a text.
///
/// # Errors
/// `Invalid` for a row with more cells than names, a name that is empty or there twice, and a quotation that does not end.
pub(crate) fn csv(text: &str) -> Result<Vec<Value>> {
    let mut records = records(text)?.into_iter();
    let Some(names) = records.next() else {
        return Ok(Vec::new());
    };
    for (place, name) in names.iter().enumerate() {
        if name.trim().is_empty() || names.iter().take(place).any(|other| other == name) {
            return Err(Error::invalid(format!(
                "column {} has no name of its own: {name:?}",
                place + 1
            )));
        }
    }
    records
        .enumerate()
        .filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty()))
        .map(|(place, cells)| {
            if cells.len() > names.len() {
                let (cells, names) = (cells.len(), names.len());
                return Err(Error::invalid(format!(
                    "row {} has {cells} cells, and there are {names} names",
                    place + 2
                )));
            }
            let row: Map<String, Value> = names
                .iter()
                .cloned()
                .zip(cells.into_iter().map(Value::from))
                .collect();
            Ok(Value::Object(row))
        })
        .collect()
}

fn records(text: &str) -> Result<Vec<Vec<String>>> {
    let (mut records, mut cells, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut begun) = (false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        begun = true;
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            letter if quoted => cell.push(letter),
            ',' => cells.push(std::mem::take(&mut cell)),
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' => {
                cells.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut cells));
                begun = false;
            }
            letter => cell.push(letter),
        }
    }
    if quoted {
        return Err(Error::invalid("a quotation does not end"));
    }
    if begun {
        cells.push(cell);
        records.push(cells);
    }
    Ok(records)
}

/// Rows as CSV, with a column for each name that any row has, in the order in which they come first.
pub(crate) fn to_csv(rows: &[Value]) -> String {
    let mut names: Vec<&String> = Vec::new();
    for row in rows.iter().filter_map(Value::as_object) {
        for name in row.keys() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let mut text = line(names.iter().map(|name| name.as_str().to_owned()));
    for row in rows {
        text.push_str(&line(
            names
                .iter()
                .map(|name| row.get(*name).map(stead_scoring::text_of).unwrap_or_default()),
        ));
    }
    text
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells = cells.map(|cell| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    });
    cells.collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_read_as_what_they_are() {
        let expected = vec![
            json!({"q": "a,b", "n": "1"}),
            json!({"q": "say \"x\"\nthere", "n": ""}),
        ];
        assert_eq!(
            rows("a.csv", "q,n\r\n\"a,b\",1\r\n\"say \"\"x\"\"\nthere\",\n").unwrap(),
            expected
        );
        assert_eq!(rows("a.jsonl", "{\"q\": 1}\n\n{\"q\": 2}").unwrap().len(), 2);
        assert_eq!(rows("data", "[{\"q\": 1}]").unwrap(), [json!({"q": 1})]);
        assert_eq!(rows("data", "{\"q\": 1}").unwrap(), [json!({"q": 1})]);
        assert_eq!(rows("a.csv", "").unwrap(), Vec::<Value>::new());
        for (name, text, message) in [
            ("a.jsonl", "{\"q\": 1}\n[1]", "line 2"),
            ("a.json", "[1]", "item 1"),
            ("a.csv", "a,a\n1,2", "column 2"),
            ("a.csv", "a\n1,2", "row 2"),
            ("a.csv", "a\n\"1", "quotation"),
        ] {
            let error = rows(name, text).unwrap_err();
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_as_csv_is_read_back(cells in prop::collection::vec(("[^\u{feff}]{1,12}", "\\PC{0,12}"), 1..6)) {
            let rows: Vec<Value> = cells.iter().map(|(a, b)| json!({"a": a, "b b": b})).collect();
            prop_assert_eq!(csv(&to_csv(&rows)).unwrap(), rows);
        }
    }
}
