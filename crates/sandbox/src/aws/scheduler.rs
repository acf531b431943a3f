//! `EventBridge` Scheduler: `GET /schedules/{name}`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::values::seconds;
use super::{Refusal, Signed, denial};
use crate::world::{Request, Response, State};

/// The path of schedules.
pub(super) const PATH: &str = "/schedules/";

pub(super) fn handle(state: &State, request: &Request, request_id: &str) -> Response {
    let (status, body, kind) = match answer(state, request) {
        Ok(body) => (200, body, None),
        Err(refusal) => (refusal.status, json!({ "Message": refusal.message }), Some(refusal.kind)),
    };
    let mut response = http::Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("x-amzn-requestid", request_id);
    if let Some(kind) = kind {
        response = response.header("x-amzn-errortype", kind);
    }
    response.body(Bytes::from(body.to_string())).unwrap_or_else(|_| http::Response::new(Bytes::new()))
}

fn answer(state: &State, request: &Request) -> Result<Value, Refusal> {
    let refused = |status, kind, message: String| Refusal { status, kind, message };
    let Some(signed) = Signed::of(request) else {
        return Err(refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token".to_owned()));
    };
    if signed.service != "scheduler" {
        return Err(refused(403, "InvalidSignatureException", signed.for_another_service("scheduler")));
    }
    if request.method() != http::Method::GET {
        return Err(refused(405, "UnknownOperationException", "The sandbox only reads schedules.".to_owned()));
    }
    let name = request.uri().path().trim_start_matches(PATH);
    let query = url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let group = query.into_owned().find(|(key, _)| key == "groupName").map_or("default".to_owned(), |(_, value)| value);
    let is_name = |text: &str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
    };
    if !is_name(name) || !is_name(&group) {
        let text = "1 validation error detected: a name has 1-64 characters of 0-9a-zA-Z-_.".to_owned();
        return Err(refused(400, "ValidationException", text));
    }
    let arn = format!("arn:aws:scheduler:{}:{}:schedule/{group}/{name}", signed.region, state.aws.account);
    if let Some(message) = denial(state, "scheduler:GetSchedule", Some(&arn)) {
        return Err(refused(403, "AccessDeniedException", message));
    }
    let found =
        state.aws.deployment.schedule.as_ref().filter(|schedule| schedule.name == name && schedule.group == group);
    let Some(schedule) = found.filter(|_| signed.region == state.aws.region) else {
        return Err(refused(404, "ResourceNotFoundException", format!("Schedule {name} does not exist.")));
    };
    Ok(json!({
        "Arn": arn,
        "Name": schedule.name,
        "GroupName": schedule.group,
        "State": if schedule.enabled { "ENABLED" } else { "DISABLED" },
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": { "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15 },
        "ActionAfterCompletion": "NONE",
        "CreationDate": seconds(state.aws.deployment.deployed_at),
        "LastModificationDate": seconds(state.aws.deployment.deployed_at),
        "Target": {
            "Arn": schedule.target_arn,
            "RoleArn": schedule.role_arn,
            "Input": schedule.input,
            "RetryPolicy": { "MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 3600 },
        },
    }))
}
