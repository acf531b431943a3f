//! Evidence in, verdict out (docs/proof.md): the first kind that applies, in the order of [`Finding`], is the verdict.

use serde::Serialize;

use crate::config::OverPrivilege;
use crate::connector::Coverage;
use crate::proof::evidence::{Evidence, Level, Login, Pulls, Push, level};
use crate::warning::{Warning, WarningCode};

mod shortfalls;
mod weaknesses;

use shortfalls::{missing, shortfalls};
pub use weaknesses::unscanned;
use weaknesses::weaknesses;

/// Repositories that are named; of more there is the count.
pub const NAMED: usize = 20;

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

/// Draws the verdict.
pub fn verdict(evidence: &Evidence, over_privilege: OverPrivilege) -> Verdict {
    let level = level(evidence.scope.as_deref());
    let missing = missing(evidence);
    let mut reasons = Vec::new();
    let mut warnings = Vec::new();
    let over_privileged = level == Level::More || evidence.push == Push::Granted;
    let result = if evidence.is_rejected() {
        reasons.push("Docker Hub does not accept the token: it is wrong, expired or deactivated".to_owned());
        Finding::Rejected
    } else if evidence.login == Login::RejectedYoung {
        reasons.push("the token was made less than ten minutes ago and is not accepted yet".to_owned());
        Finding::Inconclusive
    } else if evidence.login == Login::Unknown || !evidence.gaps.is_empty() {
        reasons.extend(evidence.gaps.iter().cloned());
        Finding::Inconclusive
    } else if over_privileged && over_privilege == OverPrivilege::Refuse {
        reasons.push("the token can do more than read".to_owned());
        Finding::OverPrivileged
    } else {
        reasons.extend(shortfalls(evidence, level, missing.len()));
        if reasons.is_empty() { Finding::Complete } else { Finding::Partial }
    };
    if over_privileged && over_privilege == OverPrivilege::Warn {
        warnings.push(Warning::new(
            WarningCode::OverPrivileged,
            "the token can do more than read; replace it by a read-only one",
        ));
    }
    if evidence.organization_token && evidence.login == Login::Accepted {
        warnings.push(Warning::new(WarningCode::ReadOnlyNotProvable,
            "the rights of an organization access token are per repository: that it can do nothing more than read is not proven",
        ));
    }
    if result == Finding::Complete {
        warnings.extend(weaknesses(evidence));
    }
    // an inconclusive proof reports no missing repositories
    let missing = if result == Finding::Partial { missing } else { Vec::new() };
    let missing_count = missing.len();
    let private = evidence.visible.iter().filter(|repository| repository.private).count();
    Verdict {
        result,
        repositories: evidence.visible.len(),
        private,
        not_scanned: NotScanned { public: evidence.visible.len() - private, indexes: evidence.indexes.len() },
        missing: missing.into_iter().take(NAMED).collect(),
        missing_count,
        reasons,
        warnings,
    }
}

/// What a sample comes to: whether a token that was proven before still works. Never a licence to write.
pub fn sample_verdict(evidence: &Evidence) -> Verdict {
    let mut sampled = evidence.clone();
    if sampled.pulls == Pulls::Sampled {
        sampled.pulls = Pulls::Asked;
    }
    verdict(&sampled, OverPrivilege::Warn)
}

#[cfg(test)]
mod tests;
