//! The way of one event about one secret: read the state, ask the planner, run or print what it says.
//!
//! A flow names its trigger and gathers the state; it decides nothing that the planner could.

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
    Settled(Box<State>),
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
    proven: Option<Proven>,
    /// Whether anything was written.
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

    /// Read, plan, act: until the planner has no more questions.
    async fn round(&mut self, organization: &mut Option<String>) -> Result<Round, Error> {
        let since = self.services.now();
        let read = Box::pin(self.read(organization)).await;
        self.report.stage(since, self.services.now(), "read", &read);
        let Some((mut state, mut look)) = read? else { return Ok(Round::Over) };
        // what `read` has proven stays
        if let Some(proven) = self.proven.take()
            && proven.version == state.world.version
        {
            state.progress.proven = Some(proven);
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
                Next::Reactivate => self.revive(&mut state).await?,
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
        Err(Error::retryable("the state does not settle", "repeat the event"))
    }

    /// What comes after a round: a reconcile's tokens, the outcome, and the candidate that was set aside.
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

    /// The owner looks who is a member and who is invited.
    async fn look_at_roster(&mut self, state: &mut State) -> Result<(), Error> {
        let Some((document, requested)) = membership::asked(&state.world) else { return Ok(()) };
        let since = self.services.now();
        let roster = self.services.roster(&state.world.secret, document, requested).await;
        self.report.stage(since, self.services.now(), "readMembers", &roster);
        state.world.roster = Some(roster?);
        report::note_invitation(self.report, &state.world.secret, self.services.now());
        Ok(())
    }

    /// Steps that come before the token: run, or taken as done where the plan is only shown.
    async fn begin(&mut self, state: &mut State, steps: &[Step]) -> Result<(), Error> {
        self.execute(state, steps, None).await?;
        if self.request.mode == Mode::Plan {
            membership::foresee(state, steps);
        } else {
            report::note_invitation(self.report, &state.world.secret, self.services.now());
        }
        Ok(())
    }

    /// A token in use that an interrupted run deactivated is activated, and proven again.
    async fn revive(&mut self, state: &mut State) -> Result<(), Error> {
        state.progress.reactivated = true;
        // whatever keeps the tokens from being looked at: that the one in use is rejected is what has to be said
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
        // what was adopted is AWSCURRENT now: the rest of the reconcile is about that one
        let adopted = steps.iter().any(|step| matches!(step, Step::MoveCurrent { .. }));
        if adopted && matches!(self.trigger, Trigger::Reconcile { .. }) && self.request.mode == Mode::Apply {
            self.proven = state.progress.proven.take();
            return Ok(Round::Again);
        }
        Ok(Round::Settled(Box::new(state)))
    }

    /// Runs the steps, or notes them with `mode: plan`; `true` where the labels moved on meanwhile, so that the state has to be
    /// read and planned anew.
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
            // what the event was about is gone: what is current now is what counts
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
