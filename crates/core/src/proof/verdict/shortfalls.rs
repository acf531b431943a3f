//! Finds where a token falls short: the reasons for `partial`, and the missing repositories.

use std::collections::BTreeSet;

use crate::connector::Coverage;
use crate::proof::evidence::{Evidence, Level, Pulls};
use crate::secret::document::Expected;

/// Why the token falls short; empty if it does not.
pub(super) fn shortfalls(evidence: &Evidence, level: Level, missing: usize) -> Vec<String> {
    let mut reasons = Vec::new();
    if evidence.visible.is_empty() {
        reasons.push(format!("the token sees no repository of {}", evidence.organization));
    }
    if let Some(Coverage { private, .. }) = evidence.last_proof
        && private > 0
        && !evidence.visible.is_empty()
        && !evidence.visible.iter().any(|repository| repository.private)
    {
        reasons.push(format!(
            "the token sees no private repository any more, the last proof saw {private}; if that is intended, a new token (rotate, or stage one) sets the new count"
        ));
    }
    if level == Level::PublicRead {
        reasons.push("the token's scope is public read only".to_owned());
    }
    if evidence.pulls == Pulls::InsufficientScopes {
        reasons.push("the registry says that the token's scopes are insufficient to pull".to_owned());
    }
    if missing > 0 {
        reasons.push(format!("{missing} repositories are missing or cannot be pulled"));
    }
    // a second safeguard: without a grant for every repository there is no `complete`
    if reasons.is_empty() && evidence.pulls != Pulls::Asked {
        reasons.push("the registry was not queried".to_owned());
    }
    reasons
}

/// Repositories that the list lacks, that have no grant, or whose manifest cannot be read; without the excluded ones.
pub(super) fn missing(evidence: &Evidence) -> Vec<String> {
    let visible: BTreeSet<&str> = evidence.visible.iter().map(|repository| repository.name.as_str()).collect();
    let mut missing: BTreeSet<String> = BTreeSet::new();
    let seen_by_others = evidence.references.iter().flat_map(|reference| &reference.repositories);
    missing.extend(seen_by_others.filter(|name| !visible.contains(name.as_str())).cloned());
    missing.extend(evidence.denied.iter().cloned());
    missing.extend(evidence.unreadable.iter().cloned());
    for expected in &evidence.expected {
        match expected {
            Expected::Name(name) if !visible.contains(name.as_str()) => {
                missing.insert(name.clone());
            }
            Expected::Prefix(prefix) if !visible.iter().any(|name| name.starts_with(prefix.as_str())) => {
                missing.insert(format!("{prefix}*"));
            }
            _ => {}
        }
    }
    for name in &evidence.excluded {
        missing.remove(name);
    }
    missing.into_iter().collect()
}
