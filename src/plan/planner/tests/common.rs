//! What the kinds of event have in common: the subject, the location, who is carried on.

use super::*;

fn other_organization() -> Document {
    document(|value| value["organization"] = json!("other"))
}

#[test]
fn a_version_about_something_else_is_refused_while_the_connector_before_it_is_kept() {
    for trigger in
        [Trigger::SecretChanged { version: None }, onboard_trigger(), Trigger::Reconcile { revoke_replaced: false }]
    {
        let mut situation = settled();
        situation.previous = Some(Version { id: OLD.into(), document: document(|_| {}) });
        assert_eq!(steps(&trigger, &situation), ["prove first"], "{trigger:?}: the same subject");
        situation.previous = Some(Version { id: OLD.into(), document: other_organization() });
        assert_eq!(kind(&trigger, &situation), Kind::NeedsHuman, "{trigger:?}");
        situation.connector = Some(connector(&situation, OLD, |body| body["tags"] = json!({})));
        assert_eq!(kind(&trigger, &situation), Kind::NeedsHuman, "{trigger:?}: not ours yet");
        situation.connector = Some(connector(&situation, OLD, |_| {}));
        situation.verdict = Some((VERSION.into(), verdict(Finding::Complete)));
        assert_eq!(steps(&trigger, &situation), ["writeConnector"], "{trigger:?}: its own connector is kept");
        situation.connector = Some(Found::Absent);
        situation.secret.tags.clear();
        assert!(plan(&trigger, &situation, CLIENT).is_ok(), "{trigger:?}: nothing is managed yet");
    }
}

#[test]
fn a_rotation_or_a_candidate_about_something_else_is_refused() {
    let mut situation = rotating();
    situation.document = Some(other_organization());
    for trigger in [Trigger::SetSecret, Trigger::FinishSecret, Trigger::CandidateStaged { version: None }] {
        situation.connector = Some(Found::Absent);
        assert_eq!(kind(&trigger, &situation), Kind::NeedsHuman, "{trigger:?}");
    }
    situation.current = None;
    assert_eq!(steps(&Trigger::SetSecret, &situation), ["prove first"], "there is nothing to compare with");
}

#[test]
fn a_location_is_the_same_in_every_spelling() {
    let mut situation = settled();
    for (location, expected) in [
        ("West Europe", vec![]),
        ("westeurope", vec![]),
        ("westeurope2", vec!["locationKept"]),
        ("", vec!["locationKept"]),
    ] {
        situation.connector = Some(connector(&situation, VERSION, |body| body["location"] = json!(location)));
        assert_eq!(codes(&onboard_trigger(), &situation), expected, "{location}");
    }
    situation.connector = Some(connector(&situation, VERSION, |body| {
        body.as_object_mut().unwrap().remove("location");
    }));
    assert_eq!(codes(&onboard_trigger(), &situation), [""; 0]);
}

#[test]
fn verify_proves_what_holds_a_token() {
    let trigger = Trigger::Verify { version: None };
    let mut situation = settled();
    assert_eq!(steps(&trigger, &situation), ["prove first"]);
    situation.verdict = Some((VERSION.into(), verdict(Finding::Partial)));
    assert_eq!(steps(&trigger, &situation), [""; 0], "whatever the verdict is");
    situation.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(kind(&trigger, &situation), Kind::NeedsHuman);
}

#[test]
fn a_reconcile_asks_the_owner_only_where_an_onboarding_from_zero_began() {
    let trigger = Trigger::Reconcile { revoke_replaced: false };
    let mut situation = settled();
    situation.document = Some(document(|value| {
        value["owner"] = json!("vault/owner");
        value["user"] = json!({"email": "scanner@acme.example"});
    }));
    assert_eq!(steps(&trigger, &situation), ["prove first"]);
    assert_eq!(steps(&onboard_trigger(), &situation), ["roster"]);
    situation.secret.tags.insert("hubkeeper-invite".into(), "asked".into());
    assert_eq!(steps(&trigger, &situation), ["roster"]);
}

#[test]
fn onboard_tags_the_secret_before_anything_else_and_once() {
    let mut situation = settled();
    situation.secret.tags.clear();
    situation.verdict = Some((VERSION.into(), verdict(Finding::Complete)));
    assert_eq!(steps(&onboard_trigger(), &situation), ["tagManaged", "writeConnector"]);
    situation.connector = Some(connector(&situation, VERSION, |_| {}));
    assert_eq!(steps(&onboard_trigger(), &situation), ["tagManaged"]);
    situation.enrolment.tagged = true;
    assert_eq!(steps(&onboard_trigger(), &situation), [""; 0]);
}

#[test]
fn an_onboarding_that_cannot_go_on_says_why() {
    let mut situation = settled();
    situation.verdict = Some((VERSION.into(), verdict(Finding::Rejected)));
    assert_eq!(kind(&onboard_trigger(), &situation), Kind::Refused, "nobody but a person can make another");
    situation.document = Some(document(|value| value["manager"] = json!("m")));
    situation.verdict = Some((VERSION.into(), verdict(Finding::Partial)));
    assert_eq!(kind(&onboard_trigger(), &situation), Kind::Refused, "another token would see no more");
    situation.connector = Some(connector(&situation, VERSION, |_| {}));
    assert_eq!(kind(&onboard_trigger(), &situation), Kind::Refused, "not even where the connector carries it");

    // a candidate that nobody can replace
    let mut situation = settled();
    situation.document = Some(document(|value| value["accessToken"] = Value::Null));
    situation.candidate = Some(Version { id: OLD.into(), document: document(|_| {}) });
    situation.secret.versions.insert(OLD.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    situation.verdict = Some((OLD.into(), verdict(Finding::Rejected)));
    assert_eq!(kind(&onboard_trigger(), &situation), Kind::Refused);
    situation.verdict = Some((OLD.into(), verdict(Finding::Complete)));
    assert_eq!(steps(&onboard_trigger(), &situation), ["writeConnector", "moveCurrent", "unstage"]);
    situation.secret.versions.remove(VERSION);
    assert_eq!(steps(&onboard_trigger(), &situation), ["writeConnector", "unstage"], "no label to take away");

    // one without a token is passed over
    situation.candidate =
        Some(Version { id: OLD.into(), document: document(|value| value["accessToken"] = Value::Null) });
    assert_eq!(kind(&onboard_trigger(), &situation), Kind::NeedsHuman);
    situation.secret.tags.insert("hubkeeper-invite".into(), "member".into());
    assert_eq!(steps(&onboard_trigger(), &situation), ["nothing"], "an onboarding from zero waits");
    situation.secret.tags.remove("hubkeeper-invite");
    situation.document = None;
    assert_eq!(kind(&onboard_trigger(), &situation), Kind::NeedsHuman);
}

#[test]
fn a_refusal_counts_what_it_does_not_name() {
    let said = |count: usize| {
        let verdict = Verdict { missing_count: count, ..verdict(Finding::Partial) };
        refusal(&verdict).to_string()
    };
    assert!(said(2).contains("ops and 1 more"), "{}", said(2));
    assert!(!said(1).contains("more"), "{}", said(1));
}
