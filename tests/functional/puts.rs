//! Tests created tokens that cannot be stored, and a candidate that a person stages during a create (docs/events.md).

use hubkeeper_sandbox::world::{Service, json as response};
use hubkeeper_sandbox::{Fault, Request, aws, hub};
use serde_json::json;

use hubkeeper_scene::{Answer, Begin, Scene, USER, interleave, outcome};

fn is_put(service: Service, request: &Request) -> bool {
    service == Service::Aws && aws::action(request).as_deref() == Some("PutSecretValue")
}

fn refusal(code: &str) -> Fault {
    Fault::Answer(response(400, &json!({"__type": code, "Message": "no"})))
}

/// Runs createSecret with a fault for each attempt of the put.
async fn create_secret(scene: &Scene, attempts: Vec<fn() -> Fault>) -> (Answer, String) {
    let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    let mut attempts = attempts.into_iter();
    scene.world.script(
        move |_, service, request| {
            if is_put(service, request) { attempts.next().map(|fault| fault()) } else { None }
        },
    );
    let answer = scene.invoke(scene.step("createSecret", &version, token.as_deref())).await;
    (answer, version)
}

#[tokio::test(start_paused = true)]
async fn a_put_that_was_refused_for_certain_leaves_no_token_behind() {
    let refusals: [fn() -> Fault; 6] = [
        || refusal("AccessDeniedException"),
        || refusal("EncryptionFailure"),
        || refusal("LimitExceededException"),
        || refusal("InvalidParameterException"),
        || refusal("InvalidRequestException"),
        || refusal("KMSAccessDeniedException"),
    ];
    for refused in refusals {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        let before = scene.world.with(|state| hub::pats_of(state, USER));
        let (answer, version) = create_secret(&scene, vec![refused]).await;
        assert!(answer.is_err(), "{}", outcome(&answer));
        assert_eq!(scene.pats_of_version(&version), [""; 0], "{}", outcome(&answer));
        let after = scene.world.with(|state| hub::pats_of(state, USER));
        assert_eq!(before.len(), after.len(), "only the token that this step minted is deleted");
        scene.world.calm();
        let again = scene.invoke(scene.step("createSecret", &version, None)).await;
        assert_eq!(outcome(&again), "applied");
        assert_eq!(scene.pats_of_version(&version).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_may_have_been_carried_out_deletes_nothing() {
    let lost: [fn() -> Fault; 3] = [
        || Fault::AnswerAfter(response(500, &json!({"__type": "InternalServiceError", "Message": "no"}))),
        || Fault::ResetAfter,
        || Fault::Hang,
    ];
    for first in lost {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        let (answer, version) = create_secret(&scene, vec![first, || refusal("AccessDeniedException")]).await;
        assert!(answer.is_err(), "{}", outcome(&answer));
        let stored = scene.value(&version);
        assert_eq!(scene.pats_of_version(&version), [stored["tokenId"].as_str().unwrap()], "the value was stored");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_put_of_an_onboarding_leaves_no_token_behind_either() {
    let scene = Scene::new(Begin::Manager);
    scene.world.script(|_, service, request| is_put(service, request).then(|| refusal("LimitExceededException")));
    for _ in 0..3 {
        assert!(outcome(&scene.onboard().await).contains("LimitExceededException"));
    }
    assert_eq!(scene.world.with(|state| hub::pats_of(state, USER)).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_can_be_neither_stored_nor_deleted_is_named() {
    let scene = Scene::new(Begin::Manager);
    scene.world.script(|_, service, request| {
        if is_put(service, request) {
            return Some(refusal("LimitExceededException"));
        }
        (request.method() == "DELETE").then(|| Fault::Answer(response(500, &json!({"message": "internal"}))))
    });
    let fleet = scene.invoke(json!({"action": "onboard", "secretIds": [scene.arn]})).await.unwrap();
    let warnings = fleet["items"][0]["warnings"].to_string();
    let pats = scene.world.with(|state| hub::pats_of(state, USER));
    assert!(warnings.contains("unstoredToken") && warnings.contains(&pats[0].uuid), "{warnings}");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_create_secret_is_unchanged() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    let event = scene.step("createSecret", &version, token.as_deref());
    assert_eq!(outcome(&scene.invoke(event.clone()).await), "applied");
    assert_eq!(outcome(&scene.invoke(event).await), "unchanged");
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_is_staged_while_a_token_is_minted_keeps_its_label_and_is_adopted_next() {
    let mut staged_in_time = 0;
    for at in 0.. {
        let scene = Scene::new(Begin::Manager);
        let event = json!({"action": "onboard", "secretId": scene.arn});
        let person = async {
            let token = scene.good_token();
            scene.stage(&token, |value| value["manager"] = json!("hubkeeper/manager"), &["HUBKEEPER_CANDIDATE"])
        };
        let (answer, candidate) = interleave(&scene, event.clone(), at, person).await;
        let Some(candidate) = candidate else { break };
        let is_current = scene.version("AWSCURRENT").as_deref() == Some(candidate.as_str());
        let is_staged = scene.version("HUBKEEPER_CANDIDATE").as_deref() == Some(candidate.as_str());
        assert!(is_current || is_staged, "request {at}: the label was taken away; {}", outcome(&answer));
        if answer.is_err() {
            assert!(outcome(&answer).starts_with("Retryable"), "request {at}: {}", outcome(&answer));
            assert_eq!(outcome(&scene.onboard().await), "applied", "request {at}");
            assert_eq!(scene.version("AWSCURRENT"), Some(candidate), "request {at}: the next run adopts it");
            staged_in_time += 1;
        }
    }
    assert!(staged_in_time > 0, "no request between mint and label");
}

#[tokio::test(start_paused = true)]
async fn the_label_of_a_minted_token_is_no_event() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let minted = scene.version("HUBKEEPER_MINTED").unwrap();
    let _ = scene.world.take_record();
    let report = scene.invoke(scene.label_event("HUBKEEPER_MINTED", &minted)).await.unwrap();
    assert_eq!(report["outcome"], "ignored", "{report}");
    assert_eq!(scene.world.record().len(), 0);
}
