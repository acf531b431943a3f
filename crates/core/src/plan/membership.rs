//! Onboarding from zero: decides from the tag, the owner's view and the requested user (docs/operating.md).
//! Pure.
//!
//! Each read leads to a few steps, and the planner runs again on their result, until the user is a member as requested or a
//! person has to act. A user is invited at most once; a vanished invitation is never replaced.

use time::Duration;

use crate::error::Error;
use crate::hub::{Invite, Member, Roster};
use crate::plan::state::{State, World};
use crate::plan::steps::Step;
use crate::secret::document::{InvitationRequest, Role};
use crate::secret::invitation::{INVITE_TAG, RESENDS};
use crate::secret::{Document, Invitation, Managed};
use crate::time::{Timestamp, age_days, rfc3339};
use crate::warning::{Warning, WarningCode};

/// Minimum time between two sends of an invitation.
const PATIENCE: Duration = Duration::days(3);

/// What must happen before the token is examined.
#[derive(Clone, PartialEq, Debug)]
pub enum Membership {
    /// The owner's view must be read.
    Look,
    /// Run these steps, then ask again with their result.
    First(Vec<Step>, Vec<Warning>),
    /// A person has to act.
    Awaiting(String),
    /// Nothing: the user is a member as requested, or the secret does not request one.
    Settled,
}

/// The dedicated user's membership. No `Debug`: it holds addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// A member.
    Member(&'a Member),
    /// The address belongs to a member with another user name.
    Elsewhere(&'a Member),
    /// Invited, and not a member yet.
    Invited(&'a Invite),
    /// Neither a member nor invited.
    Stranger,
}

/// Finds the dedicated user by user name, else by address.
pub fn standing<'a>(roster: &'a Roster, username: &str, email: &str) -> Standing<'a> {
    let has_address = |member: &&Member| member.email.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(email));
    if let Some(member) = roster.members.iter().find(|member| member.username.eq_ignore_ascii_case(username)) {
        return Standing::Member(member);
    }
    if let Some(member) = roster.members.iter().find(has_address) {
        return Standing::Elsewhere(member);
    }
    let names_user =
        |invite: &&Invite| invite.invitee.eq_ignore_ascii_case(email) || invite.invitee.eq_ignore_ascii_case(username);
    roster.invites.iter().find(names_user).map_or(Standing::Stranger, Standing::Invited)
}

/// Whether a reconcile resumes an onboarding from zero: it began, and the user is not a member yet or there is no token.
pub fn carries_on(world: &World) -> bool {
    let Some(document) = &world.document else { return false };
    let at_rest = world.secret.managed() == Managed::Yes && world.stuck().is_none();
    let began = world.secret.tags.contains_key(INVITE_TAG);
    let joined = matches!(world.secret.invitation(), Ok(Some(Invitation::Member)));
    at_rest
        && began
        && (document.access_token.is_none() || (document.invitation.is_some() && (!joined || world.roster.is_some())))
}

/// Decides what must happen before the token is examined.
///
/// # Errors
/// A refusal, or what a person must do first.
pub fn membership(state: &State, fix_role: bool) -> Result<Membership, Error> {
    let Some((document, requested)) = asked(&state.world) else { return Ok(Membership::Settled) };
    let tag = state.world.secret.invitation()?;
    if tag == Some(Invitation::Member) {
        return Ok(Membership::Settled);
    }
    let Some(roster) = &state.world.roster else { return Ok(Membership::Look) };
    let first = |steps| Ok(Membership::First(steps, Vec::new()));
    let invite = Step::Invite { role: requested.role, team: requested.team.clone() };
    match (standing(roster, &document.username, &requested.email), tag) {
        (Standing::Member(member), _) => joined(member, roster, requested, fix_role),
        (Standing::Elsewhere(member), _) => Err(Error::needs_human(
            format!(
                "the address in `user.email` belongs to the member {}, but the secret's `username` is {}",
                crate::redact::name(&member.username),
                document.username
            ),
            "correct `username` in the secret, or let the dedicated user join with an address of its own",
        )),
        (Standing::Invited(_), Some(Invitation::Pending { sent_at, resends })) => {
            let due = sent_at + PATIENCE * (i32::from(resends) + 1);
            if resends < RESENDS && state.world.now >= due && !state.progress.resent {
                // counted first: a run that is killed here sends one less, never one more
                let state = Invitation::Pending { sent_at, resends: resends + 1 };
                return first(vec![Step::TagInvite { state }, Step::Resend]);
            }
            Ok(Membership::Awaiting(acceptance(document, requested, sent_at, resends, state.world.now)))
        }
        (Standing::Invited(invite), _) => {
            // sent by this run, by an interrupted one, or by a person
            let sent_at = invite.created_at.filter(|at| *at <= state.world.now).unwrap_or(state.world.now);
            first(vec![Step::TagInvite { state: Invitation::Pending { sent_at, resends: 0 } }])
        }
        (Standing::Stranger, Some(Invitation::Pending { sent_at, .. })) => Err(Error::needs_human(
            format!(
                "the invitation of {} is no longer listed, and the secret's `username` is not a member",
                rfc3339(sent_at)
            ),
            format!(
                "it expired, was cancelled, or was accepted under another user name: check at Docker Hub; to invite again, remove the tag, then send onboard: {}",
                state.world.secret.untag_invitation()
            ),
        )),
        (Standing::Stranger, Some(Invitation::Asked)) => first(vec![invite]),
        (Standing::Stranger, _) => first(vec![Step::TagInvite { state: Invitation::Asked }, invite]),
    }
}

/// The document and the user that it requests, if it requests one.
pub fn asked(world: &World) -> Option<(&Document, &InvitationRequest)> {
    let document = world.document.as_ref()?;
    document.invitation.as_ref().map(|requested| (document, requested))
}

/// Compares a member's role with the requested one: equal, higher, or lower.
fn joined(
    member: &Member,
    roster: &Roster,
    requested: &InvitationRequest,
    fix_role: bool,
) -> Result<Membership, Error> {
    let mut warnings = Vec::new();
    let mut fixes = Vec::new();
    let mut wrong = Vec::new();
    let role = requested.role;
    match member.role {
        None => warnings.push(Warning::new(WarningCode::RoleUnknown,
            format!(
                "Docker Hub does not report the dedicated user's role, or it is a custom role; {} was requested: the proof decides whether the role suffices",
                role.name()
            ),
        )),
        Some(held) if held < role => {
            wrong.push(format!("has the role {}, but {} was requested", held.name(), role.name()));
            fixes.push(Step::SetRole { role });
        }
        Some(held) if held > role => warnings.push(Warning::new(WarningCode::RoleHigher,
            format!(
                "the dedicated user has the role {}, but {} was requested: only the token's permission limits it",
                held.name(),
                role.name()
            ),
        )),
        Some(_) => {}
    }
    // an editor or owner can read every repository without a team
    let by_team = role == Role::Member && member.role.is_none_or(|held| held == Role::Member);
    if let (true, Some(team)) = (by_team, &requested.team)
        && !roster.team.iter().flatten().any(|name| name.eq_ignore_ascii_case(&member.username))
    {
        wrong.push(format!("is not in the team {team}"));
        fixes.push(Step::AddToTeam { team: team.clone() });
    }
    if fixes.is_empty() {
        return Ok(Membership::First(vec![Step::TagInvite { state: Invitation::Member }], warnings));
    }
    if fix_role {
        return Ok(Membership::First(fixes, warnings));
    }
    Err(Error::refused(
        format!("the dedicated user {}", wrong.join(" and ")),
        "send onboard with `\"fixRole\": true`, which sets it; or set it at Docker Hub, or request less in `user`, and repeat the event",
    ))
}

/// The message while an invitation is pending.
fn acceptance(
    document: &Document,
    requested: &InvitationRequest,
    sent_at: Timestamp,
    resends: u8,
    now: Timestamp,
) -> String {
    format!(
        "{} was invited to the organization {} as {} at {} ({} days ago, sent again {resends} of {RESENDS} times): open Docker's e-mail and follow its link, as the Docker user {} (create the account there if necessary). Nothing else was changed; reconcile continues once the invitation is accepted",
        requested.email,
        document.organization,
        requested.role.name(),
        rfc3339(sent_at),
        age_days(sent_at, now),
        document.username,
    )
}

/// Applies the steps' effect to the state, so that a plan can continue without running them.
pub fn foresee(state: &mut State, steps: &[Step]) {
    let Some((username, email)) =
        asked(&state.world).map(|(document, requested)| (document.username.clone(), requested.email.clone()))
    else {
        return;
    };
    let now = state.world.now;
    for step in steps {
        if let Step::TagManaged { connector, stack } = step {
            state.world.note_tags(connector.as_deref(), stack.as_deref());
        }
        match (step, &mut state.world.roster) {
            (Step::TagInvite { state: invitation }, _) => {
                state.world.secret.tags.insert(INVITE_TAG.to_owned(), invitation.value());
            }
            (Step::Resend, _) => state.progress.resent = true,
            (Step::Invite { .. }, Some(roster)) => {
                roster.invites.push(Invite { id: String::new(), invitee: email.clone(), created_at: Some(now) });
            }
            (Step::SetRole { role }, Some(roster)) => {
                let own = roster.members.iter_mut().filter(|member| member.username.eq_ignore_ascii_case(&username));
                own.for_each(|member| member.role = Some(*role));
            }
            (Step::AddToTeam { .. }, Some(roster)) => roster.team.get_or_insert_default().push(username.clone()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
