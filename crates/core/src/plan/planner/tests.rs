mod common;
mod reconcile;
mod rotation;

use serde_json::{Value, json};

use super::*;
use crate::connector::Found;
use crate::error::Kind;
use crate::fixtures::{CLIENT, DERIVED, NOW, OLD, VERSION, connector, document, onboard_trigger, rotating, settled};
use crate::plan::refusals::refusal;
use crate::plan::state::Proven;
use crate::plan::state::{Slot, Version};
use crate::proof::{Finding, NotScanned, Verdict};
use crate::secret::Document;
use crate::secret::kept::CONNECTOR_TAG;

fn verdict(result: Finding) -> Verdict {
    Verdict {
        result,
        repositories: 7,
        private: 3,
        not_scanned: NotScanned::default(),
        missing: vec!["ops".into()],
        missing_count: 30,
        reasons: vec!["why".into()],
        warnings: Vec::new(),
    }
}

fn steps(trigger: &Trigger, state: &State) -> Vec<&'static str> {
    match plan(trigger, state, CLIENT).unwrap_or_else(|error| panic!("{error}")).next {
        Next::Do(steps) | Next::First(steps) => steps.iter().map(Step::name).collect(),
        Next::Roster => vec!["roster"],
        Next::LookUpToken => vec!["look up the token"],
        Next::ReadVersions => vec!["read versions"],
        Next::ReadFormer => vec!["read former"],
        Next::LookElsewhere => vec!["look elsewhere"],
        Next::Prove(_) => vec!["prove first"],
        Next::Test(_) => vec!["test"],
        Next::SkipVersion(_) => vec!["dead"],
        Next::Reactivate => vec!["reactivate"],
        Next::IgnoreCandidate(_) => vec!["set aside"],
        Next::Nothing(_, _) => vec!["nothing"],
    }
}

/// The kind of the error that the planner returns instead of a plan.
fn kind(trigger: &Trigger, state: &State) -> Kind {
    plan(trigger, state, CLIENT).map(|plan| plan.next).unwrap_err().kind()
}

/// The codes of the plan's warnings.
fn codes(trigger: &Trigger, state: &State) -> Vec<&'static str> {
    plan(trigger, state, CLIENT).unwrap().warnings.iter().map(|warning| warning.code.name()).collect()
}

#[test]
fn create_secret_mints_or_copies_or_asks_a_person() {
    let mut state = rotating();
    assert_eq!(steps(&Trigger::CreateSecret, &state), [""; 0], "a value that is there is kept");
    state.world.document = None;
    let error = plan(&Trigger::CreateSecret, &state, CLIENT).unwrap_err();
    assert_eq!(error.kind(), Kind::NeedsHuman);
    state.world.candidate = Some(Version { id: DERIVED.into(), document: document(|_| {}) });
    assert_eq!(steps(&Trigger::CreateSecret, &state), ["copyCandidate"]);
    state.world.candidate =
        Some(Version { id: DERIVED.into(), document: document(|value| value["organization"] = json!("other")) });
    assert_eq!(plan(&Trigger::CreateSecret, &state, CLIENT).unwrap_err().kind(), Kind::NeedsHuman);
    let managed = document(|value| value["manager"] = json!("m"));
    state.world.current = Some(Version { id: OLD.into(), document: managed });
    assert_eq!(steps(&Trigger::CreateSecret, &state), ["mintToken", "revokeStrays"]);
    state.world.document = Some(document(|value| {
        value["manager"] = json!("m");
        value["tokenId"] = json!("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001");
    }));
    assert_eq!(steps(&Trigger::CreateSecret, &state), ["revokeStrays"], "an earlier attempt may have left one");
}

#[test]
fn only_a_complete_verdict_leads_to_a_write() {
    for trigger in [Trigger::SetSecret, Trigger::SecretChanged { version: None }, onboard_trigger()] {
        let mut state = if trigger == Trigger::SetSecret { rotating() } else { settled() };
        assert_eq!(steps(&trigger, &state), ["prove first"]);
        for finding in [Finding::Rejected, Finding::Inconclusive, Finding::OverPrivileged, Finding::Partial] {
            state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(finding) });
            let error = plan(&trigger, &state, CLIENT).unwrap_err();
            let expected = if finding == Finding::Inconclusive { Kind::Retryable } else { Kind::Refused };
            assert_eq!(error.kind(), expected, "{trigger:?} {finding:?}");
            assert!(error.to_string().contains("ops and 29 more"), "{error}");
        }
        state.progress.proven = Some(Proven { version: OLD.into(), verdict: verdict(Finding::Complete) });
        assert_eq!(steps(&trigger, &state), ["prove first"], "a verdict on another version does not count");
        state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
        assert_eq!(steps(&trigger, &state), ["writeConnector"]);
    }
}

#[test]
fn a_connector_that_carries_the_version_is_not_written_again_but_by_force() {
    let mut state = settled();
    state.world.connector = Some(connector(&state.world, VERSION, |_| {}));
    assert_eq!(steps(&Trigger::SecretChanged { version: None }, &state), [""; 0], "and without a proof");
    state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&onboard_trigger(), &state), [""; 0]);
    assert_eq!(steps(&Trigger::Onboard { force: true, fix_role: false, version: None }, &state), ["writeConnector"]);
    state.world.connector = Some(connector(&state.world, OLD, |_| {}));
    assert_eq!(steps(&onboard_trigger(), &state), ["writeConnector"]);
}

#[test]
fn another_s_connector_is_refused_and_one_of_the_portal_is_taken_over() {
    let mut state = settled();
    state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    state.world.connector =
        Some(connector(&state.world, VERSION, |body| body["tags"]["hubkeeper-secret"] = json!("ba9876543210")));
    assert_eq!(plan(&onboard_trigger(), &state, CLIENT).unwrap_err().kind(), Kind::Refused);
    state.world.connector = Some(connector(&state.world, VERSION, |body| body["tags"] = json!({})));
    let taken = plan(&onboard_trigger(), &state, CLIENT).unwrap();
    assert_eq!(taken.warnings[0].code.name(), "connectorTakenOver");
    state.world.connector = Some(connector(&state.world, VERSION, |body| body["location"] = json!("North Europe")));
    let kept = plan(&onboard_trigger(), &state, CLIENT).unwrap();
    assert_eq!(kept.warnings[0].code.name(), "locationKept");
}

#[test]
fn adoption_writes_moves_and_unstages_in_this_order() {
    let trigger = Trigger::CandidateStaged { version: None };
    let mut state = rotating();
    state.world.secret.versions.insert(VERSION.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    state.world.label = Label::Candidate;
    assert_eq!(steps(&trigger, &state), ["prove first"]);
    state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&trigger, &state), ["writeConnector", "moveCurrent", "unstage"]);
    state.world.connector = Some(connector(&state.world, VERSION, |_| {}));
    assert_eq!(steps(&trigger, &state), ["moveCurrent", "unstage"]);
    state.world.secret.versions =
        [(VERSION.into(), vec!["AWSCURRENT".to_owned(), "HUBKEEPER_CANDIDATE".to_owned()])].into();
    assert_eq!(steps(&trigger, &state), ["unstage"]);
    state.world.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(steps(&trigger, &state), ["nothing"]);
}

#[test]
fn finish_moves_only_what_the_connector_carries() {
    let mut state = rotating();
    assert_eq!(plan(&Trigger::FinishSecret, &state, CLIENT).unwrap_err().kind(), Kind::Retryable);
    state.world.connector = Some(connector(&state.world, OLD, |_| {}));
    assert_eq!(plan(&Trigger::FinishSecret, &state, CLIENT).unwrap_err().kind(), Kind::Retryable);
    state.world.connector = Some(connector(&state.world, VERSION, |_| {}));
    assert_eq!(steps(&Trigger::FinishSecret, &state), ["moveCurrent"]);
    state.world.secret.tags.clear();
    state.world.secret.versions.insert(DERIVED.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    state.world.document = Some(document(|value| value["candidateVersion"] = json!(DERIVED)));
    assert_eq!(steps(&Trigger::FinishSecret, &state), ["moveCurrent", "unstage", "tagManaged"]);
    state.world.secret.versions.insert(VERSION.into(), vec!["AWSCURRENT".into()]);
    assert_eq!(steps(&Trigger::FinishSecret, &state), ["unstage", "tagManaged"]);
}

#[test]
fn test_secret_proves_what_is_current_where_nothing_is_pending() {
    let mut state = rotating();
    assert_eq!(plan(&Trigger::TestSecret, &state, CLIENT).unwrap_err().kind(), Kind::Retryable);
    state.world.connector = Some(connector(&state.world, VERSION, |_| {}));
    assert_eq!(steps(&Trigger::TestSecret, &state), ["test"]);
    for pending in [None, Some(document(|_| {}))] {
        state.world.document = pending;
        state.world.connector = Some(Found::Absent);
        assert_eq!(steps(&Trigger::TestSecret, &state), ["prove first"]);
    }
    state.world.document = None;
    state.world.current =
        Some(Version { id: OLD.into(), document: document(|value| value["accessToken"] = Value::Null) });
    assert_eq!(steps(&Trigger::TestSecret, &state), ["nothing"]);
}

#[test]
fn onboarding_goes_on_with_what_is_there_before_it_mints() {
    let managed = |token: &str| {
        document(|value| {
            value["manager"] = json!("m");
            value["accessToken"] = json!(token);
        })
    };
    let mut state = settled();
    state.world.document = Some(managed("dckr_pat_old"));
    state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Rejected) });
    assert_eq!(steps(&onboard_trigger(), &state), ["dead"]);
    state.progress.skipped.insert(VERSION.into());
    state.progress.proven = None;
    state.world.slot = Some(Slot { id: DERIVED.into(), document: None });
    let minted = ["mintToken", "revokeStrays", "stageCandidate", "prove", "writeConnector", "moveCurrent", "unstage"];
    assert_eq!(steps(&onboard_trigger(), &state), minted);
    state.world.slot = Some(Slot { id: DERIVED.into(), document: Some(managed("dckr_pat_earlier")) });
    assert_eq!(steps(&onboard_trigger(), &state), ["prove first"]);
    state.progress.proven = Some(Proven { version: DERIVED.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&onboard_trigger(), &state), ["stageCandidate", "writeConnector", "moveCurrent", "unstage"]);
    state.progress.proven = Some(Proven { version: DERIVED.into(), verdict: verdict(Finding::Rejected) });
    assert_eq!(steps(&onboard_trigger(), &state), ["dead"]);
    // a candidate that was judged unusable loses its label; one that is staged later keeps it
    state.world.secret.versions.insert(OLD.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    state.progress.proven = Some(Proven { version: DERIVED.into(), verdict: verdict(Finding::Complete) });
    let staged = ["unstage", "stageCandidate", "writeConnector", "moveCurrent", "unstage"];
    assert_eq!(steps(&onboard_trigger(), &state), staged);
    // a person's candidate takes precedence over one of our own
    state.world.candidate = Some(Version { id: OLD.into(), document: managed("dckr_pat_by_hand") });
    state.world.secret.versions.insert(OLD.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    state.progress.proven = Some(Proven { version: OLD.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&onboard_trigger(), &state), ["writeConnector", "moveCurrent", "unstage"]);
    let mut alone = settled();
    alone.world.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(plan(&onboard_trigger(), &alone, CLIENT).unwrap_err().kind(), Kind::NeedsHuman);
}

#[test]
fn onboarding_asks_whose_the_token_is_and_mints_in_place_of_another_secret_s() {
    const ID: &str = "b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001";
    let named = |manager: bool, id: Option<&str>| {
        let mut state = settled();
        state.world.document = Some(document(|value| {
            value["manager"] = if manager { json!("m") } else { Value::Null };
            value["tokenId"] = json!(id);
        }));
        state
    };
    for (manager, id) in [(false, Some(ID)), (true, None)] {
        assert_eq!(steps(&onboard_trigger(), &named(manager, id)), ["prove first"]);
    }
    let mut state = named(true, Some(ID));
    assert_eq!(steps(&onboard_trigger(), &state), ["look up the token"]);
    state.progress.looked_up = true;
    assert_eq!(steps(&onboard_trigger(), &state), ["prove first"], "it is not listed");
    let own = state.world.secret.token_label(&VERSION.into());
    for (label, next) in [(own, "prove first"), (format!("hubkeeper/ba9876543210/{VERSION}"), "dead")] {
        let (id, created_at) = (ID.to_owned(), None);
        let pat = crate::hub::Pat { id: id.into(), label, active: true, created_at, last_used: None, expires_at: None };
        state.world.pats = Ok(vec![pat]);
        assert_eq!(steps(&onboard_trigger(), &state), [next]);
    }
    assert_eq!(codes(&onboard_trigger(), &state), ["tokenOfAnotherSecret"]);
    state.progress.skipped.insert(VERSION.into());
    state.world.slot = Some(Slot { id: DERIVED.into(), document: None });
    assert!(steps(&onboard_trigger(), &state).contains(&"mintToken"));
}
