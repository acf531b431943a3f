//! Subscriptions, the provider, plans, permissions and policies.

use super::*;
use crate::world::Recorded;

const CHECK: &str = "providers/Microsoft.PolicyInsights/checkPolicyRestrictions?api-version=2022-03-01";

impl Site {
    fn read(&self, path: &str) -> (u16, Value) {
        let (status, body, _) = self.raw("GET", path, Some(&self.bearer), None);
        (status, body)
    }

    fn check(&self, content: &Value) -> (u16, Value) {
        let uri = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1/{CHECK}");
        let body = json!({ "resourceDetails": { "resourceContent": content, "apiVersion": VERSION } });
        let (status, body, _) = self.raw("POST", &uri, Some(&self.bearer), Some(&body));
        (status, body)
    }

    fn make_reader(&self) {
        self.world.with(|state| grant_reader(state, CLIENT, SUBSCRIPTION));
    }
}

fn subscription(rest: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}{rest}")
}

const PROVIDER: &str = "/providers/Microsoft.Security?api-version=2021-04-01";
const PRICINGS: &str = "/providers/Microsoft.Security/pricings?api-version=2024-01-01";
const PERMISSIONS: &str = "/resourceGroups/rg1/providers/Microsoft.Authorization/permissions?api-version=2022-04-01";

#[test]
fn a_client_sees_the_subscriptions_in_which_it_has_a_role() {
    let site = site();
    let other = "a5caac9c-5c04-49af-b3d0-e204f40345d6";
    site.world.with(|state| add_resource_group(state, other, "rg1"));
    let seen = || {
        let (status, body) = site.read("/subscriptions?api-version=2022-12-01");
        assert_eq!(status, 200, "{body}");
        body["value"].as_array().expect("a list").clone()
    };
    assert_eq!(seen().len(), 1);
    assert_eq!((&seen()[0]["subscriptionId"], &seen()[0]["state"]), (&json!(SUBSCRIPTION), &json!("Enabled")));
    assert_eq!(seen()[0]["id"], subscription(""));
    site.world.with(|state| grant_reader(state, CLIENT, other));
    assert_eq!(seen().len(), 2);
    site.world.with(|state| revoke_grants(state, CLIENT));
    assert!(seen().is_empty());
    assert_eq!(code(&site.read("/subscriptions?api-version=2020-01-01")).1, "NoRegisteredProviderFound");
    assert_eq!(site.raw("GET", "/subscriptions?api-version=2022-12-01", None, None).0, 401);
}

#[test]
fn only_a_reader_sees_provider_plans_and_policies() {
    let site = site();
    for (uri, action) in [
        (subscription(PROVIDER), "Microsoft.Resources/subscriptions/providers/read"),
        (subscription(PRICINGS), "Microsoft.Security/pricings/read"),
    ] {
        let refused = site.read(&uri);
        assert_eq!(code(&refused), (403, "AuthorizationFailed".to_owned()));
        let message = refused.1["error"]["message"].as_str().expect("a message");
        assert!(message.contains(&format!("'{action}' over scope '/subscriptions/{SUBSCRIPTION}'")), "{message}");
    }
    let refused = site.check(&body());
    assert_eq!(code(&refused), (403, "AuthorizationFailed".to_owned()));
    let message = refused.1["error"]["message"].as_str().expect("a message");
    assert!(message.contains("'Microsoft.PolicyInsights/checkPolicyRestrictions/read'"), "{message}");
    site.make_reader();
    assert_eq!(
        (site.read(&subscription(PROVIDER)).0, site.read(&subscription(PRICINGS)).0, site.check(&body()).0),
        (200, 200, 200)
    );
}

#[test]
fn a_reader_reads_connectors_and_writes_none() {
    let site = site();
    site.put(&body());
    site.world.with(|state| revoke_grants(state, CLIENT));
    assert_eq!(site.get().0, 403);
    site.make_reader();
    assert_eq!(site.get().0, 200);
    assert_eq!(site.put(&body()).0, 403);
    assert_eq!(site.send("DELETE", &path("rg1", "hub"), None).0, 403);
}

#[test]
fn the_provider_shows_registration_locations_and_versions() {
    let site = site();
    site.make_reader();
    let (_, provider) = site.read(&subscription(PROVIDER));
    assert_eq!(
        (&provider["namespace"], &provider["registrationState"]),
        (&json!("Microsoft.Security"), &json!("Registered"))
    );
    let types = provider["resourceTypes"].as_array().expect("types");
    let connectors = types.iter().find(|kind| kind["resourceType"] == "securityConnectors").expect("connectors");
    assert!(connectors["apiVersions"].as_array().expect("versions").contains(&json!(VERSION)));
    assert!(connectors["locations"].as_array().expect("locations").contains(&json!("West Europe")));
    site.world.with(|state| set_registered(state, SUBSCRIPTION, false));
    assert_eq!(site.read(&subscription(PROVIDER)).1["registrationState"], "NotRegistered");
    assert_eq!(code(&site.read(&subscription(PRICINGS))), (404, "Subscription Not Registered".to_owned()));
}

#[test]
fn plans_are_on_or_off() {
    let site = site();
    site.make_reader();
    let tier = |name: &str| {
        let (status, body) = site.read(&subscription(PRICINGS));
        assert_eq!(status, 200, "{body}");
        let plans = body["value"].as_array().expect("plans");
        let mut found = plans.iter().filter(|plan| plan["name"] == name);
        let tier = found.next().expect("the plan")["properties"]["pricingTier"].as_str().expect("a tier").to_owned();
        assert!(found.next().is_none());
        tier
    };
    assert_eq!([tier("Containers"), tier("CloudPosture"), tier("VirtualMachines")], ["Standard", "Standard", "Free"]);
    site.world.with(|state| {
        set_plan(state, SUBSCRIPTION, "Containers", false);
        set_plan(state, SUBSCRIPTION, "VirtualMachines", true);
    });
    assert_eq!([tier("Containers"), tier("CloudPosture"), tier("VirtualMachines")], ["Free", "Standard", "Standard"]);
}

#[test]
fn a_client_sees_its_own_permissions() {
    let site = site();
    let permissions = || {
        let (status, body) = site.read(&subscription(PERMISSIONS));
        assert_eq!(status, 200, "{body}");
        body["value"].clone()
    };
    let kept: Vec<String> =
        ["read", "write", "delete"].map(|action| format!("Microsoft.Security/securityConnectors/{action}")).into();
    let entry = json!({ "actions": kept, "notActions": [], "dataActions": [], "notDataActions": [] });
    assert_eq!(permissions(), json!([entry]));
    site.make_reader();
    assert_eq!(permissions()[1]["actions"], json!(["*/read"]));
    site.world.with(|state| {
        revoke_grants(state, CLIENT);
        grant(state, CLIENT, SUBSCRIPTION, "rg2", &["read"]);
    });
    assert_eq!(permissions(), json!([]));
    site.world.with(|state| {
        state.arm.role_delay = Duration::seconds(60);
        grant(state, CLIENT, SUBSCRIPTION, "rg1", &["read"]);
    });
    assert_eq!(permissions(), json!([]));
    let missing = subscription(&PERMISSIONS.replace("rg1", "none"));
    assert_eq!(code(&site.read(&missing)), (404, "ResourceGroupNotFound".to_owned()));
}

#[test]
fn a_policy_denies_a_write_and_says_so_before() {
    let site = site();
    site.make_reader();
    let mut content = body();
    content["type"] = "Microsoft.Security/securityConnectors".into();
    let evaluations = |content: &Value| {
        let (status, body) = site.check(content);
        assert_eq!((status, &body["fieldRestrictions"]), (200, &json!([])), "{body}");
        body["contentEvaluationResult"]["policyEvaluations"].as_array().expect("a list").clone()
    };
    assert!(evaluations(&content).is_empty());
    site.world.with(|state| deny_by_policy(state, SUBSCRIPTION, "rg1", "allowed-locations", "Only here"));
    let found = evaluations(&content);
    assert_eq!((found.len(), &found[0]["evaluationResult"]), (1, &json!("NonCompliant")));
    assert_eq!(found[0]["effectDetails"], json!({ "policyEffect": "deny" }));
    let assignment = found[0]["policyInfo"]["policyAssignmentId"].clone();
    assert!(assignment.as_str().expect("an id").ends_with("/policyAssignments/allowed-locations"));
    let mut other = content.clone();
    other["type"] = "Microsoft.Storage/storageAccounts".into();
    assert!(evaluations(&other).is_empty());
    let refused = site.put(&body());
    assert_eq!(code(&refused), (403, "RequestDisallowedByPolicy".to_owned()));
    let info = &refused.1["error"]["additionalInfo"][0];
    assert_eq!(info["type"], "PolicyViolation");
    assert_eq!(
        (&info["info"]["policyAssignmentId"], &info["info"]["policyAssignmentName"]),
        (&assignment, &json!("allowed-locations"))
    );
    assert_eq!(info["info"]["policyAssignmentDisplayName"], "Only here");
    assert_eq!(site.get().0, 404, "nothing was stored");
    site.world.with(|state| lift_policies(state, SUBSCRIPTION, "rg1"));
    assert_eq!(site.put(&body()).0, 201);
}

#[test]
fn a_check_of_policies_is_a_read_with_a_body() {
    let site = site();
    site.make_reader();
    site.check(&body());
    let record = site.world.take_record();
    let last = record.last().expect("a record");
    assert!(!last.is_write() && last.line().starts_with("POST /subscriptions/"), "{}", last.line());
    site.put(&body());
    assert!(site.world.take_record().last().is_some_and(Recorded::is_write));
    assert_eq!(code(&site.check(&json!({}))), (400, "InvalidRequestContent".to_owned()));
    let uri = subscription(&format!("/resourceGroups/rg1/{CHECK}"));
    assert_eq!(site.raw("POST", &uri, Some(&site.bearer), None).0, 415);
    assert_eq!(site.read(&uri).0, 405);
    assert_eq!(site.raw("POST", &subscription(PROVIDER), Some(&site.bearer), Some(&json!({}))).0, 405);
    let unserved = uri.replace("2022-03-01", "2019-01-01");
    let answer = site.raw("POST", &unserved, Some(&site.bearer), Some(&json!({})));
    assert_eq!(code(&(answer.0, answer.1)), (400, "NoRegisteredProviderFound".to_owned()));
    let elsewhere = subscription(PROVIDER).replace(SUBSCRIPTION, "a5caac9c-5c04-49af-b3d0-e204f40345d6");
    assert_eq!(code(&site.read(&elsewhere)), (404, "SubscriptionNotFound".to_owned()));
}
