use crate::plan::State;
use serde_json::json;
use time::Duration;

use super::*;
use crate::connector::Found;
use crate::error::Kind;
use crate::fixtures::{DERIVED, NOW, OLD, VERSION, connector, document, onboard_trigger, rotating, settled};

const RECONCILE: Trigger = Trigger::Reconcile { revoke_replaced: false };

#[test]
fn the_second_look_stops_a_write_after_any_change_that_matters() {
    type Change = fn(&mut Recheck);
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
        (
            "written by somebody",
            |look| look.connector = connector(&rotating().world, DERIVED, |_| {}),
            Some(Kind::Retryable),
        ),
        (
            "another's now",
            |look| {
                look.connector =
                    connector(&rotating().world, VERSION, |body| body["tags"]["hubkeeper-secret"] = json!("x"));
            },
            Some(Kind::Refused),
        ),
    ];
    for (name, change, expected) in changes {
        let mut look = Recheck { secret: before.world.secret.clone(), connector: Found::Absent, at: before.world.now };
        change(&mut look);
        let got = may_write(&Trigger::SetSecret, &VERSION.into(), &document, &before.world, &look)
            .err()
            .map(|error| error.kind());
        assert_eq!(got, expected, "{name}");
    }
    let mut look = Recheck {
        secret: before.world.secret.clone(),
        connector: connector(&before.world, VERSION, |_| {}),
        at: before.world.now,
    };
    let may =
        |look: &Recheck| may_move(&Trigger::FinishSecret, &OLD.into(), &VERSION.into(), &document, &before.world, look);
    assert!(may(&look).is_ok());
    look.connector = Found::Absent;
    assert!(may(&look).is_err(), "AWSCURRENT moves to what the connector carries");
    look.connector = connector(&before.world, VERSION, |_| {});
    look.secret.versions.insert(OLD.into(), vec![]);
    assert!(may(&look).is_err(), "a compare-and-swap");
}

#[test]
fn nothing_is_written_or_moved_once_the_tag_names_another_connector() {
    let before = rotating();
    let document = document(|_| {});
    let mut look = Recheck {
        secret: before.world.secret.clone(),
        connector: connector(&before.world, VERSION, |_| {}),
        at: before.world.now,
    };
    let write = |look: &Recheck| may_write(&Trigger::SetSecret, &VERSION.into(), &document, &before.world, look);
    let moves =
        |look: &Recheck| may_move(&Trigger::FinishSecret, &OLD.into(), &VERSION.into(), &document, &before.world, look);
    assert!(write(&look).is_ok() && moves(&look).is_ok());
    look.secret.tags.insert("hubkeeper-connector".into(), "acme/s/g/another".into());
    for refused in [write(&look), moves(&look)] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), Kind::Retryable);
        assert!(error.what().contains("hubkeeper-connector"), "{error}");
    }
}

/// Whether a write of an event other than a rotation may continue after these changes of labels and tags.
fn goes_on(before: &State, change: impl FnOnce(&mut Secret)) -> Option<Kind> {
    let mut look = Recheck { secret: before.world.secret.clone(), connector: Found::Absent, at: before.world.now };
    change(&mut look.secret);
    let trigger = Trigger::SecretChanged { version: None };
    may_write(&trigger, &before.world.version, &document(|_| {}), &before.world, &look).err().map(|error| error.kind())
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
    candidate.world.label = Label::Candidate;
    label(&mut candidate.world.secret, VERSION, &["HUBKEEPER_CANDIDATE"]);
    assert_eq!(goes_on(&candidate, |_| {}), None);
    assert_eq!(goes_on(&candidate, |secret| label(secret, VERSION, &["AWSCURRENT"])), None, "somebody was quicker");
    assert_eq!(goes_on(&candidate, |secret| label(secret, VERSION, &[])), Some(Kind::Retryable));

    // another version than the one that admitted the event: what an onboarding has just made
    let look = Recheck { secret: candidate.world.secret.clone(), connector: Found::Absent, at: NOW };
    let mut onboarding = settled();
    onboarding.world.version = OLD.into();
    assert!(may_write(&onboard_trigger(), &VERSION.into(), &document(|_| {}), &onboarding.world, &look).is_ok());
}

#[test]
fn a_write_beside_a_stuck_rotation_is_beside_that_one_alone() {
    let mut stuck = settled();
    label(&mut stuck.world.secret, DERIVED, &["AWSPENDING"]);
    stuck.world.secret.pending_since = Some(NOW - Duration::days(2));
    assert_eq!(goes_on(&stuck, |_| {}), None);
    let another = |secret: &mut Secret| {
        label(secret, DERIVED, &[]);
        label(secret, OLD, &["AWSPENDING"]);
    };
    assert_eq!(goes_on(&stuck, another), Some(Kind::Retryable));
    stuck.world.secret.pending_since = Some(NOW);
    assert_eq!(goes_on(&stuck, |_| {}), Some(Kind::Retryable), "not stuck yet");
}

#[test]
fn what_was_offboarded_before_is_no_change() {
    let mut before = settled();
    let offboard = |secret: &mut Secret| drop(secret.tags.insert("hubkeeper".into(), "offboarded".into()));
    assert_eq!(goes_on(&before, offboard), Some(Kind::Retryable));
    offboard(&mut before.world.secret);
    assert_eq!(goes_on(&before, |_| {}), None);
}

#[test]
fn a_connector_that_others_wrote_meanwhile_is_left_unless_it_carries_the_version_already() {
    let mut before = settled();
    let may = |before: &State, version: Option<&str>| {
        let connector = version.map_or(Found::Absent, |version| connector(&before.world, version, |_| {}));
        let look = Recheck { secret: before.world.secret.clone(), connector, at: NOW };
        let answer = may_write(&onboard_trigger(), &VERSION.into(), &document(|_| {}), &before.world, &look);
        answer.err().map(|error| error.kind())
    };
    before.world.connector = Some(connector(&before.world, OLD, |_| {}));
    assert_eq!(may(&before, Some(OLD)), None);
    assert_eq!(may(&before, Some(VERSION)), None);
    assert_eq!(may(&before, Some(DERIVED)), Some(Kind::Retryable));
    assert_eq!(may(&before, None), Some(Kind::Retryable), "deleted meanwhile");
}

#[test]
fn only_an_offboarded_secret_s_own_connector_is_deleted() {
    let state = settled();
    let answer = |tag: &str, connector: Found| {
        let mut look = Recheck { secret: state.world.secret.clone(), connector, at: NOW };
        look.secret.tags.insert("hubkeeper".into(), tag.into());
        let document = document(|_| {});
        may_delete(&document.organization, &document.connector.id, &look).err().map(|error| error.kind())
    };
    assert_eq!(answer("offboarded", connector(&state.world, VERSION, |_| {})), None);
    assert_eq!(answer("offboarded", Found::Absent), None);
    assert_eq!(answer("managed", connector(&state.world, VERSION, |_| {})), Some(Kind::Retryable), "taken up again");
    let untagged = connector(&state.world, VERSION, |body| body["tags"] = json!({}));
    assert_eq!(answer("offboarded", untagged), Some(Kind::Refused));
    let another = connector(&state.world, VERSION, |body| body["tags"]["hubkeeper-secret"] = json!("ba9876543210"));
    assert_eq!(answer("offboarded", another), Some(Kind::Refused));
}

#[test]
fn what_labels_say_after_a_write() {
    let before = settled();
    let after = |trigger: &Trigger, before: &State, change: fn(&mut Secret)| {
        let mut secret = before.world.secret.clone();
        change(&mut secret);
        after_write(trigger, &VERSION.into(), &before.world, &secret)
    };
    let offboard: fn(&mut Secret) = |secret| drop(secret.tags.insert("hubkeeper".into(), "offboarded".into()));
    let overtaken: fn(&mut Secret) = |secret| label(secret, VERSION, &["AWSPREVIOUS"]);
    assert_eq!(after(&RECONCILE, &before, |_| {}), After::Same);
    assert_eq!(after(&RECONCILE, &before, overtaken), After::Overtaken);
    assert_eq!(after(&RECONCILE, &before, offboard), After::Offboarded);
    assert_eq!(after(&Trigger::SetSecret, &before, overtaken), After::Same, "a rotation's own next step sees to it");
    let mut candidate = settled();
    label(&mut candidate.world.secret, VERSION, &["HUBKEEPER_CANDIDATE"]);
    assert_eq!(after(&RECONCILE, &candidate, overtaken), After::Same, "it was not current");
    let mut offboarded = settled();
    offboard(&mut offboarded.world.secret);
    assert_eq!(after(&RECONCILE, &offboarded, |_| {}), After::Same);
}
