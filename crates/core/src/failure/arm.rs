//! Maps a refusal of ARM to an error: by its code, or by the status if the code is unknown.

use secrecy::SecretString;
use serde_json::Value;

use crate::error::Error;
use crate::ids::is_uuid;
use crate::redact;

/// A response of ARM other than success. No `Debug`: its message may quote the request.
///
/// ARM has two error shapes: `{"error":{"code","message","additionalInfo"}}`, and the resource provider's
/// `{"statusCode","errorMessage"}`.
pub struct Refusal {
    status: u16,
    code: String,
    message: String,
    /// The policy assignments that denied the request, by name (`PolicyViolation` in `additionalInfo`).
    policies: Vec<String>,
    /// `statusCode` of the resource provider's shape.
    provider_status: Option<u64>,
    /// `x-ms-request-id`, for Microsoft's support.
    request_id: Option<String>,
    /// Whether a 401 asks for more claims than the bearer has.
    pub is_challenge: bool,
}

/// Maximum number of policy assignments that an error names.
const POLICIES: usize = 3;

impl Refusal {
    /// Reads status, body and `x-ms-request-id` of a response; a body that is not JSON is `Value::Null`.
    pub fn parse(status: u16, body: &Value, request_id: Option<&str>, is_challenge: bool) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let (code, message, policies) = match body.get("error") {
            Some(error) => (text(error.get("code")), text(error.get("message")), policies(error)),
            None => (String::new(), text(body.get("errorMessage")), Vec::new()),
        };
        let provider_status = body.get("statusCode").and_then(Value::as_u64);
        let request_id = request_id.filter(|id| is_uuid(id)).map(str::to_owned);
        Self { status, code, message, policies, provider_status, request_id, is_challenge }
    }

    /// Whether the caller has no right.
    pub fn is_denied(&self) -> bool {
        self.status == 403
    }

    /// Status and code, such as `403 AuthorizationFailed`.
    pub fn brief(&self) -> String {
        format!("{} {}", self.status, redact::code(&self.code).unwrap_or("without a code"))
    }

    /// ARM's code, if it is one; otherwise empty.
    pub fn code(&self) -> &str {
        redact::code(&self.code).unwrap_or_default()
    }

    /// Whether a 404 is ARM's own statement that the connector does not exist: another 404 (a proxy's page, a missing resource group)
    /// must not lead to a create.
    pub fn is_absent(&self) -> bool {
        self.code == "ResourceNotFound" || self.code == "NotFound" || self.provider_status == Some(404)
    }

    /// Whether the resource group is missing.
    pub fn has_no_group(&self) -> bool {
        self.code == "ResourceGroupNotFound"
    }

    /// ARM's response in words: status, code, plain words of the message, and the request's id for Microsoft's support.
    fn answered(&self, secrets: &[&SecretString]) -> String {
        let code = redact::code(&self.code).unwrap_or("no code");
        let id = self.request_id.as_ref().map(|id| format!(", request {id}")).unwrap_or_default();
        format!("ARM returned {} {code} ({}){id}", self.status, redact::words(&self.message, secrets))
    }

    /// The refusal as an error; `secrets` are removed from the message.
    pub fn error(&self, secrets: &[&SecretString]) -> Error {
        let what = self.answered(secrets);
        if self.is_challenge {
            return Error::needs_human(
                what,
                "Entra requires claims that a workload identity cannot provide (conditional access, or continuous access evaluation): exempt the client from the policy (see its sign-in log in Entra), then repeat the event",
            );
        }
        match self.code() {
            "RequestDisallowedByPolicy" => {
                let which = match self.policies.as_slice() {
                    [] => "an Azure Policy assignment denies the request: see the activity log of the resource group"
                        .to_owned(),
                    names => format!("the Azure Policy assignment denies the request: {}", names.join(", ")),
                };
                Error::needs_human(
                    format!("{what}; {which}"),
                    "exempt the connector from that assignment, or set what it requires (location, tags) in the secret's `connector`; see az policy assignment list --resource-group <group>",
                )
            }
            "ReadOnlyDisabledSubscription" | "SubscriptionDisabled" | "DisabledSubscription" => Error::needs_human(
                what,
                "the subscription is disabled and read-only: re-enable it (billing), or name another one in `connector.subscriptionId`",
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
                "the client may write the connector but lacks a right on a resource that it refers to: grant the action that the activity log of the resource group names",
            ),
            "SubscriptionNotFound" => Error::misconfigured(what, "check `connector.subscriptionId` in the secret"),
            "ResourceGroupNotFound" => {
                Error::misconfigured(what, "check `connector.resourceGroup` in the secret, or create the group")
            }
            _ => by_status(self.status, what),
        }
    }
}

/// The error for a request without a response; `why` says what failed.
pub fn unreachable(why: &impl std::fmt::Display) -> Error {
    Error::retryable(why.to_string(), "repeat the event")
}

fn by_status(status: u16, what: String) -> Error {
    match status {
        401 => Error::misconfigured(what, "check tenant, client and cloud: ARM does not accept Entra's token"),
        403 => Error::needs_human(
            what,
            "give the client the custom role with Microsoft.Security/securityConnectors/read and /write (and /delete, to offboard) on the resource group; a new assignment takes minutes to apply",
        ),
        404 | 408 | 429 | 500..=599 => Error::retryable(what, "repeat the event"),
        409 | 412 => Error::retryable(what, "another change to the connector is in progress: repeat the event"),
        400 => Error::misconfigured(
            what,
            "check `connector` in the secret (name, location, plans) and HUBKEEPER_ARM_API_VERSION",
        ),
        _ => Error::needs_human(what, "look the code up in Azure's documentation"),
    }
}

/// The policy assignments of a denial, each once: the display name if there is one, otherwise the name, and the scope that the
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

/// The name of an assignment for messages, unless it looks like a credential.
fn assignment_name(text: &str) -> String {
    let name = redact::name(text);
    let lower = name.to_ascii_lowercase();
    if lower.contains("dckr_") || lower.starts_with("eyj") { "…".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Kind;

    fn refused(status: u16, body: &Value) -> Refusal {
        Refusal::parse(status, body, None, false)
    }

    #[test]
    fn both_error_shapes_are_read_and_no_secret_is_shown() {
        let token = SecretString::from("dckr_pat_secret");
        let provider = json!({"statusCode": 400, "errorMessage": "error occured for security connector: token dckr_pat_secret is bad", "errorCorrelation": "x"});
        let error = refused(400, &provider).error(&[&token]);
        assert_eq!(error.kind(), Kind::Misconfigured);
        assert!(error.to_string().contains("security connector: token … is bad"), "{error}");
        let arm =
            json!({"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization"}});
        let error = refused(403, &arm).error(&[]);
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
            let error = refused(status, &body).error(&[]);
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
}
