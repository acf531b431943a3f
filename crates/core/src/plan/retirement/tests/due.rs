//! Which PATs are due, and when.

use super::*;

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
                c.pats[0].label = c.secret.retiring_label(&VERSION.into());
            },
            &["activate new", "deactivate old"],
            &[],
        ),
        ("in use, and somebody deactivated it", |c| c.pats[0].active = false, &["deactivate old"], &[]),
        (
            "marked, not in use: its second phase",
            |c| {
                c.pats[1].active = false;
                c.pats[1].label = c.secret.retiring_label(&PREVIOUS.into());
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
    let first = case.secret.derived_version(&VERSION.into());
    let second = case.secret.derived_version(&first);
    // a token that is not stored yet: the token in use is known to be another one
    case.contents.extend([holds(VERSION, 1, None)]);
    for version in [first, second] {
        let mut making = pat(&case.secret, "making", version.as_str());
        for (age, goes) in [(Duration::ZERO, false), (HOUR, false), (-HOUR, false), (HOUR * 2, false), (HOUR * 3, true)]
        {
            making.created_at = Some(NOW - age);
            case.pats = vec![making.clone()];
            case.contents.extend([lacks(version.as_str(), Stored::Gone)]);
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
        let version = case.secret.derived_version(&VERSION.into());
        let mut stored = pat(&case.secret, "stored", version.as_str());
        stored.created_at = Some(NOW - HOUR);
        case.pats = vec![stored];
        case.contents.extend([holds(version.as_str(), 9, Some("stored"))]);
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
fn of_a_stuck_rotation_only_what_was_never_stored_goes_after_a_day() {
    let stuck = |stored: (VersionId, Content)| {
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
