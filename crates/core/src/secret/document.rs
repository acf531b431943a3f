//! The secret's JSON: parsed at the door, kept whole (contract, section 1).
//!
//! The token leaves the raw members at once and lives in a [`SecretString`]; members that are not ours are kept as they
//! are. An error names the member and what is expected, never what stands there.

mod connector;
mod members;
mod newcomer;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::ids::{is_repository_part, is_uuid};
use crate::secret::document::members::{Members, wrong};
use crate::time::{Timestamp, parse_rfc3339, rfc3339};
use crate::warning::{Warning, WarningCode};

pub use self::connector::{ConnectorId, ConnectorSpec, Plan};
pub use self::members::without_byte_order_mark;
pub use self::newcomer::{Newcomer, Role};

/// An entry of `expectedRepositories`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// This repository.
    Name(String),
    /// At least one repository with this prefix.
    Prefix(String),
}

/// One version of the secret. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct Document {
    /// Docker Hub organization.
    pub organization: String,
    /// The dedicated user, or the organization for an organization access token.
    pub username: String,
    /// The token; absent before the first mint.
    pub access_token: Option<SecretString>,
    /// Uuid of the PAT that hubkeeper minted.
    pub token_id: Option<String>,
    /// When the token expires.
    pub expires_at: Option<Timestamp>,
    /// The manager secret.
    pub manager: Option<String>,
    /// The owner secret, and whom the owner invites: onboarding from zero.
    pub zero: Option<(String, Newcomer)>,
    /// Repositories that must be readable.
    pub expected: Vec<Expected>,
    /// Repositories that completeness leaves out.
    pub excluded: Vec<String>,
    /// The connector.
    pub connector: ConnectorSpec,
    /// The candidate's version that a rotation took its token from.
    pub candidate_version: Option<String>,
    /// All members but `accessToken`.
    raw: Map<String, Value>,
}

impl Document {
    /// Parses the secret's string.
    ///
    /// # Errors
    /// [`crate::error::Kind::Misconfigured`] names the member that is wrong and what it should be.
    pub fn parse(text: &SecretString) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(without_byte_order_mark(text.expose_secret()))
            .map_err(|error| wrong(&format!("it is not JSON (line {}, column {})", error.line(), error.column())))?;
        let Value::Object(mut raw) = value else { return Err(wrong("it is not a JSON object")) };
        let access_token = match raw.remove("accessToken") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) if token.is_empty() => {
                return Err(wrong("member `accessToken` is empty: leave it out where there is no token yet"));
            }
            Some(Value::String(token)) if token.len() <= 4096 && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Some(SecretString::from(token))
            }
            Some(Value::String(_)) => {
                return Err(wrong("member `accessToken` holds white space or characters that no token has"));
            }
            Some(_) => return Err(wrong("member `accessToken` is not a string")),
        };
        let document = Self::from_members(access_token, raw)?;
        if document.manager.is_some() && document.is_organization_token() {
            return Err(wrong(
                "member `manager` stands beside an organization access token, which no manager can mint",
            ));
        }
        if document.zero.is_some() && document.is_organization_token() {
            return Err(wrong(
                "members `owner` and `user` stand beside an organization access token, which belongs to no user that could be invited",
            ));
        }
        Ok(document)
    }

    fn from_members(access_token: Option<SecretString>, raw: Map<String, Value>) -> Result<Self, Error> {
        let members = Members { path: String::new(), map: &raw };
        let organization = members.required("organization")?;
        if !is_repository_part(&organization) {
            return Err(wrong("member `organization` is not a Docker Hub organization in lower case"));
        }
        let username = members.required("username")?;
        if username.trim() != username {
            return Err(wrong(
                "member `username` begins or ends with white space, which would count as a failed login",
            ));
        }
        if username.contains('@') {
            return Err(wrong(
                "member `username` holds an e-mail address: Docker Hub logs tokens in with the user name (Docker ID)",
            ));
        }
        if username.len() > 255 || !username.chars().all(|c| c.is_ascii_graphic() && c != ':') {
            return Err(wrong("member `username` is not a Docker Hub user name"));
        }
        let token_id = members.text("tokenId")?;
        if token_id.as_deref().is_some_and(|id| !is_uuid(id)) {
            return Err(wrong("member `tokenId` is not a uuid"));
        }
        let expires_at = members.text("expiresAt")?;
        let expires_at = expires_at
            .map(|text| parse_rfc3339(&text).ok_or_else(|| wrong("member `expiresAt` is not an RFC 3339 time")))
            .transpose()?;
        let expected = members.texts("expectedRepositories")?.into_iter().map(|entry| {
            let (name, prefix) = entry.strip_suffix('*').map_or((entry.as_str(), false), |name| (name, true));
            match (is_repository_part(name), prefix) {
                (true, true) => Ok(Expected::Prefix(name.to_owned())),
                (true, false) => Ok(Expected::Name(name.to_owned())),
                _ => Err(wrong(
                    "member `expectedRepositories` holds an entry that is no repository name in lower case (without the organization; `*` only at the end)",
                )),
            }
        });
        let expected = expected.collect::<Result<Vec<_>, _>>()?;
        let excluded = members.texts("excludedRepositories")?;
        if excluded.iter().any(|name| !is_repository_part(name)) {
            return Err(wrong(
                "member `excludedRepositories` holds an entry that is no repository name in lower case (without the organization)",
            ));
        }
        let connector = connector::read(&members)?;
        let zero = newcomer::read(&members)?;
        Ok(Self {
            organization,
            username,
            access_token,
            token_id,
            expires_at,
            manager: members.text("manager")?,
            zero,
            expected,
            excluded,
            connector,
            candidate_version: members.text("candidateVersion")?,
            raw,
        })
    }

    /// Whether the token is an organization access token: by its form, or because it logs in as the organization.
    pub fn is_organization_token(&self) -> bool {
        let form = self.access_token.as_ref().is_some_and(|token| token.expose_secret().starts_with("dckr_oat_"));
        form || self.username.eq_ignore_ascii_case(&self.organization)
    }

    /// Whether both hold the same token.
    pub fn same_token(&self, other: &Document) -> bool {
        is_same(self.access_token.as_ref(), other.access_token.as_ref())
    }

    /// Whether both are about one organization and one connector (names compare without case, as in ARM).
    pub fn same_subject(&self, other: &Document) -> bool {
        self.organization == other.organization && self.connector.id.is_same(&other.connector.id)
    }

    /// This document as the next version with a token that was minted: the old token's id and expiry go with it.
    #[must_use]
    pub fn with_minted(&self, token: SecretString, token_id: &str, expires_at: Timestamp) -> Document {
        let mut next = self.clone();
        next.access_token = Some(token);
        next.token_id = Some(token_id.to_owned());
        next.expires_at = Some(expires_at);
        next.candidate_version = None;
        next.raw.insert("tokenId".into(), Value::String(token_id.to_owned()));
        next.raw.insert("expiresAt".into(), Value::String(rfc3339(expires_at)));
        next.raw.remove("candidateVersion");
        next
    }

    /// A candidate as the next version: it names where it came from, and what it carried over from the other token of a document
    /// before it is dropped.
    #[must_use]
    pub fn taken_from<'a>(&self, candidate_version: &str, before: impl IntoIterator<Item = &'a Document>) -> Document {
        let mut next = before.into_iter().fold(self.clone(), |next, before| next.without_stale(before));
        next.candidate_version = Some(candidate_version.to_owned());
        next.raw.insert("candidateVersion".into(), Value::String(candidate_version.to_owned()));
        next
    }

    /// This document without a `tokenId` and `expiresAt` that belong to `previous`'s token: a person copies the document
    /// and changes the token alone.
    #[must_use]
    pub fn without_stale(&self, previous: &Document) -> Document {
        let mut next = self.clone();
        if self.same_token(previous) {
            return next;
        }
        if next.token_id.is_some() && next.token_id == previous.token_id {
            next.token_id = None;
            next.raw.remove("tokenId");
        }
        if next.expires_at.is_some() && next.expires_at == previous.expires_at {
            next.expires_at = None;
            next.raw.remove("expiresAt");
        }
        next
    }

    /// The secret's string.
    pub fn to_secret_string(&self) -> SecretString {
        let mut members = self.raw.clone();
        if let Some(token) = &self.access_token {
            members.insert("accessToken".into(), Value::String(token.expose_secret().to_owned()));
        }
        SecretString::from(Value::Object(members).to_string())
    }
}

/// The token in a version's value and the `tokenId` beside it, however wrong the rest of the value is: what the versions in use
/// are compared by. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct StoredToken {
    /// The token, without white space around it; `None` where the value holds none.
    pub token: Option<SecretString>,
    /// The `tokenId` beside it.
    pub token_id: Option<String>,
}

impl StoredToken {
    /// Reads a version's value; `None` where it is not a JSON object.
    pub fn parse(text: &SecretString) -> Option<Self> {
        let mut value: Value = serde_json::from_str(text.expose_secret()).ok()?;
        let fields = value.as_object_mut()?;
        let token = match fields.remove("accessToken") {
            Some(Value::String(token)) => Some(token.trim().to_owned()).filter(|token| !token.is_empty()),
            _ => None,
        };
        let token_id = fields.get("tokenId").and_then(Value::as_str).map(str::to_owned);
        Some(Self { token: token.map(SecretString::from), token_id })
    }

    /// Whether both hold the same token.
    pub fn same_token(&self, other: &StoredToken) -> bool {
        is_same(self.token.as_ref(), other.token.as_ref())
    }

    /// The token of a document.
    pub fn of(document: &Document) -> Self {
        Self { token: document.access_token.clone(), token_id: document.token_id.clone() }
    }
}

fn is_same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.expose_secret() == other.expose_secret(),
        (None, None) => true,
        _ => false,
    }
}

/// Days before the expiry at which a warning reaches its next level (contract, section 5).
const EXPIRY_LEVELS: [i64; 4] = [1, 7, 14, 30];

/// The warning about a token's expiry: none known, or 30 days off and nearer, with the level reached.
pub fn expiry_warning(document: &Document, now: Timestamp) -> Option<Warning> {
    let Some(expires_at) = document.expires_at else {
        return Some(Warning::new(
            WarningCode::ExpiryUnknown,
            "the secret has no `expiresAt`: nobody can warn before the token expires; add it to the document",
        ));
    };
    let left = expires_at - now;
    if left <= time::Duration::ZERO {
        return Some(Warning::new(WarningCode::Expired, format!("the token expired at {}", rfc3339(expires_at))));
    }
    let level = EXPIRY_LEVELS.into_iter().find(|days| left <= time::Duration::days(*days))?;
    Some(Warning::new(
        WarningCode::ExpiresSoon,
        format!("the token expires at {} (level {level}: {} full days left)", rfc3339(expires_at), left.whole_days()),
    ))
}

#[cfg(test)]
mod tests;
