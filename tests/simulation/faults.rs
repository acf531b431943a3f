//! The faults, and the requests to which each applies.

use bytes::Bytes;
use hubkeeper::http::{Request, Response};
use hubkeeper_sandbox::Service;
use hubkeeper_sandbox::world::json as answer;
use serde_json::{Value, json};

use crate::calls::Call;

/// One fault at one request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fault {
    Status500,
    Status500After,
    Status503,
    Status429,
    Status429Wait,
    Throttled,
    ResetBefore,
    ResetAfter,
    HangBefore,
    HangAfter,
    Truncated,
    InvalidJson,
    Html,
    WrongShape,
    Expired,
    ValueLags,
    TokenLags,
    RoleLags,
    LabelsLag,
    ConnectorLags,
    EmptyList,
    ForeignLink,
    Outage,
    Silence,
    KilledBefore,
    KilledAfter,
    KilledLate,
}

impl Fault {
    /// Every fault, in the order of the table.
    pub(crate) const ALL: [Fault; 27] = [
        Fault::Status500,
        Fault::Status500After,
        Fault::Status503,
        Fault::Status429,
        Fault::Status429Wait,
        Fault::Throttled,
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::HangBefore,
        Fault::HangAfter,
        Fault::Truncated,
        Fault::InvalidJson,
        Fault::Html,
        Fault::WrongShape,
        Fault::Expired,
        Fault::ValueLags,
        Fault::TokenLags,
        Fault::RoleLags,
        Fault::LabelsLag,
        Fault::ConnectorLags,
        Fault::EmptyList,
        Fault::ForeignLink,
        Fault::Outage,
        Fault::Silence,
        Fault::KilledBefore,
        Fault::KilledAfter,
        Fault::KilledLate,
    ];

    /// The name in the table, and in `docs/failure-table.md`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Status500 => "status 500",
            Fault::Status500After => "status 500 after it was done",
            Fault::Status503 => "status 503",
            Fault::Status429 => "status 429",
            Fault::Status429Wait => "status 429 with Retry-After",
            Fault::Throttled => "status 429 past the deadline",
            Fault::ResetBefore => "reset before it was done",
            Fault::ResetAfter => "reset after it was done",
            Fault::HangBefore => "hangs before it is done",
            Fault::HangAfter => "hangs after it was done",
            Fault::Truncated => "truncated body",
            Fault::InvalidJson => "invalid JSON",
            Fault::Html => "HTML",
            Fault::WrongShape => "wrong shape",
            Fault::Expired => "expired bearer",
            Fault::ValueLags => "value not yet readable",
            Fault::TokenLags => "token not yet accepted",
            Fault::RoleLags => "role not yet effective",
            Fault::LabelsLag => "labels lag",
            Fault::ConnectorLags => "connector lags",
            Fault::EmptyList => "empty list",
            Fault::ForeignLink => "foreign paging link",
            Fault::Outage => "outage of ten minutes",
            Fault::Silence => "silence of ten minutes",
            Fault::KilledBefore => "killed before the request",
            Fault::KilledAfter => "killed after the request",
            Fault::KilledLate => "killed, and the request arrives late",
        }
    }

    /// Whether the fault can happen to a request. The sweep skips other cases.
    pub(crate) fn applies(self, service: Service, call: Call) -> bool {
        // a manifest is requested by HEAD, and the function reads only the status of a custom resource's response URL
        let has_body = !matches!(call, Call::Manifest | Call::Answer);
        match self {
            Fault::Truncated | Fault::InvalidJson | Fault::Html | Fault::WrongShape => has_body,
            // logins, token exchanges, the token service and a presigned URL take no bearer: a 401 is about the credential itself
            Fault::Expired => {
                !matches!(call, Call::Login | Call::PasswordLogin | Call::Exchange | Call::Grant | Call::Answer)
            }
            Fault::ValueLags => call == Call::Put,
            Fault::TokenLags => call == Call::Mint,
            Fault::RoleLags => service == Service::Arm,
            Fault::LabelsLag => matches!(call, Call::Put | Call::Stage | Call::Tag),
            Fault::ConnectorLags => matches!(call, Call::ConnectorPut | Call::ConnectorDelete),
            Fault::EmptyList => {
                matches!(call, Call::Repositories | Call::Tags | Call::Tokens | Call::Neighbours | Call::List)
            }
            Fault::ForeignLink => {
                matches!(
                    call,
                    Call::Repositories | Call::Tags | Call::Tokens | Call::People | Call::Neighbours | Call::Health
                )
            }
            Fault::KilledLate => call.changes(),
            _ => true,
        }
    }

    /// Whether the function gets a short timeout, so that its deadline comes during a wait.
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Fault::Silence | Fault::Throttled)
    }
}

/// A host that belongs to none of the function's services.
pub(crate) const FOREIGN_HOST: &str = "evil.example.com";

/// An error in the service's words. It quotes the request, as services do.
pub(crate) fn refusal(service: Service, status: u16, code: &str, request: &Request) -> Response {
    let quoted = format!(
        "{} {} {}",
        code,
        String::from_utf8_lossy(request.body()),
        request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default()
    );
    let body = match service {
        Service::Aws => json!({"__type": code, "Message": quoted}),
        Service::Arm => json!({"error": {"code": code, "message": quoted}}),
        Service::Entra => {
            json!({"error": "temporarily_unavailable", "error_description": quoted, "error_codes": [90033]})
        }
        _ => json!({"message": quoted, "detail": quoted, "details": quoted}),
    };
    let mut response = answer(status, &body);
    if service == Service::Aws
        && let Ok(code) = code.parse()
    {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}

/// The response to an expired bearer, or to expired AWS credentials.
pub(crate) fn expired(service: Service, request: &Request) -> Response {
    match service {
        Service::Aws => refusal(service, 400, "ExpiredTokenException", request),
        Service::Arm => refusal(service, 401, "ExpiredAuthenticationToken", request),
        Service::Registry => {
            let mut response = refusal(service, 401, "UNAUTHORIZED", request);
            let challenge =
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",error="invalid_token""#;
            response.headers_mut().insert("www-authenticate", http::HeaderValue::from_static(challenge));
            response
        }
        _ => refusal(service, 401, "unauthorized", request),
    }
}

/// The same response with another body.
pub(crate) fn with_body(response: &Response, body: Bytes) -> Response {
    let mut other = response.clone();
    other.headers_mut().remove("content-length");
    *other.body_mut() = body;
    other
}

/// The first half of the body.
pub(crate) fn halved(response: &Response) -> Response {
    let body = response.body();
    let half = body.slice(..body.len() / 2);
    with_body(response, if half.is_empty() { Bytes::from_static(b"{") } else { half })
}

/// A proxy's error page that quotes the request.
pub(crate) fn html(response: &Response, request: &Request) -> Response {
    let page = format!(
        "<html><body><h1>Bad gateway</h1><pre>{} {}</pre></body></html>",
        request.uri(),
        String::from_utf8_lossy(request.body())
    );
    let mut page = with_body(response, Bytes::from(page));
    page.headers_mut().insert("content-type", http::HeaderValue::from_static("text/html"));
    page
}

/// The same fields with values of other types.
pub(crate) fn misshapen(response: &Response) -> Response {
    fn turn(value: Value) -> Value {
        match value {
            Value::String(text) => json!({ "text": text }),
            Value::Number(number) => json!(number.to_string()),
            Value::Bool(_) | Value::Null => json!([]),
            Value::Array(_) => json!({}),
            Value::Object(members) => members.into_iter().map(|(name, value)| (name, turn(value))).collect(),
        }
    }
    let body = serde_json::from_slice::<Value>(response.body()).map_or_else(|_| json!([1, 2, 3]), turn);
    with_body(response, Bytes::from(body.to_string()))
}

/// An empty list, as Docker Hub returns it for a namespace that the token may not see.
pub(crate) fn empty_list(response: &Response, service: Service) -> Response {
    let body = match service {
        Service::Arm => json!({"value": []}),
        Service::Aws => json!({"SecretList": [], "Versions": []}),
        Service::Registry => json!({"name": "acme/web", "tags": []}),
        _ => json!({"count": 0, "next": null, "previous": null, "results": []}),
    };
    with_body(response, Bytes::from(body.to_string()))
}

/// The same page, with a next page on a foreign host.
pub(crate) fn foreign_link(response: &Response, service: Service) -> Response {
    let Ok(mut body) = serde_json::from_slice::<Value>(response.body()) else { return response.clone() };
    let member = if service == Service::Arm { "nextLink" } else { "next" };
    body[member] = json!(format!("https://{FOREIGN_HOST}/page?page=2"));
    with_body(response, Bytes::from(body.to_string()))
}
