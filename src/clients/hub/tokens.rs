//! Personal access tokens, managed by a password session (`/v2/access-tokens`).
//!
//! Labels are not unique on the service and creation is not idempotent: after a lost answer the label tells what is there.

use hubkeeper_core::failure::docker_hub::{endless, session_ended, unreadable};
use hubkeeper_core::hub::{HubError, Pat};
use hubkeeper_core::ids::is_uuid;
use hubkeeper_core::time::{Timestamp, parse_rfc3339};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clients::hub::{Hub, HubWriter, Session, unusable};
use crate::http::Policy;

/// Tokens a page: the most that is known to be taken.
const PAGE_SIZE: usize = 100;

/// Pages at most.
const PAGES: usize = 200;

/// What a change of a PAT came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    /// It is as asked.
    Done,
    /// There is no such PAT any more.
    Gone,
    /// The service refused, with this status: an expired PAT can only be deleted.
    Refused(u16),
}

/// What a create came to.
pub enum Mint {
    /// The token and its uuid.
    Minted {
        /// Uuid.
        id: String,
        /// Value: it is shown this once.
        token: SecretString,
    },
    /// The service may have made it, or not: its value is lost either way.
    Unknown(String),
    /// The service refused, with this status.
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
    /// Every PAT of the session's user.
    ///
    /// # Errors
    /// [`HubError`] where the list cannot be read whole.
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
                if !is_uuid(&entry.uuid) {
                    return Err(unreadable(what));
                }
                let time = |text: Option<String>| text.as_deref().and_then(parse_rfc3339);
                let pat = Pat {
                    label: entry.token_label.unwrap_or_default(),
                    active: entry.is_active.unwrap_or(true),
                    created_at: time(entry.created_at),
                    last_used: time(entry.last_used),
                    expires_at: time(entry.expires_at),
                    id: entry.uuid,
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
    /// Makes a PAT with scope `repo:read`. Never repeated where the service may have acted.
    ///
    /// # Errors
    /// [`HubError`] where the service certainly did not act.
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
                match (member("uuid"), member("token")) {
                    (Some(id), Some(token)) if is_uuid(id) && !token.is_empty() => {
                        Ok(Mint::Minted { id: id.to_owned(), token: SecretString::from(token) })
                    }
                    _ => Ok(Mint::Unknown("the answer to the creation of a token cannot be read".into())),
                }
            }
            401 => Err(session_ended("creation of a token")),
            429 => Err(unusable("creation of a token", &response)),
            400..=499 => Ok(Mint::Refused(status)),
            _ => Ok(Mint::Unknown(format!("creation of a token: status {status}"))),
        }
    }

    /// Activates or deactivates a PAT, and labels it, in one request: what a killed run leaves tells what it was about.
    ///
    /// # Errors
    /// [`HubError`] where it may be either way.
    pub async fn set_active(
        &self,
        session: &Session,
        id: &str,
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

    /// Deletes a PAT for good; one that is gone already is success.
    ///
    /// # Errors
    /// [`HubError`] where it may still be there.
    pub async fn revoke(&self, session: &Session, id: &str) -> Result<(), HubError> {
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
