//! The action events: `{"action": …}`, sent by a person, a schedule or a state machine.

use serde_json::Value;

use crate::error::Error;
use crate::event::fields::Members;
use crate::event::parsed::{Event, Fleet, StatusQuery};
use crate::ids::{is_secret_id, is_version_id};
use crate::request::{Mode, Request, Trigger};

pub(super) fn parse(members: &Members<'_>) -> Result<Event, Error> {
    match members.required("action")? {
        "onboard" => onboard(members),
        "reconcile" => reconcile(members),
        "verify" => verify(members),
        "offboard" => offboard(members),
        "status" => status(members),
        _ => Err(members.wrong("action", "is none of onboard, reconcile, verify, offboard, status")),
    }
}

fn onboard(members: &Members<'_>) -> Result<Event, Error> {
    members.only(&["action", "secretId", "secretIds", "mode", "versionId", "force", "fixRole"])?;
    let mode = mode(members)?;
    let version = version(members)?;
    let force = members.flag("force")?;
    let fix_role = members.flag("fixRole")?;
    let trigger = Trigger::Onboard { force, fix_role, version: version.clone() };
    if !members.has("secretIds") {
        return Ok(one(trigger, mode, members.secret_id("secretId")?));
    }
    if members.has("secretId") {
        return Err(members.wrong("secretIds", "stands beside `secretId`"));
    }
    if version.is_some() {
        return Err(members.wrong("versionId", "goes with `secretId` alone"));
    }
    Ok(Event::Fleet(Fleet { trigger, mode, secret_ids: Some(secret_ids(members)?) }))
}

fn reconcile(members: &Members<'_>) -> Result<Event, Error> {
    members.only(&["action", "secretIds", "mode", "revokeReplaced"])?;
    let mode = mode(members)?;
    let revoke_replaced = members.flag("revokeReplaced")?;
    let secret_ids = if members.has("secretIds") { Some(secret_ids(members)?) } else { None };
    if revoke_replaced && secret_ids.is_none() {
        return Err(
            members.wrong("revokeReplaced", "goes with `secretIds` alone: name the secrets whose tokens leaked")
        );
    }
    Ok(Event::Fleet(Fleet { trigger: Trigger::Reconcile { revoke_replaced }, mode, secret_ids }))
}

fn offboard(members: &Members<'_>) -> Result<Event, Error> {
    members.only(&["action", "secretId", "mode"])?;
    Ok(one(Trigger::Offboard, mode(members)?, members.secret_id("secretId")?))
}

fn one(trigger: Trigger, mode: Mode, secret_id: String) -> Event {
    Event::One(Request { trigger, mode, secret_id, version: None, rotation_token: None, stack: None, sent_at: None })
}

fn verify(members: &Members<'_>) -> Result<Event, Error> {
    members.only(&["action", "secretId", "mode", "versionId"])?;
    let mode = mode(members)?;
    let trigger = Trigger::Verify { version: version(members)? };
    Ok(one(trigger, mode, members.secret_id("secretId")?))
}

fn status(members: &Members<'_>) -> Result<Event, Error> {
    members.only(&["action", "secretIds", "next"])?;
    let secret_ids = if members.has("secretIds") { Some(secret_ids(members)?) } else { None };
    let next = if members.has("next") { Some(members.secret_id("next")?) } else { None };
    Ok(Event::Status(StatusQuery { secret_ids, next }))
}

fn mode(members: &Members<'_>) -> Result<Mode, Error> {
    match members.text("mode")? {
        None | Some("apply") => Ok(Mode::Apply),
        Some("plan") => Ok(Mode::Plan),
        Some(_) => Err(members.wrong("mode", "is neither apply nor plan")),
    }
}

fn version(members: &Members<'_>) -> Result<Option<String>, Error> {
    match members.text("versionId")? {
        Some(id) if !is_version_id(id) => Err(members.wrong("versionId", "is not a version id of 32 to 64 characters")),
        id => Ok(id.map(str::to_owned)),
    }
}

/// Each id once, in the order of the event.
fn secret_ids(members: &Members<'_>) -> Result<Vec<String>, Error> {
    let wrong = || members.wrong("secretIds", "is not an array of one or more names or ARNs of secrets");
    let Some(Value::Array(values)) = members.get("secretIds") else { return Err(wrong()) };
    let mut ids: Vec<String> = Vec::new();
    for value in values {
        let id = value.as_str().filter(|id| !id.is_empty() && is_secret_id(id)).ok_or_else(wrong)?;
        if !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
    if ids.is_empty() { Err(wrong()) } else { Ok(ids) }
}
