//! Handles requests of `CloudFormation` for a custom resource: onboards an organization for a stack and sends the
//! response (docs/events.md).
//!
//! Every request with a response URL gets a response, whatever happens, and the invocation then succeeds. A function
//! error would be retried, and would copy the URL to the destination for failed events. `Delete` offboards only what
//! the resource created; the physical id records that.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::event::cloudformation::{Asked, CustomResource};
use hubkeeper_core::outcome::Outcome;
use hubkeeper_core::report::Report;
use hubkeeper_core::request::{Mode, Request, Trigger};
use hubkeeper_core::secret::labels::hex_sha256;
use hubkeeper_core::time::{Timestamp, until};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::fleet;
use crate::http::{HttpClient, HttpShared, Policy};
use crate::process::Process;

/// Time reserved for the response: this, or a quarter of the remaining time if that is less.
const FOR_ANSWER: Duration = Duration::from_secs(30);
/// Maximum size of a response in bytes (AWS's guide of custom resources).
const ANSWER_BYTES: usize = 4096;
/// Retries the whole response until the time is up. Each attempt writes the same object.
const ANSWER: Policy = Policy { attempts: u32::MAX, ..Policy::SAFE };

/// The meaning of a physical id.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Physical {
    /// The resource created the connector of this secret, or will create it once a person has acted.
    Made(String),
    /// The resource created nothing.
    Kept(String),
}

/// Maximum length of an ARN in a physical id, in characters. The physical id has at most 1,024.
const LONGEST: usize = 900;
const MADE: &str = "hubkeeper/";
const KEPT: &str = "hubkeeper-kept/";

impl Physical {
    /// Parses the physical id of a request. Returns `None` for a foreign id, such as that of a creation that never got
    /// a response.
    fn parse(id: &str) -> Option<Self> {
        let named = |prefix| id.strip_prefix(prefix).filter(|rest: &&str| !rest.is_empty()).map(str::to_owned);
        named(MADE).map(Physical::Made).or_else(|| named(KEPT).map(Physical::Kept))
    }

    fn id(&self) -> String {
        match self {
            Physical::Made(secret) => format!("{MADE}{secret}"),
            Physical::Kept(secret) => format!("{KEPT}{secret}"),
        }
    }

    fn secret(&self) -> &str {
        match self {
            Physical::Made(secret) | Physical::Kept(secret) => secret,
        }
    }
}

/// Returns the value of the tag `hubkeeper-stack`. A retry of the same resource's `Create` has the same value.
fn digest(stack_id: &str, logical_id: &str) -> String {
    let mut hex = hex_sha256(&[stack_id, "\n", logical_id]);
    hex.truncate(32);
    hex
}

/// Carries out a request and sends the response. Returns the report, and the error if the response could not be sent.
pub async fn handle(process: &Process, resource: &CustomResource, end: Timestamp) -> (Report, Option<Error>) {
    let now = process.shared.now();
    let work_until = end - FOR_ANSWER.min(until(now, end) / 4);
    let report = match &resource.asked {
        Err(error) => failed(error),
        Ok(asked) => match request(asked, resource) {
            Some(request) => run(process, request, work_until).await,
            None => untouched(),
        },
    };
    let answered = answer(&process.shared, resource, &report, end).await;
    (report, answered.err())
}

/// Responds that the request cannot be carried out, with the reason.
pub async fn refuse(
    shared: &Arc<HttpShared>,
    resource: &CustomResource,
    error: &Error,
    end: Timestamp,
) -> (Report, Option<Error>) {
    let report = failed(error);
    let answered = answer(shared, resource, &report, end).await;
    (report, answered.err())
}

/// Returns the request to run. `None` for the deletion of a resource that created nothing.
fn request(asked: &Asked, resource: &CustomResource) -> Option<Request> {
    let (trigger, secret_id) = match asked {
        Asked::Create { secret_id } | Asked::Update { secret_id } => {
            (Trigger::Onboard { force: false, fix_role: false, version: None }, secret_id.clone())
        }
        Asked::Delete => match resource.physical_id.as_deref().and_then(Physical::parse) {
            Some(Physical::Made(secret_id)) => (Trigger::Offboard, secret_id),
            Some(Physical::Kept(_)) | None => return None,
        },
    };
    let creates = matches!(asked, Asked::Create { .. });
    let stack = creates.then(|| digest(&resource.stack_id, &resource.logical_id));
    Some(Request { trigger, mode: Mode::Apply, secret_id, version: None, rotation_token: None, stack, sent_at: None })
}

async fn run(process: &Process, request: Request, end: Timestamp) -> Report {
    // runs as a fleet of one, so that a panic or a timeout becomes a report
    let mut ran = None;
    fleet::work(process, vec![request], end, &mut |_, report| ran = Some(report)).await;
    ran.unwrap_or_else(|| failed(&Error::retryable("nothing was done", "report this as a bug")))
}

fn failed(error: &Error) -> Report {
    let mut report = Report::new("customResource", Mode::Apply.name());
    report.fail(error);
    report
}

fn untouched() -> Report {
    let mut report = Report::new(Trigger::Offboard.name(), Mode::Apply.name());
    report.reason = Some("this resource created no connector, so nothing is offboarded".into());
    report
}

async fn answer(
    shared: &Arc<HttpShared>,
    resource: &CustomResource,
    report: &Report,
    end: Timestamp,
) -> Result<(), Error> {
    let mut put = http::Request::new(Bytes::from(body(resource, report)));
    *put.method_mut() = http::Method::PUT;
    // no content type: the signature covers an empty one
    *put.uri_mut() = uri(resource);
    let lost = |why: String| {
        Error::new(
            Kind::Retryable,
            format!("the response to CloudFormation was not delivered: {why}"),
            "the stack waits until it times out: cancel the operation, or let it fail, and repeat it",
        )
        .at("customResource")
    };
    match HttpClient::new(Arc::clone(shared), end).send(put, ANSWER).await {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(lost(format!("status {}", response.status().as_u16()))),
        Err(error) => Err(lost(error.to_string())),
    }
}

/// Builds the response, and shortens its reason if the whole would be too long.
fn body(resource: &CustomResource, report: &Report) -> String {
    let failed = report.outcome <= Outcome::NotReached;
    let reason = report.error_message.as_deref().or(report.reason.as_deref()).unwrap_or_default();
    let mut answer = json!({
        "Status": if failed { "FAILED" } else { "SUCCESS" },
        "Reason": reason,
        "PhysicalResourceId": physical(resource, report),
        "StackId": resource.stack_id,
        "RequestId": resource.request_id,
        "LogicalResourceId": resource.logical_id,
        "Data": data(report),
    });
    let mut kept = reason.to_owned();
    loop {
        let text = answer.to_string();
        let over = text.len().saturating_sub(ANSWER_BYTES);
        if over == 0 {
            return text;
        }
        if kept.is_empty() {
            // names of Azure may be long
            answer["Data"] = json!({"Outcome": report.outcome.name()});
            return answer.to_string();
        }
        // one byte of the reason takes at most six bytes of JSON
        let mut end = kept.len() - over.div_ceil(6).min(kept.len());
        while !kept.is_char_boundary(end) {
            end -= 1;
        }
        kept.truncate(end);
        answer["Reason"] = Value::String(kept.clone());
    }
}

/// Returns the attributes that a stack can read from the resource.
fn data(report: &Report) -> Value {
    let connector = report.connector.as_ref().map(|connector| connector.id.clone());
    let invitation = report.invitation.as_ref().map(|invitation| invitation.state.to_owned());
    let mut data = json!({"Outcome": report.outcome.name()});
    for (name, value) in [
        ("Organization", report.organization.clone()),
        ("VersionId", report.version_id.as_ref().map(ToString::to_string)),
        ("ConnectorId", connector),
        ("Invitation", invitation),
    ] {
        if let Some(value) = value {
            data[name] = Value::String(value);
        }
    }
    data
}

/// Returns the physical id for the response. It stays the same for the same secret, and changes when an update names
/// another secret.
fn physical(resource: &CustomResource, report: &Report) -> String {
    let failed = report.outcome <= Outcome::NotReached;
    let secret = report.secret_id.as_deref().filter(|secret| secret.len() <= LONGEST);
    // no connector existed, or an earlier request of this resource created it
    let is_own = report.found_connector == Some(false) || report.is_stack_own;
    let fresh = || match secret {
        Some(secret) if report.may_have_created || (!failed && is_own) => Physical::Made(secret.to_owned()),
        _ => Physical::Kept(secret.unwrap_or("none").to_owned()),
    };
    let before = resource.physical_id.as_deref();
    let same = before.and_then(Physical::parse).is_some_and(|before| Some(before.secret()) == secret);
    match (&resource.asked, before) {
        (Ok(Asked::Create { .. }), _) | (_, None) => fresh().id(),
        // a new id makes `CloudFormation` delete the old resource, so a failed update must keep the old id
        (Ok(Asked::Update { .. }), Some(_)) if !failed && !same => fresh().id(),
        (_, Some(before)) => before.to_owned(),
    }
}

/// Returns the response URL for its one request, unchanged because the signature covers it.
fn uri(resource: &CustomResource) -> http::Uri {
    resource.url.expose_secret().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests;
