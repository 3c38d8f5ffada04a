//! Embeddings at Bedrock, which has no one form for them: each vendor's body goes through `InvokeModel`.
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>

use serde_json::{Map, Value, json};

use super::sigv4::encode;
use crate::{
    Usage,
    chat::{Sent, Target, TranslateError, refuse},
    embeddings::{Answer, Request, vector},
};

/// The header of an answer that says how many tokens its input had.
pub const INPUT_TOKENS: &str = "x-amzn-bedrock-input-token-count";
/// The most texts that Cohere's models take at once, and the most that are asked for one by one.
pub const MOST_TEXTS: usize = 96;

/// Whose model it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// Amazon's Titan, one text a call
    /// (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>); the first version
    /// has vectors of one length only.
    Titan { takes_dimensions: bool },
    /// Cohere's Embed (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html>); the models
    /// before the fourth have vectors of one length only.
    Cohere { takes_dimensions: bool },
}

impl Family {
    /// By the model's id, with or without a region before it (`eu.cohere.embed-v4:0`), or as the end of an address.
    fn of(model: &str) -> Option<Self> {
        if model.contains("amazon.titan-embed-text-v") || model.contains("amazon.titan-embed-g1-text") {
            let takes_dimensions = !model.contains("titan-embed-text-v1") && !model.contains("embed-g1");
            return Some(Self::Titan { takes_dimensions });
        }
        let is_old =
            model.contains("cohere.embed-english-v3") || model.contains("cohere.embed-multilingual-v3");
        model.contains("cohere.embed-").then_some(Self::Cohere {
            takes_dimensions: !is_old,
        })
    }

    const fn takes_dimensions(self) -> bool {
        match self {
            Self::Titan { takes_dimensions } | Self::Cohere { takes_dimensions } => takes_dimensions,
        }
    }
}

/// Writes the calls for a request, whose answers follow each other in order; notes are those of the first.
///
/// # Errors
/// A model that is not known to embed, more than [`MOST_TEXTS`] texts, or a length of vectors that the model has not.
pub fn requests(request: &Request, target: Target<'_>) -> Result<Vec<Sent>, TranslateError> {
    let Some(family) = Family::of(target.model) else {
        return refuse(
            "model",
            "is not known to embed at Bedrock: Amazon's Titan and Cohere's Embed models do, by their own ids",
        );
    };
    if request.inputs.len() > MOST_TEXTS {
        return refuse(
            "input",
            format!("must be at most {MOST_TEXTS} texts: Bedrock takes no more at once"),
        );
    }
    if request.dimensions.is_some() && !family.takes_dimensions() {
        return refuse(
            "dimensions",
            "must be absent: this model's vectors have one length",
        );
    }
    let mut bodies: Vec<Value> = match family {
        Family::Titan { .. } => request
            .inputs
            .iter()
            .map(|text| titan(text, request.dimensions))
            .collect(),
        Family::Cohere { .. } => vec![cohere(request)],
    };
    let mut notes = Vec::new();
    if matches!(family, Family::Cohere { .. }) {
        notes.push("input_type became search_document: OpenAI's embeddings have none".to_owned());
    }
    if request.user.is_some() {
        notes.push("user was left out: Bedrock does not ask who the end user is".to_owned());
    }
    let path = format!("model/{}/invoke", encode(target.model.as_bytes()));
    let sent = bodies.drain(..).map(|body| Sent {
        path: path.clone(),
        body: body.to_string().into_bytes(),
        headers: Vec::new(),
        notes: std::mem::take(&mut notes),
    });
    Ok(sent.collect())
}

fn titan(text: &str, dimensions: Option<u64>) -> Value {
    let mut body = Map::new();
    body.insert("inputText".to_owned(), text.into());
    if let Some(count) = dimensions {
        body.insert("dimensions".to_owned(), count.into());
    }
    Value::Object(body)
}

fn cohere(request: &Request) -> Value {
    let mut body = json!({
        "texts": request.inputs, "input_type": "search_document", "embedding_types": ["float"],
    });
    if let (Some(count), Value::Object(members)) = (request.dimensions, &mut body) {
        members.insert("output_dimension".to_owned(), count.into());
    }
    body
}

/// Reads the answer to one call. `counted` is what [`INPUT_TOKENS`] says.
///
/// # Errors
/// When it is none.
pub fn answer(body: &[u8], counted: Option<u64>) -> Result<Answer, TranslateError> {
    let body: Value =
        serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))?;
    let vectors = if body.get("embedding").is_some() {
        vec![vector(body.get("embedding"), "embedding")?]
    } else {
        let rows = body
            .pointer("/embeddings/float")
            .or_else(|| body.get("embeddings"))
            .and_then(Value::as_array);
        let Some(rows) = rows else {
            return refuse("embeddings", "must be a list: this is no answer with embeddings");
        };
        rows.iter()
            .map(|row| vector(Some(row), "embeddings"))
            .collect::<Result<_, _>>()?
    };
    let told = body.get("inputTextTokenCount").and_then(Value::as_u64);
    Ok(Answer {
        model: String::new(),
        vectors,
        usage: told.or(counted).map(|input| Usage {
            input,
            ..Usage::default()
        }),
    })
}

/// The answers to all calls as one; it is counted when each of them is. One answer stays as it is.
pub fn joined(mut answers: Vec<Answer>) -> Answer {
    if answers.len() == 1 {
        return answers.pop().unwrap_or_default();
    }
    let mut whole = Answer {
        usage: Some(Usage::default()),
        ..Answer::default()
    };
    for answer in answers {
        whole.vectors.extend(answer.vectors);
        whole.usage = whole.usage.zip(answer.usage).map(|(all, one)| Usage {
            input: all.input.saturating_add(one.input),
            ..all
        });
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(model: &str, inputs: &[&str], dimensions: Option<u64>) -> Result<Vec<(String, Value)>, String> {
        let request = Request {
            inputs: inputs.iter().map(|text| (*text).to_owned()).collect(),
            dimensions,
            ..Request::default()
        };
        let target = Target {
            model,
            default_max_tokens: 0,
            flavor: "bedrock",
        };
        let sent = requests(&request, target).map_err(|error| error.param)?;
        let body = |sent: Sent| (sent.path, serde_json::from_slice(&sent.body).expect("JSON"));
        Ok(sent.into_iter().map(body).collect())
    }

    #[test]
    fn each_family_is_asked_in_its_own_words() {
        assert_eq!(
            sent("amazon.titan-embed-text-v2:0", &["a", "b"], Some(256)),
            Ok(vec![
                (
                    "model/amazon.titan-embed-text-v2%3A0/invoke".to_owned(),
                    json!({"inputText": "a", "dimensions": 256})
                ),
                (
                    "model/amazon.titan-embed-text-v2%3A0/invoke".to_owned(),
                    json!({"inputText": "b", "dimensions": 256})
                ),
            ])
        );
        assert_eq!(
            sent("amazon.titan-embed-text-v1", &["a"], None),
            Ok(vec![(
                "model/amazon.titan-embed-text-v1/invoke".to_owned(),
                json!({"inputText": "a"})
            )])
        );
        assert_eq!(
            sent("eu.cohere.embed-v4:0", &["a", "b"], Some(512)),
            Ok(vec![(
                "model/eu.cohere.embed-v4%3A0/invoke".to_owned(),
                json!({"texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"],
                    "output_dimension": 512})
            )])
        );
    }

    #[test]
    fn what_a_model_has_not_is_refused_by_field() {
        let table = [
            ("amazon.titan-embed-text-v1", vec!["a"], Some(256), "dimensions"),
            ("cohere.embed-english-v3", vec!["a"], Some(256), "dimensions"),
            ("cohere.embed-english-v3", vec!["a"; 97], None, "input"),
            ("amazon.titan-embed-text-v2:0", vec!["a"; 97], None, "input"),
            ("anthropic.claude-3-haiku-20240307-v1:0", vec!["a"], None, "model"),
            ("amazon.titan-embed-image-v1", vec!["a"], None, "model"),
        ];
        for (model, inputs, dimensions, field) in table {
            assert_eq!(sent(model, &inputs, dimensions), Err(field.to_owned()), "{model}");
        }
    }

    #[test]
    fn answers_of_every_form_are_read_and_counted_together() {
        // The examples of the guides, shortened.
        let titan = answer(
            br#"{"embedding": [0.5, -1.0], "embeddingsByType": {"float": [0.5, -1.0]}, "inputTextTokenCount": 3}"#,
            Some(9),
        )
        .expect("Titan's");
        let floats = answer(
            br#"{"embeddings": [[0.25]], "id": "x", "response_type": "embeddings_floats", "texts": ["a"]}"#,
            Some(2),
        )
        .expect("Cohere's");
        let types = answer(
            br#"{"embeddings": {"float": [[0.125]]}, "response_type": "embeddings_by_type"}"#,
            None,
        )
        .expect("Cohere's by type");
        assert_eq!(titan.vectors, [[0.5, -1.0]]);
        let both = joined(vec![titan.clone(), floats]);
        assert_eq!(both.vectors, [vec![0.5, -1.0], vec![0.25]]);
        assert_eq!(both.usage.map(|usage| usage.input), Some(5));
        assert_eq!(
            joined(vec![titan, types]).usage,
            None,
            "what is not counted is not known"
        );
        for body in ["", "{}", r#"{"embedding": ["x"]}"#, r#"{"embeddings": 1}"#] {
            assert!(answer(body.as_bytes(), None).is_err(), "{body}");
        }
    }
}
