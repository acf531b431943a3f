//! Checks right before a write that labels, tags and connector still allow it (docs/events.md). Pure.

use crate::connector::Observed;
use crate::connector::observed::Ownership;
use crate::error::Error;
use crate::ids::VersionId;
use crate::plan::admission::no_rotation;
use crate::plan::refusals::{foreign, ours_to_delete, replaced_already};
use crate::plan::state::{Recheck, World};
use crate::request::Trigger;
use crate::secret::document::ConnectorId;
use crate::secret::{Document, Label, Managed, Secret};

/// Checks that the connector may be written with `version` now, by comparing a second read with what the plan was made from.
///
/// # Errors
/// `Retryable` if labels or the connector changed since the plan was made; a refusal if the connector now belongs to another secret.
pub fn may_write(
    trigger: &Trigger,
    version: &VersionId,
    document: &Document,
    before: &World,
    look: &Recheck,
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
    if now != seen && now.as_ref() != Some(version) {
        return changed("somebody else wrote the connector");
    }
    Ok(())
}

/// Checks that AWSCURRENT may move from `from` to `to` now.
///
/// # Errors
/// `Retryable` if the connector does not carry `to`, or if labels changed since the plan was made.
pub fn may_move(
    trigger: &Trigger,
    from: &VersionId,
    to: &VersionId,
    document: &Document,
    before: &World,
    look: &Recheck,
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

/// Checks that the secret still keeps the connector that the document names. A new tag may not be visible everywhere yet.
fn still_kept(document: &Document, secret: &Secret) -> Result<(), Error> {
    if secret.keeps_another(document) {
        return Err(Error::retryable(
            "the secret's tag hubkeeper-connector was changed meanwhile",
            "nothing was written; repeat the event",
        ));
    }
    Ok(())
}

/// Checks that the labels and tags that admitted the event are unchanged.
///
/// # Errors
/// `Retryable` if they changed.
pub fn still_admitted(trigger: &Trigger, version: &VersionId, before: &World, secret: &Secret) -> Result<(), Error> {
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
    // a reconcile may continue beside a stuck rotation, but only beside the one that the plan saw
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

/// Checks that the connector may be deleted now: the secret is still offboarded, and the connector belongs to this secret.
///
/// # Errors
/// `Retryable` if the secret was onboarded again since the plan was made; a refusal if the connector belongs to another secret.
pub fn may_delete(organization: &str, connector: &ConnectorId, look: &Recheck) -> Result<(), Error> {
    if look.secret.managed() != Managed::Offboarded {
        return Err(Error::retryable(
            "the secret is no longer tagged hubkeeper = offboarded",
            "nothing was deleted; repeat the event if the secret is to be offboarded",
        ));
    }
    match look.connector.observed() {
        None => Ok(()),
        Some(observed) => ours_to_delete(observed, organization, connector, &look.secret),
    }
}

/// How labels and tags changed while the connector was being written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// No change that matters.
    Same,
    /// The written version is no longer AWSCURRENT, or another version must be written now.
    Overtaken,
    /// The secret was offboarded: a connector that this run created must be deleted.
    Offboarded,
}

/// Judges labels and tags read after the connector was written with `version`: a slow write must not override
/// a newer state.
pub fn after_write(trigger: &Trigger, version: &VersionId, before: &World, secret: &Secret) -> After {
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
