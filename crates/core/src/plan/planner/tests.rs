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

fn steps(trigger: &Trigger, situation: &Situation) -> Vec<&'static str> {
    match plan(trigger, situation, CLIENT).unwrap_or_else(|error| panic!("{error}")).next {
        Next::Do(steps) | Next::First(steps) => steps.iter().map(Step::name).collect(),
        Next::Roster => vec!["roster"],
        Next::LookUpToken => vec!["look up the token"],
        Next::ReadVersions => vec!["read versions"],
        Next::ReadFormer => vec!["read former"],
        Next::LookElsewhere => vec!["look elsewhere"],
        Next::Prove(_) => vec!["prove first"],
        Next::Test(_) => vec!["test"],
        Next::SkipVersion(_) => vec!["dead"],
        Next::Reactivate => vec!["revive"],
        Next::IgnoreCandidate(_) => vec!["set aside"],
        Next::Nothing(_, _) => vec!["nothing"],
    }
}

/// The kind of the error that there is instead of a plan.
fn kind(trigger: &Trigger, situation: &Situation) -> Kind {
    plan(trigger, situation, CLIENT).map(|plan| plan.next).unwrap_err().kind()
}

/// The codes of the warnings.
fn codes(trigger: &Trigger, situation: &Situation) -> Vec<&'static str> {
    plan(trigger, situation, CLIENT).unwrap().warnings.iter().map(|warning| warning.code.name()).collect()
}

#[test]
fn create_secret_mints_or_copies_or_asks_a_person() {
    let mut situation = rotating();
    assert_eq!(steps(&Trigger::CreateSecret, &situation), [""; 0], "a value that is there is kept");
    situation.document = None;
    let error = plan(&Trigger::CreateSecret, &situation, CLIENT).unwrap_err();
    assert_eq!(error.kind(), Kind::NeedsHuman);
    situation.candidate = Some(Version { id: DERIVED.into(), document: document(|_| {}) });
    assert_eq!(steps(&Trigger::CreateSecret, &situation), ["copyCandidate"]);
    situation.candidate =
        Some(Version { id: DERIVED.into(), document: document(|value| value["organization"] = json!("other")) });
    assert_eq!(plan(&Trigger::CreateSecret, &situation, CLIENT).unwrap_err().kind(), Kind::NeedsHuman);
    let managed = document(|value| value["manager"] = json!("m"));
    situation.current = Some(Version { id: OLD.into(), document: managed });
    assert_eq!(steps(&Trigger::CreateSecret, &situation), ["mintToken", "revokeStrays"]);
    situation.document = Some(document(|value| {
        value["manager"] = json!("m");
        value["tokenId"] = json!("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001");
    }));
    assert_eq!(steps(&Trigger::CreateSecret, &situation), ["revokeStrays"], "an earlier attempt may have left one");
}

#[test]
fn only_a_complete_verdict_leads_to_a_write() {
    for trigger in [Trigger::SetSecret, Trigger::SecretChanged { version: None }, onboard_trigger()] {
        let mut situation = if trigger == Trigger::SetSecret { rotating() } else { settled() };
        assert_eq!(steps(&trigger, &situation), ["prove first"]);
        for finding in [Finding::Rejected, Finding::Inconclusive, Finding::OverPrivileged, Finding::Partial] {
            situation.verdict = Some(Proven { version: VERSION.into(), verdict: verdict(finding) });
            let error = plan(&trigger, &situation, CLIENT).unwrap_err();
            let expected = if finding == Finding::Inconclusive { Kind::Retryable } else { Kind::Refused };
            assert_eq!(error.kind(), expected, "{trigger:?} {finding:?}");
            assert!(error.to_string().contains("ops and 29 more"), "{error}");
        }
        situation.verdict = Some(Proven { version: OLD.into(), verdict: verdict(Finding::Complete) });
        assert_eq!(steps(&trigger, &situation), ["prove first"], "a verdict on another version is none");
        situation.verdict = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
        assert_eq!(steps(&trigger, &situation), ["writeConnector"]);
    }
}

#[test]
fn a_connector_that_carries_the_version_is_not_written_again_but_by_force() {
    let mut situation = settled();
    situation.connector = Some(connector(&situation, VERSION, |_| {}));
    assert_eq!(steps(&Trigger::SecretChanged { version: None }, &situation), [""; 0], "and without a proof");
    situation.verdict = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&onboard_trigger(), &situation), [""; 0]);
    assert_eq!(
        steps(&Trigger::Onboard { force: true, fix_role: false, version: None }, &situation),
        ["writeConnector"]
    );
    situation.connector = Some(connector(&situation, OLD, |_| {}));
    assert_eq!(steps(&onboard_trigger(), &situation), ["writeConnector"]);
}

#[test]
fn another_s_connector_is_refused_and_one_of_the_portal_is_taken_over() {
    let mut situation = settled();
    situation.verdict = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    situation.connector =
        Some(connector(&situation, VERSION, |body| body["tags"]["hubkeeper-secret"] = json!("ba9876543210")));
    assert_eq!(plan(&onboard_trigger(), &situation, CLIENT).unwrap_err().kind(), Kind::Refused);
    situation.connector = Some(connector(&situation, VERSION, |body| body["tags"] = json!({})));
    let taken = plan(&onboard_trigger(), &situation, CLIENT).unwrap();
    assert_eq!(taken.warnings[0].code.name(), "connectorTakenOver");
    situation.connector = Some(connector(&situation, VERSION, |body| body["location"] = json!("North Europe")));
    let kept = plan(&onboard_trigger(), &situation, CLIENT).unwrap();
    assert_eq!(kept.warnings[0].code.name(), "locationKept");
}

#[test]
fn adoption_writes_moves_and_unstages_in_this_order() {
    let trigger = Trigger::CandidateStaged { version: None };
    let mut situation = rotating();
    situation.secret.versions.insert(VERSION.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    situation.label = Label::Candidate;
    assert_eq!(steps(&trigger, &situation), ["prove first"]);
    situation.verdict = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&trigger, &situation), ["writeConnector", "moveCurrent", "unstage"]);
    situation.connector = Some(connector(&situation, VERSION, |_| {}));
    assert_eq!(steps(&trigger, &situation), ["moveCurrent", "unstage"]);
    situation.secret.versions =
        [(VERSION.to_owned(), vec!["AWSCURRENT".to_owned(), "HUBKEEPER_CANDIDATE".to_owned()])].into();
    assert_eq!(steps(&trigger, &situation), ["unstage"]);
    situation.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(steps(&trigger, &situation), ["nothing"]);
}

#[test]
fn finish_moves_only_what_the_connector_carries() {
    let mut situation = rotating();
    assert_eq!(plan(&Trigger::FinishSecret, &situation, CLIENT).unwrap_err().kind(), Kind::Retryable);
    situation.connector = Some(connector(&situation, OLD, |_| {}));
    assert_eq!(plan(&Trigger::FinishSecret, &situation, CLIENT).unwrap_err().kind(), Kind::Retryable);
    situation.connector = Some(connector(&situation, VERSION, |_| {}));
    assert_eq!(steps(&Trigger::FinishSecret, &situation), ["moveCurrent"]);
    situation.secret.tags.clear();
    situation.secret.versions.insert(DERIVED.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    situation.document = Some(document(|value| value["candidateVersion"] = json!(DERIVED)));
    assert_eq!(steps(&Trigger::FinishSecret, &situation), ["moveCurrent", "unstage", "tagManaged"]);
    situation.secret.versions.insert(VERSION.into(), vec!["AWSCURRENT".into()]);
    assert_eq!(steps(&Trigger::FinishSecret, &situation), ["unstage", "tagManaged"]);
}

#[test]
fn test_secret_proves_what_is_current_where_nothing_is_pending() {
    let mut situation = rotating();
    assert_eq!(plan(&Trigger::TestSecret, &situation, CLIENT).unwrap_err().kind(), Kind::Retryable);
    situation.connector = Some(connector(&situation, VERSION, |_| {}));
    assert_eq!(steps(&Trigger::TestSecret, &situation), ["test"]);
    for pending in [None, Some(document(|_| {}))] {
        situation.document = pending;
        situation.connector = Some(Found::Absent);
        assert_eq!(steps(&Trigger::TestSecret, &situation), ["prove first"]);
    }
    situation.document = None;
    situation.current =
        Some(Version { id: OLD.into(), document: document(|value| value["accessToken"] = Value::Null) });
    assert_eq!(steps(&Trigger::TestSecret, &situation), ["nothing"]);
}

#[test]
fn onboarding_goes_on_with_what_is_there_before_it_mints() {
    let managed = |token: &str| {
        document(|value| {
            value["manager"] = json!("m");
            value["accessToken"] = json!(token);
        })
    };
    let mut situation = settled();
    situation.document = Some(managed("dckr_pat_old"));
    situation.verdict = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Rejected) });
    assert_eq!(steps(&onboard_trigger(), &situation), ["dead"]);
    situation.dead.insert(VERSION.into());
    situation.verdict = None;
    situation.slot = Some(Slot { id: DERIVED.into(), document: None });
    let minted = ["mintToken", "revokeStrays", "stageCandidate", "prove", "writeConnector", "moveCurrent", "unstage"];
    assert_eq!(steps(&onboard_trigger(), &situation), minted);
    situation.slot = Some(Slot { id: DERIVED.into(), document: Some(managed("dckr_pat_earlier")) });
    assert_eq!(steps(&onboard_trigger(), &situation), ["prove first"]);
    situation.verdict = Some(Proven { version: DERIVED.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&onboard_trigger(), &situation), ["stageCandidate", "writeConnector", "moveCurrent", "unstage"]);
    situation.verdict = Some(Proven { version: DERIVED.into(), verdict: verdict(Finding::Rejected) });
    assert_eq!(steps(&onboard_trigger(), &situation), ["dead"]);
    // a candidate that was judged unusable gives its label away; one that is staged later keeps it
    situation.secret.versions.insert(OLD.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    situation.verdict = Some(Proven { version: DERIVED.into(), verdict: verdict(Finding::Complete) });
    let staged = ["unstage", "stageCandidate", "writeConnector", "moveCurrent", "unstage"];
    assert_eq!(steps(&onboard_trigger(), &situation), staged);
    // a candidate of a person comes before one of our own
    situation.candidate = Some(Version { id: OLD.into(), document: managed("dckr_pat_by_hand") });
    situation.secret.versions.insert(OLD.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    situation.verdict = Some(Proven { version: OLD.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&onboard_trigger(), &situation), ["writeConnector", "moveCurrent", "unstage"]);
    let mut alone = settled();
    alone.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(plan(&onboard_trigger(), &alone, CLIENT).unwrap_err().kind(), Kind::NeedsHuman);
}

#[test]
fn onboarding_asks_whose_the_token_is_and_mints_in_place_of_another_secret_s() {
    const ID: &str = "b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001";
    let named = |manager: bool, id: Option<&str>| {
        let mut situation = settled();
        situation.document = Some(document(|value| {
            value["manager"] = if manager { json!("m") } else { Value::Null };
            value["tokenId"] = json!(id);
        }));
        situation
    };
    for (manager, id) in [(false, Some(ID)), (true, None)] {
        assert_eq!(steps(&onboard_trigger(), &named(manager, id)), ["prove first"]);
    }
    let mut situation = named(true, Some(ID));
    assert_eq!(steps(&onboard_trigger(), &situation), ["look up the token"]);
    situation.looked_up = true;
    assert_eq!(steps(&onboard_trigger(), &situation), ["prove first"], "it is not listed");
    let own = situation.secret.token_label(VERSION);
    for (label, next) in [(own, "prove first"), (format!("hubkeeper/ba9876543210/{VERSION}"), "dead")] {
        let (id, created_at) = (ID.to_owned(), None);
        let pat = crate::hub::Pat { id, label, active: true, created_at, last_used: None, expires_at: None };
        situation.pats = Ok(vec![pat]);
        assert_eq!(steps(&onboard_trigger(), &situation), [next]);
    }
    assert_eq!(codes(&onboard_trigger(), &situation), ["tokenOfAnotherSecret"]);
    situation.dead.insert(VERSION.into());
    situation.slot = Some(Slot { id: DERIVED.into(), document: None });
    assert!(steps(&onboard_trigger(), &situation).contains(&"mintToken"));
}
