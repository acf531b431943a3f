//! Runs the steps of an onboarding without a token: tag, invitation, role and team.
//!
//! Each step reads the current state right before its request, and settles a lost response by a read: an invitation is
//! an e-mail to a person and must not be sent twice.

use hubkeeper_core::error::Error;
use hubkeeper_core::failure::docker_hub::members::refusal;
use hubkeeper_core::hub::{Denied, HubError, Invite, Member};
use hubkeeper_core::plan::membership::{Standing, asked, standing};
use hubkeeper_core::plan::preconditions::still_admitted;
use hubkeeper_core::secret::document::{InvitationRequest, Role};
use hubkeeper_core::secret::invitation::INVITE_TAG;
use hubkeeper_core::secret::{Document, Invitation};
use hubkeeper_core::warning::{Warning, WarningCode};

use crate::apply::{Executor, FRESH};
use crate::clients::hub::members::{Changed, Invited};

/// Maximum number of reads of a value that may not be visible everywhere yet.
const LOOKS: u32 = 3;

/// What the secret asks for. No `Debug`: the document holds a token.
struct Asked {
    document: Document,
    requested: InvitationRequest,
}

/// The dedicated user as a member of the organization.
struct Joined {
    member: Member,
    /// User names of the team's members.
    team: Vec<String>,
}

/// A member that a change is due for. No `Debug`: the document holds a token.
struct Change {
    document: Document,
    /// The user's name as Docker Hub spells it.
    username: String,
}

impl Executor<'_> {
    pub(super) async fn tag_invitation(&mut self, state: Invitation) -> Result<(), Error> {
        self.still_ours().await?;
        self.wrote = true;
        self.writers.store.tag_invitation(self.arn(), state).await?;
        self.state.world.secret.tags.insert(INVITE_TAG.to_owned(), state.value());
        Ok(())
    }

    /// Invites the dedicated user, unless another run or a person has invited them in the meantime.
    pub(super) async fn invite(&mut self) -> Result<(), Error> {
        self.still_ours().await?;
        self.look_at_roster().await?;
        if !self.is_stranger() {
            return Ok(());
        }
        let Asked { document, requested } = self.asked()?;
        let session = self.services.owner(&self.state.world.secret, &document).await?;
        self.wrote = true;
        let unknown = match self.writers.hub.invite(&session, &document.organization, &requested).await {
            Ok(Invited::Sent(invite)) => {
                let at = self.services.now();
                let invite =
                    invite.unwrap_or(Invite { id: String::new(), invitee: requested.email, created_at: Some(at) });
                if let Some(roster) = &mut self.state.world.roster {
                    roster.invites.push(invite);
                }
                return Ok(());
            }
            Ok(Invited::Member) => Error::needs_human(
                "Docker Hub reports that the address in `user.email` belongs to a member, but the secret's `username` is not a member",
                "check at Docker Hub under which user name the address joined; correct `username`, or invite another address",
            ),
            Ok(Invited::Unknown(why)) => Error::retryable(
                format!("it is not known whether Docker Hub sent the invitation ({why})"),
                "repeat the event: it checks and continues from there",
            ),
            Err(denied @ (Denied::Conflict(_) | Denied::NotInvited(_))) => refusal(&denied),
            Err(denied) => return Err(refusal(&denied)),
        };
        for attempt in 0..LOOKS {
            if attempt > 0 && !self.services.http_client.wait(FRESH).await {
                break;
            }
            self.look_at_roster().await?;
            if !self.is_stranger() {
                return Ok(());
            }
        }
        Err(unknown)
    }

    /// Resends the invitation. The tag has already counted this resend.
    pub(super) async fn resend(&mut self) -> Result<(), Error> {
        self.state.progress.resent = true;
        self.still_ours().await?;
        self.look_at_roster().await?;
        let Asked { document, requested } = self.asked()?;
        let roster = self.state.world.roster.as_ref();
        let invite = roster.map(|roster| standing(roster, &document.username, &requested.email));
        let Some(Standing::Invited(Invite { id, .. })) = invite else { return Ok(()) };
        let session = self.services.owner(&self.state.world.secret, &document).await?;
        self.wrote = true;
        match self.writers.hub.resend(&session, id).await {
            Ok(Changed::Done) => Ok(()),
            Ok(Changed::Unknown(why)) => {
                self.report.warn(Warning::new(
                    WarningCode::ResendUnknown,
                    format!("it is not known whether the invitation was sent again ({why}): it counts as sent"),
                ));
                Ok(())
            }
            // the user accepted or somebody cancelled the invitation in the meantime
            Err(Denied::Gone) => self.look_at_roster().await,
            Err(denied) => Err(refusal(&denied)),
        }
    }

    pub(super) async fn set_role(&mut self, role: Role) -> Result<(), Error> {
        let is_set = |member: &Member, _: &[String]| member.role.is_some_and(|held| held >= role);
        let Some(Change { document, username }) = self.before_change(is_set).await? else { return Ok(()) };
        let session = self.services.owner(&self.state.world.secret, &document).await?;
        self.wrote = true;
        let set = self.writers.hub.set_role(&session, &document.organization, &username, role).await;
        self.settle_change(set, "the role", is_set).await
    }

    pub(super) async fn add_to_team(&mut self, team: &str) -> Result<(), Error> {
        let is_in = |member: &Member, team: &[String]| {
            team.iter().any(|username| username.eq_ignore_ascii_case(&member.username))
        };
        let Some(Change { document, username }) = self.before_change(is_in).await? else { return Ok(()) };
        let session = self.services.owner(&self.state.world.secret, &document).await?;
        self.wrote = true;
        let added = self.writers.hub.add_to_team(&session, &document.organization, team, &username).await;
        let added = added.map_err(|denied| if denied == Denied::Gone { Denied::NoTeam } else { denied });
        self.settle_change(added, "the team", is_in).await
    }

    /// Returns the document and the user's name at Docker Hub, or `None` if nothing needs to change.
    async fn before_change(&mut self, is_done: impl Fn(&Member, &[String]) -> bool) -> Result<Option<Change>, Error> {
        self.still_ours().await?;
        self.look_at_roster().await?;
        let Asked { document, .. } = self.asked()?;
        let member = self.member();
        Ok(member
            .filter(|found| !is_done(&found.member, &found.team))
            .map(|found| Change { document, username: found.member.username }))
    }

    /// Checks that a change is visible. Only that counts, whatever the response was.
    async fn settle_change(
        &mut self,
        changed: Result<Changed, Denied>,
        what: &str,
        is_done: impl Fn(&Member, &[String]) -> bool,
    ) -> Result<(), Error> {
        let unknown = |why: &str| {
            Error::retryable(
                format!("{what} was set, but Docker Hub does not show it yet{why}"),
                "repeat the event, which checks again",
            )
        };
        let error = match changed {
            Ok(Changed::Done) => unknown(""),
            Ok(Changed::Unknown(why)) => unknown(&format!(" ({why})")),
            Err(Denied::Undecided(error @ HubError::Unavailable(_))) => unknown(&format!(" ({})", error.message())),
            Err(denied) => return Err(refusal(&denied)),
        };
        for attempt in 0..LOOKS {
            if attempt > 0 && !self.services.http_client.wait(FRESH).await {
                break;
            }
            self.look_at_roster().await?;
            if self.member().is_some_and(|found| is_done(&found.member, &found.team)) {
                return Ok(());
            }
        }
        Err(error)
    }

    /// Checks that labels and tags still admit the event, and that no other run has continued the invitation.
    async fn still_ours(&self) -> Result<(), Error> {
        let known = self.state.world.secret.invitation()?;
        for attempt in 0..LOOKS {
            // the tag that was just set may not be visible everywhere yet
            if attempt > 0 && !self.services.http_client.wait(FRESH).await {
                break;
            }
            let fresh = self.services.store.describe(self.arn()).await?;
            still_admitted(self.trigger, &self.state.world.version, &self.state.world, &fresh)?;
            if fresh.invitation()? == known {
                return Ok(());
            }
        }
        Err(Error::retryable(
            "another run has continued with the invitation (tag hubkeeper-invite)",
            "repeat the event: it continues from there",
        ))
    }

    async fn look_at_roster(&mut self) -> Result<(), Error> {
        let Asked { document, requested } = self.asked()?;
        self.state.world.roster = Some(self.services.roster(&self.state.world.secret, &document, &requested).await?);
        Ok(())
    }

    fn is_stranger(&self) -> bool {
        let found = self.state.world.roster.as_ref().zip(asked(&self.state.world));
        found.is_none_or(|(roster, (document, requested))| {
            standing(roster, &document.username, &requested.email) == Standing::Stranger
        })
    }

    /// Returns the dedicated user as a member of the organization, and the members of the team.
    fn member(&self) -> Option<Joined> {
        let roster = self.state.world.roster.as_ref()?;
        let (document, requested) = asked(&self.state.world)?;
        match standing(roster, &document.username, &requested.email) {
            Standing::Member(member) => {
                Some(Joined { member: member.clone(), team: roster.team.clone().unwrap_or_default() })
            }
            _ => None,
        }
    }

    fn asked(&self) -> Result<Asked, Error> {
        let asked = asked(&self.state.world)
            .map(|(document, requested)| Asked { document: document.clone(), requested: requested.clone() });
        asked.ok_or_else(|| Error::retryable("the secret no longer requests an invitation", "repeat the event"))
    }
}
