//! Manages personal access tokens with a password session (`/v2/access-tokens`).
//!
//! Labels are not unique at the service and a create is not idempotent: after a lost response, the label finds the
//! token.

use hubkeeper_core::failure::docker_hub::{endless, session_ended, unreadable};
use hubkeeper_core::hub::{HubError, Pat};
use hubkeeper_core::ids::TokenId;
use hubkeeper_core::time::{Timestamp, parse_rfc3339};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clients::hub::{Hub, HubWriter, Session, unusable};
use crate::http::Policy;

/// Tokens per page: the largest size that is known to be accepted.
const PAGE_SIZE: usize = 100;

/// Maximum number of pages.
const PAGES: usize = 200;

/// The result of a change of a PAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    /// The service carried out the change.
    Done,
    /// The PAT does not exist any more.
    Gone,
    /// The service rejected the change with this status. An expired PAT can only be deleted.
    Refused(u16),
}

/// The result of a create.
pub enum Mint {
    /// The service created the token.
    Minted {
        /// The token's uuid.
        id: TokenId,
        /// The token's value, which the service shows only once.
        token: SecretString,
    },
    /// The service may have created the token. Its value is lost either way.
    Unknown(String),
    /// The service rejected the create with this status.
    Refused(u16),
}

#[derive(Deserialize)]
struct Entry {
    uuid: String,
    #[serde(default)]
    token_label: Option<String>,
    #[serde(default)]
    is_active: Option<bool>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    last_used: Option<String>,
    #[serde(default)]
    expires_at: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    count: usize,
    results: Vec<Entry>,
}

impl Hub {
    /// Lists every PAT of the session's user.
    ///
    /// # Errors
    /// Returns [`HubError`] if the list cannot be read completely.
    pub async fn tokens(&self, session: &Session) -> Result<Vec<Pat>, HubError> {
        let what = "list of tokens at Docker Hub";
        let mut list: Vec<Pat> = Vec::new();
        for page in 1..=PAGES {
            let path = format!("/v2/access-tokens?page={page}&page_size={PAGE_SIZE}");
            let response = self.http_client.send(self.get(session, &path), Policy::SAFE).await?;
            match response.status().as_u16() {
                200 => {}
                404 if page > 1 => return Ok(list),
                _ => return Err(unusable(what, &response)),
            }
            let page: Page = serde_json::from_slice(response.body()).map_err(|_| unreadable(what))?;
            let end = page.results.is_empty();
            for entry in page.results {
                let id = TokenId::parse(&entry.uuid).ok_or_else(|| unreadable(what))?;
                let time = |text: Option<String>| text.as_deref().and_then(parse_rfc3339);
                let pat = Pat {
                    label: entry.token_label.unwrap_or_default(),
                    active: entry.is_active.unwrap_or(true),
                    created_at: time(entry.created_at),
                    last_used: time(entry.last_used),
                    expires_at: time(entry.expires_at),
                    id,
                };
                if !list.iter().any(|known| known.id == pat.id) {
                    list.push(pat);
                }
            }
            if end || list.len() >= page.count {
                return Ok(list);
            }
        }
        Err(endless("tokens"))
    }
}

impl HubWriter {
    /// Creates a PAT with scope `repo:read`. Never retries if the service may have created it.
    ///
    /// # Errors
    /// Returns [`HubError`] if the service certainly did not create the PAT.
    pub async fn mint(&self, session: &Session, label: &str, expires_at: Timestamp) -> Result<Mint, HubError> {
        let payload = json!({"token_label": label, "scopes": ["repo:read"], "expires_at": hubkeeper_core::time::rfc3339(expires_at)});
        let create = self.0.send_json(Some(session), "POST", "/v2/access-tokens", &payload);
        let response = match self.0.http_client.send(create, Policy::CREATE).await {
            Ok(response) => response,
            Err(error) if error.acted => return Ok(Mint::Unknown(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let status = response.status().as_u16();
        match status {
            200 | 201 => {
                let body = crate::clients::hub::body(&response);
                let member = |name: &str| body.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str);
                match (member("uuid").and_then(TokenId::parse), member("token")) {
                    (Some(id), Some(token)) if !token.is_empty() => {
                        Ok(Mint::Minted { id, token: SecretString::from(token) })
                    }
                    _ => Ok(Mint::Unknown("the response to the creation of a token cannot be read".into())),
                }
            }
            401 => Err(session_ended("creation of a token")),
            429 => Err(unusable("creation of a token", &response)),
            400..=499 => Ok(Mint::Refused(status)),
            _ => Ok(Mint::Unknown(format!("creation of a token: status {status}"))),
        }
    }

    /// Activates or deactivates a PAT and sets its label, in one request. The label then shows what an interrupted run
    /// was doing.
    ///
    /// # Errors
    /// Returns [`HubError`] if the result is unknown.
    pub async fn set_active(
        &self,
        session: &Session,
        id: &TokenId,
        active: bool,
        label: &str,
    ) -> Result<Changed, HubError> {
        let payload = json!({"is_active": active, "token_label": label});
        let change = self.0.send_json(Some(session), "PATCH", &format!("/v2/access-tokens/{id}"), &payload);
        let response = self.0.http_client.send(change, Policy::SAFE).await?;
        match response.status().as_u16() {
            200..=299 => Ok(Changed::Done),
            404 => Ok(Changed::Gone),
            status @ 400 => Ok(Changed::Refused(status)),
            _ => Err(unusable("change of a token", &response)),
        }
    }

    /// Deletes a PAT permanently. Succeeds if the PAT does not exist.
    ///
    /// # Errors
    /// Returns [`HubError`] if the PAT may still exist.
    pub async fn revoke(&self, session: &Session, id: &TokenId) -> Result<(), HubError> {
        let path = format!("/v2/access-tokens/{id}");
        let mut delete = self.0.get(session, &path);
        *delete.method_mut() = http::Method::DELETE;
        let response = self.0.http_client.send(delete, Policy::SAFE).await?;
        match response.status().as_u16() {
            200..=299 | 404 => Ok(()),
            _ => Err(unusable("revocation of a token", &response)),
        }
    }
}
