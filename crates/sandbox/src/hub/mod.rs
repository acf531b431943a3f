//! Docker Hub: the API of `hub.docker.com` and the token service of `auth.docker.io`.
//!
//! Statuses and bodies follow Docker's reference and published observations of the live service. Where neither says anything, the
//! sandbox applies the stricter reading, and the comment there says so.

mod access;
mod lists;
mod login;
mod members;
mod model;
mod pats;
mod person;
mod token_service;
pub(crate) mod wire;

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

pub use access::{accepts, can_pull_everything, can_push};
pub use model::{
    Invitation, Kind, MediaType, OatResource, Organization, PatView, Permission, Repository, ResourceKind, Role, Tag,
    Team, User, manifest,
};
pub use person::{
    accept_invitation, add_member, add_oat, add_organization, add_pat, add_plugin, add_repositories, add_repository,
    add_tag, add_team, add_to_team, add_user, age, all_secret_values, deactivate, delete_repository, enforce_sso,
    failed_logins, forget_failed_logins, grant_member_management, invitations_sent, is_scope, lapse_invitation, lock,
    oats_of, organization, organizations_of, pats_of, refuse_address, remove_from_team, remove_member, remove_tags,
    revoke, set_email, set_expiry, set_password, set_pat_scopes, set_private, set_seats, set_totp, show_role,
    team_permission, totp_code, user,
};

use access::Principal;
use model::Oat;

use crate::world::{Request, Response, State, json};

/// The state of Docker Hub. The public fields are switches that change how the service behaves.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, not a state machine")]
pub struct Hub {
    /// How far Docker's clock is ahead of the world's. The token service and the registry use the same clock. Default zero.
    pub clock_skew: Duration,
    /// Time for which a new personal access token is rejected. Default zero.
    pub usable_delay: Duration,
    /// Whether `POST /v2/auth/token` accepts passwords. Documented, but a client saw them rejected. Default `false`.
    pub passwords_on_auth_token: bool,
    /// The status (404 or 410) of `/v2/users/login` and `/v2/users/2fa-login` once Docker has removed them.
    pub legacy_login_gone: Option<u16>,
    /// Whether the bearer of a personal access token has the claim `scope`. Undocumented, observed; default `true`.
    pub scope_claim: bool,
    /// The status of the deletion of a personal access token: 204 (documented, default) or 202 (observed).
    pub pat_delete_status: u16,
    /// API requests per minute before a 429. `None` (default): no limit, and the rate-limit headers show one of a million.
    pub rate_limit_per_minute: Option<u32>,
    /// Whether the token service sends `Content-Type: text/plain` with its JSON (observed). Default `false`.
    pub plain_text_tokens: bool,
    /// Whether a token request with several scopes is granted only the first, the regression of March 2022. Default `false`.
    pub combined_scopes_lost: bool,
    /// Whether a request above the token's scope counts as a failed login (unknown). Default `false`.
    pub low_scope_counts_as_failure: bool,
    /// Whether the response to a bulk invitation is the bare list, as a client decodes it, instead of the reference's object
    /// around the list. Default `false`.
    pub flat_invitees: bool,
    /// The status of an invitation without a free seat (undocumented). Default 402.
    pub no_seat_status: u16,
    /// Addresses that Docker Hub rejects as invalid.
    pub refused_addresses: std::collections::BTreeSet<String>,
    /// Whether issued tokens are kept for [`all_secret_values`]. Benchmarks of many requests turn it off. Default `true`.
    pub remember_tokens: bool,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) organizations: BTreeMap<String, Organization>,
    pub(crate) pats: BTreeMap<String, PatView>,
    /// Uuid by value.
    pub(crate) pat_values: BTreeMap<String, String>,
    pub(crate) oats: BTreeMap<String, Oat>,
    pub(crate) bearers: BTreeMap<String, Bearer>,
    /// User name and expiry, by the token of the first half of a two-factor login.
    half_logins: BTreeMap<String, (String, OffsetDateTime)>,
    failures: BTreeMap<String, Vec<OffsetDateTime>>,
    /// Ends of lock-outs, by name.
    locks: BTreeMap<String, OffsetDateTime>,
    window: Option<(OffsetDateTime, u32)>,
    /// Values of deleted tokens, and the secret part of registry tokens.
    pub(crate) spent: Vec<String>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            clock_skew: Duration::ZERO,
            usable_delay: Duration::ZERO,
            passwords_on_auth_token: false,
            legacy_login_gone: None,
            scope_claim: true,
            pat_delete_status: 204,
            rate_limit_per_minute: None,
            plain_text_tokens: false,
            combined_scopes_lost: false,
            low_scope_counts_as_failure: false,
            flat_invitees: false,
            no_seat_status: 402,
            refused_addresses: std::collections::BTreeSet::new(),
            remember_tokens: true,
            users: BTreeMap::new(),
            organizations: BTreeMap::new(),
            pats: BTreeMap::new(),
            pat_values: BTreeMap::new(),
            oats: BTreeMap::new(),
            bearers: BTreeMap::new(),
            half_logins: BTreeMap::new(),
            failures: BTreeMap::new(),
            locks: BTreeMap::new(),
            window: None,
            spent: Vec::new(),
        }
    }
}

/// An issued Hub bearer. It outlives the token that it came from.
pub(crate) struct Bearer {
    pub(crate) principal: Principal,
    pub(crate) expires_at: OffsetDateTime,
}

impl State {
    /// The time on Docker's own clock.
    pub(crate) fn hub_now(&self) -> OffsetDateTime {
        self.now() + self.hub.clock_skew
    }
}

/// What the rate-limit headers show where there is no limit: more requests than any program sends in a minute, since a client may
/// slow down when few are left.
const NO_LIMIT: u32 = 1_000_000;

/// Handles one request to the API.
pub fn handle(state: &mut State, request: &Request) -> Response {
    let now = state.hub_now();
    let Some(limit) = state.hub.rate_limit_per_minute else {
        let minute = now - Duration::seconds(now.second().into()) + Duration::minutes(1);
        return with_limit(route(state, request), NO_LIMIT, NO_LIMIT - 1, minute);
    };
    let window = Duration::minutes(1);
    let (start, used) = state.hub.window.filter(|(start, _)| now < *start + window).unwrap_or((now, 0));
    let reset = start + window;
    let allowed = used < limit;
    let used = used + u32::from(allowed);
    state.hub.window = Some((start, used));
    let response = if allowed {
        route(state, request)
    } else {
        let mut refusal = json(429, &serde_json::json!({ "detail": "Rate limit exceeded", "error": false }));
        let wait = (reset - now).whole_seconds() + i64::from((reset - now).subsec_nanoseconds() > 0);
        refusal.headers_mut().insert("retry-after", wait.into());
        refusal
    };
    with_limit(response, limit, limit - used, reset)
}

/// A response with the rate-limit headers: requests a minute, requests left, and the end of the minute as unix time.
fn with_limit(mut response: Response, limit: u32, left: u32, reset: OffsetDateTime) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", limit.into());
    headers.insert("x-ratelimit-remaining", left.into());
    headers.insert("x-ratelimit-reset", reset.unix_timestamp().into());
    response
}

fn route(state: &mut State, request: &Request) -> Response {
    let path = request.uri().path();
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').skip(1).collect();
    let method = request.method().as_str();
    match (segments.as_slice(), method) {
        (["v2", "auth", "token"], "POST") => login::auth_token(state, request),
        (["v2", "users", "login" | "2fa-login"], _) if state.hub.legacy_login_gone.is_some() => {
            wire::detail(state.hub.legacy_login_gone.unwrap_or(404), "not found")
        }
        (["v2", "users", "login"], "POST") => login::password(state, request),
        (["v2", "users", "2fa-login"], "POST") => login::second_factor(state, request),
        (["v2", "namespaces", space, "repositories"], "GET") => lists::repositories(state, request, space),
        (["v2", "namespaces", space, "repositories", name], "GET" | "HEAD") => {
            without_body(method, lists::repository(state, request, space, name))
        }
        (["v2", "namespaces", space, "repositories", name, "tags"], "GET" | "HEAD") => {
            without_body(method, lists::tags(state, request, space, name))
        }
        (["v2", "namespaces", space, "repositories", name, "tags", tag], "GET" | "HEAD") => {
            without_body(method, lists::tag(state, request, space, name, tag))
        }
        (["v2", "repositories", ..], "GET" | "HEAD") => without_body(method, lists::deprecated(state, request)),
        (["v2", "orgs", org, "members"], "GET") => answer(members::list(state, request, org)),
        (["v2", "orgs", org, "members", name], "PUT") => answer(members::set_role(state, request, org, name)),
        (["v2", "orgs", org, "groups", team, "members"], "GET" | "POST") => {
            answer(members::team(state, request, org, team))
        }
        (["v2", "orgs", org, "invites"], "GET") => answer(members::invites(state, request, org)),
        (["v2", "invites", "bulk"], "POST") => answer(members::invite(state, request)),
        (["v2", "invites", id, "resend"], "PATCH") => answer(members::resend(state, request, id)),
        (["v2", "access-tokens"], "GET" | "POST") => pats::all(state, request),
        (["v2", "access-tokens", uuid], "GET" | "PATCH" | "DELETE") => pats::one(state, request, uuid),
        (
            ["v2", "auth", "token"]
            | ["v2", "users", "login" | "2fa-login"]
            | ["v2", "access-tokens"]
            | ["v2", "access-tokens", _]
            | ["v2", "namespaces", _, "repositories", ..]
            | ["v2", "orgs", _, "members" | "invites"]
            | ["v2", "orgs", _, "members", _]
            | ["v2", "orgs", _, "groups", _, "members"]
            | ["v2", "invites", "bulk"]
            | ["v2", "invites", _, "resend"]
            | ["v2", "repositories", ..],
            _,
        ) => wire::method_not_allowed(request),
        _ => wire::not_found(),
    }
}

fn answer(result: Result<Response, wire::Refused>) -> Response {
    result.unwrap_or_else(|refusal| *refusal)
}

fn without_body(method: &str, mut response: Response) -> Response {
    if method == "HEAD" {
        let length = response.body().len();
        response.headers_mut().insert("content-length", length.into());
        *response.body_mut() = bytes::Bytes::new();
    }
    response
}

/// Handles one request to the token service.
pub fn handle_auth(state: &mut State, request: &Request) -> Response {
    token_service::handle(state, request)
}

#[cfg(test)]
mod tests;
