//! Merges hubkeeper's fields into a connector and keeps the others. Pure.
//!
//! hubkeeper owns: organization, environment, credential, scan interval, the three Docker Hub offerings, four tags, and the tags
//! that the secret names. The PUT returns everything else that the GET showed, except read-only fields
//! (Microsoft's swagger) and any credential that the service may have shown.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::connector::observed::{Coverage, Observed, TAG_PROVED, TAG_PROVED_AT, TAG_SECRET, TAG_VERSION, plan_of};
use crate::ids::Fingerprint;
use crate::ids::VersionId;
use crate::secret::Document;
use crate::secret::document::Plan;
use crate::time::{Timestamp, rfc3339};

/// The desired state of the connector.
pub struct Desired<'a> {
    /// The version's document.
    pub document: &'a Document,
    /// Its token.
    pub token: &'a SecretString,
    /// Fingerprint of the secret.
    pub fingerprint: &'a Fingerprint,
    /// The version.
    pub version: &'a VersionId,
    /// When it was proven.
    pub proved_at: Timestamp,
    /// The coverage of the proof.
    pub proved: Coverage,
}

/// The body of the PUT: hubkeeper's fields merged over the existing ones.
pub fn merge(desired: &Desired<'_>, observed: Option<&Observed>) -> Value {
    let spec = &desired.document.connector;
    let mut body = observed.map_or_else(Map::new, writable);
    // ARM fixes the location at creation
    body.entry("location").or_insert_with(|| json!(spec.location));
    body.insert("tags".into(), Value::Object(tags(desired, observed, body.get("tags"))));
    let mut properties = take(&mut body, "properties");
    properties.insert("hierarchyIdentifier".into(), json!(desired.document.organization));
    properties.insert("environmentName".into(), json!("DockerHub"));
    let offerings = offerings(&spec.plans, properties.get("offerings"));
    properties.insert("offerings".into(), Value::Array(offerings));
    let mut environment = take(&mut properties, "environmentData");
    environment.insert("environmentType".into(), json!("DockerHubOrganization"));
    environment.insert("scanInterval".into(), json!(spec.scan_interval_hours));
    let mut authentication = take(&mut environment, "authentication");
    authentication.insert("authenticationType".into(), json!("AccessToken"));
    authentication.insert("username".into(), json!(desired.document.username));
    authentication.insert("accessToken".into(), json!(desired.token.expose_secret()));
    environment.insert("authentication".into(), Value::Object(authentication));
    properties.insert("environmentData".into(), Value::Object(environment));
    body.insert("properties".into(), Value::Object(properties));
    Value::Object(body)
}

/// What the GET showed, without the fields that only ARM writes.
pub(super) fn writable(observed: &Observed) -> Map<String, Value> {
    let mut body = observed.raw.clone();
    for read_only in ["id", "name", "type", "systemData"] {
        body.remove(read_only);
    }
    if body.get("etag").is_some_and(|etag| etag.as_str().is_none_or(str::is_empty)) {
        body.remove("etag");
    }
    if let Some(Value::Object(properties)) = body.get_mut("properties") {
        properties.remove("hierarchyIdentifierTrialEndDate");
        let offerings = properties.get_mut("offerings").and_then(Value::as_array_mut);
        for offering in offerings.into_iter().flatten().filter_map(Value::as_object_mut) {
            offering.remove("description");
        }
    }
    body
}

/// Takes an object out of its parent; an empty one if it is missing.
fn take(parent: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    match parent.remove(name) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn tags(desired: &Desired<'_>, observed: Option<&Observed>, present: Option<&Value>) -> Map<String, Value> {
    let mut tags = present.and_then(Value::as_object).cloned().unwrap_or_default();
    // what was proven, and when, changes only together with the version: the grace of replaced tokens runs from it
    let same = observed.filter(|found| {
        found.tag(TAG_SECRET) == Some(desired.fingerprint.as_str())
            && found.tag(TAG_VERSION) == Some(desired.version.as_str())
    });
    let kept = |name: &str| same.and_then(|found| found.tag(name)).map(str::to_owned);
    let ours: BTreeMap<&str, String> = [
        (TAG_SECRET, desired.fingerprint.to_string()),
        (TAG_VERSION, desired.version.to_string()),
        (TAG_PROVED_AT, kept(TAG_PROVED_AT).unwrap_or_else(|| rfc3339(desired.proved_at))),
        (TAG_PROVED, kept(TAG_PROVED).unwrap_or_else(|| desired.proved.to_string())),
    ]
    .into();
    let named = desired.document.connector.tags.iter().map(|(name, value)| (name.as_str(), value.clone()));
    for (name, value) in named.chain(ours) {
        // the stored casing may differ, and ARM rejects a name in two casings
        tags.retain(|known, _| !known.eq_ignore_ascii_case(name));
        tags.insert(name.to_owned(), Value::String(value));
    }
    tags
}

/// Every offering that is not hubkeeper's, unchanged; then hubkeeper's by the plans, each once, with their existing fields.
fn offerings(plans: &[Plan], present: Option<&Value>) -> Vec<Value> {
    let mut offerings: Vec<Value> = present.and_then(Value::as_array).cloned().unwrap_or_default();
    let plan = |offering: &Value| offering.get("offeringType").and_then(Value::as_str).and_then(plan_of);
    let mut missing = plans.to_vec();
    offerings.retain(|offering| match plan(offering) {
        None => true,
        Some(plan) => missing.iter().position(|wanted| *wanted == plan).map(|at| missing.remove(at)).is_some(),
    });
    offerings.extend(missing.into_iter().map(|plan| json!({"offeringType": plan.offering()})));
    offerings
}
