//! Decides whether labels and tags admit an event (docs/events.md). Pure.

use time::Duration;

use crate::error::Error;
use crate::ids::VersionId;
use crate::outcome::Outcome;
use crate::plan::refusals::{replaced_already, unstick};
use crate::plan::state::Admission;
use crate::request::Trigger;
use crate::secret::{Label, Managed, Secret, Subject};
use crate::time::Timestamp;

/// Decides whether labels and tags admit an event, and with which version.
///
/// # Errors
/// The checks of AWS's rotation template, the rule about a rotation in progress, and versions that the event cannot mean.
pub fn admit(
    trigger: &Trigger,
    token: Option<&VersionId>,
    secret: &Secret,
    now: Timestamp,
) -> Result<Admission, Error> {
    if trigger.is_rotation() {
        // the parser refuses a step without its version
        let token = token.ok_or_else(|| Error::bad_event("field `ClientRequestToken` is missing"))?;
        return admit_rotation(trigger, token, secret);
    }
    let reconciled = matches!(trigger, Trigger::Reconcile { .. });
    if (trigger.is_notice() && secret.managed() != Managed::Yes) || (reconciled && secret.managed() == Managed::No) {
        return Ok(nothing(Outcome::Ignored, "the secret is not tagged hubkeeper = managed"));
    }
    if secret.deleted {
        return if trigger.is_notice() {
            Ok(nothing(Outcome::Ignored, "the secret is scheduled for deletion"))
        } else {
            Err(Subject::secret(&secret.arn).deleted())
        };
    }
    let current = secret.version(Label::Current);
    let admitted = match trigger {
        Trigger::CandidateStaged { version } => {
            let version = version.as_ref().or(secret.version(Label::Candidate));
            match version {
                Some(version) if secret.bears(version, Label::Candidate) => of(version, Label::Candidate),
                Some(version) if Some(version) == current => {
                    return Ok(nothing(Outcome::Unchanged, "the version is AWSCURRENT already"));
                }
                _ => return Ok(nothing(Outcome::Ignored, "the version is no longer staged HUBKEEPER_CANDIDATE")),
            }
        }
        Trigger::SecretChanged { version } => match (version.as_ref(), current) {
            (None, Some(current)) => of(current, Label::Current),
            (Some(version), Some(current)) if version == current => of(current, Label::Current),
            (Some(version), _) if secret.bears(version, Label::Pending) => {
                return Ok(nothing(Outcome::Ignored, "the version is AWSPENDING only: its rotation continues"));
            }
            _ => return Ok(nothing(Outcome::Ignored, "the version is not AWSCURRENT")),
        },
        Trigger::Onboard { version: Some(version), .. } => {
            if Some(version) == current {
                of(version, Label::Current)
            } else if secret.bears(version, Label::Candidate) {
                of(version, Label::Candidate)
            } else {
                return Err(Error::bad_event(
                    "field `versionId` names a version that is neither AWSCURRENT nor HUBKEEPER_CANDIDATE",
                ));
            }
        }
        Trigger::Verify { version: Some(version) } => match secret.versions.get(version) {
            Some(_) => of(version, Label::Current),
            None => return Err(Error::bad_event("field `versionId` names a version that has no staging label")),
        },
        _ => match current {
            Some(current) => of(current, Label::Current),
            None => {
                return Err(Error::needs_human(
                    "the secret has no AWSCURRENT version",
                    "put the secret's document first (aws secretsmanager put-secret-value); docs/secret.md shows it",
                ));
            }
        },
    };
    match trigger {
        Trigger::Verify { .. } | Trigger::RotationEnded { .. } => Ok(admitted),
        // the rotation of an offboarded secret cannot continue: its steps are refused
        Trigger::Reconcile { .. } | Trigger::Offboard if secret.managed() == Managed::Offboarded => Ok(admitted),
        Trigger::Reconcile { revoke_replaced } => match secret.rotation_in_progress() {
            Some(pending) if secret.stuck_rotation(now).is_none() => {
                let again =
                    if *revoke_replaced { "; no token was revoked: send the event again when it is over" } else { "" };
                let reason =
                    format!("a rotation is in progress, version {pending} is AWSPENDING: it is left alone{again}");
                Ok(nothing(Outcome::Unchanged, &reason))
            }
            _ => Ok(admitted),
        },
        _ => no_rotation(secret).map(|()| admitted),
    }
}

/// How far an event may be ahead of what `DescribeSecret` shows.
const AHEAD: Duration = Duration::minutes(10);

/// Checks that `DescribeSecret` should already show a notice's version. A version that it does not show may be newer than its
/// response, as long as the event is young; `sent_at` is the event's own time.
///
/// # Errors
/// `Retryable` if the notice is ahead of the response.
pub fn is_shown(trigger: &Trigger, sent_at: Option<Timestamp>, secret: &Secret, now: Timestamp) -> Result<(), Error> {
    let (Trigger::SecretChanged { version: Some(version) } | Trigger::CandidateStaged { version: Some(version) }) =
        trigger
    else {
        return Ok(());
    };
    let young = sent_at.is_some_and(|at| (now - at).abs() < AHEAD);
    if secret.versions.contains_key(version) || secret.managed() != Managed::Yes || secret.deleted || !young {
        return Ok(());
    }
    Err(Error::retryable(
        format!("the event names version {version}, which Secrets Manager does not show yet"),
        "repeat the event; hubkeeper ignores it once it is ten minutes old",
    ))
}

fn of(version: &VersionId, label: Label) -> Admission {
    Admission::Version { version: version.to_owned(), label }
}

fn nothing(outcome: Outcome, reason: &str) -> Admission {
    Admission::Nothing { outcome, reason: reason.to_owned() }
}

/// Allows only rotation steps to write while a version other than AWSCURRENT is AWSPENDING.
///
/// # Errors
/// `Retryable` while a rotation is in progress, with the command that ends it.
pub fn no_rotation(secret: &Secret) -> Result<(), Error> {
    match secret.rotation_in_progress() {
        None => Ok(()),
        Some(pending) => Err(Error::retryable(
            format!("a rotation is in progress: version {pending} is AWSPENDING"),
            format!("wait until it ends; if it is stuck, end it: {}", unstick(secret, pending)),
        )),
    }
}

/// The checks of AWS's template, in its order.
fn admit_rotation(trigger: &Trigger, token: &VersionId, secret: &Secret) -> Result<Admission, Error> {
    if secret.deleted {
        return Err(Subject::secret(&secret.arn).deleted());
    }
    if secret.managed() == Managed::Offboarded {
        return Err(Error::refused(
            "the secret is tagged hubkeeper = offboarded",
            format!("cancel its rotation: aws secretsmanager cancel-rotate-secret --secret-id {}", secret.arn),
        ));
    }
    if !secret.rotation_enabled {
        return Err(Error::misconfigured(
            "rotation is not enabled for the secret",
            "enable rotation, or send onboard instead",
        ));
    }
    let abandoned = |what: String| {
        Err(Error::needs_human(
            what,
            "the rotation was abandoned (a value was put by hand) or has ended: nothing is lost; start another rotation when one is due",
        ))
    };
    if !secret.versions.contains_key(token) {
        return abandoned(format!("version {token} has no staging label"));
    }
    if secret.bears(token, Label::Current) {
        return match trigger {
            // labels and tags may still need an update
            Trigger::FinishSecret => Ok(of(token, Label::Current)),
            _ => Ok(nothing(Outcome::Unchanged, "the version is AWSCURRENT already")),
        };
    }
    if secret.bears(token, Label::Previous) {
        return Err(replaced_already(token, secret));
    }
    if !secret.bears(token, Label::Pending) {
        return abandoned(format!("version {token} is not staged AWSPENDING"));
    }
    Ok(of(token, Label::Pending))
}

#[cfg(test)]
mod tests;
