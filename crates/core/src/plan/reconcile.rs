//! Plans a reconcile: adopt, prove again, repair. Also plans an offboarding and its completion. Token retirement follows and has
//! its own rules ([`crate::plan::retirement`]).

use time::Duration;

use crate::connector::observed::Ownership;
use crate::error::Error;
use crate::ids::VersionId;
use crate::plan::onboard::adopt;
use crate::plan::refusals::{ours_to_delete, refusal, still_there, unstick};
use crate::plan::rules::{Next, Plan, ask, carried, connector_warnings, drift, no_token, write};
use crate::plan::state::{OffboardedConnector, State, World};
use crate::plan::steps::Step;
use crate::proof::Finding;
use crate::secret::{Document, Label, Managed};
use crate::time::rfc3339;
use crate::warning::{Warning, WarningCode};

/// Age up to which Secrets Manager is expected to remove a leftover AWSPENDING by itself.
const LEFTOVER: Duration = Duration::HOUR;

/// Plans the reconcile of one secret, except for its tokens.
pub(super) fn reconcile(state: &State, client_id: &str) -> Result<Plan, Error> {
    if state.world.secret.managed() == Managed::Offboarded {
        return finish(&state.world);
    }
    let stuck = state.world.stuck();
    if stuck.is_none()
        && state.progress.ignored_candidate.is_none()
        && let Some(candidate) = &state.world.candidate
        && !state.world.secret.bears(&candidate.id, Label::Current)
    {
        // an unusable candidate must not block the care for AWSCURRENT
        return Ok(match adopt(state, &candidate.id) {
            Ok(Plan { next: Next::Nothing(_, why), warnings }) => {
                let error = Error::needs_human(
                    format!("version {} waits as HUBKEEPER_CANDIDATE: {why}", candidate.id),
                    "stage a document with `accessToken`, or remove the label",
                );
                Plan { next: Next::IgnoreCandidate(error), warnings }
            }
            Ok(plan) => plan,
            Err(error) => Plan::of(Next::IgnoreCandidate(error)),
        });
    }
    let document = state.world.document.as_ref().filter(|document| document.access_token.is_some());
    let document = document.ok_or_else(|| no_token(&state.world))?;
    if let Some(question) = ask(&state.world, document)? {
        return Ok(question);
    }
    let mut warnings = connector_warnings(&state.world, document)?;
    warnings.extend(stuck.map(|pending| stuck_warning(&state.world, pending)));
    warnings.extend(leftover_warning(&state.world));
    warnings.extend(replaced(&state.world, document));
    let version = &state.world.version;
    match state.progress.verdict_on(version) {
        None => return Ok(Plan { next: Next::Prove(version.clone()), warnings }),
        Some(verdict)
            if verdict.result == Finding::Rejected
                && stuck.is_none()
                && !state.progress.reactivated
                && document.manager.is_some() =>
        {
            return Ok(Plan { next: Next::Reactivate, warnings });
        }
        Some(verdict) if !verdict.is_complete() => return Err(refusal(verdict)),
        Some(_) => {}
    }
    let mut steps = Vec::new();
    let differs = match carried(&state.world, version, document) {
        Err(_) if carries_stuck(&state.world) => None,
        Err(why) => Some(why.what().to_owned()),
        Ok(()) => drift(&state.world, document, client_id).map(|why| format!("the connector drifted: {why}")),
    };
    if let Some(differs) = differs {
        warnings.push(Warning::new(WarningCode::ConnectorDrifted, differs));
        steps.push(write(&state.world, version));
    }
    // an adoption that was interrupted before its last step
    if stuck.is_none() && state.world.secret.bears(version, Label::Candidate) {
        steps.push(Step::Unstage { from: version.clone() });
    }
    Ok(Plan { next: Next::Do(steps), warnings })
}

/// Whether the connector carries the pending version of a stuck rotation: then reconcile does not write it.
fn carries_stuck(world: &World) -> bool {
    let pending = world.pending.as_ref().filter(|pending| world.stuck() == Some(&pending.id));
    pending.is_some_and(|pending| carried(world, &pending.id, &pending.document).is_ok())
}

fn stuck_warning(world: &World, pending: &VersionId) -> Warning {
    let since = world.secret.pending_since.map(rfc3339).unwrap_or_default();
    Warning::new(
        WarningCode::RotationStuck,
        format!(
            "version {pending} has been AWSPENDING since {since}: the rotation is stuck. Find out why its steps fail, or end it: {}",
            unstick(&world.secret, pending)
        ),
    )
}

/// Warns about an AWSPENDING label left over from a finished rotation: `RotateSecret` fails while it exists.
fn leftover_warning(world: &World) -> Option<Warning> {
    let version = world.secret.leftover_pending()?;
    // the label cannot have been left over later than the secret's last change
    let old = world.secret.last_changed.is_some_and(|changed| changed + LEFTOVER <= world.now);
    old.then(|| {
        Warning::new(WarningCode::PendingLeftover,
            format!(
                "version {version} is still staged AWSPENDING though its rotation is over, and RotateSecret fails until the label is removed: {}",
                unstick(&world.secret, version)
            ),
        )
    })
}

/// Warns about a replaced token that only a person can revoke.
fn replaced(world: &World, document: &Document) -> Option<Warning> {
    let previous = world.previous.as_ref()?;
    let old = &previous.document;
    let ended = old.expires_at.is_some_and(|expires_at| expires_at <= world.now);
    if old.access_token.is_none() || old.same_token(document) || ended {
        return None;
    }
    match (&old.token_id, &document.manager) {
        (None, _) => Some(Warning::new(
            WarningCode::ReplacedByHand,
            format!(
                "the token of version {} was made by hand and is replaced: revoke it at Docker Hub once nothing else uses it",
                previous.id
            ),
        )),
        (Some(id), None) => Some(Warning::new(
            WarningCode::ReplacedWithoutManager,
            format!(
                "the token {id} of version {} is replaced, and the secret names no manager that could retire it: revoke it at Docker Hub as user {}",
                previous.id, old.username
            ),
        )),
        (Some(_), Some(_)) => None,
    }
}

/// Plans an offboarding: the tag, then the connector. Reconcile retires the tokens; the secret remains with its owner.
pub(super) fn offboard(world: &World) -> Result<Plan, Error> {
    let Some(OffboardedConnector { organization, connector }) = world.offboarded_connector() else {
        return Err(Error::needs_human(
            "neither the secret's tag hubkeeper-connector nor its value names a connector",
            "tag the secret hubkeeper = offboarded and delete the connector by hand",
        ));
    };
    let mut steps = Vec::new();
    if !world.is_offboarded() {
        steps.push(Step::TagOffboarded);
    }
    if let Some(observed) = world.observed() {
        ours_to_delete(observed, &organization, &connector, &world.secret)?;
        steps.push(Step::DeleteConnector);
    }
    Ok(Plan::of(Next::Do(steps)))
}

/// Completes an offboarding: retires its tokens. If the connector still exists, a person must decide: many principals may set
/// the tag, so the tag alone never deletes a connector.
fn finish(world: &World) -> Result<Plan, Error> {
    let mut warnings = Vec::new();
    if let Some(document) = &world.document
        && document.access_token.is_some()
        && document.token_id.is_none()
    {
        warnings.push(Warning::new(WarningCode::ReplacedByHand,
            format!("the secret is offboarded and the token of version {} was made by hand: revoke it at Docker Hub once nothing else uses it", world.version),
        ));
    }
    if let (Some(OffboardedConnector { organization, connector }), Some(observed)) =
        (world.offboarded_connector(), world.observed())
    {
        match observed.ownership(&organization, &world.secret.fingerprint()) {
            Ownership::Ours => return Err(still_there(&organization, &connector)),
            Ownership::Untagged | Ownership::Foreign(_) => warnings.push(Warning::new(WarningCode::ConnectorLeft,
                "the secret is offboarded and a connector of that name exists without this secret's tag: hubkeeper touches neither the connector nor the tokens, since the connector may hold one; delete the connector by hand if nobody needs it",
            )),
        }
    }
    Ok(Plan { next: Next::Do(Vec::new()), warnings })
}
