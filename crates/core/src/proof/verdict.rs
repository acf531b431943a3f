//! Evidence in, verdict out (docs/proof.md): the first kind that applies, in the order of [`Finding`], is the verdict.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::config::OverPrivilege;
use crate::proof::evidence::{Evidence, Level, Login, Pulls, Push, level};
use crate::secret::document::Expected;
use crate::warning::{Warning, WarningCode};

/// Repositories that are named; of more there is the count.
pub const NAMED: usize = 20;

/// Repositories that a warning names.
const MENTIONED: usize = 5;

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

/// Why the token falls short; empty where it does not.
fn shortfalls(evidence: &Evidence, level: Level, missing: usize) -> Vec<String> {
    let mut reasons = Vec::new();
    if evidence.visible.is_empty() {
        reasons.push(format!("the token sees no repository of {}", evidence.organization));
    }
    if let Some((_, private)) = evidence.last_proof
        && private > 0
        && !evidence.visible.is_empty()
        && !evidence.visible.iter().any(|repository| repository.private)
    {
        reasons.push(format!(
            "the token sees no private repository any more, the last proof saw {private}; should that be right, a new token (rotate, or stage one) sets the new count"
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
    // a belt for the braces above: without a grant for every repository there is no `complete`
    if reasons.is_empty() && evidence.pulls != Pulls::Asked {
        reasons.push("the registry was not asked".to_owned());
    }
    reasons
}

/// What makes a `complete` verdict weaker than it could be.
fn weaknesses(evidence: &Evidence) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let private = evidence.visible.iter().filter(|repository| repository.private).count();
    if let Some((repositories, private_then)) = evidence.last_proof
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
            "no other token's view and no expectedRepositories to compare with: name in the secret's `expectedRepositories` what must be readable",
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
            "see what refuses the list of tags: a proxy, or the user's role"
        };
        warnings.push(Warning::new(
            WarningCode::TagsNotReadable,
            format!(
                "Docker Hub answered the list of tags with status 403 ({names}): no manifest is read there; {remedy}"
            ),
        ));
    }
    warnings
}

/// What Defender will not scan though the token reads it, for whoever connects an organization; `None` where there is
/// nothing to tell, or no `complete` verdict to put into perspective.
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

/// The first names, for a message.
fn first<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let more = if names.len() > MENTIONED { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(MENTIONED)].join(", "))
}

/// Repositories that are missing from the list, without a grant, or whose manifest cannot be read; less the excluded.
fn missing(evidence: &Evidence) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Head, HubError, Repository};
    use crate::proof::Reference;

    fn good() -> Evidence {
        let repository = |name: &str, private| Repository { name: name.into(), private, plugin: false };
        Evidence {
            login: Login::Accepted,
            scope: Some(vec!["repo:read".into()]),
            visible: vec![repository("db", true), repository("web", false)],
            references: vec![Reference {
                of: "the token in use".into(),
                repositories: vec!["db".into(), "web".into()],
            }],
            pulls: Pulls::Asked,
            manifests: 2,
            ..Evidence::new("acme", false, &[], &[])
        }
    }

    fn judge(change: impl FnOnce(&mut Evidence)) -> Verdict {
        let mut evidence = good();
        change(&mut evidence);
        verdict(&evidence, OverPrivilege::Refuse)
    }

    #[test]
    fn each_finding_has_its_evidence() {
        type Change = Box<dyn Fn(&mut Evidence)>;
        let table: Vec<(&str, Change, Finding)> = vec![
            ("nothing wrong", Box::new(|_| {}), Finding::Complete),
            ("login 401", Box::new(|e| e.login = Login::Rejected), Finding::Rejected),
            ("young token", Box::new(|e| e.login = Login::RejectedYoung), Finding::Inconclusive),
            ("login unknown", Box::new(|e| e.login = Login::Unknown), Finding::Inconclusive),
            ("a gap", Box::new(|e| e.gaps.push("rate limit".into())), Finding::Inconclusive),
            ("registry 401", Box::new(|e| e.pulls = Pulls::Rejected), Finding::Rejected),
            ("scope write", Box::new(|e| e.scope = Some(vec!["repo:write".into()])), Finding::OverPrivileged),
            ("push granted", Box::new(|e| e.push = Push::Granted), Finding::OverPrivileged),
            ("public only", Box::new(|e| e.scope = Some(vec!["repo:public_read".into()])), Finding::Partial),
            (
                "empty list",
                Box::new(|e| {
                    e.visible.clear();
                    e.references.clear();
                }),
                Finding::Partial,
            ),
            ("registry scopes", Box::new(|e| e.pulls = Pulls::InsufficientScopes), Finding::Partial),
            ("only a sample", Box::new(|e| e.pulls = Pulls::Sampled), Finding::Partial),
            ("registry not asked", Box::new(|e| e.pulls = Pulls::NotAsked), Finding::Partial),
            ("missing in list", Box::new(|e| e.references[0].repositories.push("ops".into())), Finding::Partial),
            ("pull denied", Box::new(|e| e.denied.push("db".into())), Finding::Partial),
            ("manifest unreadable", Box::new(|e| e.unreadable.push("db".into())), Finding::Partial),
            ("expected", Box::new(|e| e.expected.push(Expected::Name("ops".into()))), Finding::Partial),
            ("expected prefix", Box::new(|e| e.expected.push(Expected::Prefix("svc-".into()))), Finding::Partial),
            ("expected prefix there", Box::new(|e| e.expected.push(Expected::Prefix("we".into()))), Finding::Complete),
        ];
        for (name, change, expected) in table {
            assert_eq!(judge(|evidence| change(evidence)).result, expected, "{name}");
        }
    }

    #[test]
    fn the_first_that_applies_wins() {
        let worst = |e: &mut Evidence| {
            e.login = Login::Rejected;
            e.gaps.push("x".into());
            e.push = Push::Granted;
            e.denied.push("db".into());
        };
        assert_eq!(judge(worst).result, Finding::Rejected);
        assert_eq!(
            judge(|e| {
                worst(e);
                e.login = Login::Accepted;
            })
            .result,
            Finding::Inconclusive
        );
        assert_eq!(
            judge(|e| {
                e.push = Push::Granted;
                e.denied.push("db".into());
            })
            .result,
            Finding::OverPrivileged
        );
    }

    #[test]
    fn warn_lets_an_over_privileged_token_pass_with_a_warning_but_not_an_incomplete_one() {
        let mut evidence = good();
        evidence.push = Push::Granted;
        let passed = verdict(&evidence, OverPrivilege::Warn);
        assert!(passed.is_complete() && passed.warnings.iter().any(|warning| warning.code.name() == "overPrivileged"));
        evidence.denied.push("db".into());
        assert_eq!(verdict(&evidence, OverPrivilege::Warn).result, Finding::Partial);
        assert!(verdict(&good(), OverPrivilege::Warn).warnings.is_empty());
        assert!(judge(|e| e.push = Push::Granted).warnings.is_empty(), "it is the verdict");
    }

    #[test]
    fn what_is_excluded_is_not_missing() {
        let verdict = judge(|e| {
            e.references[0].repositories.push("ops".into());
            e.excluded.push("ops".into());
        });
        assert!(verdict.is_complete());
    }

    #[test]
    fn only_the_first_missing_ones_are_named_and_all_are_counted() {
        let verdict = judge(|e| e.references[0].repositories.extend((0..50).map(|n| format!("gone-{n:02}"))));
        assert_eq!((verdict.missing.len(), verdict.missing_count), (NAMED, 50));
    }

    #[test]
    fn a_complete_verdict_says_what_it_could_not_know() {
        let codes =
            |verdict: Verdict| verdict.warnings.into_iter().map(|warning| warning.code.name()).collect::<Vec<_>>();
        assert_eq!(codes(judge(|_| {})), [""; 0]);
        assert_eq!(codes(judge(|e| e.references.clear())), ["nothingToCompare"]);
        assert_eq!(codes(judge(|e| e.visible.iter_mut().for_each(|r| r.private = false))), ["noPrivateRepository"]);
        assert_eq!(codes(judge(|e| e.organization_token = true)), ["readOnlyNotProvable"]);
    }
    #[test]
    fn fewer_than_the_last_proof_saw_is_told_with_both_counts() {
        // of the two repositories one is private
        let told = |last: (usize, usize)| {
            let verdict = judge(|e| e.last_proof = Some(last));
            assert!(verdict.is_complete(), "{last:?}");
            verdict.warnings.into_iter().any(|warning| {
                let code = warning.code.name() == "fewerRepositories";
                assert!(!code || warning.message.contains(&format!("saw {}, {} of them private", last.0, last.1)));
                code
            })
        };
        for (last, expected) in [
            ((2, 1), false),
            ((3, 1), true),
            ((2, 2), true),
            ((1, 1), false),
            ((2, 0), false),
            ((3, 0), true),
            ((0, 2), true),
        ] {
            assert_eq!(told(last), expected, "{last:?}");
        }
    }

    #[test]
    fn where_private_ones_were_seen_and_none_is_any_more_something_is_missing() {
        let public = |last: Option<(usize, usize)>| {
            judge(|e| {
                e.visible.iter_mut().for_each(|repository| repository.private = false);
                e.last_proof = last;
            })
        };
        assert_eq!(public(Some((2, 1))).result, Finding::Partial);
        assert!(public(Some((2, 1))).reasons[0].contains("the last proof saw 1"));
        assert_eq!(public(Some((2, 0))).result, Finding::Complete);
        assert_eq!(public(None).result, Finding::Complete);
        let empty = judge(|e| {
            e.visible.clear();
            e.references.clear();
            e.last_proof = Some((2, 1));
        });
        assert_eq!(empty.reasons, ["the token sees no repository of acme"], "one reason is enough");
    }

    #[test]
    fn an_organization_token_is_warned_of_once_it_was_accepted_whatever_the_verdict() {
        let warned = |organization_token: bool, login: Login, denied: bool| {
            let verdict = judge(|e| {
                e.organization_token = organization_token;
                e.login = login;
                if denied {
                    e.denied.push("db".into());
                }
            });
            verdict.warnings.iter().any(|warning| warning.code.name() == "readOnlyNotProvable")
        };
        assert!(warned(true, Login::Accepted, false) && warned(true, Login::Accepted, true));
        assert!(!warned(true, Login::Rejected, false) && !warned(false, Login::Accepted, true));
    }

    #[test]
    fn any_of_three_things_is_enough_to_compare_with() {
        type Change = fn(&mut Evidence);
        let nothing: Change = |_| {};
        let table: [(Change, bool); 4] = [
            (nothing, true),
            (|e| e.references.push(Reference { of: "x".into(), repositories: ["db".to_owned()].into() }), false),
            (|e| e.expected.push(Expected::Name("db".into())), false),
            (|e| e.last_proof = Some((2, 1)), false),
        ];
        for (change, expected) in table {
            let verdict = judge(|e| {
                e.references.clear();
                change(e);
            });
            assert_eq!(verdict.warnings.iter().any(|warning| warning.code.name() == "nothingToCompare"), expected);
        }
        let unread = judge(|e| e.manifests = 0);
        assert_eq!(unread.warnings[0].code.name(), "noManifestRead");
    }

    #[test]
    fn a_sample_is_no_more_than_a_sample() {
        let mut evidence = good();
        evidence.pulls = Pulls::Sampled;
        evidence.push = Push::Granted;
        assert!(sample_verdict(&evidence).is_complete(), "it works, and rights are for a proof");
        evidence.pulls = Pulls::NotAsked;
        assert_eq!(sample_verdict(&evidence).result, Finding::Partial);
    }

    #[test]
    fn what_a_manifest_answers_speaks_of_rights_only_with_401() {
        let gap = || HubError::Unexpected("status 403".into());
        for (answer, expected, warned) in [
            (Ok(Head::Readable { index: false }), Finding::Complete, false),
            (Ok(Head::Absent), Finding::Complete, true),
            (Ok(Head::Denied), Finding::Partial, false),
            (Err(gap()), Finding::Inconclusive, false),
        ] {
            let verdict = judge(|e| {
                e.manifests = 0;
                e.record_manifest("db", answer.clone());
            });
            assert_eq!(verdict.result, expected, "{answer:?}");
            let warning = verdict.warnings.iter().find(|warning| warning.code.name() == "noManifestRead");
            assert_eq!(warning.is_some(), warned, "{answer:?}");
            assert!(warning.is_none_or(|warning| warning.message.contains("(db)")), "{warning:?}");
        }
        let one_left = judge(|e| e.record_manifest("db", Ok(Head::Absent)));
        assert!(one_left.is_complete() && one_left.warnings.is_empty(), "another manifest was read");
    }

    #[test]
    fn tags_that_may_not_be_listed_are_a_warning_with_the_scope_that_is_missing() {
        for (organization_token, word) in [(true, "scope-tag-read"), (false, "the user's role")] {
            let verdict = judge(|e| {
                e.organization_token = organization_token;
                e.untold = vec!["db".into()];
            });
            assert!(verdict.is_complete());
            let warning = verdict.warnings.iter().find(|warning| warning.code.name() == "tagsNotReadable").unwrap();
            assert!(warning.message.contains("(db)") && warning.message.contains(word), "{}", warning.message);
        }
    }

    #[test]
    fn what_defender_does_not_scan_is_counted_and_named() {
        let told = |change: fn(&mut Evidence)| {
            let mut evidence = good();
            change(&mut evidence);
            let verdict = verdict(&evidence, OverPrivilege::Refuse);
            (verdict.not_scanned, unscanned(&evidence, &verdict).map(|warning| warning.message))
        };
        let (counts, message) = told(|e| {
            e.record_manifest("db", Ok(Head::Readable { index: true }));
            e.record_manifest("web", Ok(Head::Readable { index: false }));
        });
        assert_eq!(counts, NotScanned { public: 1, indexes: 1 });
        let message = message.unwrap();
        assert!(message.contains("1 of 2 repositories are public (web)"), "{message}");
        assert!(message.contains("1 of 4 manifests read are multi-platform indexes (db)"), "{message}");
        let (counts, message) = told(|e| e.visible.retain(|repository| repository.private));
        assert_eq!((counts, message), (NotScanned::default(), None));
        let (_, message) = told(|e| e.denied.push("db".into()));
        assert_eq!(message, None, "of a token that was refused nothing is scanned at all");
        let (_, message) = told(|e| {
            let public = |n| Repository { name: format!("p{n}"), private: false, plugin: false };
            e.visible = (0..9).map(public).collect();
            e.references.clear();
        });
        assert!(message.unwrap().contains("9 of 9 repositories are public (p0, p1, p2, p3, p4, …)"));
        let json = serde_json::to_value(judge(|_| {})).unwrap();
        assert_eq!(json["notScanned"], serde_json::json!({"public": 1, "indexes": 0}));
    }
}
