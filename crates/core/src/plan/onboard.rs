//! Plans onboarding, and the adoption of a candidate.

use crate::error::Error;
use crate::ids::VersionId;
use crate::outcome::Outcome;
use crate::plan::refusals::refusal;
use crate::plan::retirement::token_of_another_secret;
use crate::plan::rules::{Next, Plan, ask, carried, connect, connector_warnings, drift, no_token, same_subject, write};
use crate::plan::state::{State, World};
use crate::plan::steps::Step;
use crate::proof::Finding;
use crate::secret::invitation::INVITE_TAG;
use crate::secret::{Document, Label};

/// Plans the adoption of a candidate: proof, connector, AWSCURRENT, label.
pub(super) fn adopt(state: &State, version: &VersionId) -> Result<Plan, Error> {
    let Some(document) = state.world.document_of(version).filter(|document| document.access_token.is_some()) else {
        return Ok(Plan::of(Next::Nothing(Outcome::Ignored, "the version holds no token".into())));
    };
    same_subject(&state.world, document)?;
    if let Some(question) = ask(&state.world, document)? {
        return Ok(question);
    }
    let warnings = connector_warnings(&state.world, document)?;
    // proven even if the connector carries it: AWSCURRENT moves only to a proven version
    match state.progress.verdict_on(version) {
        None => return Ok(Plan { next: Next::Prove(version.to_owned()), warnings }),
        Some(verdict) if verdict.is_complete() => {}
        Some(verdict) => return Err(refusal(verdict)),
    }
    let mut steps = Vec::new();
    if !state.world.secret.bears(version, Label::Candidate) && !state.world.secret.bears(version, Label::Current) {
        steps.extend(stage(&state.world, version));
    }
    if carried(&state.world, version, document).is_err() {
        steps.push(write(&state.world, version));
    }
    steps.extend(promote(&state.world, version));
    Ok(Plan { next: Next::Do(steps), warnings })
}

/// Stages the version as the candidate. It moves the label away from a version that was judged unusable; a version that is staged
/// after this plan was made keeps the label.
fn stage(world: &World, version: &VersionId) -> Vec<Step> {
    let unusable = world.secret.version(Label::Candidate).filter(|staged| *staged != version);
    let mut steps: Vec<Step> = unusable.map(|staged| Step::Unstage { from: staged.to_owned() }).into_iter().collect();
    steps.push(Step::StageCandidate { version: version.to_owned() });
    steps
}

/// Moves AWSCURRENT to the version, then removes the candidate's label.
fn promote(world: &World, version: &VersionId) -> Vec<Step> {
    let mut steps = Vec::new();
    match world.secret.version(Label::Current) {
        Some(current) if current != version => {
            steps.push(Step::MoveCurrent { from: current.to_owned(), to: version.to_owned() });
        }
        _ => {}
    }
    steps.push(Step::Unstage { from: version.to_owned() });
    steps
}

/// Chooses the token of an onboarding: the current one, a candidate, one that an earlier onboarding minted, or a new one.
pub(super) fn onboard(state: &State, client_id: &str, force: bool) -> Result<Plan, Error> {
    let current = state.world.document.as_ref().ok_or_else(|| no_token(&state.world))?;
    let usable = |version: &VersionId, document: &Document| {
        document.access_token.is_some() && !state.progress.skipped.contains(version)
    };
    if usable(&state.world.version, current) {
        if let Some(next) = whose_token(state, current) {
            return Ok(next);
        }
        return match state.progress.verdict_on(&state.world.version) {
            None => {
                let warnings = connector_warnings(&state.world, current)?;
                Ok(Plan { next: Next::Prove(state.world.version.clone()), warnings })
            }
            Some(verdict) if verdict.result == Finding::Rejected && current.manager.is_some() => {
                Ok(Plan::of(Next::SkipVersion(state.world.version.clone())))
            }
            Some(verdict) if !verdict.is_complete() => Err(refusal(verdict)),
            Some(_) => {
                let repairs = drift(&state.world, current, client_id).is_some();
                connect(state, &state.world.version, current, force || repairs)
            }
        };
    }
    let candidate = state.world.candidate.as_ref().map(|known| (&known.id, &known.document));
    let slot = state.world.slot.as_ref().and_then(|slot| Some((&slot.id, slot.document.as_ref()?)));
    if let Some((version, document)) =
        candidate.into_iter().chain(slot).find(|(version, document)| usable(version, document))
    {
        return match state.progress.verdict_on(version) {
            Some(verdict) if verdict.result == Finding::Rejected && document.manager.is_some() => {
                Ok(Plan::of(Next::SkipVersion(version.to_owned())))
            }
            _ => adopt(state, version),
        };
    }
    let Some(slot) = state.world.slot.as_ref().filter(|_| current.manager.is_some()) else {
        return without_token(&state.world, current);
    };
    let warnings = connector_warnings(&state.world, current)?;
    let mut steps = vec![
        Step::MintToken { version: slot.id.clone(), label: Label::Minted },
        Step::RevokeOrphaned { version: slot.id.clone() },
    ];
    steps.extend(stage(&state.world, &slot.id));
    steps.push(Step::Prove { version: slot.id.clone() });
    steps.push(write(&state.world, &slot.id));
    steps.extend(promote(&state.world, &slot.id));
    Ok(Plan { next: Next::Do(steps), warnings })
}

/// Skips a token that was minted for another secret: that secret's runs will retire it. `None` if the token belongs to this secret,
/// or if its owner is unknown.
fn whose_token(state: &State, current: &Document) -> Option<Plan> {
    let id = current.token_id.as_ref().filter(|_| current.manager.is_some())?;
    if !state.progress.looked_up {
        return Some(Plan::of(Next::LookUpToken));
    }
    let named = state.world.pats.iter().flatten().find(|pat| pat.id == id)?;
    state.world.secret.is_label_of_another(&named.label).then(|| Plan {
        next: Next::SkipVersion(state.world.version.clone()),
        warnings: vec![token_of_another_secret(&state.world.version, id, "another token is made")],
    })
}

/// Only a person can create the token: returns an error, or what an onboarding from zero waits for.
fn without_token(world: &World, current: &Document) -> Result<Plan, Error> {
    if current.invitation.is_none() && !world.secret.tags.contains_key(INVITE_TAG) {
        return Err(no_token(world));
    }
    let reason = format!(
        "the dedicated user {} is a member, and the secret holds no usable token and names no `manager`: log in to Docker Hub as that user, make a token with the permission Read-only, and put it: aws secretsmanager put-secret-value --secret-id {} --secret-string file://document.json. Nothing else was changed; hubkeeper then creates the connector by itself",
        current.username, world.secret.arn
    );
    Ok(Plan::of(Next::Nothing(Outcome::Awaiting, reason)))
}
