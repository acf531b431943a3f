//! Plans the steps for a trigger and a state (docs/events.md, docs/operating.md). Pure.
//!
//! The caller asks [`plan`] again after everything that it learns. Each kind of event has a file of its own; this file holds
//! the rules that they share.

use crate::error::Error;
use crate::outcome::Outcome;
use crate::plan::keeping::{may_create, tag_step};
use crate::plan::membership::{Membership, carries_on, membership};
use crate::plan::rules::{Next, Plan, ask, connect, connector_warnings, no_pending_value, no_token, same_subject};
use crate::plan::state::{State, World};
use crate::plan::steps::Step;
use crate::plan::{onboard, reconcile, rotation};
use crate::request::Trigger;
use crate::secret::Label;

/// Plans the steps that follow from the state.
///
/// # Errors
/// A refusal, or what a person must do first.
pub fn plan(trigger: &Trigger, state: &State, client_id: &str) -> Result<Plan, Error> {
    let mut plan = decide(trigger, state, client_id)?;
    let document = state.world.document.as_ref().or(state.world.current.as_ref().map(|current| &current.document));
    let Some(document) = document else { return Ok(plan) };
    if let Next::Do(steps) = &plan.next
        && steps.iter().any(|step| matches!(step, Step::WriteConnector { create: true, .. }))
        && !may_create(&state.world, document)?
    {
        return Ok(Plan { next: Next::LookElsewhere, ..plan });
    }
    if let Next::Do(steps) | Next::First(steps) = &mut plan.next
        && sets_tags(trigger, &state.world, steps)
        && let Some(step) = tag_step(trigger, &state.world, document)?
    {
        steps.insert(0, step);
    }
    Ok(plan)
}

/// Whether the secret's tags must be complete before these steps: before the first write to another service, and when reconcile
/// finds a tag missing. `finishSecret` sets them at its end.
fn sets_tags(trigger: &Trigger, world: &World, steps: &[Step]) -> bool {
    match trigger {
        Trigger::Onboard { .. } => true,
        Trigger::Reconcile { .. } => !world.is_offboarded(),
        Trigger::SetSecret | Trigger::SecretChanged { .. } | Trigger::CandidateStaged { .. } => {
            steps.iter().any(|step| matches!(step, Step::WriteConnector { .. }))
        }
        _ => false,
    }
}

fn decide(trigger: &Trigger, state: &State, client_id: &str) -> Result<Plan, Error> {
    match trigger {
        Trigger::CreateSecret => rotation::create_secret(&state.world).map(Plan::of),
        Trigger::SetSecret => {
            let document = state.world.document.as_ref().ok_or_else(no_pending_value)?;
            same_subject(&state.world, document)?;
            connect(state, &state.world.version, document, false)
        }
        Trigger::TestSecret => rotation::test_secret(state),
        Trigger::FinishSecret => rotation::finish_secret(trigger, &state.world).map(Plan::of),
        Trigger::SecretChanged { .. } => {
            let Some(document) = state.world.document.as_ref().filter(|document| document.access_token.is_some())
            else {
                return Ok(Plan::of(Next::Nothing(Outcome::Ignored, "the version holds no token".into())));
            };
            connect(state, &state.world.version, document, false)
        }
        Trigger::CandidateStaged { .. } => onboard::adopt(state, &state.world.version),
        Trigger::Onboard { version: Some(_), .. } if state.world.label == Label::Candidate => {
            onboard::adopt(state, &state.world.version)
        }
        Trigger::Onboard { force, fix_role, .. } => from_zero(state, client_id, *force, *fix_role),
        Trigger::Reconcile { .. } if carries_on(&state.world) => from_zero(state, client_id, false, false),
        Trigger::Reconcile { .. } => reconcile::reconcile(state, client_id),
        Trigger::Offboard => reconcile::offboard(&state.world),
        Trigger::RotationEnded { abandoned, step, version } => {
            let text = rotation::ended(&state.world, *abandoned, *step, version.as_ref());
            Ok(Plan::of(Next::Nothing(Outcome::Recorded, text)))
        }
        Trigger::Verify { .. } => {
            let held = state.world.document.as_ref().is_some_and(|document| document.access_token.is_some());
            if !held {
                return Err(no_token(&state.world));
            }
            Ok(Plan::of(match state.progress.verdict_on(&state.world.version) {
                None => Next::Prove(state.world.version.clone()),
                Some(_) => Next::Do(Vec::new()),
            }))
        }
    }
}

/// Plans an onboarding: the dedicated user's membership if the secret requests it, then token, proof, connector.
fn from_zero(state: &State, client_id: &str, force: bool, fix_role: bool) -> Result<Plan, Error> {
    if let Some(current) = &state.world.document {
        // check that the connector can be written before anybody is invited
        if let Some(question) = ask(&state.world, current)? {
            return Ok(question);
        }
        connector_warnings(&state.world, current)?;
    }
    match membership(state, fix_role)? {
        Membership::Look => Ok(Plan::of(Next::Roster)),
        Membership::First(steps, warnings) => Ok(Plan { next: Next::First(steps), warnings }),
        Membership::Awaiting(reason) => Ok(Plan::of(Next::Nothing(Outcome::Awaiting, reason))),
        Membership::Settled => onboard::onboard(state, client_id, force),
    }
}

#[cfg(test)]
pub(super) mod tests;
