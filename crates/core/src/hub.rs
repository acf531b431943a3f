//! Docker Hub's responses as values: people, tokens, repositories, and reasons for a refusal.

use crate::ids::TokenId;
use crate::secret::document::Role;
use crate::time::Timestamp;

/// A request to Docker Hub failed, without proof that the token is bad.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HubError {
    /// No response, a rate limit or an outage: inconclusive. The text says what happened.
    Unavailable(String),
    /// Docker Hub rejects every login under this user name for a while, after too many failed ones. The text says where.
    LockedOut(String),
    /// An unreadable response, or an undocumented status: inconclusive. The text says what happened.
    Unexpected(String),
}

impl HubError {
    /// What happened, for messages.
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
    /// The role; `None` if it is not one of Docker's own, or is not shown.
    pub role: Option<Role>,
}

/// An invitation that nobody has accepted yet. No `Debug`: the address is a person's.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// Its id.
    pub id: String,
    /// E-mail address, or user name of a registered user.
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
    /// User names in the requested team; `None` if no team was requested.
    pub team: Option<Vec<String>>,
}

/// The scope that an organization access token needs for a request (Docker's reference of organization access tokens).
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
}

/// Why Docker Hub denies an owner a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// Inconclusive.
    Undecided(HubError),
    /// 403: the account is neither an owner nor has a role that may manage members, or the token lacks this scope.
    NotAllowed(Scope),
    /// 404: the organization does not exist, or the session cannot see it.
    NoOrganization,
    /// 404: the team does not exist.
    NoTeam,
    /// 404: the invitation, or the member, no longer exists.
    Gone,
    /// Docker Hub rejects the address.
    BadAddress,
    /// 409: it exists already, or is in progress.
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

/// A PAT without its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pat {
    /// Its uuid.
    pub id: TokenId,
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

/// The result of a manifest `HEAD`.
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
    /// 401: the registry token does not grant the pull. Missing and forbidden repositories have the same response (observed).
    Denied,
}
