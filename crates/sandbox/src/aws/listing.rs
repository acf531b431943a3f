//! `DescribeSecret`, `ListSecrets`, `ListSecretVersionIds`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use super::Refusal;
use super::input::Input;
use super::model::{Secret, Version};
use super::values::seconds;
use crate::world::State;

/// The fields that `DescribeSecret` and an entry of `ListSecrets` share. Fields without a value are omitted, as the service does.
fn description(secret: &Secret, versions: &str) -> Map<String, Value> {
    let stages: BTreeMap<&String, _> = secret
        .versions
        .iter()
        .filter(|(_, version)| !version.stages.is_empty())
        .map(|(id, version)| (id, &version.stages))
        .collect();
    let tags: Vec<Value> = secret.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let members = [
        ("ARN", json!(secret.arn)),
        ("Name", json!(secret.name)),
        ("Description", json!(secret.description)),
        ("KmsKeyId", json!(secret.kms_key_id)),
        ("RotationEnabled", json!(secret.rotation_enabled)),
        ("RotationLambdaARN", json!(secret.rotation_lambda_arn)),
        ("RotationRules", json!(secret.rotation_rules)),
        ("NextRotationDate", next_rotation(secret).map_or(Value::Null, seconds)),
        (
            "LastRotatedDate",
            secret.last_rotated.filter(|_| secret.rotation_enabled == Some(true)).map_or(Value::Null, seconds),
        ),
        ("LastChangedDate", seconds(secret.last_changed)),
        ("LastAccessedDate", secret.last_accessed.map_or(Value::Null, seconds)),
        ("DeletedDate", secret.deleted.map_or(Value::Null, seconds)),
        ("Tags", json!(tags)),
        (versions, json!(stages)),
        ("CreatedDate", seconds(secret.created)),
    ];
    members.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The next rotation is due on or before this date. `None` while rotation is off. Schedule expressions are not computed.
fn next_rotation(secret: &Secret) -> Option<OffsetDateTime> {
    let days = secret.rotation_rules.as_ref()?["AutomaticallyAfterDays"].as_i64()?;
    let last = secret.last_rotated.unwrap_or(secret.created);
    (secret.rotation_enabled == Some(true)).then(|| last + Duration::days(days))
}

pub(super) fn describe(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.arn(state)?;
    let primary = state.aws.primary_region.clone();
    let secret = super::input::secret(state, &arn)?;
    let mut answer = description(secret, "VersionIdsToStages");
    if let Some(primary) = primary {
        answer.insert("PrimaryRegion".to_owned(), json!(primary));
    }
    Ok(Value::Object(answer))
}

/// One page of a list. A token holds the offset of its page, and whether the empty page before it was already returned.
fn page<T>(entries: Vec<T>, input: &Input<'_>, empty_pages: bool) -> Result<(Vec<T>, Option<String>), Refusal> {
    let invalid = || Refusal::new("InvalidNextTokenException", "The NextToken value is invalid.");
    let size = input.page_size()?;
    let (offset, after_empty) = match input.text("NextToken")? {
        None => (0, false),
        Some(token) => {
            let text =
                STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(invalid)?;
            let (offset, after_empty) =
                text.strip_prefix("page ").and_then(|t| t.split_once(' ')).ok_or_else(invalid)?;
            (offset.parse::<usize>().map_err(|_| invalid())?, after_empty == "1")
        }
    };
    let token = |offset: usize, after_empty: u8| Some(STANDARD.encode(format!("page {offset} {after_empty}")));
    if empty_pages && !after_empty {
        return Ok((Vec::new(), token(offset, 1)));
    }
    let total = entries.len();
    let page: Vec<T> = entries.into_iter().skip(offset).take(size).collect();
    let next = if offset + page.len() < total { token(offset + page.len(), 0) } else { None };
    Ok((page, next))
}

/// A filter value: a prefix, or with a leading `!` a prefix that must not match. Only descriptions ignore case.
fn matches(value: &str, texts: &[&str], case_counts: bool) -> bool {
    let (negated, prefix) = value.strip_prefix('!').map_or((false, value), |rest| (true, rest));
    let found = texts.iter().any(|text| {
        if case_counts { text.starts_with(prefix) } else { text.to_lowercase().starts_with(&prefix.to_lowercase()) }
    });
    found != negated
}

/// Whether a secret matches a filter: at least one of the filter's values matches. `tag-key` and `tag-value` each match any tag.
fn passes(secret: &Secret, key: &str, values: &[String]) -> Result<bool, Refusal> {
    let keys = || secret.tags.keys().map(String::as_str);
    let tag_values = || secret.tags.values().map(String::as_str);
    let description = secret.description.as_deref();
    let (texts, case_counts): (Vec<&str>, bool) = match key {
        "name" => (vec![&secret.name], true),
        "tag-key" => (keys().collect(), true),
        "tag-value" => (tag_values().collect(), true),
        "description" => (description.into_iter().collect(), false),
        "all" => {
            let texts = [secret.name.as_str()].into_iter().chain(description).chain(keys()).chain(tag_values());
            (texts.collect(), false)
        }
        "owning-service" | "primary-region" => (Vec::new(), true),
        _ => return Err(Refusal::new("ValidationException", format!("{key} is not a filter."))),
    };
    Ok(values.iter().any(|value| matches(value, &texts, case_counts)))
}

pub(super) fn secrets(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let filters = input.list("Filters")?.map(Vec::as_slice).unwrap_or_default();
    if filters.len() > 10 {
        return Err(Refusal::parameter("At most 10 filters are allowed."));
    }
    let planned = input.flag("IncludePlannedDeletion")?.unwrap_or(false);
    let mut found: Vec<&Secret> =
        state.aws.secrets.values().filter(|secret| planned || secret.deleted.is_none()).collect();
    for filter in filters {
        let filter = Input::new(filter)?;
        let (key, values) = (filter.required("Key")?, filter.texts("Values")?.unwrap_or_default());
        if !(1..=10).contains(&values.len()) {
            return Err(Refusal::parameter("A filter has 1 to 10 values."));
        }
        let mut kept = Vec::new();
        for secret in found {
            if passes(secret, key, &values)? {
                kept.push(secret);
            }
        }
        found = kept;
    }
    found.sort_by_key(|secret| (secret.created, &secret.name));
    if input.text("SortOrder")? == Some("desc") {
        found.reverse();
    }
    let (page, next) = page(found, input, state.aws.empty_pages)?;
    let page: Vec<Value> =
        page.into_iter().map(|secret| Value::Object(description(secret, "SecretVersionsToStages"))).collect();
    let mut body = json!({ "SecretList": page });
    if let Some(next) = next {
        body["NextToken"] = json!(next);
    }
    Ok(body)
}

pub(super) fn versions(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.arn(state)?;
    let deprecated = input.flag("IncludeDeprecated")?.unwrap_or(false);
    let empty_pages = state.aws.empty_pages;
    let secret = super::input::secret(state, &arn)?;
    // a version without a value is not listed, whatever its labels
    let listed = |version: &Version| version.value.is_some() && (deprecated || !version.stages.is_empty());
    let mut versions: Vec<_> = secret.versions.iter().filter(|(_, version)| listed(version)).collect();
    versions.sort_by_key(|(id, version)| (version.created, *id));
    let entries = versions
        .into_iter()
        .map(|(id, version)| {
            let mut entry = json!({
                "VersionId": id,
                "CreatedDate": seconds(version.created),
                "KmsKeyIds": [secret.kms_key_id.as_deref().unwrap_or("DefaultEncryptionKey")],
            });
            if !version.stages.is_empty() {
                entry["VersionStages"] = json!(version.stages);
            }
            entry
        })
        .collect();
    let (page, next) = page(entries, input, empty_pages)?;
    let mut body = json!({ "ARN": secret.arn, "Name": secret.name, "Versions": page });
    if let Some(next) = next {
        body["NextToken"] = json!(next);
    }
    Ok(body)
}
