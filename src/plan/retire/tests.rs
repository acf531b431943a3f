use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::azure::merge::tests::{VERSION, document, written};
use crate::secret::labels::tests::secret;

const NOW: Timestamp = datetime!(2026-11-24 10:00 UTC);
const HOUR: Duration = Duration::HOUR;
const PREVIOUS: &str = "11111111-0000-4000-a000-000000000000";
const OLDER: &str = "22222222-0000-4000-a000-000000000000";
const ORPHAN: &str = "33333333-0000-4000-a000-000000000000";

/// A world in which AWSCURRENT (`VERSION`) replaced AWSPREVIOUS (`PREVIOUS`) two days ago.
struct Case {
    secret: Secret,
    connector: Option<Observed>,
    pats: Vec<Pat>,
    holdings: Vec<Holding>,
    compared: BTreeSet<String>,
    history: Option<History>,
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
        holdings: vec![held(VERSION, Some("new"))],
        history: Some([made(VERSION, 2), made(PREVIOUS, 30), made(OLDER, 60), made(ORPHAN, 5)].into()),
        compared: BTreeSet::new(),
        secret,
        connector,
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

fn held(version: &str, token_id: Option<&str>) -> Holding {
    Holding { version: version.into(), token_id: token_id.map(str::to_owned), token: true }
}

fn retag(connector: &mut Option<Observed>, secret: &Secret, tag: &str, value: Value) {
    let mut body = written(&document(|_| {}), VERSION, None);
    body["tags"]["hubkeeper-secret"] = json!(secret.fingerprint());
    body["tags"]["hubkeeper-proved-at"] = json!(rfc3339(NOW - Duration::days(2)));
    body["tags"][tag] = value;
    *connector = Observed::parse(body);
}

impl Case {
    fn plan(&self) -> (Vec<String>, Vec<&'static str>) {
        let (steps, warnings) = plan(&Inventory {
            pats: &self.pats,
            secret: &self.secret,
            connector: self.connector.as_ref(),
            organization: "acme",
            holdings: &self.holdings,
            compared: &self.compared,
            history: self.history.as_ref(),
            grace: self.grace,
            skip_grace: self.skip_grace,
            now: self.now,
        });
        let name = |step: &Step| match step {
            Step::DeactivateToken { id } => format!("deactivate {id}"),
            Step::DeleteToken { id } => format!("delete {id}"),
            Step::ActivateToken { id } => format!("activate {id}"),
            other => panic!("{other:?}"),
        };
        (steps.iter().map(name).collect(), warnings.iter().map(|warning| warning.code).collect())
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
                c.holdings.push(held(PREVIOUS, Some("old")));
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
        ("the connector carries the old one", |c| c.holdings.push(held(PREVIOUS, Some("old"))), &[], &[]),
        (
            "a stray of the current version",
            |c| {
                let stray = pat(&c.secret, "stray", VERSION);
                c.pats.push(stray);
            },
            &["deactivate old", "deactivate stray"],
            &[],
        ),
        (
            "a pending version without a value",
            |c| {
                c.holdings.push(Holding { version: ORPHAN.into(), token_id: None, token: false });
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
            "a token in use without its id: what is used stays",
            |c| {
                c.holdings = vec![held(VERSION, None)];
                c.pats[1].last_used = Some(NOW - Duration::days(6));
                c.skip_grace = true;
            },
            &["deactivate new"],
            &["stillUsed"],
        ),
        (
            "a token in use without its id: what was not used for a week goes",
            |c| {
                c.holdings = vec![held(VERSION, None)];
                c.pats[1].last_used = Some(NOW - Duration::days(7));
                c.skip_grace = true;
            },
            &["deactivate new", "deactivate old"],
            &[],
        ),
        (
            "a token in use without its id, told apart by its value",
            |c| {
                c.holdings = vec![held(VERSION, None)];
                c.compared = [PREVIOUS.to_owned(), VERSION.to_owned()].into();
                c.pats[1].last_used = Some(NOW - Duration::days(3));
                c.pats.remove(0);
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
    for version in [first, second] {
        let mut making = pat(&case.secret, "making", &version);
        for (age, goes) in [(Duration::ZERO, false), (HOUR, false), (-HOUR, false), (HOUR * 2, false), (HOUR * 3, true)]
        {
            making.created_at = Some(NOW - age);
            case.pats = vec![making.clone()];
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
    secret.versions.insert("b".into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    assert_eq!(versions_in_use(&secret, None), BTreeSet::from(["a", "b", "c"]));
}
