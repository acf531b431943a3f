use serde_json::{Value, json};
use time::macros::datetime;

use super::observed::*;
use crate::fixtures::{CLIENT, VERSION, document, fingerprint, written};
use crate::secret::document::Plan;

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
    let expected =
        json!([{"offeringType": "defenderforcontainersdockerhub", "first": true}, {"offeringType": "FutureOffering"}]);
    assert_eq!(again["properties"]["offerings"], expected);
}

#[test]
fn what_a_connector_says_of_itself_is_read() {
    let portal = portal();
    assert_eq!(
        (portal.id(), portal.name(), portal.location()),
        (Some("/subscriptions/x"), Some("hub"), Some("CentralUS"))
    );
    assert_eq!(portal.foreign_offerings(), ["FutureOffering"]);
    assert_eq!(portal.plans(), [Plan::FoundationalCspm]);
    assert_eq!(portal.tag_names(), ["Hubkeeper-Version", "TEAM", "cost"]);
    assert_eq!(portal.shown_token(), Some("***"));
    assert_eq!((portal.version(), portal.proved()), (None, None), "`old` is no version id");
    let ours = Observed::parse(written(&document(|_| {}), VERSION, None)).unwrap();
    assert_eq!((ours.version(), ours.proved()), (Some(VERSION.into()), Some(Coverage { repositories: 7, private: 3 })));
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
        assert_eq!(
            again.proved(),
            Some(if kept {
                Coverage { repositories: 1, private: 1 }
            } else {
                Coverage { repositories: 7, private: 3 }
            }),
            "{tag}"
        );
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
        Observed::parse(body).unwrap().carries(&document, &fingerprint("0123456789ab"), &VERSION.into())
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
    // fields that a service may drop, hide or spell differently do not decide which version the connector carries
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
    assert_eq!(observed.ownership("acme", &fingerprint("0123456789ab")), Ownership::Ours);
    body["tags"] = json!({});
    assert!(matches!(
        Observed::parse(body).unwrap().ownership("acme", &fingerprint("0123456789ab")),
        Ownership::Foreign(_)
    ));
}

#[test]
fn no_connector_is_of_a_secret_that_does_not_exist_yet() {
    assert_eq!(portal().ownership_before_creation("acme"), Ownership::Untagged);
    assert!(matches!(portal().ownership_before_creation("globex"), Ownership::Foreign(_)));
    let mut body = serde_json::Value::Object(portal().raw);
    body["tags"] = json!({ TAG_SECRET: "0123456789ab" });
    assert!(matches!(Observed::parse(body).unwrap().ownership_before_creation("acme"), Ownership::Foreign(_)));
}

#[test]
fn ownership_follows_environment_organization_and_tag() {
    assert_eq!(portal().ownership("acme", &fingerprint("0123456789ab")), Ownership::Untagged);
    assert!(matches!(portal().ownership("other", &fingerprint("0123456789ab")), Ownership::Foreign(_)));
    let ours = Observed::parse(written(&document(|_| {}), VERSION, None)).unwrap();
    assert_eq!(ours.ownership("acme", &fingerprint("0123456789ab")), Ownership::Ours);
    assert!(matches!(ours.ownership("acme", &fingerprint("ba9876543210")), Ownership::Foreign(_)));
}

#[test]
fn a_body_of_another_shape_is_no_connector() {
    for body in [json!([]), json!("x"), json!({}), json!({"properties": 1}), Value::Null] {
        assert!(Observed::parse(body).is_none());
    }
}
