//! Azure Resource Manager: `Microsoft.Security/securityConnectors`, the health reports of connectors, and what a preflight reads of a
//! subscription (the `subscription` module).
//!
//! Order of the checks: bearer, path, api-version, subscription, throttling, authorization, resource group, registration of
//! the provider, lock, body. Statuses and codes follow Microsoft's swagger, its documentation, and recorded traffic.

mod model;
mod person;
mod refusal;
mod requests;
mod subscription;
mod throttle;
mod validate;

use std::collections::BTreeMap;

use http::HeaderValue;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

pub use model::{Connector, Credential, EchoToken};
pub use person::{
    add_health, add_resource_group, age, connector, connectors, delete_connector, delete_resource_group,
    deny_by_policy, edit_connector, grant, grant_reader, lift_policies, put_connector, revoke_grants, set_health,
    set_locked, set_plan, set_registered,
};
pub use throttle::{Bucket, Throttle};

use refusal::Refusal;
use throttle::Spending;

use crate::world::{Request, Response, State, json};

/// The state of Azure. The public fields are switches that change how the service behaves.
#[derive(Default)]
pub struct Arm {
    /// What responses show of the stored access token. The swagger does not promise that the field is omitted. Default: nothing.
    pub echo_token: EchoToken,
    /// Whether responses carry an `etag`, which an update must then send back in its body. Default `false` (never observed).
    pub etags: bool,
    /// Connectors per page of a list. `None` (default) puts all of them on one page.
    pub page_size: Option<usize>,
    /// Delay before a role assignment takes effect. Default zero.
    pub role_delay: Duration,
    /// Throttling by token buckets. `None` (default) turns it off.
    pub throttle: Option<Throttle>,
    /// Subscriptions by id, lower case.
    subscriptions: BTreeMap<String, Subscription>,
    grants: Vec<Grant>,
    /// Health reports by connector id, lower case.
    health: BTreeMap<String, Vec<serde_json::Value>>,
    spending: Spending,
}

#[derive(Default)]
struct Subscription {
    id: String,
    unregistered: bool,
    /// The plans that somebody changed: whether a plan is on, by name.
    plans: BTreeMap<String, bool>,
    /// Resource groups by name, lower case.
    groups: BTreeMap<String, Group>,
}

#[derive(Default)]
struct Group {
    name: String,
    locked: bool,
    /// Policy assignments that deny connectors.
    policies: Vec<Policy>,
    /// Connectors by name, lower case.
    connectors: BTreeMap<String, Connector>,
}

/// A policy assignment with the effect `deny`.
#[derive(Clone)]
struct Policy {
    name: String,
    display_name: String,
}

/// The action of the built-in role Reader.
const READER: &str = "*/read";

/// A role assignment.
struct Grant {
    client: String,
    subscription: String,
    /// The resource group; `None` for the whole subscription.
    group: Option<String>,
    actions: Vec<String>,
    made_at: OffsetDateTime,
}

/// The resource that a path names, as the caller spelled it.
#[derive(Clone, Debug, Default)]
struct Target {
    subscription: String,
    group: Option<String>,
    /// The connector's name; `None` for a list.
    name: Option<String>,
    health: bool,
}

impl Target {
    fn parse(path: &str) -> Option<Target> {
        let segments: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(decoded).collect();
        let lower: Vec<String> = segments.iter().map(|segment| segment.to_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let subscription = segments.get(1)?.clone();
        let group = || segments.get(3).cloned();
        let name = || segments.get(7).cloned();
        Some(match lower.as_slice() {
            ["subscriptions", _, "providers", "microsoft.security", "securityconnectors"] => {
                Target { subscription, ..Target::default() }
            }
            ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.security", "securityconnectors"] => {
                Target { subscription, group: group(), ..Target::default() }
            }
            ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.security", "securityconnectors", _] => {
                Target { subscription, group: group(), name: name(), health: false }
            }
            [
                "subscriptions",
                _,
                "resourcegroups",
                _,
                "providers",
                "microsoft.security",
                "securityconnectors",
                _,
                "providers",
                "microsoft.security",
                "healthreports",
            ] => Target { subscription, group: group(), name: name(), health: true },
            _ => return None,
        })
    }

    /// The scope that an `AuthorizationFailed` error names.
    fn scope(&self) -> String {
        let Target { subscription, group, name, .. } = self;
        match (group, name) {
            (Some(group), Some(name)) => format!(
                "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Security/securityConnectors/{name}"
            ),
            (Some(group), None) => format!("/subscriptions/{subscription}/resourceGroups/{group}"),
            (None, _) => format!("/subscriptions/{subscription}"),
        }
    }
}

/// A path segment, percent-decoded.
fn decoded(segment: &str) -> String {
    let form = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(form.as_bytes()).next().map_or_else(String::new, |(text, _)| text.into_owned())
}

/// A query parameter. Names are case-insensitive.
fn parameter(request: &Request, name: &str) -> Option<String> {
    url::form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes())
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.into_owned())
}

/// Whether the request can change state: every method but GET and HEAD, except the check of policies, which is a POST.
pub(crate) fn is_write(request: &Request) -> bool {
    let is_read = matches!(request.method().as_str(), "GET" | "HEAD");
    !is_read && !subscription::is_policy_check(request.uri().path())
}

/// Handles one request.
pub fn handle(state: &mut State, request: &Request) -> Response {
    let (id, correlation) = (state.uuid(), state.uuid());
    let mut remaining = 249;
    let mut response = requests::handle(state, request, &mut remaining).unwrap_or_else(|refusal| {
        let Refusal { status, body, retry_after } = refusal;
        let mut response = json(status, &body(&correlation));
        if let Some(seconds) = retry_after {
            response.headers_mut().insert("retry-after", seconds.into());
        }
        response
    });
    let at = state.now().to_offset(time::UtcOffset::UTC);
    let at = at.format(format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap_or_default();
    let is_unauthorized = response.status() == 401;
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-ms-request-id", id.as_str()),
        ("x-ms-correlation-request-id", id.as_str()),
        ("x-ms-routing-request-id", &format!("SANDBOX:{at}:{id}")),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if is_unauthorized {
        headers.insert("www-authenticate", HeaderValue::from_static(refusal::CHALLENGE));
    } else {
        headers.insert("x-ms-ratelimit-remaining-subscription-resource-requests", remaining.into());
    }
    headers.insert("cache-control", HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests;
