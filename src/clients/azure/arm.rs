//! `Microsoft.Security/securityConnectors` in ARM: read, write, list. All verbs are synchronous (Microsoft's swagger).
//!
//! Bodies are secret in both directions: a GET may show the token, an error may quote the request.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hubkeeper_core::connector::health::Health;
use hubkeeper_core::connector::observed::{Found, Observed};
use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::ids::Fingerprint;
use hubkeeper_core::redact;
use hubkeeper_core::secret::document::ConnectorId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::clients::azure::entra::Entra;
use crate::http::{Outlet, Policy, Repeat, Request, Response, SendError};

/// A PUT may take more than half a minute: the provider checks connectivity (observed with AWS connectors).
const PUT_TIMEOUT: Duration = Duration::from_secs(90);

/// Pages of a list at most.
const PAGES: usize = 50;

/// api-version of `Microsoft.Security/healthReports`.
const HEALTH_API_VERSION: &str = "2023-05-01-preview";

/// Pages of health reports at most.
const HEALTH_PAGES: usize = 10;

/// Bytes of one page of health reports at most.
const HEALTH_PAGE: usize = 1 << 20;

/// What a GET found where the whole resource group may be missing.
pub enum Read {
    /// The connector, or none in a group that is there.
    Found(Found),
    /// There is no such resource group.
    NoGroup(Error),
}

impl Read {
    /// The connector, where a missing group is a mistake.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such resource group.
    pub fn required(self) -> Result<Found, Error> {
        match self {
            Read::Found(found) => Ok(found),
            Read::NoGroup(error) => Err(error),
        }
    }

    /// The connector, where a missing group only means that the connector is gone: that of an offboarded secret.
    pub fn or_absent(self) -> Found {
        match self {
            Read::Found(found) => found,
            Read::NoGroup(_) => Found::Absent,
        }
    }
}

/// Another connector of the organization in the same resource group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Its name, as it may be shown.
    pub name: String,
    /// Whether it bears this secret's fingerprint.
    pub is_ours: bool,
}

/// What a PUT came to, and the writer that ARM names in its response (`systemData.lastModifiedBy`).
pub struct Put {
    /// Whether it was carried out.
    pub written: Written,
    /// Whether ARM says that there was no such connector before (201, against 200); `None` where it did not answer.
    pub created: Option<bool>,
    /// How ARM calls us; `None` where it does not say.
    pub writer: Option<String>,
}

/// What a PUT or DELETE came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Written {
    /// ARM did it.
    Yes,
    /// The answer was lost, or ARM failed: read the connector to know.
    Unknown(String),
}

/// ARM for one invocation, to read.
#[derive(Clone)]
pub struct Arm {
    /// The way out.
    pub outlet: Outlet,
    /// `https://management.azure.com`
    pub base: String,
    /// api-version of `Microsoft.Security/securityConnectors`.
    pub api_version: String,
    /// Bearers.
    pub entra: Entra,
}

impl Arm {
    /// Reads a connector.
    ///
    /// # Errors
    /// By ARM's answer; a 404 that is not about the connector itself is an error.
    pub async fn get(&self, id: &ConnectorId) -> Result<Found, Error> {
        self.read(id).await?.required()
    }

    /// Reads a connector whose resource group may be gone.
    ///
    /// # Errors
    /// By ARM's answer; a 404 that is neither about the connector nor about its group is an error.
    pub async fn read(&self, id: &ConnectorId) -> Result<Read, Error> {
        let url = self.url(id, Some(&id.name))?;
        let response = self.send("GET", &url, None, Policy::SAFE, &[]).await?.map_err(|error| unreachable(&error))?;
        match response.status().as_u16() {
            200 => {
                let observed = serde_json::from_slice(response.body()).ok().and_then(Observed::parse);
                let observed = observed.ok_or_else(|| {
                    Error::retryable("ARM's answer about the connector cannot be read", "repeat the event")
                })?;
                Ok(Read::Found(Found::Present(Box::new(observed))))
            }
            404 if is_absent(&response) => Ok(Read::Found(Found::Absent)),
            404 if refusal(&response).code == "ResourceGroupNotFound" => Ok(Read::NoGroup(failed(&response, &[]))),
            _ => Err(failed(&response, &[])),
        }
    }

    /// What Defender says about the connector's health; `None` where there is no report, or it may not be read: whether
    /// Docker Hub connectors have one is not documented, and neither is the right to read it.
    pub async fn health(&self, id: &ConnectorId) -> Option<Health> {
        let mut url = self.url(id, Some(&id.name)).ok()?;
        url.path_segments_mut().ok()?.extend(["providers", "Microsoft.Security", "healthReports"]);
        url.set_query(Some(&format!("api-version={HEALTH_API_VERSION}")));
        let policy = Policy { attempts: 1, ..Policy::SAFE }.capped(HEALTH_PAGE);
        let first = url.clone();
        let mut next = Some(url);
        let mut reports = Vec::new();
        // what was read before a page that fails is worth telling
        for _ in 0..HEALTH_PAGES {
            let Some(url) = next.take() else { break };
            let response = self.send("GET", &url, None, policy, &[]).await.ok().and_then(Result::ok);
            let page = response.filter(|response| response.status() == 200);
            let page: Option<Value> = page.and_then(|response| serde_json::from_slice(response.body()).ok());
            let Some(page) = page else { break };
            reports.extend(page.get("value").and_then(Value::as_array).into_iter().flatten().cloned());
            next = next_page(&page, &first);
        }
        Health::parse(&reports)
    }

    /// The other Docker Hub connectors of `organization` in the resource group.
    ///
    /// # Errors
    /// By ARM's answer.
    pub async fn others(
        &self,
        id: &ConnectorId,
        organization: &str,
        fingerprint: &Fingerprint,
    ) -> Result<Vec<Neighbour>, Error> {
        let connectors = self.list(self.url(id, None)?).await?.unwrap_or_default();
        let others = connectors.iter().filter_map(|observed| {
            let same = observed.is_docker_hub()
                && observed.organization().is_some_and(|other| other.eq_ignore_ascii_case(organization));
            let name = observed.name()?;
            (same && !name.eq_ignore_ascii_case(&id.name))
                .then(|| Neighbour { name: redact::name(name), is_ours: observed.bears(fingerprint) })
        });
        Ok(others.collect())
    }

    /// The connectors in the subscription that bear `fingerprint`, less `id` itself, with names as they may be shown; `None`
    /// where the role does not permit the list.
    ///
    /// # Errors
    /// `Retryable` where ARM does not answer.
    pub async fn bearing(
        &self,
        id: &ConnectorId,
        fingerprint: &Fingerprint,
    ) -> Result<Option<Vec<ConnectorId>>, Error> {
        let connectors = match self.list(self.subscription_url(id)?).await {
            Ok(Some(connectors)) => connectors,
            Err(error) if error.kind() == Kind::Retryable => return Err(error),
            Ok(None) | Err(_) => return Ok(None),
        };
        let bearing = connectors.iter().filter(|observed| observed.bears(fingerprint));
        let others =
            bearing.filter_map(|observed| ConnectorId::parse(observed.id()?)).filter(|other| !other.is_same(id));
        let shown = others.map(|other| ConnectorId {
            resource_group: redact::name(&other.resource_group),
            name: redact::name(&other.name),
            ..other
        });
        Ok(Some(shown.collect()))
    }

    /// Every page of a list; `None` where it may not be read, or does not exist. A page is only followed on the host that it
    /// came from: the bearer goes with it.
    async fn list(&self, first: Url) -> Result<Option<Vec<Observed>>, Error> {
        let mut next = Some(first.clone());
        let mut connectors = Vec::new();
        for _ in 0..PAGES {
            let Some(url) = next.take() else { break };
            let response = self
                .send("GET", &url, None, Policy::SAFE.capped(8 << 20), &[])
                .await?
                .map_err(|error| unreachable(&error))?;
            match response.status().as_u16() {
                200 => {}
                403 | 404 => return Ok(None),
                _ => return Err(failed(&response, &[])),
            }
            let page: Value = serde_json::from_slice(response.body())
                .map_err(|_| Error::retryable("ARM's list of connectors cannot be read", "repeat the event"))?;
            let entries = page.get("value").and_then(Value::as_array).into_iter().flatten();
            connectors.extend(entries.cloned().filter_map(Observed::parse));
            next = next_page(&page, &first);
        }
        Ok(Some(connectors))
    }

    fn subscription_url(&self, id: &ConnectorId) -> Result<Url, Error> {
        self.url_of(&["subscriptions", &id.subscription_id, "providers", "Microsoft.Security", "securityConnectors"])
    }

    fn url(&self, id: &ConnectorId, name: Option<&str>) -> Result<Url, Error> {
        let group = ["subscriptions", &id.subscription_id, "resourceGroups", &id.resource_group];
        let kind = ["providers", "Microsoft.Security", "securityConnectors"];
        self.url_of(&group.into_iter().chain(kind).chain(name).collect::<Vec<_>>())
    }

    fn url_of(&self, segments: &[&str]) -> Result<Url, Error> {
        let wrong = || Error::misconfigured("HUBKEEPER_ARM_URL is not a base URL", "correct the variable");
        let mut url = Url::parse(&self.base).map_err(|_| wrong())?;
        url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(segments);
        url.query_pairs_mut().append_pair("api-version", &self.api_version);
        Ok(url)
    }

    /// Sends with a bearer; a bearer that ARM does not take is replaced once.
    async fn send(
        &self,
        method: &str,
        url: &Url,
        body: Option<&Value>,
        policy: Policy,
        secrets: &[&SecretString],
    ) -> Result<Result<Response, SendError>, Error> {
        let bearer = self.entra.bearer().await?;
        let response = match self.outlet.send(self.request(method, url, body, &bearer), policy).await {
            Ok(response) if response.status() == 401 => response,
            other => return Ok(other),
        };
        self.entra.cache.forget();
        // another bearer of the same kind would meet the same challenge
        if is_challenge(&response) {
            return Err(challenged(&response, secrets));
        }
        let renewed = self.entra.bearer().await?;
        let again = self.outlet.send(self.request(method, url, body, &renewed), policy).await;
        match again {
            Ok(again) if again.status() == 401 => Err(failed(&response, secrets)),
            other => Ok(other),
        }
    }

    fn request(&self, method: &str, url: &Url, body: Option<&Value>, bearer: &SecretString) -> Request {
        let mut request = http::Request::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())));
        *request.method_mut() = method.parse().unwrap_or_default();
        *request.uri_mut() = url.as_str().parse().unwrap_or_default();
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", bearer.expose_secret()))
            .unwrap_or(HeaderValue::from_static(""));
        authorization.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, authorization);
        headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Ok(id) = HeaderValue::from_str(&self.outlet.random().uuid()) {
            headers.insert("x-ms-client-request-id", id);
        }
        request
    }
}

/// ARM, to write connectors.
#[derive(Clone)]
pub struct ConnectorWriter(Arm);

impl ConnectorWriter {
    /// Writes with ARM's client.
    pub fn new(arm: Arm) -> Self {
        Self(arm)
    }

    /// Writes a connector: the whole resource. Not repeated here, since between two attempts others may write.
    ///
    /// # Errors
    /// By ARM's answer where it certainly refused.
    pub async fn put(&self, id: &ConnectorId, body: &Value, token: &SecretString) -> Result<Put, Error> {
        let unknown = |why| Put { written: Written::Unknown(why), created: None, writer: None };
        let url = self.0.url(id, Some(&id.name))?;
        let policy = Policy { repeat: Repeat::Unsent, ..Policy::SAFE.within(PUT_TIMEOUT) };
        let response = match self.0.send("PUT", &url, Some(body), policy, &[token]).await? {
            Ok(response) => response,
            Err(error) if error.acted => return Ok(unknown(error.to_string())),
            Err(error) => return Err(unreachable(&error)),
        };
        match response.status().as_u16() {
            200..=202 => {
                let body = serde_json::from_slice(response.body()).ok().and_then(Observed::parse);
                let writer = body.as_ref().and_then(Observed::writer).map(str::to_owned);
                Ok(Put { written: Written::Yes, created: Some(response.status() == 201), writer })
            }
            status @ (408 | 500..=599) => Ok(unknown(format!("ARM answered status {status}"))),
            _ => Err(failed(&response, &[token])),
        }
    }

    /// Deletes a connector; one that is gone already is success. Not repeated here, since between two attempts it may have been
    /// made anew.
    ///
    /// # Errors
    /// By ARM's answer where it certainly refused.
    pub async fn delete(&self, id: &ConnectorId) -> Result<Written, Error> {
        let url = self.0.url(id, Some(&id.name))?;
        let policy = Policy { repeat: Repeat::Unsent, ..Policy::SAFE.within(PUT_TIMEOUT) };
        let response = match self.0.send("DELETE", &url, None, policy, &[]).await? {
            Ok(response) => response,
            Err(error) if error.acted => return Ok(Written::Unknown(error.to_string())),
            Err(error) => return Err(unreachable(&error)),
        };
        match response.status().as_u16() {
            200..=204 => Ok(Written::Yes),
            404 if is_absent(&response) => Ok(Written::Yes),
            status @ (408 | 500..=599) => Ok(Written::Unknown(format!("ARM answered status {status}"))),
            _ => Err(failed(&response, &[])),
        }
    }
}

/// The next page of a list; it is only followed on the host that the first came from, since the bearer goes with it.
fn next_page(page: &Value, first: &Url) -> Option<Url> {
    let link = page.get("nextLink").and_then(Value::as_str).and_then(|link| Url::parse(link).ok());
    link.filter(|link| link.origin() == first.origin())
}

fn unreachable(error: &SendError) -> Error {
    Error::retryable(error.to_string(), "repeat the event")
}

/// ARM's two error shapes: `{"error":{"code","message","additionalInfo"}}`, and the resource provider's
/// `{"statusCode","errorMessage"}`.
struct Refusal {
    code: String,
    message: String,
    /// The policy assignments that denied the request, by name (`PolicyViolation` in `additionalInfo`).
    policies: Vec<String>,
}

/// Policy assignments that an error names at most.
const POLICIES: usize = 3;

fn refusal(response: &Response) -> Refusal {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let error = body.get("error");
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    match error {
        Some(error) => {
            Refusal { code: text(error.get("code")), message: text(error.get("message")), policies: policies(error) }
        }
        None => Refusal { code: String::new(), message: text(body.get("errorMessage")), policies: Vec::new() },
    }
}

/// The policy assignments of a denial, each once: the display name where it is told, else the name, and the scope that the
/// assignment's id shows (Microsoft's "Policy for API denial").
fn policies(error: &Value) -> Vec<String> {
    let infos = |error: &Value| error.get("additionalInfo").and_then(Value::as_array).cloned().unwrap_or_default();
    let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
    let all: Vec<Value> = infos(error).into_iter().chain(details.flat_map(infos)).collect();
    let mut named: Vec<String> = Vec::new();
    for info in all.iter().filter_map(|entry| entry.get("info")) {
        let text = |name: &str| {
            info.get(name).and_then(Value::as_str).map(assignment_name).filter(|name| !name.trim().is_empty())
        };
        let last = info.get("policyAssignmentId").and_then(Value::as_str).and_then(|id| id.rsplit('/').next());
        let name = text("policyAssignmentName").or_else(|| last.map(assignment_name).filter(|name| !name.is_empty()));
        let shown = match (text("policyAssignmentDisplayName"), name) {
            (Some(display), Some(name)) if display != name => format!("{display} ({name})"),
            (Some(one), _) | (None, Some(one)) => one,
            (None, None) => continue,
        };
        if !named.contains(&shown) {
            named.push(shown);
        }
    }
    named.truncate(POLICIES);
    named
}

/// The name of an assignment for people, unless it looks like a credential.
fn assignment_name(text: &str) -> String {
    let name = redact::name(text);
    let lower = name.to_ascii_lowercase();
    if lower.contains("dckr_") || lower.starts_with("eyj") { "…".to_owned() } else { name }
}

/// Whether a 401 asks for more claims than the bearer has: conditional access, or continuous access evaluation
/// (Microsoft's "Claims challenges, claims requests, and client capabilities").
fn is_challenge(response: &Response) -> bool {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    response.status() == 401
        && headers.iter().any(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            text.contains("insufficient_claims") || text.contains("claims=")
        })
}

fn challenged(response: &Response, secrets: &[&SecretString]) -> Error {
    Error::needs_human(
        answered(response, &refusal(response), secrets),
        "Entra wants more claims than a workload identity can give (conditional access, or continuous access evaluation): exempt the client from the policy, see its sign-in log in Entra, then repeat the event",
    )
}

/// Whether a 404 is ARM's own word that the connector is not there: another 404 (a proxy's page, a missing resource group)
/// must not lead to a create.
fn is_absent(response: &Response) -> bool {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let code = refusal(response).code;
    code == "ResourceNotFound" || code == "NotFound" || body.get("statusCode").and_then(Value::as_u64) == Some(404)
}

/// What ARM answered, in words: status, code, plain words of the message, and the request's id for Microsoft's support.
fn answered(response: &Response, refusal: &Refusal, secrets: &[&SecretString]) -> String {
    let code = redact::code(&refusal.code).unwrap_or("no code");
    let id = response
        .headers()
        .get("x-ms-request-id")
        .and_then(|id| id.to_str().ok())
        .filter(|id| hubkeeper_core::ids::is_uuid(id));
    let id = id.map(|id| format!(", request {id}")).unwrap_or_default();
    let status = response.status().as_u16();
    format!("ARM answered {status} {code} ({}){id}", redact::words(&refusal.message, secrets))
}

/// A refusal of ARM as an error: the code decides, the status where the code is not known.
fn failed(response: &Response, secrets: &[&SecretString]) -> Error {
    if is_challenge(response) {
        return challenged(response, secrets);
    }
    let status = response.status().as_u16();
    let refusal = refusal(response);
    let code = redact::code(&refusal.code).unwrap_or_default();
    let what = answered(response, &refusal, secrets);
    match code {
        "RequestDisallowedByPolicy" => {
            let which = match refusal.policies.as_slice() {
                [] => "an Azure Policy assignment denies the request: see the activity log of the resource group"
                    .to_owned(),
                names => format!("the Azure Policy assignment denies the request: {}", names.join(", ")),
            };
            Error::needs_human(
                format!("{what}; {which}"),
                "exempt the connector from that assignment, or set in `connector` of the secret what it demands (location, tags); see az policy assignment list --resource-group <group>",
            )
        }
        "ReadOnlyDisabledSubscription" | "SubscriptionDisabled" | "DisabledSubscription" => Error::needs_human(
            what,
            "the subscription is disabled and cannot be written: enable it again (billing), or name another in `connector.subscriptionId`",
        ),
        "ScopeLocked" => Error::needs_human(
            what,
            "remove the lock from the connector, its resource group or its subscription: az lock list --resource-group <group>",
        ),
        "MissingSubscriptionRegistration" | "SubscriptionNotRegistered" => {
            Error::needs_human(what, "register the provider: az provider register --namespace Microsoft.Security")
        }
        "LinkedAuthorizationFailed" => Error::needs_human(
            what,
            "the client may write the connector and lacks a right on a resource that it refers to: grant the action that the activity log of the resource group names",
        ),
        "SubscriptionNotFound" => Error::misconfigured(what, "check `connector.subscriptionId` in the secret"),
        "ResourceGroupNotFound" => {
            Error::misconfigured(what, "check `connector.resourceGroup` in the secret, or create the group")
        }
        _ => by_status(status, what),
    }
}

fn by_status(status: u16, what: String) -> Error {
    match status {
        401 => Error::misconfigured(what, "check tenant, client and cloud: ARM does not accept Entra's token"),
        403 => Error::needs_human(
            what,
            "give the client the custom role with Microsoft.Security/securityConnectors/read and /write (and /delete, to offboard) on the resource group; a fresh assignment takes minutes",
        ),
        404 | 408 | 429 | 500..=599 => Error::retryable(what, "repeat the event"),
        409 | 412 => Error::retryable(what, "another change of the connector is under way: repeat the event"),
        400 => Error::misconfigured(
            what,
            "check `connector` in the secret (name, location, plans) and HUBKEEPER_ARM_API_VERSION",
        ),
        _ => Error::needs_human(what, "look the code up in Azure's documentation"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubkeeper_core::error::Kind;
    use serde_json::json;

    fn response(status: u16, body: &Value) -> Response {
        http::Response::builder().status(status).body(Bytes::from(body.to_string())).unwrap()
    }

    #[test]
    fn only_arm_s_own_word_makes_a_connector_absent() {
        assert!(is_absent(&response(404, &json!({"error": {"code": "ResourceNotFound", "message": "x"}}))));
        assert!(!is_absent(&response(404, &json!({"error": {"code": "ResourceGroupNotFound", "message": "x"}}))));
        assert!(!is_absent(&response(404, &json!("<html>not found</html>"))));
    }

    #[test]
    fn both_error_shapes_are_read_and_no_secret_is_shown() {
        let token = SecretString::from("dckr_pat_secret");
        let provider = json!({"statusCode": 400, "errorMessage": "error occured for security connector: token dckr_pat_secret is bad", "errorCorrelation": "x"});
        let error = failed(&response(400, &provider), &[&token]);
        assert_eq!(error.kind(), Kind::Misconfigured);
        assert!(error.to_string().contains("security connector: token … is bad"), "{error}");
        let arm =
            json!({"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization"}});
        let error = failed(&response(403, &arm), &[]);
        assert_eq!(error.kind(), Kind::NeedsHuman);
        assert!(error.to_string().contains("AuthorizationFailed"), "{error}");
    }

    #[test]
    fn each_code_of_arm_has_its_kind_and_its_remedy() {
        let denied = json!([{"type": "PolicyViolation", "info": {
            "policyAssignmentId": "/subscriptions/x/providers/Microsoft.Authorization/policyAssignments/allowed-locations",
            "policyAssignmentName": "allowed-locations", "policyAssignmentDisplayName": "Allowed locations", "evaluationDetails": {}}}]);
        for (status, code, more, kind, part) in [
            (403, "RequestDisallowedByPolicy", denied, Kind::NeedsHuman, "Allowed locations (allowed-locations)"),
            (403, "RequestDisallowedByPolicy", json!([]), Kind::NeedsHuman, "an Azure Policy assignment denies"),
            (409, "ReadOnlyDisabledSubscription", json!(null), Kind::NeedsHuman, "the subscription is disabled"),
            (403, "ReadOnlyDisabledSubscription", json!(null), Kind::NeedsHuman, "the subscription is disabled"),
            (409, "ScopeLocked", json!(null), Kind::NeedsHuman, "remove the lock"),
            (403, "AuthorizationFailed", json!(null), Kind::NeedsHuman, "custom role"),
            (403, "LinkedAuthorizationFailed", json!(null), Kind::NeedsHuman, "a resource that it refers to"),
            (409, "MissingSubscriptionRegistration", json!(null), Kind::NeedsHuman, "az provider register"),
            (409, "Conflict", json!(null), Kind::Retryable, "another change"),
            (409, "AnotherOperationInProgress", json!(null), Kind::Retryable, "another change"),
            (404, "SubscriptionNotFound", json!(null), Kind::Misconfigured, "subscriptionId"),
            (404, "ResourceGroupNotFound", json!(null), Kind::Misconfigured, "resourceGroup"),
            (429, "SubscriptionRequestsThrottled", json!(null), Kind::Retryable, "repeat"),
            (401, "InvalidAuthenticationToken", json!(null), Kind::Misconfigured, "tenant, client and cloud"),
        ] {
            let body = json!({"error": {"code": code, "message": "some words", "additionalInfo": more}});
            let error = failed(&response(status, &body), &[]);
            let text = error.to_string();
            assert_eq!(error.kind(), kind, "{code}: {text}");
            assert!(text.contains(part) && text.contains(code) && text.contains("remedy: "), "{code}: {text}");
        }
    }

    #[test]
    fn the_names_of_policies_are_scrubbed_counted_and_cut_off() {
        let info = |name: String| json!({"type": "PolicyViolation", "info": {"policyAssignmentName": name}});
        let many: Vec<Value> = (0..9).map(|n| info(format!("policy-{}", n / 2))).collect();
        assert_eq!(policies(&json!({"additionalInfo": many})), ["policy-0", "policy-1", "policy-2"]);
        for name in ["dckr_pat_Ab3dEf9hIjKl".to_owned(), "eyJhbGciOi.x.y".to_owned()] {
            assert_eq!(policies(&json!({"additionalInfo": [info(name)]})), ["…"]);
        }
        assert!(policies(&json!({"additionalInfo": [info("x".repeat(5000))]}))[0].len() <= 64);
        let nested = json!({"details": [{"additionalInfo": [info("inner".into())]}]});
        assert_eq!(policies(&nested), ["inner"]);
        for odd in [json!(7), json!({"additionalInfo": {}}), json!({"additionalInfo": [7, {"info": 7}]})] {
            assert!(policies(&odd).is_empty(), "{odd}");
        }
    }

    #[test]
    fn a_challenge_for_more_claims_is_told_by_the_header() {
        let with = |status: u16, header: &str| {
            let mut response =
                response(status, &json!({"error": {"code": "InvalidAuthenticationToken", "message": "x"}}));
            response.headers_mut().insert(WWW_AUTHENTICATE, header.parse().unwrap());
            response
        };
        let challenge = r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
        let error = failed(&with(401, challenge), &[]);
        assert_eq!(error.kind(), Kind::NeedsHuman);
        let text = error.to_string();
        assert!(text.contains("conditional access") && text.contains("continuous access evaluation"), "{text}");
        assert!(!text.contains("eyJ"), "{text}");
        assert!(!is_challenge(&with(401, r#"Bearer error="invalid_token""#)));
        assert!(!is_challenge(&with(403, challenge)));
    }
}
