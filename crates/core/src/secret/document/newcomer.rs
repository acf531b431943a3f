//! The members `owner` and `user`: whom an onboarding from zero invites.

use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::ids::is_repository_part;
use crate::secret::document::members::{Members, stored_as_text, wrong};

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

/// `owner` and `user`: one is of no use without the other.
pub(super) fn read(members: &Members<'_>) -> Result<Option<(String, Newcomer)>, Error> {
    let owner = members.text("owner")?;
    let map = match members.map.get("user") {
        None | Some(Value::Null) if owner.is_none() => return Ok(None),
        None | Some(Value::Null) => return Err(wrong("member `owner` stands without `user`: whom to invite")),
        Some(Value::Object(map)) => map,
        Some(Value::String(_)) => return Err(stored_as_text("user", "an object")),
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
