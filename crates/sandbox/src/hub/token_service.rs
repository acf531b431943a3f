//! `auth.docker.io`: tokens for the registry.

use serde_json::{Value, json};
use time::Duration;

use super::access::{Principal, Refusal};
use super::model::Kind;
use super::wire::Credentials;
use super::{login, wire};
use crate::keys;
use crate::world::{Request, Response, State, json as json_response};

/// Lifetime of a registry token in seconds (observed).
const LIFE: i64 = 300;
/// Maximum length of a request line, in bytes. The proxy in front rejects longer ones.
const LONGEST_LINE: usize = 8_000;

fn refuse(status: u16, details: &str) -> Response {
    json_response(status, &json!({ "details": details }))
}

/// One scope of a request.
struct Scope<'a> {
    kind: Kind,
    name: &'a str,
    actions: Vec<&'a str>,
}

fn scope(text: &str) -> Option<Scope<'_>> {
    let (kind, rest) = text.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let kind = match kind {
        "repository" => Kind::Image,
        "repository(plugin)" => Kind::Plugin,
        _ => return None,
    };
    let well_formed = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/._-".contains(&byte));
    well_formed.then(|| Scope { kind, name, actions: actions.split(',').filter(|action| !action.is_empty()).collect() })
}

/// `GET /token?service=registry.docker.io&scope=...&scope=...`.
pub(super) fn handle(state: &mut State, request: &Request) -> Response {
    let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    if "GET  HTTP/1.1".len() + target.len() > LONGEST_LINE {
        return http_text(414, "414 Request-URI Too Large");
    }
    if request.uri().path() != "/token" {
        return http_text(404, "404 page not found");
    }
    if request.method() != "GET" {
        return http_text(405, "405 method not allowed");
    }
    let query = wire::query(request);
    if !query.iter().any(|(key, value)| key == "service" && value == "registry.docker.io") {
        return refuse(400, "invalid service");
    }
    let principal = match authenticate(state, request) {
        Ok(principal) => principal,
        Err(refusal) => return *refusal,
    };
    let asked = query.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split_ascii_whitespace());
    let Some(scopes) = asked.map(scope).collect::<Option<Vec<Scope>>>() else { return refuse(400, "invalid scope") };
    let Ok(mut access) = grant(state, principal.as_ref(), &scopes) else {
        if state.hub.low_scope_counts_as_failure
            && let Some(Principal::Pat { username, .. }) = &principal
        {
            login::count_failure(state, username);
        }
        return refuse(401, "access token has insufficient scopes");
    };
    if state.hub.combined_scopes_lost && scopes.len() > 1 {
        access.retain(|entry| entry["name"] == scopes[0].name);
    }
    if let Some(principal) = &principal {
        login::touch(state, principal);
    }
    answer(state, principal.as_ref(), &access)
}

fn http_text(status: u16, text: &str) -> Response {
    let mut response = crate::world::empty(status);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain; charset=utf-8"));
    *response.body_mut() = bytes::Bytes::copy_from_slice(text.as_bytes());
    response
}

/// The caller. `None` without credentials.
fn authenticate(state: &mut State, request: &Request) -> Result<Option<Principal>, wire::Refused> {
    const WRONG: &str = "incorrect username or password";
    let (user, secret) = match wire::credentials(request) {
        Credentials::Anonymous => return Ok(None),
        Credentials::Unreadable => return Err(refuse(401, WRONG).into()),
        Credentials::Basic(user, secret) => (user, secret),
    };
    if login::is_locked_out(state, &user) {
        return Err(refuse(429, login::LOCKED_OUT).into());
    }
    match state.hub.check(state.hub_now(), &user, &secret) {
        Ok(principal) => Ok(Some(principal)),
        Err(Refusal::SecondFactor) => Err(refuse(401, "please use personal access token to login").into()),
        Err(Refusal::Sso) => Err(refuse(401, login::SSO).into()),
        Err(refusal) => {
            login::count_failure(state, &user);
            Err(refuse(401, if refusal == Refusal::Expired { "personal access token is expired" } else { WRONG })
                .into())
        }
    }
}

fn grant(
    state: &State,
    principal: Option<&Principal>,
    scopes: &[Scope<'_>],
) -> Result<Vec<Value>, super::access::InsufficientScope> {
    let mut access = Vec::new();
    for Scope { kind, name, actions } in scopes {
        let granted = state.hub.grants(principal, name, *kind, actions)?;
        if granted.is_empty() {
            continue;
        }
        let mut entry = json!({ "type": "repository", "name": name, "actions": granted });
        if *kind == Kind::Plugin {
            entry["class"] = "plugin".into();
        }
        if principal.is_none() {
            entry["parameters"] = json!({ "pull_limit": "100", "pull_limit_interval": "21600" });
        }
        access.push(entry);
    }
    Ok(access)
}

fn answer(state: &mut State, principal: Option<&Principal>, access: &[Value]) -> Response {
    let now = state.hub_now();
    let subject = match principal {
        None => String::new(),
        Some(Principal::Oat { uuid, .. }) => uuid.clone(),
        Some(Principal::Password { username } | Principal::Pat { username, .. }) => {
            state.hub.users.get(username).map_or_else(String::new, |user| user.uuid.clone())
        }
    };
    let token = keys::registry().sign(&json!({
        "iss": "auth.docker.io",
        "aud": "registry.docker.io",
        "sub": subject,
        "iat": now.unix_timestamp(),
        "nbf": now.unix_timestamp() - LIFE,
        "exp": (now + Duration::seconds(LIFE)).unix_timestamp(),
        "jti": format!("dckr_jti_{}", state.random_text(27)),
        "access": access,
    }));
    if state.hub.remember_tokens
        && let Some((_, signature)) = token.rsplit_once('.')
    {
        state.hub.spent.push(signature.to_owned());
    }
    let mut response = json_response(
        200,
        &json!({ "token": token, "access_token": token, "expires_in": LIFE, "issued_at": wire::time(now) }),
    );
    if state.hub.plain_text_tokens {
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain"));
    }
    response
}
