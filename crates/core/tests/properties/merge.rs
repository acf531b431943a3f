//! The merge of a connector keeps what is not hubkeeper's, sets what is, and never copies a credential from what a GET showed.

use hubkeeper_core::connector::merge::{Desired, merge};
use hubkeeper_core::connector::observed::{TAG_PROVED, TAG_PROVED_AT, TAG_SECRET, TAG_VERSION};
use hubkeeper_core::connector::{Coverage, Observed};
use hubkeeper_core::ids::{Fingerprint, VersionId};
use hubkeeper_core::secret::Document;
use hubkeeper_core::secret::document::Plan;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use time::macros::datetime;

use hubkeeper_test_support::property::{ensure, holds, refuted};

const VERSION: &str = "11111111-1111-4111-a111-111111111111";
const FINGERPRINT: &str = "0123456789ab";

fn fingerprint() -> Fingerprint {
    Fingerprint::parse(FINGERPRINT).unwrap()
}
const SHOWN: &str = "shown-by-the-service";
const TAGS: [&str; 4] = [TAG_SECRET, TAG_VERSION, TAG_PROVED_AT, TAG_PROVED];

pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-zé\"\\\\ ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-zA-Z]{1,6}", inner, 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn members() -> impl Strategy<Value = Map<String, Value>> {
    btree_map("[a-zA-Z]{1,8}", json_value(), 0..4).prop_map(|members| members.into_iter().collect())
}

/// Members with these names among them, or something else under the names.
fn members_with(names: &'static [&'static str]) -> impl Strategy<Value = Map<String, Value>> {
    (members(), vec((select(names.to_vec()), json_value()), 0..3)).prop_map(|(mut members, named)| {
        members.extend(named.into_iter().map(|(name, value)| (name.to_owned(), value)));
        members
    })
}

fn tags() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        "[a-z]{1,5}",
        select(vec![
            TAG_SECRET,
            "Hubkeeper-Secret",
            TAG_VERSION,
            "HUBKEEPER-VERSION",
            TAG_PROVED_AT,
            TAG_PROVED,
            "Team",
            "TEAM",
            "hubkeeper-x"
        ])
        .prop_map(str::to_owned),
    ];
    let value = prop_oneof![
        "[a-z0-9/]{0,5}",
        select(vec![FINGERPRINT, VERSION, "2026-01-01T00:00:00Z", "3/1"]).prop_map(str::to_owned)
    ];
    btree_map(name, value.prop_map(Value::from), 0..5).prop_map(|tags| tags.into_iter().collect())
}

fn offerings() -> impl Strategy<Value = Vec<Value>> {
    let name = select(vec![
        "CspmMonitorDockerHub",
        "cspmmonitordockerhub",
        "DefenderForContainersDockerHub",
        "DefenderCspmDockerHub",
        "FutureOffering",
        "CspmMonitorAws",
    ]);
    let offering = (members_with(&["description"]), name).prop_map(|(mut members, name)| {
        members.insert("offeringType".into(), json!(name));
        Value::Object(members)
    });
    vec(prop_oneof![6 => offering, 1 => json_value()], 0..5)
}

/// A connector as some service may show it: of any shape where no shape is promised.
fn connectors() -> impl Strategy<Value = Value> {
    let of = |names: &'static [&'static str]| members_with(names);
    let authentication = prop_oneof![4 => of(&["username", "authenticationType"]).prop_map(|mut members| {
        members.insert("accessToken".into(), json!(SHOWN));
        Value::Object(members)
    }), 1 => Just(Value::Null)];
    let environment =
        (of(&["environmentType", "scanInterval"]), authentication).prop_map(|(mut members, authentication)| {
            members.insert("authentication".into(), authentication);
            Value::Object(members)
        });
    let environment = prop_oneof![4 => environment, 1 => json_value()];
    let offerings = prop_oneof![4 => offerings().prop_map(Value::from), 1 => json_value()];
    let tags = prop_oneof![4 => tags().prop_map(Value::from), 1 => json_value()];
    let properties = of(&["hierarchyIdentifier", "hierarchyIdentifierTrialEndDate", "environmentName"]);
    let outside = of(&["id", "name", "type", "systemData", "etag", "kind", "location"]);
    let inside = (properties, option::of(environment), option::of(offerings));
    (outside, inside, option::of(tags)).prop_map(|(mut body, (mut properties, environment, offerings), tags)| {
        let mut put = |name: &str, value: Option<Value>| value.map(|value| properties.insert(name.to_owned(), value));
        put("environmentData", environment);
        put("offerings", offerings);
        body.insert("properties".into(), Value::Object(properties));
        if let Some(tags) = tags {
            body.insert("tags".into(), tags);
        }
        Value::Object(body)
    })
}

fn documents() -> impl Strategy<Value = Case> {
    let plans = subsequence(Plan::ALL.to_vec(), 0..=3);
    (plans, select(vec![None, Some("team"), Some("Team")]), 1..=24_u8).prop_map(|(plans, tag, hours)| {
        let plans: Vec<&str> = plans.into_iter().map(Plan::name).collect();
        let tags: Map<String, Value> = tag.map(|tag| (tag.to_owned(), json!("sec"))).into_iter().collect();
        let value = json!({"organization": "acme", "username": "acme-scanner", "accessToken": "dckr_pat_new",
            "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub",
                "location": "westeurope", "plans": plans, "scanIntervalHours": hours, "tags": tags}});
        Case(Document::parse(&SecretString::from(value.to_string())).unwrap())
    })
}

fn cases() -> impl Strategy<Value = (Value, Case)> {
    (connectors(), documents())
}

/// A document that can be printed, since it holds no real token.
#[derive(Clone)]
struct Case(Document);

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0.connector)
    }
}

fn merged(document: &Document, observed: Option<&Observed>) -> Value {
    let token = SecretString::from("dckr_pat_new");
    let desired = Desired {
        document,
        token: &token,
        fingerprint: &fingerprint(),
        version: &VersionId::of_service(VERSION),
        proved_at: datetime!(2026-11-24 10:00 UTC),
        proved: Coverage { repositories: 7, private: 3 },
    };
    merge(&desired, observed)
}

/// The members but for those of these names.
fn without(value: Option<&Value>, names: &[&str]) -> Map<String, Value> {
    let mut members = value.and_then(Value::as_object).cloned().unwrap_or_default();
    members.retain(|name, _| !names.contains(&name.as_str()));
    members
}

fn is_ours(offering: &Value) -> bool {
    let name = offering.get("offeringType").and_then(Value::as_str).unwrap_or_default();
    Plan::ALL.iter().any(|plan| plan.offering().eq_ignore_ascii_case(name))
}

type Merge = fn(&Document, Option<&Observed>) -> Value;

fn keeps(merge: Merge) -> impl Fn((Value, Case)) -> Result<(), String> {
    move |(before, Case(document))| {
        let after = merge(&document, Observed::parse(before.clone()).as_ref());
        let same = |at: &str, names: &[&str]| {
            let (was, is) = (without(before.pointer(at), names), without(after.pointer(at), names));
            ensure(was == is, || format!("{at}: {was:?} became {is:?}"))
        };
        same("", &["id", "name", "type", "systemData", "etag", "location", "tags", "properties"])?;
        same(
            "/properties",
            &[
                "hierarchyIdentifier",
                "hierarchyIdentifierTrialEndDate",
                "environmentName",
                "offerings",
                "environmentData",
            ],
        )?;
        same("/properties/environmentData", &["environmentType", "scanInterval", "authentication"])?;
        same("/properties/environmentData/authentication", &["authenticationType", "username", "accessToken"])?;
        if let Some(location) = before.get("location") {
            ensure(after["location"] == *location, || "the location".into())?;
        }
        tags_are_kept(&before, &after, &document)?;
        let foreign = |body: &Value| -> Vec<Value> {
            let list = body.pointer("/properties/offerings").and_then(Value::as_array).cloned().unwrap_or_default();
            let undescribed = list.into_iter().filter(|offering| !is_ours(offering)).map(|mut offering| {
                offering.as_object_mut().map(|members| members.remove("description"));
                offering
            });
            undescribed.collect()
        };
        ensure(foreign(&before) == foreign(&after), || "an offering of others".into())
    }
}

fn tags_are_kept(before: &Value, after: &Value, document: &Document) -> Result<(), String> {
    let own = |name: &str| {
        let named = document.connector.tags.keys().any(|known| known.eq_ignore_ascii_case(name));
        named || TAGS.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    let empty = Map::new();
    let tags = after["tags"].as_object().unwrap_or(&empty);
    for (name, value) in before.get("tags").and_then(Value::as_object).unwrap_or(&empty) {
        ensure(own(name) || tags.get(name) == Some(value), || format!("the tag {name}"))?;
    }
    for name in TAGS.iter().copied().chain(document.connector.tags.keys().map(String::as_str)) {
        let spelt = tags.keys().filter(|known| known.eq_ignore_ascii_case(name)).count();
        ensure(spelt == 1, || format!("the tag {name} is there {spelt} times"))?;
    }
    Ok(())
}

#[test]
fn what_is_not_ours_is_kept() {
    holds(&cases(), keeps(merged));
}

#[test]
fn the_property_finds_a_merge_that_starts_anew_or_drops_tags() {
    refuted(&cases(), keeps(|document, _| merged(document, None)));
    refuted(
        &cases(),
        keeps(|document, observed| {
            let mut body = merged(document, observed);
            body["tags"].as_object_mut().unwrap().retain(|name, _| name.starts_with("hubkeeper-") || name == "team");
            body
        }),
    );
}

fn settles(merge: Merge) -> impl Fn((Value, Case)) -> Result<(), String> {
    move |(before, Case(document))| {
        let after = merge(&document, Observed::parse(before).as_ref());
        ensure(!after.to_string().contains(SHOWN), || "the credential that the service showed goes back".into())?;
        let again = Observed::parse(after.clone()).ok_or("what is written is no connector")?;
        let carried = again.carries(&document, &fingerprint(), &VersionId::of_service(VERSION));
        ensure(carried.is_ok(), || format!("what is written does not carry the version: {carried:?}"))?;
        ensure(merge(&document, Some(&again)) == after, || "a second merge changes it".into())
    }
}

#[test]
fn what_was_merged_carries_the_version_and_a_second_merge_changes_nothing() {
    holds(&cases(), settles(merged));
    refuted(
        &cases(),
        settles(|document, observed| {
            let mut body = merged(document, observed);
            let shown = observed.is_some_and(|observed| observed.location().is_some());
            body["properties"]["environmentData"]["authentication"]["accessToken"] =
                json!(if shown { SHOWN } else { "x" });
            body
        }),
    );
}
