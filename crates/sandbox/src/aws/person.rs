//! What a person, or AWS itself, does without HTTP.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::events;
use super::model::{CURRENT, NewValue, Stored, Version};
use super::values::{announce, blank};
use crate::world::State;

/// Creates a secret with a first version, labelled `AWSCURRENT`, and tags. Returns its ARN. A JSON string is stored as plain
/// text, any other value as JSON text.
pub fn create_secret(state: &mut State, name: &str, value: &Value, tags: &[(&str, &str)]) -> String {
    let arn = create_empty_secret(state, name, tags);
    put_version(state, &arn, None, value, &[CURRENT]);
    arn
}

/// Creates a secret without versions. Returns its ARN.
pub fn create_empty_secret(state: &mut State, name: &str, tags: &[(&str, &str)]) -> String {
    let mut secret = blank(state, name);
    secret.tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let arn = secret.arn.clone();
    state.aws.secrets.insert(arn.clone(), secret);
    arn
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Puts a version as a person does (`PutSecretValue` without a rotation token). Returns its id, a new uuid if the caller gives
/// none. Without stages the version has no labels. An existing id is overwritten, which no service does: a test that expects an
/// error sends a request.
pub fn put_version(state: &mut State, arn: &str, version_id: Option<&str>, value: &Value, stages: &[&str]) -> String {
    let version_id = version_id.map_or_else(|| state.uuid(), str::to_owned);
    let now = state.now();
    let Some(secret) = state.aws.secrets.get_mut(arn) else { return version_id };
    let value = Stored::Text(text(value));
    let held = secret.versions.get_mut(&version_id).filter(|version| version.value.is_some());
    if let Some(version) = held {
        version.value = Some(value);
        let mut moved = Vec::new();
        for stage in stages {
            moved.extend(secret.move_label(stage, &version_id));
        }
        secret.last_changed = now;
        events::labels_moved(state, arn, &moved);
        return version_id;
    }
    let stages = stages.iter().map(|stage| (*stage).to_owned()).collect();
    let new = NewValue { version_id: &version_id, value, stages, rotation_token: None };
    if let Ok(put) = secret.put(new, now) {
        announce(state, arn, &put);
    }
    version_id
}

/// The value of a version, parsed as JSON. Other text is returned as a JSON string. `None`: no such version, no value, or bytes.
#[must_use]
pub fn value_of(state: &State, arn: &str, version_id: &str) -> Option<Value> {
    match state.aws.secrets.get(arn)?.versions.get(version_id)?.value.as_ref()? {
        Stored::Text(text) => Some(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))),
        Stored::Binary(_) => None,
    }
}

/// The id of the version that has a label.
#[must_use]
pub fn version_with(state: &State, arn: &str, label: &str) -> Option<String> {
    state.aws.secrets.get(arn)?.version_with(label).map(str::to_owned)
}

/// The tags of a secret. Empty for an unknown one.
#[must_use]
pub fn tags(state: &State, arn: &str) -> BTreeMap<String, String> {
    state.aws.secrets.get(arn).map(|secret| secret.tags.clone()).unwrap_or_default()
}

/// Sets one tag.
pub fn set_tag(state: &mut State, arn: &str, key: &str, value: &str) {
    if let Some(secret) = state.aws.secrets.get_mut(arn) {
        secret.tags.insert(key.to_owned(), value.to_owned());
    }
}

/// Turns rotation on or off. A secret that has no function or interval gets a function and 30 days.
pub fn enable_rotation(state: &mut State, arn: &str, on: bool) {
    let function = format!("arn:aws:lambda:{}:{}:function:rotate", state.aws.region, state.aws.account);
    if let Some(secret) = state.aws.secrets.get_mut(arn) {
        secret.rotation_enabled = Some(on);
        if on {
            secret.rotation_lambda_arn.get_or_insert(function);
            secret.rotation_rules.get_or_insert_with(|| serde_json::json!({ "AutomaticallyAfterDays": 30 }));
        }
    }
}

/// Every secret value that AWS holds or issued: plain-text values, the fields `accessToken`, `password` and `totpSecret` of JSON
/// values, rotation tokens, web identity tokens.
#[must_use]
pub fn all_secret_values(state: &State) -> Vec<String> {
    let mut found = BTreeSet::new();
    for Version { value, .. } in state.aws.secrets.values().flat_map(|secret| secret.versions.values()) {
        let Some(Stored::Text(text)) = value else { continue };
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(members)) => found.extend(
                ["accessToken", "password", "totpSecret"]
                    .iter()
                    .filter_map(|name| members.get(*name)?.as_str().map(str::to_owned)),
            ),
            _ => _ = found.insert(text.clone()),
        }
    }
    found.extend(state.aws.rotation_tokens_given.iter().cloned());
    found.extend(state.aws.sts.issued.iter().cloned());
    found.into_iter().filter(|secret| !secret.is_empty()).collect()
}

/// Moves every date of the secrets, and `expiresAt` in their values, into the past.
pub fn age(state: &mut State, by: Duration) {
    state.aws.purged_at = None;
    for secret in state.aws.secrets.values_mut() {
        secret.created -= by;
        secret.last_changed -= by;
        for date in [&mut secret.last_accessed, &mut secret.last_rotated, &mut secret.deleted].into_iter().flatten() {
            *date -= by;
        }
        for version in secret.versions.values_mut() {
            version.created -= by;
            let Some(Stored::Text(text)) = &mut version.value else { continue };
            let Ok(mut value) = serde_json::from_str::<Value>(text) else { continue };
            let end = value["expiresAt"].as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
            if let Some(end) = end {
                value["expiresAt"] = json!(events::time_text(end - by));
                *text = value.to_string();
            }
        }
    }
}

/// Removes the secrets whose recovery window has ended. It looks at all of them at most once a minute: a fleet has thousands.
pub(super) fn purge(state: &mut State) {
    let now = state.now();
    if state.aws.purged_at.is_some_and(|at| (now - at).abs() < Duration::minutes(1)) {
        return;
    }
    state.aws.purged_at = Some(now);
    state.aws.secrets.retain(|_, secret| secret.deleted.is_none_or(|at| at > now));
}
