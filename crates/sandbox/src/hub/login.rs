//! Logins, the second factor, the lock-out, and the bearers that logins return.

use serde_json::json;
use time::{Duration, OffsetDateTime};
use totp_rs::{Algorithm, Secret, TOTP};

use super::access::{Principal, Refusal};
use super::{Bearer, wire};
use crate::world::{Request, Response, State, json as json_response};

/// Lifetime of a Hub bearer (Docker's reference).
const BEARER_LIFE: Duration = Duration::minutes(10);
/// Time between the first and the second half of a two-factor login. Undocumented.
const HALF_LOGIN_LIFE: Duration = Duration::minutes(5);
/// Time for which a TOTP code is valid (RFC 6238's default).
pub(super) const STEP_SECONDS: i64 = 30;
/// Failed logins per hour before the lock-out. The error message was observed; its number and window come from second-hand
/// reports.
const FAILURES_BORNE: usize = 5;

pub(super) const LOCKED_OUT: &str = "too many failed login attempts for username or IP address";
const WRONG: &str = "Incorrect authentication credentials";
const SECOND_FACTOR: &str = "Require secondary authentication on MFA enabled account";
pub(super) const SSO: &str = "please use personal access token to login when SSO is enforced";

/// `POST /v2/auth/token`.
pub(super) fn auth_token(state: &mut State, request: &Request) -> Response {
    let body = match wire::body(request) {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let (identifier, secret) = match (wire::text(&body, "identifier"), wire::text(&body, "secret")) {
        (Ok(identifier), Ok(secret)) => (identifier, secret),
        (Err(refusal), _) | (_, Err(refusal)) => return *refusal,
    };
    if is_locked_out(state, identifier) {
        return wire::detail(429, LOCKED_OUT);
    }
    match state.hub.check(state.hub_now(), identifier, secret) {
        Ok(Principal::Password { .. }) if !state.hub.passwords_on_auth_token => {
            count_failure(state, identifier);
            wire::unauthorized()
        }
        Ok(principal) => {
            let bearer = give_bearer(state, principal);
            json_response(200, &json!({ "access_token": bearer }))
        }
        Err(Refusal::SecondFactor) if state.hub.passwords_on_auth_token => first_half(state, identifier),
        Err(Refusal::Sso) => wire::unauthorized(),
        Err(Refusal::SecondFactor | Refusal::Wrong | Refusal::Expired) => {
            count_failure(state, identifier);
            wire::unauthorized()
        }
    }
}

/// `POST /v2/users/login`: accepts passwords only.
pub(super) fn password(state: &mut State, request: &Request) -> Response {
    let body = match wire::body(request) {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let (username, password) = match (wire::text(&body, "username"), wire::text(&body, "password")) {
        (Ok(username), Ok(password)) => (username, password),
        (Err(refusal), _) | (_, Err(refusal)) => return *refusal,
    };
    if is_locked_out(state, username) {
        return wire::detail(429, LOCKED_OUT);
    }
    if !state.hub.users.contains_key(username) && state.hub.organizations.contains_key(username) {
        return wire::detail(401, "Cannot log into an organization account");
    }
    match state.hub.check(state.hub_now(), username, password) {
        Ok(principal @ Principal::Password { .. }) => {
            let bearer = give_bearer(state, principal);
            json_response(200, &json!({ "token": bearer }))
        }
        Err(Refusal::SecondFactor) => first_half(state, username),
        Err(Refusal::Sso) => wire::detail(401, SSO),
        Ok(_) | Err(Refusal::Wrong | Refusal::Expired) => {
            count_failure(state, username);
            wire::detail(401, WRONG)
        }
    }
}

/// The response to a right password without the second factor. It does not count as a failed login.
fn first_half(state: &mut State, username: &str) -> Response {
    let now = state.hub_now();
    let claims = json!({ "sub": username, "exp": (now + HALF_LOGIN_LIFE).unix_timestamp() });
    let token = wire::jwt(&claims, &state.random_text(43));
    state.hub.half_logins.insert(token.clone(), (username.to_owned(), now + HALF_LOGIN_LIFE));
    json_response(401, &json!({ "detail": SECOND_FACTOR, "login_2fa_token": token }))
}

/// `POST /v2/users/2fa-login`.
pub(super) fn second_factor(state: &mut State, request: &Request) -> Response {
    let body = match wire::body(request) {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let (token, code) = match (wire::text(&body, "login_2fa_token"), wire::text(&body, "code")) {
        (Ok(token), Ok(code)) => (token, code),
        (Err(refusal), _) | (_, Err(refusal)) => return *refusal,
    };
    let now = state.hub_now();
    let Some((username, _)) = state.hub.half_logins.get(token).filter(|(_, end)| *end > now).cloned() else {
        return wire::detail(401, WRONG);
    };
    if is_locked_out(state, &username) {
        return wire::detail(429, LOCKED_OUT);
    }
    let Some(user) = state.hub.users.get_mut(&username) else { return wire::detail(401, WRONG) };
    let step = matching_step(user.totp.as_deref(), code, now).filter(|step| Some(*step) > user.last_step);
    if step.is_none() {
        count_failure(state, &username);
        return wire::detail(401, WRONG);
    }
    user.last_step = step;
    state.hub.half_logins.remove(token);
    let bearer = give_bearer(state, Principal::Password { username });
    json_response(200, &json!({ "token": bearer }))
}

/// The 30-second step of this code: the present one or the one before (RFC 6238: SHA-1, 6 digits).
fn matching_step(seed: Option<&str>, code: &str, now: OffsetDateTime) -> Option<u64> {
    let seed = seed?;
    let present = u64::try_from(now.unix_timestamp() / STEP_SECONDS).ok()?;
    [present, present.checked_sub(1)?].into_iter().find(|step| code_at(seed, *step).as_deref() == Some(code))
}

/// The code of a base32 seed in a 30-second step.
pub(super) fn code_at(seed: &str, step: u64) -> Option<String> {
    let secret = Secret::Encoded(seed.trim_end_matches('=').to_uppercase()).to_bytes().ok()?;
    Some(TOTP::new_unchecked(Algorithm::SHA1, 6, 0, 30, secret).generate(step * 30))
}

/// Records a failed login of a name, known or not.
pub(super) fn count_failure(state: &mut State, identifier: &str) {
    let now = state.hub_now();
    let failures = state.hub.failures.entry(identifier.to_owned()).or_default();
    failures.retain(|at| now - *at < Duration::hours(1));
    failures.push(now);
}

/// The number of failed logins in the last hour.
pub(super) fn recent_failures(state: &State, identifier: &str) -> usize {
    let now = state.hub_now();
    state
        .hub
        .failures
        .get(identifier)
        .map_or(0, |failures| failures.iter().filter(|at| now - **at < Duration::hours(1)).count())
}

pub(super) fn is_locked_out(state: &State, identifier: &str) -> bool {
    let is_locked = state.hub.locks.get(identifier).is_some_and(|until| state.hub_now() < *until);
    is_locked || recent_failures(state, identifier) > FAILURES_BORNE
}

/// Records a use of the token.
pub(super) fn touch(state: &mut State, principal: &Principal) {
    let now = state.hub_now();
    if let Principal::Pat { uuid, .. } = principal
        && let Some(pat) = state.hub.pats.get_mut(uuid)
    {
        pat.last_used = Some(now);
    }
}

fn give_bearer(state: &mut State, principal: Principal) -> String {
    touch(state, &principal);
    let now = state.hub_now();
    let expires_at = now + BEARER_LIFE;
    let jti = state.uuid();
    let hub = &state.hub;
    let mut claims = json!({ "iat": now.unix_timestamp(), "exp": expires_at.unix_timestamp(), "jti": jti });
    claims["https://hub.docker.com"] = match &principal {
        Principal::Password { username } | Principal::Pat { username, .. } => {
            let (uuid, email) = hub.users.get(username).map_or(("", ""), |user| (&user.uuid, &user.email));
            json!({ "uuid": uuid, "username": username, "email": email })
        }
        Principal::Oat { organization, uuid, .. } => json!({ "uuid": uuid, "username": organization, "email": "" }),
    };
    claims["sub"] = claims["https://hub.docker.com"]["uuid"].clone();
    if let Principal::Pat { scopes, .. } = &principal
        && hub.scope_claim
    {
        claims["scope"] = scopes.join(" ").into();
    }
    let token = wire::jwt(&claims, &state.random_text(43));
    if !state.hub.remember_tokens {
        state.hub.bearers.retain(|_, bearer| bearer.expires_at > now);
    }
    state.hub.bearers.insert(token.clone(), Bearer { principal, expires_at });
    token
}

/// The caller of a request. `None` without a bearer that is valid now. `JWT <token>` is the old form of the header.
pub(super) fn bearer(state: &State, request: &Request) -> Option<Principal> {
    let header = request.headers().get("authorization")?.to_str().ok()?;
    let token = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("JWT "))?;
    let bearer = state.hub.bearers.get(token).filter(|bearer| bearer.expires_at > state.hub_now())?;
    Some(bearer.principal.clone())
}
