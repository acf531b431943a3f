use time::Duration;

use super::*;
use crate::error::Kind;
use crate::fixtures::{DERIVED, NOW, OLD, VERSION, onboard_trigger, rotating, settled};

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
                s.versions = [(VERSION.into(), vec!["AWSCURRENT".to_owned()])].into();
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
                s.versions = [(OLD.into(), vec!["AWSCURRENT".to_owned(), "AWSPENDING".to_owned()])].into();
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
        let mut secret = rotating().world.secret;
        change(&mut secret);
        let got = match admit(&trigger, Some(&VERSION.into()), &secret, NOW) {
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
    let said = |revoke_replaced: bool| match admit(
        &Trigger::Reconcile { revoke_replaced },
        None,
        &rotating().world.secret,
        NOW,
    ) {
        Ok(Admission::Nothing { reason, .. }) => reason,
        _ => panic!("it continues"),
    };
    assert!(said(true).contains("no token was revoked") && !said(false).contains("no token was revoked"));
}

#[test]
fn what_waits_for_a_rotation_is_told_the_command_that_ends_it() {
    let secret = rotating().world.secret;
    let error = admit(&onboard_trigger(), None, &secret, NOW).err().unwrap().to_string();
    for word in ["update-secret-version-stage", &secret.arn, &format!("--remove-from-version-id {VERSION}")] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn an_event_about_another_version_says_which_it_is() {
    let said = |version: &str| {
        let trigger = Trigger::SecretChanged { version: Some(version.into()) };
        match admit(&trigger, None, &rotating().world.secret, NOW) {
            Ok(Admission::Nothing { outcome: Outcome::Ignored, reason }) => reason,
            _ => panic!("{version} continues"),
        }
    };
    assert_eq!(said(VERSION), "the version is AWSPENDING only: its rotation continues");
    assert_eq!(said(DERIVED), "the version is not AWSCURRENT");
}

fn label(secret: &mut Secret, version: &str, labels: &[&str]) {
    secret.versions.insert(version.into(), labels.iter().map(|label| (*label).to_owned()).collect());
}

#[test]
fn each_check_of_a_rotation_has_its_error() {
    let mut secret = rotating().world.secret;
    for trigger in [Trigger::CreateSecret, Trigger::SetSecret, Trigger::TestSecret, Trigger::FinishSecret] {
        assert!(matches!(
            admit(&trigger, Some(&VERSION.into()), &secret, NOW),
            Ok(Admission::Version { label: Label::Pending, .. })
        ));
        assert!(admit(&trigger, None, &secret, NOW).is_err(), "without a version");
    }
    label(&mut secret, VERSION, &["AWSPENDING", "AWSCURRENT"]);
    assert!(matches!(admit(&Trigger::TestSecret, Some(&VERSION.into()), &secret, NOW), Ok(Admission::Nothing { .. })));
}

#[test]
fn a_notice_about_a_version_that_is_not_shown_waits_while_it_is_young() {
    let mut secret = settled().world.secret;
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
    let mut secret = rotating().world.secret;
    secret.deleted = true;
    let rotation = [Trigger::CreateSecret, Trigger::SetSecret, Trigger::TestSecret, Trigger::FinishSecret];
    for trigger in rotation.into_iter().chain([onboard_trigger(), RECONCILE, Trigger::Offboard]) {
        let error = admit(&trigger, Some(&VERSION.into()), &secret, NOW).err().unwrap();
        assert_eq!(error.kind(), Kind::NeedsHuman, "{trigger:?}");
        let command = format!("aws secretsmanager restore-secret --secret-id {}", secret.arn);
        assert!(error.to_string().contains(&command), "{trigger:?}: {error}");
    }
}
