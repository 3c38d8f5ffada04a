//! Answers in the format that the client wants.

use std::collections::BTreeMap;

use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use http_body_util::BodyExt;
use serde_json::Value;
use stead_kernel::Body;

use super::negotiate::Format;

const JSON: &str = "application/json";

/// The answer in this format. What is no JSON stays as it is; a watch, which has no end, is never wanted in YAML here.
pub(super) async fn written(response: Response, format: Format) -> Response {
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|media_type| media_type == JSON);
    if format == Format::Json || !is_json {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Response::from_parts(head, Body::empty());
    };
    let Some(text) = yaml(&body) else {
        return Response::from_parts(head, Body::from(body));
    };
    head.headers.remove(header::CONTENT_LENGTH);
    let media_type = HeaderValue::from_static("application/yaml");
    head.headers.insert(header::CONTENT_TYPE, media_type);
    Response::from_parts(head, Body::from(text))
}

/// A JSON text as YAML, its members by their names as the original has them.
fn yaml(json: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(json).ok()?;
    serde_saphyr::to_string(&Sorted::of(value)).ok()
}

/// A value whose members are in the order of their names.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Sorted {
    Leaf(Value),
    List(Vec<Sorted>),
    Map(BTreeMap<String, Sorted>),
}

impl Sorted {
    fn of(value: Value) -> Self {
        match value {
            Value::Array(list) => Self::List(list.into_iter().map(Self::of).collect()),
            Value::Object(map) => Self::Map(
                map.into_iter()
                    .map(|(name, value)| (name, Self::of(value)))
                    .collect(),
            ),
            leaf => Self::Leaf(leaf),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        serde_saphyr::from_str(text).expect("YAML")
    }

    #[test]
    fn members_are_sorted_and_texts_stay_texts() {
        let value = json!({"b": ["no", "1", "", "~", "a: b", "x\ny\n"], "a": {"d": null, "c": 1.5}});
        let text = yaml(value.to_string().as_bytes()).expect("YAML");
        assert_eq!(read(&text), value);
        assert!(text.find("a:") < text.find("b:"), "{text}");
    }

    proptest! {
        #[test]
        fn every_text_comes_back_from_yaml(name in ".{0,12}", text in ".{0,40}") {
            let mut map = serde_json::Map::new();
            map.insert(name, text.into());
            let value = Value::from(map);
            let written = yaml(value.to_string().as_bytes()).expect("YAML");
            prop_assert_eq!(read(&written), value);
        }
    }
}
