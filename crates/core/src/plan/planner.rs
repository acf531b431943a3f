//! What follows from the state: trigger and situation in, steps out (docs/events.md, docs/operating.md). Pure.
//!
//! [`plan`] is asked again after everything that was learned. Each kind of event has a file of its own; what they have
//! in common stands here.

use crate::error::Error;
use crate::outcome::Outcome;
use crate::plan::keeping::{may_create, tag_step};
use crate::plan::membership::{Membership, carries_on, membership};
use crate::plan::rules::{Next, Plan, ask, connect, connector_warnings, no_pending_value, no_token, same_subject};
use crate::plan::state::Situation;
use crate::plan::steps::Step;
use crate::plan::{onboard, reconcile, rotation};
use crate::request::Trigger;
use crate::secret::Label;

/// The steps that follow from the state.
///
/// # Errors
/// A refusal, or what a person has to do first.
pub fn plan(trigger: &Trigger, situation: &Situation, client_id: &str) -> Result<Plan, Error> {
    let mut plan = decide(trigger, situation, client_id)?;
    let document = situation.document.as_ref().or(situation.current.as_ref().map(|current| &current.document));
    let Some(document) = document else { return Ok(plan) };
    if let Next::Do(steps) = &plan.next
        && steps.iter().any(|step| matches!(step, Step::WriteConnector { create: true, .. }))
        && !may_create(situation, document)?
    {
        return Ok(Plan { next: Next::LookElsewhere, ..plan });
    }
    if let Next::Do(steps) | Next::First(steps) = &mut plan.next
        && sets_tags(trigger, situation, steps)
        && let Some(step) = tag_step(trigger, situation, document)?
    {
        steps.insert(0, step);
    }
    Ok(plan)
}

/// Whether the secret's tags have to be complete before these steps: before the first write outside, and where reconcile finds
/// one missing. `finishSecret` sets them at its end.
fn sets_tags(trigger: &Trigger, situation: &Situation, steps: &[Step]) -> bool {
    match trigger {
        Trigger::Onboard { .. } => true,
        Trigger::Reconcile { .. } => !situation.is_offboarded(),
        Trigger::SetSecret | Trigger::SecretChanged { .. } | Trigger::CandidateStaged { .. } => {
            steps.iter().any(|step| matches!(step, Step::WriteConnector { .. }))
        }
        _ => false,
    }
}

fn decide(trigger: &Trigger, situation: &Situation, client_id: &str) -> Result<Plan, Error> {
    match trigger {
        Trigger::CreateSecret => rotation::create_secret(situation).map(Plan::of),
        Trigger::SetSecret => {
            let document = situation.document.as_ref().ok_or_else(no_pending_value)?;
            same_subject(situation, document)?;
            connect(situation, &situation.version, document, false)
        }
        Trigger::TestSecret => rotation::test_secret(situation),
        Trigger::FinishSecret => rotation::finish_secret(trigger, situation).map(Plan::of),
        Trigger::SecretChanged { .. } => {
            let Some(document) = situation.document.as_ref().filter(|document| document.access_token.is_some()) else {
                return Ok(Plan::of(Next::Nothing(Outcome::Ignored, "the version holds no token".into())));
            };
            connect(situation, &situation.version, document, false)
        }
        Trigger::CandidateStaged { .. } => onboard::adopt(situation, &situation.version),
        Trigger::Onboard { version: Some(_), .. } if situation.label == Label::Candidate => {
            onboard::adopt(situation, &situation.version)
        }
        Trigger::Onboard { force, fix_role, .. } => from_zero(situation, client_id, *force, *fix_role),
        Trigger::Reconcile { .. } if carries_on(situation) => from_zero(situation, client_id, false, false),
        Trigger::Reconcile { .. } => reconcile::reconcile(situation, client_id),
        Trigger::Offboard => reconcile::offboard(situation),
        Trigger::RotationEnded { abandoned, step, version } => {
            let text = rotation::ended(situation, *abandoned, *step, version.as_deref());
            Ok(Plan::of(Next::Nothing(Outcome::Recorded, text)))
        }
        Trigger::Verify { .. } => {
            let held = situation.document.as_ref().is_some_and(|document| document.access_token.is_some());
            if !held {
                return Err(no_token(situation));
            }
            Ok(Plan::of(match situation.verdict_on(&situation.version) {
                None => Next::Prove(situation.version.clone()),
                Some(_) => Next::Do(Vec::new()),
            }))
        }
    }
}

/// Onboarding: the dedicated user's membership where the secret asks for it, then token, proof, connector.
fn from_zero(situation: &Situation, client_id: &str, force: bool, fix_role: bool) -> Result<Plan, Error> {
    if let Some(current) = &situation.document {
        // nobody is invited for a connector that could not be written in the end
        if let Some(question) = ask(situation, current)? {
            return Ok(question);
        }
        connector_warnings(situation, current)?;
    }
    match membership(situation, fix_role)? {
        Membership::Look => Ok(Plan::of(Next::Roster)),
        Membership::First(steps, warnings) => Ok(Plan { next: Next::First(steps), warnings }),
        Membership::Awaiting(reason) => Ok(Plan::of(Next::Nothing(Outcome::Awaiting, reason))),
        Membership::Settled => onboard::onboard(situation, client_id, force),
    }
}

#[cfg(test)]
pub(super) mod tests;
