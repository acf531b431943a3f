use serde_json::json;

use super::*;
use crate::doctor::ledger::State;
use crate::fixtures;

const CLIENT: &str = "c11e0000-0000-4000-a000-000000000001";

fn ready() -> Ledger {
    let mut ledger = Ledger::default();
    for check in Check::ALL.iter().copied().take_while(|check| *check != Check::Subscription) {
        ledger.ok(check, "fine");
    }
    ledger
}

/// What the checks are after a GET that ARM answered like this.
fn after(get: &Get, listed: Listed) -> Ledger {
    after_with(get, listed, &fixtures::secret(&[]))
}

fn after_with(get: &Get, listed: Listed, secret: &Secret) -> Ledger {
    let document = fixtures::document(|_| ());
    let reader =
        Reader { client: Some(CLIENT), secret, document: &document, api_version: "2024-08-01-preview", listed };
    let mut ledger = ready();
    record_get(&mut ledger, &reader, get);
    record_connector(&mut ledger, &reader, get);
    ledger.finish(|check| check.section() == Check::Connector.section(), None);
    ledger
}

fn refused(status: u16, code: &str) -> Get {
    let body = json!({"error": {"code": code, "message": "some words"}});
    Get::Refused(Refusal::parse(status, &body, None, false))
}

fn failures(ledger: &Ledger) -> Vec<Check> {
    ledger.entries().filter(|(_, entry)| entry.state == State::Failure).map(|(check, _)| check).collect()
}

#[test]
fn each_refusal_fails_the_one_check_that_it_is_about() {
    for (status, code, check) in [
        (404, "SubscriptionNotFound", Check::Subscription),
        (403, "AuthorizationFailed", Check::Role),
        (404, "ResourceGroupNotFound", Check::Group),
        (409, "MissingSubscriptionRegistration", Check::Provider),
        (400, "NoRegisteredProviderFound", Check::Provider),
        (503, "ServiceUnavailable", Check::Subscription),
    ] {
        let ledger = after(&refused(status, code), Listed::Unknown);
        assert_eq!(failures(&ledger), [check], "{code}");
        let connector = ledger.entry(Check::Connector).unwrap();
        assert_eq!((connector.state, connector.because), (State::NotReached, Some(check)), "{code}");
        assert!(ledger.entry(check).unwrap().remedy.as_ref().is_some_and(|remedy| !remedy.is_empty()), "{code}");
    }
}

#[test]
fn no_role_and_a_role_elsewhere_are_told_apart() {
    let detail =
        |listed| after(&refused(403, "AuthorizationFailed"), listed).entry(Check::Role).unwrap().detail.clone();
    assert!(detail(Listed::Absent).contains("has no role anywhere in subscription"), "{}", detail(Listed::Absent));
    assert!(
        detail(Listed::State("Enabled".into())).contains("but not one that reads connectors"),
        "{}",
        detail(Listed::State("Enabled".into()))
    );
    assert!(detail(Listed::Unknown).contains("AuthorizationFailed"), "{}", detail(Listed::Unknown));
}

#[test]
fn an_absent_connector_is_fine_and_a_foreign_one_is_not() {
    assert_eq!(failures(&after(&Get::Absent, Listed::Unknown)), []);
    let foreign = json!({"tags": {"hubkeeper-secret": "ffffffffffff"},
        "properties": {"environmentName": "DockerHub", "hierarchyIdentifier": fixtures::document(|_| ()).organization}});
    let ledger = after(&Get::Present(Box::new(Observed::parse(foreign).unwrap())), Listed::Unknown);
    assert_eq!(failures(&ledger), [Check::Connector]);
    assert!(ledger.entry(Check::Connector).unwrap().detail.contains("another secret manages it"));
    let portal = json!({"properties": {"environmentName": "DockerHub", "hierarchyIdentifier": fixtures::document(|_| ()).organization}});
    let ledger = after(&Get::Present(Box::new(Observed::parse(portal).unwrap())), Listed::Unknown);
    assert_eq!(ledger.entry(Check::Connector).unwrap().state, State::Warning);
}

#[test]
fn a_pattern_of_actions_matches_as_azure_does() {
    let action = "Microsoft.Security/securityConnectors/write";
    for (pattern, matches) in [
        ("*", true),
        ("Microsoft.Security/*", true),
        ("microsoft.security/securityconnectors/*", true),
        ("*/write", true),
        ("Microsoft.*/write", true),
        ("Microsoft.Security/securityConnectors/write", true),
        ("Microsoft.Security/*/read", false),
        ("*/read", false),
        ("Microsoft.Security/pricings/*", false),
        ("Microsoft.Security/securityConnectors/wri", false),
    ] {
        assert_eq!(matches_action(pattern, action), matches, "{pattern}");
    }
    let list = |actions: Value, not: Value| json!({"value": [{"actions": actions, "notActions": not}]});
    assert!(allows(&list(json!(["*"]), json!([])), action));
    assert!(!allows(&list(json!(["*"]), json!(["Microsoft.Security/*"])), action));
    assert!(!allows(&json!({"value": []}), action));
}

#[test]
fn what_is_missing_of_the_role_is_named() {
    let document = fixtures::document(|_| ());
    let secret = fixtures::secret(&[]);
    let reader = Reader {
        client: Some(CLIENT),
        secret: &secret,
        document: &document,
        api_version: "v",
        listed: Listed::Unknown,
    };
    for (actions, state, part) in [
        (json!(["*"]), State::Ok, "delete"),
        (
            json!(["Microsoft.Security/securityConnectors/read", "Microsoft.Security/securityConnectors/write"]),
            State::Warning,
            "not delete",
        ),
        (json!(["*/read"]), State::Failure, "securityConnectors/write and /delete"),
    ] {
        let mut ledger = ready();
        record_get(&mut ledger, &reader, &Get::Absent);
        record_permissions(&mut ledger, &reader, &Ok(json!({"value": [{"actions": actions}]})));
        let entry = ledger.entry(Check::Permissions).unwrap();
        assert!(entry.state == state && entry.detail.contains(part), "{entry:?}");
    }
}

#[test]
fn a_plan_must_be_on_here_or_elsewhere() {
    let plans = |tier: &str| {
        Ok(
            json!({"value": [{"name": "Containers", "properties": {"pricingTier": tier}}, {"name": "VirtualMachines", "properties": {"pricingTier": "Standard"}}]}),
        )
    };
    for (here, elsewhere, state) in [
        (plans("Standard"), false, State::Ok),
        (plans("Free"), true, State::Warning),
        (plans("Free"), false, State::Failure),
        (Err(Unread::Denied("403".to_owned())), false, State::NotReached),
    ] {
        let mut ledger = ready();
        ledger.ok(Check::Subscription, "fine");
        record_plans(&mut ledger, &here, elsewhere, "a5caac9c-5c04-49af-b3d0-e204f40345d5");
        assert_eq!(ledger.entry(Check::Plans).unwrap().state, state, "{here:?}");
    }
}

#[test]
fn only_a_denial_fails_the_check_of_policies() {
    let with = |effect: &str, result: &str| {
        let id = "/subscriptions/s/providers/Microsoft.Authorization/policyAssignments/allowed-locations";
        Ok(json!({"contentEvaluationResult": {"policyEvaluations": [{"policyInfo": {"policyAssignmentId": id},
            "evaluationResult": result, "effectDetails": {"policyEffect": effect}}]}}))
    };
    for (restrictions, state) in [
        (with("deny", "NonCompliant"), State::Failure),
        (with("Deny", "NonCompliant"), State::Failure),
        (with("audit", "NonCompliant"), State::Ok),
        (with("deny", "Compliant"), State::Ok),
        (Ok(json!({})), State::Ok),
        (Err(Unread::Denied("403".to_owned())), State::NotReached),
    ] {
        let mut ledger = ready();
        for check in [Check::Subscription, Check::Role, Check::Group] {
            ledger.ok(check, "fine");
        }
        record_policies(&mut ledger, &restrictions, "rg");
        let entry = ledger.entry(Check::Policies).unwrap();
        assert_eq!(entry.state, state, "{restrictions:?}");
        assert_eq!(entry.detail.contains("allowed-locations"), state == State::Failure, "{entry:?}");
    }
}

#[test]
fn a_disabled_subscription_fails_although_a_get_works() {
    let after = |state: &str| after(&Get::Absent, Listed::State(state.into()));
    assert_eq!(failures(&after("Enabled")), []);
    assert_eq!(failures(&after("Disabled")), [Check::Subscription]);
    assert_eq!(after("PastDue").entry(Check::Subscription).unwrap().state, State::Warning);
}

#[test]
fn a_list_that_goes_on_says_nothing_about_a_missing_subscription() {
    let list = |next: Value| Ok(json!({"value": [{"subscriptionId": "a", "state": "Enabled"}], "nextLink": next}));
    assert_eq!(listed(&list(json!(null)), "A"), Listed::State("Enabled".into()));
    assert_eq!(listed(&list(json!(null)), "b"), Listed::Absent);
    assert_eq!(listed(&list(json!("https://x")), "b"), Listed::Unknown);
    assert_eq!(listed(&Err(Unread::Denied("403".into())), "a"), Listed::Unknown);
}

#[test]
fn a_document_that_names_another_connector_than_the_tag_fails() {
    let mut secret = fixtures::secret(&[]);
    secret.tags.insert("hubkeeper".into(), "managed".into());
    let mut other = fixtures::document(|_| ());
    other.connector.id.name = "dockerhub-other".into();
    let tag = KeptConnector::of(&other).tag_value().unwrap();
    secret.tags.insert("hubkeeper-connector".into(), tag);
    let ledger = after_with(&Get::Absent, Listed::Unknown, &secret);
    assert_eq!(failures(&ledger), [Check::Connector]);
    assert!(ledger.entry(Check::Connector).unwrap().detail.contains("dockerhub-other"));
    secret.tags.insert("hubkeeper-connector".into(), "nonsense".into());
    assert_eq!(failures(&after_with(&Get::Absent, Listed::Unknown, &secret)), [Check::Connector]);
    secret.tags.insert("hubkeeper".into(), "offboarded".into());
    secret.tags.insert("hubkeeper-connector".into(), KeptConnector::of(&other).tag_value().unwrap());
    assert_eq!(failures(&after_with(&Get::Absent, Listed::Unknown, &secret)), []);
}

#[test]
fn a_person_is_not_judged_as_the_function() {
    let document = fixtures::document(|_| ());
    let secret = fixtures::secret(&[]);
    let reader =
        Reader { client: None, secret: &secret, document: &document, api_version: "v", listed: Listed::Unknown };
    let mut ledger = ready();
    record_get(&mut ledger, &reader, &Get::Absent);
    record_permissions(&mut ledger, &reader, &Ok(json!({"value": []})));
    assert_eq!(ledger.entry(Check::Permissions).unwrap().state, State::NotReached);
}

#[test]
fn policies_see_the_connector_that_is_written_without_the_credential() {
    let document = fixtures::document(|value| value["connector"]["tags"] = json!({"costCenter": "7"}));
    let version = VersionId::of_service("v");
    let body =
        resource(&fixtures::secret(&[]), &document, &version, None, time::macros::datetime!(2026-11-29 0:00 UTC));
    assert_eq!(body["tags"]["costCenter"], "7");
    assert_eq!(body["type"], "Microsoft.Security/securityConnectors");
    assert_eq!(body["name"], json!(document.connector.id.name));
    assert!(!body["properties"]["offerings"].as_array().unwrap().is_empty());
    assert!(!body.to_string().contains("authentication"), "{body}");
}
