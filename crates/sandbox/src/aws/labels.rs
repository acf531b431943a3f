//! `UpdateSecretVersionStage`: moves labels by compare-and-swap.

use serde_json::{Value, json};

use super::input::{Input, secret};
use super::model::{CURRENT, PENDING};
use super::values::is_label;
use super::{Refusal, events};
use crate::world::State;

pub(super) fn update(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.live_arn(state)?;
    let label = input.required("VersionStage")?;
    let (to, from) = (input.text("MoveToVersionId")?, input.text("RemoveFromVersionId")?);
    let id_fits = |id: &str| (32..=64).contains(&id.chars().count());
    if !is_label(label) || [to, from].into_iter().flatten().any(|id| !id_fits(id)) {
        return Err(Refusal::parameter("A staging label has 1-256 characters, a version id 32-64."));
    }
    let now = state.now();
    let secret = secret(state, &arn)?;
    let holder = secret.version_with(label).map(str::to_owned);
    if let Some(to) = to {
        let Some(version) = secret.versions.get(to) else {
            return Err(Refusal::not_found("Secrets Manager can't find the specified secret version."));
        };
        // undocumented, inferred: a version without a value cannot become current, since its readers would get nothing
        if label == CURRENT && version.value.is_none() {
            return Err(Refusal::request("You can't attach AWSCURRENT to a version that has no value."));
        }
        if version.stages.len() >= 20 && !version.stages.contains(label) {
            return Err(Refusal::new("LimitExceededException", "A version can have at most 20 staging labels."));
        }
    }
    match (to, from, holder.as_deref()) {
        (None, None, _) => {
            return Err(Refusal::parameter("You must provide MoveToVersionId, RemoveFromVersionId, or both."));
        }
        (None, Some(_), _) if label == CURRENT => {
            return Err(Refusal::parameter(
                "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
            ));
        }
        (Some(to), None, Some(holder)) if to != holder => {
            return Err(Refusal::parameter(format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version \
                 {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            )));
        }
        (_, Some(from), holder) if holder != Some(from) => {
            return Err(Refusal::parameter(format!("Staging label {label} is not attached to version {from}.")));
        }
        _ => {}
    }
    let moved = match (to, from) {
        (Some(to), _) => secret.move_label(label, to),
        (None, Some(from)) => {
            secret.take_label(label, from);
            Vec::new()
        }
        (None, None) => Vec::new(),
    };
    if label == PENDING && secret.rotating.as_ref().is_some_and(|r| secret.version_with(PENDING) != Some(&r.version_id))
    {
        secret.rotating = None;
    }
    secret.last_changed = now;
    let body = json!({ "ARN": secret.arn, "Name": secret.name });
    events::labels_moved(state, &arn, &moved);
    Ok(body)
}
