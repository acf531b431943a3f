//! What Docker Hub tells, as values: people, tokens, repositories, and why it refuses.

use crate::error::Error;
use crate::secret::document::Role;
use crate::time::Timestamp;

/// Docker Hub did not do what was asked, and it does not follow that the token is bad.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HubError {
    /// No answer, a rate limit or an outage: nothing is known. The text says what.
    Unavailable(String),
    /// Docker Hub refuses every login under this user name for a while, after too many failed ones. The text says where.
    LockedOut(String),
    /// An answer that cannot be read, or a status that is not documented: nothing is known. The text says what.
    Unexpected(String),
}

impl HubError {
    /// What happened, for people.
    pub fn message(&self) -> &str {
        match self {
            HubError::Unavailable(text) | HubError::LockedOut(text) | HubError::Unexpected(text) => text,
        }
    }
}

/// A member of the organization. No `Debug`: the address is a person's.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    /// Docker user name.
    pub username: String,
    /// E-mail address, where the owner may see it.
    pub email: Option<String>,
    /// The role; `None` for one that is not Docker's own, or not told.
    pub role: Option<Role>,
}

/// An invitation that nobody has accepted yet. No `Debug`: the address is a person's.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// Its id.
    pub id: String,
    /// E-mail address, or user name of somebody who is registered.
    pub invitee: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// What the owner sees of an organization. No `Debug`: addresses are in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Roster {
    /// Members.
    pub members: Vec<Member>,
    /// Invitations.
    pub invites: Vec<Invite>,
    /// User names in the team that was asked for; `None` where none was.
    pub team: Option<Vec<String>>,
}

/// What an organization access token needs for a request (Docker's reference of organization access tokens).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The list of members.
    MemberRead,
    /// A member's role.
    MemberEdit,
    /// The list of invitations.
    InviteRead,
    /// Sending invitations.
    InviteEdit,
    /// The members of a team.
    GroupRead,
    /// Adding to a team. Inferred: the reference lists the scope and not the requests that it covers.
    GroupEdit,
}

impl Scope {
    /// Its name at Docker Hub.
    pub fn name(self) -> &'static str {
        match self {
            Scope::MemberRead => "scope-member-read",
            Scope::MemberEdit => "scope-member-edit",
            Scope::InviteRead => "scope-invite-read",
            Scope::InviteEdit => "scope-invite-edit",
            Scope::GroupRead => "scope-group-read",
            Scope::GroupEdit => "scope-group-edit",
        }
    }

    /// What it is for, after "may not".
    fn purpose(self) -> &'static str {
        match self {
            Scope::MemberRead => "list the organization's members",
            Scope::MemberEdit => "change a member's role",
            Scope::InviteRead => "list the organization's invitations",
            Scope::InviteEdit => "invite members",
            Scope::GroupRead => "list the members of the team",
            Scope::GroupEdit => "add members to the team",
        }
    }
}

/// Why Docker Hub does not let an owner see or do something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// Nothing is known.
    Undecided(HubError),
    /// 403: the account is neither an owner nor has a role that may manage members, or the token lacks this scope.
    NotAllowed(Scope),
    /// 404: there is no such organization, or the session does not see it.
    NoOrganization,
    /// 404: there is no such team.
    NoTeam,
    /// 404: the invitation, or the member, is not there any more.
    Gone,
    /// The address is not taken.
    BadAddress,
    /// 409: something of the kind is there, or under way.
    Conflict(String),
    /// 400, 402 or 403 for an invitation: no seat is free, or with 403 the login may see invitations and not send them.
    NoSeat(u16, String),
    /// The response to an invitation names a status of the invitee that is not known: nobody was invited, as far as it says.
    NotInvited(String),
    /// Another refusal, by its status, with the plain words of its text.
    Refused(u16, String),
}

impl From<HubError> for Denied {
    fn from(error: HubError) -> Self {
        Denied::Undecided(error)
    }
}

/// What a refusal of Docker Hub means, and what to do about it.
pub fn refusal(denied: &Denied) -> Error {
    let quoted = |said: &str| if said.is_empty() { String::new() } else { format!(" ({said})") };
    match denied {
        Denied::Undecided(error) => {
            Error::retryable(format!("Docker Hub is undecided: {}", error.message()), "repeat the event")
        }
        Denied::NotAllowed(scope) => Error::misconfigured(
            format!("the login of the owner secret may not {} (status 403)", scope.purpose()),
            match scope {
                Scope::MemberEdit => format!(
                    "an organization access token needs the scope `{}`; a password must be that of an owner of the organization",
                    scope.name()
                ),
                _ => format!(
                    "an organization access token needs the scope `{}`; a password must be that of an owner of the organization, or of a member with a custom role that has `Member management`; a personal access token is never enough",
                    scope.name()
                ),
            },
        ),
        Denied::NoOrganization => Error::misconfigured(
            "Docker Hub knows no such organization, or does not show it to the account of the owner secret (status 404)",
            "check `organization`, and that the login in `owner` belongs to this organization",
        ),
        Denied::NoTeam => Error::misconfigured(
            "the organization has no team of the name in `user.team` (status 404)",
            "make the team at Docker Hub with `read` on every repository, or correct `user.team`",
        ),
        Denied::Gone => Error::retryable(
            "the invitation or the member is not there any more (status 404)",
            "repeat the event: it looks again",
        ),
        Denied::BadAddress => Error::misconfigured(
            "Docker Hub takes the address in `user.email` for none",
            "correct `user.email` in the secret",
        ),
        Denied::Conflict(said) => Error::needs_human(
            format!("Docker Hub answers that it conflicts with what is there (status 409){}", quoted(said)),
            "see at Docker Hub who is invited and a member, and whether a seat is free; then repeat the event",
        ),
        Denied::NoSeat(status, said) => Error::needs_human(
            format!(
                "Docker Hub refuses the invitation (status {status}){}: most likely the organization has no free seat{}",
                quoted(said),
                if *status == 403 { ", or the owner secret's login may not invite" } else { "" }
            ),
            if *status == 403 {
                format!(
                    "free a seat or buy one; an organization access token also needs the scope `{}`, and an account the role of an owner or a custom role with `Member management`; try to invite the address by hand to see what Docker Hub says, then repeat the event",
                    Scope::InviteEdit.name()
                )
            } else {
                "free a seat or buy one, and try to invite the address by hand to see what Docker Hub says; then repeat the event".to_owned()
            },
        ),
        Denied::NotInvited(said) => Error::needs_human(
            format!(
                "Docker Hub does not invite the address{}: most likely the organization has no free seat",
                quoted(said)
            ),
            "free a seat or buy one, and see at Docker Hub whether the invitation was sent; then repeat the event",
        ),
        Denied::Refused(status, said) => Error::needs_human(
            format!("Docker Hub refuses what the owner asked (status {status}){}", quoted(said)),
            "try it by hand as an owner to see what Docker Hub says; then repeat the event",
        ),
    }
}

/// A PAT without its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pat {
    /// Its uuid.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Whether it is active.
    pub active: bool,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// A repository of the organization.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Repository {
    /// Its name, without the organization.
    pub name: String,
    /// Whether it is private.
    pub private: bool,
    /// Whether it is a plugin, which has a scope type of its own at the registry.
    pub plugin: bool,
}

/// What a manifest `HEAD` came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Head {
    /// 200: the manifest can be read.
    Readable {
        /// Whether it is an index (a manifest list) by its `Content-Type`.
        index: bool,
    },
    /// 404 or 406: the tag was deleted since it was listed, or the manifest is of a type that the request does not name.
    /// Whoever can push can bring this about, so it says nothing about the token's rights.
    Absent,
    /// 401: the registry token does not give the right to pull. Missing and forbidden repositories answer alike (observed).
    Denied,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_is_not_allowed_names_the_missing_scope_and_the_role_that_suffices() {
        for scope in [
            Scope::MemberRead,
            Scope::MemberEdit,
            Scope::InviteRead,
            Scope::InviteEdit,
            Scope::GroupRead,
            Scope::GroupEdit,
        ] {
            let error = refusal(&Denied::NotAllowed(scope)).to_string();
            assert!(error.contains(&format!("the scope `{}`", scope.name())), "{error}");
            // the documentation lets owners alone change roles
            assert_eq!(error.contains("`Member management`"), scope != Scope::MemberEdit, "{error}");
        }
        assert!(refusal(&Denied::NoSeat(403, String::new())).to_string().contains("scope-invite-edit"));
        assert!(!refusal(&Denied::NoSeat(402, String::new())).to_string().contains("scope-"));
    }

    #[test]
    fn every_refusal_has_a_kind_and_a_remedy() {
        for (denied, kind) in [
            (Denied::Undecided(HubError::Unavailable("x".into())), Kind::Retryable),
            (Denied::NotAllowed(Scope::MemberEdit), Kind::Misconfigured),
            (Denied::NoSeat(403, String::new()), Kind::NeedsHuman),
            (Denied::NoOrganization, Kind::Misconfigured),
            (Denied::NoTeam, Kind::Misconfigured),
            (Denied::Gone, Kind::Retryable),
            (Denied::BadAddress, Kind::Misconfigured),
            (Denied::Conflict("conflict".into()), Kind::NeedsHuman),
            (Denied::NoSeat(402, String::new()), Kind::NeedsHuman),
            (Denied::NotInvited("no seats available".into()), Kind::NeedsHuman),
            (Denied::Refused(422, String::new()), Kind::NeedsHuman),
        ] {
            let error = refusal(&denied);
            assert_eq!(error.kind(), kind, "{denied:?}");
            assert!(error.to_string().contains("remedy: "), "{error}");
        }
    }
}
