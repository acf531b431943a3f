//! What people do in Azure, and what tests may read of its state.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::model::Connector;
use super::requests::{Writer, report_time, write};
use super::{Grant, Group, Policy, READER, Subscription};
use crate::world::State;

fn subscription<'a>(state: &'a mut State, id: &str) -> &'a mut Subscription {
    let fresh = || Subscription { id: id.to_owned(), ..Subscription::default() };
    state.arm.subscriptions.entry(id.to_lowercase()).or_insert_with(fresh)
}

fn group<'a>(state: &'a mut State, subscription_id: &str, name: &str) -> &'a mut Group {
    let fresh = || Group { name: name.to_owned(), ..Group::default() };
    subscription(state, subscription_id).groups.entry(name.to_lowercase()).or_insert_with(fresh)
}

fn find<'a>(state: &'a State, subscription: &str, resource_group: &str) -> Option<&'a Group> {
    state.arm.subscriptions.get(&subscription.to_lowercase())?.groups.get(&resource_group.to_lowercase())
}

/// Creates a resource group. A subscription (a uuid) that does not exist is created too, registered for `Microsoft.Security`.
pub fn add_resource_group(state: &mut State, subscription: &str, resource_group: &str) {
    group(state, subscription, resource_group);
}

/// Deletes a resource group and its contents. Role assignments remain.
pub fn delete_resource_group(state: &mut State, subscription_id: &str, resource_group: &str) {
    subscription(state, subscription_id).groups.remove(&resource_group.to_lowercase());
}

/// Registers a subscription for `Microsoft.Security`, or unregisters it (409 `MissingSubscriptionRegistration`).
pub fn set_registered(state: &mut State, subscription_id: &str, registered: bool) {
    subscription(state, subscription_id).unregistered = !registered;
}

/// Locks a resource group (409 `ScopeLocked` for every write), or unlocks it.
pub fn set_locked(state: &mut State, subscription: &str, resource_group: &str, locked: bool) {
    group(state, subscription, resource_group).locked = locked;
}

/// Assigns a role: `actions` of `read`, `write`, `delete` on securityConnectors, at a resource group, or at the whole
/// subscription if `resource_group` is `*`. It takes effect after `role_delay`.
pub fn grant(state: &mut State, client_id: &str, subscription: &str, resource_group: &str, actions: &[&str]) {
    let grant = Grant {
        client: client_id.to_lowercase(),
        subscription: subscription.to_lowercase(),
        group: (resource_group != "*").then(|| resource_group.to_lowercase()),
        actions: actions.iter().map(ToString::to_string).collect(),
        made_at: state.now(),
    };
    state.arm.grants.push(grant);
}

/// Assigns the built-in role Reader at the subscription: everything may be read, connectors too. It takes effect after `role_delay`.
pub fn grant_reader(state: &mut State, client_id: &str, subscription: &str) {
    grant(state, client_id, subscription, "*", &[READER]);
}

/// Turns a plan of Defender for Cloud on or off, such as `Containers` or `CloudPosture`, which are on by default.
pub fn set_plan(state: &mut State, subscription_id: &str, plan: &str, standard: bool) {
    subscription(state, subscription_id).plans.insert(plan.to_owned(), standard);
}

/// Assigns a policy to a resource group that denies connectors (403 `RequestDisallowedByPolicy` for a PUT or a PATCH).
pub fn deny_by_policy(
    state: &mut State,
    subscription: &str,
    resource_group: &str,
    assignment_name: &str,
    display_name: &str,
) {
    let policy = Policy { name: assignment_name.to_owned(), display_name: display_name.to_owned() };
    group(state, subscription, resource_group).policies.push(policy);
}

/// Removes every policy assignment of a resource group.
pub fn lift_policies(state: &mut State, subscription: &str, resource_group: &str) {
    group(state, subscription, resource_group).policies.clear();
}

/// Removes every role assignment of a client.
pub fn revoke_grants(state: &mut State, client_id: &str) {
    let client = client_id.to_lowercase();
    state.arm.grants.retain(|grant| grant.client != client);
}

/// A connector as it is stored, token included. Names are case-insensitive.
#[must_use]
pub fn connector<'a>(state: &'a State, subscription: &str, resource_group: &str, name: &str) -> Option<&'a Connector> {
    find(state, subscription, resource_group)?.connectors.get(&name.to_lowercase())
}

/// Every connector of every subscription.
pub fn connectors(state: &State) -> impl Iterator<Item = &Connector> {
    let groups = state.arm.subscriptions.values().flat_map(|subscription| subscription.groups.values());
    groups.flat_map(|group| group.connectors.values())
}

/// Writes a connector as a person in the portal does, without a role and without validation. A missing resource group is created.
/// `by` is the person's name (`systemData.lastModifiedBy`, type `User`).
pub fn put_connector(
    state: &mut State,
    subscription_id: &str,
    resource_group: &str,
    name: &str,
    body: &Value,
    by: &str,
) {
    let (now, etag) = (state.now(), state.uuid());
    let id = subscription(state, subscription_id).id.clone();
    let group = group(state, subscription_id, resource_group);
    write(group, &id, name, body, Writer { who: by, kind: "User", now, etag });
}

/// Turns Defender for Containers off and sets another scan interval, as a person in the portal does; the login stays. Returns
/// `false` if the connector does not exist.
pub fn edit_connector(state: &mut State, subscription: &str, resource_group: &str, name: &str, by: &str) -> bool {
    let Some(mut body) = connector(state, subscription, resource_group, name).map(Connector::body) else {
        return false;
    };
    body["properties"]["environmentData"]["scanInterval"] = json!(6);
    if let Some(offerings) = body["properties"]["offerings"].as_array_mut() {
        offerings.retain(|offering| offering["offeringType"] != "DefenderForContainersDockerHub");
    }
    put_connector(state, subscription, resource_group, name, &body, by);
    true
}

/// Moves every date of the connectors into the past, dates in tags included. It does not count as a write.
pub fn age(state: &mut State, by: Duration) {
    let groups = state.arm.subscriptions.values_mut().flat_map(|subscription| subscription.groups.values_mut());
    for connector in groups.flat_map(|group| group.connectors.values_mut()) {
        connector.created_at -= by;
        connector.modified_at -= by;
        for value in connector.tags.values_mut() {
            if let Ok(date) = OffsetDateTime::parse(value, &Rfc3339) {
                *value = (date - by).format(&Rfc3339).unwrap_or_default();
            }
        }
    }
}

/// Deletes a connector. Returns `false` if it does not exist.
pub fn delete_connector(state: &mut State, subscription: &str, resource_group: &str, name: &str) -> bool {
    group(state, subscription, resource_group).connectors.remove(&name.to_lowercase()).is_some()
}

/// Sets the health report of a connector: `code` is `Healthy`, `NotHealthy`, `NotApplicable`, or `None` for no report (404, the
/// default). No report of a Docker Hub connector has been observed; the shape is that of Microsoft's example for AWS.
pub fn set_health(
    state: &mut State,
    subscription: &str,
    resource_group: &str,
    name: &str,
    code: Option<&str>,
    reason: &str,
) {
    let Some(id) = connector(state, subscription, resource_group, name).map(Connector::id) else { return };
    state.arm.health.remove(&id.to_lowercase());
    match code {
        Some("NotHealthy") => add_health(state, &id, "NotHealthy", reason, &[(reason, "")]),
        Some(code) => add_health(state, &id, code, reason, &[]),
        None => {}
    }
}

/// Adds a health report to those of the connector with this ARM id. Its issues are pairs of name and remediation steps. Lists of
/// reports have pages of [`Arm::page_size`](super::Arm), like lists of connectors.
pub fn add_health(state: &mut State, id: &str, code: &str, reason: &str, issues: &[(&str, &str)]) {
    let report_name = state.uuid();
    let now = report_time(state.now());
    let issue = |(name, steps): &(&str, &str)| {
        json!({ "issueKey": "Unauthorized", "issueName": name, "securityValues": [], "issueDescription": name,
                "remediationSteps": steps, "issueAdditionalData": {} })
    };
    let issues: Vec<_> = issues.iter().map(issue).collect();
    let report = json!({
        "id": format!("{id}/providers/Microsoft.Security/healthReports/{report_name}"),
        "name": report_name,
        "type": "Microsoft.Security/healthReports",
        "properties": {
            "resourceDetails": { "source": "Azure", "id": id, "connectorId": id },
            "environmentDetails": { "environmentHierarchyId": "", "organizationalHierarchyId": "" },
            "healthDataClassification": { "component": "Connectivity", "scenario": "Connectivity", "scope": "Connectors" },
            "status": { "code": code, "statusChangeDate": now, "firstEvaluationDate": now, "lastScannedDate": now, "reason": reason },
            "affectedDefendersPlans": [],
            "affectedDefendersSubPlans": [],
            "reportAdditionalData": {},
            "issues": issues,
        },
    });
    state.arm.health.entry(id.to_lowercase()).or_default().push(report);
}
