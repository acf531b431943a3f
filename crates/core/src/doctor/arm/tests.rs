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
fn after(get: &Get, has_a_role: Option<bool>) -> Ledger {
    let document = fixtures::document(|_| ());
    let fingerprint = fixtures::fingerprint("aaaaaaaaaaaa");
    let reader = Reader {
        client: CLIENT,
        document: &document,
        fingerprint: &fingerprint,
        api_version: "2024-08-01-preview",
        has_a_role,
    };
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
        let ledger = after(&refused(status, code), None);
        assert_eq!(failures(&ledger), [check], "{code}");
        let connector = ledger.entry(Check::Connector).unwrap();
        assert_eq!((connector.state, connector.because), (State::NotReached, Some(check)), "{code}");
        assert!(ledger.entry(check).unwrap().remedy.as_ref().is_some_and(|remedy| !remedy.is_empty()), "{code}");
    }
}

#[test]
fn no_role_and_a_role_elsewhere_are_told_apart() {
    let detail = |sees| after(&refused(403, "AuthorizationFailed"), sees).entry(Check::Role).unwrap().detail.clone();
    assert!(detail(Some(false)).contains("has no role anywhere in subscription"), "{}", detail(Some(false)));
    assert!(detail(Some(true)).contains("but not one that reads connectors"), "{}", detail(Some(true)));
    assert!(detail(None).contains("AuthorizationFailed"), "{}", detail(None));
}

#[test]
fn an_absent_connector_is_fine_and_a_foreign_one_is_not() {
    assert_eq!(failures(&after(&Get::Absent, None)), []);
    let foreign = json!({"tags": {"hubkeeper-secret": "ffffffffffff"},
        "properties": {"environmentName": "DockerHub", "hierarchyIdentifier": fixtures::document(|_| ()).organization}});
    let ledger = after(&Get::Present(Box::new(Observed::parse(foreign).unwrap())), None);
    assert_eq!(failures(&ledger), [Check::Connector]);
    assert!(ledger.entry(Check::Connector).unwrap().detail.contains("another secret manages it"));
    let portal = json!({"properties": {"environmentName": "DockerHub", "hierarchyIdentifier": fixtures::document(|_| ()).organization}});
    let ledger = after(&Get::Present(Box::new(Observed::parse(portal).unwrap())), None);
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
    let fingerprint = fixtures::fingerprint("aaaaaaaaaaaa");
    let reader =
        Reader { client: CLIENT, document: &document, fingerprint: &fingerprint, api_version: "v", has_a_role: None };
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
        (Err("403".to_owned()), false, State::NotReached),
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
        (Err("403".to_owned()), State::NotReached),
    ] {
        let mut ledger = ready();
        for check in [Check::Subscription, Check::Role, Check::Group] {
            ledger.ok(check, "fine");
        }
        record_policies(&mut ledger, &restrictions);
        let entry = ledger.entry(Check::Policies).unwrap();
        assert_eq!(entry.state, state, "{restrictions:?}");
        assert_eq!(entry.detail.contains("allowed-locations"), state == State::Failure, "{entry:?}");
    }
}
