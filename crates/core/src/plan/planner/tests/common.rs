//! Rules that all kinds of event share: the subject, the location, and which onboarding is resumed.

use super::*;
use crate::plan::state::Proven;
use crate::secret::document::ConnectorId;

fn other_organization() -> Document {
    document(|value| value["organization"] = json!("other"))
}

const WRITERS: [fn() -> Trigger; 4] = [
    || Trigger::SecretChanged { version: None },
    || Trigger::CandidateStaged { version: None },
    onboard_trigger,
    || Trigger::Reconcile { revoke_replaced: false },
];

#[test]
fn a_document_that_names_another_connector_is_refused_however_many_were_put() {
    for trigger in WRITERS.map(|trigger| trigger()) {
        for change in [
            |value: &mut Value| value["organization"] = json!("other"),
            |value: &mut Value| value["connector"]["name"] = json!("other"),
            |value: &mut Value| value["connector"]["resourceGroup"] = json!("other"),
        ] {
            let mut state = settled();
            state.world.document = Some(document(change));
            state.world.current = Some(Version { id: VERSION.into(), document: document(change) });
            state.world.previous = state.world.current.clone();
            let error = plan(&trigger, &state, CLIENT).unwrap_err();
            assert_eq!(error.kind(), Kind::NeedsHuman, "{trigger:?}");
            assert!(error.to_string().contains("offboard"), "{error}");
            // an unknown connector is not taken over
            state.world.secret.tags.remove("hubkeeper");
            assert_eq!(kind(&trigger, &state), Kind::NeedsHuman, "{trigger:?}: without the tag hubkeeper");
        }
        let mut state = settled();
        state.world.secret.tags.insert(CONNECTOR_TAG.into(), "x".into());
        assert_eq!(kind(&trigger, &state), Kind::NeedsHuman, "{trigger:?}: a tag that cannot be read");
    }
}

#[test]
fn a_step_of_a_rotation_is_refused_as_well() {
    let mut state = rotating();
    let other = document(|value| {
        value["connector"]["name"] = json!("other");
        value["manager"] = json!("m");
    });
    state.world.document = Some(other.clone());
    state.world.current = Some(Version { id: OLD.into(), document: other });
    for trigger in [Trigger::SetSecret, Trigger::FinishSecret] {
        assert_eq!(kind(&trigger, &state), Kind::NeedsHuman, "{trigger:?}");
    }
    state.world.document = None;
    assert_eq!(kind(&Trigger::CreateSecret, &state), Kind::NeedsHuman);
}

#[test]
fn a_managed_secret_without_the_tag_remembers_a_connector_that_is_surely_its_own() {
    for trigger in WRITERS.map(|trigger| trigger()) {
        let mut state = settled();
        state.world.secret.tags.remove(CONNECTOR_TAG);
        if matches!(trigger, Trigger::CandidateStaged { .. }) {
            state.world.secret.versions.insert(VERSION.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
        }
        assert_eq!(steps(&trigger, &state), ["read versions"], "{trigger:?}");
        state.world.keeping.named = Some(vec![OLD.into()]);
        assert_eq!(kind(&trigger, &state), Kind::NeedsHuman, "{trigger:?}");
        state.world.keeping.named = Some(Vec::new());
        state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
        assert_eq!(steps(&trigger, &state)[..2], ["tagManaged", "writeConnector"], "{trigger:?}");
        // a connector with the fingerprint needs no further read
        state.world.keeping.named = None;
        state.world.connector = Some(connector(&state.world, OLD, |_| {}));
        assert_eq!(steps(&trigger, &state)[..2], ["tagManaged", "writeConnector"], "{trigger:?}");
    }
    let mut well = settled();
    well.world.secret.tags.remove(CONNECTOR_TAG);
    well.world.connector = Some(connector(&well.world, VERSION, |_| {}));
    well.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&Trigger::Reconcile { revoke_replaced: false }, &well), ["tagManaged"], "it is set by itself");
    assert_eq!(steps(&Trigger::SecretChanged { version: None }, &well), [""; 0], "nothing is written");
}

#[test]
fn an_offboarded_secret_may_go_to_another_connector_once_the_first_is_gone() {
    let mut state = settled();
    state.world.secret.tags.insert("hubkeeper".into(), "offboarded".into());
    state.world.document = Some(document(|value| value["connector"]["name"] = json!("other")));
    state.world.current = None;
    assert_eq!(steps(&onboard_trigger(), &state), ["read former"]);
    state.world.keeping.former = Some(connector(&state.world, OLD, |_| {}));
    assert_eq!(kind(&onboard_trigger(), &state), Kind::NeedsHuman);
    let taken = connector(&state.world, OLD, |body| body["tags"]["hubkeeper-secret"] = json!("ba9876543210"));
    for gone in [Found::Absent, taken] {
        state.world.keeping.former = Some(gone);
        state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
        let plan = plan(&onboard_trigger(), &state, CLIENT).unwrap();
        let Next::Do(steps) = plan.next else { panic!("no steps") };
        let tag = "acme/a5caac9c-5c04-49af-b3d0-e204f40345d5/rg/other";
        assert_eq!(steps[0], Step::TagManaged { connector: Some(tag.into()), stack: None });
    }
}

#[test]
fn a_connector_is_created_only_where_none_with_the_fingerprint_exists_elsewhere() {
    for trigger in WRITERS.map(|trigger| trigger()).into_iter().chain([Trigger::SetSecret]) {
        let mut state = if trigger == Trigger::SetSecret { rotating() } else { settled() };
        if matches!(trigger, Trigger::CandidateStaged { .. }) {
            state.world.secret.versions.insert(VERSION.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
        }
        state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
        state.world.keeping.elsewhere = None;
        assert_eq!(steps(&trigger, &state), ["look elsewhere"], "{trigger:?}");
        let moved = ConnectorId { resource_group: "other".into(), ..document(|_| {}).connector.id };
        state.world.keeping.elsewhere = Some(vec![moved.clone()]);
        let error = plan(&trigger, &state, CLIENT).unwrap_err();
        assert_eq!(error.kind(), Kind::NeedsHuman, "{trigger:?}");
        for id in [moved, document(|_| {}).connector.id] {
            assert!(error.to_string().contains(&id.to_string()), "{error}");
        }
        state.world.connector = Some(connector(&state.world, OLD, |_| {}));
        assert!(plan(&trigger, &state, CLIENT).is_ok(), "{trigger:?}: nothing is created");
    }
}

#[test]
fn a_stack_that_finds_no_connector_leaves_its_mark() {
    let mut state = settled();
    state.world.keeping.stack = Some("ab12".into());
    state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    let marked = |state: &State| match plan(&onboard_trigger(), state, CLIENT).unwrap().next {
        Next::Do(steps) => steps.contains(&Step::TagManaged { connector: None, stack: Some("ab12".into()) }),
        _ => false,
    };
    assert!(marked(&state));
    state.world.connector = Some(connector(&state.world, OLD, |_| {}));
    assert!(!marked(&state), "the connector is somebody else's doing");
}

#[test]
fn a_rotation_or_a_candidate_about_something_else_is_refused() {
    let mut state = rotating();
    state.world.document = Some(other_organization());
    for trigger in [Trigger::SetSecret, Trigger::FinishSecret, Trigger::CandidateStaged { version: None }] {
        state.world.connector = Some(Found::Absent);
        assert_eq!(kind(&trigger, &state), Kind::NeedsHuman, "{trigger:?}");
    }
    state.world.current = None;
    state.world.secret.tags.clear();
    assert_eq!(steps(&Trigger::SetSecret, &state), ["prove first"], "there is nothing to compare with");
}

#[test]
fn a_location_is_the_same_in_every_spelling() {
    let mut state = settled();
    for (location, expected) in [
        ("West Europe", vec![]),
        ("westeurope", vec![]),
        ("westeurope2", vec!["locationKept"]),
        ("", vec!["locationKept"]),
    ] {
        state.world.connector = Some(connector(&state.world, VERSION, |body| body["location"] = json!(location)));
        assert_eq!(codes(&onboard_trigger(), &state), expected, "{location}");
    }
    state.world.connector = Some(connector(&state.world, VERSION, |body| {
        body.as_object_mut().unwrap().remove("location");
    }));
    assert_eq!(codes(&onboard_trigger(), &state), [""; 0]);
}

#[test]
fn verify_proves_what_holds_a_token() {
    let trigger = Trigger::Verify { version: None };
    let mut state = settled();
    assert_eq!(steps(&trigger, &state), ["prove first"]);
    state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Partial) });
    assert_eq!(steps(&trigger, &state), [""; 0], "whatever the verdict is");
    state.world.document = Some(document(|value| value["accessToken"] = Value::Null));
    assert_eq!(kind(&trigger, &state), Kind::NeedsHuman);
}

#[test]
fn a_reconcile_asks_the_owner_only_where_an_onboarding_from_zero_began() {
    let trigger = Trigger::Reconcile { revoke_replaced: false };
    let mut state = settled();
    state.world.document = Some(document(|value| {
        value["owner"] = json!("vault/owner");
        value["user"] = json!({"email": "scanner@acme.example"});
    }));
    assert_eq!(steps(&trigger, &state), ["prove first"]);
    assert_eq!(steps(&onboard_trigger(), &state), ["roster"]);
    state.world.secret.tags.insert("hubkeeper-invite".into(), "asked".into());
    assert_eq!(steps(&trigger, &state), ["roster"]);
}

#[test]
fn onboard_tags_the_secret_before_anything_else_and_once() {
    let mut state = settled();
    state.world.secret.tags.clear();
    state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&onboard_trigger(), &state), ["tagManaged", "writeConnector"]);
    state.world.connector = Some(connector(&state.world, VERSION, |_| {}));
    assert_eq!(steps(&onboard_trigger(), &state), ["tagManaged"]);
    state.world.note_tags(Some("acme/a5caac9c-5c04-49af-b3d0-e204f40345d5/rg/hub"), None);
    assert_eq!(steps(&onboard_trigger(), &state), [""; 0]);
}

#[test]
fn an_onboarding_that_cannot_go_on_says_why() {
    let mut state = settled();
    state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Rejected) });
    assert_eq!(kind(&onboard_trigger(), &state), Kind::Refused, "nobody but a person can make another");
    state.world.document = Some(document(|value| value["manager"] = json!("m")));
    state.progress.proven = Some(Proven { version: VERSION.into(), verdict: verdict(Finding::Partial) });
    assert_eq!(kind(&onboard_trigger(), &state), Kind::Refused, "another token would see no more");
    state.world.connector = Some(connector(&state.world, VERSION, |_| {}));
    assert_eq!(kind(&onboard_trigger(), &state), Kind::Refused, "not even where the connector carries it");

    // a candidate that hubkeeper cannot replace
    let mut state = settled();
    state.world.document = Some(document(|value| value["accessToken"] = Value::Null));
    state.world.candidate = Some(Version { id: OLD.into(), document: document(|_| {}) });
    state.world.secret.versions.insert(OLD.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    state.progress.proven = Some(Proven { version: OLD.into(), verdict: verdict(Finding::Rejected) });
    assert_eq!(kind(&onboard_trigger(), &state), Kind::Refused);
    state.progress.proven = Some(Proven { version: OLD.into(), verdict: verdict(Finding::Complete) });
    assert_eq!(steps(&onboard_trigger(), &state), ["writeConnector", "moveCurrent", "unstage"]);
    state.world.secret.versions.remove(VERSION);
    assert_eq!(steps(&onboard_trigger(), &state), ["writeConnector", "unstage"], "no label to take away");

    // a candidate without a token is skipped
    state.world.candidate =
        Some(Version { id: OLD.into(), document: document(|value| value["accessToken"] = Value::Null) });
    assert_eq!(kind(&onboard_trigger(), &state), Kind::NeedsHuman);
    state.world.secret.tags.insert("hubkeeper-invite".into(), "member".into());
    assert_eq!(steps(&onboard_trigger(), &state), ["nothing"], "an onboarding from zero waits");
    state.world.secret.tags.remove("hubkeeper-invite");
    state.world.document = None;
    assert_eq!(kind(&onboard_trigger(), &state), Kind::NeedsHuman);
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
