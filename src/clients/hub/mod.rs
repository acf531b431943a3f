//! The clients of Docker Hub: logins, repositories, personal access tokens, members, and the grants of the registry.
//!
//! These clients return the services' responses as types. The core (`hubkeeper_core::proof`, `hubkeeper_core::plan`)
//! decides what follows from them.

pub mod login;
pub mod members;
pub mod password;
pub mod registry;
pub mod repositories;
pub mod tokens;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hubkeeper_core::failure::docker_hub;
use hubkeeper_core::hub::HubError;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::http::{HttpClient, Request, Response, SendError, join, speaks_of_failed_logins};

/// Maximum lifetime that the function assumes for a bearer token, whatever its claims say.
const LONGEST: Duration = Duration::from_hours(24);

/// Reads from the three hosts of Docker Hub.
#[derive(Clone)]
pub struct Hub {
    /// The HTTP client.
    pub http_client: HttpClient,
    /// The base URL of the API, `https://hub.docker.com` in production.
    pub api: String,
    /// The base URL of the registry's token service, `https://auth.docker.io` in production.
    pub auth: String,
    /// The base URL of the registry, `https://registry-1.docker.io` in production.
    pub registry: String,
}

/// Changes tokens and members at Docker Hub.
#[derive(Clone)]
pub struct HubWriter(Hub);

impl HubWriter {
    /// Creates a writer that uses the client of `hub`.
    pub fn new(hub: Hub) -> Self {
        Self(hub)
    }
}

/// An identity and its token, as Docker Hub and the registry accept them. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct Credential {
    /// The user name, or the organization of an organization access token.
    pub identifier: String,
    /// The PAT or OAT.
    pub token: SecretString,
}

/// A bearer token of the Docker Hub API, and its claims. No `Debug`: it holds the bearer token.
#[derive(Clone)]
pub struct Session {
    bearer: SecretString,
    /// The claim `scope`, split at white space. `None` if the claim is absent or unreadable.
    pub scope: Option<Vec<String>>,
    /// The lifetime by the claims `iat` and `exp`. Both come from Docker's clock, so the difference does not depend on
    /// ours.
    pub lifetime: Option<Duration>,
    /// The names of the claims, for `doctor`; only plain words, since a claim may be named by an id.
    pub claims: Vec<String>,
}

impl From<SendError> for HubError {
    fn from(error: SendError) -> Self {
        HubError::Unavailable(error.to_string())
    }
}

impl Session {
    fn new(bearer: String) -> Self {
        let claims = claims(&bearer);
        let scope = claims.as_ref().and_then(|claims| claims.get("scope")).and_then(|scope| match scope {
            Value::String(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
            Value::Array(values) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
            _ => None,
        });
        let second = |name: &str| claims.as_ref().and_then(|claims| claims.get(name)).and_then(Value::as_u64);
        let lifetime = second("exp").zip(second("iat")).and_then(|(end, start)| end.checked_sub(start));
        let lifetime = lifetime.map(|seconds| Duration::from_secs(seconds).min(LONGEST));
        let names = claims.as_ref().and_then(Value::as_object).into_iter().flat_map(|claims| claims.keys());
        let is_plain =
            |name: &&String| name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let claims = names.filter(is_plain).cloned().collect();
        Self { bearer: bearer.into(), scope: scope.filter(|scope: &Vec<String>| !scope.is_empty()), lifetime, claims }
    }
}

impl Hub {
    fn get(&self, session: &Session, path: &str) -> Request {
        request("GET", &join(&self.api, path), Some(bearer(&session.bearer)), None)
    }

    fn send_json(&self, session: Option<&Session>, method: &str, path: &str, body: &Value) -> Request {
        let authorization = session.map(|session| bearer(&session.bearer));
        request(method, &join(&self.api, path), authorization, Some(body))
    }
}

/// Builds a request. An invalid URI becomes `/`, which the transport rejects.
fn request(method: &str, url: &str, authorization: Option<HeaderValue>, body: Option<&Value>) -> Request {
    let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let mut request = http::Request::new(bytes);
    *request.method_mut() = method.parse().unwrap_or_default();
    *request.uri_mut() = url.parse().unwrap_or_default();
    if let Some(value) = authorization {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    if body.is_some() {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    request.headers_mut().insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
    request
}

/// Builds the header `Bearer …`, marked as sensitive. A token that no header can carry becomes an empty one, which the
/// service rejects.
fn bearer(token: &SecretString) -> HeaderValue {
    sensitive(&format!("Bearer {}", token.expose_secret()))
}

fn basic(credential: &Credential) -> HeaderValue {
    let pair = format!("{}:{}", credential.identifier, credential.token.expose_secret());
    sensitive(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn sensitive(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

fn body(response: &Response) -> Option<Value> {
    serde_json::from_slice(response.body()).ok()
}

/// Returns the error for a status that means "not now" or that is undocumented.
fn unusable(what: &str, response: &Response) -> HubError {
    docker_hub::unusable(what, response.status().as_u16(), speaks_of_failed_logins(response))
}

/// Reads the claims of a JWT without verification: evidence, not proof. Returns `None` if the text is not a JWT.
pub fn claims(jwt: &str) -> Option<Value> {
    let mut parts = jwt.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_claim_is_read_in_every_form_and_anything_else_is_no_claim() {
        let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let scope = |text: String| Session::new(text).scope;
        assert_eq!(scope(jwt(r#"{"scope":"repo:read sandbox:use"}"#)).unwrap(), ["repo:read", "sandbox:use"]);
        assert_eq!(scope(jwt(r#"{"scope":["repo:read"]}"#)).unwrap(), ["repo:read"]);
        for other in
            [jwt("{}"), jwt(r#"{"scope":7}"#), jwt(r#"{"scope":""}"#), jwt("[]"), "opaque".into(), "a.%.c".into()]
        {
            assert_eq!(scope(other), None);
        }
    }

    #[test]
    fn a_lifetime_is_the_difference_of_its_claims_and_no_longer_than_a_day() {
        for (claims, expected) in [
            (r#"{"iat":1000,"exp":1600}"#, Some(Duration::from_mins(10))),
            (r#"{"iat":0,"exp":18446744073709551615}"#, Some(LONGEST)),
            (r#"{"iat":1600,"exp":1000}"#, None),
            (r#"{"exp":1600}"#, None),
        ] {
            let session = Session::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)));
            assert_eq!(session.lifetime, expected, "{claims}");
        }
    }
}
