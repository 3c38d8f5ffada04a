//! From a request that names a prompt to one that says what the prompt says. Nothing here performs I/O.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use stead_dialects::chat::Wire;

use super::{
    Template, Version,
    book::Book,
    render::{self, RenderError},
    shelves::Choice,
};
use crate::api::error::ApiError;

/// How a request names a prompt: OpenAI's Responses API with `id`, `version` and `variables`
/// (<https://platform.openai.com/docs/api-reference/responses/create#responses-create-prompt>), and what we add.
#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default, alias = "id")]
    name: Option<String>,
    #[serde(default)]
    version: Option<Value>,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

impl Book {
    /// The request's body with what its prompt says; `None` when it names none of ours.
    ///
    /// # Errors
    /// When there is no such prompt or version, or it cannot be rendered.
    pub(crate) fn apply(&self, project: &str, wire: Wire, body: &[u8]) -> Result<Option<Value>, ApiError> {
        let takes = matches!(wire, Wire::OpenAi | Wire::Responses);
        if !takes || memchr::memmem::find(body, b"\"prompt\"").is_none() {
            return Ok(None);
        }
        let Ok(Value::Object(mut request)) = serde_json::from_slice::<Value>(body) else {
            // Whoever reads it next says what is wrong with it.
            return Ok(None);
        };
        let Some(given) = request.get("prompt").filter(|given| given.is_object()) else {
            return Ok(None);
        };
        if !self.is_known() {
            return Err(ApiError::unavailable(
                "prompts_unknown",
                "this gateway has not read the prompts yet; try again",
            ));
        }
        let named = Named::deserialize(given)
            .map_err(|error| refused(format!("prompt: it does not have the expected form: {error}")))?;
        let name = named
            .name
            .clone()
            .ok_or_else(|| refused("prompt: name or id is missing"))?;
        if wire == Wire::Responses && name.starts_with("pmpt_") && !self.has(project, &name) {
            // One that OpenAI keeps.
            return Ok(None);
        }
        let version = self.find(project, &name, &choice(&named)?).ok_or_else(|| {
            let short: String = name.chars().take(100).collect();
            let message = format!("there is no prompt `{short}` of this version or label in this project; GET /api/prompts lists them");
            ApiError::invalid("prompt_not_found", message).param("prompt")
        })?;
        let variables = named.variables.unwrap_or_default();
        let texts =
            render::render(&version.template, &variables).map_err(|error| unrendered(&version, &error))?;
        request.remove("prompt");
        insert(&mut request, wire, &version.template, texts);
        Ok(Some(Value::Object(request)))
    }
}

fn refused(message: impl Into<String>) -> ApiError {
    ApiError::invalid("invalid_prompt", message).param("prompt")
}

fn unrendered(version: &Version, error: &RenderError) -> ApiError {
    refused(format!(
        "prompt `{}` (version {}): {error}",
        version.name, version.version
    ))
}

fn choice(named: &Named) -> Result<Choice, ApiError> {
    match (&named.version, &named.label) {
        (Some(_), Some(_)) => Err(refused("prompt: version or label, not both")),
        (None, Some(label)) => Ok(Choice::Label(label.clone())),
        (None | Some(Value::Null), None) => Ok(Choice::Default),
        (Some(Value::Number(number)), None) => number
            .as_u64()
            .map(Choice::Version)
            .ok_or_else(|| refused("prompt.version: a version is a number from 1, a label or an id")),
        (Some(Value::String(text)), None) => Ok(Choice::parse(text)),
        (Some(_), None) => Err(refused(
            "prompt.version: a version is a number from 1, a label or an id",
        )),
    }
}

/// Puts rendered texts before what the request says itself.
fn insert(request: &mut Map<String, Value>, wire: Wire, template: &Template, texts: Vec<String>) {
    let list = if wire == Wire::Responses {
        "input"
    } else {
        "messages"
    };
    let own = match request.remove(list) {
        Some(Value::Array(own)) => own,
        Some(Value::String(text)) => vec![json!({"role": "user", "content": text})],
        Some(_) | None => Vec::new(),
    };
    let roles: Vec<Value> = match template {
        Template::Messages(messages) => messages.iter().map(|message| json!(message.role)).collect(),
        Template::Text(_) if own.is_empty() => vec![json!("user")],
        Template::Text(_) => vec![json!("system")],
    };
    let mut messages: Vec<Value> = roles
        .into_iter()
        .zip(texts)
        .map(|(role, text)| json!({"role": role, "content": text}))
        .collect();
    messages.extend(own);
    request.insert(list.into(), messages.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::book::tests::book;

    async fn apply(wire: Wire, body: &Value) -> Result<Option<Value>, String> {
        book()
            .await
            .apply("default", wire, body.to_string().as_bytes())
            .map_err(|error| error.message)
    }

    #[tokio::test]
    async fn what_a_prompt_says_comes_before_what_the_request_says() {
        let request = json!({"model": "m", "prompt": {"name": "greet", "version": 1, "variables": {"who": "Ada"}},
            "messages": [{"role": "user", "content": "hi"}]});
        let expected = json!({"model": "m", "messages": [
            {"role": "system", "content": "Greet Ada."}, {"role": "user", "content": "hi"}]});
        assert_eq!(apply(Wire::OpenAi, &request).await, Ok(Some(expected)));
        let request = json!({"model": "m", "prompt": {"id": "greet", "version": "production", "variables": {"who": "Ada"}},
            "input": "hi"});
        let expected = json!({"model": "m", "input": [
            {"role": "developer", "content": "Be kind to Ada."}, {"role": "user", "content": "hi"}]});
        assert_eq!(apply(Wire::Responses, &request).await, Ok(Some(expected)));
        let alone =
            json!({"model": "m", "prompt": {"name": "greet", "version": "1", "variables": {"who": "Ada"}}});
        assert_eq!(
            apply(Wire::OpenAi, &alone).await.unwrap().unwrap()["messages"][0]["role"],
            "user"
        );
    }

    #[tokio::test]
    async fn requests_without_a_prompt_of_ours_are_left_alone() {
        for (wire, body) in [
            (
                Wire::OpenAi,
                json!({"messages": [{"content": "a \"prompt\" here"}]}),
            ),
            (Wire::OpenAi, json!({"prompt": "raw"})),
            (Wire::Responses, json!({"prompt": {"id": "pmpt_123"}})),
            (Wire::Anthropic, json!({"prompt": {"name": "greet"}})),
        ] {
            assert_eq!(apply(wire, &body).await, Ok(None), "{body}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_one_sentence() {
        let cases = [
            (
                json!({"name": "greet"}),
                "prompt `greet` (version 2): the variables who are missing",
            ),
            (json!({"version": 1}), "prompt: name or id is missing"),
            (
                json!({"name": "greet", "version": 1, "label": "x"}),
                "prompt: version or label, not both",
            ),
        ];
        for (prompt, expected) in cases {
            assert_eq!(
                apply(Wire::OpenAi, &json!({"prompt": prompt})).await.unwrap_err(),
                expected
            );
        }
        for prompt in [
            json!({"name": "other"}),
            json!({"name": "greet", "version": 9}),
            json!({"name": "greet", "label": "x"}),
        ] {
            assert!(
                apply(Wire::OpenAi, &json!({"prompt": prompt}))
                    .await
                    .unwrap_err()
                    .starts_with("there is no prompt")
            );
        }
    }
}
