//! Decides when a PAT that is not in use may be retired: the grace period, and the exceptions that extend it.

use time::Duration;

use crate::connector::Observed;
use crate::connector::observed::Ownership;
use crate::hub::Pat;
use crate::ids::VersionId;
use crate::plan::retirement::stock::{Labelled, Own, Stock, Stored};
use crate::plan::steps::Step;
use crate::secret::Label;
use crate::secret::labels::History;
use crate::time::{Timestamp, rfc3339};
use crate::warning::{Warning, WarningCode};

/// Extra time for which a replaced token is kept while it is still being used.
const STILL_USED: Duration = Duration::days(7);
/// Extra time for a token that an onboarding may be storing at this moment, before it counts as orphaned:
/// an invocation lasts 15 minutes at most, and the clock that dated the token may be an hour off.
const IN_FLIGHT: Duration = Duration::hours(2);
/// A token that expired this long ago is dead by any clock.
const SURELY: Duration = Duration::DAY;
/// Maximum length of a chain of derived version ids: longer than any run of consecutive dead tokens.
const DERIVED: usize = 8;

/// Whether the connector in the secret's tag is the one in AWSCURRENT's document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remembered {
    /// The secret has no such tag.
    Nothing,
    /// Both name the same connector.
    Same,
    /// They differ: the token in the tag's connector is unknown.
    Another,
}

/// The inputs to a token's retirement. Read them in this order: the PATs, the labels, the connector.
pub struct Inventory<'a> {
    /// The PATs, labels, connector and values.
    pub stock: Stock<'a>,
    /// Docker Hub organization.
    pub organization: &'a str,
    /// When versions were created; `None` if unknown.
    pub history: Option<&'a History>,
    /// How the connector in the secret's tag compares with the document's.
    pub remembered: Remembered,
    /// Whether other connectors have this secret's tag: their tokens are unknown.
    pub elsewhere: bool,
    /// The grace period.
    pub grace: Duration,
    /// Whether to skip the grace period, after a leak.
    pub skip_grace: bool,
}

/// Whether tokens may be retired at all.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Touch {
    /// Those that are due may be retired.
    WhatIsDue,
    /// None may be retired; the warning gives the reason, unless another part of the run reports it.
    Nothing(Option<Warning>),
}

impl Inventory<'_> {
    /// Whether a rotation is stuck: then only its orphaned tokens are retired.
    pub(super) fn stuck(&self) -> bool {
        !self.stock.offboarded() && self.stock.secret.stuck_rotation(self.stock.now).is_some()
    }

    /// Deactivates a token first and deletes it at a later run; a token that expired long ago needs no deactivation.
    pub(super) fn next_phase(&self, pat: &Pat) -> Step {
        let dead = pat.expires_at.is_some_and(|expires_at| expires_at + SURELY <= self.stock.now);
        let id = pat.id.clone();
        if pat.active && !dead { Step::DeactivateToken { id } } else { Step::DeleteToken { id } }
    }

    /// Decides whether any token may be retired.
    pub(super) fn touch(&self) -> Touch {
        let Stock { secret, connector, contents, .. } = &self.stock;
        let said = |why: &str| {
            Touch::Nothing(Some(Warning::new(
                WarningCode::NothingRetired,
                format!("{why}: the tokens in use are not known, so no token is retired"),
            )))
        };
        if self.remembered == Remembered::Another {
            return said(
                "AWSCURRENT names another connector than the secret's tag hubkeeper-connector (offboard the secret and onboard it again, or restore the previous document)",
            );
        }
        if self.elsewhere {
            return said("another connector has this secret's tag (delete the one that is not needed)");
        }
        let carried = |found: &Observed| found.version().and_then(|version| contents.get(&version));
        match (self.stock.offboarded(), *connector) {
            // the planner has reported it: a connector of that name exists, and hubkeeper may not delete it
            (true, Some(_)) => Touch::Nothing(None),
            (false, None) => said("there is no connector"),
            (false, Some(found)) if found.ownership(self.organization, &secret.fingerprint()) != Ownership::Ours => {
                said("the connector does not have this secret's tag")
            }
            (false, Some(found))
                if found.version().as_ref() != secret.rotation_in_progress()
                    && carried(found).is_some_and(|content| content.stored == Stored::Gone) =>
            {
                said("the value of the version in the connector's tag is gone")
            }
            _ => Touch::WhatIsDue,
        }
    }

    /// When a PAT's grace period began, if it is over; `None` if the PAT may not be retired yet.
    pub(super) fn due(&self, labelled: &Labelled<'_>) -> Option<Timestamp> {
        let (pat, version, now) = (labelled.pat, &labelled.version, self.stock.now);
        let grace = if self.skip_grace { Duration::ZERO } else { self.grace };
        if self.may_be_in_flight(version) {
            let since = self.past(pat.created_at)?;
            return (since + grace + IN_FLIGHT <= now).then_some(since);
        }
        let last_changed = self.past(self.stock.secret.last_changed);
        let since = if self.stock.offboarded() {
            last_changed
        } else if self.was_current(version) {
            let proved = self.past(self.stock.connector.and_then(Observed::proved_at));
            proved.and_then(|proved| Some(proved.max(last_changed?)))
        } else {
            self.past(pat.created_at)
        };
        match since {
            Some(since) => (since + grace <= now).then_some(since),
            // after a leak there is no grace period
            None => self.skip_grace.then_some(now),
        }
    }

    /// Ignores a start that is missing or in the future.
    pub(super) fn past(&self, start: Option<Timestamp>) -> Option<Timestamp> {
        start.filter(|start| *start <= self.stock.now)
    }

    /// Whether an onboarding may be about to store this PAT under a derived version id that does not exist yet.
    pub(super) fn may_be_in_flight(&self, version: &VersionId) -> bool {
        let secret = self.stock.secret;
        let Some(current) = secret.version(Label::Current) else { return false };
        let known =
            secret.versions.contains_key(version) || self.history.is_some_and(|history| history.contains_key(version));
        let derived = std::iter::successors(Some(current.to_owned()), |from| Some(secret.derived_version(from)));
        !known && derived.skip(1).take(DERIVED).any(|derived| derived == version)
    }

    /// Whether a version may have been AWSCURRENT. A version newer than AWSPREVIOUS, and other than AWSCURRENT, never was, since
    /// AWSCURRENT directly followed AWSPREVIOUS. The history of older versions is unknown, so they count as replaced.
    pub(super) fn was_current(&self, version: &VersionId) -> bool {
        let secret = self.stock.secret;
        if secret.bears(version, Label::Current) || secret.bears(version, Label::Previous) {
            return true;
        }
        let Some(history) = self.history else { return true };
        let previous = secret.version(Label::Previous).and_then(|previous| history.get(previous));
        match (history.get(version), previous) {
            (Some(made), Some(previous)) => made <= previous,
            // without AWSPREVIOUS only one version was ever current; one that AWS does not list was never stored, or removed long ago
            _ => false,
        }
    }

    /// Why a PAT is kept after its grace period.
    pub(super) fn still_used(&self, labelled: &Labelled<'_>, since: Timestamp) -> Option<Warning> {
        let Labelled { pat, version, .. } = labelled;
        let last_used = pat.last_used?;
        let recently = last_used + STILL_USED > self.stock.now;
        let at = rfc3339(last_used);
        let kept = |why: String| Some(Warning::new(WarningCode::StillUsed, why));
        if self.stock.offboarded() {
            // a connector that was moved to another resource group looks deleted, but still uses its token
            return recently.then(|| kept(format!("the secret is offboarded and its token {} was last used at {at}: its connector may have been moved to another resource group. hubkeeper keeps the token until it has not been used for seven days; find out who uses it, and revoke it at Docker Hub if nobody should", pat.id)))?;
        }
        // its value is gone, and a version in use that names no `tokenId` may hold it: keep a PAT that is being used
        let nameless = self.stock.own(labelled) == Own::Gone
            && self.stock.held().any(|(_, content)| match content.stored {
                Stored::Token(number) => content.token_id.is_none() && !self.stock.holders.contains_key(&number),
                _ => false,
            });
        if nameless && recently {
            return kept(format!(
                "the token {} was last used at {at}, and a version in use names no `tokenId`, so it may be this one: it is kept while it is used; write the `tokenId` into the document, or revoke the token by hand",
                pat.id
            ));
        }
        let used = if self.was_current(version) {
            last_used >= since
        } else {
            // an abandoned rotation has used its token itself, to prove it
            last_used > self.past(self.stock.secret.last_changed).map_or(since, |ended| ended.max(since))
        };
        if !used || self.stock.now >= since + self.grace + STILL_USED || self.skip_grace {
            return None;
        }
        kept(format!(
            "the replaced token {} was used at {at}, after it was replaced: find out who uses it; it is kept until {}",
            pat.id,
            rfc3339(since + self.grace + STILL_USED)
        ))
    }
}
