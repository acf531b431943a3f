//! What the planner is given: the trigger, and the state of the world as it was read.

use std::collections::BTreeSet;

use crate::connector::{Found, Observed};
use crate::error::Error;
use crate::hub::{Pat, Roster};
use crate::outcome::Outcome;
use crate::proof::Verdict;
use crate::secret::document::{ConnectorId, StoredToken};
use crate::secret::kept::{CONNECTOR_TAG, STACK_TAG};
use crate::secret::labels::{MANAGED, MANAGED_TAG};
use crate::secret::{Document, Kept, KeptConnector, Label, Managed, Secret};
use crate::time::Timestamp;

/// Whether the labels and tags let the event go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// With this version, which bears this label.
    Version {
        /// Version id.
        version: String,
        /// The label that it must keep until the write.
        label: Label,
    },
    /// No: nothing is to be done.
    Nothing {
        /// What the report says.
        outcome: Outcome,
        /// Why.
        reason: String,
    },
}

/// A version and the verdict on its token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// Version id.
    pub version: String,
    /// What its proof came to.
    pub verdict: Verdict,
}

/// A version and the token that it holds. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct ReadToken {
    /// Version id.
    pub version: String,
    /// Its token.
    pub stored: StoredToken,
}

/// The connector that an offboarding is about, and its organization, each as it was written where it was found.
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
    pub id: String,
    /// Its document.
    pub document: Document,
}

/// What the planner is given beside the trigger: what was observed, and what this run remembers. No `Debug`: it holds tokens.
#[derive(Clone)]
pub struct State {
    /// What was read.
    pub world: World,
    /// What this run did and learned.
    pub progress: Progress,
}

/// The state of the world as it was read for one event. No `Debug`: it holds tokens.
#[derive(Clone)]
pub struct World {
    /// Labels and tags.
    pub secret: Secret,
    /// The version that the event is about.
    pub version: String,
    /// The label that admitted it.
    pub label: Label,
    /// Its document; `None` where it has no value.
    pub document: Option<Document>,
    /// AWSCURRENT.
    pub current: Option<Version>,
    /// The version staged `HUBKEEPER_CANDIDATE`.
    pub candidate: Option<Version>,
    /// The version staged AWSPENDING, where it is not the one in question: of a rotation that is stuck.
    pub pending: Option<Version>,
    /// AWSPREVIOUS.
    pub previous: Option<Version>,
    /// Reconcile, and onboard once it looked the token up: every PAT of the dedicated user, or why they could not be listed.
    pub pats: Result<Vec<Pat>, Error>,
    /// Tokens of versions that were read besides, to be compared.
    pub read: Vec<ReadToken>,
    /// Onboard: what stands under the derived version id, and that id.
    pub slot: Option<Slot>,
    /// The connector of the document in question; `None` where it was not read.
    pub connector: Option<Found>,
    /// Onboarding from zero: what the owner sees; `None` where nobody looked.
    pub roster: Option<Roster>,
    /// What is known of the connector that the secret keeps.
    pub keeping: Keeping,
    /// When this was read.
    pub now: Timestamp,
}

/// What one run did and learned, which no read would tell.
#[derive(Clone, Default)]
pub struct Progress {
    /// The verdict of this run's last proof, once there is one.
    pub proven: Option<Proven>,
    /// Versions whose token Docker Hub rejected in this run.
    pub skipped: BTreeSet<String>,
    /// Reconcile: why the candidate is not taken up.
    pub ignored_candidate: Option<Error>,
    /// Onboard: whether the PATs were listed to look up whose the token is.
    pub looked_up: bool,
    /// Reconcile: whether a rejected token was looked for among those that an interrupted run deactivated.
    pub reactivated: bool,
    /// Whether this run has sent the invitation again: once is enough.
    pub resent: bool,
}

/// What this run learned about the connector that the secret keeps, beside the one that its document names.
#[derive(Clone, Default)]
pub struct Keeping {
    /// The connector that the tag of an offboarded secret names, where the document names another; `None` where nobody looked.
    pub former: Option<Found>,
    /// Versions with a staging label that name another connector than the document, or are no document; `None` where
    /// nobody looked.
    pub named: Option<Vec<String>>,
    /// Connectors elsewhere in the subscription that bear the secret's fingerprint; `None` where nobody looked.
    pub elsewhere: Option<Vec<ConnectorId>>,
    /// Whether another connector in the resource group bears the secret's fingerprint.
    pub has_twin: bool,
    /// Digest of the stack's resource that asks, for the tag `hubkeeper-stack`.
    pub stack: Option<String>,
}

/// The derived version id of an onboarding that mints, and what is stored there. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct Slot {
    /// Version id.
    pub id: String,
    /// The document, where one is stored.
    pub document: Option<Document>,
}

impl Progress {
    /// The verdict on a version, if there is one.
    pub fn verdict_on(&self, version: &str) -> Option<&Verdict> {
        self.proven.as_ref().filter(|proven| proven.version == version).map(|proven| &proven.verdict)
    }
}

impl World {
    /// The connector as it was read; `None` where there is none.
    pub fn observed(&self) -> Option<&Observed> {
        self.connector.as_ref().and_then(|found| found.observed())
    }

    /// The connector that an offboarding is about: the one that the tag names, else the document's.
    /// `None` where neither names one.
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

    /// Notes what the secret's tags are after [`crate::plan::Step::TagManaged`].
    pub fn note_tags(&mut self, connector: Option<&str>, stack: Option<&str>) {
        let set = [(MANAGED_TAG, Some(MANAGED)), (CONNECTOR_TAG, connector), (STACK_TAG, stack)];
        for (tag, value) in set.into_iter().filter_map(|(tag, value)| Some((tag, value?))) {
            self.secret.tags.insert(tag.to_owned(), value.to_owned());
        }
    }

    /// Whether the secret is offboarded, as it was read.
    pub fn is_offboarded(&self) -> bool {
        self.secret.managed() == Managed::Offboarded
    }

    /// The pending version of a rotation that is stuck.
    pub fn stuck(&self) -> Option<&str> {
        self.secret.stuck_rotation(self.now)
    }

    /// The document of a version, where it was read.
    pub fn document_of(&self, version: &str) -> Option<&Document> {
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

/// A second look, right before a write.
#[derive(Clone)]
pub struct Recheck {
    /// Labels and tags.
    pub secret: Secret,
    /// The connector.
    pub connector: Found,
    /// When.
    pub at: Timestamp,
}
