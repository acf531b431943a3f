//! The way of one event about one secret: read the state, ask the planner, run or print what it says.
//!
//! A flow names its trigger and gathers the state; it decides nothing that the planner could.

pub mod gather;
pub mod prove;

use futures_util::future::{Either, select};
use secrecy::SecretString;

use crate::clock::rfc3339;
use crate::error::Error;
use crate::plan::execute::Executor;
use crate::plan::planner::{self, Next, refusal};
use crate::plan::{Admission, Look, Situation, Step, Trigger};
use crate::proof::Finding;
use crate::report::{Change, ConnectorReport, Outcome, Report};
use crate::secret::Label;
use crate::secret::document::expiry_warning;
use crate::services::Services;

/// Whether the plan is run or returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Run it.
    Apply,
    /// Do everything but write, and return it.
    Plan,
}

impl Mode {
    /// The wire name.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Apply => "apply",
            Mode::Plan => "plan",
        }
    }
}

/// One event about one secret. No `Debug`: it may hold a rotation token.
#[derive(Clone)]
pub struct Request {
    /// What set the function off.
    pub trigger: Trigger,
    /// Apply or plan.
    pub mode: Mode,
    /// ARN or name of the secret.
    pub secret_id: String,
    /// The version id that a rotation works on.
    pub version: Option<String>,
    /// As secret as a token.
    pub rotation_token: Option<SecretString>,
}

/// More turns than any event takes: a state that keeps the planner undecided ends here.
const TURNS: usize = 12;

/// Handles one event about one secret; the report is filled whether it ends well or not.
///
/// # Errors
/// The typed error, with step and organization.
pub async fn run(services: &Services, request: &Request, report: &mut Report) -> Result<(), Error> {
    let mut organization = None;
    let result = {
        let mut flow = Flow { services, request, report: &mut *report };
        let handled = Box::pin(flow.run(&mut organization));
        let ready = Box::pin(ready_bearer(services, &request.trigger));
        match select(handled, ready).await {
            Either::Left((result, _)) => result,
            Either::Right(((), handled)) => handled.await,
        }
    };
    let result = result.map_err(|error| {
        let error = error.at(request.trigger.name());
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

struct Flow<'a> {
    services: &'a Services,
    request: &'a Request,
    report: &'a mut Report,
}

impl Flow<'_> {
    async fn run(&mut self, organization: &mut Option<String>) -> Result<(), Error> {
        let trigger = &self.request.trigger;
        let since = self.services.now();
        let read = Box::pin(self.read(organization)).await;
        self.report.stage(self.services.outlet.clock().as_ref(), since, "read", &read);
        let Some((mut situation, mut look)) = read? else { return Ok(()) };
        for _ in 0..TURNS {
            let plan = planner::plan(trigger, &situation, &self.services.config.client_id)?;
            for warning in plan.warnings {
                self.report.warn(warning);
            }
            match plan.next {
                Next::Prove(version) => look = self.prove(&mut situation, &version).await?,
                Next::Test(version) => return self.test(&situation, &version).await,
                Next::Dead(version) => {
                    situation.dead.insert(version);
                    situation.verdict = None;
                    gather::read_slot(self.services, &mut situation).await?;
                }
                Next::Nothing(outcome, reason) => {
                    self.report.outcome = outcome;
                    self.report.reason = Some(reason);
                    return Ok(());
                }
                Next::Do(steps) => return self.act(&mut situation, steps, look).await,
            }
        }
        Err(Error::retryable("the state does not settle", "repeat the event"))
    }

    /// Labels, documents, connector; `None` where the event is not admitted to go on.
    async fn read(&mut self, organization: &mut Option<String>) -> Result<Option<(Situation, Option<Look>)>, Error> {
        let trigger = &self.request.trigger;
        let entered = gather::enter(self.services, self.request).await?;
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
        let mut situation =
            gather::documents(self.services, trigger, entered.secret, version, label, entered.value).await?;
        let known = situation.document.as_ref().or(situation.current.as_ref().map(|current| &current.document));
        *organization = known.map(|document| document.organization.clone());
        let look = match trigger {
            Trigger::CreateSecret => None,
            // the connector is read while the token is being proven
            Trigger::SetSecret if situation.document.is_some() => self.read_and_prove(&mut situation).await?,
            _ => {
                gather::connector(self.services, trigger, &mut situation, self.report).await?;
                None
            }
        };
        if let Some(document) = &situation.document {
            let id = document.connector.id();
            let there = situation.connector.is_some();
            if there {
                self.report.connector = Some(ConnectorReport { id, change: Change::None });
            }
        }
        Ok(Some((situation, look)))
    }

    /// setSecret: proof and connector side by side.
    async fn read_and_prove(&mut self, situation: &mut Situation) -> Result<Option<Look>, Error> {
        let since = self.services.now();
        let examined = prove::examine_while_reading(self.services, situation, self.report).await;
        if !examined.as_ref().is_ok_and(|examined| examined.verdict.is_none()) {
            self.report.stage(self.services.outlet.clock().as_ref(), since, "prove", &examined);
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
        let examined = prove::examine(self.services, situation, version, self.request.trigger.clone()).await;
        self.report.stage(self.services.outlet.clock().as_ref(), since, "prove", &examined);
        let (verdict, look) = examined?;
        self.report.verdict = Some(verdict.clone());
        for warning in &verdict.warnings {
            self.report.warn(warning.clone());
        }
        if matches!(self.request.trigger, Trigger::Verify { .. }) && verdict.result == Finding::Inconclusive {
            return Err(refusal(&verdict));
        }
        situation.verdict = Some((version.to_owned(), verdict));
        Ok(look)
    }

    async fn test(&mut self, situation: &Situation, version: &str) -> Result<(), Error> {
        let since = self.services.now();
        let verdict = prove::sample(self.services, situation, version).await;
        self.report.stage(self.services.outlet.clock().as_ref(), since, "test", &verdict);
        let verdict = verdict?;
        if !verdict.is_complete() {
            return Err(refusal(&verdict));
        }
        self.report.reason = Some("the connector carries the pending version, and its token logs in and pulls".into());
        Ok(())
    }

    async fn act(&mut self, situation: &mut Situation, steps: Vec<Step>, look: Option<Look>) -> Result<(), Error> {
        let trigger = &self.request.trigger;
        if let Trigger::Verify { .. } = trigger {
            let complete = situation.verdict_on(&situation.version).is_some_and(crate::proof::Verdict::is_complete);
            self.report.outcome = if complete { Outcome::Proven } else { Outcome::Refused };
            self.note_expiry(situation);
            return Ok(());
        }
        // the tag alone is no change that a plan would be asked for twice
        let empty = steps.is_empty();
        if self.request.mode == Mode::Plan {
            if let Some(Step::WriteConnector { create, .. }) =
                steps.iter().find(|step| matches!(step, Step::WriteConnector { .. }))
                && let Some(document) = situation.document.as_ref()
            {
                let change = if *create { Change::WouldCreate } else { Change::WouldUpdate };
                self.report.connector = Some(ConnectorReport { id: document.connector.id(), change });
            }
            self.report.outcome = if empty { Outcome::Unchanged } else { Outcome::Planned };
            self.report.plan = Some(steps);
            self.note_expiry(situation);
            return Ok(());
        }
        let force = matches!(trigger, Trigger::Onboard { force: true, .. });
        let mut executor = Executor {
            services: self.services,
            trigger,
            situation,
            report: self.report,
            rotation_token: self.request.rotation_token.as_ref(),
            look,
            force,
        };
        Box::pin(executor.run(&steps)).await?;
        self.report.outcome = if empty { Outcome::Unchanged } else { Outcome::Applied };
        if empty {
            self.report.reason = Some("all is as it should be".into());
        }
        self.note_expiry(situation);
        Ok(())
    }

    fn note_expiry(&mut self, situation: &Situation) {
        let version = situation.verdict.as_ref().map_or(situation.version.as_str(), |(version, _)| version.as_str());
        let Some(document) = situation.document_of(version).or(situation.document.as_ref()) else { return };
        if document.access_token.is_none() {
            return;
        }
        self.report.tokens.expires_at = document.expires_at.map(rfc3339);
        if let Some(warning) = expiry_warning(document, self.services.now()) {
            self.report.warn(warning);
        }
    }
}

/// The label that a version is read by.
fn stage_of(label: Label) -> &'static str {
    label.name()
}
