//! AWS: Secrets Manager, SQS, STS, IAM, `CloudFormation`, `CloudWatch`, SNS, `EventBridge` Scheduler and S3 behind one endpoint.
//! `X-Amz-Target`, the form's `Version`, the path, or the scope of the signature distinguishes them.
//!
//! A request must carry a Signature Version 4 in its `Authorization` header. The sandbox does not verify the signature. It reads
//! its scope: the service must be the one that the request addresses, and in a Region other than [`Aws::region`] there are no
//! resources.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::world::{Request, Response, State};

pub mod cloudformation;
mod cloudwatch;
pub mod deployment;
mod events;
mod iam;
mod input;
mod labels;
mod listing;
mod manage;
pub mod model;
mod person;
pub(crate) mod query;
mod rotate;
pub mod s3;
mod scheduler;
mod sns;
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
    /// IAM actions, such as `secretsmanager:ListSecrets`, that neither the function's role nor any other caller may do.
    pub denied: BTreeSet<String>,
    /// Whether the callers may not use the KMS key of the secrets: no value can be read or written.
    pub kms_denied: bool,
    /// What the stack deployed.
    pub deployment: deployment::Deployment,
    /// The stacks (`CloudFormation`).
    pub stacks: cloudformation::Stacks,
    /// The buckets (S3) by name.
    pub buckets: BTreeMap<String, s3::Bucket>,
    /// Names of buckets that belong to other accounts.
    pub foreign_buckets: BTreeSet<String>,
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
            denied: BTreeSet::new(),
            kms_denied: false,
            deployment: deployment::Deployment::default(),
            stacks: cloudformation::Stacks::default(),
            buckets: BTreeMap::new(),
            foreign_buckets: BTreeSet::new(),
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

    /// The caller may not use the key of a secret.
    pub(crate) fn of_kms(state: &State) -> Result<(), Self> {
        if state.aws.kms_denied {
            return Err(Self::new("AccessDeniedException", "Access to KMS is not allowed"));
        }
        Ok(())
    }
}

/// A service of the JSON protocols.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    SecretsManager,
    Sqs,
}

impl Kind {
    /// The service's name in IAM actions and in the scope of a signature.
    fn name(self) -> &'static str {
        match self {
            Kind::SecretsManager => "secretsmanager",
            Kind::Sqs => "sqs",
        }
    }
}

/// The scope of a request's signature.
pub(crate) struct Signed<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

impl<'a> Signed<'a> {
    /// The scope of a signed request. `None` if the request is not signed.
    fn of(request: &'a Request) -> Option<Self> {
        Self::parse(header(request, "authorization"))
    }

    /// Parses the `Authorization` header of a signed request.
    pub(crate) fn parse(authorization: &'a str) -> Option<Self> {
        let parts = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let part = |name: &str| parts.split(',').find_map(|part| part.trim().strip_prefix(name));
        let credential: Vec<&str> = part("Credential=")?.split('/').collect();
        let [_, _, region, service, "aws4_request"] = credential[..] else { return None };
        (part("SignedHeaders=").is_some() && part("Signature=").is_some()).then_some(Self { region, service })
    }

    /// The message to a signature for another service.
    pub(crate) fn for_another_service(&self, right: &str) -> String {
        format!("Credential should be scoped to correct service: '{right}', not '{}'.", self.service)
    }
}

/// `__type` of SQS for a caller without the right.
const QUEUE_DENIED: &str = "com.amazon.coral.service#AccessDeniedException";

/// The message to a caller who may not do an action. `None` if the caller may.
pub(crate) fn denial(state: &State, action: &str, resource: Option<&str>) -> Option<String> {
    if !state.aws.denied.contains(action) {
        return None;
    }
    let on = resource.map(|resource| format!(" on resource: {resource}")).unwrap_or_default();
    Some(format!(
        "User: {} is not authorized to perform: {action}{on} because no identity-based policy allows the {action} action",
        sts::caller_arn(state)
    ))
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
    if s3::is_addressed(request) {
        return s3::handle(state, request);
    }
    if has_path(request) {
        return scheduler::handle(state, request, &request_id);
    }
    let Some((kind, action)) = target(request) else {
        if request.headers().contains_key("x-amz-target") {
            let refusal = Refusal { status: 404, kind: "UnknownOperationException", message: String::new() };
            return answer("application/x-amz-json-1.1", &request_id, Err(refusal));
        }
        return query::handle(state, request, &request_id);
    };
    let action = action.to_owned();
    let content_type = if kind == Kind::Sqs { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
    let result = admit(request, kind, content_type).and_then(|(body, region)| {
        let input = Input::new(&body)?;
        authorize(state, kind, &action, &input)?;
        let is_here = region == state.aws.region;
        match kind {
            Kind::Sqs if is_here => sqs::handle(state, &action, &input),
            Kind::Sqs => Err(sqs::no_queue()),
            Kind::SecretsManager if is_here => secrets(state, &action, &input),
            Kind::SecretsManager if action == "ListSecrets" => Ok(json!({ "SecretList": [] })),
            Kind::SecretsManager => Err(Refusal::not_found("Secrets Manager can't find the specified secret.")),
        }
    });
    answer(content_type, &request_id, result)
}

/// Whether the path addresses a service: the APIs of Scheduler and S3 have no action.
pub(crate) fn has_path(request: &Request) -> bool {
    request.uri().path().starts_with(scheduler::PATH) || s3::is_addressed(request)
}

/// Checks what every request of the JSON protocols must be: a signed POST of a JSON object in the service's own content type. Returns
/// the body and the Region.
fn admit<'a>(request: &'a Request, kind: Kind, content_type: &str) -> Result<(Value, &'a str), Refusal> {
    let given = header(request, "content-type");
    let given = given.split(';').next().unwrap_or_default().trim();
    if request.method() != http::Method::POST || !given.eq_ignore_ascii_case(content_type) {
        return Err(Refusal { status: 404, kind: "UnknownOperationException", message: String::new() });
    }
    let status = if kind == Kind::Sqs { 403 } else { 400 };
    let Some(signed) = Signed::of(request) else {
        let message = "Missing Authentication Token".to_owned();
        return Err(Refusal { status, kind: "MissingAuthenticationTokenException", message });
    };
    if signed.service != kind.name() {
        let message = signed.for_another_service(kind.name());
        return Err(Refusal { status, kind: "InvalidSignatureException", message });
    }
    let body = serde_json::from_slice(request.body()).map_err(|_| Refusal::new("SerializationException", ""))?;
    Ok((body, signed.region))
}

/// Checks whether the caller may do the action.
fn authorize(state: &State, kind: Kind, action: &str, input: &Input<'_>) -> Result<(), Refusal> {
    // a batch needs the right of its single messages
    let name = action.trim_end_matches("Batch");
    let resource = match kind {
        Kind::SecretsManager => input.text("SecretId").unwrap_or_default(),
        Kind::Sqs => input.text("QueueUrl").unwrap_or_default(),
    };
    let Some(message) = denial(state, &format!("{}:{name}", kind.name()), resource) else { return Ok(()) };
    Err(match kind {
        Kind::SecretsManager => Refusal::new("AccessDeniedException", message),
        Kind::Sqs => Refusal { status: 403, kind: QUEUE_DENIED, message },
    })
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
        if refusal.kind == QUEUE_DENIED {
            // SQS also sends the error's name of its older protocol
            response = response.header("x-amzn-query-error", "AccessDenied;Sender");
        }
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

/// Whether the action changes lasting state: secrets, or the messages of a queue. Of the other services the sandbox serves only
/// reads, and an action with another name counts as a write.
#[must_use]
pub fn is_write(request: &Request) -> bool {
    const READS: [&str; 5] = ["Get", "List", "Describe", "Simulate", "Assume"];
    const WRITES: [&str; 8] = ["Put", "Update", "Create", "Delete", "Tag", "Untag", "Rotate", "Restore"];
    match target(request) {
        Some((Kind::SecretsManager, action)) => {
            WRITES.iter().any(|write| action.starts_with(write)) || action.starts_with("Cancel")
        }
        Some((Kind::Sqs, action)) => action.starts_with("Send"),
        None if has_path(request) => !matches!(request.method().as_str(), "GET" | "HEAD"),
        None => action(request).is_some_and(|action| !READS.iter().any(|read| action.starts_with(read))),
    }
}

#[cfg(test)]
mod tests;
