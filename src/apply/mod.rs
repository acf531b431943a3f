//! Runs the steps of a plan, and checks the preconditions of each step again before its write.

mod connector;
mod membership;
mod tokens;

use std::time::Duration;

use hubkeeper_core::error::Error;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::plan::preconditions::{may_move, still_admitted};
use hubkeeper_core::plan::refusals::refusal;
use hubkeeper_core::plan::state::{Recheck, State};
use hubkeeper_core::plan::steps::Step;
use hubkeeper_core::report::Report;
use hubkeeper_core::request::Trigger;
use hubkeeper_core::secret::kept::{CONNECTOR_TAG, STACK_TAG};
use hubkeeper_core::secret::labels::{MANAGED, MANAGED_TAG, OFFBOARDED};
use hubkeeper_core::secret::{Document, Label, Managed};
use hubkeeper_core::warning::{Warning, WarningCode};

use crate::clients::{Services, Writers};
use crate::prove::{self, Proof};

/// Maximum age of a read that can replace the read right before a write.
const FRESH: Duration = Duration::from_secs(1);

/// Runs the steps of a plan for one event.
pub struct Executor<'a> {
    /// The clients that read.
    pub services: &'a Services,
    /// The clients that write.
    pub writers: &'a Writers,
    /// The event that triggered the run.
    pub trigger: &'a Trigger,
    /// The state that the plan was made from. The steps keep it up to date.
    pub state: &'a mut State,
    /// The report that the steps fill.
    pub report: &'a mut Report,
    /// The rotation token of the event, which the put of a rotation passes on.
    pub rotation_token: Option<&'a secrecy::SecretString>,
    /// Labels and connector, read while the proof finished.
    pub look: Option<Recheck>,
    /// Whether to write although nothing changed.
    pub force: bool,
    /// Whether a request that writes was sent.
    pub wrote: bool,
    /// Whether the labels moved during the write of the connector: the state must be read and planned again.
    pub overtaken: bool,
}

impl Executor<'_> {
    /// Runs the steps in order, and stops at the first error.
    ///
    /// # Errors
    /// Returns the error of the step that failed.
    pub async fn run(&mut self, steps: &[Step]) -> Result<(), Error> {
        for step in steps {
            let since = self.services.now();
            let result = Box::pin(self.step(step)).await;
            self.report.stage(since, self.services.now(), step.name(), &result);
            result?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::TagManaged { connector, stack } => self.tag_managed(connector.as_deref(), stack.as_deref()).await,
            Step::TagInvite { state } => self.tag_invitation(*state).await,
            Step::Invite { .. } => self.invite().await,
            Step::Resend => self.resend().await,
            Step::SetRole { role } => self.set_role(*role).await,
            Step::AddToTeam { team } => self.add_to_team(team).await,
            Step::TagOffboarded => self.tag_offboarded().await,
            Step::DeleteConnector => self.delete_connector().await,
            Step::DeactivateToken { id } => self.deactivate_token(id).await,
            Step::DeleteToken { id } => self.delete_token(id).await,
            Step::ActivateToken { id } => self.activate_token(id).await,
            Step::MintToken { version, label } => self.mint(version, *label).await,
            Step::CopyCandidate { from, to } => self.copy_candidate(from, to).await,
            Step::RevokeOrphaned { version } => self.revoke_orphaned(version).await,
            Step::StageCandidate { version } => self.stage_candidate(version).await,
            Step::Prove { version } => self.prove(version).await,
            Step::WriteConnector { version, .. } => self.write_connector(version).await,
            Step::MoveCurrent { from, to } => self.move_current(from, to).await,
            Step::Unstage { from } => self.unstage(from).await,
        }
    }

    fn arn(&self) -> &str {
        &self.state.world.secret.arn
    }

    fn document(&self, version: &VersionId) -> Result<Document, Error> {
        self.state.world.document_of(version).cloned().ok_or_else(|| {
            Error::retryable(format!("version {version} of the secret has no value"), "repeat the event")
        })
    }

    /// Sets the missing tags in one request. Does not re-activate a secret that was offboarded in the meantime.
    async fn tag_managed(&mut self, connector: Option<&str>, stack: Option<&str>) -> Result<(), Error> {
        let before = self.state.world.secret.managed();
        if before == Managed::No && self.services.store.describe(self.arn()).await?.managed() == Managed::Offboarded {
            return Err(Error::retryable(
                "the secret was offboarded meanwhile",
                "nothing was written; repeat the event",
            ));
        }
        let managed = (before != Managed::Yes).then_some(MANAGED);
        let tags = [(MANAGED_TAG, managed), (CONNECTOR_TAG, connector), (STACK_TAG, stack)];
        self.wrote = true;
        self.writers.store.set_tags(self.arn(), &tags).await?;
        self.state.world.note_tags(connector, stack);
        if before == Managed::Offboarded {
            // an earlier read shows the old tag
            self.look = None;
        }
        Ok(())
    }

    async fn tag_offboarded(&mut self) -> Result<(), Error> {
        let fresh = self.services.store.describe(self.arn()).await?;
        hubkeeper_core::plan::admission::no_rotation(&fresh)?;
        self.wrote = true;
        self.writers.store.tag(self.arn(), OFFBOARDED).await
    }

    async fn stage_candidate(&mut self, version: &VersionId) -> Result<(), Error> {
        let fresh = self.services.store.describe(self.arn()).await?;
        still_admitted(self.trigger, &self.state.world.version, &self.state.world, &fresh)?;
        match fresh.version(Label::Candidate) {
            None => {}
            Some(staged) if staged == version => return Ok(()),
            Some(staged) => return Err(staged_meanwhile(staged)),
        }
        self.wrote = true;
        // names no version to move from, so AWS rejects the request if somebody staged another version in the meantime
        let moved = self.writers.store.move_label(self.arn(), Label::Candidate, None, Some(version)).await;
        self.settle(moved, |secret| secret.bears(version, Label::Candidate)).await?;
        // an earlier read shows the version with the label
        self.look = None;
        Ok(())
    }

    async fn prove(&mut self, version: &VersionId) -> Result<(), Error> {
        let document = self.document(version)?;
        let Proof { verdict, recheck } =
            prove::examine_minted(self.services, &self.state.world, version, &document).await?;
        self.report.note_verdict(&verdict);
        if !verdict.is_complete() {
            return Err(refusal(&verdict));
        }
        self.look = recheck;
        self.state.progress.note_proven(version, verdict);
        Ok(())
    }

    async fn move_current(&mut self, from: &VersionId, to: &VersionId) -> Result<(), Error> {
        let document = self.document(to)?;
        let look = self.services.look(self.arn(), &document.connector.id).await?;
        if look.secret.version(Label::Current) == Some(to) {
            return Ok(());
        }
        may_move(self.trigger, from, to, &document, &self.state.world, &look)?;
        self.wrote = true;
        let moved = self.writers.store.move_label(self.arn(), Label::Current, Some(from), Some(to)).await;
        self.settle(moved, |secret| secret.bears(to, Label::Current)).await?;
        if let Some(current) = &self.state.world.current
            && current.document.access_token.is_some()
            && current.document.token_id.is_none()
            && !current.document.same_token(&document)
        {
            self.report.warn(Warning::new(WarningCode::ReplacedByHand,
                format!("the token of version {from} was made by hand and is replaced: revoke it at Docker Hub once nothing else uses it"),
            ));
        }
        Ok(())
    }

    async fn unstage(&mut self, from: &VersionId) -> Result<(), Error> {
        let fresh = self.services.store.describe(self.arn()).await?;
        if !fresh.bears(from, Label::Candidate) {
            return Ok(());
        }
        self.wrote = true;
        let moved = self.writers.store.move_label(self.arn(), Label::Candidate, Some(from), None).await;
        self.settle(moved, |secret| !secret.bears(from, Label::Candidate)).await
    }

    /// Settles a label move whose response is lost or an error, by a read of the labels.
    async fn settle(
        &self,
        moved: Result<(), Error>,
        done: impl Fn(&hubkeeper_core::secret::Secret) -> bool,
    ) -> Result<(), Error> {
        let Err(error) = moved else { return Ok(()) };
        match self.services.store.describe(self.arn()).await {
            Ok(secret) if done(&secret) => Ok(()),
            _ => Err(error),
        }
    }
}

fn staged_meanwhile(version: &VersionId) -> Error {
    Error::retryable(
        format!("version {version} was staged HUBKEEPER_CANDIDATE meanwhile"),
        "repeat the event: it continues with that version, and a later reconcile retires the minted token",
    )
}
