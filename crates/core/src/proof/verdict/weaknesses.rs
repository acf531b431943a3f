//! Finds what weakens a `complete` verdict, and what Defender does not scan.

use crate::connector::Coverage;
use crate::proof::evidence::Evidence;
use crate::proof::finding::{NotScanned, Verdict};
use crate::warning::{Warning, WarningCode};

/// Maximum number of repositories that a warning names.
const MENTIONED: usize = 5;

/// Warns about what weakens a `complete` verdict.
pub(super) fn weaknesses(evidence: &Evidence) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let private = evidence.visible.iter().filter(|repository| repository.private).count();
    if let Some(Coverage { repositories, private: private_then }) = evidence.last_proof
        && (evidence.visible.len() < repositories || private < private_then)
    {
        warnings.push(Warning::new(WarningCode::FewerRepositories,
            format!(
                "the token sees {} repositories, {private} of them private; the last proof saw {repositories}, {private_then} of them private",
                evidence.visible.len()
            ),
        ));
    }
    if evidence.references.is_empty() && evidence.expected.is_empty() && evidence.last_proof.is_none() {
        warnings.push(Warning::new(WarningCode::NothingToCompare,
            "there is no other token's view and no expectedRepositories to compare with: list in the secret's `expectedRepositories` what must be readable",
        ));
    }
    if private == 0 {
        warnings.push(Warning::new(WarningCode::NoPrivateRepository,
            "no visible repository is private, and anybody's token sees the public ones: name private repositories in the secret's `expectedRepositories`",
        ));
    }
    if evidence.manifests == 0 {
        let why = if evidence.vanished.is_empty() {
            "no repository of the sample has a tag that the token can list".to_owned()
        } else {
            let names = first(evidence.vanished.iter().map(String::as_str));
            format!("the registry has no manifest for the tags that Docker Hub lists ({names})")
        };
        warnings.push(Warning::new(WarningCode::NoManifestRead, format!("no manifest was read: {why}")));
    }
    if !evidence.untold.is_empty() {
        let names = first(evidence.untold.iter().map(String::as_str));
        let remedy = if evidence.organization_token {
            "give the organization access token the scope `scope-tag-read`"
        } else {
            "find out what rejects the list of tags: a proxy, or the user's role"
        };
        warnings.push(Warning::new(
            WarningCode::TagsNotReadable,
            format!(
                "Docker Hub returned status 403 for the list of tags ({names}): no manifest is read there; {remedy}"
            ),
        ));
    }
    warnings
}

/// What Defender does not scan although the token can read it, whoever connects the organization. `None` if Defender scans
/// everything that the proof saw, or if the verdict is not `complete`.
pub fn unscanned(evidence: &Evidence, verdict: &Verdict) -> Option<Warning> {
    let NotScanned { public, indexes } = verdict.not_scanned;
    if !verdict.is_complete() || (public == 0 && indexes == 0) {
        return None;
    }
    let mut parts = Vec::new();
    if public > 0 {
        let visible = evidence.visible.iter().filter(|repository| !repository.private);
        let names = first(visible.map(|repository| repository.name.as_str()));
        parts.push(format!("{public} of {} repositories are public ({names})", evidence.visible.len()));
    }
    if indexes > 0 {
        let names = first(evidence.indexes.iter().map(String::as_str));
        parts.push(format!("{indexes} of {} manifests read are multi-platform indexes ({names})", evidence.manifests));
    }
    Some(Warning::new(
        WarningCode::DefenderDoesNotScan,
        format!(
            "Defender scans neither public repositories nor multi-platform images: {}; make such repositories private, and push images of one platform without attestations (docker buildx build --provenance=false)",
            parts.join(", ")
        ),
    ))
}

/// The first names, for a message. Sorted, since responses arrive in any order, and the same proof should read the same.
fn first<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let more = if names.len() > MENTIONED { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(MENTIONED)].join(", "))
}
