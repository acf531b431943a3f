//! Queries the registry's token service, the authority on `pull`, lists tags, and sends the manifest `HEAD`.
//!
//! The token service denies a right in two ways (observed): if the account lacks the right, a 200 with fewer actions;
//! if the token's scope is too low, a 401 "insufficient scopes" for the whole request.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hubkeeper_core::failure::docker_hub::registry::{TokenRefusal, blocked_on_the_way, grant_rejected, token_refused};
use hubkeeper_core::failure::docker_hub::unreadable;
use hubkeeper_core::hub::{Head, HubError, Repository};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::clients::hub::repositories::{TAGS, is_tag};
use crate::clients::hub::{Credential, Hub, basic, bearer, claims, request, unusable};
use crate::http::{Policy, Response, join};

/// Maximum length of a request line in bytes: services reject URLs somewhere above 4 KB.
pub const REQUEST_LINE: usize = 3_900;

/// The manifest types that a repository may hold. Without the exact type, an existing manifest returns 404 or 406.
/// Docker's registry still serves schema 1 for old images.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.v1+json, application/vnd.docker.distribution.manifest.v1+prettyjws";

/// The media types of an index: a manifest that lists one manifest for each platform.
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// The result of one request to the token service.
pub enum Grant {
    /// 200: the token service grants actions on repositories.
    Granted(Granted),
    /// 401: the token service grants nothing.
    Refused(TokenRefusal),
}

/// A response that grants actions. No `Debug`: it holds the registry token.
pub struct Granted {
    token: SecretString,
    access: Vec<(String, Vec<String>)>,
}

impl Granted {
    /// Returns whether the response grants `action` on `organization/repository`.
    pub fn grants(&self, organization: &str, repository: &str, action: &str) -> bool {
        self.access.iter().any(|(name, actions)| {
            name.strip_prefix(organization).and_then(|rest| rest.strip_prefix('/')) == Some(repository)
                && actions.iter().any(|granted| granted == action || granted == "*")
        })
    }
}

/// Returns the scope of a repository. Plugins have their own type.
pub fn scope(organization: &str, repository: &Repository, actions: &str) -> String {
    let kind = if repository.plugin { "repository(plugin)" } else { "repository" };
    format!("{kind}:{organization}/{}:{actions}", repository.name)
}

/// Splits the scopes into batches so that every request line stays under [`REQUEST_LINE`].
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
    /// Requests `actions` on `repositories` from the token service. Never retries a 401.
    ///
    /// # Errors
    /// Returns [`HubError`] if the result is unknown.
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
            401 => token_refused(response.body(), &credential.token).map(Grant::Refused),
            _ => Err(unusable(what, &response)),
        }
    }

    /// Returns the first tags of a repository, at most three, by the registry's own list. Its order should be that of
    /// names (OCI distribution specification); a registry may ignore `n` and list all (observed).
    ///
    /// Returns none if the list cannot be read, for whatever reason. The caller then lists the tags at Docker Hub.
    pub async fn registry_tags(&self, granted: &Granted, organization: &str, repository: &str) -> Vec<String> {
        #[derive(Deserialize)]
        struct Listed {
            tags: Option<Vec<String>>,
        }
        let url = join(&self.registry, &format!("/v2/{organization}/{repository}/tags/list?n={TAGS}"));
        let list = request("GET", &url, Some(bearer(&granted.token)), None);
        let Ok(response) = self.http_client.send(list, Policy::SAFE).await else { return Vec::new() };
        let listed: Option<Listed> = serde_json::from_slice(response.body()).ok().filter(|_| response.status() == 200);
        let tags = listed.and_then(|listed| listed.tags).unwrap_or_default();
        tags.into_iter().filter(|tag| is_tag(tag)).take(TAGS).collect()
    }

    /// Checks whether the manifest of a tag can be read, with a `HEAD`, because a `GET` would count as a pull.
    ///
    /// # Errors
    /// Returns [`HubError`] if the result is unknown.
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
            401 if rejects_registry_token(&response) => Err(grant_rejected()),
            401 => Ok(Head::Denied),
            403 => Err(blocked_on_the_way()),
            _ => Err(unusable("manifest at the registry", &response)),
        }
    }
}

/// Returns whether a manifest is an index, by its media type.
fn is_index(response: &Response) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    INDEXES.iter().any(|index| media_type.eq_ignore_ascii_case(index))
}

/// Returns whether a 401 rejects the registry token itself, for example because it expired. Such a response says
/// nothing about the repository (RFC 6750, section 3.1).
fn rejects_registry_token(response: &Response) -> bool {
    let challenges = response.headers().get_all(WWW_AUTHENTICATE).into_iter();
    challenges.filter_map(|challenge| challenge.to_str().ok()).any(|challenge| challenge.contains("invalid_token"))
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
