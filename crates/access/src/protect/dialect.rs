//! In which API's way a refusal is told. Pure.

use ::http::StatusCode;
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use stead_kernel::{Error, http};

/// The API that a path belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `/v1`.
    OpenAi,
    /// `/v1/messages`.
    Anthropic,
    /// `/v1beta`.
    Gemini,
    /// `/ollama`.
    Ollama,
    /// `/opik`.
    Opik,
    /// `/otlp`, and where Langfuse's exporters send.
    Otlp,
    /// What OpenTelemetry's exporters call over gRPC.
    Grpc,
    /// `/k8s`.
    Kubernetes,
    /// `/livez` and `/readyz`, which are asked by address, from anywhere.
    Probe,
    /// Everything else.
    Own,
}

/// What begins with what; the first that matches counts.
const PATHS: [(&str, Dialect); 13] = [
    ("/v1/messages", Dialect::Anthropic),
    ("/v1", Dialect::OpenAi),
    ("/v1beta", Dialect::Gemini),
    ("/ollama", Dialect::Ollama),
    ("/opik", Dialect::Opik),
    ("/otlp", Dialect::Otlp),
    ("/api/public/otel", Dialect::Otlp),
    (
        "/opentelemetry.proto.collector.trace.v1.TraceService",
        Dialect::Grpc,
    ),
    (
        "/opentelemetry.proto.collector.logs.v1.LogsService",
        Dialect::Grpc,
    ),
    (
        "/opentelemetry.proto.collector.metrics.v1.MetricsService",
        Dialect::Grpc,
    ),
    ("/k8s", Dialect::Kubernetes),
    ("/livez", Dialect::Probe),
    ("/readyz", Dialect::Probe),
];

impl Dialect {
    pub(super) fn of(path: &str) -> Self {
        let below = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        PATHS
            .iter()
            .find(|(prefix, _)| below(prefix))
            .map_or(Self::Own, |(_, dialect)| *dialect)
    }

    /// Whether it is an API that web pages of other origins may be allowed to call.
    pub(super) const fn is_model_api(self) -> bool {
        matches!(self, Self::OpenAi | Self::Anthropic | Self::Gemini | Self::Ollama)
    }

    /// The answer that says why a request was not let in.
    pub(super) fn refuse(self, error: &Error) -> Response {
        let status = http::status(error.reason());
        if self == Self::Grpc {
            return grpc(error, status);
        }
        (status, Json(self.body(error, status))).into_response()
    }

    fn body(self, error: &Error, status: StatusCode) -> Value {
        let message = error.get_hint().map_or_else(
            || error.message().to_owned(),
            |hint| format!("{} ({hint})", error.message()),
        );
        let code = status.as_u16();
        match self {
            Self::OpenAi => json!({"error": {
                "message": message, "type": "invalid_request_error", "param": null, "code": error.reason().as_str(),
            }}),
            Self::Anthropic => {
                json!({"type": "error", "error": {"type": "permission_error", "message": message}})
            }
            Self::Gemini => {
                json!({"error": {"code": code, "message": message, "status": "PERMISSION_DENIED"}})
            }
            Self::Ollama => json!({"error": message}),
            Self::Opik => json!({"code": code, "message": message}),
            // A `google.rpc.Status`: 16 is unauthenticated, 7 permission denied.
            Self::Otlp | Self::Grpc => {
                json!({"code": if status == StatusCode::UNAUTHORIZED { 16 } else { 7 }, "message": message})
            }
            Self::Kubernetes => json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": "Forbidden", "code": code,
            }),
            Self::Probe | Self::Own => json!({"error": {
                "reason": error.reason().as_str(), "message": error.message(), "hint": error.get_hint(),
            }}),
        }
    }
}

/// A refusal of gRPC's, which has no body (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
fn grpc(error: &Error, status: StatusCode) -> Response {
    let code = if status == StatusCode::UNAUTHORIZED {
        "16"
    } else {
        "7"
    };
    // Percent-encoded where it must be: what is no plain ASCII.
    let message: String = error
        .message()
        .bytes()
        .map(|byte| match byte {
            b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let headers = [
        ("content-type", "application/grpc".to_owned()),
        ("grpc-status", code.to_owned()),
        ("grpc-message", message),
    ];
    (StatusCode::OK, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_belong_to_their_apis() {
        for (path, dialect) in [
            ("/v1", Dialect::OpenAi),
            ("/v1/chat/completions", Dialect::OpenAi),
            ("/v1/messages", Dialect::Anthropic),
            ("/v1/messages/count_tokens", Dialect::Anthropic),
            ("/v1/messagesx", Dialect::OpenAi),
            ("/v1beta/models", Dialect::Gemini),
            ("/v1betas", Dialect::Own),
            ("/ollama/api/chat", Dialect::Ollama),
            ("/opik/api/v1/private/traces", Dialect::Opik),
            ("/opikx", Dialect::Own),
            ("/otlp/v1/traces", Dialect::Otlp),
            ("/api/public/otel/v1/traces", Dialect::Otlp),
            (
                "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
                Dialect::Grpc,
            ),
            ("/api/public/x", Dialect::Own),
            ("/k8s/apis", Dialect::Kubernetes),
            ("/k8sx", Dialect::Own),
            ("/livez", Dialect::Probe),
            ("/livez/x", Dialect::Probe),
            ("/api/session", Dialect::Own),
            ("/", Dialect::Own),
            ("", Dialect::Own),
        ] {
            assert_eq!(Dialect::of(path), dialect, "{path}");
        }
    }
}
