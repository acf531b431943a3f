//! What a preflight reads: subscriptions, the registration of the provider, the plans of Defender for Cloud, the caller's own
//! permissions, and what policies would deny. Shapes follow Microsoft's REST reference.

use serde_json::{Value, json};

use super::refusal::{Refusal, arm};
use super::requests::{self, VERSIONS, api_version, known_subscription, no_group, unauthorized};
use super::{Policy, READER, Target, decoded};
use crate::world::{Request, Response, State, json as json_response};

/// The policy that every assignment of the sandbox assigns: the built-in "Allowed locations".
const DEFINITION: &str = "/providers/Microsoft.Authorization/policyDefinitions/e56962a6-4747-49cd-b67b-bf8b01975c4c";
/// Locations of the resource type, as the provider shows them.
const LOCATIONS: [&str; 8] = [
    "Central US",
    "East US",
    "West US",
    "West Europe",
    "North Europe",
    "UK South",
    "Germany West Central",
    "Australia East",
];
/// The plans of a subscription, and whether they are on by default.
const PLANS: [(&str, bool); 6] = [
    ("VirtualMachines", false),
    ("StorageAccounts", false),
    ("KeyVaults", false),
    ("Arm", false),
    ("Containers", true),
    ("CloudPosture", true),
];

/// One of these routes, with the names as the caller spelled them.
pub(super) enum Route {
    /// `GET /subscriptions`
    Subscriptions,
    /// `GET /subscriptions/{s}/providers/Microsoft.Security`
    Provider(String),
    /// `GET /subscriptions/{s}/providers/Microsoft.Security/pricings`
    Pricings(String),
    /// `GET /subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Authorization/permissions`
    Permissions(String, String),
    /// `POST /subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.PolicyInsights/checkPolicyRestrictions`
    PolicyCheck(String, String),
}

/// Whether the path is that of a check of policies.
pub(super) fn is_policy_check(path: &str) -> bool {
    matches!(Route::parse(path), Some(Route::PolicyCheck(..)))
}

impl Route {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let segments: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(decoded).collect();
        let lower: Vec<String> = segments.iter().map(|segment| segment.to_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let name = |index: usize| segments.get(index).cloned().unwrap_or_default();
        Some(match lower.as_slice() {
            ["subscriptions"] => Route::Subscriptions,
            ["subscriptions", _, "providers", "microsoft.security"] => Route::Provider(name(1)),
            ["subscriptions", _, "providers", "microsoft.security", "pricings"] => Route::Pricings(name(1)),
            ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.authorization", "permissions"] => {
                Route::Permissions(name(1), name(3))
            }
            [
                "subscriptions",
                _,
                "resourcegroups",
                _,
                "providers",
                "microsoft.policyinsights",
                "checkpolicyrestrictions",
            ] => Route::PolicyCheck(name(1), name(3)),
            _ => return None,
        })
    }

    fn method(&self) -> &'static str {
        if matches!(self, Route::PolicyCheck(..)) { "POST" } else { "GET" }
    }

    /// The type's name in errors, and the api-versions that the sandbox serves.
    fn versions(&self) -> (&'static str, &'static [&'static str]) {
        match self {
            Route::Subscriptions => ("subscriptions", &["2022-12-01"]),
            Route::Provider(_) => ("providers", &["2021-04-01"]),
            Route::Pricings(_) => ("pricings", &["2024-01-01"]),
            Route::Permissions(..) => ("permissions", &["2022-04-01"]),
            Route::PolicyCheck(..) => ("checkPolicyRestrictions", &["2022-03-01"]),
        }
    }

    /// The action that the caller needs. Everybody may read subscriptions and the caller's own permissions.
    fn action(&self) -> Option<&'static str> {
        match self {
            Route::Subscriptions | Route::Permissions(..) => None,
            Route::Provider(_) => Some("Microsoft.Resources/subscriptions/providers/read"),
            Route::Pricings(_) => Some("Microsoft.Security/pricings/read"),
            Route::PolicyCheck(..) => Some("Microsoft.PolicyInsights/checkPolicyRestrictions/read"),
        }
    }

    fn subscription(&self) -> Option<&str> {
        match self {
            Route::Subscriptions => None,
            Route::Provider(id) | Route::Pricings(id) | Route::Permissions(id, _) | Route::PolicyCheck(id, _) => {
                Some(id)
            }
        }
    }

    fn group(&self) -> Option<&str> {
        match self {
            Route::Permissions(_, group) | Route::PolicyCheck(_, group) => Some(group),
            Route::Subscriptions | Route::Provider(_) | Route::Pricings(_) => None,
        }
    }
}

pub(super) fn handle(
    state: &mut State,
    request: &Request,
    client: &str,
    route: &Route,
    remaining: &mut u32,
) -> Result<Response, Refusal> {
    let (kind, versions) = route.versions();
    api_version(request, versions, kind)?;
    let method = request.method().as_str();
    if method != route.method() {
        let text = format!("The requested resource does not support http method '{method}'.");
        return Err(arm(405, "HttpMethodNotAllowed", text));
    }
    let Some(given) = route.subscription() else { return Ok(json_response(200, &subscriptions(state, client))) };
    let subscription = known_subscription(state, given)?;
    let now = state.now();
    if let Some(throttle) = state.arm.throttle {
        *remaining = state.arm.spending.take(&throttle, now, &subscription, client, "GET")?;
    }
    if let Some(action) = route.action().filter(|_| !reads(state, client, &subscription)) {
        let scope = match route.group() {
            Some(group) => format!("/subscriptions/{given}/resourceGroups/{group}"),
            None => format!("/subscriptions/{given}"),
        };
        return Err(unauthorized(state, client, action, &scope));
    }
    let Some(found) = state.arm.subscriptions.get(&subscription) else { return Ok(crate::world::empty(404)) };
    let body = match route {
        Route::Subscriptions => Value::Null,
        Route::Provider(_) => provider(given, !found.unregistered),
        Route::Pricings(_) if found.unregistered => {
            let text = "Please register to Microsoft.Security in order to view your security status";
            return Err(arm(404, "Subscription Not Registered", text));
        }
        Route::Pricings(_) => {
            let mut plans: Vec<_> = PLANS.iter().map(|(name, on)| ((*name).to_owned(), *on)).collect();
            plans.retain(|(name, _)| !found.plans.contains_key(name));
            plans.extend(found.plans.iter().map(|(name, on)| (name.clone(), *on)));
            json!({ "value": plans.iter().map(|(name, on)| plan(given, name, *on)).collect::<Vec<_>>() })
        }
        Route::Permissions(_, group) => {
            if !found.groups.contains_key(&group.to_lowercase()) {
                return Err(no_group(group));
            }
            json!({ "value": permissions(state, client, &subscription, &group.to_lowercase()) })
        }
        Route::PolicyCheck(_, name) => {
            let group = found.groups.get(&name.to_lowercase()).ok_or_else(|| no_group(name))?;
            let body = requests::body_of(request)?;
            check(given, name, &group.policies, &body)?
        }
    };
    Ok(json_response(200, &body))
}

/// Whether the client has the role Reader now.
fn reads(state: &State, client: &str, subscription: &str) -> bool {
    let effective = effective(state, client);
    effective
        .into_iter()
        .any(|grant| grant.subscription == subscription && grant.actions.iter().any(|action| action == READER))
}

/// The role assignments of a client that have taken effect.
fn effective<'a>(state: &'a State, client: &str) -> Vec<&'a super::Grant> {
    let (now, delay) = (state.now(), state.arm.role_delay);
    state.arm.grants.iter().filter(|grant| grant.client == client && grant.made_at + delay <= now).collect()
}

/// The subscriptions in which the client has any role.
fn subscriptions(state: &State, client: &str) -> Value {
    let grants = effective(state, client);
    let own = state.arm.subscriptions.iter().filter(|(id, _)| grants.iter().any(|grant| grant.subscription == **id));
    let views: Vec<_> = own
        .map(|(_, subscription)| {
            let id = &subscription.id;
            json!({
                "id": format!("/subscriptions/{id}"),
                "subscriptionId": id,
                "displayName": format!("Sandbox {}", id.get(..8).unwrap_or(id)),
                "state": "Enabled",
                "authorizationSource": "RoleBased",
            })
        })
        .collect();
    json!({ "count": { "type": "Total", "value": views.len() }, "value": views })
}

fn provider(subscription: &str, registered: bool) -> Value {
    let versions: Vec<_> = VERSIONS.iter().rev().collect();
    json!({
        "id": format!("/subscriptions/{subscription}/providers/Microsoft.Security"),
        "namespace": "Microsoft.Security",
        "registrationPolicy": "RegistrationRequired",
        "registrationState": if registered { "Registered" } else { "NotRegistered" },
        "resourceTypes": [
            { "resourceType": "operations", "locations": [], "apiVersions": ["2022-01-01"] },
            {
                "resourceType": "securityConnectors",
                "locations": LOCATIONS,
                "apiVersions": versions,
                "capabilities": "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation",
            },
        ],
    })
}

fn plan(subscription: &str, name: &str, on: bool) -> Value {
    json!({
        "id": format!("/subscriptions/{subscription}/providers/Microsoft.Security/pricings/{name}"),
        "name": name,
        "type": "Microsoft.Security/pricings",
        "properties": { "pricingTier": if on { "Standard" } else { "Free" }, "freeTrialRemainingTime": "P30D" },
    })
}

/// The client's role assignments at a resource group or above it.
fn permissions(state: &State, client: &str, subscription: &str, group: &str) -> Vec<Value> {
    let at_scope = |grant: &&super::Grant| {
        grant.subscription == subscription && grant.group.as_deref().is_none_or(|own| own == group)
    };
    let action = |action: &String| match action.as_str() {
        READER => READER.to_owned(),
        short => format!("Microsoft.Security/securityConnectors/{short}"),
    };
    let view = |grant: &super::Grant| {
        let actions: Vec<_> = grant.actions.iter().map(action).collect();
        json!({ "actions": actions, "notActions": [], "dataActions": [], "notDataActions": [] })
    };
    effective(state, client).into_iter().filter(at_scope).map(view).collect()
}

fn assignment_id(subscription: &str, group: &str, policy: &Policy) -> String {
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Authorization/policyAssignments/{}",
        policy.name
    )
}

/// What a policy found in the resource.
fn details() -> Value {
    json!({ "evaluatedExpressions": [{
        "result": "True", "expressionKind": "Field", "expression": "type", "path": "type",
        "expressionValue": "Microsoft.Security/securityConnectors", "targetValue": "Microsoft.Security/securityConnectors",
        "operator": "Equals",
    }] })
}

/// The response to a check: every assignment of the group that would deny the connector in the body.
fn check(subscription: &str, group: &str, policies: &[Policy], body: &Value) -> Result<Value, Refusal> {
    let content = body["resourceDetails"]["resourceContent"].as_object();
    let Some(content) = content.filter(|content| !content.is_empty()) else {
        return Err(requests::invalid_content("resourceDetails.resourceContent is missing"));
    };
    let text = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| !text.is_empty());
    if !text(&body["resourceDetails"]["apiVersion"]) || !text(&body["resourceDetails"]["scope"]) {
        return Err(requests::invalid_content("resourceDetails.apiVersion and scope must be strings"));
    }
    let kind = content.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_connector = kind.eq_ignore_ascii_case("Microsoft.Security/securityConnectors");
    let evaluation = |policy: &Policy| {
        json!({
            "policyInfo": {
                "policyDefinitionId": DEFINITION,
                "policyAssignmentId": assignment_id(subscription, group, policy),
            },
            "evaluationResult": "NonCompliant",
            "evaluationDetails": details(),
            "effectDetails": { "policyEffect": "deny" },
        })
    };
    let evaluations: Vec<_> = policies.iter().filter(|_| is_connector).map(evaluation).collect();
    Ok(json!({ "fieldRestrictions": [], "contentEvaluationResult": { "policyEvaluations": evaluations } }))
}

/// The response to a write that a policy denies (Microsoft, "Troubleshoot
/// errors: `RequestDisallowedByPolicy`").
pub(super) fn disallowed(target: &Target, policy: &Policy) -> Refusal {
    let (group, name) = (target.group.as_deref().unwrap_or_default(), target.name.as_deref().unwrap_or_default());
    let assignment = assignment_id(&target.subscription, group, policy);
    let identifiers = json!([{
        "policyAssignment": { "name": policy.display_name, "id": assignment },
        "policyDefinition": { "name": "Allowed locations", "id": DEFINITION },
    }]);
    let body = json!({ "error": {
        "code": "RequestDisallowedByPolicy",
        "target": name,
        "message": format!("Resource '{name}' was disallowed by policy. Policy identifiers: '{identifiers}'."),
        "additionalInfo": [{ "type": "PolicyViolation", "info": {
            "policyDefinitionDisplayName": "Allowed locations",
            "policyDefinitionId": DEFINITION,
            "policyDefinitionName": DEFINITION.rsplit('/').next(),
            "policyDefinitionEffect": "deny",
            "policyAssignmentId": assignment,
            "policyAssignmentName": policy.name,
            "policyAssignmentDisplayName": policy.display_name,
            "policyAssignmentScope": format!("/subscriptions/{}/resourceGroups/{group}", target.subscription),
            "policyAssignmentParameters": {},
            "evaluationDetails": details(),
        } }],
    } });
    Refusal { status: 403, body: Box::new(move |_| body), retry_after: None }
}
