//! The action events: `{"action": …}`, sent by a person, a schedule or a state machine.

use serde_json::Value;

use super::{Event, Members, is_secret_id, is_version_id};
use crate::error::Error;
use crate::flow::{Mode, Request};
use crate::plan::Trigger;

pub(super) fn parse(members: &Members<'_>) -> Result<Event, Error> {
    match members.required("action")? {
        "onboard" => onboard(members),
        "verify" => verify(members),
        _ => Err(members.wrong("action", "is none of onboard, verify")),
    }
}

fn onboard(members: &Members<'_>) -> Result<Event, Error> {
    members.only(&["action", "secretId", "secretIds", "mode", "versionId", "force"])?;
    let mode = mode(members)?;
    let version = version(members)?;
    let force = members.flag("force")?;
    let request = |secret_id: String| Request {
        trigger: Trigger::Onboard { force, version: version.clone() },
        mode,
        secret_id,
        version: None,
        rotation_token: None,
    };
    if !members.has("secretIds") {
        return Ok(Event::One(request(members.secret_id("secretId")?)));
    }
    if members.has("secretId") {
        return Err(members.wrong("secretIds", "stands beside `secretId`"));
    }
    if version.is_some() {
        return Err(members.wrong("versionId", "goes with `secretId` alone"));
    }
    let requests = secret_ids(members)?.into_iter().map(request).collect();
    Ok(Event::Many { action: "onboard", mode, requests })
}

fn verify(members: &Members<'_>) -> Result<Event, Error> {
    members.only(&["action", "secretId", "mode", "versionId"])?;
    let mode = mode(members)?;
    let trigger = Trigger::Verify { version: version(members)? };
    let secret_id = members.secret_id("secretId")?;
    Ok(Event::One(Request { trigger, mode, secret_id, version: None, rotation_token: None }))
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
