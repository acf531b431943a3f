//! Decides which PATs are in use, from their labels, the secret's labels, the connector's tag and the versions' values.

use std::collections::{BTreeMap, BTreeSet};

use time::Duration;

use crate::connector::Observed;
use crate::hub::Pat;
use crate::ids::{TokenId, VersionId};
use crate::secret::labels::TokenLabel;
use crate::secret::{Label, Managed, Secret};
use crate::time::Timestamp;

/// Age at which an unstored PAT of a stuck rotation counts as orphaned.
const LEFT_BEHIND: Duration = Duration::DAY;

/// A token's number within one run. Equal tokens have equal numbers; the number reveals nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TokenNumber(pub usize);

/// The value of a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// This token.
    Token(TokenNumber),
    /// A JSON object without a token.
    NoToken,
    /// Not a JSON object.
    Unreadable,
    /// No value: not stored yet, or deleted (`ResourceNotFoundException`).
    Gone,
}

/// The value of a version, and the `tokenId` beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The token.
    pub stored: Stored,
    /// The `tokenId` in the same document. It is a hint: people copy documents and forget to update it.
    pub token_id: Option<TokenId>,
}

/// The versions' values, as far as they were read.
pub type Contents = BTreeMap<VersionId, Content>;

/// Whether a PAT is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// A version in use holds its token, or will: that version has no value yet.
    InUse,
    /// A version in use names its uuid, and the values have not been compared.
    Named,
    /// No version in use holds its token.
    Unused,
    /// Its own value cannot be read, and the versions in use do not rule out that they hold it.
    Unknown,
    /// Values must be read first.
    Unread,
}

/// Which token a PAT has, according to its label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Own {
    Unread,
    Token(TokenNumber),
    /// Not stored: the version that its label names holds another PAT with the same label.
    Nowhere,
    Gone,
    Unreadable,
}

/// A PAT of this secret.
#[derive(Clone)]
pub(super) struct Labelled<'a> {
    pub(super) pat: &'a Pat,
    /// The version in its label.
    pub(super) version: VersionId,
    /// Whether its label marks it as being retired.
    pub(super) retiring: bool,
}

/// The PATs of a secret and the values of its versions: enough to decide which PATs are in use.
pub struct Stock<'a> {
    pub(super) all: &'a [Pat],
    pub(super) ours: Vec<Labelled<'a>>,
    pub(super) secret: &'a Secret,
    pub(super) connector: Option<&'a Observed>,
    pub(super) contents: &'a Contents,
    pub(super) now: Timestamp,
    pub(super) in_use: BTreeSet<VersionId>,
    /// Which PATs have a token, by the versions in their labels.
    pub(super) holders: BTreeMap<TokenNumber, Vec<&'a TokenId>>,
}

/// Versions whose values decide which PATs are in use.
pub fn versions_in_use(secret: &Secret, connector: Option<&Observed>) -> BTreeSet<VersionId> {
    let labels = [secret.version(Label::Current), secret.rotation_in_progress(), secret.version(Label::Candidate)];
    labels.into_iter().flatten().cloned().chain(connector.and_then(Observed::version)).collect()
}

impl<'a> Stock<'a> {
    /// Builds the stock from every PAT of the dedicated user, labels and tags, the connector (`None` if it does not exist),
    /// the versions' values, and the current time.
    pub fn new(
        pats: &'a [Pat],
        secret: &'a Secret,
        connector: Option<&'a Observed>,
        contents: &'a Contents,
        now: Timestamp,
    ) -> Self {
        let ours = pats.iter().filter_map(|pat| {
            let TokenLabel { version, is_retiring } = secret.version_of_label(&pat.label)?;
            Some(Labelled { pat, version, retiring: is_retiring })
        });
        let in_use = versions_in_use(secret, connector);
        let ours = ours.collect();
        let mut stock = Self { all: pats, ours, secret, connector, contents, now, in_use, holders: BTreeMap::new() };
        for labelled in &stock.ours {
            if let Own::Token(number) = stock.own(labelled) {
                stock.holders.entry(number).or_default().push(&labelled.pat.id);
            }
        }
        stock
    }

    pub(super) fn offboarded(&self) -> bool {
        self.secret.managed() == Managed::Offboarded
    }

    pub(super) fn labelled(&self, id: &TokenId) -> Option<&Labelled<'a>> {
        self.ours.iter().find(|labelled| labelled.pat.id == id)
    }

    /// The versions in use and their values, as far as they were read.
    pub(super) fn held(&self) -> impl Iterator<Item = (&VersionId, &'a Content)> {
        self.in_use.iter().filter_map(|version| Some((version, self.contents.get(version)?)))
    }

    /// Versions in use whose values were not read.
    pub(super) fn unread(&self) -> impl Iterator<Item = &VersionId> {
        self.in_use.iter().filter(|version| !self.contents.contains_key(*version))
    }

    pub(super) fn own(&self, labelled: &Labelled<'_>) -> Own {
        let Some(content) = self.contents.get(&labelled.version) else { return Own::Unread };
        // a version is written once, by the run that minted the PAT: among PATs with its label it holds the one that it names
        let of_another = content
            .token_id
            .as_ref()
            .filter(|id| *id != labelled.pat.id)
            .is_some_and(|id| self.labelled(id).is_some_and(|other| other.version == labelled.version));
        match content.stored {
            Stored::Token(_) if of_another => Own::Nowhere,
            Stored::Token(number) => Own::Token(number),
            Stored::NoToken | Stored::Gone => Own::Gone,
            Stored::Unreadable => Own::Unreadable,
        }
    }

    /// Whether another listed PAT has this token.
    pub(super) fn held_by_another(&self, number: TokenNumber, id: &TokenId) -> bool {
        self.holders.get(&number).is_some_and(|holders| holders.iter().any(|holder| *holder != id))
    }

    /// Whether the values refute that a version in use holds the PAT that its `tokenId` names.
    pub(super) fn refuted(&self, labelled: &Labelled<'_>, content: &Content) -> bool {
        match (content.stored, self.own(labelled)) {
            (Stored::Token(number), Own::Token(own)) => number != own,
            (Stored::Token(number), _) => self.held_by_another(number, &labelled.pat.id),
            (_, own) => matches!(own, Own::Token(_)),
        }
    }

    pub(super) fn is_named(&self, labelled: &Labelled<'_>) -> bool {
        self.held()
            .any(|(_, content)| content.token_id.as_ref() == Some(&labelled.pat.id) && !self.refuted(labelled, content))
    }

    /// Whether every token in use belongs to another listed PAT, or is in a document without `tokenId`.
    pub(super) fn is_accounted_for(&self, labelled: &Labelled<'_>) -> bool {
        self.held().all(|(_, content)| match content.stored {
            Stored::Token(number) => content.token_id.is_none() || self.held_by_another(number, &labelled.pat.id),
            Stored::NoToken => true,
            Stored::Unreadable | Stored::Gone => false,
        })
    }

    /// Whether a PAT of a stuck rotation was never stored and never will be: a run stores the token that it mints
    /// within minutes.
    pub(super) fn is_left_behind(&self, labelled: &Labelled<'_>) -> bool {
        let stored = self.contents.get(&labelled.version).map(|content| content.stored);
        self.secret.stuck_rotation(self.now) == Some(&labelled.version)
            && (stored == Some(Stored::Gone) || self.own(labelled) == Own::Nowhere)
            && labelled.pat.created_at.is_some_and(|created_at| created_at + LEFT_BEHIND <= self.now)
            && !self.is_named(labelled)
    }

    pub(super) fn judge(&self, labelled: &Labelled<'_>) -> Use {
        // an offboarded secret whose connector is gone has no token in use
        if self.offboarded() {
            return Use::Unused;
        }
        if self.unread().next().is_some() {
            return Use::Unread;
        }
        let stored = self.contents.get(&labelled.version).map(|content| content.stored);
        if self.in_use.contains(&labelled.version) && stored == Some(Stored::Gone) {
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

    /// Whether a PAT is in use. A PAT of another secret is [`Use::Unknown`].
    pub fn use_of(&self, id: &TokenId) -> Use {
        self.labelled(id).map_or(Use::Unknown, |labelled| self.judge(labelled))
    }

    /// Versions that must be read before [`Stock::use_of`] can decide.
    pub fn needs(&self, id: &TokenId) -> BTreeSet<VersionId> {
        let in_use: BTreeSet<VersionId> = self.unread().cloned().collect();
        if !in_use.is_empty() || self.offboarded() {
            return in_use;
        }
        let Some(labelled) = self.labelled(id) else { return in_use };
        match (self.own(labelled), self.judge(labelled)) {
            (Own::Unread, Use::Unread | Use::Named) => [labelled.version.clone()].into(),
            (Own::Gone, Use::Unknown) => {
                let others = self.ours.iter().filter(|other| self.own(other) == Own::Unread);
                others.map(|other| other.version.clone()).collect()
            }
            _ => BTreeSet::new(),
        }
    }
}
