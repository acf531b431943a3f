//! The way of one event about one secret: read the state, ask the planner, run or print what it says.
//!
//! A flow names its trigger and gathers the state; it decides nothing that the planner could.

use futures_util::future::{Either, join, select};
use hubkeeper_core::error::Error;
use hubkeeper_core::outcome::Outcome;
use hubkeeper_core::plan::membership::carries_on;
use hubkeeper_core::plan::refusals::refusal;
use hubkeeper_core::plan::rules::Next;
use hubkeeper_core::plan::{Admission, Look, Situation, Step, membership, planner};
use hubkeeper_core::proof::{Finding, Verdict};
use hubkeeper_core::report::{Change, InvitationReport, Report};
use hubkeeper_core::request::{Mode, Request, Trigger};
use hubkeeper_core::secret::document::expiry_warning;
use hubkeeper_core::secret::kept::STACK_TAG;
use hubkeeper_core::secret::schedule::ends_before_rotation;
use hubkeeper_core::secret::{Label, Managed};
use hubkeeper_core::time::rfc3339;
use hubkeeper_core::warning::{Warning, WarningCode};

use crate::apply::Executor;
use crate::clients::{Services, Writers};
use crate::prove;
use crate::read::{inventory, state};

/// More turns than any event takes: a state that keeps the planner undecided ends here.
const TURNS: usize = 12;
/// Times that the state is read anew because it moved on while it was acted on.
const ROUNDS: usize = 3;

/// Handles one event about one secret; the report is filled whether it ends well or not.
///
/// # Errors
/// The typed error, with step and organization.
pub async fn run(services: &Services, writers: &Writers, request: &Request, report: &mut Report) -> Result<(), Error> {
    let mut organization = None;
    let result = {
        let mut flow = Flow {
            services,
            writers,
            request,
            trigger: request.trigger.clone(),
            report: &mut *report,
            proven: None,
            written: false,
        };
        let handled = Box::pin(flow.run(&mut organization));
        let ready = Box::pin(ready_bearer(services, &request.trigger));
        match select(handled, ready).await {
            Either::Left((result, _)) => result,
            Either::Right(((), handled)) => handled.await,
        }
    };
    let result = result.map_err(|error| {
        let error = services.http_client.explain(error).at(request.trigger.name());
        match &organization {
            Some(name) => error.of(name),
            None => error,
        }
    });
    report.organization = organization;
    if let Err(error) = &result {
        report.fail(error);
    }
    result
}

/// Gets the bearer for ARM while labels and value are read; should it fail, that shows where the bearer is needed.
async fn ready_bearer(services: &Services, trigger: &Trigger) {
    if matches!(trigger, Trigger::SetSecret | Trigger::TestSecret | Trigger::FinishSecret) {
        let _ = services.arm.entra.bearer().await;
    }
}

/// How a round ended.
enum Round {
    /// There is nothing more to do.
    Over,
    /// All is as planned, in this state.
    Settled(Box<Situation>),
    /// The state has to be read anew.
    Again,
}

struct Flow<'a> {
    services: &'a Services,
    /// For the executor alone.
    writers: &'a Writers,
    request: &'a Request,
    /// The event's, until the state has moved on under it.
    trigger: Trigger,
    report: &'a mut Report,
    /// A version that an earlier round proved.
    proven: Option<(String, Verdict)>,
    /// Whether anything was written.
    written: bool,
}

impl Flow<'_> {
    async fn run(&mut self, organization: &mut Option<String>) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            match Box::pin(self.round(organization)).await? {
                Round::Over => return Ok(()),
                Round::Again => {}
                Round::Settled(mut situation) => return Box::pin(self.settle(&mut situation)).await,
            }
        }
        Err(Error::retryable("the secret is being changed again and again", "repeat the event"))
    }

    /// Read, plan, act: until the planner has no more questions.
    async fn round(&mut self, organization: &mut Option<String>) -> Result<Round, Error> {
        let since = self.services.now();
        let read = Box::pin(self.read(organization)).await;
        self.report.stage(since, self.services.now(), "read", &read);
        let Some((mut situation, mut look)) = read? else { return Ok(Round::Over) };
        if let Some((version, verdict)) = self.proven.take()
            && version == situation.version
        {
            situation.verdict = Some((version, verdict));
        }
        for _ in 0..TURNS {
            let plan = planner::plan(&self.trigger, &situation, &self.services.config.client_id)?;
            for warning in plan.warnings {
                self.report.warn(warning);
            }
            match plan.next {
                Next::Roster => self.look_at_roster(&mut situation).await?,
                Next::LookUpToken => {
                    situation.pats =
                        Ok(inventory::list(self.services, &situation.secret, situation.document.as_ref()).await?);
                    situation.looked_up = true;
                }
                Next::ReadVersions => state::read_versions(self.services, &mut situation).await?,
                Next::ReadFormer => state::read_former(self.services, &mut situation).await?,
                Next::LookElsewhere => state::look_elsewhere(self.services, &mut situation).await?,
                Next::First(steps) => self.begin(&mut situation, &steps).await?,
                Next::Prove(version) => look = self.prove(&mut situation, &version).await?,
                Next::Test(version) => return self.test(&situation, &version).await.map(|()| Round::Over),
                Next::Dead(version) => {
                    situation.dead.insert(version);
                    situation.verdict = None;
                    state::read_slot(self.services, &mut situation).await?;
                }
                Next::Revive => self.revive(&mut situation).await?,
                Next::SetAside(error) => {
                    let candidate = situation.secret.version(Label::Candidate).unwrap_or_default();
                    self.report.warn(Warning::new(WarningCode::CandidateNotAdopted,
                        format!(
                            "{error}; or give the candidate up: aws secretsmanager update-secret-version-stage --secret-id {} --version-stage HUBKEEPER_CANDIDATE --remove-from-version-id {candidate}",
                            situation.secret.arn
                        ),
                    ));
                    situation.aside = Some(error);
                    situation.verdict = None;
                }
                Next::Nothing(outcome, reason) => {
                    let planned = self.report.plan.as_ref().is_some_and(|steps| !steps.is_empty());
                    self.report.outcome = if planned { Outcome::Planned } else { outcome };
                    self.report.reason = Some(reason);
                    return Ok(Round::Over);
                }
                Next::Do(steps) => return self.act(situation, steps, look).await,
            }
        }
        Err(Error::retryable("the state does not settle", "repeat the event"))
    }

    /// What comes after a round: a reconcile's tokens, the outcome, and the candidate that was set aside.
    async fn settle(&mut self, situation: &mut Situation) -> Result<(), Error> {
        if let Trigger::Reconcile { revoke_replaced } = self.trigger {
            let since = self.services.now();
            let planned = inventory::plan(self.services, situation, revoke_replaced, self.report).await;
            if !planned.as_ref().is_ok_and(Vec::is_empty) {
                self.report.stage(since, self.services.now(), "readTokens", &planned);
            }
            self.execute(situation, &planned?, None).await?;
        }
        let planned = self.report.plan.as_ref().is_some_and(|steps| !steps.is_empty());
        self.report.outcome = match (planned, self.written) {
            (true, _) => Outcome::Planned,
            (false, true) => Outcome::Applied,
            (false, false) => Outcome::Unchanged,
        };
        if self.report.outcome == Outcome::Unchanged && self.request.mode == Mode::Apply {
            self.report.reason = Some("all is as it should be".into());
        }
        self.note_expiry(situation);
        match situation.aside.take() {
            Some(error) => Err(error.at("adopt")),
            None => Ok(()),
        }
    }

    /// The owner looks who is a member and who is invited.
    async fn look_at_roster(&mut self, situation: &mut Situation) -> Result<(), Error> {
        let Some((document, requested)) = membership::asked(situation) else { return Ok(()) };
        let since = self.services.now();
        let roster = self.services.roster(&situation.secret, document, requested).await;
        self.report.stage(since, self.services.now(), "readMembers", &roster);
        situation.enrolment.roster = Some(roster?);
        self.note_invitation(situation);
        Ok(())
    }

    /// Steps that come before the token: run, or taken as done where the plan is only shown.
    async fn begin(&mut self, situation: &mut Situation, steps: &[Step]) -> Result<(), Error> {
        self.execute(situation, steps, None).await?;
        if self.request.mode == Mode::Plan {
            membership::foresee(situation, steps);
        } else {
            self.note_invitation(situation);
        }
        Ok(())
    }

    fn note_invitation(&mut self, situation: &Situation) {
        let state = situation.secret.invitation().ok().flatten();
        self.report.invitation = state.map(|state| InvitationReport::new(state, self.services.now()));
    }

    /// A token in use that an interrupted run deactivated is activated, and proven again.
    async fn revive(&mut self, situation: &mut Situation) -> Result<(), Error> {
        situation.revived = true;
        // whatever keeps the tokens from being looked at: that the one in use is rejected is what has to be said
        let Ok(steps) = inventory::plan(self.services, situation, false, self.report).await else { return Ok(()) };
        let steps: Vec<Step> = steps.into_iter().filter(|step| matches!(step, Step::ActivateToken { .. })).collect();
        if !steps.is_empty() && self.request.mode == Mode::Apply {
            self.execute(situation, &steps, None).await?;
            situation.verdict = None;
        }
        Ok(())
    }

    /// Labels, documents, connector; `None` where the event is not admitted to go on.
    async fn read(&mut self, organization: &mut Option<String>) -> Result<Option<(Situation, Option<Look>)>, Error> {
        let trigger = &self.trigger;
        let entered = state::enter(self.services, self.request, trigger).await?;
        self.report.secret_id = Some(entered.secret.arn.clone());
        let (version, label) = match entered.admission {
            Admission::Version { version, label } => (version, label),
            Admission::Nothing { outcome, reason } => {
                self.report.version_id.clone_from(&self.request.version);
                self.report.outcome = outcome;
                self.report.reason = Some(reason);
                return Ok(None);
            }
        };
        self.report.version_id = Some(version.clone());
        let stack = self.request.stack.clone();
        let mut situation =
            state::documents(self.services, trigger, entered.secret, version, label, entered.value, stack).await?;
        let known = situation.document.as_ref().or(situation.current.as_ref().map(|current| &current.document));
        let named = known.map(|document| document.organization.clone());
        *organization = named.or_else(|| situation.offboarded_connector().map(|(organization, _)| organization));
        let lists = matches!(trigger, Trigger::Reconcile { .. })
            && situation.document.as_ref().is_some_and(|document| document.manager.is_some());
        if matches!(trigger, Trigger::Onboard { .. } | Trigger::CandidateStaged { .. } | Trigger::Reconcile { .. })
            && !lists
        {
            // a reconcile that lists the PATs compares values
            for warning in inventory::copied_ids(&situation) {
                self.report.warn(warning);
            }
        }
        let look = match trigger {
            Trigger::CreateSecret | Trigger::RotationEnded { .. } => None,
            // the connector is read while the token is being proven
            Trigger::SetSecret if situation.document.is_some() => self.read_and_prove(&mut situation).await?,
            // the dedicated user may not exist yet: its login would be refused, and counted
            Trigger::Reconcile { .. } if !carries_on(&situation) => {
                let (secret, document) = (situation.secret.clone(), situation.document.clone());
                let listed = inventory::list(self.services, &secret, document.as_ref());
                let read = state::connector(self.services, trigger, &mut situation, self.report);
                let (read, listed) = join(Box::pin(read), Box::pin(listed)).await;
                read?;
                situation.pats = listed;
                None
            }
            _ => {
                Box::pin(state::connector(self.services, trigger, &mut situation, self.report)).await?;
                None
            }
        };
        if let Some(found) = &situation.connector {
            self.report.found_connector.get_or_insert(found.observed().is_some());
            let asked = self.request.stack.as_ref();
            self.report.is_stack_own |= asked.is_some() && situation.secret.tags.get(STACK_TAG) == asked;
        }
        if let Some(document) = &situation.document
            && situation.connector.is_some()
            && self.report.connector.is_none()
        {
            self.report.connector(document.connector.id.to_string(), Change::None);
        }
        Ok(Some((situation, look)))
    }

    /// setSecret: proof and connector side by side.
    async fn read_and_prove(&mut self, situation: &mut Situation) -> Result<Option<Look>, Error> {
        let since = self.services.now();
        let examined = prove::examine_while_reading(self.services, situation, self.report).await;
        if !examined.as_ref().is_ok_and(|examined| examined.verdict.is_none()) {
            self.report.stage(since, self.services.now(), "prove", &examined);
        }
        let examined = examined?;
        if let Some(verdict) = &examined.verdict {
            self.report.verdict = Some(verdict.clone());
            for warning in &verdict.warnings {
                self.report.warn(warning.clone());
            }
        }
        situation.verdict = examined.verdict.map(|verdict| (situation.version.clone(), verdict));
        Ok(examined.look)
    }

    async fn prove(&mut self, situation: &mut Situation, version: &str) -> Result<Option<Look>, Error> {
        let since = self.services.now();
        let examined = prove::examine(self.services, situation, version, self.trigger.clone()).await;
        self.report.stage(since, self.services.now(), "prove", &examined);
        let (verdict, look) = examined?;
        self.report.verdict = Some(verdict.clone());
        for warning in &verdict.warnings {
            self.report.warn(warning.clone());
        }
        if matches!(self.trigger, Trigger::Verify { .. }) && verdict.result == Finding::Inconclusive {
            return Err(refusal(&verdict));
        }
        situation.verdict = Some((version.to_owned(), verdict));
        if matches!(self.trigger, Trigger::TestSecret) {
            // a rotation that is only tried out: the pending version has nothing to prove, AWSCURRENT was proven
            self.report.version_id = Some(version.to_owned());
        }
        Ok(look)
    }

    async fn test(&mut self, situation: &Situation, version: &str) -> Result<(), Error> {
        let since = self.services.now();
        let verdict = prove::sample(self.services, situation, version).await;
        self.report.stage(since, self.services.now(), "test", &verdict);
        let verdict = verdict?;
        if !verdict.is_complete() {
            let refused = refusal(&verdict);
            self.report.verdict = Some(verdict);
            return Err(refused);
        }
        self.report.reason = Some("the connector carries the pending version, and its token logs in and pulls".into());
        Ok(())
    }

    async fn act(&mut self, mut situation: Situation, steps: Vec<Step>, look: Option<Look>) -> Result<Round, Error> {
        if let Trigger::Verify { .. } = self.trigger {
            let complete = situation.verdict_on(&situation.version).is_some_and(Verdict::is_complete);
            self.report.outcome = if complete { Outcome::Proven } else { Outcome::Refused };
            self.note_expiry(&situation);
            return Ok(Round::Over);
        }
        if self.execute(&mut situation, &steps, look).await? {
            return Ok(Round::Again);
        }
        // what was adopted is AWSCURRENT now: the rest of the reconcile is about that one
        let adopted = steps.iter().any(|step| matches!(step, Step::MoveCurrent { .. }));
        if adopted && matches!(self.trigger, Trigger::Reconcile { .. }) && self.request.mode == Mode::Apply {
            self.proven = situation.verdict.take();
            return Ok(Round::Again);
        }
        Ok(Round::Settled(Box::new(situation)))
    }

    /// Runs the steps, or notes them with `mode: plan`; `true` where the labels moved on meanwhile, so that the state has to be
    /// read and planned anew.
    async fn execute(&mut self, situation: &mut Situation, steps: &[Step], look: Option<Look>) -> Result<bool, Error> {
        if self.request.mode == Mode::Plan {
            self.foresee(situation, steps);
            return Ok(false);
        }
        let force = matches!(self.trigger, Trigger::Onboard { force: true, .. });
        let mut executor = Executor {
            services: self.services,
            writers: self.writers,
            trigger: &self.trigger,
            situation,
            report: self.report,
            rotation_token: self.request.rotation_token.as_ref(),
            look,
            force,
            wrote: false,
            overtaken: false,
        };
        let ran = Box::pin(executor.run(steps)).await;
        let overtaken = executor.overtaken;
        self.written |= executor.wrote;
        if overtaken {
            // what the event was about is gone: what is current now is what counts
            match &mut self.trigger {
                Trigger::SecretChanged { version } | Trigger::Onboard { version, .. } => *version = None,
                _ => {}
            }
            return Ok(true);
        }
        ran.map(|()| false)
    }

    fn foresee(&mut self, situation: &Situation, steps: &[Step]) {
        let change = steps.iter().find_map(|step| match step {
            Step::WriteConnector { create: true, .. } => Some(Change::WouldCreate),
            Step::WriteConnector { create: false, .. } => Some(Change::WouldUpdate),
            Step::DeleteConnector => Some(Change::WouldDelete),
            _ => None,
        });
        let ends = change == Some(Change::WouldDelete);
        let named = situation.document.as_ref().map(|document| document.connector.id.clone());
        let id = if ends { situation.offboarded_connector().map(|(_, id)| id) } else { named };
        if let (Some(change), Some(id)) = (change, id) {
            self.report.connector(id.to_string(), change);
        }
        self.report.plan.get_or_insert_default().extend_from_slice(steps);
    }

    fn note_expiry(&mut self, situation: &Situation) {
        let version = situation.verdict.as_ref().map_or(situation.version.as_str(), |(version, _)| version.as_str());
        let Some(document) = situation.document_of(version).or(situation.document.as_ref()) else { return };
        if document.access_token.is_none() {
            return;
        }
        let now = self.services.now();
        self.report.tokens.expires_at = document.expires_at.map(rfc3339);
        if matches!(self.trigger, Trigger::Offboard) || situation.secret.managed() == Managed::Offboarded {
            self.report.is_given_up = true;
            return;
        }
        if let Some(warning) = expiry_warning(document, now) {
            self.report.warn(warning);
        }
        if let (Some(schedule), Some(expires_at)) = (&situation.secret.schedule, document.expires_at)
            && expires_at > now
        {
            let due = if self.trigger.is_rotation() { schedule.after(now) } else { schedule.next };
            let grace = time::Duration::hours(i64::from(self.services.config.revoke_after_hours));
            if let Some(warning) = ends_before_rotation(schedule, due, expires_at, grace) {
                self.report.warn(warning);
            }
        }
    }
}
