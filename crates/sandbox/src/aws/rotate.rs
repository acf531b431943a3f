//! `RotateSecret`, `CancelRotateSecret`, and the service's work around a rotation. [`crate::rotation`] runs the steps.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::input::{Input, secret};
use super::model::{CURRENT, PENDING, Rotating, Version};
use super::{Refusal, events};
use crate::world::State;

const NO_FUNCTION: &str = "No Lambda rotation function ARN is associated with this secret.";
const PREVIOUS_PENDING: &str = "A previous rotation isn't complete. That rotation will be reattempted.";

pub(super) fn rotate(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.live_arn(state)?;
    let version_id = input.version_id()?;
    let immediately = input.flag("RotateImmediately")?.unwrap_or(true);
    let function = input.text("RotationLambdaARN")?;
    let rules = input.member("RotationRules");
    let now = state.now();
    let target = secret(state, &arn)?;
    if function.is_none() && target.rotation_lambda_arn.is_none() {
        return Err(Refusal::request(NO_FUNCTION));
    }
    if let Some(function) = function {
        target.rotation_lambda_arn = Some(function.to_owned());
    }
    if let Some(rules) = rules {
        target.rotation_rules = Some(rules.clone());
    }
    target.rotation_enabled = Some(true);
    target.last_changed = now;
    if target.pending().is_some() {
        return Err(Refusal::request(PREVIOUS_PENDING));
    }
    if target.versions.contains_key(version_id) {
        return Err(Refusal::new(
            "ResourceExistsException",
            format!("You can't use ClientRequestToken {version_id} because that value is already in use."),
        ));
    }
    let body = json!({ "ARN": target.arn, "Name": target.name, "VersionId": version_id });
    if immediately {
        prepare(state, &arn, version_id, state.aws.rotation_tokens);
        events::rotation(state, "RotationStarted", &arn, version_id);
    }
    Ok(body)
}

pub(super) fn cancel(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.live_arn(state)?;
    let now = state.now();
    let secret = secret(state, &arn)?;
    if secret.rotation_lambda_arn.is_none() {
        return Err(Refusal::request(NO_FUNCTION));
    }
    let pending = secret.rotating.take().map(|rotating| rotating.version_id);
    // `DescribeSecret` still shows the function and the schedule
    secret.rotation_enabled = Some(false);
    secret.last_changed = now;
    let mut body = json!({ "ARN": secret.arn, "Name": secret.name });
    if let Some(pending) = pending {
        body["VersionId"] = json!(pending);
    }
    Ok(body)
}

/// Creates the pending version, without a value, and the rotation token.
fn prepare(state: &mut State, arn: &str, version_id: &str, with_token: bool) -> Option<String> {
    let token = with_token.then(|| state.uuid());
    state.aws.rotation_tokens_given.extend(token.clone());
    let now = state.now();
    let secret = state.aws.secrets.get_mut(arn)?;
    let version = Version { value: None, stages: BTreeSet::new(), created: now, put_by_rotation: false };
    secret.versions.entry(version_id.to_owned()).or_insert(version);
    secret.move_label(PENDING, version_id);
    secret.last_changed = now;
    secret.rotating = Some(Rotating { version_id: version_id.to_owned(), token: token.clone() });
    token
}

/// Begins a rotation, as the service does before it calls the function: creates a version with the label `AWSPENDING` and no
/// value. Returns the version id, which is the `ClientRequestToken` of the steps, and the rotation token if the function gets
/// one. If an earlier rotation is incomplete, that rotation continues under its own id.
pub fn begin_rotation(state: &mut State, arn: &str, rotation_token: bool) -> (String, Option<String>) {
    let pending = state.aws.secrets.get(arn).and_then(|secret| {
        let pending = secret.pending()?.to_owned();
        let token = secret.rotating.as_ref().filter(|rotating| rotating.version_id == pending);
        Some((pending, token.and_then(|rotating| rotating.token.clone())))
    });
    let (version_id, token) = match pending {
        Some((pending, Some(token))) if rotation_token => (pending, Some(token)),
        Some((pending, _)) => {
            let token = prepare(state, arn, &pending, rotation_token);
            (pending, token)
        }
        None => {
            let version_id = state.uuid();
            let token = prepare(state, arn, &version_id, rotation_token);
            (version_id, token)
        }
    };
    events::rotation(state, "RotationStarted", arn, &version_id);
    (version_id, token)
}

/// Records one of the rotation's own events.
pub(crate) fn rotation_event(state: &mut State, name: &str, arn: &str, version_id: &str) {
    events::rotation(state, name, arn, version_id);
}

/// Creates the pending version of a test-only rotation. `None` while another rotation is incomplete.
pub(crate) fn begin_test(state: &mut State, arn: &str) -> Option<(String, Option<String>)> {
    if state.aws.secrets.get(arn)?.pending().is_some() {
        return None;
    }
    let version_id = state.uuid();
    let token = prepare(state, arn, &version_id, state.aws.rotation_tokens);
    if state.aws.test_copies_current {
        let secret = state.aws.secrets.get_mut(arn)?;
        let value = secret.versions.get(secret.version_with(CURRENT)?)?.value.clone();
        secret.versions.get_mut(&version_id)?.value = value;
    }
    Some((version_id, token))
}

/// Removes the pending version of a test-only rotation.
pub(crate) fn end_test(state: &mut State, arn: &str, version_id: &str) {
    if let Some(secret) = state.aws.secrets.get_mut(arn) {
        secret.versions.remove(version_id);
        secret.rotating = None;
    }
}
