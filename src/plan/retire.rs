//! Which tokens may go, and when (contract, section 5): pure.
//!
//! What is in use is protected by its id, never by time: no clock that is wrong, and no grace, however short, lets a token go
//! that AWSCURRENT, AWSPENDING, the candidate or the connector names. Time decides about the rest.

use std::collections::BTreeSet;

use time::Duration;

use super::steps::Step;
use crate::azure::Observed;
use crate::azure::merge::Ownership;
use crate::clock::{Timestamp, rfc3339};
use crate::hub::tokens::Pat;
use crate::secret::labels::History;
use crate::secret::{Label, Managed, Secret};
use crate::warning::Warning;

/// How much longer than its grace a replaced token stays while it is still being used.
const STILL_USED: Duration = Duration::days(7);
/// What a token that an onboarding may be storing at this moment gets on top of its grace, before it counts as left behind:
/// an invocation lasts 15 minutes at most, and the clock that dated the token may be an hour off.
const IN_FLIGHT: Duration = Duration::hours(2);
/// A token that ended this long ago is dead by every clock.
const SURELY: Duration = Duration::DAY;
/// Versions that onboardings derive one from another: more than are ever dead in a row.
const DERIVED: usize = 8;

/// A version that is in use, and what is stored there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holding {
    /// Version id.
    pub version: String,
    /// Uuid of its PAT; `None` where it names none.
    pub token_id: Option<String>,
    /// Whether it holds a token.
    pub token: bool,
}

/// Everything that a token's retirement depends on. Read in this order: the PATs, the labels, the connector.
pub struct Inventory<'a> {
    /// Every PAT of the dedicated user.
    pub pats: &'a [Pat],
    /// Labels and tags.
    pub secret: &'a Secret,
    /// The connector; `None` where there is none.
    pub connector: Option<&'a Observed>,
    /// Docker Hub organization.
    pub organization: &'a str,
    /// AWSCURRENT, AWSPENDING, the candidate and the version in the connector's tag.
    pub holdings: &'a [Holding],
    /// Versions whose stored token was compared with those in use: it is none of them, unless a holding names it.
    pub compared: &'a BTreeSet<String>,
    /// When versions were made; `None` where that is not known.
    pub history: Option<&'a History>,
    /// The grace.
    pub grace: Duration,
    /// Whether the grace is skipped, after a leak.
    pub skip_grace: bool,
    /// Now.
    pub now: Timestamp,
}

/// Versions whose values tell which PATs are in use.
pub fn versions_in_use<'a>(secret: &'a Secret, connector: Option<&'a Observed>) -> BTreeSet<&'a str> {
    let labels = [Label::Current, Label::Pending, Label::Candidate];
    labels.into_iter().filter_map(|label| secret.version(label)).chain(connector.and_then(Observed::version)).collect()
}

/// Whether a PAT is in use: a version in use names its uuid, or will, being without a value yet.
pub fn is_in_use(pat: &Pat, secret: &Secret, holdings: &[Holding]) -> bool {
    let labelled = secret.version_of_label(&pat.label).map(|(version, _)| version);
    holdings.iter().any(|held| {
        held.token_id.as_deref() == Some(pat.id.as_str()) || (!held.token && labelled == Some(held.version.as_str()))
    })
}

/// What is to be done with the secret's PATs, and what is to be known about them.
pub fn plan(inventory: &Inventory<'_>) -> (Vec<Step>, Vec<Warning>) {
    let (mut steps, mut warnings) = (Vec::new(), Vec::new());
    if let Some(why) = inventory.untouchable() {
        return (steps, why.into_iter().collect());
    }
    for pat in inventory.pats {
        let Some((version, retiring)) = inventory.secret.version_of_label(&pat.label) else { continue };
        let id = pat.id.clone();
        if inventory.protects(pat) {
            if retiring && !pat.active {
                steps.push(Step::ActivateToken { id });
            }
            continue;
        }
        let Some(since) = inventory.due(pat, version) else { continue };
        if let Some(warning) = inventory.still_used(pat, version, since) {
            warnings.push(warning);
            continue;
        }
        let dead = pat.expires_at.is_some_and(|expires_at| expires_at + SURELY <= inventory.now);
        steps.push(if pat.active && !dead { Step::DeactivateToken { id } } else { Step::DeleteToken { id } });
    }
    (steps, warnings)
}

impl Inventory<'_> {
    fn offboarded(&self) -> bool {
        self.secret.managed() == Managed::Offboarded
    }

    /// Why no token is touched at all: `Some(None)` needs no saying.
    #[expect(clippy::option_option, reason = "whether, and with which warning")]
    fn untouchable(&self) -> Option<Option<Warning>> {
        let said = |why: &str| {
            Some(Some(Warning::new(
                "nothingRetired",
                format!("{why}: what is in use is not known, so no token is retired"),
            )))
        };
        match (self.offboarded(), self.connector) {
            // said by the planner already: a connector stands there that is not ours to delete
            (true, Some(_)) => Some(None),
            (false, None) => said("there is no connector"),
            (false, Some(found))
                if found.ownership(self.organization, &self.secret.fingerprint()) != Ownership::Ours =>
            {
                said("the connector does not bear this secret's tag")
            }
            _ => None,
        }
    }

    /// Of an offboarded secret whose connector is gone nothing is in use.
    fn protects(&self, pat: &Pat) -> bool {
        !self.offboarded() && is_in_use(pat, self.secret, self.holdings)
    }

    /// Since when the grace of a PAT has been running, where it is over; `None` where it may not go yet.
    fn due(&self, pat: &Pat, version: &str) -> Option<Timestamp> {
        let grace = if self.skip_grace { Duration::ZERO } else { self.grace };
        if self.may_be_in_flight(version) {
            let since = self.past(pat.created_at)?;
            return (since + grace + IN_FLIGHT <= self.now).then_some(since);
        }
        let since = if self.offboarded() {
            self.past(self.secret.last_changed)
        } else if self.was_current(version) {
            let proved = self.past(self.connector.and_then(Observed::proved_at));
            let changed = self.past(self.secret.last_changed);
            proved.and_then(|proved| Some(proved.max(changed?)))
        } else {
            self.past(pat.created_at)
        };
        match since {
            Some(since) => (since + grace <= self.now).then_some(since),
            // after a leak there is nothing to wait for
            None => self.skip_grace.then_some(self.now),
        }
    }

    /// A start that is missing or in the future is none.
    fn past(&self, start: Option<Timestamp>) -> Option<Timestamp> {
        start.filter(|start| *start <= self.now)
    }

    /// Whether an onboarding may be about to store this PAT under a version id that it derived, and that is not there yet.
    fn may_be_in_flight(&self, version: &str) -> bool {
        let Some(current) = self.secret.version(Label::Current) else { return false };
        let known = self.secret.versions.contains_key(version)
            || self.history.is_some_and(|history| history.contains_key(version));
        let derived = std::iter::successors(Some(current.to_owned()), |from| Some(self.secret.derived_version(from)));
        !known && derived.skip(1).take(DERIVED).any(|derived| derived == version)
    }

    /// Whether a version may have been AWSCURRENT. What was made later than AWSPREVIOUS and is neither of the two never was,
    /// since AWSCURRENT came right after AWSPREVIOUS; of what is older nobody can tell, so it counts as replaced.
    fn was_current(&self, version: &str) -> bool {
        if self.secret.bears(version, Label::Current) || self.secret.bears(version, Label::Previous) {
            return true;
        }
        let Some(history) = self.history else { return true };
        let previous = self.secret.version(Label::Previous).and_then(|previous| history.get(previous));
        match (history.get(version), previous) {
            (Some(made), Some(previous)) => made <= previous,
            // without AWSPREVIOUS there was one current version; what AWS does not list was never stored, or long ago
            _ => false,
        }
    }

    /// Why a PAT whose grace is over stays a little longer.
    fn still_used(&self, pat: &Pat, version: &str, since: Timestamp) -> Option<Warning> {
        let last_used = pat.last_used?;
        let recently = last_used + STILL_USED > self.now;
        // a version in use that does not name its PAT: it may be this one, so what is being used stays
        let nameless = !self.offboarded()
            && !self.compared.contains(version)
            && self.holdings.iter().any(|held| held.token && held.token_id.is_none());
        let used = last_used >= since && self.now < since + self.grace + STILL_USED && !self.skip_grace;
        let at = rfc3339(last_used);
        if nameless && recently {
            return Some(Warning::new(
                "stillUsed",
                format!(
                    "the token {} was last used at {at}, and a version in use names no `tokenId`, so it may be this one: it is kept while it is used; write the `tokenId` into the document, or revoke the token by hand",
                    pat.id
                ),
            ));
        }
        used.then(|| {
            Warning::new(
                "stillUsed",
                format!(
                    "the replaced token {} was used at {at}, after it was replaced: find out by whom; it is kept until {}",
                    pat.id,
                    rfc3339(since + self.grace + STILL_USED)
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests;
