//! Edge cases of the rotation steps, and the report of a failed rotation.

use super::*;
use crate::ids::VersionId;

#[test]
fn a_candidate_without_a_token_is_not_copied() {
    let mut state = rotating();
    state.world.document = None;
    state.world.candidate =
        Some(Version { id: DERIVED.into(), document: document(|value| value["accessToken"] = Value::Null) });
    assert_eq!(kind(&Trigger::CreateSecret, &state), Kind::NeedsHuman);
    state.world.current = None;
    assert_eq!(kind(&Trigger::CreateSecret, &state), Kind::NeedsHuman);
}

#[test]
fn a_value_by_hand_leaves_no_strays_to_look_for() {
    let mut state = rotating();
    state.world.document = Some(document(|value| value["manager"] = json!("m")));
    assert_eq!(steps(&Trigger::CreateSecret, &state), [""; 0]);
    state.world.document = Some(document(|value| value["tokenId"] = json!("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001")));
    assert_eq!(steps(&Trigger::CreateSecret, &state), [""; 0]);
}

#[test]
fn a_rotation_on_trial_proves_what_is_current_and_says_what_is_not_there() {
    let mut state = rotating();
    state.world.document = None;
    assert_eq!(codes(&Trigger::TestSecret, &state), ["connectorAbsent"]);
    state.world.connector = Some(connector(&state.world, OLD, |_| {}));
    assert_eq!(codes(&Trigger::TestSecret, &state), [""; 0]);
    state.progress.proven = Some(Proven { version: OLD.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&Trigger::TestSecret, &state), [""; 0]);
    state.progress.proven = Some(Proven { version: OLD.into(), verdict: verdict(Finding::Partial) });
    assert_eq!(kind(&Trigger::TestSecret, &state), Kind::Refused);
    state.world.current = None;
    assert_eq!(codes(&Trigger::TestSecret, &state), ["tokenAbsent"]);
    // a pending value without a token does not hold a token of its own
    state.world.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(steps(&Trigger::TestSecret, &state), ["nothing"]);
}

#[test]
fn a_step_that_has_no_value_to_go_on_with_is_tried_again() {
    let mut state = rotating();
    state.world.document = None;
    for trigger in [Trigger::SetSecret, Trigger::FinishSecret] {
        assert_eq!(kind(&trigger, &state), Kind::Retryable, "{trigger:?}");
    }
}

#[test]
fn what_is_said_of_a_rotation_that_was_given_up() {
    let said = |state: &State, abandoned: bool, step: Option<&'static str>, version: Option<&str>| {
        let version = version.map(VersionId::from);
        match plan(&Trigger::RotationEnded { abandoned, step, version }, state, CLIENT).unwrap().next {
            Next::Nothing(Outcome::Recorded, text) => text,
            other => panic!("{other:?}"),
        }
    };
    let pending = rotating();
    let failed = said(&pending, false, Some("setSecret"), Some(VERSION));
    for word in
        ["of version", VERSION, " in step setSecret", "rotate-secret", "to end it instead: ", &pending.world.secret.arn]
    {
        assert!(failed.contains(word), "{word}: {failed}");
    }
    let failed = said(&settled(), false, None, None);
    for word in ["of version", " in step", "to end it instead"] {
        assert!(!failed.contains(word), "{word}: {failed}");
    }
    let abandoned = said(&pending, true, Some("setSecret"), Some(VERSION));
    assert!(abandoned.contains("was abandoned") && abandoned.contains(VERSION), "{abandoned}");
    assert!(!abandoned.contains("in step"), "{abandoned}");
}
