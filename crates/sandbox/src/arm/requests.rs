//! One request to Resource Manager: the checks in their order, then the method.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::model::{Connector, Content};
use super::refusal::{Refusal, arm};
use super::subscription::{self, Route};
use super::{Group, READER, Target, parameter, validate};
use crate::entra;
use crate::world::{Request, Response, State, empty, json as json_response};

/// The api-versions that the sandbox serves. The first one does not know Docker Hub.
pub(super) const VERSIONS: [&str; 4] =
    ["2023-10-01-preview", "2024-07-01-preview", "2024-08-01-preview", "2026-08-01-preview"];
const HEALTH_VERSIONS: [&str; 2] = ["2023-02-01-preview", "2023-05-01-preview"];

pub(super) fn handle(state: &mut State, request: &Request, remaining: &mut u32) -> Result<Response, Refusal> {
    let client = authenticate(state, request)?;
    if let Some(route) = Route::parse(request.uri().path()) {
        return subscription::handle(state, request, &client, &route, remaining);
    }
    let Some(target) = Target::parse(request.uri().path()) else {
        let text = "The resource type could not be found in the namespace 'Microsoft.Security'.";
        return Err(arm(404, "InvalidResourceType", text));
    };
    let method = request.method().as_str();
    let supported: &[&'static str] = if target.health { &HEALTH_VERSIONS } else { &VERSIONS };
    let version = api_version(request, supported, "securityConnectors")?;
    let subscription_id = known_subscription(state, &target.subscription)?;
    let now = state.now();
    if let Some(throttle) = state.arm.throttle {
        *remaining = state.arm.spending.take(&throttle, now, &subscription_id, &client, method)?;
    }
    let action = match (method, target.name.is_some() && !target.health) {
        ("GET", _) => "read",
        ("PUT" | "PATCH", true) => "write",
        ("DELETE", true) => "delete",
        _ => {
            let text = format!("The requested resource does not support http method '{method}'.");
            return Err(arm(405, "HttpMethodNotAllowed", text));
        }
    };
    authorize(state, &client, &target, action)?;
    let echo = (state.arm.echo_token, state.arm.etags);
    let page_size = state.arm.page_size;
    let new_etag = if action == "write" { state.uuid() } else { String::new() };
    let Some(found) = state.arm.subscriptions.get_mut(&subscription_id) else { return Ok(empty(404)) };
    if let Some(group) = target.group.as_ref().filter(|group| !found.groups.contains_key(&group.to_lowercase())) {
        return Err(no_group(group));
    }
    if found.unregistered {
        let text = "The subscription is not registered to use namespace 'Microsoft.Security'. See \
                    https://aka.ms/rps-not-found for how to register subscriptions.";
        return Err(arm(409, "MissingSubscriptionRegistration", text));
    }
    let (Some(group_name), Some(name)) = (&target.group, &target.name) else {
        let of_group = target.group.as_ref().map(|group| group.to_lowercase());
        let groups = found.groups.iter().filter(|(name, _)| of_group.as_ref().is_none_or(|of| of == *name));
        let views = groups.flat_map(|(_, group)| group.connectors.values()).map(|one| one.view(echo.0, echo.1));
        return list(request, &views.collect::<Vec<_>>(), page_size);
    };
    let Some(group) = found.groups.get_mut(&group_name.to_lowercase()) else { return Ok(empty(404)) };
    if group.locked && action != "read" {
        let scope = target.scope();
        let text = format!(
            "The scope '{scope}' cannot perform {action} operation because following scope(s) are locked: \
             '/subscriptions/{}/resourceGroups/{group_name}'. Please remove the lock and try again.",
            target.subscription
        );
        return Err(arm(409, "ScopeLocked", text));
    }
    let missing = || {
        let text = format!(
            "The Resource 'Microsoft.Security/securityConnectors/{name}' under resource group '{group_name}' was not found. \
             For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        );
        arm(404, "ResourceNotFound", text)
    };
    match method {
        "GET" => {
            let connector = group.connectors.get(&name.to_lowercase()).ok_or_else(missing)?;
            if !target.health {
                return Ok(json_response(200, &connector.view(echo.0, echo.1)));
            }
            let reports = state.arm.health.get(&connector.id().to_lowercase()).ok_or_else(missing)?;
            list(request, reports, page_size)
        }
        "DELETE" => Ok(empty(if group.connectors.remove(&name.to_lowercase()).is_some() { 200 } else { 204 })),
        _ => {
            let mut body = body_of(request)?;
            if let Some(policy) = group.policies.first() {
                return Err(subscription::disallowed(&target, policy));
            }
            let existing = group.connectors.get(&name.to_lowercase());
            let with_properties = method == "PUT" || body.get("properties").is_some();
            if method == "PATCH" {
                body = laid_over(existing.ok_or_else(missing)?.body(), body);
            }
            let by = Writer { who: &client, kind: "Application", now, etag: new_etag };
            let status = if existing.is_some() { 200 } else { 201 };
            if let Some(existing) = existing.filter(|_| echo.1) {
                check_etag(&body, existing)?;
            }
            let members = body.as_object().ok_or_else(|| invalid_content("an object is expected"))?;
            validate::resource(members, existing, with_properties, version != VERSIONS[0])?;
            let stored = write(group, &target.subscription, name, &body, by);
            Ok(json_response(status, &stored.view(echo.0, echo.1)))
        }
    }
}

fn authenticate(state: &State, request: &Request) -> Result<String, Refusal> {
    const INVALID: &str = "InvalidAuthenticationToken";
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let Some(header) = header else {
        return Err(arm(401, INVALID, "The 'Authorization' header is missing or invalid."));
    };
    let token = header.strip_prefix("Bearer ").unwrap_or("");
    match entra::known_bearer(state, token) {
        Some((client, false)) => Ok(client),
        Some((_, true)) => Err(arm(
            401,
            "ExpiredAuthenticationToken",
            "The access token expiry UTC time is earlier than current UTC time.",
        )),
        None => Err(arm(401, INVALID, "The access token is invalid.")),
    }
}

/// The id of a subscription that exists, in lower case.
pub(super) fn known_subscription(state: &State, given: &str) -> Result<String, Refusal> {
    if !is_uuid(given) {
        let text = format!("The provided subscription identifier '{given}' is malformed or invalid.");
        return Err(arm(400, "InvalidSubscriptionId", text));
    }
    let subscription = given.to_lowercase();
    if !state.arm.subscriptions.contains_key(&subscription) {
        let text = format!("The subscription '{given}' could not be found.");
        return Err(arm(404, "SubscriptionNotFound", text));
    }
    Ok(subscription)
}

pub(super) fn no_group(group: &str) -> Refusal {
    arm(404, "ResourceGroupNotFound", format!("Resource group '{group}' could not be found."))
}

/// The api-version of a request, if it is one of those that the sandbox serves for this type.
pub(super) fn api_version(request: &Request, supported: &[&'static str], kind: &str) -> Result<&'static str, Refusal> {
    let Some(given) = parameter(request, "api-version").filter(|version| !version.is_empty()) else {
        let text = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(arm(400, "MissingApiVersionParameter", text));
    };
    if let Some(version) = supported.iter().find(|version| version.eq_ignore_ascii_case(&given)) {
        return Ok(version);
    }
    let bytes = given.as_bytes();
    let is_dated = bytes.len() >= 10
        && bytes[..10]
            .iter()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() })
        && (bytes.len() == 10 || given[10..].eq_ignore_ascii_case("-preview"));
    let list = supported.join(",");
    if is_dated {
        let text = format!(
            "No registered resource provider found for API version '{given}' for type '{kind}'. The supported \
             api-versions are '{list}'."
        );
        Err(arm(400, "NoRegisteredProviderFound", text))
    } else {
        let text = format!("The api-version '{given}' is invalid. The supported versions are '{list}'.");
        Err(arm(400, "InvalidApiVersionParameter", text))
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn authorize(state: &State, client: &str, target: &Target, action: &str) -> Result<(), Refusal> {
    let (now, delay) = (state.now(), state.arm.role_delay);
    let subscription = target.subscription.to_lowercase();
    let group = target.group.as_ref().map(|group| group.to_lowercase());
    let allowed = state.arm.grants.iter().any(|grant| {
        grant.client == client
            && grant.subscription == subscription
            && (grant.group.is_none() || grant.group == group)
            && grant.made_at + delay <= now
            && grant.actions.iter().any(|granted| granted == action || (granted == READER && action == "read"))
    });
    if allowed {
        return Ok(());
    }
    let kind = if target.health { "healthReports" } else { "securityConnectors" };
    Err(unauthorized(state, client, &format!("Microsoft.Security/{kind}/{action}"), &target.scope()))
}

pub(super) fn unauthorized(state: &State, client: &str, action: &str, scope: &str) -> Refusal {
    let object = entra::object_id(state, client);
    let text = format!(
        "The client '{client}' with object id '{object}' does not have authorization to perform action '{action}' over scope \
         '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    );
    arm(403, "AuthorizationFailed", text)
}

fn list(request: &Request, all: &[Value], page_size: Option<usize>) -> Result<Response, Refusal> {
    let start = match parameter(request, "$skipToken") {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .ok()
            .filter(|start| *start <= all.len())
            .ok_or_else(|| arm(400, "InvalidSkipToken", "The provided skip token is not valid."))?,
    };
    let size = page_size.unwrap_or(usize::MAX).max(1);
    let end = start.saturating_add(size).min(all.len());
    let mut body = json!({ "value": all.get(start..end).unwrap_or_default() });
    if end < all.len() {
        let version = parameter(request, "api-version").unwrap_or_default();
        let path = request.uri().path();
        body["nextLink"] =
            format!("https://management.azure.com{path}?api-version={version}&%24skipToken={end}").into();
    }
    Ok(json_response(200, &body))
}

pub(super) fn invalid_content(why: &str) -> Refusal {
    arm(
        400,
        "InvalidRequestContent",
        format!("The request content was invalid and could not be deserialized: '{why}'."),
    )
}

pub(super) fn body_of(request: &Request) -> Result<Value, Refusal> {
    let content_type = request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
    if !content_type.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json") {
        let text =
            format!("The content media type '{content_type}' is not supported. Only 'application/json' is supported.");
        return Err(arm(415, "UnsupportedMediaType", text));
    }
    let body: Value = serde_json::from_slice(request.body()).map_err(|_| invalid_content("the body is not JSON"))?;
    if body.is_object() { Ok(body) } else { Err(invalid_content("an object is expected")) }
}

/// PATCH merges at the top level only: it replaces `tags` and `properties` as a whole (observed for tags).
fn laid_over(stored: Value, patch: Value) -> Value {
    let (Value::Object(mut stored), Value::Object(patch)) = (stored, patch) else { return Value::Null };
    for (member, value) in patch {
        stored.insert(member, value);
    }
    Value::Object(stored)
}

fn check_etag(body: &Value, existing: &Connector) -> Result<(), Refusal> {
    match body["etag"].as_str().filter(|etag| !etag.is_empty()) {
        Some(etag) if etag == existing.etag => Ok(()),
        Some(_) => {
            let text = "The etag of the request does not match that of the resource.";
            Err(arm(412, "PreconditionFailed", text))
        }
        None => Err(arm(400, "InvalidRequestContent", "etag must be supplied for update")),
    }
}

/// Who writes, and the time.
pub(super) struct Writer<'a> {
    pub(super) who: &'a str,
    pub(super) kind: &'static str,
    pub(super) now: OffsetDateTime,
    pub(super) etag: String,
}

/// Stores a whole resource. Fields of an existing resource that the body lacks are lost.
pub(super) fn write<'a>(
    group: &'a mut Group,
    subscription: &str,
    name: &str,
    body: &Value,
    by: Writer<'_>,
) -> &'a Connector {
    let Content { location, kind, tags, properties, credential } = Content::of(body);
    let Writer { who, kind: who_kind, now, etag } = by;
    let key = name.to_lowercase();
    let old = group.connectors.remove(&key);
    let (first_name, created_by, created_by_type, created_at) = match old {
        Some(old) => (old.name, old.created_by, old.created_by_type, old.created_at),
        None => (name.to_owned(), who.to_owned(), who_kind, now),
    };
    let connector = Connector {
        subscription: subscription.to_owned(),
        resource_group: group.name.clone(),
        name: first_name,
        location,
        kind,
        tags,
        properties,
        credential,
        etag,
        created_by,
        created_by_type,
        created_at,
        modified_by: who.to_owned(),
        modified_by_type: who_kind,
        modified_at: now,
    };
    group.connectors.entry(key).or_insert(connector)
}

/// A time as Azure health reports write it.
pub(super) fn report_time(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"))
        .unwrap_or_default()
}
