//! The action events: `{"action": …}`, sent by a person, a schedule or a state machine.

use serde_json::Value;

use crate::event::parsed::{DoctorQuery, Event, Fleet, StatusQuery};
use crate::fields::{FieldError, Fields};
use crate::ids::{VersionId, is_secret_id};
use crate::request::{Mode, Request, Trigger};

pub(super) fn parse(fields: &Fields<'_>) -> Result<Event, FieldError> {
    match fields.required("action")? {
        "onboard" => onboard(fields),
        "reconcile" => reconcile(fields),
        "verify" => verify(fields),
        "offboard" => offboard(fields),
        "status" => status(fields),
        "doctor" => doctor(fields),
        _ => Err(fields.wrong("action", "must be one of onboard, reconcile, verify, offboard, status, doctor")),
    }
}

fn onboard(fields: &Fields<'_>) -> Result<Event, FieldError> {
    fields.only(&["action", "secretId", "secretIds", "mode", "versionId", "force", "fixRole"])?;
    let mode = mode(fields)?;
    let version = version(fields)?;
    let force = fields.flag("force")?;
    let fix_role = fields.flag("fixRole")?;
    let trigger = Trigger::Onboard { force, fix_role, version: version.clone() };
    if !fields.has("secretIds") {
        return Ok(one(trigger, mode, fields.secret_id("secretId")?));
    }
    if fields.has("secretId") {
        return Err(fields.wrong("secretIds", "cannot be combined with `secretId`"));
    }
    if version.is_some() {
        return Err(fields.wrong("versionId", "can be used with `secretId` only"));
    }
    Ok(Event::Fleet(Fleet { trigger, mode, secret_ids: Some(secret_ids(fields)?) }))
}

fn reconcile(fields: &Fields<'_>) -> Result<Event, FieldError> {
    fields.only(&["action", "secretIds", "mode", "revokeReplaced"])?;
    let mode = mode(fields)?;
    let revoke_replaced = fields.flag("revokeReplaced")?;
    let secret_ids = if fields.has("secretIds") { Some(secret_ids(fields)?) } else { None };
    if revoke_replaced && secret_ids.is_none() {
        return Err(
            fields.wrong("revokeReplaced", "can be used with `secretIds` only: name the secrets whose tokens leaked")
        );
    }
    Ok(Event::Fleet(Fleet { trigger: Trigger::Reconcile { revoke_replaced }, mode, secret_ids }))
}

fn offboard(fields: &Fields<'_>) -> Result<Event, FieldError> {
    fields.only(&["action", "secretId", "mode"])?;
    Ok(one(Trigger::Offboard, mode(fields)?, fields.secret_id("secretId")?))
}

fn one(trigger: Trigger, mode: Mode, secret_id: String) -> Event {
    Event::One(Request { trigger, mode, secret_id, version: None, rotation_token: None, stack: None, sent_at: None })
}

fn verify(fields: &Fields<'_>) -> Result<Event, FieldError> {
    fields.only(&["action", "secretId", "mode", "versionId"])?;
    let mode = mode(fields)?;
    let trigger = Trigger::Verify { version: version(fields)? };
    Ok(one(trigger, mode, fields.secret_id("secretId")?))
}

fn status(fields: &Fields<'_>) -> Result<Event, FieldError> {
    fields.only(&["action", "secretIds", "next"])?;
    let secret_ids = if fields.has("secretIds") { Some(secret_ids(fields)?) } else { None };
    let next = if fields.has("next") { Some(fields.secret_id("next")?) } else { None };
    Ok(Event::Status(StatusQuery { secret_ids, next }))
}

fn doctor(fields: &Fields<'_>) -> Result<Event, FieldError> {
    fields.only(&["action", "secretId", "record"])?;
    let secret_id = if fields.has("secretId") { Some(fields.secret_id("secretId")?) } else { None };
    Ok(Event::Doctor(DoctorQuery { secret_id, record: fields.flag("record")? }))
}

fn mode(fields: &Fields<'_>) -> Result<Mode, FieldError> {
    match fields.text("mode")? {
        None | Some("apply") => Ok(Mode::Apply),
        Some("plan") => Ok(Mode::Plan),
        Some(_) => Err(fields.wrong("mode", "must be apply or plan")),
    }
}

fn version(fields: &Fields<'_>) -> Result<Option<VersionId>, FieldError> {
    let wrong = || fields.wrong("versionId", "is not a version id of 32 to 64 characters");
    fields.text("versionId")?.map(|id| VersionId::parse(id).ok_or_else(wrong)).transpose()
}

/// Reads the secret ids, each once, in the order of the event.
pub(super) fn secret_ids(fields: &Fields<'_>) -> Result<Vec<String>, FieldError> {
    let wrong = || fields.wrong("secretIds", "must be an array of one or more secret names or ARNs");
    let Some(Value::Array(values)) = fields.get("secretIds") else { return Err(wrong()) };
    let mut ids: Vec<String> = Vec::new();
    for value in values {
        let id = value.as_str().filter(|id| !id.is_empty() && is_secret_id(id)).ok_or_else(wrong)?;
        if !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
    if ids.is_empty() { Err(wrong()) } else { Ok(ids) }
}
