//! Checks that no output contains a secret. Every [`Scene`] searches its outputs when it ends. These tests cover the
//! search itself, and the outputs where a leak is likely.

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Fault, leak};
use serde_json::json;

use hubkeeper_scene::{Begin, PASSWORD, Scene, logged, outcome};

#[tokio::test(start_paused = true)]
async fn a_planted_leak_is_found() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let (_, token) = scene.connector().unwrap();
    let secrets = scene.world.with(|state| leak::secrets_of(state));
    assert!(secrets.contains(&token) && secrets.iter().any(|secret| secret == PASSWORD));
    let clean = scene.output();
    assert!(leak::find(&secrets, &clean).is_empty());
    for planted in [
        token.clone(),
        format!("Bearer x{token}y"),
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("xx{token}")),
    ] {
        assert!(!leak::find(&secrets, &format!("{clean}{planted}")).is_empty(), "{planted}");
    }
}

#[tokio::test(start_paused = true)]
async fn services_that_quote_the_request_leak_nothing() {
    for service in Service::ALL.into_iter().filter(|service| *service != Service::Responses) {
        for status in [400_u16, 401, 403, 409, 500] {
            let scene = Scene::new(Begin::Manager);
            scene.world.script(move |state, asked, request| {
                let body = String::from_utf8_lossy(request.body()).into_owned();
                let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
                let secrets = leak::secrets_of(state).join(" ");
                let quoted = format!("{body} {authorization} {secrets}");
                let answer = json!({"message": quoted, "detail": quoted, "details": quoted, "error": {"code": quoted, "message": quoted},
                    "error_description": quoted, "errorMessage": quoted, "__type": quoted, "Message": quoted});
                (asked == service).then(|| Fault::Answer(hubkeeper_sandbox::world::json(status, &answer)))
            });
            let answer = scene.onboard().await;
            assert!(answer.is_err() || service == Service::Registry, "{service:?} {status}: {}", outcome(&answer));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_event_is_logged_once_with_a_time_and_a_level() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let text = logged();
    let mine: Vec<serde_json::Value> = text
        .lines()
        .filter(|line| line.contains("event handled"))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert!(!mine.is_empty());
    for line in mine {
        let at = line["timestamp"].as_str().unwrap();
        assert!(hubkeeper_core::time::parse_rfc3339(at).is_some(), "{at}");
        assert_eq!(line["level"], "INFO");
    }
}
