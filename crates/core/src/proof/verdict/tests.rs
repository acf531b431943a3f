use super::*;
use crate::connector::Coverage;
use crate::hub::{Head, HubError, Repository};
use crate::proof::Reference;
use crate::secret::document::Expected;

fn good() -> Evidence {
    let repository = |name: &str, private| Repository { name: name.into(), private, plugin: false };
    Evidence {
        login: Login::Accepted,
        scope: Some(vec!["repo:read".into()]),
        visible: vec![repository("db", true), repository("web", false)],
        references: vec![Reference { of: "the token in use".into(), repositories: vec!["db".into(), "web".into()] }],
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
    let codes = |verdict: Verdict| verdict.warnings.into_iter().map(|warning| warning.code.name()).collect::<Vec<_>>();
    assert_eq!(codes(judge(|_| {})), [""; 0]);
    assert_eq!(codes(judge(|e| e.references.clear())), ["nothingToCompare"]);
    assert_eq!(codes(judge(|e| e.visible.iter_mut().for_each(|r| r.private = false))), ["noPrivateRepository"]);
    assert_eq!(codes(judge(|e| e.organization_token = true)), ["readOnlyNotProvable"]);
}
#[test]
fn fewer_than_the_last_proof_saw_is_told_with_both_counts() {
    // one of the two repositories is private
    let told = |(repositories, private): (usize, usize)| {
        let last = Coverage { repositories, private };
        let verdict = judge(|e| e.last_proof = Some(last));
        assert!(verdict.is_complete(), "{last:?}");
        verdict.warnings.into_iter().any(|warning| {
            let code = warning.code.name() == "fewerRepositories";
            assert!(
                !code
                    || warning
                        .message
                        .contains(&format!("saw {}, {} of them private", last.repositories, last.private))
            );
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
    let saw = |repositories, private| Coverage { repositories, private };
    let public = |last: Option<Coverage>| {
        judge(|e| {
            e.visible.iter_mut().for_each(|repository| repository.private = false);
            e.last_proof = last;
        })
    };
    assert_eq!(public(Some(saw(2, 1))).result, Finding::Partial);
    assert!(public(Some(saw(2, 1))).reasons[0].contains("the last proof saw 1"));
    assert_eq!(public(Some(saw(2, 0))).result, Finding::Complete);
    assert_eq!(public(None).result, Finding::Complete);
    let empty = judge(|e| {
        e.visible.clear();
        e.references.clear();
        e.last_proof = Some(saw(2, 1));
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
        (|e| e.last_proof = Some(Coverage { repositories: 2, private: 1 }), false),
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

#[test]
fn names_in_a_warning_do_not_depend_on_the_order_of_responses() {
    let message = |names: [&str; 3]| {
        let mut evidence = good();
        evidence.indexes = names.map(str::to_owned).to_vec();
        let verdict = verdict(&evidence, OverPrivilege::Refuse);
        unscanned(&evidence, &verdict).map(|warning| warning.message).unwrap()
    };
    assert!(message(["web", "db", "api"]).contains("(api, db, web)"), "{}", message(["web", "db", "api"]));
    assert_eq!(message(["web", "db", "api"]), message(["db", "api", "web"]));
}

#[test]
fn a_rejection_is_excused_whole_and_touches_nothing_else() {
    for change in [|e: &mut Evidence| e.login = Login::Rejected, |e: &mut Evidence| e.pulls = Pulls::Rejected] {
        let mut evidence = good();
        change(&mut evidence);
        assert!(evidence.is_rejected());
        evidence.excuse_rejection();
        assert!(!evidence.is_rejected());
        assert_eq!(verdict(&evidence, OverPrivilege::Refuse).result, Finding::Inconclusive);
    }
    let mut evidence = good();
    evidence.login = Login::Rejected;
    evidence.excuse_rejection();
    assert_eq!(evidence.pulls, Pulls::Asked);
}

#[test]
fn what_defender_does_not_scan_is_told_by_its_kind() {
    let told = |public: usize, private: usize, indexes: &[&str]| {
        let mut evidence = good();
        let repository = |at: usize, private| Repository { name: format!("r{at}"), private, plugin: false };
        evidence.references.clear();
        evidence.visible = (0..public + private).map(|at| repository(at, at >= public)).collect();
        evidence.indexes = indexes.iter().map(|name| (*name).to_owned()).collect();
        let verdict = verdict(&evidence, OverPrivilege::Refuse);
        assert!(verdict.is_complete(), "{:?}", verdict.reasons);
        unscanned(&evidence, &verdict).map(|warning| warning.message)
    };
    assert_eq!(told(0, 2, &[]), None);
    let public = told(2, 0, &[]).unwrap();
    assert!(public.contains("2 of 2 repositories are public (r0, r1)") && !public.contains("indexes"), "{public}");
    let indexes = told(0, 2, &["r0"]).unwrap();
    assert!(indexes.contains("1 of 2 manifests") && !indexes.contains("are public"), "{indexes}");
    assert!(!told(5, 0, &[]).unwrap().contains('…') && told(6, 0, &[]).unwrap().contains("r4, …"));
}
