//! The secret's JSON: parsed at the door, kept whole (contract, section 1).
//!
//! The token leaves the raw members at once and lives in a [`SecretString`]; members that are not ours are kept as they
//! are. An error names the member and what is expected, never what stands there.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::{Timestamp, parse_rfc3339, rfc3339};
use crate::error::Error;
use crate::report::Warning;

/// An offering that the secret may ask for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Plan {
    /// `foundationalCspm`
    FoundationalCspm,
    /// `containers`
    Containers,
    /// `defenderCspm`
    DefenderCspm,
}

impl Plan {
    /// Every plan: the default.
    pub const ALL: [Plan; 3] = [Plan::FoundationalCspm, Plan::Containers, Plan::DefenderCspm];

    /// The member's spelling in the secret.
    pub fn name(self) -> &'static str {
        match self {
            Plan::FoundationalCspm => "foundationalCspm",
            Plan::Containers => "containers",
            Plan::DefenderCspm => "defenderCspm",
        }
    }

    /// The offering's type in ARM (Microsoft's swagger, `OfferingType`).
    pub fn offering(self) -> &'static str {
        match self {
            Plan::FoundationalCspm => "CspmMonitorDockerHub",
            Plan::Containers => "DefenderForContainersDockerHub",
            Plan::DefenderCspm => "DefenderCspmDockerHub",
        }
    }
}

/// Where the connector is, and how it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectorSpec {
    /// Azure subscription, a uuid.
    pub subscription_id: String,
    /// Resource group.
    pub resource_group: String,
    /// Name of the connector.
    pub name: String,
    /// Azure location at creation.
    pub location: String,
    /// Hours between scans, 1 to 24.
    pub scan_interval_hours: u8,
    /// Offerings.
    pub plans: Vec<Plan>,
    /// Tags of the user's own.
    pub tags: BTreeMap<String, String>,
}

impl ConnectorSpec {
    /// The ARM resource id.
    pub fn id(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/{}",
            self.subscription_id, self.resource_group, self.name
        )
    }
}

/// An entry of `expectedRepositories`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// This repository.
    Name(String),
    /// At least one repository with this prefix.
    Prefix(String),
}

/// A role in an organization at Docker Hub; the greater one includes the lesser.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Pulls what its teams may read.
    Member,
    /// Creates, edits and deletes repositories: what Microsoft's page asks for.
    Editor,
    /// Does everything.
    Owner,
}

impl Role {
    /// By its name, as the secret and Docker Hub write it; `None` for a role that is not one of Docker's own.
    pub fn of(name: &str) -> Option<Self> {
        [Role::Member, Role::Editor, Role::Owner].into_iter().find(|role| role.name().eq_ignore_ascii_case(name))
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Role::Member => "member",
            Role::Editor => "editor",
            Role::Owner => "owner",
        }
    }
}

/// Whom an onboarding from zero invites, and as what. No `Debug`: the address is a person's.
#[derive(Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// The e-mail address.
    pub email: String,
    /// The role: member or editor.
    pub role: Role,
    /// The team.
    pub team: Option<String>,
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
        let value: Value = serde_json::from_str(text.expose_secret())
            .map_err(|error| wrong(&format!("it is not JSON (line {}, column {})", error.line(), error.column())))?;
        let Value::Object(mut raw) = value else { return Err(wrong("it is not a JSON object")) };
        let access_token = match raw.remove("accessToken") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) if token.is_empty() => None,
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
        let connector = connector(&raw)?;
        let zero = zero(&members)?;
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
        form || self.username == self.organization
    }

    /// Whether both hold the same token.
    pub fn same_token(&self, other: &Document) -> bool {
        match (&self.access_token, &other.access_token) {
            (Some(ours), Some(theirs)) => ours.expose_secret() == theirs.expose_secret(),
            (None, None) => true,
            _ => false,
        }
    }

    /// Whether both are about one organization and one connector (names compare without case, as in ARM).
    pub fn same_subject(&self, other: &Document) -> bool {
        self.organization == other.organization && self.connector.id().eq_ignore_ascii_case(&other.connector.id())
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

    /// A candidate as the next version: it names where it came from, and what it carried over from `previous`'s other
    /// token is dropped.
    #[must_use]
    pub fn taken_from(&self, candidate_version: &str, previous: Option<&Document>) -> Document {
        let mut next = previous.map_or_else(|| self.clone(), |previous| self.without_stale(previous));
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

/// `owner` and `user`: one is of no use without the other.
fn zero(members: &Members<'_>) -> Result<Option<(String, Newcomer)>, Error> {
    let owner = members.text("owner")?;
    let map = match members.map.get("user") {
        None | Some(Value::Null) if owner.is_none() => return Ok(None),
        None | Some(Value::Null) => return Err(wrong("member `owner` stands without `user`: whom to invite")),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(wrong("member `user` is not an object")),
    };
    let Some(owner) = owner else {
        return Err(wrong("member `user` stands without `owner`: the secret of who invites"));
    };
    let user = Members { path: "user.".to_owned(), map };
    let email = user.required("email")?;
    if !is_email(&email) {
        return Err(wrong("member `user.email` is not an e-mail address"));
    }
    let role = match user.text("role")? {
        None => Role::Editor,
        Some(name) => [Role::Editor, Role::Member]
            .into_iter()
            .find(|role| role.name() == name)
            .ok_or_else(|| wrong("member `user.role` is neither `editor` nor `member`"))?,
    };
    let team = user.text("team")?;
    if team.as_deref().is_some_and(|team| !is_repository_part(team)) {
        return Err(wrong("member `user.team` is not the name of a team in lower case"));
    }
    if team.as_deref() == Some("owners") {
        return Err(wrong("member `user.team` names the team of the owners, which would make the user one"));
    }
    Ok(Some((owner, Newcomer { email, role, team })))
}

/// One `@` between a name and a domain, and no character that needs quoting.
fn is_email(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte))
    };
    let host = |domain: &str| {
        domain.contains('.')
            && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
            && domain.split('.').all(|label| !label.is_empty())
    };
    text.len() <= 254 && text.split_once('@').is_some_and(|(name, domain)| plain(name) && host(domain))
}

fn connector(raw: &Map<String, Value>) -> Result<ConnectorSpec, Error> {
    let map = match raw.get("connector") {
        Some(Value::Object(map)) => map,
        Some(_) => return Err(wrong("member `connector` is not an object")),
        None => return Err(wrong("member `connector` is missing")),
    };
    let members = Members { path: "connector.".to_owned(), map };
    let subscription_id = members.required("subscriptionId")?;
    if !is_uuid(&subscription_id) {
        return Err(wrong("member `connector.subscriptionId` is not a uuid"));
    }
    let resource_group = members.required("resourceGroup")?;
    let allowed = |c: char| c.is_alphanumeric() || "-_.()".contains(c);
    if resource_group.chars().count() > 90 || !resource_group.chars().all(allowed) || resource_group.ends_with('.') {
        return Err(wrong("member `connector.resourceGroup` is not the name of a resource group"));
    }
    let name = members.required("name")?;
    if name.chars().count() > 260
        || name.chars().any(|c| c.is_control() || "<>%&\\?/#".contains(c))
        || name.chars().all(|c| c == '.')
    {
        return Err(wrong("member `connector.name` is not the name of an Azure resource"));
    }
    let location = members.required("location")?;
    let scan_interval_hours = match map.get("scanIntervalHours") {
        None | Some(Value::Null) => 24,
        Some(value) => value
            .as_u64()
            .and_then(|hours| u8::try_from(hours).ok())
            .filter(|hours| (1..=24).contains(hours))
            .ok_or_else(|| wrong("member `connector.scanIntervalHours` is not a whole number from 1 to 24"))?,
    };
    let plans = match map.get("plans") {
        None | Some(Value::Null) => Plan::ALL.to_vec(),
        Some(_) => {
            let named = members.texts("plans")?.into_iter().map(|name| {
                let known = Plan::ALL.into_iter().find(|plan| plan.name() == name);
                known.ok_or_else(|| {
                    wrong("member `connector.plans` may hold `foundationalCspm`, `containers` and `defenderCspm` only")
                })
            });
            let mut plans = named.collect::<Result<Vec<_>, _>>()?;
            plans.sort_unstable();
            plans.dedup();
            plans
        }
    };
    Ok(ConnectorSpec { subscription_id, resource_group, name, location, scan_interval_hours, plans, tags: tags(map)? })
}

fn tags(map: &Map<String, Value>) -> Result<BTreeMap<String, String>, Error> {
    let tags = match map.get("tags") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(tags)) => tags,
        Some(_) => return Err(wrong("member `connector.tags` is not an object")),
    };
    let read = tags.iter().map(|(name, value)| {
        let Value::String(value) = value else {
            return Err(wrong("member `connector.tags` holds a value that is not a string"));
        };
        if name.to_ascii_lowercase().starts_with("hubkeeper-") {
            return Err(wrong("member `connector.tags` holds a name that begins with `hubkeeper-`, which is reserved"));
        }
        if name.is_empty() || name.len() > 512 || name.chars().any(|c| "<>%&\\?/".contains(c)) || value.len() > 256 {
            return Err(wrong("member `connector.tags` holds a tag that Azure does not take"));
        }
        Ok((name.clone(), value.clone()))
    });
    read.collect()
}

/// Days before the expiry at which a warning reaches its next level (contract, section 5).
const EXPIRY_LEVELS: [i64; 4] = [1, 7, 14, 30];

/// The warning about a token's expiry: none known, or 30 days off and nearer, with the level reached.
pub fn expiry_warning(document: &Document, now: Timestamp) -> Option<Warning> {
    let Some(expires_at) = document.expires_at else {
        return Some(Warning::new(
            "expiryUnknown",
            "the secret has no `expiresAt`: nobody can warn before the token expires; add it to the document",
        ));
    };
    let left = expires_at - now;
    if left <= time::Duration::ZERO {
        return Some(Warning::new("expired", format!("the token expired at {}", rfc3339(expires_at))));
    }
    let level = EXPIRY_LEVELS.into_iter().find(|days| left <= time::Duration::days(*days))?;
    Some(Warning::new(
        "expiresSoon",
        format!("the token expires at {} (level {level}: {} full days left)", rfc3339(expires_at), left.whole_days()),
    ))
}

/// A JSON object and where it stands.
struct Members<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl Members<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => {
                Err(wrong(&format!("member `{}{name}` is empty", self.path)))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(&format!("member `{}{name}` is not a string", self.path))),
        }
    }

    fn required(&self, name: &str) -> Result<String, Error> {
        self.text(name)?.ok_or_else(|| wrong(&format!("member `{}{name}` is missing", self.path)))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let wrong = || wrong(&format!("member `{}{name}` is not an array of strings", self.path));
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }
}

fn wrong(what: &str) -> Error {
    Error::misconfigured(
        format!("the secret's document cannot be used: {what}"),
        "put a corrected version of the secret; the README shows the document",
    )
}

/// A name of lower-case letters, digits and separators: what a path and a scope may hold.
pub(crate) fn is_repository_part(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
}

pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn whole() -> Value {
        json!({
            "organization": "acme", "username": "acme-scanner", "accessToken": "dckr_pat_abc", "note": {"kept": [1]},
            "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub", "location": "westeurope"}
        })
    }

    fn parse(value: &Value) -> Result<Document, Error> {
        Document::parse(&SecretString::from(value.to_string()))
    }

    #[test]
    fn members_of_others_survive_a_rewrite() {
        let document = parse(&whole()).unwrap();
        let expires_at = time::macros::datetime!(2027-01-01 0:00 UTC);
        let next = document.with_minted(
            SecretString::from("dckr_pat_new"),
            "b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001",
            expires_at,
        );
        let text = next.to_secret_string();
        let value: Value = serde_json::from_str(text.expose_secret()).unwrap();
        assert_eq!(value["note"], json!({"kept": [1]}));
        assert_eq!(value["accessToken"], "dckr_pat_new");
        assert_eq!(value["expiresAt"], "2027-01-01T00:00:00Z");
    }

    #[test]
    fn a_number_of_others_survives_to_the_digit() {
        let text = whole().to_string().replacen('{', "{\"number\":12345678901234567890123.10,", 1);
        let document = Document::parse(&SecretString::from(text)).unwrap();
        let written = document.to_secret_string();
        assert!(written.expose_secret().contains("12345678901234567890123.10"));
    }

    #[test]
    fn what_came_with_the_old_token_is_dropped() {
        let mut old = whole();
        old["tokenId"] = json!("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001");
        old["expiresAt"] = json!("2027-01-01T00:00:00Z");
        let mut candidate = old.clone();
        candidate["accessToken"] = json!("dckr_pat_by_hand");
        let next = parse(&candidate).unwrap().taken_from("v2", Some(&parse(&old).unwrap()));
        assert_eq!((next.token_id, next.expires_at), (None, None));
        assert_eq!(next.candidate_version.as_deref(), Some("v2"));

        candidate["expiresAt"] = json!("2028-01-01T00:00:00Z");
        let next = parse(&candidate).unwrap().taken_from("v2", Some(&parse(&old).unwrap()));
        assert!(next.expires_at.is_some(), "an expiry of its own stays");
    }

    #[test]
    fn an_error_names_the_member_and_shows_nothing_of_it() {
        let cases: &[(&str, Value, &str)] = &[
            ("/organization", json!("ACME-dckr_pat_x"), "`organization`"),
            ("/organization", json!("../x"), "`organization`"),
            ("/username", json!(7), "`username`"),
            ("/accessToken", json!(["dckr_pat_x"]), "`accessToken`"),
            ("/accessToken", json!("dckr_pat_x\n"), "`accessToken`"),
            ("/tokenId", json!("dckr_pat_x"), "`tokenId`"),
            ("/expiresAt", json!("dckr_pat_x"), "`expiresAt`"),
            ("/expectedRepositories", json!("dckr_pat_x"), "`expectedRepositories`"),
            ("/expectedRepositories", json!(["acme/web"]), "`expectedRepositories`"),
            ("/expectedRepositories", json!(["*web"]), "`expectedRepositories`"),
            ("/connector", json!([]), "`connector`"),
            ("/connector/subscriptionId", json!("dckr_pat_x"), "`connector.subscriptionId`"),
            ("/connector/resourceGroup", json!("a/b"), "`connector.resourceGroup`"),
            ("/connector/name", json!("a/../b"), "`connector.name`"),
            ("/connector/scanIntervalHours", json!(25), "`connector.scanIntervalHours`"),
            ("/connector/plans", json!(["dckr_pat_x"]), "`connector.plans`"),
            ("/connector/tags", json!({"hubkeeper-secret": "x"}), "`connector.tags`"),
        ];
        for (pointer, value, member) in cases {
            let mut document = whole();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[name] = value.clone();
            let message = parse(&document).err().unwrap_or_else(|| panic!("{pointer} {value} is taken")).to_string();
            assert!(message.contains(member), "{message}");
            assert!(!message.contains("dckr_pat_x"), "{message}");
        }
    }

    #[test]
    fn owner_and_user_come_together_and_each_member_is_looked_at() {
        let with = |owner: Value, user: Value| {
            let mut document = whole();
            document["owner"] = owner;
            document["user"] = user;
            document
        };
        let owner = || json!("hub/owner");
        let zero = |user: Value| parse(&with(owner(), user)).unwrap().zero.unwrap();
        let (named, newcomer) = zero(json!({"email": "scanner+hub@acme.example"}));
        assert_eq!((named.as_str(), newcomer.role, newcomer.team), ("hub/owner", Role::Editor, None));
        let (_, newcomer) = zero(json!({"email": "scanner@acme.example", "role": "member", "team": "readers"}));
        assert_eq!((newcomer.role, newcomer.team.as_deref()), (Role::Member, Some("readers")));
        assert!(parse(&whole()).unwrap().zero.is_none());
        for (document, member) in [
            (with(owner(), json!(null)), "`owner`"),
            (with(json!(null), json!({"email": "a@b.example"})), "`user`"),
            (with(json!(7), json!({"email": "a@b.example"})), "`owner`"),
            (with(owner(), json!("dckr_pat_x")), "`user`"),
            (with(owner(), json!({})), "`user.email`"),
            (with(owner(), json!({"email": "dckr_pat_x"})), "`user.email`"),
            (with(owner(), json!({"email": "dckr_pat_x@localhost"})), "`user.email`"),
            (with(owner(), json!({"email": "a b@c.example"})), "`user.email`"),
            (with(owner(), json!({"email": "a@b@c.example"})), "`user.email`"),
            (with(owner(), json!({"email": "a@b.example", "role": "owner"})), "`user.role`"),
            (with(owner(), json!({"email": "a@b.example", "role": "dckr_pat_x"})), "`user.role`"),
            (with(owner(), json!({"email": "a@b.example", "team": "../x"})), "`user.team`"),
            (with(owner(), json!({"email": "a@b.example", "team": "owners"})), "`user.team`"),
        ] {
            let message = parse(&document).err().unwrap_or_else(|| panic!("{document} is taken")).to_string();
            assert!(message.contains(member) && !message.contains("dckr_pat"), "{message}");
        }
        let mut document = with(owner(), json!({"email": "a@b.example"}));
        document["accessToken"] = json!("dckr_oat_abc");
        assert!(parse(&document).err().unwrap().to_string().contains("organization access token"));
    }

    #[test]
    fn text_that_is_no_object_is_refused_without_being_quoted() {
        for text in ["", "dckr_pat_plain", "[1]", "{\"organization\": dckr_pat_x}", &"[".repeat(500)] {
            let message = Document::parse(&SecretString::from(text)).err().unwrap().to_string();
            assert!(!message.contains("dckr_pat"), "{message}");
        }
    }

    #[test]
    fn a_manager_beside_an_organization_token_is_refused() {
        let mut document = whole();
        document["manager"] = json!("hub/manager");
        assert!(parse(&document).is_ok());
        document["accessToken"] = json!("dckr_oat_abc");
        assert!(parse(&document).is_err());
    }
}
