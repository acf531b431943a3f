//! The fields `owner` and `user`: the invitation of the dedicated user.

use serde::Serialize;

use crate::fields::{FieldError, Fields};
use crate::ids::is_repository_part;

/// A role in an organization at Docker Hub; the greater one includes the lesser.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Pulls what its teams may read.
    Member,
    /// Creates, edits and deletes repositories: the role that Microsoft's page requires.
    Editor,
    /// Has all rights.
    Owner,
}

impl Role {
    /// Parses a role's name as the secret and Docker Hub write it; `None` if it is not one of Docker's own roles.
    pub fn of(name: &str) -> Option<Self> {
        [Role::Member, Role::Editor, Role::Owner].into_iter().find(|role| role.name().eq_ignore_ascii_case(name))
    }

    /// The role's wire name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Member => "member",
            Role::Editor => "editor",
            Role::Owner => "owner",
        }
    }
}

/// The invitation that the document requests. No `Debug`: the address is a person's.
#[derive(Clone, PartialEq, Eq)]
pub struct InvitationRequest {
    /// Name or ARN of the owner secret, whose login sends the invitation.
    pub owner: String,
    /// The e-mail address.
    pub email: String,
    /// The role: member or editor.
    pub role: Role,
    /// The team.
    pub team: Option<String>,
}

/// Reads `owner` and `user`; each requires the other.
pub(super) fn read(fields: &Fields<'_>) -> Result<Option<InvitationRequest>, FieldError> {
    let (owner, user) = match (fields.text("owner")?, fields.optional_object("user")?) {
        (Some(owner), Some(user)) => (owner, user),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(fields.wrong("owner", "needs the field `user`, the user to invite")),
        (None, Some(_)) => {
            return Err(fields.wrong("user", "needs the field `owner`, the secret of the inviting owner"));
        }
    };
    let email = user.required("email")?;
    if !is_email(email) {
        return Err(user.wrong("email", "is not an e-mail address"));
    }
    let role = match user.text("role")? {
        None => Role::Editor,
        Some(name) => [Role::Editor, Role::Member]
            .into_iter()
            .find(|role| role.name() == name)
            .ok_or_else(|| user.wrong("role", "is neither `editor` nor `member`"))?,
    };
    let team = user.text("team")?;
    if team.is_some_and(|team| !is_repository_part(team)) {
        return Err(user.wrong("team", "is not the name of a team in lower case"));
    }
    if team == Some("owners") {
        return Err(user.wrong("team", "names the team of the owners, which would make the user one"));
    }
    Ok(Some(InvitationRequest {
        owner: owner.to_owned(),
        email: email.to_owned(),
        role,
        team: team.map(str::to_owned),
    }))
}

/// Checks an e-mail address: one `@` between a name and a domain, and no character that needs quoting.
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
