//! Reconcile and offboard.

use time::Duration;

use super::*;

const UUID: &str = "b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001";
const RECONCILE: Trigger = Trigger::Reconcile { revoke_replaced: false };

/// AWSCURRENT is `VERSION`, it is proven, and the connector carries it.
fn well() -> State {
    let mut state = settled();
    state.world.connector = Some(connector(&state.world, VERSION, |_| {}));
    state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    state
}

/// The same with a rotation that has been pending for two days.
fn stuck() -> State {
    let mut state = well();
    state.world.secret.versions.insert(DERIVED.into(), vec!["AWSPENDING".into()]);
    state.world.secret.pending_since = Some(NOW - Duration::days(2));
    state.world.pending =
        Some(Version { id: DERIVED.into(), document: document(|value| value["accessToken"] = json!("dckr_pat_new")) });
    state
}

fn with_candidate(mut state: State, label: &[&str], token: Option<&str>) -> State {
    state.world.candidate =
        Some(Version { id: OLD.into(), document: document(|value| value["accessToken"] = json!(token)) });
    state.world.secret.versions.insert(OLD.into(), label.iter().map(|label| (*label).to_owned()).collect());
    state
}

#[test]
fn where_all_is_well_nothing_is_done_and_a_drift_is_repaired() {
    assert_eq!((steps(&RECONCILE, &well()), codes(&RECONCILE, &well())), (vec![], vec![]));
    let mut drifted = well();
    drifted.world.connector = Some(connector(&drifted.world, OLD, |_| {}));
    assert_eq!(
        (steps(&RECONCILE, &drifted), codes(&RECONCILE, &drifted)),
        (vec!["writeConnector"], vec!["connectorDrifted"])
    );
    let mut unproven = well();
    unproven.progress.proven = None;
    assert_eq!(steps(&RECONCILE, &unproven), ["prove first"]);
    unproven.world.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(kind(&RECONCILE, &unproven), Kind::NeedsHuman);
}

#[test]
fn a_candidate_that_waits_is_adopted_and_one_that_cannot_be_is_set_aside() {
    let waits = with_candidate(well(), &["HUBKEEPER_CANDIDATE"], Some("dckr_pat_next"));
    assert_eq!(steps(&RECONCILE, &waits), ["prove first"]);
    let mut partial = waits.clone();
    partial.progress.proven = Some(Proven { version: OLD.into(), verdict: verdict(Finding::Partial) });
    assert_eq!(steps(&RECONCILE, &partial), ["set aside"]);
    let mut aside = partial;
    aside.progress.ignored_candidate = Some(Error::refused("what", "remedy"));
    aside.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&RECONCILE, &aside), [""; 0], "what is current is looked after all the same");
    let empty = with_candidate(well(), &["HUBKEEPER_CANDIDATE"], None);
    assert_eq!(steps(&RECONCILE, &empty), ["set aside"]);

    // a version that is already current is no longer a candidate
    let mut adopted = with_candidate(well(), &["AWSPREVIOUS"], Some("dckr_pat_next"));
    adopted.world.candidate = Some(Version { id: VERSION.into(), document: document(|_| {}) });
    adopted.world.secret.versions.insert(VERSION.into(), vec!["AWSCURRENT".into(), "HUBKEEPER_CANDIDATE".into()]);
    assert_eq!(steps(&RECONCILE, &adopted), ["unstage"]);
}

#[test]
fn while_a_rotation_is_stuck_what_is_current_is_looked_after_and_no_label_moves() {
    let mut state = stuck();
    assert_eq!((steps(&RECONCILE, &state), codes(&RECONCILE, &state)), (vec![], vec!["rotationStuck"]));
    let waits = with_candidate(stuck(), &["HUBKEEPER_CANDIDATE"], Some("dckr_pat_next"));
    assert_eq!(steps(&RECONCILE, &waits), [""; 0], "not even a candidate's");
    state.world.secret.versions.insert(VERSION.into(), vec!["AWSCURRENT".into(), "HUBKEEPER_CANDIDATE".into()]);
    assert_eq!(steps(&RECONCILE, &state), [""; 0]);

    // the rotation has already written the connector: only its last step is missing
    let mut carries = stuck();
    carries.world.connector = Some(connector(&carries.world, DERIVED, |_| {}));
    assert_eq!(steps(&RECONCILE, &carries), [""; 0]);
    carries.world.connector = Some(connector(&carries.world, OLD, |_| {}));
    assert_eq!(steps(&RECONCILE, &carries), ["writeConnector"]);
    // a pending version other than the stuck one is ignored
    carries.world.connector = Some(connector(&carries.world, OLD, |_| {}));
    carries.world.pending = Some(Version { id: OLD.into(), document: document(|_| {}) });
    assert_eq!(steps(&RECONCILE, &carries), ["writeConnector"]);
    let fresh = |since: Duration| {
        let mut state = stuck();
        state.world.secret.pending_since = Some(NOW - since);
        codes(&RECONCILE, &state)
    };
    assert_eq!(fresh(Duration::hours(25)), ["rotationStuck"]);
    assert_eq!(fresh(Duration::hours(23)), [""; 0]);
}

/// Why the check is skipped, and how the document and state differ.
type Rejected = (&'static str, fn(&mut Value), fn(&mut State));

#[test]
fn a_rejected_token_is_looked_for_among_the_deactivated_where_it_may_be_one() {
    let rejected = |change: fn(&mut Value), more: fn(&mut State)| {
        let mut state = well();
        state.world.document = Some(document(|value| {
            value["manager"] = json!("m");
            value["tokenId"] = json!(UUID);
            change(value);
        }));
        state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Rejected) });
        more(&mut state);
        state
    };
    let as_is = |_: &mut Value| {};
    assert_eq!(steps(&RECONCILE, &rejected(as_is, |_| {})), ["reactivate"]);
    let without_id = |value: &mut Value| value["tokenId"] = Value::Null;
    assert_eq!(
        steps(&RECONCILE, &rejected(without_id, |_| {})),
        ["reactivate"],
        "values tell whether it is one of ours"
    );
    let table: [Rejected; 4] = [
        ("it was looked for", as_is, |state| state.progress.reactivated = true),
        ("no manager", |value| value["manager"] = Value::Null, |_| {}),
        ("partial", as_is, |state| {
            state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Partial) });
        }),
        ("a rotation is stuck", as_is, |state| {
            state.world.secret.versions.insert(DERIVED.into(), vec!["AWSPENDING".into()]);
            state.world.secret.pending_since = Some(NOW - Duration::days(2));
        }),
    ];
    for (why, change, more) in table {
        assert_eq!(kind(&RECONCILE, &rejected(change, more)), Kind::Refused, "{why}");
    }
}

#[test]
fn a_replaced_token_that_nobody_else_retires_is_named_until_it_ends() {
    let told = |previous: Value, manager: bool| {
        let mut state = well();
        state.world.document = Some(document(|value| {
            if manager {
                value["manager"] = json!("m");
            }
        }));
        state.world.previous = Some(Version {
            id: OLD.into(),
            document: document(|value| value.as_object_mut().unwrap().extend(previous.as_object().unwrap().clone())),
        });
        codes(&RECONCILE, &state)
    };
    let other = json!({"accessToken": "dckr_pat_before"});
    assert_eq!(told(other.clone(), false), ["replacedByHand"]);
    assert_eq!(told(other, true), ["replacedByHand"]);
    let made = json!({"accessToken": "dckr_pat_before", "tokenId": UUID});
    assert_eq!(told(made.clone(), false), ["replacedWithoutManager"]);
    assert_eq!(told(made, true), [""; 0], "reconcile retires it");
    assert_eq!(told(json!({}), false), [""; 0], "the same token");
    assert_eq!(told(json!({"accessToken": null}), false), [""; 0]);
    let until = |end: &str| told(json!({"accessToken": "dckr_pat_before", "expiresAt": end}), false);
    assert_eq!(until("2026-11-24T10:00:01Z"), ["replacedByHand"]);
    assert_eq!(until("2026-11-24T10:00:00Z"), [""; 0], "it has ended");
}

#[test]
fn an_offboarding_tags_first_and_deletes_what_is_ours() {
    let mut state = well();
    assert_eq!(steps(&Trigger::Offboard, &state), ["tagOffboarded", "deleteConnector"]);
    state.world.secret.tags.insert("hubkeeper".into(), "offboarded".into());
    assert_eq!(steps(&Trigger::Offboard, &state), ["deleteConnector"]);
    state.world.connector = Some(Found::Absent);
    assert_eq!(steps(&Trigger::Offboard, &state), [""; 0]);
    state.world.connector = Some(connector(&state.world, VERSION, |body| body["tags"] = json!({})));
    assert_eq!(kind(&Trigger::Offboard, &state), Kind::Refused);
    state.world.document = None;
    assert_eq!(kind(&Trigger::Offboard, &state), Kind::Refused, "the tag names it");
    state.world.secret.tags.remove("hubkeeper-connector");
    assert_eq!(kind(&Trigger::Offboard, &state), Kind::NeedsHuman);
}

#[test]
fn a_reconcile_finishes_an_offboarding_and_does_nothing_else() {
    let mut state = with_candidate(well(), &["HUBKEEPER_CANDIDATE"], Some("dckr_pat_next"));
    state.world.secret.tags.insert("hubkeeper".into(), "offboarded".into());
    assert_eq!(kind(&RECONCILE, &state), Kind::NeedsHuman, "a tag deletes no connector");
    let present = state.world.connector.replace(Found::Absent);
    assert_eq!((steps(&RECONCILE, &state), codes(&RECONCILE, &state)), (vec![], vec!["replacedByHand"]));
    state.world.document = Some(document(|value| value["tokenId"] = json!(UUID)));
    assert_eq!(codes(&RECONCILE, &state), [""; 0]);
    state.world.connector = present;
    state.world.connector = Some(connector(&state.world, VERSION, |body| body["tags"] = json!({})));
    assert_eq!((steps(&RECONCILE, &state), codes(&RECONCILE, &state)), (vec![], vec!["connectorLeft"]));
    state.world.connector = Some(Found::Absent);
    assert_eq!((steps(&RECONCILE, &state), codes(&RECONCILE, &state)), (vec![], vec![]));
    state.world.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(codes(&RECONCILE, &state), [""; 0]);
    state.world.document = None;
    assert_eq!(steps(&RECONCILE, &state), [""; 0]);
}

#[test]
fn a_connector_that_carries_the_version_and_was_changed_by_somebody_else_is_written_again() {
    let mut changed = well();
    let other = |body: &mut Value| body["systemData"] = json!({"lastModifiedBy": "somebody@example.com"});
    changed.world.connector = Some(connector(&changed.world, VERSION, other));
    assert_eq!(
        (steps(&RECONCILE, &changed), codes(&RECONCILE, &changed)),
        (vec!["writeConnector"], vec!["connectorDrifted"])
    );
}

#[test]
fn a_leftover_of_a_rotation_is_warned_about_once_it_is_an_hour_old() {
    let left = |ago: Duration| {
        let mut state = well();
        state.world.secret.versions.insert(OLD.into(), vec!["AWSPREVIOUS".into(), "AWSPENDING".into()]);
        state.world.secret.last_changed = Some(NOW - ago);
        codes(&RECONCILE, &state)
    };
    assert_eq!(left(Duration::HOUR), ["pendingLeftover"]);
    assert_eq!(left(Duration::HOUR - Duration::SECOND), [""; 0]);
    assert_eq!(left(Duration::ZERO), [""; 0]);
}
