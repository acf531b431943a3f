//! Unusual responses of services that are not broken: unexpected ones, or rejections.
//!
//! A behaviour begins at one request of a flow and lasts. The flow must settle during an unexpected one. During a rejection the
//! flow ends with a typed error that no retry helps against, and settles after it.

use bytes::Bytes;
use hubkeeper::http::Response;
use hubkeeper_sandbox::world::json as answer;
use hubkeeper_sandbox::{Service, State, hub};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::calls::Call;
use crate::flows::Flow;
use hubkeeper_scene::{CLIENT, ORG};

/// Time for which reads do not show a write.
const LATE: Duration = Duration::seconds(40);
/// Time for which a federated credential is unknown.
const LEARNS: Duration = Duration::minutes(5);

/// One unusual behaviour of a service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Behaviour {
    OtherWriter,
    DropsOffering,
    HidesInterval,
    ShowsLate,
    DeniedByPolicy,
    Locked,
    ReadOnly,
    NoTags,
    Edge,
    UnknownDenial,
    NoSeat,
    LearnsSlowly,
    NoKey,
    TooManyVersions,
}

/// The effect of a behaviour on the flow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The flow settles during it.
    Odd,
    /// No conclusion is possible during it: `Retryable`.
    Passing,
    /// A person has to act: never `Retryable`.
    Refusal,
}

impl Behaviour {
    /// Every behaviour, in the order of the table.
    pub(crate) const ALL: [Behaviour; 14] = [
        Behaviour::OtherWriter,
        Behaviour::DropsOffering,
        Behaviour::HidesInterval,
        Behaviour::ShowsLate,
        Behaviour::DeniedByPolicy,
        Behaviour::Locked,
        Behaviour::ReadOnly,
        Behaviour::NoTags,
        Behaviour::Edge,
        Behaviour::UnknownDenial,
        Behaviour::NoSeat,
        Behaviour::LearnsSlowly,
        Behaviour::NoKey,
        Behaviour::TooManyVersions,
    ];

    /// The name in the table, and in `docs/failure-table.md`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Behaviour::OtherWriter => "ARM names another writer",
            Behaviour::DropsOffering => "ARM drops an offering",
            Behaviour::HidesInterval => "ARM hides the scan interval",
            Behaviour::ShowsLate => "ARM shows a write 40 s late",
            Behaviour::DeniedByPolicy => "ARM denies by policy",
            Behaviour::Locked => "ARM says the scope is locked",
            Behaviour::ReadOnly => "ARM says the subscription is read-only",
            Behaviour::NoTags => "every tag is gone",
            Behaviour::Edge => "an edge denies manifests",
            Behaviour::UnknownDenial => "the token service denies in unknown words",
            Behaviour::NoSeat => "no seat is free",
            Behaviour::LearnsSlowly => "Entra learns slowly",
            Behaviour::NoKey => "KMS denies puts",
            Behaviour::TooManyVersions => "too many versions for a put",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Behaviour::OtherWriter
            | Behaviour::DropsOffering
            | Behaviour::HidesInterval
            | Behaviour::ShowsLate
            | Behaviour::NoTags => Kind::Odd,
            Behaviour::Edge | Behaviour::UnknownDenial | Behaviour::LearnsSlowly => Kind::Passing,
            Behaviour::DeniedByPolicy
            | Behaviour::Locked
            | Behaviour::ReadOnly
            | Behaviour::NoSeat
            | Behaviour::NoKey
            | Behaviour::TooManyVersions => Kind::Refusal,
        }
    }

    /// The flows in which it happens.
    pub(crate) fn flows(self) -> &'static [Flow] {
        match self {
            Behaviour::OtherWriter => &[
                Flow::Mint,
                Flow::OnboardMint,
                Flow::Onboard,
                Flow::Adopt,
                Flow::Changed,
                Flow::ReconcileWell,
                Flow::ReconcileDrift,
                Flow::Stack,
            ],
            Behaviour::DropsOffering => &[Flow::Mint, Flow::Onboard, Flow::ReconcileDrift, Flow::Stack],
            Behaviour::HidesInterval => &[Flow::Mint, Flow::Onboard, Flow::ReconcileWell, Flow::ReconcileDrift],
            Behaviour::ShowsLate => {
                &[Flow::Mint, Flow::OnboardMint, Flow::Adopt, Flow::Changed, Flow::ReconcileDrift, Flow::Stack]
            }
            Behaviour::DeniedByPolicy => &[Flow::Mint, Flow::Onboard, Flow::Adopt, Flow::ReconcileDrift, Flow::Stack],
            Behaviour::Locked | Behaviour::ReadOnly => {
                &[Flow::Mint, Flow::Onboard, Flow::ReconcileDrift, Flow::Offboard, Flow::StackEnds]
            }
            Behaviour::NoTags => &[Flow::Mint, Flow::OnboardMint, Flow::Adopt, Flow::ReconcileDrift],
            Behaviour::Edge | Behaviour::UnknownDenial => {
                &[Flow::Mint, Flow::Onboard, Flow::Adopt, Flow::ReconcileDrift]
            }
            Behaviour::NoSeat => &[Flow::Invite],
            Behaviour::LearnsSlowly => &[Flow::Mint, Flow::Onboard, Flow::Offboard, Flow::Stack],
            Behaviour::NoKey | Behaviour::TooManyVersions => &[Flow::Mint, Flow::OnboardMint, Flow::Candidate],
        }
    }

    /// Changes the world when it begins, and when it ends.
    pub(crate) fn set(self, state: &mut State, begins: bool) {
        if self == Behaviour::NoSeat {
            let members = hub::organization(state, ORG).map_or(0, |found| found.members.len());
            hub::set_seats(state, ORG, begins.then_some(members));
        }
    }
}

/// A behaviour that has begun.
pub(crate) struct Lasting {
    behaviour: Behaviour,
    /// Time of the first request to Entra.
    asked: Option<OffsetDateTime>,
    /// The response that a GET of the connector shows, and until when.
    shown: Option<(OffsetDateTime, Response)>,
}

impl Lasting {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, asked: None, shown: None }
    }

    /// The rejection of a request, before the service handles it.
    pub(crate) fn refuses(&mut self, service: Service, call: Call, now: OffsetDateTime) -> Option<Response> {
        let writes = matches!(call, Call::ConnectorPut | Call::ConnectorDelete);
        match self.behaviour {
            Behaviour::DeniedByPolicy if call == Call::ConnectorPut => Some(answer(
                403,
                &json!({"error": {"code": "RequestDisallowedByPolicy", "target": "dockerhub-acme",
                    "message": "Resource 'dockerhub-acme' was disallowed by policy.",
                    "additionalInfo": [{"type": "PolicyViolation", "info": {
                        "policyDefinitionDisplayName": "Allowed resource types",
                        "policyAssignmentId": "/subscriptions/a5caac9c-5c04-49af-b3d0-e204f40345d5/providers/Microsoft.Authorization/policyAssignments/allowed-types",
                        "policyAssignmentName": "allowed-types", "policyAssignmentDisplayName": "Allowed types",
                        "policyDefinitionEffect": "deny"}}]}}),
            )),
            Behaviour::Locked if writes => Some(answer(
                409,
                &json!({"error": {"code": "ScopeLocked", "message": "The scope cannot perform the operation because following scope(s) are locked: '/subscriptions/a5caac9c-5c04-49af-b3d0-e204f40345d5/resourceGroups/rg-security'. Please remove the lock and try again."}}),
            )),
            Behaviour::ReadOnly if writes => Some(answer(
                409,
                &json!({"error": {"code": "ReadOnlyDisabledSubscription", "message": "The subscription 'a5caac9c-5c04-49af-b3d0-e204f40345d5' is disabled and therefore marked as read only. You cannot perform any write actions on this subscription until it is re-enabled."}}),
            )),
            Behaviour::NoTags if call == Call::Manifest => {
                Some(answer(404, &json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})))
            }
            Behaviour::Edge if call == Call::Manifest => {
                let mut page = answer(403, &Value::Null);
                *page.body_mut() = Bytes::from_static(b"<html><body>Request blocked</body></html>");
                page.headers_mut().insert("content-type", http::HeaderValue::from_static("text/html"));
                Some(page)
            }
            Behaviour::UnknownDenial if call == Call::Grant => {
                Some(answer(401, &json!({"details": "please contact your organization's administrator (E-4711)"})))
            }
            Behaviour::LearnsSlowly if service == Service::Entra => {
                let asked = *self.asked.get_or_insert(now);
                (now - asked < LEARNS).then(|| {
                    answer(
                        401,
                        &json!({"error": "invalid_client", "error_codes": [700_211], "error_description": "AADSTS700211: No matching federated identity record found for presented assertion issuer 'https://issuer'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."}),
                    )
                })
            }
            Behaviour::NoKey if call == Call::Put => {
                Some(denial("AccessDeniedException", "Access to KMS is not allowed"))
            }
            Behaviour::TooManyVersions if call == Call::Put => {
                Some(denial("LimitExceededException", "You have reached the limit of versions of this secret."))
            }
            _ => None,
        }
    }

    /// The response that reaches the client. `before` is what a GET of the connector last showed.
    pub(crate) fn turn(
        &mut self,
        call: Call,
        response: Response,
        before: impl FnOnce() -> Option<Response>,
        now: OffsetDateTime,
    ) -> Response {
        if !matches!(call, Call::Connector | Call::ConnectorPut) {
            return response;
        }
        if self.behaviour == Behaviour::ShowsLate {
            if call == Call::ConnectorPut && response.status().is_success() {
                let still = self.shown.take().filter(|(end, _)| *end > now).map(|(_, shown)| shown);
                let shown = still.or_else(before).unwrap_or_else(|| {
                    answer(
                        404,
                        &json!({"error": {"code": "ResourceNotFound", "message": "The Resource was not found."}}),
                    )
                });
                self.shown = Some((now + LATE, shown));
                return response;
            }
            let shown = self.shown.as_ref().filter(|(end, _)| call == Call::Connector && *end > now);
            return shown.map_or(response, |(_, shown)| shown.clone());
        }
        if !response.status().is_success() {
            return response;
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(response.body()) else { return response };
        match self.behaviour {
            Behaviour::OtherWriter => {
                if body["systemData"]["lastModifiedBy"] == CLIENT {
                    body["systemData"]["lastModifiedBy"] = json!("0b5ec7a1-0000-4000-a000-00000000000b");
                }
            }
            Behaviour::DropsOffering => {
                if let Some(offerings) = body["properties"]["offerings"].as_array_mut() {
                    offerings.retain(|offering| offering["offeringType"] != "DefenderForContainersDockerHub");
                }
            }
            Behaviour::HidesInterval => {
                if let Some(data) = body["properties"]["environmentData"].as_object_mut() {
                    data.remove("scanInterval");
                }
            }
            _ => return response,
        }
        crate::faults::with_body(&response, Bytes::from(body.to_string()))
    }
}

fn denial(code: &'static str, message: &str) -> Response {
    let mut response = answer(400, &json!({"__type": code, "Message": message}));
    response.headers_mut().insert("x-amzn-errortype", http::HeaderValue::from_static(code));
    response
}
