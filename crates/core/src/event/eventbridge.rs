//! `EventBridge`: the native `Secret Label Updated`, `CloudTrail`'s records of Secrets Manager, and actions as `detail`.
//!
//! `CloudTrail` spells `arn` and `aRN`; its `secretId` may be a name or an ARN, as the caller typed it.

use serde_json::Value;

use crate::event::action;
use crate::event::parsed::Event;
use crate::fields::{FieldError, Fields};
use crate::ids::{VersionId, is_secret_id, is_uuid};
use crate::request::{Mode, Request, Trigger};
use crate::time::{Timestamp, parse_rfc3339};

pub(super) fn parse(fields: &Fields<'_>) -> Result<Event, FieldError> {
    let kind = fields.required("detail-type")?;
    let detail = fields.object("detail")?;
    if detail.has("action") {
        return action::parse(&detail);
    }
    let event = match kind {
        "Secret Label Updated" => label_updated(fields, &detail),
        "AWS API Call via CloudTrail" => api_call(&detail),
        "AWS Service Event via CloudTrail" => service_event(&detail),
        "Scheduled Event" => {
            Err(detail.wrong("action", "is missing: let the rule's target send an action as its input"))
        }
        _ => Err(fields.wrong("detail-type", "is not supported")),
    }?;
    Ok(match event {
        Event::One(request) => Event::One(Request { sent_at: sent_at(fields), ..request }),
        event => event,
    })
}

/// The event's time according to `EventBridge`; `None` if it cannot be parsed.
fn sent_at(fields: &Fields<'_>) -> Option<Timestamp> {
    fields.text("time").ok().flatten().and_then(parse_rfc3339)
}

fn label_updated(fields: &Fields<'_>, detail: &Fields<'_>) -> Result<Event, FieldError> {
    let label = detail.required("labelUpdated")?;
    let version = Some(version(detail, "versionId")?);
    let arn = match fields.get("resources") {
        Some(Value::Array(resources)) => resources.first().and_then(Value::as_str).filter(|arn| is_secret_id(arn)),
        _ => None,
    };
    // `resources` holds the ARN, `detail.name` the friendly name
    let secret_id = match arn {
        Some(arn) => arn.to_owned(),
        None => detail.secret_id("name").map_err(|_| fields.wrong("resources", "does not hold the secret's ARN"))?,
    };
    let trigger = match label {
        "AWSCURRENT" => Trigger::SecretChanged { version },
        "HUBKEEPER_CANDIDATE" => Trigger::CandidateStaged { version },
        _ => {
            return Ok(Event::Ignored {
                action: "secretLabelUpdated",
                secret_id: Some(secret_id),
                reason: "the label is neither AWSCURRENT nor HUBKEEPER_CANDIDATE".into(),
            });
        }
    };
    Ok(one(trigger, secret_id))
}

fn api_call(detail: &Fields<'_>) -> Result<Event, FieldError> {
    let name = detail.required("eventName")?;
    if !matches!(name, "PutSecretValue" | "UpdateSecret") {
        return Ok(ignored(None, "the call does not change a value"));
    }
    let response = detail.object("responseElements").ok();
    let arn = response.and_then(|response| response.secret_id("arn").or_else(|_| response.secret_id("aRN")).ok());
    if detail.has("errorCode") {
        return Ok(ignored(arn, "the call failed"));
    }
    let request = detail.object("requestParameters")?;
    let secret_id = match arn {
        Some(arn) => arn,
        None => request.secret_id("secretId")?,
    };
    let version = request.text("clientRequestToken")?.and_then(VersionId::parse);
    Ok(one(Trigger::SecretChanged { version }, secret_id))
}

fn service_event(detail: &Fields<'_>) -> Result<Event, FieldError> {
    let name = detail.required("eventName")?;
    let additional = detail.object("additionalEventData").ok();
    let service = detail.object("serviceEventDetails").ok();
    let secret_id = additional
        .as_ref()
        .and_then(|data| data.secret_id("SecretId").ok())
        .or_else(|| service.as_ref().and_then(|data| data.secret_id("secretId").ok()));
    let trigger = match name {
        "RotationSucceeded" => Trigger::SecretChanged { version: None },
        "RotationFailed" | "TestRotationFailed" | "RotationAbandoned" => Trigger::RotationEnded {
            abandoned: name == "RotationAbandoned",
            step: [additional, service].into_iter().flatten().find_map(|data| step(&data)),
            version: detail.text("requestID")?.and_then(version_of_request),
        },
        _ => return Ok(ignored(secret_id, "the event reports neither a new value nor a failed rotation")),
    };
    let secret_id = secret_id.ok_or_else(|| detail.wrong("additionalEventData.SecretId", "is missing"))?;
    Ok(one(trigger, secret_id))
}

/// The step that failed, if the event names it: no documentation names the field.
fn step(data: &Fields<'_>) -> Option<&'static str> {
    let named =
        ["Step", "step", "RotationStep", "rotationStep"].iter().find_map(|name| data.text(name).ok().flatten())?;
    ["createSecret", "setSecret", "testSecret", "finishSecret"].into_iter().find(|step| *step == named)
}

/// The pending version: the last part of `Rotation-<arn>-<version>`, a uuid.
fn version_of_request(request: &str) -> Option<VersionId> {
    let from = request.len().checked_sub(36)?;
    let version = request.strip_prefix("Rotation-").and_then(|_| request.get(from..))?;
    VersionId::parse(version).filter(|_| is_uuid(version))
}

fn version(detail: &Fields<'_>, name: &str) -> Result<VersionId, FieldError> {
    VersionId::parse(detail.required(name)?)
        .ok_or_else(|| detail.wrong(name, "is not a version id of 32 to 64 characters"))
}

fn one(trigger: Trigger, secret_id: String) -> Event {
    Event::One(Request {
        trigger,
        mode: Mode::Apply,
        secret_id,
        version: None,
        rotation_token: None,
        stack: None,
        sent_at: None,
    })
}

fn ignored(secret_id: Option<String>, reason: &str) -> Event {
    Event::Ignored { action: "cloudTrail", secret_id, reason: reason.to_owned() }
}
