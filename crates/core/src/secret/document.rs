//! The secret's JSON document: parsed once, and kept whole (docs/secret.md).
//!
//! The parser moves the token out of the raw fields into a [`SecretString`]. It keeps fields that are not hubkeeper's
//! unchanged. An error names the field and the expected value, never the actual one.

mod connector;
mod invitation_request;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::fields::{FieldError, Fields, Problem};
use crate::ids::{TokenId, VersionId, is_repository_part};
use crate::time::{Timestamp, parse_rfc3339, rfc3339};
use crate::warning::{Warning, WarningCode};

pub use self::connector::{ConnectorId, ConnectorSpec, Plan};
pub use self::invitation_request::{InvitationRequest, Role};

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
    /// The token; absent before hubkeeper mints the first.
    pub access_token: Option<SecretString>,
    /// Uuid of the PAT that hubkeeper minted.
    pub token_id: Option<TokenId>,
    /// When the token expires.
    pub expires_at: Option<Timestamp>,
    /// The manager secret.
    pub manager: Option<String>,
    /// The invitation that the owner sends to the dedicated user, if the document requests one.
    pub invitation: Option<InvitationRequest>,
    /// Repositories that must be readable.
    pub expected: Vec<Expected>,
    /// Repositories that completeness leaves out.
    pub excluded: Vec<String>,
    /// The connector.
    pub connector: ConnectorSpec,
    /// The version of the candidate that a rotation took its token from.
    pub candidate_version: Option<VersionId>,
    /// All fields but `accessToken`.
    raw: Map<String, Value>,
}

impl Document {
    /// Parses the secret's string.
    ///
    /// # Errors
    /// [`crate::error::Kind::Misconfigured`] names the wrong field and what is expected.
    pub fn parse(text: &SecretString) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(without_byte_order_mark(text.expose_secret()))
            .map_err(|error| wrong(&format!("it is not JSON (line {}, column {})", error.line(), error.column())))?;
        let Value::Object(mut raw) = value else { return Err(wrong("it is not a JSON object")) };
        let access_token = take_token(&mut raw).map_err(wrong_field)?;
        let document = Self::from_fields(access_token, raw).map_err(wrong_field)?;
        if document.manager.is_some() && document.is_organization_token() {
            return Err(wrong(
                "field `manager` cannot be combined with an organization access token, which no manager can mint",
            ));
        }
        if document.invitation.is_some() && document.is_organization_token() {
            return Err(wrong(
                "fields `owner` and `user` cannot be combined with an organization access token, which belongs to no user",
            ));
        }
        Ok(document)
    }

    fn from_fields(access_token: Option<SecretString>, raw: Map<String, Value>) -> Result<Self, FieldError> {
        let fields = Fields::new("", &raw);
        let organization = fields.required("organization")?;
        if !is_repository_part(organization) {
            return Err(fields.wrong("organization", "is not a Docker Hub organization in lower case"));
        }
        let username = fields.required("username")?;
        if username.trim() != username {
            return Err(
                fields.wrong("username", "begins or ends with white space, which would count as a failed login")
            );
        }
        if username.contains('@') {
            return Err(fields.wrong(
                "username",
                "holds an e-mail address: Docker Hub logs tokens in with the user name (Docker ID)",
            ));
        }
        if username.len() > 255 || !username.chars().all(|c| c.is_ascii_graphic() && c != ':') {
            return Err(fields.wrong("username", "is not a Docker Hub user name"));
        }
        let token_id = fields.text("tokenId")?;
        let parsed = token_id.and_then(TokenId::parse);
        if token_id.is_some() && parsed.is_none() {
            return Err(fields.wrong("tokenId", "is not a uuid"));
        }
        let expires_at = fields.text("expiresAt")?;
        let expires_at = expires_at
            .map(|text| parse_rfc3339(text).ok_or_else(|| fields.wrong("expiresAt", "is not an RFC 3339 time")))
            .transpose()?;
        let expected = fields.texts("expectedRepositories")?.into_iter().map(|entry| {
            let (name, prefix) = entry.strip_suffix('*').map_or((entry.as_str(), false), |name| (name, true));
            match (is_repository_part(name), prefix) {
                (true, true) => Ok(Expected::Prefix(name.to_owned())),
                (true, false) => Ok(Expected::Name(name.to_owned())),
                _ => Err(fields.wrong("expectedRepositories", "holds an entry that is not a repository name in lower case (without the organization; `*` only at the end)",
                )),
            }
        });
        let expected = expected.collect::<Result<Vec<_>, _>>()?;
        let excluded = fields.texts("excludedRepositories")?;
        if excluded.iter().any(|name| !is_repository_part(name)) {
            return Err(fields.wrong(
                "excludedRepositories",
                "holds an entry that is not a repository name in lower case (without the organization)",
            ));
        }
        let connector = connector::read(&fields)?;
        let invitation = invitation_request::read(&fields)?;
        Ok(Self {
            organization: organization.to_owned(),
            username: username.to_owned(),
            access_token,
            token_id: parsed,
            expires_at,
            manager: fields.text("manager")?.map(str::to_owned),
            invitation,
            expected,
            excluded,
            connector,
            candidate_version: fields.text("candidateVersion")?.map(VersionId::of_service),
            raw,
        })
    }

    /// Whether the token is an organization access token: it has the form of one, or it logs in as the organization.
    pub fn is_organization_token(&self) -> bool {
        let form = self.access_token.as_ref().is_some_and(|token| token.expose_secret().starts_with("dckr_oat_"));
        form || self.username.eq_ignore_ascii_case(&self.organization)
    }

    /// Whether both hold the same token.
    pub fn same_token(&self, other: &Document) -> bool {
        is_same(self.access_token.as_ref(), other.access_token.as_ref())
    }

    /// Whether both name the same organization and the same connector (case-insensitively, as ARM compares).
    pub fn same_subject(&self, other: &Document) -> bool {
        self.organization == other.organization && self.connector.id.is_same(&other.connector.id)
    }

    /// The next version of this document, with a newly minted token. It drops the old token's id and expiry.
    #[must_use]
    pub fn with_minted(&self, token: SecretString, token_id: &TokenId, expires_at: Timestamp) -> Document {
        let mut next = self.clone();
        next.access_token = Some(token);
        next.token_id = Some(token_id.to_owned());
        next.expires_at = Some(expires_at);
        next.candidate_version = None;
        next.raw.insert("tokenId".into(), Value::String(token_id.to_string()));
        next.raw.insert("expiresAt".into(), Value::String(rfc3339(expires_at)));
        next.raw.remove("candidateVersion");
        next
    }

    /// The next version of this document, with a token that a person made. It drops the old token's id and expiry.
    #[must_use]
    pub fn with_token(&self, token: SecretString, expires_at: Option<Timestamp>) -> Document {
        let mut next = self.clone();
        next.access_token = Some(token);
        next.token_id = None;
        next.expires_at = expires_at;
        next.candidate_version = None;
        for field in ["tokenId", "expiresAt", "candidateVersion"] {
            next.raw.remove(field);
        }
        if let Some(expires_at) = expires_at {
            next.raw.insert("expiresAt".into(), Value::String(rfc3339(expires_at)));
        }
        next
    }

    /// The next version made from a candidate: it names the candidate's version. Fields that the candidate copied from a document with
    /// another token are dropped first.
    #[must_use]
    pub fn taken_from<'a>(
        &self,
        candidate_version: &VersionId,
        before: impl IntoIterator<Item = &'a Document>,
    ) -> Document {
        let mut next = before.into_iter().fold(self.clone(), |next, before| next.without_stale(before));
        next.candidate_version = Some(candidate_version.to_owned());
        next.raw.insert("candidateVersion".into(), Value::String(candidate_version.to_string()));
        next
    }

    /// This document without a `tokenId` and `expiresAt` that belong to `previous`'s token: people copy a document
    /// and change only the token.
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
        let mut fields = self.raw.clone();
        if let Some(token) = &self.access_token {
            fields.insert("accessToken".into(), Value::String(token.expose_secret().to_owned()));
        }
        SecretString::from(Value::Object(fields).to_string())
    }
}

/// Takes `accessToken` out of the document, so that the kept fields hold no secret.
fn take_token(raw: &mut Map<String, Value>) -> Result<Option<SecretString>, FieldError> {
    let token = raw.remove("accessToken");
    let wrong = |why| Err(Fields::new("", raw).wrong("accessToken", why));
    match token {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) if token.is_empty() => wrong("is empty: leave it out where there is no token yet"),
        Some(Value::String(token)) if token.len() <= 4096 && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(SecretString::from(token)))
        }
        Some(Value::String(_)) => wrong("holds white space or characters that no token has"),
        Some(_) => wrong("is not a string"),
    }
}

fn wrong(what: &str) -> Error {
    Error::misconfigured(
        format!("the secret's document cannot be used: {what}"),
        "put a corrected version of the secret; docs/secret.md shows the document",
    )
}

// `map_err` passes the value
#[expect(clippy::needless_pass_by_value)]
fn wrong_field(error: FieldError) -> Error {
    match &error.problem {
        Problem::TextInsteadOf(kind) => wrong(&format!(
            "field `{}` is text and not {kind}: the console's key/value form stores every field as text; put the document in the form `Plaintext`, or with the command line",
            error.path
        )),
        _ => wrong(&error.to_string()),
    }
}

/// JSON text without the byte order mark that some editors and PowerShell put in front.
pub fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The token in a version's value and the `tokenId` beside it, even if the rest of the value is invalid. Versions in use are
/// compared by it. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct StoredToken {
    /// The token, without surrounding white space; `None` if the value holds none.
    pub token: Option<SecretString>,
    /// The `tokenId` beside it.
    pub token_id: Option<TokenId>,
}

impl StoredToken {
    /// Reads a version's value; `None` if it is not a JSON object.
    pub fn parse(text: &SecretString) -> Option<Self> {
        let mut value: Value = serde_json::from_str(text.expose_secret()).ok()?;
        let fields = value.as_object_mut()?;
        let token = match fields.remove("accessToken") {
            Some(Value::String(token)) => Some(token.trim().to_owned()).filter(|token| !token.is_empty()),
            _ => None,
        };
        let token_id = fields.get("tokenId").and_then(Value::as_str).map(TokenId::of_service);
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

/// Days before the expiry at which a warning reaches its next level (docs/report.md).
const EXPIRY_LEVELS: [i64; 4] = [1, 7, 14, 30];

/// The warning about a token's expiry: the expiry is unknown, or at most 30 days away. It names the level reached.
pub fn expiry_warning(document: &Document, now: Timestamp) -> Option<Warning> {
    let Some(expires_at) = document.expires_at else {
        return Some(Warning::new(
            WarningCode::ExpiryUnknown,
            "the secret has no `expiresAt`: hubkeeper cannot warn before the token expires; add it to the document",
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
