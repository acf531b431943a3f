use serde_json::json;
use time::Duration;

use super::*;
use crate::azure::Found;
use crate::azure::merge::tests::{VERSION, document};
use crate::error::Kind;
use crate::plan::planner::tests::{DERIVED, NOW, OLD, connector, onboard_trigger, rotating, settled};

const RECONCILE: Trigger = Trigger::Reconcile { revoke_replaced: false };

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn admission_follows_labels_and_tags() {
    type Change = fn(&mut Secret);
    let candidate = || Trigger::CandidateStaged { version: Some(VERSION.into()) };
    let changed = |version: &str| Trigger::SecretChanged { version: Some(version.into()) };
    let none: Change = |_| {};
    let offboarded: Change = |s| drop(s.tags.insert("hubkeeper".into(), "offboarded".into()));
    let ended = || Trigger::RotationEnded { abandoned: false, step: None, version: None };
    let onboard_of = |version: &str| Trigger::Onboard { force: false, fix_role: false, version: Some(version.into()) };
    let table: Vec<(&str, Trigger, Change, &str)> = vec![
        ("pending is rotated", Trigger::SetSecret, none, "version AWSPENDING"),
        ("rotation off", Trigger::SetSecret, |s| s.rotation_enabled = false, "Misconfigured"),
        (
            "version gone",
            Trigger::SetSecret,
            |s| {
                s.versions.remove(VERSION);
            },
            "NeedsHuman",
        ),
        (
            "label moved",
            Trigger::SetSecret,
            |s| {
                s.versions.insert(VERSION.into(), vec!["OTHER".into()]);
            },
            "NeedsHuman",
        ),
        (
            "current already",
            Trigger::SetSecret,
            |s| {
                s.versions.insert(VERSION.into(), vec!["AWSCURRENT".into()]);
            },
            "unchanged",
        ),
        (
            "finish what remains",
            Trigger::FinishSecret,
            |s| {
                s.versions.insert(VERSION.into(), vec!["AWSCURRENT".into()]);
            },
            "version AWSCURRENT",
        ),
        (
            "offboarded",
            Trigger::CreateSecret,
            |s| {
                s.tags.insert("hubkeeper".into(), "offboarded".into());
            },
            "Refused",
        ),
        ("event about pending", changed(VERSION), none, "ignored"),
        ("event about current", changed(OLD), none, "Retryable"),
        (
            "event about current at rest",
            changed(OLD),
            |s| {
                s.versions.remove(VERSION);
            },
            "version AWSCURRENT",
        ),
        ("event about an old version", changed(DERIVED), none, "ignored"),
        ("event without tag", changed(OLD), |s| s.tags.clear(), "ignored"),
        (
            "event about an offboarded secret",
            changed(OLD),
            |s| {
                s.tags.insert("hubkeeper".into(), "offboarded".into());
            },
            "ignored",
        ),
        (
            "candidate during a rotation",
            candidate(),
            |s| {
                s.versions.insert(VERSION.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
                s.versions.insert(DERIVED.into(), vec!["AWSPENDING".into()]);
            },
            "Retryable",
        ),
        (
            "candidate at rest",
            candidate(),
            |s| {
                s.versions.insert(VERSION.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
            },
            "version HUBKEEPER_CANDIDATE",
        ),
        (
            "candidate adopted already",
            candidate(),
            |s| {
                s.versions = [(VERSION.to_owned(), vec!["AWSCURRENT".to_owned()])].into();
            },
            "unchanged",
        ),
        ("candidate unstaged", candidate(), none, "ignored"),
        ("onboard during a rotation", onboard_trigger(), none, "Retryable"),
        ("onboard without value", onboard_trigger(), |s| s.versions.clear(), "NeedsHuman"),
        ("onboard of a deleted secret", onboard_trigger(), |s| s.deleted = true, "NeedsHuman"),
        (
            "pending beside current is no rotation",
            onboard_trigger(),
            |s| {
                s.versions = [(OLD.to_owned(), vec!["AWSCURRENT".to_owned(), "AWSPENDING".to_owned()])].into();
            },
            "version AWSCURRENT",
        ),
        ("verify during a rotation", Trigger::Verify { version: None }, none, "version AWSCURRENT"),
        ("verify of nothing", Trigger::Verify { version: Some(DERIVED.into()) }, none, "BadEvent"),
        (
            "onboard of a version",
            Trigger::Onboard { force: false, fix_role: false, version: Some(DERIVED.into()) },
            none,
            "BadEvent",
        ),
        ("reconcile at rest", RECONCILE, |s| s.versions.retain(|id, _| id != VERSION), "version AWSCURRENT"),
        ("reconcile during a rotation", RECONCILE, none, "unchanged"),
        (
            "reconcile beside a stuck one",
            RECONCILE,
            |s| s.pending_since = Some(NOW - Duration::hours(25)),
            "version AWSCURRENT",
        ),
        ("reconcile without tag", RECONCILE, |s| s.tags.clear(), "ignored"),
        ("reconcile of a deleted secret", RECONCILE, |s| s.deleted = true, "NeedsHuman"),
        ("reconcile finishes an offboarding", RECONCILE, offboarded, "version AWSCURRENT"),
        ("offboard during a rotation", Trigger::Offboard, none, "Retryable"),
        ("offboard once more", Trigger::Offboard, offboarded, "version AWSCURRENT"),
        (
            "offboard without tag",
            Trigger::Offboard,
            |s| {
                s.tags.clear();
                s.versions.remove(VERSION);
            },
            "version AWSCURRENT",
        ),
        (
            "onboard of an offboarded secret",
            onboard_trigger(),
            |s| {
                s.tags.insert("hubkeeper".into(), "offboarded".into());
                s.versions.remove(VERSION);
            },
            "version AWSCURRENT",
        ),
        (
            "onboard without tag",
            onboard_trigger(),
            |s| {
                s.tags.clear();
                s.versions.remove(VERSION);
            },
            "version AWSCURRENT",
        ),
        ("a rotation that ended", ended(), none, "version AWSCURRENT"),
        ("a rotation that ended, without tag", ended(), |s| s.tags.clear(), "ignored"),
        ("candidate without tag", candidate(), |s| s.tags.clear(), "ignored"),
        ("candidate of a deleted secret", candidate(), |s| s.deleted = true, "ignored"),
        ("verify without tag", Trigger::Verify { version: None }, |s| s.tags.clear(), "version AWSCURRENT"),
        ("verify of a version", Trigger::Verify { version: Some(VERSION.into()) }, none, "version AWSCURRENT"),
        ("onboard of AWSCURRENT", onboard_of(OLD), |s| s.versions.retain(|id, _| id != VERSION), "version AWSCURRENT"),
        (
            "onboard of the candidate",
            onboard_of(DERIVED),
            |s| {
                s.versions.remove(VERSION);
                s.versions.insert(DERIVED.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
            },
            "version HUBKEEPER_CANDIDATE",
        ),
        (
            "event without a version",
            Trigger::SecretChanged { version: None },
            |s| s.versions.retain(|id, _| id != VERSION),
            "version AWSCURRENT",
        ),
        (
            "event without a version, nothing current",
            Trigger::SecretChanged { version: None },
            |s| s.versions.clear(),
            "ignored",
        ),
        (
            "candidate event without a version",
            Trigger::CandidateStaged { version: None },
            |s| {
                s.versions.insert(VERSION.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
            },
            "version HUBKEEPER_CANDIDATE",
        ),
        ("candidate event, none staged", Trigger::CandidateStaged { version: None }, none, "ignored"),
    ];
    for (name, trigger, change, expected) in table {
        let mut secret = rotating().secret;
        change(&mut secret);
        let got = match admit(&trigger, Some(VERSION), &secret, NOW) {
            Ok(Admission::Version { label, .. }) => format!("version {}", label.name()),
            Ok(Admission::Nothing { outcome, .. }) => {
                serde_json::to_value(outcome).unwrap().as_str().unwrap().to_owned()
            }
            Err(error) => error.kind().name().to_owned(),
        };
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn after_a_leak_a_reconcile_that_a_rotation_holds_up_says_that_nothing_was_revoked() {
    let said =
        |revoke_replaced: bool| match admit(&Trigger::Reconcile { revoke_replaced }, None, &rotating().secret, NOW) {
            Ok(Admission::Nothing { reason, .. }) => reason,
            _ => panic!("it goes on"),
        };
    assert!(said(true).contains("no token was revoked") && !said(false).contains("no token was revoked"));
}

#[test]
fn the_second_look_stops_a_write_after_any_change_that_matters() {
    type Change = fn(&mut Look);
    let document = document(|_| {});
    let before = rotating();
    let changes: [(&str, Change, Option<Kind>); 6] = [
        ("nothing", |_| {}, None),
        (
            "abandoned",
            |look| {
                look.secret.versions.remove(VERSION);
            },
            Some(Kind::Retryable),
        ),
        ("deleted", |look| look.secret.deleted = true, Some(Kind::Retryable)),
        (
            "offboarded",
            |look| {
                look.secret.tags.insert("hubkeeper".into(), "offboarded".into());
            },
            Some(Kind::Retryable),
        ),
        ("written by somebody", |look| look.connector = connector(&rotating(), DERIVED, |_| {}), Some(Kind::Retryable)),
        (
            "another's now",
            |look| {
                look.connector = connector(&rotating(), VERSION, |body| body["tags"]["hubkeeper-secret"] = json!("x"));
            },
            Some(Kind::Refused),
        ),
    ];
    for (name, change, expected) in changes {
        let mut look = Look { secret: before.secret.clone(), connector: Found::Absent, at: before.now };
        change(&mut look);
        let got = may_write(&Trigger::SetSecret, VERSION, &document, &before, &look).err().map(|error| error.kind());
        assert_eq!(got, expected, "{name}");
    }
    let mut look =
        Look { secret: before.secret.clone(), connector: connector(&before, VERSION, |_| {}), at: before.now };
    let may = |look: &Look| may_move(&Trigger::FinishSecret, OLD, VERSION, &document, &before, look);
    assert!(may(&look).is_ok());
    look.connector = Found::Absent;
    assert!(may(&look).is_err(), "AWSCURRENT moves to what the connector carries");
    look.connector = connector(&before, VERSION, |_| {});
    look.secret.versions.insert(OLD.into(), vec![]);
    assert!(may(&look).is_err(), "a compare-and-swap");
}

#[test]
fn what_waits_for_a_rotation_is_told_the_command_that_ends_it() {
    let secret = rotating().secret;
    let error = admit(&onboard_trigger(), None, &secret, NOW).err().unwrap().to_string();
    for word in ["update-secret-version-stage", &secret.arn, &format!("--remove-from-version-id {VERSION}")] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn an_event_about_another_version_says_which_it_is() {
    let said = |version: &str| {
        let trigger = Trigger::SecretChanged { version: Some(version.into()) };
        match admit(&trigger, None, &rotating().secret, NOW) {
            Ok(Admission::Nothing { outcome: Outcome::Ignored, reason }) => reason,
            _ => panic!("{version} goes on"),
        }
    };
    assert_eq!(said(VERSION), "the version is AWSPENDING only: its rotation goes on by itself");
    assert_eq!(said(DERIVED), "the version is not AWSCURRENT");
}

/// Whether a write may go on that another event than a rotation asked for, after labels and tags changed so.
fn goes_on(before: &Situation, change: impl FnOnce(&mut Secret)) -> Option<Kind> {
    let mut look = Look { secret: before.secret.clone(), connector: Found::Absent, at: before.now };
    change(&mut look.secret);
    let trigger = Trigger::SecretChanged { version: None };
    may_write(&trigger, &before.version, &document(|_| {}), before, &look).err().map(|error| error.kind())
}

fn label(secret: &mut Secret, version: &str, labels: &[&str]) {
    secret.versions.insert(version.into(), labels.iter().map(|label| (*label).to_owned()).collect());
}

#[test]
fn a_write_goes_on_only_with_the_labels_that_admitted_it() {
    let current = settled();
    assert_eq!(goes_on(&current, |_| {}), None);
    assert_eq!(goes_on(&current, |secret| label(secret, VERSION, &["AWSPREVIOUS"])), Some(Kind::Retryable));
    assert_eq!(
        goes_on(&current, |secret| label(secret, VERSION, &["HUBKEEPER_CANDIDATE"])),
        Some(Kind::Retryable),
        "it was current"
    );
    assert_eq!(
        goes_on(&current, |secret| label(secret, DERIVED, &["AWSPENDING"])),
        Some(Kind::Retryable),
        "a rotation began"
    );

    let mut candidate = settled();
    candidate.label = Label::Candidate;
    label(&mut candidate.secret, VERSION, &["HUBKEEPER_CANDIDATE"]);
    assert_eq!(goes_on(&candidate, |_| {}), None);
    assert_eq!(goes_on(&candidate, |secret| label(secret, VERSION, &["AWSCURRENT"])), None, "somebody was quicker");
    assert_eq!(goes_on(&candidate, |secret| label(secret, VERSION, &[])), Some(Kind::Retryable));

    // another version than the one that admitted the event: what an onboarding has just made
    let look = Look { secret: candidate.secret.clone(), connector: Found::Absent, at: NOW };
    let mut onboarding = settled();
    onboarding.version = OLD.into();
    assert!(may_write(&onboard_trigger(), VERSION, &document(|_| {}), &onboarding, &look).is_ok());
}

#[test]
fn a_write_beside_a_stuck_rotation_is_beside_that_one_alone() {
    let mut stuck = settled();
    label(&mut stuck.secret, DERIVED, &["AWSPENDING"]);
    stuck.secret.pending_since = Some(NOW - Duration::days(2));
    assert_eq!(goes_on(&stuck, |_| {}), None);
    let another = |secret: &mut Secret| {
        label(secret, DERIVED, &[]);
        label(secret, OLD, &["AWSPENDING"]);
    };
    assert_eq!(goes_on(&stuck, another), Some(Kind::Retryable));
    stuck.secret.pending_since = Some(NOW);
    assert_eq!(goes_on(&stuck, |_| {}), Some(Kind::Retryable), "not stuck yet");
}

#[test]
fn what_was_offboarded_before_is_no_change() {
    let mut before = settled();
    let offboard = |secret: &mut Secret| drop(secret.tags.insert("hubkeeper".into(), "offboarded".into()));
    assert_eq!(goes_on(&before, offboard), Some(Kind::Retryable));
    offboard(&mut before.secret);
    assert_eq!(goes_on(&before, |_| {}), None);
}

#[test]
fn a_connector_that_others_wrote_meanwhile_is_left_unless_it_carries_the_version_already() {
    let mut before = settled();
    let may = |before: &Situation, version: Option<&str>| {
        let connector = version.map_or(Found::Absent, |version| connector(before, version, |_| {}));
        let look = Look { secret: before.secret.clone(), connector, at: NOW };
        let answer = may_write(&onboard_trigger(), VERSION, &document(|_| {}), before, &look);
        answer.err().map(|error| error.kind())
    };
    before.connector = Some(connector(&before, OLD, |_| {}));
    assert_eq!(may(&before, Some(OLD)), None);
    assert_eq!(may(&before, Some(VERSION)), None);
    assert_eq!(may(&before, Some(DERIVED)), Some(Kind::Retryable));
    assert_eq!(may(&before, None), Some(Kind::Retryable), "deleted meanwhile");
}

#[test]
fn only_an_offboarded_secret_s_own_connector_is_deleted() {
    let situation = settled();
    let answer = |tag: &str, connector: Found| {
        let mut look = Look { secret: situation.secret.clone(), connector, at: NOW };
        look.secret.tags.insert("hubkeeper".into(), tag.into());
        let document = document(|_| {});
        may_delete(&document.organization, &document.connector.id, &look).err().map(|error| error.kind())
    };
    assert_eq!(answer("offboarded", connector(&situation, VERSION, |_| {})), None);
    assert_eq!(answer("offboarded", Found::Absent), None);
    assert_eq!(answer("managed", connector(&situation, VERSION, |_| {})), Some(Kind::Retryable), "taken up again");
    let untagged = connector(&situation, VERSION, |body| body["tags"] = json!({}));
    assert_eq!(answer("offboarded", untagged), Some(Kind::Refused));
    let another = connector(&situation, VERSION, |body| body["tags"]["hubkeeper-secret"] = json!("ba9876543210"));
    assert_eq!(answer("offboarded", another), Some(Kind::Refused));
}

#[test]
fn what_labels_say_after_a_write() {
    let before = settled();
    let after = |trigger: &Trigger, before: &Situation, change: fn(&mut Secret)| {
        let mut secret = before.secret.clone();
        change(&mut secret);
        after_write(trigger, VERSION, before, &secret)
    };
    let offboard: fn(&mut Secret) = |secret| drop(secret.tags.insert("hubkeeper".into(), "offboarded".into()));
    let overtaken: fn(&mut Secret) = |secret| label(secret, VERSION, &["AWSPREVIOUS"]);
    assert_eq!(after(&RECONCILE, &before, |_| {}), After::Same);
    assert_eq!(after(&RECONCILE, &before, overtaken), After::Overtaken);
    assert_eq!(after(&RECONCILE, &before, offboard), After::Offboarded);
    assert_eq!(after(&Trigger::SetSecret, &before, overtaken), After::Same, "a rotation's own next step sees to it");
    let mut candidate = settled();
    label(&mut candidate.secret, VERSION, &["HUBKEEPER_CANDIDATE"]);
    assert_eq!(after(&RECONCILE, &candidate, overtaken), After::Same, "it was not current");
    let mut offboarded = settled();
    offboard(&mut offboarded.secret);
    assert_eq!(after(&RECONCILE, &offboarded, |_| {}), After::Same);
}

#[test]
fn each_check_of_a_rotation_has_its_error() {
    let mut secret = rotating().secret;
    for trigger in [Trigger::CreateSecret, Trigger::SetSecret, Trigger::TestSecret, Trigger::FinishSecret] {
        assert!(matches!(
            admit(&trigger, Some(VERSION), &secret, NOW),
            Ok(Admission::Version { label: Label::Pending, .. })
        ));
        assert!(admit(&trigger, None, &secret, NOW).is_err(), "without a version");
    }
    label(&mut secret, VERSION, &["AWSPENDING", "AWSCURRENT"]);
    assert!(matches!(admit(&Trigger::TestSecret, Some(VERSION), &secret, NOW), Ok(Admission::Nothing { .. })));
}

#[test]
fn a_notice_about_a_version_that_is_not_shown_waits_while_it_is_young() {
    let mut secret = settled().secret;
    let changed = |version: &str| Trigger::SecretChanged { version: Some(version.into()) };
    let staged = |version: &str| Trigger::CandidateStaged { version: Some(version.into()) };
    for trigger in [changed(DERIVED), staged(DERIVED)] {
        for (age, waits) in [(0, true), (599, true), (600, false), (-599, true), (-86_400, false)] {
            let shown = is_shown(&trigger, Some(NOW - Duration::seconds(age)), &secret, NOW);
            assert_eq!(shown.is_err_and(|error| error.kind() == Kind::Retryable), waits, "{trigger:?}, {age} s old");
        }
        assert!(is_shown(&trigger, None, &secret, NOW).is_ok(), "without a time");
    }
    for trigger in [changed(VERSION), Trigger::SecretChanged { version: None }, onboard_trigger(), RECONCILE] {
        assert!(is_shown(&trigger, Some(NOW), &secret, NOW).is_ok(), "{trigger:?}");
    }
    secret.tags.clear();
    assert!(is_shown(&changed(DERIVED), Some(NOW), &secret, NOW).is_ok(), "not ours");
}

#[test]
fn a_secret_that_is_scheduled_for_deletion_is_named_with_the_command_before_anything_else() {
    let mut secret = rotating().secret;
    secret.deleted = true;
    let rotation = [Trigger::CreateSecret, Trigger::SetSecret, Trigger::TestSecret, Trigger::FinishSecret];
    for trigger in rotation.into_iter().chain([onboard_trigger(), RECONCILE, Trigger::Offboard]) {
        let error = admit(&trigger, Some(VERSION), &secret, NOW).err().unwrap();
        assert_eq!(error.kind(), Kind::NeedsHuman, "{trigger:?}");
        let command = format!("aws secretsmanager restore-secret --secret-id {}", secret.arn);
        assert!(error.to_string().contains(&command), "{trigger:?}: {error}");
    }
}
