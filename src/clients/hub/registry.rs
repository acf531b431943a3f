//! The registry's token service, which is the authority on `pull`, and the manifest `HEAD`.
//!
//! Two ways of saying no (observed): where the account lacks the right, 200 with fewer actions; where the token's scope
//! is too low, 401 "insufficient scopes" for the whole request.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hubkeeper_core::failure::docker_hub::unreadable;
use hubkeeper_core::hub::{Head, HubError, Repository};
use hubkeeper_core::redact;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::clients::hub::{Credential, Hub, basic, bearer, claims, request, unusable};
use crate::http::{Policy, Response, join};

/// Bytes of a request line at most: services cut URLs off somewhere above 4 KB.
pub const REQUEST_LINE: usize = 3_900;

/// The manifest types that a repository may hold: without the exact type an existing manifest answers 404 or 406.
/// Docker's registry still serves schema 1, which old images have.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.v1+json, application/vnd.docker.distribution.manifest.v1+prettyjws";

/// The types of a manifest that lists manifests, one for each platform.
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// What the token service writes in a 401 about the credential itself (observed; the SSO text begins like the second
/// factor's).
const REJECTIONS: [&str; 3] =
    ["incorrect username or password", "personal access token is expired", "please use personal access token"];

/// Levels of a JSON body that are searched for messages.
const DEPTH: usize = 4;

/// What one request to the token service came to.
pub enum Grant {
    /// 200: these repositories (without the organization) and actions, and the token itself.
    Granted(Granted),
    /// 401: the token's scope is too low for something that was asked.
    InsufficientScopes,
    /// 401: the credential is wrong, expired or deactivated.
    Rejected,
    /// Too many failed logins: nothing is known, and asking on makes it worse.
    LockedOut,
}

/// A granting answer. No `Debug`: it holds the registry token.
pub struct Granted {
    token: SecretString,
    access: Vec<(String, Vec<String>)>,
}

impl Granted {
    /// Whether the answer grants `action` on `organization/repository`.
    pub fn grants(&self, organization: &str, repository: &str, action: &str) -> bool {
        self.access.iter().any(|(name, actions)| {
            name.strip_prefix(organization).and_then(|rest| rest.strip_prefix('/')) == Some(repository)
                && actions.iter().any(|granted| granted == action || granted == "*")
        })
    }
}

/// The scope of a repository: plugins have a type of their own.
pub fn scope(organization: &str, repository: &Repository, actions: &str) -> String {
    let kind = if repository.plugin { "repository(plugin)" } else { "repository" };
    format!("{kind}:{organization}/{}:{actions}", repository.name)
}

/// Splits the scopes so that every request line stays under [`REQUEST_LINE`].
pub fn batches<'a>(organization: &str, repositories: &[&'a Repository]) -> Vec<Vec<&'a Repository>> {
    let mut batches: Vec<Vec<&Repository>> = Vec::new();
    let mut room = 0;
    for repository in repositories {
        let cost = "&scope=".len() + scope(organization, repository, "pull").len();
        match batches.last_mut() {
            Some(batch) if cost <= room => {
                batch.push(repository);
                room -= cost;
            }
            _ => {
                batches.push(vec![repository]);
                room = (REQUEST_LINE - "GET /token?service=registry.docker.io HTTP/1.1".len()).saturating_sub(cost);
            }
        }
    }
    batches
}

impl Hub {
    /// Asks the token service for `actions` on `repositories`. A 401 is never repeated.
    ///
    /// # Errors
    /// [`HubError`] where nothing is known.
    pub async fn registry_token(
        &self,
        credential: &Credential,
        organization: &str,
        repositories: &[&Repository],
        actions: &str,
    ) -> Result<Grant, HubError> {
        let what = "registry token";
        let scopes: Vec<String> = repositories
            .iter()
            .map(|repository| format!("&scope={}", scope(organization, repository, actions)))
            .collect();
        let url = join(&self.auth, &format!("/token?service=registry.docker.io{}", scopes.concat()));
        let response = self.http_client.send(request("GET", &url, Some(basic(credential)), None), Policy::SAFE).await?;
        match response.status().as_u16() {
            200 => granted(response.body()).map(Grant::Granted).ok_or_else(|| unreadable(what)),
            401 => refused(&response, credential),
            _ => Err(unusable(what, &response)),
        }
    }

    /// Whether the manifest behind a tag can be read: a `HEAD`, since a `GET` would count as a pull.
    ///
    /// # Errors
    /// [`HubError`] where nothing is known.
    pub async fn manifest(
        &self,
        granted: &Granted,
        organization: &str,
        repository: &str,
        tag: &str,
    ) -> Result<Head, HubError> {
        let url = join(&self.registry, &format!("/v2/{organization}/{repository}/manifests/{tag}"));
        let mut head = request("HEAD", &url, Some(bearer(&granted.token)), None);
        head.headers_mut().insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let response = self.http_client.send(head, Policy::SAFE).await?;
        match response.status().as_u16() {
            200 => Ok(Head::Readable { index: is_index(&response) }),
            404 | 406 => Ok(Head::Absent),
            401 if rejects_registry_token(&response) => Err(HubError::Unavailable(
                "manifest at the registry: the token that was just granted is not accepted (status 401, invalid_token)"
                    .into(),
            )),
            401 => Ok(Head::Denied),
            // Docker's registry refuses rights with 401; a 403 comes from a proxy, a firewall or a content delivery network
            403 => Err(HubError::Unexpected(
                "manifest at the registry: status 403, which a proxy or a firewall on the way sends: let requests to the registry pass"
                    .into(),
            )),
            _ => Err(unusable("manifest at the registry", &response)),
        }
    }
}

/// Whether a manifest is an index, by its media type.
fn is_index(response: &Response) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    INDEXES.iter().any(|index| media_type.eq_ignore_ascii_case(index))
}

/// Whether a 401 is about the registry token as such, which has expired for example, and so not about the repository
/// (RFC 6750, section 3.1).
fn rejects_registry_token(response: &Response) -> bool {
    let challenges = response.headers().get_all(WWW_AUTHENTICATE).into_iter();
    challenges.filter_map(|challenge| challenge.to_str().ok()).any(|challenge| challenge.contains("invalid_token"))
}

/// What a 401 of the token service means: its text says whether scope, credential or a lockout is the reason. The token has
/// just logged in at Docker Hub, so a 401 with any other text (a proxy's, an outage's, a new reason) is no finding about it.
fn refused(response: &Response, credential: &Credential) -> Result<Grant, HubError> {
    let text = said(response.body());
    let lower = text.to_ascii_lowercase();
    if lower.contains("insufficient scope") {
        Ok(Grant::InsufficientScopes)
    } else if lower.contains("too many failed login attempts") {
        Ok(Grant::LockedOut)
    } else if REJECTIONS.iter().any(|rejection| lower.contains(rejection)) {
        Ok(Grant::Rejected)
    } else {
        let words = redact::words(&text, &[&credential.token]);
        let words = if words.is_empty() { "no text".to_owned() } else { format!("\"{words}\"") };
        Err(HubError::Unexpected(format!(
            "registry token: status 401 for a token that has just logged in, without a known reason ({words})"
        )))
    }
}

/// What an error body says: the messages of a JSON body (`details`, `detail`, `message`, `errors[]`, as Docker's services
/// spell them), or plain text. A page of HTML says nothing: no service of Docker answers a token request with one.
fn said(body: &[u8]) -> String {
    fn collect(value: &Value, depth: usize, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(values) if depth > 0 => values.iter().for_each(|value| collect(value, depth - 1, found)),
            Value::Object(fields) if depth > 0 => {
                for name in ["details", "detail", "message", "error", "errors"] {
                    fields.get(name).into_iter().for_each(|value| collect(value, depth - 1, found));
                }
            }
            _ => {}
        }
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let mut found = Vec::new();
        collect(&value, DEPTH, &mut found);
        return found.join("; ");
    }
    let text = String::from_utf8_lossy(body).trim().to_owned();
    if text.starts_with('<') { String::new() } else { text }
}

fn granted(body: &[u8]) -> Option<Granted> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        token: Option<String>,
        #[serde(default)]
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty())?;
    let claims = claims(&token)?;
    let access = match claims.get("access") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(entries)) => entries.iter().filter_map(entry).collect(),
        Some(_) => return None,
    };
    Some(Granted { token: SecretString::from(token), access })
}

fn entry(entry: &Value) -> Option<(String, Vec<String>)> {
    let kind = entry.get("type")?.as_str()?;
    if kind != "repository" && kind != "repository(plugin)" {
        return None;
    }
    let actions =
        entry.get("actions")?.as_array()?.iter().filter_map(|action| action.as_str().map(str::to_owned)).collect();
    Some((entry.get("name")?.as_str()?.to_owned(), actions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str) -> Repository {
        Repository { name: name.into(), private: true, plugin: false }
    }

    #[test]
    fn every_repository_is_asked_once_and_no_request_line_is_too_long() {
        let repositories: Vec<_> =
            (0..500).map(|n| repository(&format!("service-{n:04}-{}", "x".repeat(n % 90)))).collect();
        let repositories: Vec<_> = repositories.iter().collect();
        let batches = batches("acme", &repositories);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 500);
        for batch in &batches {
            let scopes: usize = batch.iter().map(|repository| 7 + scope("acme", repository, "pull").len()).sum();
            assert!("GET /token?service=registry.docker.io HTTP/1.1".len() + scopes < 4_000);
        }
    }

    #[test]
    fn a_grant_is_for_the_named_repository_alone() {
        let granted = Granted {
            token: SecretString::from("t"),
            access: vec![("acme/web".into(), vec!["pull".into()]), ("acme-x/db".into(), vec!["pull".into()])],
        };
        assert!(granted.grants("acme", "web", "pull"));
        assert!(!granted.grants("acme", "web", "push"));
        assert!(!granted.grants("acme", "db", "pull"));
    }

    fn response(status: u16, body: impl Into<bytes::Bytes>) -> Response {
        http::Response::builder().status(status).body(body.into()).unwrap()
    }

    #[test]
    fn a_401_of_the_token_service_is_read_in_every_form_and_an_unknown_text_is_no_finding() {
        let credential = Credential { identifier: "scan".into(), token: SecretString::from("dckr_pat_x") };
        let forms: [fn(&str) -> String; 8] = [
            |text| serde_json::json!({ "details": text }).to_string(),
            |text| serde_json::json!({ "message": text, "errinfo": {} }).to_string(),
            |text| serde_json::json!({ "detail": text }).to_string(),
            |text| serde_json::json!({ "detail": { "message": text } }).to_string(),
            |text| serde_json::json!({ "errors": [{ "code": "UNAUTHORIZED", "message": text }] }).to_string(),
            |text| {
                serde_json::json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "x", "detail": text }] })
                    .to_string()
            },
            |text| serde_json::json!(text).to_string(),
            str::to_owned,
        ];
        let kind = |body: String| match refused(&response(401, body), &credential) {
            Ok(Grant::InsufficientScopes) => "scopes",
            Ok(Grant::LockedOut) => "locked",
            Ok(Grant::Rejected) => "rejected",
            Ok(Grant::Granted(_)) => "granted",
            Err(_) => "nothing known",
        };
        for (text, expected) in [
            ("access token has insufficient scopes", "scopes"),
            ("insufficient scope", "scopes"),
            ("Incorrect username or password", "rejected"),
            ("personal access token is expired", "rejected"),
            ("please use personal access token to login", "rejected"),
            ("please use personal access token to login when SSO is enforced", "rejected"),
            ("too many failed login attempts for username or IP address", "locked"),
            ("too many requests", "nothing known"),
            ("unauthorized", "nothing known"),
            ("", "nothing known"),
        ] {
            for form in forms {
                assert_eq!(kind(form(text)), expected, "{}", form(text));
            }
        }
        assert_eq!(kind("<html>incorrect username or password</html>".into()), "nothing known", "a proxy's page");
        assert_eq!(kind(r#"{"request":"insufficient scope"}"#.into()), "nothing known", "what is quoted is no message");
        let quoted = refused(&response(401, "no access for dckr_pat_x"), &credential).err().unwrap();
        assert!(quoted.message().ends_with("without a known reason (\"no access for …\")"), "{}", quoted.message());
    }

    #[test]
    fn an_index_is_told_by_its_media_type() {
        let of = |media_type: &str| {
            let mut response = response(200, "");
            response.headers_mut().insert(CONTENT_TYPE, media_type.parse().unwrap());
            is_index(&response)
        };
        assert!(of("application/vnd.oci.image.index.v1+json"));
        assert!(of("Application/vnd.docker.distribution.manifest.list.v2+json; charset=utf-8"));
        assert!(!of("application/vnd.oci.image.manifest.v1+json") && !is_index(&response(200, "")));
    }
}
