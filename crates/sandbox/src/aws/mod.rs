//! AWS: Secrets Manager, STS and SQS behind one endpoint, distinguished by `X-Amz-Target` or the form's `Action`.
//!
//! A request must carry a Signature Version 4 in its `Authorization` header. The sandbox does not verify the signature.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::world::{Request, Response, State};

mod events;
mod input;
mod labels;
mod listing;
mod manage;
pub mod model;
mod person;
mod rotate;
pub mod sqs;
pub mod sts;
mod values;

pub use events::time_text;
pub use person::{
    age, all_secret_values, create_empty_secret, create_secret, enable_rotation, put_version, set_tag, tags, value_of,
    version_with,
};
pub use rotate::begin_rotation;
pub(crate) use rotate::{begin_test, end_test, rotation_event};

use input::Input;

/// The state of the AWS services.
#[expect(clippy::struct_excessive_bools, reason = "switches of the service's behaviour, each on its own")]
pub struct Aws {
    /// The Region, `eu-west-1`.
    pub region: String,
    /// The account, twelve digits.
    pub account: String,
    /// The secrets by ARN.
    pub secrets: BTreeMap<String, model::Secret>,
    /// The events that AWS sent to `EventBridge`, oldest first.
    pub events: Vec<Value>,
    /// Whether an empty page with a `NextToken` precedes every page of a list, as the service may do.
    pub empty_pages: bool,
    /// Whether tagging changes `LastChangedDate` ("modified in any way", AWS's reference). Default on.
    pub tags_change_date: bool,
    /// Whether rotations pass a `RotationToken` to their function. Default on.
    pub rotation_tokens: bool,
    /// Whether `AWSPENDING` stays on the current version after a successful rotation, as if the service cleaned up late.
    pub leave_pending: bool,
    /// Whether the pending version of a test-only rotation holds a copy of the current value. Otherwise it has no value.
    pub test_copies_current: bool,
    /// The primary Region of every secret, if the secrets of this Region are replicas.
    pub primary_region: Option<String>,
    /// The security token service (STS).
    pub sts: sts::Sts,
    /// The queues (SQS).
    pub sqs: sqs::Sqs,
    /// Rotation tokens that the sandbox issued.
    pub(crate) rotation_tokens_given: Vec<String>,
}

impl Default for Aws {
    fn default() -> Self {
        Self {
            region: "eu-west-1".to_owned(),
            account: "111122223333".to_owned(),
            secrets: BTreeMap::new(),
            events: Vec::new(),
            empty_pages: false,
            tags_change_date: true,
            rotation_tokens: true,
            leave_pending: false,
            test_copies_current: false,
            primary_region: None,
            sts: sts::Sts::default(),
            sqs: sqs::Sqs::default(),
            rotation_tokens_given: Vec::new(),
        }
    }
}

/// An error response in AWS's JSON protocols: `{"__type","Message"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status: 400, except for the service's own errors.
    pub status: u16,
    /// The error's name, `__type`.
    pub kind: &'static str,
    /// The error's message.
    pub message: String,
}

impl Refusal {
    /// An error response with status 400.
    #[must_use]
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, kind, message: message.into() }
    }

    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::new("InvalidRequestException", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }
}

/// The service that a request addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    SecretsManager,
    Sqs,
    Sts,
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn target(request: &Request) -> Option<(Kind, &str)> {
    let (service, action) = header(request, "x-amz-target").split_once('.')?;
    match service {
        "secretsmanager" => Some((Kind::SecretsManager, action)),
        "AmazonSQS" => Some((Kind::Sqs, action)),
        _ => None,
    }
}

/// Handles one request.
pub fn handle(state: &mut State, request: &Request) -> Response {
    let request_id = state.uuid();
    let (kind, action) = match target(request) {
        Some((kind, action)) => (kind, action.to_owned()),
        None if request.headers().contains_key("x-amz-target") => {
            let refusal = Refusal { status: 404, kind: "UnknownOperationException", message: String::new() };
            return answer("application/x-amz-json-1.1", &request_id, Err(refusal));
        }
        None => (Kind::Sts, String::new()),
    };
    if kind == Kind::Sts {
        return sts::handle(state, request, &request_id);
    }
    let content_type = if kind == Kind::Sqs { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
    let result = admit(request, kind, content_type).and_then(|body| {
        let input = Input::new(&body)?;
        if kind == Kind::Sqs { sqs::handle(state, &action, &input) } else { secrets(state, &action, &input) }
    });
    answer(content_type, &request_id, result)
}

/// Checks what every request of the JSON protocols must be: a signed POST of a JSON object in the service's own content type.
fn admit(request: &Request, kind: Kind, content_type: &str) -> Result<Value, Refusal> {
    let given = header(request, "content-type");
    let given = given.split(';').next().unwrap_or_default().trim();
    if request.method() != http::Method::POST || !given.eq_ignore_ascii_case(content_type) {
        return Err(Refusal { status: 404, kind: "UnknownOperationException", message: String::new() });
    }
    if !is_signed(request) {
        return Err(Refusal {
            status: if kind == Kind::Sqs { 403 } else { 400 },
            kind: "MissingAuthenticationTokenException",
            message: "Missing Authentication Token".to_owned(),
        });
    }
    serde_json::from_slice(request.body()).map_err(|_| Refusal::new("SerializationException", ""))
}

fn is_signed(request: &Request) -> bool {
    let authorization = header(request, "authorization");
    authorization.starts_with("AWS4-HMAC-SHA256 ")
        && ["Credential=", "SignedHeaders=", "Signature="].iter().all(|part| authorization.contains(part))
}

fn secrets(state: &mut State, action: &str, input: &Input<'_>) -> Result<Value, Refusal> {
    person::purge(state);
    match action {
        "GetSecretValue" => values::get(state, input),
        "PutSecretValue" => values::put(state, input),
        "CreateSecret" => values::create(state, input),
        "UpdateSecret" => values::update(state, input),
        "UpdateSecretVersionStage" => labels::update(state, input),
        "DescribeSecret" => listing::describe(state, input),
        "ListSecrets" => listing::secrets(state, input),
        "ListSecretVersionIds" => listing::versions(state, input),
        "TagResource" => manage::tag(state, input),
        "UntagResource" => manage::untag(state, input),
        "DeleteSecret" => manage::delete(state, input),
        "RestoreSecret" => manage::restore(state, input),
        "RotateSecret" => rotate::rotate(state, input),
        "CancelRotateSecret" => rotate::cancel(state, input),
        _ => Err(Refusal::new("UnknownOperationException", "")),
    }
}

fn answer(content_type: &str, request_id: &str, result: Result<Value, Refusal>) -> Response {
    let (status, body) = match &result {
        Ok(body) => (200, body.clone()),
        Err(refusal) => (refusal.status, json!({ "__type": refusal.kind, "Message": refusal.message })),
    };
    let mut response = http::Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("x-amzn-requestid", request_id);
    if let Err(refusal) = result {
        response = response.header("x-amzn-errortype", refusal.kind);
    }
    response.body(Bytes::from(body.to_string())).unwrap_or_else(|_| http::Response::new(Bytes::new()))
}

/// The action of a request: the last part of `X-Amz-Target`, or the form's `Action`.
#[must_use]
pub fn action(request: &Request) -> Option<String> {
    if let Some((_, action)) = header(request, "x-amz-target").split_once('.') {
        return Some(action.to_owned());
    }
    url::form_urlencoded::parse(request.body())
        .find(|(name, _)| name == "Action")
        .map(|(_, action)| action.into_owned())
        .filter(|action| !action.is_empty() && action.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether the action changes lasting state: secrets, or the messages of a queue.
#[must_use]
pub fn is_write(request: &Request) -> bool {
    const WRITES: [&str; 8] = ["Put", "Update", "Create", "Delete", "Tag", "Untag", "Rotate", "Restore"];
    match target(request) {
        Some((Kind::SecretsManager, action)) => {
            WRITES.iter().any(|write| action.starts_with(write)) || action.starts_with("Cancel")
        }
        Some((Kind::Sqs, action)) => action.starts_with("Send"),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
