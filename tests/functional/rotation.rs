//! Tests the four steps of a rotation, with a manager and with a candidate (docs/events.md).

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{aws, hub};
use serde_json::json;

use hubkeeper_scene::{Begin, ORG, Scene, USER, outcome};

#[tokio::test(start_paused = true)]
async fn a_managed_rotation_mints_proves_connects_and_keeps_the_old_token() {
    let scene = Scene::new(Begin::Manager);
    assert_eq!(outcome(&scene.onboard().await), "applied");
    let old = scene.connector().unwrap();
    let rotation = scene.rotate(1).await;
    assert!(rotation.succeeded, "{:?}", rotation.steps);
    let stages = rotation.steps[1].1.as_ref().unwrap()["stages"].to_string();
    assert!(stages.contains("writeConnector"), "{stages}");
    assert_eq!(stages.matches("\"prove\"").count(), 1, "a token is proven once: {stages}");
    let new = scene.connector().unwrap();
    assert_eq!(new.0, rotation.version_id);
    assert_eq!(scene.version("AWSCURRENT").as_deref(), Some(rotation.version_id.as_str()));
    assert_ne!(new.1, old.1);
    scene.world.with(|state| {
        assert!(hub::accepts(state, USER, &old.1), "the old token is retired by reconcile, much later");
        assert_eq!(aws::tags(state, &scene.arn)["hubkeeper"], "managed");
    });
    let value = scene.value(&rotation.version_id);
    assert_eq!(value["contact"], "security@example.com", "unknown members are kept");
    assert_eq!(scene.pats_of_version(&rotation.version_id), [value["tokenId"].as_str().unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn each_step_repeated_changes_nothing_more() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        let event = scene.step(step, &version, token.as_deref());
        assert_ne!(outcome(&scene.invoke(event.clone()).await), "failed");
        let value = scene.value(&version);
        let before = (scene.connector(), scene.version("AWSCURRENT"), scene.pats_of_version(&version), value);
        let _ = scene.world.take_record();
        let again = scene.invoke(event).await;
        assert!(["unchanged", "applied"].contains(&outcome(&again).as_str()), "{step}: {}", outcome(&again));
        let after =
            (scene.connector(), scene.version("AWSCURRENT"), scene.pats_of_version(&version), scene.value(&version));
        assert_eq!(before, after, "{step}");
        if step == "setSecret" {
            assert_eq!(scene.requests(Service::HubAuth), 0, "what the connector carries is not proven again");
        }
        assert_eq!(scene.writes(), [""; 0], "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_candidate_gives_its_token_to_the_pending_version() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    // an event about the candidate would adopt it, so the rotation comes first
    let token = scene.good_token();
    let candidate =
        scene.stage(&token, |value| value["expiresAt"] = json!("2027-11-24T00:00:00Z"), &["HUBKEEPER_CANDIDATE"]);
    let rotation = scene.rotate(1).await;
    assert!(rotation.succeeded, "{:?}", rotation.steps);
    let value = scene.value(&rotation.version_id);
    assert_eq!(value["candidateVersion"], json!(candidate));
    assert_eq!(value["expiresAt"], "2027-11-24T00:00:00Z");
    assert_eq!(scene.connector().unwrap(), (rotation.version_id.clone(), token));
    assert_eq!(scene.version("HUBKEEPER_CANDIDATE"), None);
    let warnings = rotation.steps.last().unwrap().1.as_ref().unwrap()["warnings"].to_string();
    assert!(warnings.contains("replacedByHand"), "{warnings}");
}

#[tokio::test(start_paused = true)]
async fn without_manager_and_candidate_a_person_is_told_how_to_stage_one() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let rotation = scene.rotate(1).await;
    let error = rotation.steps[0].1.clone().unwrap_err();
    assert_eq!(error.error_type, "NeedsHuman");
    for word in ["createSecret", ORG, "put-secret-value", "HUBKEEPER_CANDIDATE"] {
        assert!(error.message.contains(word), "{}", error.message);
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_factor_is_answered() {
    let scene = Scene::new(Begin::Manager);
    let seed = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    scene.world.with(|state| hub::set_totp(state, USER, Some(seed)));
    let answer = scene.onboard().await;
    let error = answer.unwrap_err().to_string();
    assert!(error.contains("second factor") && error.contains("totpSecret"), "{error}");
    scene.world.with(|state| {
        let manager = aws::create_secret(
            state,
            "hubkeeper/manager-2fa",
            &json!({"username": USER, "password": hubkeeper_scene::PASSWORD, "totpSecret": seed, "usedBy": ["hubkeeper/acme"]}),
            &[],
        );
        assert!(manager.contains("manager-2fa"));
    });
    let mut value = hubkeeper_scene::document();
    value["manager"] = json!("hubkeeper/manager-2fa");
    scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
    assert_eq!(outcome(&scene.onboard().await), "applied");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_a_person_breaks_into_is_abandoned_and_changes_nothing() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    scene.invoke(scene.step("createSecret", &version, token.as_deref())).await.unwrap();
    let before = scene.connector();
    let by_hand = scene.good_token();
    scene.stage(&by_hand, |_| {}, &["AWSCURRENT"]);
    let _ = scene.world.take_record();
    let answer = scene.invoke(scene.step("setSecret", &version, token.as_deref())).await;
    assert!(outcome(&answer).starts_with("NeedsHuman"), "{}", outcome(&answer));
    assert_eq!(scene.connector(), before);
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn while_a_rotation_is_in_progress_only_its_steps_write() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let current = scene.version("AWSCURRENT").unwrap();
    let candidate = {
        let token = scene.good_token();
        scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"])
    };
    let (version, _) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    let _ = scene.world.take_record();
    for event in [
        json!({"action": "onboard", "secretId": scene.arn}),
        json!({"action": "onboard", "secretId": scene.arn, "mode": "plan"}),
        scene.label_event("AWSCURRENT", &current),
        scene.label_event("HUBKEEPER_CANDIDATE", &candidate),
    ] {
        let answer = outcome(&scene.invoke(event.clone()).await);
        assert!(answer.starts_with("Retryable") && answer.contains(&version), "{event}: {answer}");
    }
    let verified = scene.invoke(json!({"action": "verify", "secretId": scene.arn})).await;
    assert_eq!(outcome(&verified), "proven");
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_checks_of_the_template_hold() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let current = scene.version("AWSCURRENT").unwrap();
    assert_eq!(outcome(&scene.invoke(scene.step("createSecret", &current, None)).await), "unchanged");
    let unknown = "00000000-0000-4000-a000-00000000dead";
    assert!(outcome(&scene.invoke(scene.step("createSecret", unknown, None)).await).starts_with("NeedsHuman"));
    let (version, _) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, false));
    let early = outcome(&scene.invoke(scene.step("finishSecret", &version, None)).await);
    assert!(early.starts_with("Retryable"), "{early}");
    scene.world.with(|state| aws::enable_rotation(state, &scene.arn, false));
    assert!(outcome(&scene.invoke(scene.step("createSecret", &version, None)).await).starts_with("Misconfigured"));
    scene.world.with(|state| {
        aws::enable_rotation(state, &scene.arn, true);
        aws::set_tag(state, &scene.arn, "hubkeeper", "offboarded");
    });
    let refused = outcome(&scene.invoke(scene.step("createSecret", &version, None)).await);
    assert!(refused.starts_with("Refused") && refused.contains("cancel-rotate-secret"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_is_only_tried_out_proves_what_is_current() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    for copy in [false, true] {
        scene.world.with(|state| state.aws.test_copies_current = copy);
        let _ = scene.world.take_record();
        let tried = hubkeeper_sandbox::rotation::test_only(&scene.world, &scene, &scene.arn).await;
        assert!(tried.succeeded, "{:?}", tried.steps);
        assert_eq!(scene.writes(), [""; 0]);
        assert!(scene.requests(Service::HubAuth) > 0, "it is a proof");
    }
}

#[tokio::test(start_paused = true)]
async fn the_minted_token_stays_after_a_refusal_and_the_retry_goes_through_with_it() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let before = scene.connector();
    scene.world.with(|state| {
        hub::add_member(state, ORG, USER, hub::Role::Member);
        hub::add_team(state, ORG, "readers");
        hub::add_to_team(state, ORG, "readers", USER);
        for name in ["api", "db", "ops"] {
            hub::team_permission(state, ORG, "readers", name, Some(hub::Permission::Read));
        }
        hub::team_permission(state, ORG, "readers", "ops", None);
    });
    // the current token no longer sees ops either, so the document requires it
    let mut value = scene.value(&scene.version("AWSCURRENT").unwrap());
    value["expectedRepositories"] = json!(["ops", "a*"]);
    scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
    let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    scene.invoke(scene.step("createSecret", &version, token.as_deref())).await.unwrap();
    let refused = scene.invoke(scene.step("setSecret", &version, token.as_deref())).await;
    let message = outcome(&refused);
    assert!(message.starts_with("Refused") && message.contains("partial") && message.contains("ops"), "{message}");
    assert_eq!(scene.connector(), before);
    assert_eq!(scene.pats_of_version(&version).len(), 1);
    scene.world.with(|state| hub::team_permission(state, ORG, "readers", "ops", Some(hub::Permission::Read)));
    let rotation = scene.rotate(1).await;
    assert!(rotation.succeeded, "{:?}", rotation.steps);
    assert_eq!(rotation.version_id, version);
}
