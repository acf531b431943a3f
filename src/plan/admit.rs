//! The doors: whether labels and tags let an event in, and whether a write may still happen (contract, section 3). Pure.

use time::Duration;

use super::refusals::{foreign, replaced_already, unstick};
use super::state::{Admission, Look, Situation};
use crate::azure::Observed;
use crate::azure::merge::Ownership;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::request::Trigger;
use crate::secret::document::ConnectorId;
use crate::secret::{Document, Label, Managed, Secret, Subject};

/// Whether labels and tags let an event go on, and with which version.
///
/// # Errors
/// The rotation template's checks, the rule about a rotation in progress, and versions that cannot be meant.
pub fn admit(trigger: &Trigger, token: Option<&str>, secret: &Secret, now: Timestamp) -> Result<Admission, Error> {
    if trigger.is_rotation() {
        return admit_rotation(trigger, token.unwrap_or_default(), secret);
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
            let version = version.as_deref().or(secret.version(Label::Candidate));
            match version {
                Some(version) if secret.bears(version, Label::Candidate) => of(version, Label::Candidate),
                Some(version) if Some(version) == current => {
                    return Ok(nothing(Outcome::Unchanged, "the version is AWSCURRENT already"));
                }
                _ => return Ok(nothing(Outcome::Ignored, "the version is no longer staged HUBKEEPER_CANDIDATE")),
            }
        }
        Trigger::SecretChanged { version } => match (version.as_deref(), current) {
            (None, Some(current)) => of(current, Label::Current),
            (Some(version), Some(current)) if version == current => of(current, Label::Current),
            (Some(version), _) if secret.bears(version, Label::Pending) => {
                return Ok(nothing(Outcome::Ignored, "the version is AWSPENDING only: its rotation goes on by itself"));
            }
            _ => return Ok(nothing(Outcome::Ignored, "the version is not AWSCURRENT")),
        },
        Trigger::Onboard { version: Some(version), .. } => {
            if Some(version.as_str()) == current {
                of(version, Label::Current)
            } else if secret.bears(version, Label::Candidate) {
                of(version, Label::Candidate)
            } else {
                return Err(Error::bad_event(
                    "member `versionId` names a version that is neither AWSCURRENT nor HUBKEEPER_CANDIDATE",
                ));
            }
        }
        Trigger::Verify { version: Some(version) } => match secret.versions.get(version) {
            Some(_) => of(version, Label::Current),
            None => return Err(Error::bad_event("member `versionId` names a version that bears no staging label")),
        },
        _ => match current {
            Some(current) => of(current, Label::Current),
            None => {
                return Err(Error::needs_human(
                    "the secret has no AWSCURRENT version",
                    "put the secret's document first (aws secretsmanager put-secret-value); the README shows it",
                ));
            }
        },
    };
    match trigger {
        Trigger::Verify { .. } | Trigger::RotationEnded { .. } => Ok(admitted),
        // an offboarded secret's rotation cannot go on: its steps are refused
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

/// An event may be this far ahead of what `DescribeSecret` shows.
const AHEAD: Duration = Duration::minutes(10);

/// Whether a notice tells of a version that `DescribeSecret` can be expected to show. One that it does not show at all may be
/// ahead of it, as long as the event is young; `sent_at` is the event's own time.
///
/// # Errors
/// `Retryable` where the notice is ahead.
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
        format!("the event tells of version {version}, which Secrets Manager does not show yet"),
        "repeat the event; one that is ten minutes old is ignored",
    ))
}

fn of(version: &str, label: Label) -> Admission {
    Admission::Version { version: version.to_owned(), label }
}

fn nothing(outcome: Outcome, reason: &str) -> Admission {
    Admission::Nothing { outcome, reason: reason.to_owned() }
}

/// While a version other than AWSCURRENT is AWSPENDING, only rotation steps write.
pub(super) fn no_rotation(secret: &Secret) -> Result<(), Error> {
    match secret.rotation_in_progress() {
        None => Ok(()),
        Some(pending) => Err(Error::retryable(
            format!("a rotation is in progress: version {pending} is AWSPENDING"),
            format!("wait for it; where it is stuck, end it: {}", unstick(secret, pending)),
        )),
    }
}

/// The checks of AWS's template, in its order.
fn admit_rotation(trigger: &Trigger, token: &str, secret: &Secret) -> Result<Admission, Error> {
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
            "enable it, or invoke onboard instead",
        ));
    }
    let abandoned = |what: String| {
        Err(Error::needs_human(
            what,
            "the rotation was abandoned (a value was put by hand) or ended: nothing is lost, start another when it is due",
        ))
    };
    if !secret.versions.contains_key(token) {
        return abandoned(format!("version {token} bears no staging label"));
    }
    if secret.bears(token, Label::Current) {
        return match trigger {
            // labels and tags may remain to be done
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

/// Whether the connector may be written with `version` now: the second look against what the plan was made from.
///
/// # Errors
/// `Retryable` where labels or connector changed meanwhile; a refusal where the connector is another's now.
pub fn may_write(
    trigger: &Trigger,
    version: &str,
    document: &Document,
    before: &Situation,
    look: &Look,
) -> Result<(), Error> {
    let changed = |what: &str| {
        Err(Error::retryable(
            format!("{what} while the token was being proven"),
            "nothing was written; repeat the event",
        ))
    };
    still_admitted(trigger, version, before, &look.secret)?;
    still_kept(document, &look.secret)?;
    let observed = look.connector.observed();
    if let Some(observed) = observed
        && let Ownership::Foreign(why) = observed.ownership(&document.organization, &look.secret.fingerprint())
    {
        return Err(foreign(&why, document));
    }
    let seen = before.connector.as_ref().and_then(|found| found.observed()).and_then(Observed::version);
    let now = observed.and_then(Observed::version);
    if now != seen && now != Some(version) {
        return changed("somebody else wrote the connector");
    }
    Ok(())
}

/// Whether AWSCURRENT may move from `from` to `to` now.
///
/// # Errors
/// `Retryable` where the connector does not carry `to`, or labels changed meanwhile.
pub fn may_move(
    trigger: &Trigger,
    from: &str,
    to: &str,
    document: &Document,
    before: &Situation,
    look: &Look,
) -> Result<(), Error> {
    still_admitted(trigger, to, before, &look.secret)?;
    still_kept(document, &look.secret)?;
    if look.secret.version(Label::Current) != Some(from) {
        return Err(Error::retryable("AWSCURRENT moved meanwhile", "repeat the event"));
    }
    let carried = match look.connector.observed() {
        None => Err("it does not exist".to_owned()),
        Some(observed) => observed.carries(document, &look.secret.fingerprint(), to),
    };
    carried.map_err(|why| {
        Error::retryable(
            format!("AWSCURRENT is not moved, the connector does not carry version {to}: {why}"),
            "repeat the event",
        )
    })
}

/// The secret still keeps the connector that the document names. A tag that was just set may not be seen everywhere yet.
fn still_kept(document: &Document, secret: &Secret) -> Result<(), Error> {
    if secret.keeps_another(document) {
        return Err(Error::retryable(
            "the secret's tag hubkeeper-connector was changed meanwhile",
            "nothing was written; repeat the event",
        ));
    }
    Ok(())
}

/// The labels and tags that admitted the event are still there.
pub(super) fn still_admitted(
    trigger: &Trigger,
    version: &str,
    before: &Situation,
    secret: &Secret,
) -> Result<(), Error> {
    let changed = |what: String| Err(Error::retryable(what, "nothing was written; repeat the event"));
    if secret.deleted {
        return changed("the secret was scheduled for deletion meanwhile".into());
    }
    if secret.managed() == Managed::Offboarded && before.secret.managed() != Managed::Offboarded {
        return changed("the secret was offboarded meanwhile".into());
    }
    if trigger.is_rotation() {
        if secret.bears(version, Label::Previous) {
            return Err(replaced_already(version, secret));
        }
        if !secret.bears(version, Label::Pending) {
            return changed(format!("version {version} is no longer AWSPENDING: the rotation was abandoned"));
        }
        return Ok(());
    }
    // a reconcile that goes on beside a stuck rotation goes on beside that one alone
    match (before.stuck(), secret.rotation_in_progress()) {
        (Some(known), Some(pending)) if known == pending => {}
        _ => no_rotation(secret)?,
    }
    let bears = secret.bears(version, Label::Candidate) || secret.bears(version, Label::Current);
    if !bears {
        return changed(format!("version {version} lost its staging label meanwhile"));
    }
    if before.label == Label::Current && version == before.version && !secret.bears(version, Label::Current) {
        return changed(format!("version {version} is no longer AWSCURRENT"));
    }
    Ok(())
}

/// Whether the connector may be deleted now: the secret is offboarded still, and the connector is this secret's.
///
/// # Errors
/// `Retryable` where somebody took the secret up again meanwhile; a refusal where the connector is not this secret's.
pub fn may_delete(organization: &str, connector: &ConnectorId, look: &Look) -> Result<(), Error> {
    if look.secret.managed() != Managed::Offboarded {
        return Err(Error::retryable(
            "the secret is no longer tagged hubkeeper = offboarded",
            "nothing was deleted; repeat the event if it is to be given up",
        ));
    }
    match look.connector.observed() {
        None => Ok(()),
        Some(observed) => ours_to_delete(observed, organization, connector, &look.secret),
    }
}

/// A connector without this secret's tag is not deleted, whoever made it.
pub(super) fn ours_to_delete(
    observed: &Observed,
    organization: &str,
    connector: &ConnectorId,
    secret: &Secret,
) -> Result<(), Error> {
    let why = match observed.ownership(organization, &secret.fingerprint()) {
        Ownership::Ours => return Ok(()),
        Ownership::Untagged => "it does not bear this secret's tag (hubkeeper-secret)".to_owned(),
        Ownership::Foreign(why) => why,
    };
    Err(Error::refused(
        format!("the connector {connector} is not deleted: {why}"),
        "delete it by hand if nobody needs it, then repeat the event",
    ))
}

/// What became of the labels and tags while the connector was being written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// Nothing that matters.
    Same,
    /// The version that was written is no longer AWSCURRENT, or another is to be written now.
    Overtaken,
    /// The secret was offboarded: a connector that this run created has to go again.
    Offboarded,
}

/// Judges labels and tags read after the connector was written with `version`: a write that was under way while others
/// moved on must not have the last word.
pub fn after_write(trigger: &Trigger, version: &str, before: &Situation, secret: &Secret) -> After {
    if secret.managed() == Managed::Offboarded && before.secret.managed() != Managed::Offboarded {
        After::Offboarded
    } else if !trigger.is_rotation()
        && before.secret.bears(version, Label::Current)
        && !secret.bears(version, Label::Current)
    {
        After::Overtaken
    } else {
        After::Same
    }
}

#[cfg(test)]
mod tests;
