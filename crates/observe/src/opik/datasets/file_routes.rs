//! `/v1/private/datasets/items/from-csv` and `…/from-json`: items of an uploaded file. They are stored before the answer, all in
//! one version.

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    routing::post,
};
use bytes::Bytes;
use serde_json::Value;

use super::{
    Datasets,
    convert::batch,
    plan::{Change, Seed},
    shape::ItemWrite,
};
use crate::{
    command::rows,
    opik::{
        Caller, Opik,
        desk::{entity, uuid, who},
        shelf::new_id,
        wire::{BATCH, OpikError, plain_body},
    },
};

/// Keys of a JSON object that are fields of the item, not columns of its data.
const RESERVED: [&str; 6] = [
    "id",
    "source",
    "description",
    "tags",
    "evaluators",
    "execution_policy",
];

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/datasets/items/from-csv", post(from_csv))
        .route("/v1/private/datasets/items/from-json", post(from_json))
}

async fn from_csv(
    caller: Caller,
    State(opik): State<Opik>,
    request: Request,
) -> Result<StatusCode, OpikError> {
    let form = Form::read(&opik, request).await?;
    let rows = rows::csv(form.text("file")?).map_err(entity)?;
    let writes = rows.into_iter().map(|data| ItemWrite {
        source: Some("manual".to_owned()),
        data: Some(data),
        ..ItemWrite::default()
    });
    store(&opik, &caller, &form, writes.collect()).await
}

async fn from_json(
    caller: Caller,
    State(opik): State<Opik>,
    request: Request,
) -> Result<StatusCode, OpikError> {
    let form = Form::read(&opik, request).await?;
    let name = match form.text("format")? {
        "json" => "file.json",
        "jsonl" => "file.jsonl",
        other => {
            return Err(OpikError::invalid(format!(
                "format {other:?} is neither json nor jsonl"
            )));
        }
    };
    let rows = rows::rows(name, form.text("file")?).map_err(entity)?;
    let writes: Result<Vec<ItemWrite>, OpikError> = rows.into_iter().map(of_row).collect();
    store(&opik, &caller, &form, writes?).await
}

fn of_row(mut row: Value) -> Result<ItemWrite, OpikError> {
    let mut fields = serde_json::Map::new();
    if let Some(row) = row.as_object_mut() {
        for name in RESERVED {
            fields.extend(row.shift_remove(name).map(|value| (name.to_owned(), value)));
        }
    }
    let write: Result<ItemWrite, _> = serde_json::from_value(Value::Object(fields));
    let write = write.map_err(|error| OpikError::unprocessable(format!("an item is not right: {error}")))?;
    Ok(ItemWrite {
        source: write.source.or_else(|| Some("manual".to_owned())),
        data: Some(row),
        ..write
    })
}

async fn store(
    opik: &Opik,
    caller: &Caller,
    form: &Form,
    writes: Vec<ItemWrite>,
) -> Result<StatusCode, OpikError> {
    let (who, datasets) = (who(opik, caller), Datasets::new(&opik.ports.records));
    let id = uuid(form.text("dataset_id")?, "dataset")?.to_string();
    let dataset = datasets.get(&caller.workspace, &id).await?;
    let seed = Seed {
        group: Some(new_id()),
        ..Seed::default()
    };
    for part in writes.chunks(BATCH) {
        let change = Change {
            upserts: batch(&who, dataset.id(), part.to_vec())?,
            ..Change::default()
        };
        datasets
            .items
            .change(&who, dataset.id(), &seed, None, &change)
            .await?;
    }
    Ok(StatusCode::ACCEPTED)
}

/// The parts of a form, by name.
struct Form(BTreeMap<String, Bytes>);

impl Form {
    async fn read(opik: &Opik, request: Request) -> Result<Self, OpikError> {
        let (parts, body) = request.into_parts();
        let sort = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|sort| sort.to_str().ok());
        let boundary = sort
            .and_then(boundary)
            .ok_or_else(|| OpikError::invalid("the body must be multipart/form-data"))?;
        let body = plain_body(&parts.headers, body, opik).await?;
        form_parts(&body, &boundary)
            .map(Self)
            .ok_or_else(|| OpikError::invalid("the form is not right, or ended before it was complete"))
    }

    fn text(&self, name: &str) -> Result<&str, OpikError> {
        let part = self
            .0
            .get(name)
            .ok_or_else(|| OpikError::invalid(format!("the form has no {name}")))?;
        std::str::from_utf8(part).map_err(|_| OpikError::invalid(format!("{name} is no text in UTF-8")))
    }
}

/// The boundary that a content type names.
fn boundary(sort: &str) -> Option<String> {
    let (sort, parameters) = sort.split_once(';')?;
    if !sort.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary")
            .then(|| value.trim_matches('"').to_owned())
    })?;
    (!named.is_empty()).then_some(named)
}

/// The parts of a form (<https://www.rfc-editor.org/rfc/rfc7578>), by the names of their content dispositions.
fn form_parts(body: &Bytes, boundary: &str) -> Option<BTreeMap<String, Bytes>> {
    let mark = format!("\r\n--{boundary}");
    let first = format!("--{boundary}");
    let mut place = find(body, first.as_bytes(), 0)? + first.len();
    let mut parts = BTreeMap::new();
    loop {
        let rest = body.get(place..)?;
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let head_start = place + 2;
        rest.starts_with(b"\r\n").then_some(())?;
        let head_end = find(body, b"\r\n\r\n", head_start)?;
        let end = find(body, mark.as_bytes(), head_end + 2)?;
        let head = std::str::from_utf8(body.get(head_start..head_end)?).ok()?;
        let content = (head_end + 4).min(end)..end;
        if let Some(name) = part_name(head) {
            parts.insert(name, body.slice(content));
        }
        place = end + mark.len();
    }
}

fn part_name(head: &str) -> Option<String> {
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    disposition.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        (name == "name").then(|| value.trim_matches('"').to_owned())
    })
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let rest = body.get(from..)?;
    rest.windows(wanted.len())
        .position(|window| window == wanted)
        .map(|place| place + from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_found_by_their_names_and_a_broken_form_is_none() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"dataset_id\"\r\n\r\n1\r\n--b\r\ncontent-disposition: form-data; \
                    name=\"file\"; filename=\"x.csv\"\r\nContent-Type: text/csv\r\n\r\na,b\r\n1,2\r\n\r\n--b--\r\n";
        let parts = form_parts(&Bytes::from(body), "b").unwrap();
        assert_eq!(parts["dataset_id"], "1");
        assert_eq!(parts["file"], "a,b\r\n1,2\r\n");
        assert_eq!(
            boundary("multipart/form-data; boundary=\"b c\"").as_deref(),
            Some("b c")
        );
        assert_eq!(boundary("application/json"), None);
        assert_eq!(
            form_parts(&Bytes::from(&body.as_bytes()[..body.len() - 6]), "b"),
            None
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = form_parts(&Bytes::from(bytes), "b");
        }

        #[test]
        fn any_content_comes_back(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut body = b"--boundary-x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n".to_vec();
            body.extend(&content);
            body.extend(b"\r\n--boundary-x--\r\n");
            prop_assert_eq!(form_parts(&Bytes::from(body), "boundary-x").unwrap()["f"].to_vec(), content);
        }
    }
}
