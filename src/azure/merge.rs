//! What is hubkeeper's in a connector, and what is kept: pure.
//!
//! Owned: organization, environment, credential, scan interval, the three Docker Hub offerings, four tags, and the tags
//! that the secret names. Everything else that a GET gave goes back with the PUT as it came, less what is read-only
//! (Microsoft's swagger) and less any credential that the service may have shown.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::clock::{Timestamp, parse_rfc3339, rfc3339};
use crate::secret::Document;
use crate::secret::document::Plan;

/// Fingerprint of the secret that keeps the connector.
pub const TAG_SECRET: &str = "hubkeeper-secret";
/// Version id of the secret that the connector carries.
pub const TAG_VERSION: &str = "hubkeeper-version";
/// When that version was proven, RFC 3339.
pub const TAG_PROVED_AT: &str = "hubkeeper-proved-at";
/// What was proven: `<repositories>/<private>`.
pub const TAG_PROVED: &str = "hubkeeper-proved";

/// A connector as a GET showed it. No `Debug`: the body may hold the token.
#[derive(Clone)]
pub struct Observed {
    raw: Map<String, Value>,
}

/// Whose connector it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// Of this secret.
    Ours,
    /// Of this organization, without hubkeeper's tags: made in the portal.
    Untagged,
    /// Not to be touched, and why.
    Foreign(String),
}

/// What is to be written.
pub struct Desired<'a> {
    /// The version's document.
    pub document: &'a Document,
    /// Its token.
    pub token: &'a SecretString,
    /// Fingerprint of the secret.
    pub fingerprint: &'a str,
    /// The version.
    pub version: &'a str,
    /// When it was proven.
    pub proved_at: Timestamp,
    /// Repositories seen by the proof, and how many of them are private.
    pub proved: (usize, usize),
}

impl Observed {
    /// Takes a body of ARM; `None` where it is no connector.
    pub fn parse(body: Value) -> Option<Self> {
        match body {
            Value::Object(raw) if raw.get("properties").is_some_and(Value::is_object) => Some(Self { raw }),
            _ => None,
        }
    }

    fn text(&self, pointer: &[&str]) -> Option<&str> {
        let (first, rest) = pointer.split_first()?;
        let mut value = self.raw.get(*first)?;
        for name in rest {
            value = value.get(name)?;
        }
        value.as_str()
    }

    /// The resource id.
    pub fn id(&self) -> Option<&str> {
        self.text(&["id"])
    }

    /// The name of the resource.
    pub fn name(&self) -> Option<&str> {
        self.text(&["name"])
    }

    /// The location, as ARM echoes it.
    pub fn location(&self) -> Option<&str> {
        self.text(&["location"])
    }

    /// The organization: `hierarchyIdentifier`.
    pub fn organization(&self) -> Option<&str> {
        self.text(&["properties", "hierarchyIdentifier"])
    }

    /// Whether its environment is Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        self.text(&["properties", "environmentName"]).is_some_and(|name| name.eq_ignore_ascii_case("DockerHub"))
    }

    /// A tag; names compare without case.
    pub fn tag(&self, name: &str) -> Option<&str> {
        let tags = self.raw.get("tags")?.as_object()?;
        tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
    }

    /// The secret's version that the tag names.
    pub fn version(&self) -> Option<&str> {
        self.tag(TAG_VERSION).filter(|version| is_version_id(version))
    }

    /// When the version was proven.
    pub fn proved_at(&self) -> Option<Timestamp> {
        self.tag(TAG_PROVED_AT).and_then(parse_rfc3339)
    }

    /// What the last proof of a written version saw: repositories, and how many of them are private.
    pub fn proved(&self) -> Option<(usize, usize)> {
        let (repositories, private) = self.tag(TAG_PROVED)?.split_once('/')?;
        Some((repositories.parse().ok()?, private.parse().ok()?))
    }

    fn offerings(&self) -> Vec<&str> {
        let list =
            self.raw.get("properties").and_then(|properties| properties.get("offerings")).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|offering| offering.get("offeringType")?.as_str()).collect()
    }

    /// Offerings that are not ours.
    pub fn foreign_offerings(&self) -> Vec<&str> {
        self.offerings().into_iter().filter(|name| plan_of(name).is_none()).collect()
    }

    /// Whose it is, for this organization and secret.
    pub fn ownership(&self, organization: &str, fingerprint: &str) -> Ownership {
        if !self.is_docker_hub() {
            return Ownership::Foreign("it is a connector of another environment than Docker Hub".into());
        }
        let told = self.organization();
        if told.is_some_and(|other| !other.eq_ignore_ascii_case(organization)) {
            return Ownership::Foreign("it is the connector of another organization".into());
        }
        match (self.tag(TAG_SECRET), told) {
            (Some(tag), _) if tag == fingerprint => Ownership::Ours,
            (Some(_), _) => Ownership::Foreign("another secret keeps it (tag hubkeeper-secret)".into()),
            (None, Some(_)) => Ownership::Untagged,
            (None, None) => Ownership::Foreign(
                "it does not tell its organization (hierarchyIdentifier) and has no tag of hubkeeper".into(),
            ),
        }
    }

    /// Who wrote it last, where ARM tells: `systemData.lastModifiedBy`, a client id, an object id or an address.
    pub fn writer(&self) -> Option<&str> {
        self.text(&["systemData", "lastModifiedBy"])
    }

    /// Whether it bears this secret's fingerprint, whatever organization it is for.
    pub fn bears(&self, fingerprint: &str) -> bool {
        self.is_docker_hub() && self.tag(TAG_SECRET) == Some(fingerprint)
    }

    /// Whether it carries this version of this secret: both tags say so, and the user name agrees where ARM tells it. What
    /// else differs is [`Observed::drift`].
    ///
    /// # Errors
    /// The first difference, for people.
    pub fn carries(&self, document: &Document, fingerprint: &str, version: &str) -> Result<(), String> {
        if self.ownership(&document.organization, fingerprint) != Ownership::Ours {
            return Err("it does not bear this secret's tag".into());
        }
        if self.tag(TAG_VERSION) != Some(version) {
            return Err("it carries another version of the secret".into());
        }
        let authentication = ["properties", "environmentData", "authentication", "username"];
        // Docker Hub's user names have no case
        if self.text(&authentication).is_some_and(|username| !username.eq_ignore_ascii_case(&document.username)) {
            return Err("it has another user name".into());
        }
        Ok(())
    }

    /// In what its settings differ from the document, where ARM tells them: offerings and scan interval.
    pub fn setting_drift(&self, document: &Document) -> Option<String> {
        let properties = self.raw.get("properties");
        if properties.is_some_and(|properties| properties.get("offerings").is_some_and(Value::is_array)) {
            let mut ours: Vec<_> = self.offerings().into_iter().filter_map(plan_of).collect();
            ours.sort_unstable();
            if ours != document.connector.plans {
                return Some("it has other offerings than the secret's plans".into());
            }
        }
        let interval = properties.and_then(|properties| properties.pointer("/environmentData/scanInterval"));
        let hours = interval.and_then(Value::as_u64);
        if hours.is_some_and(|hours| hours != u64::from(document.connector.scan_interval_hours)) {
            return Some("it has another scan interval".into());
        }
        None
    }

    /// In what it drifted from what hubkeeper wrote: its settings, or a write by somebody who is none of `writers`.
    pub fn drift(&self, document: &Document, writers: &[&str]) -> Option<String> {
        self.setting_drift(document).or_else(|| {
            let by = self.writer()?;
            let known = writers.iter().any(|writer| by.eq_ignore_ascii_case(writer));
            (!known).then(|| "somebody else changed it since".to_owned())
        })
    }
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
    let (repositories, private) = desired.proved;
    // what was proven, and when, changes only together with the version: the grace of replaced tokens runs from it
    let same = observed.filter(|found| {
        found.tag(TAG_SECRET) == Some(desired.fingerprint) && found.tag(TAG_VERSION) == Some(desired.version)
    });
    let kept = |name: &str| same.and_then(|found| found.tag(name)).map(str::to_owned);
    let ours: BTreeMap<&str, String> = [
        (TAG_SECRET, desired.fingerprint.to_owned()),
        (TAG_VERSION, desired.version.to_owned()),
        (TAG_PROVED_AT, kept(TAG_PROVED_AT).unwrap_or_else(|| rfc3339(desired.proved_at))),
        (TAG_PROVED, kept(TAG_PROVED).unwrap_or_else(|| format!("{repositories}/{private}"))),
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

fn plan_of(offering: &str) -> Option<Plan> {
    Plan::ALL.into_iter().find(|plan| plan.offering().eq_ignore_ascii_case(offering))
}

/// A version id as Secrets Manager makes them: anything else in a tag is not asked for.
fn is_version_id(text: &str) -> bool {
    (32..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use time::macros::datetime;

    pub(crate) const VERSION: &str = "11111111-1111-4111-a111-111111111111";
    pub(crate) const CLIENT: &str = "c11e0000-0000-4000-a000-000000000001";

    pub(crate) fn document(change: impl FnOnce(&mut Value)) -> Document {
        let mut value = json!({
            "organization": "acme", "username": "acme-scanner", "accessToken": "dckr_pat_abc",
            "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub",
                "location": "westeurope", "scanIntervalHours": 12, "plans": ["containers"], "tags": {"team": "sec"}}
        });
        change(&mut value);
        Document::parse(&SecretString::from(value.to_string())).unwrap()
    }

    pub(crate) fn written(document: &Document, version: &str, observed: Option<&Observed>) -> Value {
        let token = SecretString::from("dckr_pat_abc");
        let desired = Desired {
            document,
            token: &token,
            fingerprint: "0123456789ab",
            version,
            proved_at: datetime!(2026-11-24 10:00 UTC),
            proved: (7, 3),
        };
        merge(&desired, observed)
    }

    fn portal() -> Observed {
        Observed::parse(json!({
            "id": "/subscriptions/x", "name": "hub", "type": "t", "location": "CentralUS", "kind": "", "etag": "e1",
            "systemData": {"lastModifiedBy": "person@example.com"}, "extra": {"kept": 1},
            "tags": {"cost": "7", "Hubkeeper-Version": "old", "TEAM": "x"},
            "properties": {
                "hierarchyIdentifier": "Acme", "hierarchyIdentifierTrialEndDate": "2027-01-01", "environmentName": "DockerHub",
                "novel": true,
                "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 24, "future": [1],
                    "authentication": {"authenticationType": "AccessToken", "username": "u", "accessToken": "***"}},
                "offerings": [{"offeringType": "CspmMonitorDockerHub", "description": "d"}, {"offeringType": "FutureOffering", "knob": 2}]
            }
        }))
        .unwrap()
    }

    #[test]
    fn what_is_not_ours_is_kept_and_what_is_ours_is_set() {
        let body = written(&document(|_| {}), VERSION, Some(&portal()));
        assert_eq!(
            body,
            json!({
                "location": "CentralUS", "kind": "", "etag": "e1", "extra": {"kept": 1},
                "tags": {"cost": "7", "team": "sec", "hubkeeper-secret": "0123456789ab", "hubkeeper-version": VERSION,
                    "hubkeeper-proved-at": "2026-11-24T10:00:00Z", "hubkeeper-proved": "7/3"},
                "properties": {
                    "hierarchyIdentifier": "acme", "environmentName": "DockerHub", "novel": true,
                    "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 12, "future": [1],
                        "authentication": {"authenticationType": "AccessToken", "username": "acme-scanner", "accessToken": "dckr_pat_abc"}},
                    "offerings": [{"offeringType": "FutureOffering", "knob": 2}, {"offeringType": "DefenderForContainersDockerHub"}]
                }
            })
        );
    }

    #[test]
    fn an_offering_of_ours_that_stands_there_twice_is_written_once() {
        let mut body = written(&document(|_| {}), VERSION, None);
        body["properties"]["offerings"] = json!([
            {"offeringType": "defenderforcontainersdockerhub", "first": true},
            {"offeringType": "FutureOffering"},
            {"offeringType": "DefenderForContainersDockerHub"}
        ]);
        let again = written(&document(|_| {}), VERSION, Observed::parse(body).as_ref());
        let expected = json!([{"offeringType": "defenderforcontainersdockerhub", "first": true}, {"offeringType": "FutureOffering"}]);
        assert_eq!(again["properties"]["offerings"], expected);
    }

    #[test]
    fn what_a_connector_says_of_itself_is_read() {
        let portal = portal();
        assert_eq!((portal.name(), portal.location()), (Some("hub"), Some("CentralUS")));
        assert_eq!(portal.foreign_offerings(), ["FutureOffering"]);
        assert_eq!((portal.version(), portal.proved()), (None, None), "`old` is no version id");
        let ours = Observed::parse(written(&document(|_| {}), VERSION, None)).unwrap();
        assert_eq!((ours.version(), ours.proved()), (Some(VERSION), Some((7, 3))));
        for version in ["x".repeat(31), "x".repeat(65), format!("{VERSION} x")] {
            let mut body = written(&document(|_| {}), VERSION, None);
            body["tags"]["hubkeeper-version"] = json!(version);
            assert_eq!(Observed::parse(body).unwrap().version(), None, "{version}");
        }
    }

    #[test]
    fn the_time_and_the_counts_of_a_proof_change_with_the_version_alone() {
        for (tag, value, kept) in [
            ("hubkeeper-proved", "1/1", true),
            ("hubkeeper-version", "22222222-2222-4222-a222-222222222222", false),
            ("hubkeeper-secret", "ba9876543210", false),
        ] {
            let mut body = written(&document(|_| {}), VERSION, None);
            body["tags"]["hubkeeper-proved"] = json!("1/1");
            body["tags"]["hubkeeper-proved-at"] = json!("2026-01-01T00:00:00Z");
            body["tags"][tag] = json!(value);
            let again = Observed::parse(written(&document(|_| {}), VERSION, Observed::parse(body).as_ref())).unwrap();
            assert_eq!(again.proved(), Some(if kept { (1, 1) } else { (7, 3) }), "{tag}");
            let expected = if kept { datetime!(2026-01-01 0:00 UTC) } else { datetime!(2026-11-24 10:00 UTC) };
            assert_eq!(again.proved_at(), Some(expected), "{tag}");
        }
    }

    #[test]
    fn a_new_connector_has_all_members() {
        let body = written(&document(|_| {}), VERSION, None);
        assert_eq!(body["location"], "westeurope");
        assert_eq!(body["properties"]["environmentData"]["environmentType"], "DockerHubOrganization");
    }

    #[test]
    fn what_was_written_carries_the_version_and_each_drift_is_seen() {
        let document = document(|_| {});
        let carries = |change: &dyn Fn(&mut Value)| {
            let mut body = written(&document, VERSION, None);
            change(&mut body);
            Observed::parse(body).unwrap().carries(&document, "0123456789ab", VERSION)
        };
        assert_eq!(carries(&|_| {}), Ok(()));
        let username = "/properties/environmentData/authentication/username";
        for (pointer, value) in [
            ("/tags/hubkeeper-version", json!("other")),
            ("/tags/hubkeeper-secret", json!("other")),
            (username, json!("other")),
            ("/properties/environmentName", json!("Github")),
        ] {
            assert!(carries(&|body| *body.pointer_mut(pointer).unwrap() = value.clone()).is_err(), "{pointer}");
        }
        // what a service may drop, hide or spell in its own way does not decide what is carried
        for (pointer, value) in [
            (username, json!("ACME-Scanner")),
            (username, Value::Null),
            ("/properties/environmentData/scanInterval", json!(24)),
            ("/properties/offerings", json!([])),
        ] {
            assert_eq!(carries(&|body| *body.pointer_mut(pointer).unwrap() = value.clone()), Ok(()), "{pointer}");
        }
        assert_eq!(carries(&|body| body["systemData"] = json!({"lastModifiedBy": "person@example.com"})), Ok(()));
    }

    #[test]
    fn drift_is_what_arm_tells_and_differs() {
        let document = document(|_| {});
        let drift = |change: &dyn Fn(&mut Value)| {
            let mut body = written(&document, VERSION, None);
            body["systemData"] = json!({"lastModifiedBy": CLIENT.to_uppercase()});
            change(&mut body);
            Observed::parse(body).unwrap().drift(&document, &[CLIENT, "9e1f0000-0000-4000-a000-000000000001"])
        };
        assert_eq!(drift(&|_| {}), None);
        for (pointer, value) in [
            ("/systemData/lastModifiedBy", json!("9E1F0000-0000-4000-a000-000000000001")),
            ("/systemData", Value::Null),
            ("/properties/offerings", Value::Null),
            ("/properties/environmentData/scanInterval", Value::Null),
        ] {
            assert_eq!(drift(&|body| *body.pointer_mut(pointer).unwrap() = value.clone()), None, "{pointer}");
        }
        for (pointer, value) in [
            ("/systemData/lastModifiedBy", json!("person@example.com")),
            ("/properties/offerings", json!([])),
            ("/properties/environmentData/scanInterval", json!(24)),
        ] {
            assert!(drift(&|body| *body.pointer_mut(pointer).unwrap() = value.clone()).is_some(), "{pointer}");
        }
    }

    #[test]
    fn a_connector_that_tells_no_organization_is_ours_by_its_tag_alone() {
        let mut body = written(&document(|_| {}), VERSION, None);
        body["properties"]["hierarchyIdentifier"] = Value::Null;
        let observed = Observed::parse(body.clone()).unwrap();
        assert_eq!(observed.ownership("acme", "0123456789ab"), Ownership::Ours);
        body["tags"] = json!({});
        assert!(matches!(Observed::parse(body).unwrap().ownership("acme", "0123456789ab"), Ownership::Foreign(_)));
    }

    #[test]
    fn ownership_follows_environment_organization_and_tag() {
        assert_eq!(portal().ownership("acme", "0123456789ab"), Ownership::Untagged);
        assert!(matches!(portal().ownership("other", "0123456789ab"), Ownership::Foreign(_)));
        let ours = Observed::parse(written(&document(|_| {}), VERSION, None)).unwrap();
        assert_eq!(ours.ownership("acme", "0123456789ab"), Ownership::Ours);
        assert!(matches!(ours.ownership("acme", "ba9876543210"), Ownership::Foreign(_)));
    }

    #[test]
    fn a_body_of_another_shape_is_no_connector() {
        for body in [json!([]), json!("x"), json!({}), json!({"properties": 1}), Value::Null] {
            assert!(Observed::parse(body).is_none());
        }
    }
}
