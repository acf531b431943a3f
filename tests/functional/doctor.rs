//! Tests `{"action": "doctor"}`: what the function finds, what it asks for, and that it writes nothing.

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{arm, hub};
use hubkeeper_scene::{Begin, CLIENT, SUBSCRIPTION, Scene, USER};
use serde_json::{Value, json};

async fn doctor(scene: &Scene, event: Value) -> Value {
    let answer = scene.invoke(event).await.unwrap();
    assert_eq!((&answer["action"], &answer["outcome"]), (&json!("doctor"), &json!("unchanged")), "{answer}");
    answer
}

/// The checks in a state, by name.
fn in_state(answer: &Value, state: &str) -> Vec<String> {
    let checks = answer["checks"].as_array().unwrap().iter().filter(|check| check["state"] == state);
    checks.map(|check| check["check"].as_str().unwrap().to_owned()).collect()
}

async fn onboarded() -> Scene {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    scene.world.with(|state| arm::grant_reader(state, CLIENT, SUBSCRIPTION));
    let _ = scene.world.take_record();
    scene
}

#[tokio::test(start_paused = true)]
async fn a_connected_secret_passes_every_check_and_nothing_is_written() {
    let scene = onboarded().await;
    let answer = doctor(&scene, json!({"action": "doctor", "secretId": scene.arn})).await;
    assert_eq!(in_state(&answer, "failure"), [""; 0], "{answer:#}");
    assert_eq!(in_state(&answer, "notReached"), ["owner"], "{answer:#}");
    assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(answer["subject"]["organization"], "acme");
    assert!(answer.get("transcript").is_none());
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_only_managed_secret_needs_no_name() {
    let scene = onboarded().await;
    let answer = doctor(&scene, json!({"action": "doctor"})).await;
    assert_eq!(answer["secretId"], json!(scene.arn), "{answer:#}");
}

#[tokio::test(start_paused = true)]
async fn the_exchange_is_tried_again_although_the_process_has_a_bearer() {
    let scene = onboarded().await;
    let handler = scene.handler(None);
    for _ in 0..2 {
        let _ = scene.world.take_record();
        handler.handle(&json!({"action": "doctor"}), scene.deadline()).await.unwrap();
        assert_eq!(scene.requests(Service::Entra), 2, "the host, and the token");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_tried_once() {
    let mut scene = onboarded().await;
    // a person revokes the token in the connector
    scene.checked = false;
    scene.world.with(|state| {
        let ids: Vec<String> = hub::pats_of(state, USER).into_iter().map(|pat| pat.uuid).collect();
        for id in &ids {
            hub::revoke(state, id);
        }
    });
    let answer = doctor(&scene, json!({"action": "doctor"})).await;
    assert_eq!(in_state(&answer, "failure"), ["tokenLogin"], "{answer:#}");
    assert_eq!(scene.world.with(|state| hub::failed_logins(state, USER)), 1);
}

#[tokio::test(start_paused = true)]
async fn a_transcript_comes_only_when_it_is_asked_for_and_names_nobody() {
    let scene = onboarded().await;
    let answer = doctor(&scene, json!({"action": "doctor", "record": true})).await;
    let transcript = answer["transcript"].to_string();
    assert!(answer["transcript"]["exchanges"].as_array().unwrap().len() > 15, "{transcript}");
    for name in ["acme", USER, SUBSCRIPTION, CLIENT] {
        assert!(!transcript.contains(name), "{name}");
    }
    assert_eq!(scene.writes(), [""; 0]);
}
