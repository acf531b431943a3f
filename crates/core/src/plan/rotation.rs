//! Plans the steps of a rotation.

use crate::error::Error;
use crate::ids::VersionId;
use crate::outcome::Outcome;
use crate::plan::keeping::{keeps_no_other, tag_step};
use crate::plan::refusals::{refusal, unstick};
use crate::plan::rules::{Next, Plan, carried, no_pending_value, other_subject, same_subject};
use crate::plan::state::{State, World};
use crate::plan::steps::Step;
use crate::request::Trigger;
use crate::secret::Label;
use crate::warning::{Warning, WarningCode};

pub(super) fn create_secret(world: &World) -> Result<Next, Error> {
    let version = world.version.clone();
    if let Some(pending) = &world.document {
        // keep the stored value; revoke a token that an earlier attempt minted and could not store
        let minted = pending.manager.is_some() && pending.token_id.is_some();
        return Ok(Next::Do(if minted { vec![Step::RevokeOrphaned { version }] } else { Vec::new() }));
    }
    let current = world.current.as_ref().ok_or_else(|| {
        Error::needs_human(
            "the secret has no AWSCURRENT value",
            "put the secret's document first; docs/secret.md shows it",
        )
    })?;
    keeps_no_other(world, &current.document)?;
    if current.document.manager.is_some() {
        return Ok(Next::Do(vec![
            Step::MintToken { version: version.clone(), label: Label::Pending },
            Step::RevokeOrphaned { version },
        ]));
    }
    let Some(candidate) = &world.candidate else {
        return Err(Error::needs_human(
            "the secret names no manager, and no version is staged HUBKEEPER_CANDIDATE",
            format!(
                "make a read-only token by hand and stage it: aws secretsmanager put-secret-value --secret-id {} --version-stages HUBKEEPER_CANDIDATE --secret-string file://document.json; it is then proven and adopted without a rotation",
                world.secret.arn
            ),
        ));
    };
    if candidate.document.access_token.is_none() {
        return Err(Error::needs_human("the candidate holds no token", "stage a document with `accessToken`"));
    }
    if !candidate.document.same_subject(&current.document) {
        return Err(other_subject());
    }
    Ok(Next::Do(vec![Step::CopyCandidate { from: candidate.id.clone(), to: version }]))
}

pub(super) fn test_secret(state: &State) -> Result<Plan, Error> {
    let current = state.world.current.as_ref();
    let of_its_own = state.world.document.as_ref().filter(|document| {
        document.access_token.is_some() && !current.is_some_and(|current| current.document.same_token(document))
    });
    if let Some(document) = of_its_own {
        let carried = match state.world.observed() {
            None => Err("it does not exist".to_owned()),
            Some(observed) => observed.carries(document, &state.world.secret.fingerprint(), &state.world.version),
        };
        return match carried {
            Ok(()) => Ok(Plan::of(Next::Test(state.world.version.clone()))),
            Err(why) => Err(Error::retryable(
                format!("the connector does not carry the pending version: {why}"),
                "let the rotation run again: setSecret writes the connector",
            )),
        };
    }
    // RotateImmediately=false: AWS only tests the rotation, so prove AWSCURRENT
    let mut warnings = Vec::new();
    if state.world.observed().is_none() {
        warnings.push(Warning::new(
            WarningCode::ConnectorAbsent,
            "there is no connector yet: onboard the secret, or rotate it",
        ));
    }
    let Some(current) = current.filter(|current| current.document.access_token.is_some()) else {
        warnings.push(Warning::new(
            WarningCode::TokenAbsent,
            "the current version holds no token yet: onboard the secret, or rotate it",
        ));
        let next = Next::Nothing(Outcome::Unchanged, "there is no token yet to test".into());
        return Ok(Plan { next, warnings });
    };
    let next = match state.progress.verdict_on(&current.id) {
        None => Next::Prove(current.id.clone()),
        Some(verdict) if verdict.is_complete() => Next::Do(Vec::new()),
        Some(verdict) => return Err(refusal(verdict)),
    };
    Ok(Plan { next, warnings })
}

pub(super) fn finish_secret(trigger: &Trigger, world: &World) -> Result<Next, Error> {
    let secret = &world.secret;
    let version = &world.version;
    let document = world.document.as_ref().ok_or_else(no_pending_value)?;
    let mut steps = Vec::new();
    if !secret.bears(version, Label::Current) {
        same_subject(world, document)?;
        keeps_no_other(world, document)?;
        carried(world, version, document)?;
        let from = secret.version(Label::Current).cloned();
        let from = from.ok_or_else(|| Error::retryable("AWSCURRENT moved meanwhile", "repeat the event"))?;
        steps.push(Step::MoveCurrent { from, to: version.clone() });
    }
    if let Some(candidate) = &document.candidate_version
        && secret.bears(candidate, Label::Candidate)
    {
        steps.push(Step::Unstage { from: candidate.clone() });
    }
    steps.extend(tag_step(trigger, world, document)?);
    Ok(Next::Do(steps))
}

/// Plans what follows after Secrets Manager reports a failed rotation, and warns about it.
pub(super) fn ended(world: &World, abandoned: bool, step: Option<&str>, version: Option<&VersionId>) -> String {
    let of = version.map(|version| format!(" of version {version}")).unwrap_or_default();
    if abandoned {
        return format!(
            "the rotation{of} was abandoned: a value was put by hand meanwhile. Remedy: the connector needs none, hubkeeper brings it to AWSCURRENT; reconcile retires the minted token; start the rotation again if you still want it"
        );
    }
    let at = step.map(|step| format!(" in step {step}")).unwrap_or_default();
    let pending = world.secret.rotation_in_progress();
    let unstick = pending.map(|pending| format!("; to end it instead: {}", unstick(&world.secret, pending)));
    format!(
        "the rotation{of} failed{at}; the connector and AWSCURRENT are as the step left them, with a live token. Remedy: see this function's error for the step, fix its cause, and start the rotation again: aws secretsmanager rotate-secret --secret-id {}{}",
        world.secret.arn,
        unstick.unwrap_or_default()
    )
}
