//! The verdict is monotone: whatever is taken away from a token, or found against it, the result is never a better one.

use hubkeeper_core::config::OverPrivilege;
use hubkeeper_core::connector::Coverage;
use hubkeeper_core::hub::{Head, HubError, Repository};
use hubkeeper_core::proof::Verdict;
use hubkeeper_core::proof::evidence::{Evidence, Login, Pulls, Push, Reference};
use hubkeeper_core::proof::verdict::{NAMED, sample_verdict, verdict};
use hubkeeper_core::proof::{Finding, NotScanned, sample};
use hubkeeper_core::secret::document::Expected;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use hubkeeper_test_support::property::{ensure, holds, refuted};

const NAMES: [&str; 8] = ["api", "attic", "db", "ops", "svc-a", "svc-b", "web", "worker"];
const SCOPES: [&str; 6] =
    ["repo:read", "repo:public_read", "repo:write", "repo:admin", "sandbox:use", "scope-image-push"];

fn names() -> impl Strategy<Value = Vec<String>> {
    subsequence(NAMES.to_vec(), 0..=NAMES.len()).prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn few() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![3 => Just(Vec::new()), 1 => names()]
}

fn visible() -> impl Strategy<Value = Vec<Repository>> {
    (subsequence(NAMES.to_vec(), 0..=NAMES.len()), any::<u8>(), any::<u8>()).prop_map(|(names, private, plugin)| {
        let of = |(at, name): (usize, &str)| Repository {
            name: name.to_owned(),
            private: private >> at & 1 == 1,
            plugin: plugin >> at & 3 == 3,
        };
        names.into_iter().enumerate().map(of).collect()
    })
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        select(NAMES.to_vec()).prop_map(|name| Expected::Name(name.to_owned())),
        select(vec!["svc-", "w", "none-"]).prop_map(|prefix| Expected::Prefix(prefix.to_owned())),
    ]
}

fn push() -> impl Strategy<Value = Push> {
    select(vec![Push::NotAsked, Push::Refused, Push::Granted])
}

/// Evidence of any kind; good answers are the more frequent ones, so that a complete verdict is not rare.
fn evidence() -> impl Strategy<Value = Evidence> {
    let logins = prop_oneof![8 => Just(Login::Accepted), 1 => Just(Login::Rejected), 1 => Just(Login::RejectedYoung), 1 => Just(Login::Unknown)];
    let pulls = prop_oneof![
        8 => Just(Pulls::Asked),
        1 => select(vec![Pulls::NotAsked, Pulls::Sampled, Pulls::InsufficientScopes, Pulls::Rejected])
    ];
    let scope = option::of(
        subsequence(SCOPES.to_vec(), 0..3).prop_map(|scopes| scopes.into_iter().map(str::to_owned).collect::<Vec<_>>()),
    );
    let scope = prop_oneof![2 => Just(Some(vec!["repo:read".to_owned()])), 1 => scope];
    let push = prop_oneof![4 => Just(Push::NotAsked), 1 => push()];
    let gaps = prop_oneof![8 => Just(Vec::new()), 1 => Just(vec!["rate limit".to_owned()])];
    let references = vec(few().prop_map(|repositories| Reference { of: "another".into(), repositories }), 0..3);
    let expected = prop_oneof![2 => Just(Vec::new()), 1 => vec(expected(), 0..3)];
    let last = option::of((0..9_usize, 0..9_usize));
    let seen = (visible(), references, last, expected, few());
    let answered = (pulls, few(), few(), 0..5_usize, push, gaps);
    (logins, scope, seen, answered, any::<bool>()).prop_map(|(login, scope, seen, answered, organization_token)| {
        let (visible, references, last_proof, expected, excluded) = seen;
        let (pulls, denied, unreadable, manifests, push, gaps) = answered;
        Evidence {
            organization: "acme".into(),
            organization_token,
            login,
            scope,
            visible,
            references,
            last_proof: last_proof.map(|(repositories, private)| Coverage { repositories, private }),
            expected,
            excluded,
            pulls,
            denied,
            unreadable,
            manifests,
            indexes: Vec::new(),
            vanished: Vec::new(),
            untold: Vec::new(),
            listed: 0,
            most_granted: 0,
            is_locked_out: false,
            push,
            gaps,
        }
    })
}

/// What the registry may answer about a manifest.
fn manifest() -> impl Strategy<Value = Result<Head, HubError>> {
    prop_oneof![
        any::<bool>().prop_map(|index| Ok(Head::Readable { index })),
        Just(Ok(Head::Absent)),
        Just(Ok(Head::Denied)),
        Just(Err(HubError::Unexpected("status 403".into()))),
    ]
}

/// Evidence against a token, or evidence that proves nothing.
#[derive(Clone, Debug)]
enum Harm {
    Hide(Index),
    Deny(Index),
    Garble(Index),
    Expect(Expected),
    SeenByOthers(Index),
    NoLongerExcluded(Index),
    Manifest(Index, Result<Head, HubError>),
    Gap,
    Push,
    Scope,
    Unaccepted,
    Unasked(Pulls),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => any::<Index>().prop_map(Harm::Hide),
        1 => any::<Index>().prop_map(Harm::Deny),
        1 => any::<Index>().prop_map(Harm::Garble),
        1 => expected().prop_map(Harm::Expect),
        1 => any::<Index>().prop_map(Harm::SeenByOthers),
        1 => any::<Index>().prop_map(Harm::NoLongerExcluded),
        1 => (any::<Index>(), manifest()).prop_map(|(at, answer)| Harm::Manifest(at, answer)),
        1 => Just(Harm::Gap),
        1 => Just(Harm::Push),
        1 => Just(Harm::Scope),
        1 => Just(Harm::Unaccepted),
        1 => select(vec![Pulls::NotAsked, Pulls::Sampled, Pulls::InsufficientScopes, Pulls::Rejected]).prop_map(Harm::Unasked),
    ]
}

fn worse(mut evidence: Evidence, harm: &Harm) -> Evidence {
    let name = |at: &Index| (*at.get(&NAMES)).to_owned();
    match harm {
        Harm::Hide(at) if !evidence.visible.is_empty() => {
            evidence.visible.remove(at.index(evidence.visible.len()));
        }
        Harm::NoLongerExcluded(at) if !evidence.excluded.is_empty() => {
            evidence.excluded.remove(at.index(evidence.excluded.len()));
        }
        Harm::Deny(at) => evidence.denied.push(name(at)),
        Harm::Garble(at) => evidence.unreadable.push(name(at)),
        Harm::Manifest(at, answer) => evidence.record_manifest(&name(at), answer.clone()),
        Harm::Expect(expected) => evidence.expected.push(expected.clone()),
        Harm::SeenByOthers(at) => {
            evidence.references.push(Reference { of: "one more".into(), repositories: vec![name(at)] });
        }
        Harm::Gap => evidence.gaps.push("outage".into()),
        Harm::Push => evidence.push = Push::Granted,
        Harm::Scope => evidence.scope.get_or_insert_default().push("repo:write".into()),
        Harm::Unaccepted => evidence.login = Login::Rejected,
        // what was worse already stays
        Harm::Unasked(pulls) if evidence.pulls == Pulls::Asked => evidence.pulls = *pulls,
        Harm::Hide(_) | Harm::NoLongerExcluded(_) | Harm::Unasked(_) => {}
    }
    evidence
}

type Case = (Evidence, Vec<Harm>);

fn monotone(judge: impl Fn(&Evidence) -> Verdict) -> impl Fn(Case) -> Result<(), String> {
    move |(evidence, harms)| {
        let mut before = (judge(&evidence).result, evidence);
        for harm in &harms {
            let evidence = worse(before.1, harm);
            let after = judge(&evidence).result;
            ensure(after <= before.0, || format!("{:?} became {after:?} by {harm:?}", before.0))?;
            before = (after, evidence);
        }
        Ok(())
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (evidence(), vec(harm(), 1..5))
}

#[test]
fn no_result_gets_better_by_what_speaks_against_the_token() {
    holds(&cases(), monotone(|evidence| verdict(evidence, OverPrivilege::Refuse)));
    // under `warn` a right to write implies the right to read: it is no harm there
    let cases = cases().prop_filter("no scope", |(_, harms)| !harms.iter().any(|harm| matches!(harm, Harm::Scope)));
    holds(&cases, monotone(|evidence| verdict(evidence, OverPrivilege::Warn)));
}

#[test]
fn the_property_finds_a_verdict_that_takes_an_empty_list_for_complete() {
    refuted(
        &cases(),
        monotone(|evidence| {
            let mut verdict = verdict(evidence, OverPrivilege::Refuse);
            if evidence.visible.is_empty() && verdict.result == Finding::Partial {
                verdict.result = Finding::Complete;
            }
            verdict
        }),
    );
}

#[test]
fn the_property_finds_a_verdict_that_forgets_what_others_see_of_what_is_hidden() {
    refuted(
        &cases(),
        monotone(|evidence| {
            let mut forgetful = evidence.clone();
            forgetful.references.retain(|reference| reference.repositories.len() != 1);
            forgetful.denied.truncate(1);
            if forgetful.visible.len() < 3 {
                forgetful.denied.clear();
            }
            verdict(&forgetful, OverPrivilege::Refuse)
        }),
    );
}

/// A complete verdict in other words than the function's.
fn is_whole(evidence: &Evidence, over_privilege: OverPrivilege) -> bool {
    let left_out = |name: &str| evidence.excluded.iter().any(|excluded| excluded == name);
    let seen = |name: &str| evidence.visible.iter().any(|repository| repository.name == name);
    let scope = evidence.scope.clone().unwrap_or_default();
    let writes = scope.iter().any(|name| ["write", "admin", "push"].iter().any(|right| name.ends_with(right)));
    let public =
        !writes && !scope.iter().any(|name| name == "repo:read") && scope.iter().any(|name| name == "repo:public_read");
    let private = evidence.visible.iter().filter(|repository| repository.private).count();
    evidence.login == Login::Accepted
        && evidence.pulls == Pulls::Asked
        && evidence.gaps.is_empty()
        && !evidence.visible.is_empty()
        && !public
        && !(over_privilege == OverPrivilege::Refuse && (writes || evidence.push == Push::Granted))
        && !(private == 0 && evidence.last_proof.is_some_and(|then| then.private > 0))
        && evidence.denied.iter().chain(&evidence.unreadable).all(|name| left_out(name))
        && evidence
            .references
            .iter()
            .flat_map(|reference| &reference.repositories)
            .all(|name| seen(name) || left_out(name))
        && evidence.expected.iter().all(|expected| match expected {
            Expected::Name(name) => seen(name) || left_out(name),
            Expected::Prefix(prefix) => evidence.visible.iter().any(|repository| repository.name.starts_with(prefix)),
        })
}

#[test]
fn complete_is_what_is_whole_and_nothing_else() {
    for over_privilege in [OverPrivilege::Refuse, OverPrivilege::Warn] {
        holds(&evidence(), |evidence| {
            let verdict = verdict(&evidence, over_privilege);
            let whole = is_whole(&evidence, over_privilege);
            ensure(verdict.is_complete() == whole, || format!("{:?}, whole: {whole}", verdict.result))?;
            ensure(verdict.reasons.is_empty() == whole || verdict.result == Finding::Inconclusive, || {
                "reasons".into()
            })?;
            ensure(verdict.missing.len() == verdict.missing_count.min(NAMED), || "missing".into())?;
            ensure(verdict.missing_count == 0 || verdict.result == Finding::Partial, || {
                "missing of no partial".into()
            })?;
            let private = evidence.visible.iter().filter(|repository| repository.private).count();
            ensure((verdict.repositories, verdict.private) == (evidence.visible.len(), private), || "counts".into())?;
            let not_scanned = NotScanned { public: evidence.visible.len() - private, indexes: evidence.indexes.len() };
            ensure(verdict.not_scanned == not_scanned, || "not scanned".into())
        });
    }
}

/// Whoever can push moves tags as they please: that decides nothing. Only a 401 makes a verdict `partial`.
fn judged_by_rights(judge: impl Fn(&Evidence) -> Finding) -> impl Fn(Manifests) -> Result<(), String> {
    move |(mut evidence, answers)| {
        let before = judge(&evidence);
        for (repository, answer) in &answers {
            evidence.record_manifest(repository, answer.clone());
        }
        let after = judge(&evidence);
        let denied = answers.iter().any(|(name, answer)| {
            *answer == Ok(Head::Denied) && !evidence.excluded.iter().any(|excluded| excluded == name)
        });
        let unknown = answers.iter().any(|(_, answer)| answer.is_err());
        let expected = match before {
            Finding::Rejected | Finding::Inconclusive => before,
            _ if unknown => Finding::Inconclusive,
            Finding::Complete if denied => Finding::Partial,
            before => before,
        };
        ensure(after == expected, || format!("{before:?} became {after:?}, not {expected:?}"))
    }
}

type Manifests = (Evidence, Vec<(String, Result<Head, HubError>)>);

fn manifests() -> impl Strategy<Value = Manifests> {
    (evidence(), vec((select(NAMES.to_vec()).prop_map(str::to_owned), manifest()), 0..6))
}

#[test]
fn what_manifests_answer_changes_the_verdict_only_where_it_speaks_of_rights() {
    holds(&manifests(), judged_by_rights(|evidence| verdict(evidence, OverPrivilege::Refuse).result));
}

#[test]
fn the_property_finds_a_verdict_that_takes_a_missing_manifest_for_a_missing_right() {
    refuted(
        &manifests(),
        judged_by_rights(|evidence| {
            let mut strict = evidence.clone();
            strict.unreadable.append(&mut strict.vanished);
            verdict(&strict, OverPrivilege::Refuse).result
        }),
    );
}

#[test]
fn a_sample_is_judged_as_the_whole_but_for_the_question_of_rights() {
    holds(&evidence(), |evidence| {
        let sampled = Evidence { pulls: Pulls::Sampled, ..evidence.clone() };
        let asked = Evidence { pulls: Pulls::Asked, ..evidence };
        let same = sample_verdict(&sampled) == verdict(&asked, OverPrivilege::Warn);
        ensure(same && !verdict(&sampled, OverPrivilege::Warn).is_complete(), || "a sample".into())
    });
}

#[test]
fn a_sample_has_private_ones_first_and_each_once() {
    let list = vec((any::<bool>(), any::<bool>()), 0..40).prop_map(|kinds| {
        let of =
            |(at, (private, plugin)): (usize, (bool, bool))| Repository { name: format!("r{at:02}"), private, plugin };
        kinds.into_iter().enumerate().map(of).collect::<Vec<_>>()
    });
    holds(&list, |list| {
        let all: Vec<&Repository> = list.iter().collect();
        let chosen = sample::choose(&all);
        let images = |private: bool| list.iter().filter(|one| one.private == private && !one.plugin).count();
        let private = images(true).min(sample::SIZE);
        let public = images(false).min(sample::SIZE - private);
        ensure(chosen.len() == private + public, || format!("{} of {private} and {public}", chosen.len()))?;
        ensure(chosen.iter().take(private).all(|one| one.private), || "private ones first".into())?;
        ensure(chosen.iter().all(|one| !one.plugin), || "a plugin".into())?;
        let mut names: Vec<_> = chosen.iter().map(|one| &one.name).collect();
        names.dedup();
        ensure(names.len() == chosen.len(), || "one twice".into())
    });
}
