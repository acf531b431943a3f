//! The registry's token service, which is the authority on `pull`, and the manifest `HEAD`.
//!
//! Two ways of saying no (observed): where the account lacks the right, 200 with fewer actions; where the token's scope
//! is too low, 401 "insufficient scopes" for the whole request.

use http::header::{ACCEPT, HeaderValue, WWW_AUTHENTICATE};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::repositories::Repository;
use super::{Credential, Hub, HubError, basic, bearer, claims, request, unreadable, unusable};
use crate::http::{Policy, Response, join};

/// Bytes of a request line at most: services cut URLs off somewhere above 4 KB.
pub const REQUEST_LINE: usize = 3_900;

/// The manifest types that a repository may hold: without the exact type an existing manifest answers 404.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

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

/// What a manifest `HEAD` came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Head {
    /// The manifest can be read.
    Readable,
    /// 401, 403 or 404: it cannot. A registry that takes the token for none has not said that.
    Unreadable,
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
        let response = self.outlet.send(request("GET", &url, Some(basic(credential)), None), Policy::SAFE).await?;
        match response.status().as_u16() {
            200 => granted(response.body()).map(Grant::Granted).ok_or_else(|| unreadable(what)),
            401 => {
                let text = String::from_utf8_lossy(response.body()).to_ascii_lowercase();
                Ok(if text.contains("insufficient scope") {
                    Grant::InsufficientScopes
                } else if text.contains("too many") {
                    Grant::LockedOut
                } else {
                    Grant::Rejected
                })
            }
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
        let response = self.outlet.send(head, Policy::SAFE).await?;
        match response.status().as_u16() {
            200 => Ok(Head::Readable),
            401 if takes_token_for_none(&response) => Err(HubError::Unavailable(
                "manifest at the registry: the token that was just granted is not accepted (status 401, invalid_token)"
                    .into(),
            )),
            401 | 403 | 404 => Ok(Head::Unreadable),
            _ => Err(unusable("manifest at the registry", &response)),
        }
    }
}

/// Whether a 401 is about the registry token as such, which has expired for example, and so not about the repository
/// (RFC 6750, section 3.1).
fn takes_token_for_none(response: &Response) -> bool {
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
}
