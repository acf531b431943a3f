use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::fixtures::{VERSION, document, secret, written};

const NOW: Timestamp = datetime!(2026-11-24 10:00 UTC);
const HOUR: Duration = Duration::HOUR;
const PREVIOUS: &str = "11111111-0000-4000-a000-000000000000";
const OLDER: &str = "22222222-0000-4000-a000-000000000000";
const EDITED: &str = "44444444-0000-4000-a000-000000000000";
const ORPHAN: &str = "33333333-0000-4000-a000-000000000000";

/// A world in which AWSCURRENT (`VERSION`) replaced AWSPREVIOUS (`PREVIOUS`) two days ago.
struct Case {
    secret: Secret,
    connector: Option<Observed>,
    pats: Vec<Pat>,
    contents: Contents,
    history: Option<History>,
    remembered: Remembered,
    elsewhere: bool,
    grace: Duration,
    skip_grace: bool,
    now: Timestamp,
}

fn replaced_two_days_ago() -> Case {
    let mut secret = secret(&[(VERSION, &["AWSCURRENT"]), (PREVIOUS, &["AWSPREVIOUS"])]);
    secret.tags.insert("hubkeeper".into(), "managed".into());
    secret.last_changed = Some(NOW - Duration::days(2));
    let connector = Some(connector(&secret, VERSION, NOW - Duration::days(2)));
    let made = |version: &str, days: i64| (version.to_owned(), NOW - Duration::days(days));
    Case {
        pats: vec![pat(&secret, "new", VERSION), pat(&secret, "old", PREVIOUS)],
        contents: [
            holds(VERSION, 1, Some("new")),
            holds(PREVIOUS, 0, Some("old")),
            holds(OLDER, 7, Some("older")),
            holds(ORPHAN, 8, Some("orphan")),
        ]
        .into(),
        history: Some([made(VERSION, 2), made(PREVIOUS, 30), made(OLDER, 60), made(ORPHAN, 5)].into()),
        secret,
        connector,
        remembered: Remembered::Nothing,
        elsewhere: false,
        grace: Duration::DAY,
        skip_grace: false,
        now: NOW,
    }
}

fn connector(secret: &Secret, version: &str, proved_at: Timestamp) -> Observed {
    let mut body = written(&document(|_| {}), version, None);
    body["tags"]["hubkeeper-secret"] = json!(secret.fingerprint());
    body["tags"]["hubkeeper-proved-at"] = json!(rfc3339(proved_at));
    Observed::parse(body).unwrap()
}

fn pat(secret: &Secret, id: &str, version: &str) -> Pat {
    Pat {
        id: id.into(),
        label: secret.token_label(version),
        active: true,
        created_at: Some(NOW - Duration::days(30)),
        last_used: None,
        expires_at: None,
    }
}

/// A version that holds a token.
fn holds(version: &str, number: usize, token_id: Option<&str>) -> (String, Content) {
    let stored = Stored::Token(TokenNumber(number));
    (version.to_owned(), Content { stored, token_id: token_id.map(str::to_owned) })
}

/// A version that holds none.
fn lacks(version: &str, stored: Stored) -> (String, Content) {
    (version.to_owned(), Content { stored, token_id: None })
}

fn retag(connector: &mut Option<Observed>, secret: &Secret, tag: &str, value: Value) {
    let mut body = written(&document(|_| {}), VERSION, None);
    body["tags"]["hubkeeper-secret"] = json!(secret.fingerprint());
    body["tags"]["hubkeeper-proved-at"] = json!(rfc3339(NOW - Duration::days(2)));
    body["tags"][tag] = value;
    *connector = Observed::parse(body);
}

impl Case {
    fn inventory(&self) -> Inventory<'_> {
        Inventory {
            stock: Stock::new(&self.pats, &self.secret, self.connector.as_ref(), &self.contents, self.now),
            organization: "acme",
            history: self.history.as_ref(),
            remembered: self.remembered,
            elsewhere: self.elsewhere,
            grace: self.grace,
            skip_grace: self.skip_grace,
        }
    }

    /// Another AWSCURRENT, in the connector too, that holds this.
    fn put(&mut self, number: usize, token_id: Option<&str>) {
        self.label(EDITED, "AWSCURRENT", (number, token_id));
        self.secret.versions.insert(VERSION.into(), vec!["AWSPREVIOUS".into()]);
        self.secret.versions.remove(PREVIOUS);
        self.connector = Some(connector(&self.secret, EDITED, NOW - Duration::days(2)));
        self.history.as_mut().unwrap().insert(EDITED.into(), NOW - Duration::days(2));
    }

    /// A version under a label that holds this.
    fn label(&mut self, version: &str, label: &str, (number, token_id): (usize, Option<&str>)) {
        self.secret.versions.insert(version.into(), vec![label.into()]);
        self.contents.extend([holds(version, number, token_id)]);
    }

    fn plan(&self) -> (Vec<String>, Vec<&'static str>) {
        let Retirement { steps, warnings } = plan(&self.inventory());
        let name = |step: &Step| match step {
            Step::DeactivateToken { id } => format!("deactivate {id}"),
            Step::DeleteToken { id } => format!("delete {id}"),
            Step::ActivateToken { id } => format!("activate {id}"),
            other => panic!("{other:?}"),
        };
        (steps.iter().map(name).collect(), warnings.iter().map(|warning| warning.code.name()).collect())
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_is_due_goes_in_two_phases_and_all_else_stays() {
    type Change = fn(&mut Case);
    let table: Vec<(&str, Change, &[&str], &[&str])> = vec![
        ("replaced, grace over", |_| {}, &["deactivate old"], &[]),
        ("deactivated before", |c| c.pats[1].active = false, &["delete old"], &[]),
        (
            "grace not over by the connector",
            |c| c.connector = Some(connector(&c.secret, VERSION, NOW - HOUR * 23)),
            &[],
            &[],
        ),
        ("grace not over by the secret", |c| c.secret.last_changed = Some(NOW - HOUR * 23), &[], &[]),
        ("grace over to the second", |c| c.grace = Duration::days(2), &["deactivate old"], &[]),
        ("a second short", |c| c.now -= Duration::SECOND, &["deactivate old"], &[]),
        (
            "a second short of the grace",
            |c| {
                c.grace = Duration::days(2);
                c.now -= Duration::SECOND;
            },
            &[],
            &[],
        ),
        (
            "no start in the connector",
            |c| retag(&mut c.connector, &c.secret, "hubkeeper-proved-at", json!("soon")),
            &[],
            &[],
        ),
        ("a start in the future", |c| c.connector = Some(connector(&c.secret, VERSION, NOW + HOUR)), &[], &[]),
        ("no date of the secret", |c| c.secret.last_changed = None, &[], &[]),
        ("a date in the future", |c| c.secret.last_changed = Some(NOW + HOUR), &[], &[]),
        (
            "a leak: no grace",
            |c| {
                c.skip_grace = true;
                c.secret.last_changed = Some(NOW);
            },
            &["deactivate old"],
            &[],
        ),
        (
            "a leak: what is in use stays",
            |c| {
                c.skip_grace = true;
                c.label(ORPHAN, "HUBKEEPER_CANDIDATE", (0, Some("old")));
            },
            &[],
            &[],
        ),
        ("no connector", |c| c.connector = None, &[], &["nothingRetired"]),
        (
            "a leak, no connector",
            |c| {
                c.connector = None;
                c.skip_grace = true;
            },
            &[],
            &["nothingRetired"],
        ),
        (
            "another's connector",
            |c| retag(&mut c.connector, &c.secret, "hubkeeper-secret", json!("ba9876543210")),
            &[],
            &["nothingRetired"],
        ),
        (
            "labels of others",
            |c| {
                for (label, pat) in ["", "by hand", "hubkeeper/ba9876543210/x"].into_iter().zip(&mut c.pats) {
                    pat.label = label.into();
                }
            },
            &[],
            &[],
        ),
        (
            "the connector carries the old one",
            |c| c.connector = Some(connector(&c.secret, PREVIOUS, NOW - Duration::days(2))),
            &[],
            &[],
        ),
        (
            "an orphaned token of the current version",
            |c| {
                let orphaned = pat(&c.secret, "orphaned", VERSION);
                c.pats.push(orphaned);
            },
            &["deactivate old", "deactivate orphaned"],
            &[],
        ),
        (
            "a pending version without a value",
            |c| {
                c.label(ORPHAN, "AWSPENDING", (2, None));
                c.contents.extend([lacks(ORPHAN, Stored::Gone)]);
                let making = pat(&c.secret, "making", ORPHAN);
                c.pats = vec![making];
            },
            &[],
            &[],
        ),
        (
            "never current: its own date counts",
            |c| {
                let mut orphan = pat(&c.secret, "orphan", ORPHAN);
                orphan.created_at = Some(NOW - Duration::days(5));
                c.secret.last_changed = Some(NOW);
                c.pats = vec![orphan];
            },
            &["deactivate orphan"],
            &[],
        ),
        (
            "never current, young",
            |c| {
                let mut orphan = pat(&c.secret, "orphan", ORPHAN);
                orphan.created_at = Some(NOW - HOUR * 23);
                c.pats = vec![orphan];
            },
            &[],
            &[],
        ),
        (
            "never current, made in the future",
            |c| {
                let mut orphan = pat(&c.secret, "orphan", ORPHAN);
                orphan.created_at = Some(NOW + HOUR);
                c.pats = vec![orphan];
            },
            &[],
            &[],
        ),
        (
            "never current, no date",
            |c| {
                let mut orphan = pat(&c.secret, "orphan", ORPHAN);
                orphan.created_at = None;
                c.pats = vec![orphan];
            },
            &[],
            &[],
        ),
        (
            "older than AWSPREVIOUS: replaced, so the later start counts",
            |c| {
                c.secret.last_changed = Some(NOW - HOUR);
                let older = pat(&c.secret, "older", OLDER);
                c.pats = vec![older];
            },
            &[],
            &[],
        ),
        (
            "made in the same second as AWSPREVIOUS: replaced, to be safe",
            |c| {
                c.secret.last_changed = Some(NOW - HOUR);
                c.history.as_mut().unwrap().insert(ORPHAN.into(), NOW - Duration::days(30));
                c.pats = vec![pat(&c.secret, "orphan", ORPHAN)];
            },
            &[],
            &[],
        ),
        (
            "history unknown: replaced, to be safe",
            |c| {
                c.history = None;
                c.secret.last_changed = Some(NOW - HOUR);
                let orphan = pat(&c.secret, "orphan", ORPHAN);
                c.pats = vec![orphan];
            },
            &[],
            &[],
        ),
        ("used since: reported, kept", |c| c.pats[1].last_used = Some(NOW - HOUR), &[], &["stillUsed"]),
        ("used before: goes", |c| c.pats[1].last_used = Some(NOW - Duration::days(3)), &["deactivate old"], &[]),
        (
            "used since, a second before its seven days on top of the grace are over",
            |c| {
                c.pats[1].last_used = Some(NOW);
                c.now += Duration::days(6) - Duration::SECOND;
            },
            &[],
            &["stillUsed"],
        ),
        (
            "used since, seven days later: goes",
            |c| {
                c.pats[1].last_used = Some(NOW);
                c.now += Duration::days(6);
            },
            &["deactivate old"],
            &[],
        ),
        (
            "used since, a leak: goes",
            |c| {
                c.pats[1].last_used = Some(NOW - HOUR);
                c.skip_grace = true;
            },
            &["deactivate old"],
            &[],
        ),
        (
            "expired long ago: no need to deactivate",
            |c| c.pats[1].expires_at = Some(NOW - Duration::days(2)),
            &["delete old"],
            &[],
        ),
        (
            "expired a moment ago: perhaps not by every clock",
            |c| c.pats[1].expires_at = Some(NOW - HOUR),
            &["deactivate old"],
            &[],
        ),
        (
            "in use, and an interrupted run deactivated it",
            |c| {
                c.pats[0].active = false;
                c.pats[0].label = c.secret.retiring_label(VERSION);
            },
            &["activate new", "deactivate old"],
            &[],
        ),
        ("in use, and somebody deactivated it", |c| c.pats[0].active = false, &["deactivate old"], &[]),
        (
            "marked, not in use: its second phase",
            |c| {
                c.pats[1].active = false;
                c.pats[1].label = c.secret.retiring_label(PREVIOUS);
            },
            &["delete old"],
            &[],
        ),
        (
            "offboarded: the grace runs from the tag",
            |c| {
                c.secret.tags.insert("hubkeeper".into(), "offboarded".into());
                c.connector = None;
                c.secret.last_changed = Some(NOW - HOUR * 23);
            },
            &[],
            &[],
        ),
        (
            "offboarded, grace over: all go",
            |c| {
                c.secret.tags.insert("hubkeeper".into(), "offboarded".into());
                c.connector = None;
            },
            &["deactivate new", "deactivate old"],
            &[],
        ),
        (
            "offboarded, used within seven days: a connector that was moved may hold it",
            |c| {
                c.secret.tags.insert("hubkeeper".into(), "offboarded".into());
                c.connector = None;
                c.skip_grace = true;
                c.pats[0].last_used = Some(NOW - Duration::days(7) + Duration::SECOND);
                c.pats[1].last_used = Some(NOW - Duration::days(7));
            },
            &["deactivate old"],
            &["stillUsed"],
        ),
        (
            "offboarded, a connector is left: it may hold any of them",
            |c| {
                c.secret.tags.insert("hubkeeper".into(), "offboarded".into());
            },
            &[],
            &[],
        ),
    ];
    for (name, change, steps, warnings) in table {
        let mut case = replaced_two_days_ago();
        change(&mut case);
        assert_eq!(case.plan(), (steps.iter().map(|step| (*step).to_owned()).collect(), warnings.to_vec()), "{name}");
    }
}

#[test]
fn a_token_that_an_onboarding_may_be_storing_survives_clocks_that_are_an_hour_off() {
    let mut case = replaced_two_days_ago();
    case.grace = HOUR;
    let first = case.secret.derived_version(VERSION);
    let second = case.secret.derived_version(&first);
    // a token that is not stored yet: what is in use is known to be another one
    case.contents.extend([holds(VERSION, 1, None)]);
    for version in [first, second] {
        let mut making = pat(&case.secret, "making", &version);
        for (age, goes) in [(Duration::ZERO, false), (HOUR, false), (-HOUR, false), (HOUR * 2, false), (HOUR * 3, true)]
        {
            making.created_at = Some(NOW - age);
            case.pats = vec![making.clone()];
            case.contents.extend([lacks(&version, Stored::Gone)]);
            assert_eq!(case.plan().0.len(), usize::from(goes), "made {age} ago");
            case.skip_grace = true;
            assert_eq!(case.plan().0.len(), usize::from(age >= HOUR * 2), "after a leak, made {age} ago");
            case.skip_grace = false;
        }
    }
}

#[test]
fn what_an_onboarding_has_stored_is_not_in_flight_any_more() {
    let orphan = || {
        let mut case = replaced_two_days_ago();
        case.grace = HOUR;
        let version = case.secret.derived_version(VERSION);
        let mut stored = pat(&case.secret, "stored", &version);
        stored.created_at = Some(NOW - HOUR);
        case.pats = vec![stored];
        case.contents.extend([holds(&version, 9, Some("stored"))]);
        (case, version)
    };
    let (mut case, version) = orphan();
    assert_eq!(case.plan().0, [""; 0], "not stored yet");
    case.history.as_mut().unwrap().insert(version, NOW - HOUR);
    assert_eq!(case.plan().0, ["deactivate stored"], "without a label");
    let (mut case, version) = orphan();
    case.secret.versions.insert(version, vec!["SOMEBODYS".into()]);
    assert_eq!(case.plan().0, ["deactivate stored"], "with a label of others");
}

#[test]
fn versions_in_use_are_those_of_the_labels_and_the_connector_s() {
    let mut secret = secret(&[("a", &["AWSCURRENT"]), ("b", &["AWSPREVIOUS"]), ("c", &["AWSPENDING"])]);
    let carries = connector(&secret, OLDER, NOW);
    assert_eq!(versions_in_use(&secret, Some(&carries)), BTreeSet::from([OLDER, "a", "c"]));
    for over in ["AWSPREVIOUS", "AWSCURRENT"] {
        let leftover = [(over.to_owned(), vec![over.to_owned(), "AWSPENDING".to_owned()])];
        let leftover = Secret { versions: leftover.into(), ..secret.clone() };
        let current: &[&str] = if over == "AWSCURRENT" { &[over] } else { &[] };
        assert_eq!(versions_in_use(&leftover, None), current.iter().copied().collect(), "the leftover of a rotation");
    }
    secret.versions.insert("b".into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    assert_eq!(versions_in_use(&secret, None), BTreeSet::from(["a", "b", "c"]));
}

/// The versions whose values are asked for, the steps, and the codes of the warnings, with all values at hand.
fn judged(case: &Case) -> (BTreeSet<String>, Vec<String>, Vec<&'static str>) {
    let (steps, warnings) = case.plan();
    (wants(&case.inventory()).values, steps, warnings)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_is_in_use_is_a_matter_of_values() {
    type Change = fn(&mut Case);
    let table: Vec<(&str, Change, &[&str], &[&str])> = vec![
        (
            "rolled back by hand, the newer id left: the old token is in use, the newer one goes",
            |c| c.put(0, Some("new")),
            &["deactivate new"],
            &["tokenIdMismatch"],
        ),
        (
            "the same, at once after a leak",
            |c| {
                c.put(0, Some("new"));
                c.skip_grace = true;
                c.secret.last_changed = Some(NOW);
            },
            &["deactivate new"],
            &["tokenIdMismatch"],
        ),
        ("rolled back with its own id", |c| c.put(0, Some("old")), &["deactivate new"], &[]),
        ("rolled back without an id", |c| c.put(0, None), &["deactivate new"], &[]),
        ("the newer token with the older id", |c| c.put(1, Some("old")), &["deactivate old"], &["tokenIdMismatch"]),
        (
            "another token with a copied id: the copied one is not protected",
            |c| c.put(5, Some("new")),
            &["deactivate new", "deactivate old"],
            &["tokenIdMismatch"],
        ),
        (
            "the candidate holds the old token and names the new one",
            |c| c.label(EDITED, "HUBKEEPER_CANDIDATE", (0, Some("new"))),
            &[],
            &["tokenIdMismatch"],
        ),
        ("a rotation's pending version holds the old token", |c| c.label(EDITED, "AWSPENDING", (0, None)), &[], &[]),
        (
            "the leftover of a rotation that is over protects nothing",
            |c| {
                c.secret.versions.insert(PREVIOUS.into(), vec!["AWSPREVIOUS".into(), "AWSPENDING".into()]);
            },
            &["deactivate old"],
            &[],
        ),
        (
            "an id whose own value is gone protects",
            |c| {
                c.put(1, Some("old"));
                c.contents.extend([lacks(PREVIOUS, Stored::Gone), lacks(VERSION, Stored::Gone)]);
                c.pats.remove(0);
            },
            &[],
            &[],
        ),
        (
            "an id whose own value is gone, while the token is known as another's",
            |c| {
                c.put(1, Some("old"));
                c.contents.extend([lacks(PREVIOUS, Stored::Gone)]);
            },
            &["deactivate old"],
            &["tokenIdMismatch"],
        ),
        (
            "gone, and every token in use is another listed one",
            |c| c.contents.extend([lacks(PREVIOUS, Stored::Gone)]),
            &["deactivate old"],
            &[],
        ),
        (
            "gone, and the token in use was made by hand",
            |c| {
                c.put(5, None);
                c.contents.extend([lacks(PREVIOUS, Stored::Gone)]);
            },
            &["deactivate new", "deactivate old"],
            &[],
        ),
        (
            "gone, the token in use names no id, and this one is being used: it may be it",
            |c| {
                c.put(5, None);
                c.contents.extend([lacks(PREVIOUS, Stored::Gone)]);
                c.pats[1].last_used = Some(NOW - Duration::days(6));
                c.skip_grace = true;
            },
            &["deactivate new"],
            &["stillUsed"],
        ),
        (
            "gone, the token in use names one that is not listed: kept",
            |c| {
                c.put(5, Some("deleted"));
                c.contents.extend([lacks(PREVIOUS, Stored::Gone)]);
            },
            &["deactivate new"],
            &["tokenKept"],
        ),
        (
            "gone, the candidate cannot be read: kept",
            |c| {
                c.label(EDITED, "HUBKEEPER_CANDIDATE", (0, None));
                c.contents.extend([lacks(PREVIOUS, Stored::Gone), lacks(EDITED, Stored::Unreadable)]);
            },
            &[],
            &["tokenKept"],
        ),
        (
            "its value is there and cannot be read: kept",
            |c| c.contents.extend([lacks(PREVIOUS, Stored::Unreadable)]),
            &[],
            &["tokenKept"],
        ),
        (
            "a version in use was not read: nothing goes",
            |c| {
                c.contents.remove(VERSION);
            },
            &[],
            &[],
        ),
        (
            "its own value was not read: it stays",
            |c| {
                c.contents.remove(PREVIOUS);
            },
            &[],
            &[],
        ),
        (
            "the value of the version in the connector's tag is gone",
            |c| {
                c.connector = Some(connector(&c.secret, OLDER, NOW - Duration::days(2)));
                c.contents.extend([lacks(OLDER, Stored::Gone)]);
            },
            &[],
            &["nothingRetired"],
        ),
        (
            "deactivated by an interrupted run, and in use by its value alone",
            |c| {
                c.put(0, Some("new"));
                c.pats[1].active = false;
                c.pats[1].label = c.secret.retiring_label(PREVIOUS);
            },
            &["deactivate new", "activate old"],
            &["tokenIdMismatch"],
        ),
        (
            "the token in use was made for another secret",
            |c| {
                c.put(5, Some("new"));
                c.pats[0].label = format!("hubkeeper/ba9876543210/{VERSION}");
            },
            &["deactivate old"],
            &["tokenOfAnotherSecret"],
        ),
        (
            "the candidate's was: it is not in use",
            |c| {
                c.label(EDITED, "HUBKEEPER_CANDIDATE", (5, Some("theirs")));
                let mut theirs = pat(&c.secret, "theirs", EDITED);
                theirs.label = format!("hubkeeper/ba9876543210/{EDITED}");
                c.pats.push(theirs);
            },
            &["deactivate old"],
            &[],
        ),
        (
            "the secret's tag remembers another connector",
            |c| c.remembered = Remembered::Another,
            &[],
            &["nothingRetired"],
        ),
        ("the secret's tag remembers this connector", |c| c.remembered = Remembered::Same, &["deactivate old"], &[]),
        ("another connector bears the secret's tag", |c| c.elsewhere = true, &[], &["nothingRetired"]),
        (
            "an abandoned rotation proved its token itself",
            |c| {
                let mut orphan = pat(&c.secret, "orphan", ORPHAN);
                orphan.created_at = Some(NOW - Duration::days(5));
                orphan.last_used = c.secret.last_changed;
                c.pats = vec![orphan];
            },
            &["deactivate orphan"],
            &[],
        ),
        (
            "somebody used its token after it was over",
            |c| {
                let mut orphan = pat(&c.secret, "orphan", ORPHAN);
                orphan.created_at = Some(NOW - Duration::days(5));
                orphan.last_used = c.secret.last_changed.map(|ended| ended + Duration::SECOND);
                c.pats = vec![orphan];
            },
            &[],
            &["stillUsed"],
        ),
        (
            "labels that name no version",
            |c| {
                for (version, pat) in ["", "/"].into_iter().zip(&mut c.pats) {
                    pat.label = c.secret.retiring_label(version);
                    pat.active = false;
                }
            },
            &[],
            &[],
        ),
    ];
    for (name, change, steps, warnings) in table {
        let mut case = replaced_two_days_ago();
        change(&mut case);
        assert_eq!(case.plan(), (steps.iter().map(|step| (*step).to_owned()).collect(), warnings.to_vec()), "{name}");
    }
}

#[test]
fn values_are_asked_for_where_a_token_is_due_and_no_sooner() {
    let version = |version: &str| BTreeSet::from([version.to_owned()]);
    let mut case = replaced_two_days_ago();
    case.contents.remove(PREVIOUS);
    assert_eq!(judged(&case), (version(PREVIOUS), vec![], vec![]));
    case.history = None;
    assert_eq!(wants(&case.inventory()), Wants { values: BTreeSet::new(), history: true }, "the grace may not be over");
    case.history = replaced_two_days_ago().history;
    case.secret.last_changed = Some(NOW - HOUR);
    assert_eq!(wants(&case.inventory()), Wants::default(), "the grace is not over");
    case.pats[1].active = false;
    case.pats[1].label = case.secret.retiring_label(PREVIOUS);
    assert_eq!(judged(&case).0, version(PREVIOUS), "an interrupted run may have deactivated what is in use");
    case.contents.remove(VERSION);
    assert_eq!(judged(&case).0, version(VERSION), "what is in use comes first");
    case.remembered = Remembered::Another;
    assert_eq!(wants(&case.inventory()), Wants::default(), "nothing is retired in any case");

    // one that is only named is compared once its grace is over
    let mut case = replaced_two_days_ago();
    case.put(5, Some("old"));
    case.contents.remove(PREVIOUS);
    case.pats.remove(0);
    case.history = None;
    assert_eq!(judged(&case), (version(PREVIOUS), vec![], vec![]));
    case.secret.last_changed = Some(NOW - HOUR);
    assert_eq!(wants(&case.inventory()), Wants::default());

    // whose value is gone: the values of all others may tell that it is not in use
    let mut case = replaced_two_days_ago();
    case.put(1, Some("new"));
    case.contents.extend([lacks(PREVIOUS, Stored::Gone)]);
    case.contents.remove(VERSION);
    assert_eq!(judged(&case).0, version(VERSION));
}

#[test]
fn of_a_stuck_rotation_only_what_was_never_stored_goes_after_a_day() {
    let stuck = |stored: (String, Content)| {
        let mut case = replaced_two_days_ago();
        case.secret.versions.insert(EDITED.into(), vec!["AWSPENDING".into()]);
        case.secret.pending_since = Some(NOW - HOUR * 25);
        case.contents.extend([stored]);
        let mut left = pat(&case.secret, "left", EDITED);
        left.created_at = Some(NOW - HOUR * 24);
        case.pats.push(left);
        case
    };
    let empty = || stuck(lacks(EDITED, Stored::Gone));
    assert_eq!(
        judged(&empty()),
        (BTreeSet::new(), vec!["deactivate left".to_owned()], vec![]),
        "and nothing else goes"
    );
    let mut case = empty();
    case.pats[2].active = false;
    assert_eq!(case.plan().0, ["delete left"]);
    for created_at in [Some(NOW - HOUR * 24 + Duration::SECOND), Some(NOW + HOUR), None] {
        let mut case = empty();
        case.skip_grace = true;
        case.pats[2].created_at = created_at;
        assert_eq!(case.plan().0, [""; 0], "{created_at:?}");
    }
    let mut case = empty();
    case.secret.pending_since = Some(NOW - HOUR * 23);
    assert!(!case.plan().0.contains(&"deactivate left".to_owned()), "a rotation in progress");
    let mut case = empty();
    case.label(ORPHAN, "HUBKEEPER_CANDIDATE", (5, Some("left")));
    assert_eq!(case.plan().0, [""; 0], "the candidate names it");
    let mut case = empty();
    case.connector = None;
    assert_eq!(case.plan(), (vec![], vec!["nothingRetired"]));
    assert_eq!(stuck(holds(EDITED, 5, Some("left"))).plan().0, [""; 0], "it is stored");
    assert_eq!(stuck(holds(EDITED, 5, None)).plan().0, [""; 0], "it may be stored");
    let mut case = stuck(holds(EDITED, 5, Some("stored")));
    let mut stored = pat(&case.secret, "stored", EDITED);
    stored.created_at = Some(NOW - HOUR * 24);
    case.pats.push(stored);
    assert_eq!(case.plan().0, ["deactivate left"], "another of its label is stored");
}

#[test]
fn an_id_that_two_versions_name_for_different_tokens_is_warned_about_at_the_later_one() {
    const ID: Option<&str> = Some("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001");
    let of = |token: &str, id: Option<&str>| {
        document(|value| {
            value["accessToken"] = json!(token);
            value["tokenId"] = json!(id);
        })
    };
    let warned = |documents: &[(&str, &Document)]| {
        let warnings = copied_ids(documents.iter().copied());
        warnings
            .iter()
            .map(|warning| (warning.code.name(), warning.message.contains("version later")))
            .collect::<Vec<_>>()
    };
    let first = of("dckr_pat_a", ID);
    assert_eq!(warned(&[("first", &first), ("later", &of("dckr_pat_b", ID))]), [("tokenIdMismatch", true)]);
    let without_token = document(|value| {
        value["accessToken"] = serde_json::Value::Null;
        value["tokenId"] = json!(ID);
    });
    for later in [of("dckr_pat_a", ID), of("dckr_pat_b", None), without_token] {
        assert_eq!(warned(&[("first", &first), ("later", &later)]), []);
    }
}
