//! Which tokens may go, and when (docs/operating.md): pure.
//!
//! A PAT is in use when the version that its label names holds the token that a version in use holds: AWSCURRENT, a rotation's
//! AWSPENDING, the candidate, the version in the connector's tag. Values decide, not ids: a `tokenId` is a hint that protects too,
//! until the values refute it. What is in use is never a matter of time; time decides about the rest.

use std::collections::{BTreeMap, BTreeSet};

use time::Duration;

use crate::connector::Observed;
use crate::connector::observed::Ownership;
use crate::hub::Pat;
use crate::plan::steps::Step;
use crate::secret::labels::History;
use crate::secret::{Document, Label, Managed, Secret};
use crate::time::{Timestamp, rfc3339};
use crate::warning::{Warning, WarningCode};

/// How much longer than its grace a replaced token stays while it is still being used.
const STILL_USED: Duration = Duration::days(7);
/// What a token that an onboarding may be storing at this moment gets on top of its grace, before it counts as left behind:
/// an invocation lasts 15 minutes at most, and the clock that dated the token may be an hour off.
const IN_FLIGHT: Duration = Duration::hours(2);
/// A token that ended this long ago is dead by every clock.
const SURELY: Duration = Duration::DAY;
/// A PAT of a rotation that is stuck is left behind once it is this old.
const LEFT_BEHIND: Duration = Duration::DAY;
/// Versions that onboardings derive one from another: more than are ever dead in a row.
const DERIVED: usize = 8;

/// A token's number: equal tokens of one run have equal numbers, which tell nothing else about them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TokenNumber(pub usize);

/// What a version holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// This token.
    Token(TokenNumber),
    /// A JSON object without a token.
    NoToken,
    /// Something else than a JSON object.
    Unreadable,
    /// No value: not yet, or no longer (`ResourceNotFoundException`).
    Gone,
}

/// What a version holds, and the `tokenId` beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The token.
    pub stored: Stored,
    /// The `tokenId` in the same document. A hint: people copy it and forget it.
    pub token_id: Option<String>,
}

/// What versions hold, as far as they were read.
pub type Contents = BTreeMap<String, Content>;

/// Whether a PAT is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// A version in use holds its token, or will: it has no value yet.
    InUse,
    /// A version in use names its uuid; the values were not compared.
    Named,
    /// No version in use holds its token.
    Unused,
    /// Its own value cannot be read any more, and the versions in use do not tell that it is none of theirs.
    Unknown,
    /// Values have to be read first.
    Unread,
}

/// Where the token of a PAT is, by its label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Own {
    Unread,
    Token(TokenNumber),
    /// Stored nowhere: the version of its label holds another PAT of the same label.
    Nowhere,
    Gone,
    Unreadable,
}

/// A PAT of this secret.
#[derive(Clone, Copy)]
struct Labelled<'a> {
    pat: &'a Pat,
    /// The version in its label.
    version: &'a str,
    /// Whether its label says that it is being retired.
    retiring: bool,
}

/// The PATs of a secret, and what its versions hold: enough to tell which are in use.
pub struct Stock<'a> {
    all: &'a [Pat],
    ours: Vec<Labelled<'a>>,
    secret: &'a Secret,
    connector: Option<&'a Observed>,
    contents: &'a Contents,
    now: Timestamp,
    in_use: BTreeSet<&'a str>,
    /// Which PATs hold a token, by the versions of their labels.
    holders: BTreeMap<TokenNumber, Vec<&'a str>>,
}

/// Whether the connector that the secret's tag remembers is that of AWSCURRENT's document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remembered {
    /// The secret has no such tag.
    Nothing,
    /// It is the same.
    Same,
    /// It is another: what that one holds is not known.
    Another,
}

/// Everything that a token's retirement depends on. Read in this order: the PATs, the labels, the connector.
pub struct Inventory<'a> {
    /// The PATs, labels, connector and values.
    pub stock: Stock<'a>,
    /// Docker Hub organization.
    pub organization: &'a str,
    /// When versions were made; `None` where that is not known.
    pub history: Option<&'a History>,
    /// The connector that the secret's tag remembers.
    pub remembered: Remembered,
    /// Whether other connectors bear this secret's tag: what they hold is not known.
    pub elsewhere: bool,
    /// The grace.
    pub grace: Duration,
    /// Whether the grace is skipped, after a leak.
    pub skip_grace: bool,
}

/// What has to be read before [`plan`] can tell: ask again with it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Wants {
    /// Versions whose values are missing.
    pub values: BTreeSet<String>,
    /// Whether the history is missing.
    pub history: bool,
}

/// Versions whose values tell which PATs are in use.
pub fn versions_in_use<'a>(secret: &'a Secret, connector: Option<&'a Observed>) -> BTreeSet<&'a str> {
    let labels = [secret.version(Label::Current), secret.rotation_in_progress(), secret.version(Label::Candidate)];
    labels.into_iter().flatten().chain(connector.and_then(Observed::version)).collect()
}

impl<'a> Stock<'a> {
    /// The stock: every PAT of the dedicated user, labels and tags, the connector (`None` where there is none), what versions
    /// hold, and now.
    pub fn new(
        pats: &'a [Pat],
        secret: &'a Secret,
        connector: Option<&'a Observed>,
        contents: &'a Contents,
        now: Timestamp,
    ) -> Self {
        let ours = pats.iter().filter_map(|pat| {
            let (version, retiring) = secret.version_of_label(&pat.label)?;
            Some(Labelled { pat, version, retiring })
        });
        let in_use = versions_in_use(secret, connector);
        let ours = ours.collect();
        let mut stock = Self { all: pats, ours, secret, connector, contents, now, in_use, holders: BTreeMap::new() };
        for labelled in &stock.ours {
            if let Own::Token(number) = stock.own(labelled) {
                stock.holders.entry(number).or_default().push(labelled.pat.id.as_str());
            }
        }
        stock
    }

    fn offboarded(&self) -> bool {
        self.secret.managed() == Managed::Offboarded
    }

    fn labelled(&self, id: &str) -> Option<&Labelled<'a>> {
        self.ours.iter().find(|labelled| labelled.pat.id == id)
    }

    /// The versions in use, and what they hold as far as that was read.
    fn held(&self) -> impl Iterator<Item = (&'a str, &'a Content)> {
        self.in_use.iter().filter_map(|version| Some((*version, self.contents.get(*version)?)))
    }

    /// Versions in use that were not read.
    fn unread(&self) -> impl Iterator<Item = &'a str> {
        self.in_use.iter().copied().filter(|version| !self.contents.contains_key(*version))
    }

    fn own(&self, labelled: &Labelled<'_>) -> Own {
        let Some(content) = self.contents.get(labelled.version) else { return Own::Unread };
        // a version is written once, by who made the PAT: of several with its label it holds the one that it names
        let of_another = content
            .token_id
            .as_deref()
            .filter(|id| *id != labelled.pat.id)
            .is_some_and(|id| self.labelled(id).is_some_and(|other| other.version == labelled.version));
        match content.stored {
            Stored::Token(_) if of_another => Own::Nowhere,
            Stored::Token(number) => Own::Token(number),
            Stored::NoToken | Stored::Gone => Own::Gone,
            Stored::Unreadable => Own::Unreadable,
        }
    }

    /// Whether a listed PAT other than this one holds a token.
    fn held_by_another(&self, number: TokenNumber, id: &str) -> bool {
        self.holders.get(&number).is_some_and(|holders| holders.iter().any(|holder| *holder != id))
    }

    /// Whether the values refute that a version in use holds the PAT that it names.
    fn refuted(&self, labelled: &Labelled<'_>, content: &Content) -> bool {
        match (content.stored, self.own(labelled)) {
            (Stored::Token(number), Own::Token(own)) => number != own,
            (Stored::Token(number), _) => self.held_by_another(number, &labelled.pat.id),
            (_, own) => matches!(own, Own::Token(_)),
        }
    }

    fn is_named(&self, labelled: &Labelled<'_>) -> bool {
        self.held().any(|(_, content)| {
            content.token_id.as_deref() == Some(labelled.pat.id.as_str()) && !self.refuted(labelled, content)
        })
    }

    /// Whether every token in use is another listed PAT's, or was made by hand.
    fn is_accounted_for(&self, labelled: &Labelled<'_>) -> bool {
        self.held().all(|(_, content)| match content.stored {
            Stored::Token(number) => content.token_id.is_none() || self.held_by_another(number, &labelled.pat.id),
            Stored::NoToken => true,
            Stored::Unreadable | Stored::Gone => false,
        })
    }

    /// Whether a PAT of a rotation that is stuck was never stored, and no longer will be: what makes a token stores it within
    /// minutes.
    fn is_left_behind(&self, labelled: &Labelled<'_>) -> bool {
        let stored = self.contents.get(labelled.version).map(|content| content.stored);
        self.secret.stuck_rotation(self.now) == Some(labelled.version)
            && (stored == Some(Stored::Gone) || self.own(labelled) == Own::Nowhere)
            && labelled.pat.created_at.is_some_and(|created_at| created_at + LEFT_BEHIND <= self.now)
            && !self.is_named(labelled)
    }

    fn judge(&self, labelled: &Labelled<'_>) -> Use {
        // of an offboarded secret whose connector is gone nothing is in use
        if self.offboarded() {
            return Use::Unused;
        }
        if self.unread().next().is_some() {
            return Use::Unread;
        }
        let stored = self.contents.get(labelled.version).map(|content| content.stored);
        if self.in_use.contains(labelled.version) && stored == Some(Stored::Gone) {
            return if self.is_left_behind(labelled) { Use::Unused } else { Use::InUse };
        }
        let own = self.own(labelled);
        match own {
            Own::Token(number) if self.held().any(|(_, content)| content.stored == Stored::Token(number)) => Use::InUse,
            Own::Unread if self.is_named(labelled) => Use::Named,
            _ if self.is_named(labelled) => Use::InUse,
            Own::Unread => Use::Unread,
            Own::Token(_) | Own::Nowhere => Use::Unused,
            Own::Gone if self.is_accounted_for(labelled) => Use::Unused,
            Own::Gone | Own::Unreadable => Use::Unknown,
        }
    }

    /// Whether a PAT is in use; one that is not this secret's is [`Use::Unknown`].
    pub fn use_of(&self, id: &str) -> Use {
        self.labelled(id).map_or(Use::Unknown, |labelled| self.judge(labelled))
    }

    /// Versions that have to be read before [`Stock::use_of`] can tell.
    pub fn needs(&self, id: &str) -> BTreeSet<String> {
        let in_use: BTreeSet<String> = self.unread().map(str::to_owned).collect();
        if !in_use.is_empty() || self.offboarded() {
            return in_use;
        }
        let Some(labelled) = self.labelled(id) else { return in_use };
        match (self.own(labelled), self.judge(labelled)) {
            (Own::Unread, Use::Unread | Use::Named) => [labelled.version.to_owned()].into(),
            (Own::Gone, Use::Unknown) => {
                let others = self.ours.iter().filter(|other| self.own(other) == Own::Unread);
                others.map(|other| other.version.to_owned()).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// What is odd about the `tokenId` in the versions in use.
    fn odd_ids(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let connected = self.connector.and_then(Observed::version);
        for (version, content) in self.held() {
            let Some(id) = content.token_id.as_deref() else { continue };
            match self.labelled(id) {
                Some(labelled) if self.refuted(labelled, content) => warnings.push(token_id_mismatch(version, id)),
                Some(_) => {}
                None => {
                    let in_use = self.secret.bears(version, Label::Current) || connected == Some(version);
                    let named = self.all.iter().find(|pat| pat.id == id);
                    if in_use && named.is_some_and(|pat| self.secret.is_label_of_another(&pat.label)) {
                        let remedy = format!(
                            "give this secret a token of its own: aws secretsmanager rotate-secret --secret-id {}",
                            self.secret.arn
                        );
                        warnings.push(token_of_another_secret(version, id, &remedy));
                    }
                }
            }
        }
        warnings
    }
}

/// The warning about a version whose `tokenId` is of another token than the one that it holds.
pub fn token_id_mismatch(version: &str, id: &str) -> Warning {
    Warning::new(
        WarningCode::TokenIdMismatch,
        format!(
            "version {version} names the token {id} in `tokenId` and holds another token: `tokenId` protects nothing there. Put the document once more with the `tokenId` and `expiresAt` of the token in `accessToken`, or without both"
        ),
    )
}

/// The warning about a token in use that was made for another secret.
pub fn token_of_another_secret(version: &str, id: &str, remedy: &str) -> Warning {
    Warning::new(
        WarningCode::TokenOfAnotherSecret,
        format!(
            "the token {id} of version {version} was made for another secret and is retired with that one: {remedy}"
        ),
    )
}

/// Documents that were read and that name one `tokenId` for different tokens: each later one is warned about. `documents` are in
/// the order in which they came into use.
pub fn copied_ids<'a>(documents: impl IntoIterator<Item = (&'a str, &'a Document)>) -> Vec<Warning> {
    let mut seen: Vec<&Document> = Vec::new();
    let mut warnings = Vec::new();
    for (version, document) in documents {
        let Some(id) = document.token_id.as_deref().filter(|_| document.access_token.is_some()) else { continue };
        let copied = |known: &&Document| known.token_id.as_deref() == Some(id) && !known.same_token(document);
        if seen.iter().any(copied) {
            warnings.push(token_id_mismatch(version, id));
        }
        seen.push(document);
    }
    warnings
}

/// What has to be read before [`plan`]: of the PATs that may be due, what their versions hold; nothing where nothing is due.
pub fn wants(inventory: &Inventory<'_>) -> Wants {
    let stock = &inventory.stock;
    if inventory.untouchable().is_some() {
        return Wants::default();
    }
    let of_history = |wanted: bool| Wants { history: wanted && inventory.history.is_none(), ..Wants::default() };
    if stock.offboarded() {
        return of_history(!stock.ours.is_empty());
    }
    let unread: BTreeSet<String> = stock.unread().map(str::to_owned).collect();
    if !unread.is_empty() {
        return Wants { values: unread, history: false };
    }
    if inventory.stuck() {
        return Wants::default();
    }
    let protected = |labelled: &Labelled<'_>| matches!(stock.judge(labelled), Use::InUse | Use::Named);
    let history = of_history(!stock.ours.iter().all(protected));
    if history.history {
        return history;
    }
    let mut values = BTreeSet::new();
    for labelled in &stock.ours {
        let marked = labelled.retiring && !labelled.pat.active;
        if marked || inventory.due(labelled).is_some() {
            values.extend(stock.needs(&labelled.pat.id));
        }
    }
    Wants { values, history: false }
}

/// What is to be done with the secret's PATs, and what is to be known about them. What [`wants`] asks for has to be there: a PAT
/// whose value was not read stays.
pub fn plan(inventory: &Inventory<'_>) -> (Vec<Step>, Vec<Warning>) {
    let stock = &inventory.stock;
    let (mut steps, mut warnings) = (Vec::new(), Vec::new());
    if !stock.offboarded() && !inventory.stuck() {
        warnings = stock.odd_ids();
    }
    if let Some(why) = inventory.untouchable() {
        warnings.extend(why);
        return (steps, warnings);
    }
    for labelled in &stock.ours {
        let pat = labelled.pat;
        let id = pat.id.clone();
        let judged = stock.judge(labelled);
        if inventory.stuck() {
            if stock.is_left_behind(labelled) && judged == Use::Unused {
                steps.push(inventory.next_phase(pat));
            }
            continue;
        }
        if matches!(judged, Use::InUse | Use::Named) {
            if labelled.retiring && !pat.active {
                steps.push(Step::ActivateToken { id });
            }
            continue;
        }
        let Some(since) = inventory.due(labelled) else { continue };
        if let Some(warning) = inventory.still_used(labelled, since) {
            warnings.push(warning);
            continue;
        }
        match judged {
            Use::Unused => steps.push(inventory.next_phase(pat)),
            Use::Unknown => warnings.push(Warning::new(WarningCode::TokenKept,
                format!(
                    "the token {id} is kept: the value of its version {} cannot be read any more, and a version in use holds a token that is not known to be another one. Revoke it at Docker Hub if nothing uses it",
                    labelled.version
                ),
            )),
            Use::InUse | Use::Named | Use::Unread => {}
        }
    }
    (steps, warnings)
}

impl Inventory<'_> {
    /// Whether a rotation is stuck: then only what it left behind goes.
    fn stuck(&self) -> bool {
        !self.stock.offboarded() && self.stock.secret.stuck_rotation(self.stock.now).is_some()
    }

    /// First inactive, then gone; what expired long ago needs no deactivation.
    fn next_phase(&self, pat: &Pat) -> Step {
        let dead = pat.expires_at.is_some_and(|expires_at| expires_at + SURELY <= self.stock.now);
        let id = pat.id.clone();
        if pat.active && !dead { Step::DeactivateToken { id } } else { Step::DeleteToken { id } }
    }

    /// Why no token is touched at all: `Some(None)` needs no saying.
    #[expect(clippy::option_option, reason = "whether, and with which warning")]
    fn untouchable(&self) -> Option<Option<Warning>> {
        let Stock { secret, connector, contents, .. } = &self.stock;
        let said = |why: &str| {
            Some(Some(Warning::new(
                WarningCode::NothingRetired,
                format!("{why}: what is in use is not known, so no token is retired"),
            )))
        };
        if self.remembered == Remembered::Another {
            return said(
                "AWSCURRENT names another connector than the secret's tag hubkeeper-connector (offboard the secret and onboard it again, or put the document before it back)",
            );
        }
        if self.elsewhere {
            return said("another connector bears this secret's tag (delete the one that is not needed)");
        }
        let carried = |found: &Observed| found.version().and_then(|version| contents.get(version));
        match (self.stock.offboarded(), *connector) {
            // said by the planner already: a connector stands there that is not ours to delete
            (true, Some(_)) => Some(None),
            (false, None) => said("there is no connector"),
            (false, Some(found)) if found.ownership(self.organization, &secret.fingerprint()) != Ownership::Ours => {
                said("the connector does not bear this secret's tag")
            }
            (false, Some(found))
                if found.version() != secret.rotation_in_progress()
                    && carried(found).is_some_and(|content| content.stored == Stored::Gone) =>
            {
                said("the value of the version in the connector's tag is gone")
            }
            _ => None,
        }
    }

    /// Since when the grace of a PAT has been running, where it is over; `None` where it may not go yet.
    fn due(&self, labelled: &Labelled<'_>) -> Option<Timestamp> {
        let (pat, version, now) = (labelled.pat, labelled.version, self.stock.now);
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
            // after a leak there is nothing to wait for
            None => self.skip_grace.then_some(now),
        }
    }

    /// Ignores a start that is missing or in the future.
    fn past(&self, start: Option<Timestamp>) -> Option<Timestamp> {
        start.filter(|start| *start <= self.stock.now)
    }

    /// Whether an onboarding may be about to store this PAT under a version id that it derived, and that is not there yet.
    fn may_be_in_flight(&self, version: &str) -> bool {
        let secret = self.stock.secret;
        let Some(current) = secret.version(Label::Current) else { return false };
        let known =
            secret.versions.contains_key(version) || self.history.is_some_and(|history| history.contains_key(version));
        let derived = std::iter::successors(Some(current.to_owned()), |from| Some(secret.derived_version(from)));
        !known && derived.skip(1).take(DERIVED).any(|derived| derived == version)
    }

    /// Whether a version may have been AWSCURRENT. What was made later than AWSPREVIOUS and is neither of the two never was,
    /// since AWSCURRENT came right after AWSPREVIOUS; of what is older nobody can tell, so it counts as replaced.
    fn was_current(&self, version: &str) -> bool {
        let secret = self.stock.secret;
        if secret.bears(version, Label::Current) || secret.bears(version, Label::Previous) {
            return true;
        }
        let Some(history) = self.history else { return true };
        let previous = secret.version(Label::Previous).and_then(|previous| history.get(previous));
        match (history.get(version), previous) {
            (Some(made), Some(previous)) => made <= previous,
            // without AWSPREVIOUS there was one current version; what AWS does not list was never stored, or long ago
            _ => false,
        }
    }

    /// Why a PAT whose grace is over stays a little longer.
    fn still_used(&self, labelled: &Labelled<'_>, since: Timestamp) -> Option<Warning> {
        let Labelled { pat, version, .. } = *labelled;
        let last_used = pat.last_used?;
        let recently = last_used + STILL_USED > self.stock.now;
        let at = rfc3339(last_used);
        let kept = |why: String| Some(Warning::new(WarningCode::StillUsed, why));
        if self.stock.offboarded() {
            // a connector that was moved to another resource group looks gone, and goes on using its token
            return recently.then(|| kept(format!("the secret is offboarded and its token {} was last used at {at}: its connector may have been moved to another resource group. The token is kept until it was not used for seven days; find out by whom, and revoke it at Docker Hub if that is nobody's", pat.id)))?;
        }
        // its value is gone, and a version in use does not name its own: it may be this one, so what is being used stays
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
            // a rotation that was abandoned has used its token itself, to prove it
            last_used > self.past(self.stock.secret.last_changed).map_or(since, |ended| ended.max(since))
        };
        if !used || self.stock.now >= since + self.grace + STILL_USED || self.skip_grace {
            return None;
        }
        kept(format!(
            "the replaced token {} was used at {at}, after it was replaced: find out by whom; it is kept until {}",
            pat.id,
            rfc3339(since + self.grace + STILL_USED)
        ))
    }
}

#[cfg(test)]
mod tests;
