//! `GetSecretValue`, `PutSecretValue`, `CreateSecret`, `UpdateSecret`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::input::{Input, invalid_name, is_name, secret};
use super::model::{CURRENT, NewValue, Put, Secret, Stored};
use super::{Refusal, events};
use crate::world::State;

/// A time as the JSON protocol writes it: seconds since 1970, with a fraction.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into 53 bits")]
pub(super) fn seconds(at: time::OffsetDateTime) -> Value {
    json!((at.unix_timestamp_nanos() / 1_000_000) as f64 / 1000.0)
}

pub(super) fn get(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.live_arn(state)?;
    let (id, label) = (input.text("VersionId")?, input.text("VersionStage")?);
    Refusal::of_kms(state)?;
    let now = state.now();
    let secret = secret(state, &arn)?;
    let missing = match (id, label) {
        (Some(id), _) => format!("Secrets Manager can't find the specified secret value for VersionId: {id}"),
        (None, label) => {
            let label = label.unwrap_or(CURRENT);
            format!("Secrets Manager can't find the specified secret value for staging label: {label}")
        }
    };
    let found = match id {
        Some(id) => Some(id.to_owned()),
        None => secret.version_with(label.unwrap_or(CURRENT)).map(str::to_owned),
    };
    let Some((version_id, version)) = found.and_then(|id| secret.versions.get(&id).map(|version| (id, version))) else {
        return Err(Refusal::not_found(missing));
    };
    if label.is_some_and(|label| !version.stages.contains(label)) {
        return Err(Refusal::request("You provided a VersionStage that is not associated to the provided VersionId."));
    }
    let mut body = Map::new();
    match &version.value {
        None => return Err(Refusal::not_found(missing)),
        Some(Stored::Text(text)) => body.insert("SecretString".to_owned(), json!(text)),
        Some(Stored::Binary(bytes)) => body.insert("SecretBinary".to_owned(), json!(STANDARD.encode(bytes))),
    };
    body.insert("ARN".to_owned(), json!(secret.arn));
    body.insert("Name".to_owned(), json!(secret.name));
    body.insert("VersionId".to_owned(), json!(version_id));
    body.insert("VersionStages".to_owned(), json!(version.stages));
    body.insert("CreatedDate".to_owned(), seconds(version.created));
    secret.last_accessed = Some(now.replace_time(time::Time::MIDNIGHT));
    Ok(Value::Object(body))
}

/// Records the events of a write.
pub(super) fn announce(state: &mut State, arn: &str, put: &Put) {
    if let Some(pending) = &put.abandoned {
        events::rotation(state, "RotationAbandoned", arn, pending);
    }
    events::labels_moved(state, arn, &put.moved);
}

pub(super) fn put(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.live_arn(state)?;
    let version_id = input.version_id()?;
    let Some(value) = input.value()? else {
        return Err(Refusal::request("You must provide either SecretString or SecretBinary."));
    };
    let stages = input.texts("VersionStages")?.unwrap_or_else(|| vec![CURRENT.to_owned()]);
    if !(1..=20).contains(&stages.len()) || stages.iter().any(|stage| !is_label(stage)) {
        return Err(Refusal::parameter("VersionStages must have 1 to 20 members of 1 to 256 characters."));
    }
    let rotation_token = input.text("RotationToken")?;
    let token_fits = |token: &str| {
        (36..=256).contains(&token.len()) && token.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    if rotation_token.is_some_and(|token| !token_fits(token)) {
        return Err(Refusal::parameter("RotationToken must be 36-256 characters of a-z, A-Z, 0-9 and hyphen."));
    }
    Refusal::of_kms(state)?;
    let now = state.now();
    let outcome = secret(state, &arn)?.put(NewValue { version_id, value, stages, rotation_token }, now)?;
    announce(state, &arn, &outcome);
    let secret = secret(state, &arn)?;
    let stages = secret.versions.get(version_id).map(|version| json!(version.stages));
    Ok(json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": version_id, "VersionStages": stages }))
}

pub(super) fn is_label(label: &str) -> bool {
    (1..=256).contains(&label.chars().count())
}

/// A secret without versions.
pub(super) fn blank(state: &mut State, name: &str) -> Secret {
    let suffix = state.random_text(6);
    let arn = format!("arn:aws:secretsmanager:{}:{}:secret:{name}-{suffix}", state.aws.region, state.aws.account);
    let now = state.now();
    Secret {
        arn,
        name: name.to_owned(),
        description: None,
        kms_key_id: None,
        versions: std::collections::BTreeMap::new(),
        tags: std::collections::BTreeMap::new(),
        rotation_enabled: None,
        rotation_lambda_arn: None,
        rotation_rules: None,
        rotating: None,
        created: now,
        last_changed: now,
        last_accessed: None,
        last_rotated: None,
        deleted: None,
    }
}

pub(super) fn create(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let name = input.required("Name")?;
    if !is_name(name) {
        return Err(invalid_name());
    }
    let value = input.value()?;
    let version_id = if value.is_some() { Some(input.version_id()?) } else { None };
    let tags = input.tags()?;
    if tags.len() > 50 {
        return Err(Refusal::parameter("A secret can have at most 50 tags."));
    }
    if let Some(existing) = state.aws.secrets.values().find(|secret| secret.name == name) {
        if existing.deleted.is_some() {
            return Err(Refusal::request(
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            ));
        }
        let stored = version_id.and_then(|id| existing.versions.get(id)).and_then(|version| version.value.as_ref());
        if value.is_some() && stored == value.as_ref() {
            return Ok(json!({ "ARN": existing.arn, "Name": existing.name, "VersionId": version_id }));
        }
        return Err(Refusal::new(
            "ResourceExistsException",
            format!("The operation failed because the secret {name} already exists."),
        ));
    }
    if value.is_some() {
        Refusal::of_kms(state)?;
    }
    let mut new = blank(state, name);
    new.description = input.text("Description")?.map(str::to_owned);
    new.kms_key_id = input.text("KmsKeyId")?.map(str::to_owned);
    new.tags = tags.into_iter().collect();
    let arn = new.arn.clone();
    state.aws.secrets.insert(arn.clone(), new);
    let mut body = json!({ "ARN": arn, "Name": name });
    if let (Some(value), Some(version_id)) = (value, version_id) {
        store(state, &arn, version_id, value)?;
        body["VersionId"] = json!(version_id);
    }
    Ok(body)
}

/// Stores a value as the current one.
fn store(state: &mut State, arn: &str, version_id: &str, value: Stored) -> Result<(), Refusal> {
    Refusal::of_kms(state)?;
    let now = state.now();
    let new = NewValue { version_id, value, stages: vec![CURRENT.to_owned()], rotation_token: None };
    let outcome = secret(state, arn)?.put(new, now)?;
    announce(state, arn, &outcome);
    Ok(())
}

pub(super) fn update(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.live_arn(state)?;
    let value = input.value()?;
    let version_id = if value.is_some() { Some(input.version_id()?) } else { None };
    let (description, key) = (input.text("Description")?, input.text("KmsKeyId")?);
    let now = state.now();
    if let (Some(value), Some(version_id)) = (value, version_id) {
        store(state, &arn, version_id, value)?;
    }
    let secret = secret(state, &arn)?;
    if let Some(description) = description {
        secret.description = Some(description.to_owned());
    }
    if let Some(key) = key {
        secret.kms_key_id = Some(key.to_owned());
    }
    secret.last_changed = now;
    let mut body = json!({ "ARN": secret.arn, "Name": secret.name });
    if let Some(version_id) = version_id {
        body["VersionId"] = json!(version_id);
    }
    Ok(body)
}
