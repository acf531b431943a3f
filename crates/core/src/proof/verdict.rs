//! Draws the verdict from the evidence (docs/proof.md): the first kind that applies, in the order of [`Finding`].

use crate::config::OverPrivilege;
use crate::proof::evidence::{Evidence, Level, Login, Pulls, Push, level};
use crate::proof::finding::{Finding, NotScanned, Verdict};
use crate::warning::{Warning, WarningCode};

mod shortfalls;
mod weaknesses;

use shortfalls::{missing, shortfalls};
pub use weaknesses::unscanned;
use weaknesses::weaknesses;

/// Maximum number of repositories named; beyond it the verdict gives the count only.
pub const NAMED: usize = 20;

/// Draws the verdict from the evidence.
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
            "the token can do more than read; replace it with a read-only one",
        ));
    }
    if evidence.organization_token && evidence.login == Login::Accepted {
        warnings.push(Warning::new(
            WarningCode::ReadOnlyNotProvable,
            "the rights of an organization access token are per repository: it is not proven that it can only read",
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

/// Draws the verdict from a sample: whether a token that was proven before still works. It never permits a write.
pub fn sample_verdict(evidence: &Evidence) -> Verdict {
    let mut sampled = evidence.clone();
    if sampled.pulls == Pulls::Sampled {
        sampled.pulls = Pulls::Asked;
    }
    verdict(&sampled, OverPrivilege::Warn)
}

#[cfg(test)]
mod tests;
