//! Runs the steps of a plan, and checks each one's preconditions again before its write.

use std::time::Duration;

use super::planner::{may_move, may_write, refusal, still_admitted};
use super::state::{Look, Situation, Slot, Trigger, Version};
use super::steps::Step;
use crate::azure::connector::Written;
use crate::azure::merge::{self, Desired};
use crate::clock::{rfc3339, until};
use crate::error::Error;
use crate::flow::prove;
use crate::hub::tokens::Mint;
use crate::hub::{HubError, Session};
use crate::report::{Change, ConnectorReport, Report, Warning};
use crate::secret::store::Put;
use crate::secret::{Document, Label};
use crate::services::Services;

/// A look that is at most this old may stand for the one right before a write.
const FRESH: Duration = Duration::from_secs(1);
/// Attempts at a PUT whose answer is lost.
const PUT_ATTEMPTS: u32 = 3;

/// Runs steps for one event.
pub struct Executor<'a> {
    /// The clients.
    pub services: &'a Services,
    /// What set the function off.
    pub trigger: &'a Trigger,
    /// The state that the plan was made from; kept up to date by the steps.
    pub situation: &'a mut Situation,
    /// The report.
    pub report: &'a mut Report,
    /// To be passed on with the put of a rotation.
    pub rotation_token: Option<&'a secrecy::SecretString>,
    /// A look taken while the proof ended.
    pub look: Option<Look>,
    /// Write though nothing changed.
    pub force: bool,
}

impl Executor<'_> {
    /// Runs the steps in order; the first error ends them.
    ///
    /// # Errors
    /// The error of the step.
    pub async fn run(&mut self, steps: &[Step]) -> Result<(), Error> {
        for step in steps {
            let since = self.services.now();
            let result = Box::pin(self.step(step)).await;
            self.report.stage(self.services.outlet.clock().as_ref(), since, step.name(), &result);
            result?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::TagManaged => self.services.store.tag_managed(&self.situation.secret.arn).await,
            Step::MintToken { version, label } => self.mint(version, *label).await,
            Step::CopyCandidate { from, to } => self.copy_candidate(from, to).await,
            Step::RevokeStrays { version } => self.revoke_strays(version).await,
            Step::StageCandidate { version } => self.stage_candidate(version).await,
            Step::Prove { version } => self.prove(version).await,
            Step::WriteConnector { version, .. } => self.write_connector(version).await,
            Step::MoveCurrent { from, to } => self.move_current(from, to).await,
            Step::Unstage { from } => self.unstage(from).await,
        }
    }

    fn arn(&self) -> &str {
        &self.situation.secret.arn
    }

    fn document(&self, version: &str) -> Result<Document, Error> {
        self.situation.document_of(version).cloned().ok_or_else(|| {
            Error::retryable(format!("version {version} of the secret has no value"), "repeat the event")
        })
    }

    /// Makes a PAT and puts it. Nothing is revoked here: another attempt's put may have won.
    async fn mint(&mut self, version: &str, label: Label) -> Result<(), Error> {
        let fresh = self.services.store.describe(self.arn()).await?;
        if label == Label::Pending {
            still_admitted(self.trigger, version, self.situation, &fresh)?;
        } else {
            still_admitted(self.trigger, &self.situation.version, self.situation, &fresh)?;
        }
        let base = self.situation.current.as_ref().map(|current| current.document.clone());
        let base = base.or_else(|| self.situation.document.clone());
        let base =
            base.ok_or_else(|| Error::needs_human("the secret has no value", "put the secret's document first"))?;
        let session = self.services.manager(&base).await?;
        let token_label = self.situation.secret.token_label(version);
        let days = i64::from(self.services.config.token_lifetime_days);
        let now = self.services.now();
        let expires_at = now.replace_nanosecond(0).unwrap_or(now) + time::Duration::days(days);
        let hub = self.services.hub();
        let (id, token) = match hub.mint(&session, &token_label, expires_at).await.map_err(|error| undecided(&error))? {
            Mint::Minted { id, token } => (id, token),
            Mint::Refused(status) => return Err(mint_refused(status)),
            Mint::Unknown(why) => {
                // its value is lost in any case: the label shows what is there, and the stray is revoked after the put
                let known = hub.tokens(&session).await.map_err(|error| undecided(&error))?;
                let strays = known.iter().filter(|pat| pat.label == token_label).count();
                self.report.warn(Warning::new(
                    "mintRepeated",
                    format!("the answer to a token's creation was lost ({why}); {strays} token(s) of its label were found and another is made"),
                ));
                match hub.mint(&session, &token_label, expires_at).await.map_err(|error| undecided(&error))? {
                    Mint::Minted { id, token } => (id, token),
                    Mint::Refused(status) => return Err(mint_refused(status)),
                    Mint::Unknown(why) => {
                        return Err(Error::retryable(
                            format!("it is not known whether Docker Hub made a token ({why})"),
                            "repeat the event: tokens of this version's label that are not stored are revoked then",
                        ));
                    }
                }
            }
        };
        let next = base.with_minted(token, &id, expires_at);
        let put = self.services.store.put(self.arn(), version, &next, label, self.rotation_token).await?;
        if put == Put::Stored {
            self.report.tokens.minted = Some(id);
            self.report.tokens.expires_at = Some(rfc3339(expires_at));
        }
        Ok(())
    }

    /// Reads the stored value back and revokes every PAT of the version's label that is not the stored one. While the
    /// value cannot be read nothing is revoked.
    async fn revoke_strays(&mut self, version: &str) -> Result<(), Error> {
        let stage = if self.trigger.is_rotation() { Label::Pending } else { Label::Candidate };
        let stored = self.services.store.document(self.arn(), version, Some(stage.name())).await?;
        if stored.manager.is_some() {
            let session = self.services.manager(&stored).await?;
            self.revoke_all_but(&session, version, stored.token_id.as_deref()).await?;
        }
        if self.report.tokens.minted != stored.token_id {
            self.report.tokens.minted = None;
        }
        if self.situation.version == version {
            self.situation.document = Some(stored);
        } else {
            self.situation.candidate = Some(Version { id: version.to_owned(), document: stored.clone() });
            self.situation.slot = Some(Slot { id: version.to_owned(), document: Some(stored) });
        }
        Ok(())
    }

    async fn revoke_all_but(&mut self, session: &Session, version: &str, kept: Option<&str>) -> Result<(), Error> {
        let label = self.situation.secret.token_label(version);
        let hub = self.services.hub();
        let tokens = hub.tokens(session).await.map_err(|error| undecided(&error))?;
        for pat in tokens.iter().filter(|pat| pat.label == label && Some(pat.id.as_str()) != kept) {
            hub.revoke(session, &pat.id).await.map_err(|error| undecided(&error))?;
            self.report.tokens.retired.push(pat.id.clone());
        }
        Ok(())
    }

    async fn copy_candidate(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let fresh = self.services.store.describe(self.arn()).await?;
        still_admitted(self.trigger, to, self.situation, &fresh)?;
        if !fresh.bears(from, Label::Candidate) {
            return Err(Error::retryable(
                format!("version {from} is no longer staged HUBKEEPER_CANDIDATE"),
                "let the rotation run again",
            ));
        }
        let previous = self.situation.current.as_ref().map(|current| &current.document);
        let next = self.document(from)?.taken_from(from, previous);
        // another attempt's value is kept: a pending value is never replaced
        let _: Put = self.services.store.put(self.arn(), to, &next, Label::Pending, self.rotation_token).await?;
        let stored = self.services.store.document(self.arn(), to, Some(Label::Pending.name())).await?;
        self.situation.document = Some(stored);
        Ok(())
    }

    async fn stage_candidate(&mut self, version: &str) -> Result<(), Error> {
        let fresh = self.services.store.describe(self.arn()).await?;
        still_admitted(self.trigger, &self.situation.version, self.situation, &fresh)?;
        let from = fresh.version(Label::Candidate);
        if from == Some(version) {
            return Ok(());
        }
        let moved = self.services.store.move_label(self.arn(), Label::Candidate, from, Some(version)).await;
        self.settle(moved, |secret| secret.bears(version, Label::Candidate)).await
    }

    async fn prove(&mut self, version: &str) -> Result<(), Error> {
        let document = self.document(version)?;
        let (verdict, look) = prove::examine_minted(self.services, self.situation, version, &document).await?;
        self.report.verdict = Some(verdict.clone());
        for warning in &verdict.warnings {
            self.report.warn(warning.clone());
        }
        if !verdict.is_complete() {
            return Err(refusal(&verdict));
        }
        self.look = look;
        self.situation.verdict = Some((version.to_owned(), verdict));
        Ok(())
    }

    /// The second look, the merge, the PUT, the read-back. A lost answer is settled by looking.
    async fn write_connector(&mut self, version: &str) -> Result<(), Error> {
        let document = self.document(version)?;
        self.report.version_id = Some(version.to_owned());
        let verdict = self.situation.verdict_on(version).filter(|verdict| verdict.is_complete()).cloned();
        let (Some(verdict), Some(token)) = (verdict, document.access_token.clone()) else {
            return Err(Error::retryable("the token is not proven", "repeat the event"));
        };
        let spec = &document.connector;
        let fingerprint = self.situation.secret.fingerprint();
        let client_id = self.services.config.client_id.clone();
        let mut foreign_before = None;
        let mut sent = false;
        let mut created = false;
        for attempt in 1..=PUT_ATTEMPTS {
            let look = match self.look.take() {
                Some(look) if until(look.at, self.services.now()) <= FRESH => look,
                _ => self.services.look(self.arn(), spec).await?,
            };
            may_write(self.trigger, version, &document, self.situation, &look)?;
            let observed = look.connector.observed();
            let carried =
                observed.is_some_and(|found| found.carries(&document, &fingerprint, version, &client_id).is_ok());
            if carried && (sent || !self.force) {
                break;
            }
            let foreign =
                observed.map(|found| found.foreign_offerings().into_iter().map(str::to_owned).collect::<Vec<_>>());
            foreign_before.get_or_insert(foreign.unwrap_or_default());
            created |= observed.is_none();
            let desired = Desired {
                document: &document,
                token: &token,
                fingerprint: &fingerprint,
                version,
                proved_at: self.services.now(),
                proved: (verdict.repositories, verdict.private),
            };
            sent = true;
            match self.services.arm.put(spec, &merge::merge(&desired, observed), &token).await? {
                Written::Yes => break,
                Written::Unknown(why)
                    if attempt == PUT_ATTEMPTS || !self.services.outlet.wait(Duration::from_secs(2)).await =>
                {
                    return Err(Error::retryable(
                        format!("it is not known whether the connector was written ({why})"),
                        "repeat the event: it finds out and goes on from there",
                    ));
                }
                Written::Unknown(_) => {}
            }
        }
        let change = match (sent, created) {
            (false, _) => Change::None,
            (true, true) => Change::Created,
            (true, false) => Change::Updated,
        };
        self.report.connector = Some(ConnectorReport { id: spec.id(), change });
        self.read_back(&document, version, &foreign_before.unwrap_or_default()).await
    }

    async fn read_back(&mut self, document: &Document, version: &str, foreign_before: &[String]) -> Result<(), Error> {
        let fingerprint = self.situation.secret.fingerprint();
        let mut differs = String::from("it does not exist");
        for attempt in 0..2 {
            if attempt > 0 && !self.services.outlet.wait(FRESH).await {
                break;
            }
            let found = self.services.arm.get(&document.connector).await?;
            let Some(observed) = found.observed() else { continue };
            if let Err(why) = observed.carries(document, &fingerprint, version, &self.services.config.client_id) {
                differs = why;
            } else {
                let after = observed.foreign_offerings();
                let lost: Vec<_> = foreign_before.iter().filter(|name| !after.contains(&name.as_str())).collect();
                if !lost.is_empty() {
                    self.report.warn(Warning::new(
                        "offeringsLost",
                        format!(
                            "{} offering(s) of others were in the connector before the write and are not any more",
                            lost.len()
                        ),
                    ));
                }
                self.situation.connector = Some(found);
                return Ok(());
            }
        }
        Err(Error::retryable(
            format!("the connector was written and does not carry version {version}: {differs}"),
            "somebody else may have written it; repeat the event",
        ))
    }

    async fn move_current(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let document = self.document(to)?;
        let look = self.services.look(self.arn(), &document.connector).await?;
        if look.secret.version(Label::Current) == Some(to) {
            return Ok(());
        }
        may_move(self.trigger, from, to, &document, &self.services.config.client_id, self.situation, &look)?;
        let moved = self.services.store.move_label(self.arn(), Label::Current, Some(from), Some(to)).await;
        self.settle(moved, |secret| secret.bears(to, Label::Current)).await?;
        if let Some(current) = &self.situation.current
            && current.document.access_token.is_some()
            && current.document.token_id.is_none()
            && !current.document.same_token(&document)
        {
            self.report.warn(Warning::new(
                "replacedByHand",
                format!("the token of version {from} was made by hand and is replaced: revoke it at Docker Hub once nothing else uses it"),
            ));
        }
        Ok(())
    }

    async fn unstage(&mut self, from: &str) -> Result<(), Error> {
        let fresh = self.services.store.describe(self.arn()).await?;
        if !fresh.bears(from, Label::Candidate) {
            return Ok(());
        }
        let moved = self.services.store.move_label(self.arn(), Label::Candidate, Some(from), None).await;
        self.settle(moved, |secret| !secret.bears(from, Label::Candidate)).await
    }

    /// A label move whose answer is lost or refused is settled by what the labels are.
    async fn settle(
        &self,
        moved: Result<(), Error>,
        done: impl Fn(&crate::secret::Secret) -> bool,
    ) -> Result<(), Error> {
        let Err(error) = moved else { return Ok(()) };
        match self.services.store.describe(self.arn()).await {
            Ok(secret) if done(&secret) => Ok(()),
            _ => Err(error),
        }
    }
}

fn undecided(error: &HubError) -> Error {
    Error::retryable(format!("Docker Hub is undecided: {}", error.message()), "repeat the event")
}

fn mint_refused(status: u16) -> Error {
    let what = format!("Docker Hub refuses to make a token (status {status})");
    match status {
        401 | 403 => Error::needs_human(
            what,
            "the manager secret must hold the dedicated user's own password login: no token can make tokens, and enforced SSO refuses passwords",
        ),
        _ => Error::needs_human(
            what,
            "try to make a read-only token by hand as the dedicated user, and see what Docker Hub says",
        ),
    }
}
