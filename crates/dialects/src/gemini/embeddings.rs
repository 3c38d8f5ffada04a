//! Gemini's `embedContent` and `batchEmbedContents`, and Vertex AI's `predict` for embeddings.
//! <https://ai.google.dev/api/embeddings>,
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>

use serde_json::{Value, json};

use super::{insert, reader::parse, writer::model_path};
use crate::{
    Usage,
    chat::{Sent, Target, TranslateError, refuse},
    embeddings::{Answer, Encoding, Request, vector},
    fields::Fields,
};

/// Whether one text was sent or a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `embedContent`.
    One,
    /// `batchEmbedContents`.
    Batch,
}

/// Reads a client's request to `model`; the notes tell what was left out.
///
/// # Errors
/// Names the field that is malformed or that no other dialect can say.
pub fn request(body: &[u8], model: &str, form: Form) -> Result<(Request, Vec<String>), TranslateError> {
    let body = parse(body)?;
    let fields = Fields::new(&body, "")?;
    let requests = match form {
        Form::One => vec![fields],
        Form::Batch => fields.objects("requests")?,
    };
    if requests.is_empty() {
        return refuse("requests", "must not be empty");
    }
    let mut out = Request {
        model: model.strip_prefix("models/").unwrap_or(model).to_owned(),
        encoding: Encoding::Float,
        ..Request::default()
    };
    let mut notes = Vec::new();
    for (index, each) in requests.iter().enumerate() {
        let dimensions = option(each, &mut notes)?;
        if index > 0 && dimensions != out.dimensions {
            return refuse(
                each.param("outputDimensionality"),
                "must be the same in all requests of a batch",
            );
        }
        out.dimensions = dimensions;
        out.inputs.push(input(each)?);
    }
    Ok((out, notes))
}

/// The length of vectors; what has no other place is noted. SDKs put options into `embedContentConfig`.
fn option(request: &Fields<'_>, notes: &mut Vec<String>) -> Result<Option<u64>, TranslateError> {
    let config = request.object("embedContentConfig")?;
    let places: Vec<&Fields<'_>> = std::iter::once(request).chain(config.as_ref()).collect();
    let mut dimensions = None;
    for place in places {
        dimensions = place.count("outputDimensionality")?.or(dimensions);
        for name in ["taskType", "title", "autoTruncate"] {
            if place.get(name).is_some() {
                super::note(
                    notes,
                    &format!("{name} was left out: only Gemini's embeddings have it"),
                );
            }
        }
    }
    Ok(dimensions)
}

fn input(request: &Fields<'_>) -> Result<String, TranslateError> {
    let Some(content) = request.object("content")? else {
        return refuse(request.param("content"), "must be given");
    };
    let mut texts = Vec::new();
    for part in content.objects("parts")? {
        match part.text("text")? {
            Some(text) => texts.push(text),
            None => return refuse(part.path(), "must be text"),
        }
    }
    Ok(texts.join("\n"))
}

/// Writes an answer to a client.
pub fn answer(answer: &Answer, form: Form) -> Vec<u8> {
    let mut vectors = answer.vectors.iter().map(|vector| json!({ "values": vector }));
    let mut out = match form {
        Form::One => json!({"embedding": vectors.next().unwrap_or_else(|| json!({"values": []}))}),
        Form::Batch => json!({"embeddings": vectors.collect::<Vec<_>>()}),
    };
    if let Some(usage) = &answer.usage {
        insert(
            &mut out,
            "usageMetadata",
            json!({"promptTokenCount": usage.input, "totalTokenCount": usage.input}),
        );
    }
    out.to_string().into_bytes()
}

/// Writes a request to a provider: `batchEmbedContents`, at Vertex AI `predict`.
pub fn provider_request(request: &Request, target: Target<'_>) -> Sent {
    let path = model_path(target);
    let mut notes = Vec::new();
    if request.user.is_some() {
        notes.push("user was left out: Gemini takes no name of the end user".to_owned());
    }
    let (method, body) = if target.flavor == "vertex" {
        let instances: Vec<Value> = request
            .inputs
            .iter()
            .map(|text| json!({ "content": text }))
            .collect();
        let mut body = json!({ "instances": instances });
        if let Some(dimensions) = request.dimensions {
            insert(
                &mut body,
                "parameters",
                json!({"outputDimensionality": dimensions}),
            );
        }
        ("predict", body)
    } else {
        let each = |text: &String| {
            let mut each = json!({"model": path, "content": {"parts": [{"text": text}]}});
            if let Some(dimensions) = request.dimensions {
                insert(&mut each, "outputDimensionality", dimensions.into());
            }
            each
        };
        let requests: Vec<Value> = request.inputs.iter().map(each).collect();
        ("batchEmbedContents", json!({ "requests": requests }))
    };
    Sent {
        path: format!("{path}:{method}"),
        body: body.to_string().into_bytes(),
        headers: Vec::new(),
        notes,
    }
}

/// Reads a provider's answer.
///
/// # Errors
/// When it is none.
pub fn provider_answer(body: &[u8]) -> Result<Answer, TranslateError> {
    let body = parse(body)?;
    let mut answer = Answer::default();
    let mut counted = None;
    if let Some(predictions) = body.get("predictions").and_then(Value::as_array) {
        for prediction in predictions {
            let embeddings = prediction.get("embeddings");
            let values = embeddings.and_then(|embeddings| embeddings.get("values"));
            answer
                .vectors
                .push(vector(values, "predictions.embeddings.values")?);
            let tokens =
                embeddings.and_then(|embeddings| embeddings.get("statistics")?.get("token_count")?.as_f64());
            if let Some(tokens) = tokens {
                let tokens = format!("{tokens:.0}").parse::<u64>().unwrap_or(0);
                counted = Some(counted.unwrap_or(0_u64).saturating_add(tokens));
            }
        }
    } else {
        let rows = match (body.get("embeddings"), body.get("embedding")) {
            (Some(Value::Array(rows)), _) => rows.as_slice(),
            (_, Some(row)) => std::slice::from_ref(row),
            _ => return refuse("embeddings", "must be a list: this is no answer with embeddings"),
        };
        for row in rows {
            answer
                .vectors
                .push(vector(row.get("values"), "embeddings.values")?);
        }
        counted = body
            .get("usageMetadata")
            .and_then(|usage| usage.get("promptTokenCount")?.as_u64());
    }
    answer.usage = counted.map(|input| Usage {
        input,
        ..Usage::default()
    });
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Form, answer, provider_answer, provider_request, request};
    use crate::{chat::Target, embeddings::Request};

    fn target(flavor: &str) -> Target<'_> {
        Target {
            model: "gemini-embedding-001",
            default_max_tokens: 0,
            flavor,
        }
    }

    #[test]
    fn a_batch_comes_through_and_its_differences_are_refused() {
        let body = json!({"requests": [
            {"model": "models/x", "content": {"parts": [{"text": "a"}]}, "output_dimensionality": 4},
            {"content": {"parts": {"text": "b"}}, "embedContentConfig": {"outputDimensionality": 4, "taskType": "X"}}
        ]});
        let (read, notes) = request(body.to_string().as_bytes(), "models/x", Form::Batch).expect("a batch");
        assert_eq!((read.inputs.len(), read.dimensions, notes.len()), (2, Some(4), 1));
        let mixed = json!({"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "b"}]}, "outputDimensionality": 4}]});
        let error = request(mixed.to_string().as_bytes(), "x", Form::Batch).expect_err("mixed");
        assert_eq!(error.param, "requests[1].outputDimensionality");
    }

    #[test]
    fn providers_are_asked_in_their_own_way_and_answer_the_same() {
        let wanted = Request {
            inputs: vec!["a".to_owned(), "b".to_owned()],
            dimensions: Some(2),
            ..Request::default()
        };
        for (flavor, path, reply) in [
            (
                "",
                "models/gemini-embedding-001:batchEmbedContents",
                json!({"embeddings": [{"values": [1.0, 2.0]}, {"values": [3.0, 4.0]}], "usageMetadata": {"promptTokenCount": 7}}),
            ),
            (
                "vertex",
                "publishers/google/models/gemini-embedding-001:predict",
                json!({"predictions": [
                    {"embeddings": {"values": [1.0, 2.0], "statistics": {"token_count": 3.0}}},
                    {"embeddings": {"values": [3.0, 4.0], "statistics": {"token_count": 4.0}}}
                ]}),
            ),
        ] {
            let sent = provider_request(&wanted, target(flavor));
            assert_eq!(sent.path, path);
            let read = provider_answer(reply.to_string().as_bytes()).expect("an answer");
            assert_eq!(read.vectors, [[1.0, 2.0], [3.0, 4.0]]);
            assert_eq!(read.usage.map(|usage| usage.input), Some(7));
            let shown: Value = serde_json::from_slice(&answer(&read, Form::Batch)).expect("JSON");
            assert_eq!(shown["embeddings"][1]["values"], json!([3.0, 4.0]));
        }
        assert!(provider_answer(b"{}").is_err());
    }
}
