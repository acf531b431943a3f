//! The planner's input: the trigger and the observed state.

use std::collections::BTreeSet;

use crate::connector::{Found, Observed};
use crate::error::Error;
use crate::hub::{Pat, Roster};
use crate::ids::VersionId;
use crate::outcome::Outcome;
use crate::proof::Verdict;
use crate::secret::document::{ConnectorId, StoredToken};
use crate::secret::kept::{CONNECTOR_TAG, STACK_TAG};
use crate::secret::labels::{MANAGED, MANAGED_TAG};
use crate::secret::{Document, Kept, KeptConnector, Label, Managed, Secret};
use crate::time::Timestamp;

/// Whether the labels and tags admit the event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// Admitted with this version, which has this label.
    Version {
        /// Version id.
        version: VersionId,
        /// The label that the version must keep until the write.
        label: Label,
    },
    /// Not admitted: there is nothing to do.
    Nothing {
        /// The outcome in the report.
        outcome: Outcome,
        /// The reason.
        reason: String,
    },
}

/// A version and the verdict on its token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// Version id.
    pub version: VersionId,
    /// The verdict of its proof.
    pub verdict: Verdict,
}

/// A version and the token that it holds. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct ReadToken {
    /// Version id.
    pub version: VersionId,
    /// Its token.
    pub stored: StoredToken,
}

/// The connector that an offboarding deletes, and its organization, each spelled as in its source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffboardedConnector {
    /// Docker Hub organization.
    pub organization: String,
    /// The connector in ARM.
    pub connector: ConnectorId,
}

/// A version and its document. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct Version {
    /// Version id.
    pub id: VersionId,
    /// Its document.
    pub document: Document,
}

/// The planner's input besides the trigger: what was observed, and what this run remembers. No `Debug`: it holds tokens.
#[derive(Clone)]
pub struct State {
    /// What the run observed.
    pub world: World,
    /// What the run did and learned.
    pub progress: Progress,
}

/// The state that the run observed for one event. No `Debug`: it holds tokens.
#[derive(Clone)]
pub struct World {
    /// Labels and tags.
    pub secret: Secret,
    /// The version that the event is about.
    pub version: VersionId,
    /// The label that admitted it.
    pub label: Label,
    /// The document of that version; `None` if the version has no value.
    pub document: Option<Document>,
    /// AWSCURRENT.
    pub current: Option<Version>,
    /// The version staged `HUBKEEPER_CANDIDATE`.
    pub candidate: Option<Version>,
    /// The version staged AWSPENDING by a stuck rotation, if it is not the event's own version.
    pub pending: Option<Version>,
    /// AWSPREVIOUS.
    pub previous: Option<Version>,
    /// Every PAT of the dedicated user, or why the list failed. Reconcile reads it; onboard reads it to identify the token.
    pub pats: Result<Vec<Pat>, Error>,
    /// Tokens of further versions, for comparison.
    pub read: Vec<ReadToken>,
    /// Onboard: the derived version id, and what is stored under it.
    pub slot: Option<Slot>,
    /// The connector that the document names; `None` if it was not read.
    pub connector: Option<Found>,
    /// Onboarding from zero: what the owner sees; `None` if the owner's view was not read.
    pub roster: Option<Roster>,
    /// What the run knows about the connector that the secret manages.
    pub keeping: Keeping,
    /// When the state was read.
    pub now: Timestamp,
}

/// What one run did and learned, which no read can show.
#[derive(Clone, Default)]
pub struct Progress {
    /// The verdict of this run's last proof; `None` before the first.
    pub proven: Option<Proven>,
    /// Versions whose token Docker Hub rejected in this run.
    pub skipped: BTreeSet<VersionId>,
    /// Reconcile: why the candidate is not adopted.
    pub ignored_candidate: Option<Error>,
    /// Onboard: whether the run listed the PATs to find out which secret the token belongs to.
    pub looked_up: bool,
    /// Reconcile: whether the run searched for a rejected token among the PATs that an interrupted run deactivated.
    pub reactivated: bool,
    /// Whether this run has resent the invitation: it does so at most once.
    pub resent: bool,
}

/// What this run learned about the connector that the secret manages, besides the one that its document names.
#[derive(Clone, Default)]
pub struct Keeping {
    /// The connector that the tag of an offboarded secret names, if the document names another; `None` if it was not read.
    pub former: Option<Found>,
    /// Staged versions that name another connector than the document, or that hold no valid document; `None` if they
    /// were not read.
    pub named: Option<Vec<VersionId>>,
    /// Connectors elsewhere in the subscription that have the secret's fingerprint; `None` if the run did not search.
    pub elsewhere: Option<Vec<ConnectorId>>,
    /// Whether another connector in the resource group has the secret's fingerprint.
    pub has_twin: bool,
    /// Digest of the requesting stack resource, for the tag `hubkeeper-stack`.
    pub stack: Option<String>,
}

/// The version id that an onboarding derives for a new token, and what is stored there. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct Slot {
    /// Version id.
    pub id: VersionId,
    /// The document, if one is stored.
    pub document: Option<Document>,
}

impl Progress {
    /// Remembers the verdict on a version instead of an earlier one.
    pub fn note_proven(&mut self, version: &VersionId, verdict: Verdict) {
        self.proven = Some(Proven { version: version.to_owned(), verdict });
    }

    /// The verdict on a version; `None` if this run has not proven it.
    pub fn verdict_on(&self, version: &VersionId) -> Option<&Verdict> {
        self.proven.as_ref().filter(|proven| proven.version == version).map(|proven| &proven.verdict)
    }
}

impl World {
    /// The connector as it was read; `None` if it does not exist.
    pub fn observed(&self) -> Option<&Observed> {
        self.connector.as_ref().and_then(|found| found.observed())
    }

    /// The connector that an offboarding deletes: the one that the tag names, else the document's.
    /// `None` if neither names one.
    pub fn offboarded_connector(&self) -> Option<OffboardedConnector> {
        let of = |document: &Document| OffboardedConnector {
            organization: document.organization.clone(),
            connector: document.connector.id.clone(),
        };
        let document = self.document.as_ref().map(|document| (document, KeptConnector::of(document)));
        match (self.secret.kept(), document) {
            (Kept::Connector(kept), Some((document, named))) if kept == named => Some(of(document)),
            (Kept::Connector(KeptConnector { organization, connector }), _) => {
                Some(OffboardedConnector { organization, connector })
            }
            (_, Some((document, _))) => Some(of(document)),
            (_, None) => None,
        }
    }

    /// Records the secret's tags after [`crate::plan::Step::TagManaged`].
    pub fn note_tags(&mut self, connector: Option<&str>, stack: Option<&str>) {
        let set = [(MANAGED_TAG, Some(MANAGED)), (CONNECTOR_TAG, connector), (STACK_TAG, stack)];
        for (tag, value) in set.into_iter().filter_map(|(tag, value)| Some((tag, value?))) {
            self.secret.tags.insert(tag.to_owned(), value.to_owned());
        }
    }

    /// Whether the secret was offboarded when it was read.
    pub fn is_offboarded(&self) -> bool {
        self.secret.managed() == Managed::Offboarded
    }

    /// The pending version of a stuck rotation.
    pub fn stuck(&self) -> Option<&VersionId> {
        self.secret.stuck_rotation(self.now)
    }

    /// The document of a version, if it was read.
    pub fn document_of(&self, version: &VersionId) -> Option<&Document> {
        let named = |known: &&Version| known.id == version;
        let slot = self.slot.as_ref().filter(|slot| slot.id == version).and_then(|slot| slot.document.as_ref());
        self.document
            .as_ref()
            .filter(|_| self.version == version)
            .or_else(|| self.candidate.as_ref().filter(named).map(|known| &known.document))
            .or_else(|| self.current.as_ref().filter(named).map(|known| &known.document))
            .or_else(|| self.pending.as_ref().filter(named).map(|known| &known.document))
            .or(slot)
    }
}

/// A second read, right before a write.
#[derive(Clone)]
pub struct Recheck {
    /// Labels and tags.
    pub secret: Secret,
    /// The connector.
    pub connector: Found,
    /// When it was read.
    pub at: Timestamp,
}
