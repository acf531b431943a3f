//! Reconcile and offboard.

use time::Duration;

use super::*;

const UUID: &str = "b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001";
const RECONCILE: Trigger = Trigger::Reconcile { revoke_replaced: false };

/// AWSCURRENT is `VERSION`, proven, and the connector carries it.
fn well() -> Situation {
    let mut situation = settled();
    situation.connector = Some(connector(&situation, VERSION, |_| {}));
    situation.verdict = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    situation
}

/// The same with a rotation that has been pending for two days.
fn stuck() -> Situation {
    let mut situation = well();
    situation.secret.versions.insert(DERIVED.into(), vec!["AWSPENDING".into()]);
    situation.secret.pending_since = Some(NOW - Duration::days(2));
    situation.pending =
        Some(Version { id: DERIVED.into(), document: document(|value| value["accessToken"] = json!("dckr_pat_new")) });
    situation
}

fn with_candidate(mut situation: Situation, label: &[&str], token: Option<&str>) -> Situation {
    situation.candidate =
        Some(Version { id: OLD.into(), document: document(|value| value["accessToken"] = json!(token)) });
    situation.secret.versions.insert(OLD.into(), label.iter().map(|label| (*label).to_owned()).collect());
    situation
}

#[test]
fn where_all_is_well_nothing_is_done_and_a_drift_is_repaired() {
    assert_eq!((steps(&RECONCILE, &well()), codes(&RECONCILE, &well())), (vec![], vec![]));
    let mut drifted = well();
    drifted.connector = Some(connector(&drifted, OLD, |_| {}));
    assert_eq!(
        (steps(&RECONCILE, &drifted), codes(&RECONCILE, &drifted)),
        (vec!["writeConnector"], vec!["connectorDrifted"])
    );
    let mut unproven = well();
    unproven.verdict = None;
    assert_eq!(steps(&RECONCILE, &unproven), ["prove first"]);
    unproven.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(kind(&RECONCILE, &unproven), Kind::NeedsHuman);
}

#[test]
fn a_candidate_that_waits_is_adopted_and_one_that_cannot_be_is_set_aside() {
    let waits = with_candidate(well(), &["HUBKEEPER_CANDIDATE"], Some("dckr_pat_next"));
    assert_eq!(steps(&RECONCILE, &waits), ["prove first"]);
    let mut partial = waits.clone();
    partial.verdict = Some(Proven { version: OLD.into(), verdict: verdict(Finding::Partial) });
    assert_eq!(steps(&RECONCILE, &partial), ["set aside"]);
    let mut aside = partial;
    aside.aside = Some(Error::refused("what", "remedy"));
    aside.verdict = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&RECONCILE, &aside), [""; 0], "what is current is looked after all the same");
    let empty = with_candidate(well(), &["HUBKEEPER_CANDIDATE"], None);
    assert_eq!(steps(&RECONCILE, &empty), ["set aside"]);

    // what is current already is no candidate any more
    let mut adopted = with_candidate(well(), &["AWSPREVIOUS"], Some("dckr_pat_next"));
    adopted.candidate = Some(Version { id: VERSION.into(), document: document(|_| {}) });
    adopted.secret.versions.insert(VERSION.into(), vec!["AWSCURRENT".into(), "HUBKEEPER_CANDIDATE".into()]);
    assert_eq!(steps(&RECONCILE, &adopted), ["unstage"]);
}

#[test]
fn while_a_rotation_is_stuck_what_is_current_is_looked_after_and_no_label_moves() {
    let mut situation = stuck();
    assert_eq!((steps(&RECONCILE, &situation), codes(&RECONCILE, &situation)), (vec![], vec!["rotationStuck"]));
    let waits = with_candidate(stuck(), &["HUBKEEPER_CANDIDATE"], Some("dckr_pat_next"));
    assert_eq!(steps(&RECONCILE, &waits), [""; 0], "not even a candidate's");
    situation.secret.versions.insert(VERSION.into(), vec!["AWSCURRENT".into(), "HUBKEEPER_CANDIDATE".into()]);
    assert_eq!(steps(&RECONCILE, &situation), [""; 0]);

    // written by the rotation already: its last step is all that is missing
    let mut carries = stuck();
    carries.connector = Some(connector(&carries, DERIVED, |_| {}));
    assert_eq!(steps(&RECONCILE, &carries), [""; 0]);
    carries.connector = Some(connector(&carries, OLD, |_| {}));
    assert_eq!(steps(&RECONCILE, &carries), ["writeConnector"]);
    // a pending version that is not the stuck one counts for nothing
    carries.connector = Some(connector(&carries, OLD, |_| {}));
    carries.pending = Some(Version { id: OLD.into(), document: document(|_| {}) });
    assert_eq!(steps(&RECONCILE, &carries), ["writeConnector"]);
    let fresh = |since: Duration| {
        let mut situation = stuck();
        situation.secret.pending_since = Some(NOW - since);
        codes(&RECONCILE, &situation)
    };
    assert_eq!(fresh(Duration::hours(25)), ["rotationStuck"]);
    assert_eq!(fresh(Duration::hours(23)), [""; 0]);
}

/// Why it is not looked for, and what is different in document and situation.
type Rejected = (&'static str, fn(&mut Value), fn(&mut Situation));

#[test]
fn a_rejected_token_is_looked_for_among_the_deactivated_where_it_may_be_one() {
    let rejected = |change: fn(&mut Value), more: fn(&mut Situation)| {
        let mut situation = well();
        situation.document = Some(document(|value| {
            value["manager"] = json!("m");
            value["tokenId"] = json!(UUID);
            change(value);
        }));
        situation.verdict = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Rejected) });
        more(&mut situation);
        situation
    };
    let as_is = |_: &mut Value| {};
    assert_eq!(steps(&RECONCILE, &rejected(as_is, |_| {})), ["revive"]);
    let without_id = |value: &mut Value| value["tokenId"] = Value::Null;
    assert_eq!(steps(&RECONCILE, &rejected(without_id, |_| {})), ["revive"], "values tell whether it is one of ours");
    let table: [Rejected; 4] = [
        ("it was looked for", as_is, |situation| situation.revived = true),
        ("no manager", |value| value["manager"] = Value::Null, |_| {}),
        ("partial", as_is, |situation| {
            situation.verdict = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Partial) })
        }),
        ("a rotation is stuck", as_is, |situation| {
            situation.secret.versions.insert(DERIVED.into(), vec!["AWSPENDING".into()]);
            situation.secret.pending_since = Some(NOW - Duration::days(2));
        }),
    ];
    for (why, change, more) in table {
        assert_eq!(kind(&RECONCILE, &rejected(change, more)), Kind::Refused, "{why}");
    }
}

#[test]
fn a_replaced_token_that_nobody_else_retires_is_named_until_it_ends() {
    let told = |previous: Value, manager: bool| {
        let mut situation = well();
        situation.document = Some(document(|value| {
            if manager {
                value["manager"] = json!("m");
            }
        }));
        situation.previous = Some(Version {
            id: OLD.into(),
            document: document(|value| value.as_object_mut().unwrap().extend(previous.as_object().unwrap().clone())),
        });
        codes(&RECONCILE, &situation)
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
    let mut situation = well();
    assert_eq!(steps(&Trigger::Offboard, &situation), ["tagOffboarded", "deleteConnector"]);
    situation.secret.tags.insert("hubkeeper".into(), "offboarded".into());
    assert_eq!(steps(&Trigger::Offboard, &situation), ["deleteConnector"]);
    situation.connector = Some(Found::Absent);
    assert_eq!(steps(&Trigger::Offboard, &situation), [""; 0]);
    situation.connector = Some(connector(&situation, VERSION, |body| body["tags"] = json!({})));
    assert_eq!(kind(&Trigger::Offboard, &situation), Kind::Refused);
    situation.document = None;
    assert_eq!(kind(&Trigger::Offboard, &situation), Kind::Refused, "the tag names it");
    situation.secret.tags.remove("hubkeeper-connector");
    assert_eq!(kind(&Trigger::Offboard, &situation), Kind::NeedsHuman);
}

#[test]
fn a_reconcile_finishes_an_offboarding_and_does_nothing_else() {
    let mut situation = with_candidate(well(), &["HUBKEEPER_CANDIDATE"], Some("dckr_pat_next"));
    situation.secret.tags.insert("hubkeeper".into(), "offboarded".into());
    assert_eq!(kind(&RECONCILE, &situation), Kind::NeedsHuman, "a tag deletes no connector");
    let present = situation.connector.replace(Found::Absent);
    assert_eq!((steps(&RECONCILE, &situation), codes(&RECONCILE, &situation)), (vec![], vec!["replacedByHand"]));
    situation.document = Some(document(|value| value["tokenId"] = json!(UUID)));
    assert_eq!(codes(&RECONCILE, &situation), [""; 0]);
    situation.connector = present;
    situation.connector = Some(connector(&situation, VERSION, |body| body["tags"] = json!({})));
    assert_eq!((steps(&RECONCILE, &situation), codes(&RECONCILE, &situation)), (vec![], vec!["connectorLeft"]));
    situation.connector = Some(Found::Absent);
    assert_eq!((steps(&RECONCILE, &situation), codes(&RECONCILE, &situation)), (vec![], vec![]));
    situation.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(codes(&RECONCILE, &situation), [""; 0]);
    situation.document = None;
    assert_eq!(steps(&RECONCILE, &situation), [""; 0]);
}
