//! Handles one event about one secret: reads the state, asks the planner, and runs or prints the plan.
//!
//! A flow names its trigger and reads the state. All decisions belong to the planner.

use futures_util::future::{Either, select};
use hubkeeper_core::error::Error;
use hubkeeper_core::outcome::Outcome;
use hubkeeper_core::plan::rules::Next;
use hubkeeper_core::plan::state::Proven;
use hubkeeper_core::plan::{Recheck, State, Step, membership, planner};
use hubkeeper_core::proof::Verdict;
use hubkeeper_core::report::Report;
use hubkeeper_core::request::{Mode, Request, Trigger};

use crate::apply::Executor;
use crate::clients::{Services, Writers};
use crate::read::{connector, inventory, state};

mod proof;
mod report;
mod start;

/// Maximum number of calls of the planner. No event needs that many; the limit ends a planner that never decides.
const TURNS: usize = 12;
/// Maximum number of rounds: each reads the state again because it moved during the last one.
const ROUNDS: usize = 3;

/// Handles one event about one secret. Fills the report on success and on failure.
///
/// # Errors
/// Returns the typed error, with step and organization.
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

/// Gets the bearer token for ARM while labels and value are read. Ignores an error, because the first request to ARM
/// reports it.
async fn ready_bearer(services: &Services, trigger: &Trigger) {
    if matches!(trigger, Trigger::SetSecret | Trigger::TestSecret | Trigger::FinishSecret) {
        let _ = services.arm.entra.bearer().await;
    }
}

/// The state at the start of a round. No `Debug`: it holds tokens.
struct Begun {
    state: State,
    /// What the proof of setSecret lets the executor check again; `None` if nothing was proven during the read.
    look: Option<Recheck>,
}

/// The result of a round.
enum Round {
    /// Nothing is left to do.
    Over,
    /// The plan is carried out, in this state.
    Settled(Box<State>),
    /// The state must be read again.
    Again,
}

struct Flow<'a> {
    services: &'a Services,
    /// The clients that write, which only the executor uses.
    writers: &'a Writers,
    request: &'a Request,
    /// The trigger of the event, until the state moves.
    trigger: Trigger,
    report: &'a mut Report,
    /// A version that an earlier round proved.
    proven: Option<Proven>,
    /// Whether this event wrote anything.
    written: bool,
}

impl Flow<'_> {
    async fn run(&mut self, organization: &mut Option<String>) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            match Box::pin(self.round(organization)).await? {
                Round::Over => return Ok(()),
                Round::Again => {}
                Round::Settled(mut state) => return Box::pin(self.settle(&mut state)).await,
            }
        }
        Err(Error::retryable("the secret is being changed again and again", "repeat the event"))
    }

    /// Reads, plans and acts until the planner has no more questions.
    async fn round(&mut self, organization: &mut Option<String>) -> Result<Round, Error> {
        let since = self.services.now();
        let read = Box::pin(self.read(organization)).await;
        self.report.stage(since, self.services.now(), "read", &read);
        let Some(Begun { mut state, mut look }) = read? else { return Ok(Round::Over) };
        // keeps the version that `read` has proven
        if let Some(proven) = self.proven.take()
            && proven.version == state.world.version
        {
            state.progress.note_proven(&proven.version, proven.verdict);
        }
        for _ in 0..TURNS {
            let plan = planner::plan(&self.trigger, &state, &self.services.config.client_id)?;
            for warning in plan.warnings {
                self.report.warn(warning);
            }
            match plan.next {
                Next::Roster => self.look_at_roster(&mut state).await?,
                Next::LookUpToken => {
                    state.world.pats =
                        Ok(inventory::list(self.services, &state.world.secret, state.world.document.as_ref()).await?);
                    state.progress.looked_up = true;
                }
                Next::ReadVersions => state::read_versions(self.services, &mut state.world).await?,
                Next::ReadFormer => connector::read_former(self.services, &mut state.world).await?,
                Next::LookElsewhere => connector::look_elsewhere(self.services, &mut state.world).await?,
                Next::First(steps) => self.begin(&mut state, &steps).await?,
                Next::Prove(version) => look = self.prove(&mut state, &version).await?,
                Next::Test(version) => return self.test(&state.world, &version).await.map(|()| Round::Over),
                Next::SkipVersion(version) => {
                    state.progress.skipped.insert(version);
                    state.progress.proven = None;
                    state::read_slot(self.services, &mut state).await?;
                }
                Next::Reactivate => self.reactivate(&mut state).await?,
                Next::IgnoreCandidate(error) => {
                    report::warn_of_candidate(self.report, &state.world.secret, &error);
                    state.progress.ignored_candidate = Some(error);
                    state.progress.proven = None;
                }
                Next::Nothing(outcome, reason) => {
                    report::note_nothing(self.report, outcome, reason);
                    return Ok(Round::Over);
                }
                Next::Do(steps) => return self.act(state, steps, look).await,
            }
        }
        Err(Error::retryable("the state keeps changing", "repeat the event"))
    }

    /// Finishes a round: retires tokens in a reconcile, sets the outcome, and reports an ignored candidate.
    async fn settle(&mut self, state: &mut State) -> Result<(), Error> {
        if let Trigger::Reconcile { revoke_replaced } = self.trigger {
            let since = self.services.now();
            let planned = inventory::plan(self.services, state, revoke_replaced, self.report).await;
            if !planned.as_ref().is_ok_and(Vec::is_empty) {
                self.report.stage(since, self.services.now(), "readTokens", &planned);
            }
            self.execute(state, &planned?, None).await?;
        }
        report::note_end(self.report, self.request.mode, self.written);
        self.note_expiry(state);
        match state.progress.ignored_candidate.take() {
            Some(error) => Err(error.at("adopt")),
            None => Ok(()),
        }
    }

    /// Reads the members and invitations of the organization with the owner's session.
    async fn look_at_roster(&mut self, state: &mut State) -> Result<(), Error> {
        let Some((document, requested)) = membership::asked(&state.world) else { return Ok(()) };
        let since = self.services.now();
        let roster = self.services.roster(&state.world.secret, document, requested).await;
        self.report.stage(since, self.services.now(), "readMembers", &roster);
        state.world.roster = Some(roster?);
        report::note_invitation(self.report, &state.world.secret, self.services.now());
        Ok(())
    }

    /// Runs the steps that come before the token. In plan mode, only records them.
    async fn begin(&mut self, state: &mut State, steps: &[Step]) -> Result<(), Error> {
        self.execute(state, steps, None).await?;
        if self.request.mode == Mode::Plan {
            membership::foresee(state, steps);
        } else {
            report::note_invitation(self.report, &state.world.secret, self.services.now());
        }
        Ok(())
    }

    /// Activates a token in use that an interrupted run left deactivated, and proves it again.
    async fn reactivate(&mut self, state: &mut State) -> Result<(), Error> {
        state.progress.reactivated = true;
        // an error of the inventory is dropped: the rejected token in use is the error to report
        let Ok(steps) = inventory::plan(self.services, state, false, self.report).await else { return Ok(()) };
        let steps: Vec<Step> = steps.into_iter().filter(|step| matches!(step, Step::ActivateToken { .. })).collect();
        if !steps.is_empty() && self.request.mode == Mode::Apply {
            self.execute(state, &steps, None).await?;
            state.progress.proven = None;
        }
        Ok(())
    }

    async fn act(&mut self, mut state: State, steps: Vec<Step>, look: Option<Recheck>) -> Result<Round, Error> {
        if let Trigger::Verify { .. } = self.trigger {
            let complete = state.progress.verdict_on(&state.world.version).is_some_and(Verdict::is_complete);
            self.report.outcome = if complete { Outcome::Proven } else { Outcome::Refused };
            self.note_expiry(&state);
            return Ok(Round::Over);
        }
        if self.execute(&mut state, &steps, look).await? {
            return Ok(Round::Again);
        }
        // the adopted version is AWSCURRENT now, and the rest of the reconcile concerns it
        let adopted = steps.iter().any(|step| matches!(step, Step::MoveCurrent { .. }));
        if adopted && matches!(self.trigger, Trigger::Reconcile { .. }) && self.request.mode == Mode::Apply {
            self.proven = state.progress.proven.take();
            return Ok(Round::Again);
        }
        Ok(Round::Settled(Box::new(state)))
    }

    /// Runs the steps, or lists them with `mode: plan`. Returns `true` if the labels moved in the meantime, so that the
    /// state must be read and planned again.
    async fn execute(&mut self, state: &mut State, steps: &[Step], look: Option<Recheck>) -> Result<bool, Error> {
        if self.request.mode == Mode::Plan {
            report::foresee(self.report, &state.world, steps);
            return Ok(false);
        }
        let force = matches!(self.trigger, Trigger::Onboard { force: true, .. });
        let mut executor = Executor {
            services: self.services,
            writers: self.writers,
            trigger: &self.trigger,
            state,
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
            // the version of the event is gone, so the new AWSCURRENT counts
            match &mut self.trigger {
                Trigger::SecretChanged { version } | Trigger::Onboard { version, .. } => *version = None,
                _ => {}
            }
            return Ok(true);
        }
        ran.map(|()| false)
    }

    fn note_expiry(&mut self, state: &State) {
        let grace_hours = self.services.config.revoke_after_hours;
        report::note_expiry(self.report, &self.trigger, state, grace_hours, self.services.now());
    }
}
