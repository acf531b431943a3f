//! The verdict as a value: its kind, and what the report says of it.

use serde::Serialize;

use crate::connector::Coverage;
use crate::warning::Warning;

/// The kinds of verdict, in the order in which they win.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
    /// Docker Hub does not accept the token.
    Rejected,
    /// Nothing is known.
    Inconclusive,
    /// The token can do more than read.
    OverPrivileged,
    /// Some repository is missing or not pullable.
    Partial,
    /// The token reads the whole organization, and nothing more.
    Complete,
}

impl Finding {
    /// The wire name.
    pub fn name(self) -> &'static str {
        match self {
            Finding::Rejected => "rejected",
            Finding::Inconclusive => "inconclusive",
            Finding::OverPrivileged => "overPrivileged",
            Finding::Partial => "partial",
            Finding::Complete => "complete",
        }
    }
}

/// What Defender does not scan, as far as the proof sees it (Microsoft's support matrix: public repositories and manifest
/// lists; scratch images too, which the proof cannot tell apart).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotScanned {
    /// Public repositories, of all that the token sees.
    pub public: usize,
    /// Repositories of the sample whose first manifest is an index (a manifest list): multi-platform images.
    pub indexes: usize,
}

/// What the evidence comes to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The kind.
    pub result: Finding,
    /// Repositories that the token sees.
    pub repositories: usize,
    /// How many of them are private.
    pub private: usize,
    /// What Defender does not scan though the token reads it.
    pub not_scanned: NotScanned,
    /// The first repositories that are missing or not pullable.
    pub missing: Vec<String>,
    /// How many there are.
    pub missing_count: usize,
    /// Why, in words.
    pub reasons: Vec<String>,
    /// What stops nothing.
    pub warnings: Vec<Warning>,
}

impl Verdict {
    /// What the proof saw.
    pub fn coverage(&self) -> Coverage {
        Coverage { repositories: self.repositories, private: self.private }
    }

    /// Whether the token may be written.
    pub fn is_complete(&self) -> bool {
        self.result == Finding::Complete
    }
}
