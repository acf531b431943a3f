//! What follows from the state: trigger and situation in, steps out (contract, sections 3, 5 and 6). Pure.
//!
//! [`plan`] is asked again after everything that was learned. Each kind of event has a file of its own; what they have
//! in common stands here.

mod onboard;
mod reconcile;
mod rotation;

use super::invite::{Membership, carries_on, membership};
use super::keeping::{Keeps, keeps, may_create, tag_step};
use super::refusals::{foreign, refusal};
use super::state::Situation;
use super::steps::Step;
use crate::azure::merge::Ownership;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::request::Trigger;
use crate::secret::{Document, Label};
use crate::warning::Warning;

/// What follows from the state.
#[derive(Clone, PartialEq, Debug)]
pub enum Next {
    /// The owner has to look who is a member and who is invited; then ask again.
    Roster,
    /// The PATs have to be listed, since they tell for which secret a token was made; then ask again.
    LookUpToken,
    /// The versions with a staging label have to be read: which connectors do they name? Then ask again.
    ReadVersions,
    /// The connector that an offboarded secret kept has to be read; then ask again.
    ReadFormer,
    /// The subscription's connectors have to be looked through for this secret's fingerprint; then ask again.
    LookElsewhere,
    /// These steps come first; then ask again with what they leave.
    First(Vec<Step>),
    /// The token of this version has to be proven first; then ask again.
    Prove(String),
    /// A sample of this version's repositories has to be pulled; then it is done.
    Test(String),
    /// Docker Hub rejected this version's token, and another can take its place: note it, read on, ask again.
    Dead(String),
    /// The token in use is rejected, and may be one that an interrupted run deactivated: look, and ask again.
    Revive,
    /// The candidate cannot be taken up, for this reason: note it, go on with what is current, and end with it.
    SetAside(Error),
    /// These steps, in this order; none: all is as it should be.
    Do(Vec<Step>),
    /// Nothing, for this reason.
    Nothing(Outcome, String),
}

/// A plan, and what should be known besides.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// What follows.
    pub next: Next,
    /// What stops nothing.
    pub warnings: Vec<Warning>,
}

impl Plan {
    fn of(next: Next) -> Self {
        Self { next, warnings: Vec::new() }
    }
}

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

/// Proof, then the connector: what setSecret, a changed secret and an onboarding have in common.
fn connect(situation: &Situation, version: &str, document: &Document, force: bool) -> Result<Plan, Error> {
    if let Some(question) = ask(situation, document)? {
        return Ok(question);
    }
    let warnings = connector_warnings(situation, document)?;
    let carries = carried(situation, version, document).is_ok();
    if carries && !force {
        return Ok(Plan { next: Next::Do(Vec::new()), warnings });
    }
    let next = match situation.verdict_on(version) {
        None => Next::Prove(version.to_owned()),
        Some(verdict) if verdict.is_complete() => Next::Do(vec![write(situation, version)]),
        Some(verdict) => return Err(refusal(verdict)),
    };
    Ok(Plan { next, warnings })
}

fn write(situation: &Situation, version: &str) -> Step {
    Step::WriteConnector { version: version.to_owned(), create: situation.observed().is_none() }
}

/// What has to be read before it is known whether the secret keeps the document's connector.
fn ask(situation: &Situation, document: &Document) -> Result<Option<Plan>, Error> {
    Ok(match keeps(situation, document)? {
        Keeps::Known | Keeps::Remember(_) => None,
        Keeps::ReadVersions => Some(Plan::of(Next::ReadVersions)),
        Keeps::ReadFormer => Some(Plan::of(Next::ReadFormer)),
    })
}

/// In what the connector drifted from what hubkeeper wrote.
fn drift(situation: &Situation, document: &Document, client_id: &str) -> Option<String> {
    let writers: Vec<&str> = std::iter::once(client_id).chain(situation.secret.writer()).collect();
    situation.observed()?.drift(document, &writers)
}

fn carried(situation: &Situation, version: &str, document: &Document) -> Result<(), Error> {
    let carried = match situation.observed() {
        None => Err("it does not exist".to_owned()),
        Some(observed) => observed.carries(document, &situation.secret.fingerprint(), version),
    };
    carried.map_err(|why| {
        Error::retryable(
            format!("the connector does not carry version {version}: {why}"),
            "let the rotation run again: setSecret writes the connector",
        )
    })
}

/// Whether the connector may be touched at all, and what is odd about it.
fn connector_warnings(situation: &Situation, document: &Document) -> Result<Vec<Warning>, Error> {
    let mut warnings = Vec::new();
    let Some(observed) = situation.observed() else { return Ok(warnings) };
    match observed.ownership(&document.organization, &situation.secret.fingerprint()) {
        Ownership::Ours => {}
        Ownership::Untagged => warnings.push(Warning::new(
            "connectorTakenOver",
            "the connector was made without hubkeeper (no hubkeeper tags): it is taken over",
        )),
        Ownership::Foreign(why) => return Err(foreign(&why, document)),
    }
    if let Some(location) = observed.location()
        && !same_location(location, &document.connector.location)
    {
        warnings.push(Warning::new(
            "locationKept",
            "the connector's location differs from the secret's `connector.location`; ARM fixes it at creation, so it is kept",
        ));
    }
    Ok(warnings)
}

fn same_location(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    plain(one) == plain(other)
}

fn same_subject(situation: &Situation, document: &Document) -> Result<(), Error> {
    match &situation.current {
        Some(current) if !current.document.same_subject(document) => Err(other_subject()),
        _ => Ok(()),
    }
}

fn other_subject() -> Error {
    Error::needs_human(
        "the new version is about another organization or another connector than AWSCURRENT",
        "offboard the secret first, or correct the new version's `organization` and `connector`",
    )
}

fn no_pending_value() -> Error {
    Error::retryable("the pending version has no value", "let the rotation run again: createSecret puts the value")
}

fn no_token(situation: &Situation) -> Error {
    Error::needs_human(
        "the secret holds no usable token",
        format!(
            "make a read-only token as the dedicated user and put it: aws secretsmanager put-secret-value --secret-id {} --secret-string file://document.json; or name a `manager` secret that mints",
            situation.secret.arn
        ),
    )
}

#[cfg(test)]
pub(super) mod tests;
