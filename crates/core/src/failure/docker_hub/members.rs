//! Maps Docker Hub's refusals to show or change an organization's members, teams and invitations. The bodies of
//! refusals are not documented, so the status decides; only plain words of the text are passed on.

use super::unusable;
use crate::error::Error;
use crate::hub::{Denied, Scope};

/// A refused request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// HTTP status, other than 2xx.
    pub status: u16,
    /// Whether a 429 is about failed logins.
    pub failed_logins: bool,
    /// Plain words of the response's message; empty if it has none.
    pub words: String,
}

/// A list is refused. `what` names the list, and `scope` is the scope that an organization access token needs for it.
pub fn unlisted(what: &str, status: u16, failed_logins: bool, scope: Scope) -> Denied {
    match status {
        403 => Denied::NotAllowed(scope),
        404 => Denied::Gone,
        _ => unusable(what, status, failed_logins).into(),
    }
}

/// A change that needs `scope` is refused; `None` if the service may have applied it.
pub fn unchanged(what: &str, refused: Refused, scope: Scope) -> Option<Denied> {
    let Refused { status, failed_logins, words } = refused;
    match status {
        401 | 429 => Some(unusable(what, status, failed_logins).into()),
        403 => Some(Denied::NotAllowed(scope)),
        404 => Some(Denied::Gone),
        409 => Some(Denied::Conflict(words)),
        400..=499 => Some(Denied::Refused(status, words)),
        _ => None,
    }
}

/// An invitation is refused; `None` if the service may have sent it.
pub fn uninvited(refused: Refused, to_team: bool) -> Option<Denied> {
    let Refused { status, failed_logins, words } = refused;
    match status {
        401 | 429 => Some(unusable("invitation", status, failed_logins).into()),
        404 => Some(if to_team { Denied::NoTeam } else { Denied::NoOrganization }),
        409 => Some(Denied::Conflict(words)),
        // a missing right and a missing seat return the same status
        400 | 402 | 403 => Some(Denied::NoSeat(status, words)),
        400..=499 => Some(Denied::Refused(status, words)),
        _ => None,
    }
}

/// The purpose of a scope, as it follows "may not".
fn purpose(scope: Scope) -> &'static str {
    match scope {
        Scope::MemberRead => "list the organization's members",
        Scope::MemberEdit => "change a member's role",
        Scope::InviteRead => "list the organization's invitations",
        Scope::InviteEdit => "invite members",
        Scope::GroupRead => "list the members of the team",
        Scope::GroupEdit => "add members to the team",
    }
}

/// Maps a refusal of Docker Hub to an error with its remedy.
pub fn refusal(denied: &Denied) -> Error {
    let quoted = |said: &str| if said.is_empty() { String::new() } else { format!(" ({said})") };
    match denied {
        Denied::Undecided(error) => Error::retryable(
            format!("Docker Hub did not complete the request: {}", error.message()),
            "repeat the event",
        ),
        Denied::NotAllowed(scope) => Error::misconfigured(
            format!("the login of the owner secret may not {} (status 403)", purpose(*scope)),
            match scope {
                Scope::MemberEdit => format!(
                    "an organization access token needs the scope `{}`; a password login needs the role of an organization owner",
                    scope.name()
                ),
                _ => format!(
                    "an organization access token needs the scope `{}`; a password login needs the role of an organization owner, or a custom role with `Member management`; a personal access token never suffices",
                    scope.name()
                ),
            },
        ),
        Denied::NoOrganization => Error::misconfigured(
            "the organization does not exist at Docker Hub, or the account of the owner secret cannot see it (status 404)",
            "check `organization`, and that the login in `owner` belongs to this organization",
        ),
        Denied::NoTeam => Error::misconfigured(
            "the team in `user.team` does not exist in the organization (status 404)",
            "create the team at Docker Hub with `read` access to every repository, or correct `user.team`",
        ),
        Denied::Gone => Error::retryable(
            "the invitation or the member no longer exists (status 404)",
            "repeat the event, which checks again",
        ),
        Denied::BadAddress => Error::misconfigured(
            "Docker Hub rejects the address in `user.email` as invalid",
            "correct `user.email` in the secret",
        ),
        Denied::Conflict(said) => Error::needs_human(
            format!("Docker Hub reports a conflict with an existing member or invitation (status 409){}", quoted(said)),
            "check the members, the invitations and the free seats at Docker Hub, then repeat the event",
        ),
        Denied::NoSeat(status, said) => Error::needs_human(
            format!(
                "Docker Hub refuses the invitation (status {status}){}: most likely the organization has no free seat{}",
                quoted(said),
                if *status == 403 { ", or the owner secret's login may not invite" } else { "" }
            ),
            if *status == 403 {
                format!(
                    "free or buy a seat; an organization access token also needs the scope `{}`, a user account the role of an owner or a custom role with `Member management`; invite the address by hand to see Docker Hub's message, then repeat the event",
                    Scope::InviteEdit.name()
                )
            } else {
                "free or buy a seat, invite the address by hand to see Docker Hub's message, then repeat the event"
                    .to_owned()
            },
        ),
        Denied::NotInvited(said) => Error::needs_human(
            format!(
                "Docker Hub did not invite the address{}: most likely the organization has no free seat",
                quoted(said)
            ),
            "free or buy a seat, check at Docker Hub whether the invitation was sent, then repeat the event",
        ),
        Denied::Refused(status, said) => Error::needs_human(
            format!("Docker Hub rejects the request of the owner's login (status {status}){}", quoted(said)),
            "try the same by hand as an owner to see Docker Hub's message, then repeat the event",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::hub::HubError;

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
            // according to the documentation, only owners can change roles
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

    #[test]
    fn a_refused_change_is_told_from_one_that_may_have_been_made() {
        let refused = |status| Refused { status, failed_logins: false, words: "said".into() };
        for (status, change, invitation) in [
            (400, Some(Denied::Refused(400, "said".into())), Some(Denied::NoSeat(400, "said".into()))),
            (402, Some(Denied::Refused(402, "said".into())), Some(Denied::NoSeat(402, "said".into()))),
            (403, Some(Denied::NotAllowed(Scope::GroupEdit)), Some(Denied::NoSeat(403, "said".into()))),
            (404, Some(Denied::Gone), Some(Denied::NoOrganization)),
            (409, Some(Denied::Conflict("said".into())), Some(Denied::Conflict("said".into()))),
            (422, Some(Denied::Refused(422, "said".into())), Some(Denied::Refused(422, "said".into()))),
            (500, None, None),
            (302, None, None),
        ] {
            assert_eq!(unchanged("change of a team", refused(status), Scope::GroupEdit), change, "{status}");
            assert_eq!(uninvited(refused(status), false), invitation, "{status}");
        }
        for status in [401, 429] {
            assert!(
                matches!(unchanged("x", refused(status), Scope::GroupEdit), Some(Denied::Undecided(_))),
                "{status}"
            );
            assert!(matches!(uninvited(refused(status), true), Some(Denied::Undecided(_))), "{status}");
        }
        assert_eq!(uninvited(refused(404), true), Some(Denied::NoTeam));
    }

    #[test]
    fn a_list_that_is_not_shown_names_its_scope() {
        assert_eq!(unlisted("x", 403, false, Scope::InviteRead), Denied::NotAllowed(Scope::InviteRead));
        assert_eq!(unlisted("x", 404, false, Scope::InviteRead), Denied::Gone);
        assert!(matches!(unlisted("x", 429, true, Scope::InviteRead), Denied::Undecided(HubError::LockedOut(_))));
        assert!(matches!(unlisted("x", 401, false, Scope::InviteRead), Denied::Undecided(HubError::Unexpected(_))));
    }
}
