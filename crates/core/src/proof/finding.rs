//! The verdict as a value: its kind, and what the report says about it.

use serde::Serialize;

use crate::connector::Coverage;
use crate::warning::Warning;

/// The kinds of verdict, in order of precedence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
    /// Docker Hub rejects the token.
    Rejected,
    /// Inconclusive.
    Inconclusive,
    /// The token can do more than read.
    OverPrivileged,
    /// A repository is missing or cannot be pulled.
    Partial,
    /// The token can read the whole organization, and nothing more.
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

/// What Defender does not scan, as far as the proof sees it. Microsoft's support matrix names public repositories, manifest lists
/// and scratch images; the proof cannot recognize scratch images.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotScanned {
    /// Public repositories among all that the token sees.
    pub public: usize,
    /// Repositories of the sample whose first manifest is an index (a manifest list): multi-platform images.
    pub indexes: usize,
}

/// The verdict, as drawn from the evidence.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The kind.
    pub result: Finding,
    /// Repositories that the token sees.
    pub repositories: usize,
    /// How many of them are private.
    pub private: usize,
    /// What Defender does not scan although the token can read it.
    pub not_scanned: NotScanned,
    /// The first repositories that are missing or cannot be pulled.
    pub missing: Vec<String>,
    /// How many repositories are missing or cannot be pulled.
    pub missing_count: usize,
    /// The reasons, in words.
    pub reasons: Vec<String>,
    /// Warnings; none of them stops the run.
    pub warnings: Vec<Warning>,
}

impl Verdict {
    /// The coverage of the proof.
    pub fn coverage(&self) -> Coverage {
        Coverage { repositories: self.repositories, private: self.private }
    }

    /// Whether the token may be written.
    pub fn is_complete(&self) -> bool {
        self.result == Finding::Complete
    }
}
