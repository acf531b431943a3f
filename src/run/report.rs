//! Fills the report from the values of a flow: the outcome, the steps of a plan, the connector, the invitation, the
//! token's expiry.
//!
//! The module only converts values: it does not read, write or ask the planner.

use hubkeeper_core::error::Error;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::outcome::Outcome;
use hubkeeper_core::plan::{State, Step, World};
use hubkeeper_core::report::{Change, InvitationReport, Report};
use hubkeeper_core::request::{Mode, Request, Trigger};
use hubkeeper_core::secret::document::expiry_warning;
use hubkeeper_core::secret::kept::STACK_TAG;
use hubkeeper_core::secret::schedule::ends_before_rotation;
use hubkeeper_core::secret::{Label, Managed, Secret};
use hubkeeper_core::time::{Timestamp, rfc3339};
use hubkeeper_core::warning::{Warning, WarningCode};

/// Returns whether the report lists steps of `mode: plan`.
fn has_plan(report: &Report) -> bool {
    report.plan.as_ref().is_some_and(|steps| !steps.is_empty())
}

/// Records that nothing is to do in this state, with the reason. Steps that were planned before still count.
pub(super) fn note_nothing(report: &mut Report, outcome: Outcome, reason: String) {
    report.outcome = if has_plan(report) { Outcome::Planned } else { outcome };
    report.reason = Some(reason);
}

/// Records the end of all steps, run or planned. `has_written` says whether any of them wrote.
pub(super) fn note_end(report: &mut Report, mode: Mode, has_written: bool) {
    report.outcome = match (has_plan(report), has_written) {
        (true, _) => Outcome::Planned,
        (false, true) => Outcome::Applied,
        (false, false) => Outcome::Unchanged,
    };
    if report.outcome == Outcome::Unchanged && mode == Mode::Apply {
        report.reason = Some("nothing needs to change".into());
    }
}

/// Records the connector as it was read.
pub(super) fn note_connector(report: &mut Report, request: &Request, world: &World) {
    if let Some(found) = &world.connector {
        report.found_connector.get_or_insert(found.observed().is_some());
        let asked = request.stack.as_ref();
        report.is_stack_own |= asked.is_some() && world.secret.tags.get(STACK_TAG) == asked;
    }
    if let Some(document) = &world.document
        && world.connector.is_some()
        && report.connector.is_none()
    {
        report.connector(document.connector.id.to_string(), Change::None);
    }
}

/// Records the invitation from the secret's tag.
pub(super) fn note_invitation(report: &mut Report, secret: &Secret, now: Timestamp) {
    let state = secret.invitation().ok().flatten();
    report.invitation = state.map(|state| InvitationReport::new(state, now));
}

/// Warns about a candidate that this reconcile ignores because of `error`, with the command that removes its label.
pub(super) fn warn_of_candidate(report: &mut Report, secret: &Secret, error: &Error) {
    let candidate = secret.version(Label::Candidate).map_or("", VersionId::as_str);
    report.warn(Warning::new(
        WarningCode::CandidateNotAdopted,
        format!(
            "{error}; or discard the candidate: aws secretsmanager update-secret-version-stage --secret-id {} --version-stage HUBKEEPER_CANDIDATE --remove-from-version-id {candidate}",
            secret.arn
        ),
    ));
}

/// Records the steps of `mode: plan`, and how they would change the connector.
pub(super) fn foresee(report: &mut Report, world: &World, steps: &[Step]) {
    let change = steps.iter().find_map(|step| match step {
        Step::WriteConnector { create: true, .. } => Some(Change::WouldCreate),
        Step::WriteConnector { create: false, .. } => Some(Change::WouldUpdate),
        Step::DeleteConnector => Some(Change::WouldDelete),
        _ => None,
    });
    let ends = change == Some(Change::WouldDelete);
    let named = world.document.as_ref().map(|document| document.connector.id.clone());
    let id = if ends { world.offboarded_connector().map(|known| known.connector) } else { named };
    if let (Some(change), Some(id)) = (change, id) {
        report.connector(id.to_string(), change);
    }
    report.plan.get_or_insert_default().extend_from_slice(steps);
}

/// Records the token's expiry, and warns if it is near or comes before the next rotation. `grace_hours` is the value of
/// `HUBKEEPER_REVOKE_AFTER_HOURS`.
pub(super) fn note_expiry(report: &mut Report, trigger: &Trigger, state: &State, grace_hours: u32, now: Timestamp) {
    let version = state.progress.proven.as_ref().map_or(&state.world.version, |proven| &proven.version);
    let Some(document) = state.world.document_of(version).or(state.world.document.as_ref()) else { return };
    if document.access_token.is_none() {
        return;
    }
    report.tokens.expires_at = document.expires_at.map(rfc3339);
    if matches!(trigger, Trigger::Offboard) || state.world.secret.managed() == Managed::Offboarded {
        report.is_given_up = true;
        return;
    }
    if let Some(warning) = expiry_warning(document, now) {
        report.warn(warning);
    }
    if let (Some(schedule), Some(expires_at)) = (&state.world.secret.schedule, document.expires_at)
        && expires_at > now
    {
        let due = if trigger.is_rotation() { schedule.after(now) } else { schedule.next };
        let grace = time::Duration::hours(i64::from(grace_hours));
        if let Some(warning) = ends_before_rotation(schedule, due, expires_at, grace) {
            report.warn(warning);
        }
    }
}
