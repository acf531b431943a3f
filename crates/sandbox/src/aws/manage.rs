//! `TagResource`, `UntagResource`, `DeleteSecret`, `RestoreSecret`.

use serde_json::{Value, json};
use time::Duration;

use super::Refusal;
use super::input::{Input, secret};
use super::values::seconds;
use crate::world::State;

const TAGS_A_SECRET: usize = 50;

pub(super) fn tag(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.live_arn(state)?;
    if input.list("Tags")?.is_none() {
        return Err(Refusal::parameter("You must provide Tags."));
    }
    let added = input.tags()?;
    let mut tags = secret(state, &arn)?.tags.clone();
    tags.extend(added);
    if tags.len() > TAGS_A_SECRET {
        return Err(Refusal::parameter("A secret can have at most 50 tags."));
    }
    retag(state, &arn, tags)
}

pub(super) fn untag(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.live_arn(state)?;
    let Some(keys) = input.texts("TagKeys")? else { return Err(Refusal::parameter("You must provide TagKeys.")) };
    let mut tags = secret(state, &arn)?.tags.clone();
    tags.retain(|key, _| !keys.contains(key));
    retag(state, &arn, tags)
}

fn retag(state: &mut State, arn: &str, tags: std::collections::BTreeMap<String, String>) -> Result<Value, Refusal> {
    let (now, dated) = (state.now(), state.aws.tags_change_date);
    let secret = secret(state, arn)?;
    secret.tags = tags;
    if dated {
        secret.last_changed = now;
    }
    Ok(json!({}))
}

pub(super) fn delete(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.live_arn(state)?;
    let force = input.flag("ForceDeleteWithoutRecovery")?.unwrap_or(false);
    let window = input.number("RecoveryWindowInDays")?;
    if force && window.is_some() {
        return Err(Refusal::parameter(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        ));
    }
    let days = window.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(Refusal::parameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."));
    }
    let now = state.now();
    let at = if force { now } else { now + Duration::days(days) };
    let secret = secret(state, &arn)?;
    secret.deleted = Some(at);
    let body = json!({ "ARN": secret.arn, "Name": secret.name, "DeletionDate": seconds(at) });
    if force {
        state.aws.secrets.remove(&arn);
    }
    Ok(body)
}

pub(super) fn restore(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.arn(state)?;
    let secret = secret(state, &arn)?;
    secret.deleted = None;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
}
