//! What is hubkeeper's in a connector, and what is kept: pure.
//!
//! Owned: organization, environment, credential, scan interval, the three Docker Hub offerings, four tags, and the tags
//! that the secret names. Everything else that a GET gave goes back with the PUT as it came, less what is read-only
//! (Microsoft's swagger) and less any credential that the service may have shown.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::connector::observed::{Coverage, Observed, TAG_PROVED, TAG_PROVED_AT, TAG_SECRET, TAG_VERSION, plan_of};
use crate::ids::Fingerprint;
use crate::secret::Document;
use crate::secret::document::Plan;
use crate::time::{Timestamp, rfc3339};

/// What is to be written.
pub struct Desired<'a> {
    /// The version's document.
    pub document: &'a Document,
    /// Its token.
    pub token: &'a SecretString,
    /// Fingerprint of the secret.
    pub fingerprint: &'a Fingerprint,
    /// The version.
    pub version: &'a str,
    /// When it was proven.
    pub proved_at: Timestamp,
    /// What the proof saw.
    pub proved: Coverage,
}

/// The body of the PUT: what is ours over what was there.
pub fn merge(desired: &Desired<'_>, observed: Option<&Observed>) -> Value {
    let spec = &desired.document.connector;
    let mut body = observed.map_or_else(Map::new, |observed| observed.raw.clone());
    for read_only in ["id", "name", "type", "systemData"] {
        body.remove(read_only);
    }
    if body.get("etag").is_some_and(|etag| etag.as_str().is_none_or(str::is_empty)) {
        body.remove("etag");
    }
    // ARM fixes the location at creation
    body.entry("location").or_insert_with(|| json!(spec.location));
    body.insert("tags".into(), Value::Object(tags(desired, observed, body.get("tags"))));
    let mut properties = take(&mut body, "properties");
    properties.remove("hierarchyIdentifierTrialEndDate");
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

/// Takes an object out of its parent: an empty one where there is none.
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
        found.tag(TAG_SECRET) == Some(desired.fingerprint.as_str()) && found.tag(TAG_VERSION) == Some(desired.version)
    });
    let kept = |name: &str| same.and_then(|found| found.tag(name)).map(str::to_owned);
    let ours: BTreeMap<&str, String> = [
        (TAG_SECRET, desired.fingerprint.to_string()),
        (TAG_VERSION, desired.version.to_owned()),
        (TAG_PROVED_AT, kept(TAG_PROVED_AT).unwrap_or_else(|| rfc3339(desired.proved_at))),
        (TAG_PROVED, kept(TAG_PROVED).unwrap_or_else(|| desired.proved.to_string())),
    ]
    .into();
    let named = desired.document.connector.tags.iter().map(|(name, value)| (name.as_str(), value.clone()));
    for (name, value) in named.chain(ours) {
        // the stored casing may differ, and a name in two casings is refused
        tags.retain(|known, _| !known.eq_ignore_ascii_case(name));
        tags.insert(name.to_owned(), Value::String(value));
    }
    tags
}

/// Every offering that is not ours, as it came; ours by the plans, each once, with the members they had.
fn offerings(plans: &[Plan], present: Option<&Value>) -> Vec<Value> {
    let mut offerings: Vec<Value> = present.and_then(Value::as_array).cloned().unwrap_or_default();
    let plan = |offering: &Value| offering.get("offeringType").and_then(Value::as_str).and_then(plan_of);
    let mut missing = plans.to_vec();
    offerings.retain(|offering| match plan(offering) {
        None => true,
        Some(plan) => missing.iter().position(|wanted| *wanted == plan).map(|at| missing.remove(at)).is_some(),
    });
    offerings.extend(missing.into_iter().map(|plan| json!({"offeringType": plan.offering()})));
    for offering in &mut offerings {
        if let Value::Object(members) = offering {
            members.remove("description");
        }
    }
    offerings
}
