//! Tests lost responses: the connection breaks after the service carried out the request.

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Fault, Request, aws, hub};

use hubkeeper_scene::{Begin, Scene, USER, outcome};

/// Breaks the connection after the first request that matches.
fn break_after(scene: &Scene, matches: impl Fn(Service, &Request) -> bool + Send + 'static) {
    let mut done = false;
    scene.world.script(move |_, service, request| {
        let hit = !done && matches(service, request);
        done |= hit;
        hit.then_some(Fault::ResetAfter)
    });
}

fn is_mint(service: Service, request: &Request) -> bool {
    service == Service::Hub && request.method() == "POST" && request.uri().path() == "/v2/access-tokens"
}

fn is_action(action: &'static str) -> impl Fn(Service, &Request) -> bool + Send {
    move |service, request| service == Service::Aws && aws::action(request).as_deref() == Some(action)
}

async fn converges(matches: impl Fn(Service, &Request) -> bool + Send + 'static) {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    break_after(&scene, matches);
    let rotation = scene.rotate(3).await;
    scene.world.calm();
    assert!(rotation.succeeded, "{:?}", rotation.steps);
    let stored = scene.value(&rotation.version_id);
    assert_eq!(scene.pats_of_version(&rotation.version_id), [stored["tokenId"].as_str().unwrap()]);
    let token = stored["accessToken"].as_str().unwrap();
    assert!(scene.world.with(|state| hub::accepts(state, USER, token)));
    assert_eq!(scene.connector().unwrap(), (rotation.version_id.clone(), token.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn after_the_token_was_made() {
    converges(is_mint).await;
}

#[tokio::test(start_paused = true)]
async fn after_the_value_was_put() {
    converges(is_action("PutSecretValue")).await;
}

#[tokio::test(start_paused = true)]
async fn after_the_connector_was_written() {
    converges(|service, request| service == Service::Arm && request.method() == "PUT").await;
}

#[tokio::test(start_paused = true)]
async fn after_the_label_was_moved() {
    converges(is_action("UpdateSecretVersionStage")).await;
}

#[tokio::test(start_paused = true)]
async fn a_put_of_the_connector_that_is_lost_is_not_sent_again_blindly() {
    let scene = Scene::new(Begin::ByHand);
    break_after(&scene, |service, request| service == Service::Arm && request.method() == "PUT");
    assert_eq!(outcome(&scene.onboard().await), "applied");
    assert_eq!(scene.connector_writes().len(), 1, "the look finds that it was written");
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_refused_is_not_tried_again() {
    let scene = Scene::new(Begin::Manager);
    scene.world.with(|state| hub::set_password(state, USER, "another-password-7"));
    let answer = outcome(&scene.onboard().await);
    assert!(answer.starts_with("NeedsHuman") && answer.contains("password"), "{answer}");
    assert_eq!(scene.requests(Service::Hub), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_stops_asking_to_wait_is_left_before_the_deadline() {
    for (status, wait) in [(429, "0"), (429, "1"), (503, "1"), (503, "0")] {
        let scene = Scene::new(Begin::ByHand);
        scene.world.script(move |_, service, _| {
            let answer = http::Response::builder().status(status).header("retry-after", wait).body(bytes::Bytes::new());
            (service == Service::Hub).then(|| Fault::Answer(answer.unwrap()))
        });
        let answer = outcome(&scene.onboard().await);
        assert!(answer.starts_with("Retryable") && answer.contains("inconclusive"), "{answer}");
        assert!(scene.requests(Service::Hub) < 50, "{status} {wait}: {}", scene.requests(Service::Hub));
        assert_eq!(scene.connector_writes(), [""; 0]);
    }
}

/// The limits of a host live as long as the process: an implausible wait must not block later events.
#[tokio::test(start_paused = true)]
async fn a_wait_that_cannot_be_meant_does_not_outlive_the_invocation() {
    let milliseconds = "1795514400000";
    for (status, headers) in [
        (429, vec![("retry-after", "31536000")]),
        (429, vec![("retry-after", "99999999999999999999")]),
        (503, vec![("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]),
        (429, vec![("x-retry-after", milliseconds)]),
        (429, vec![("x-ratelimit-reset", milliseconds)]),
        (429, vec![("x-ratelimit-reset", milliseconds), ("x-ratelimit-remaining", "0")]),
        (200, vec![("x-ratelimit-reset", milliseconds), ("x-ratelimit-remaining", "0")]),
    ] {
        let scene = Scene::new(Begin::ByHand);
        let mut told = false;
        let asked = headers.clone();
        scene.world.script(move |_, service, _| {
            let hit = !told && service == Service::Hub;
            told |= hit;
            let answer = asked
                .iter()
                .fold(http::Response::builder().status(status), |answer, (name, value)| answer.header(*name, *value));
            hit.then(|| Fault::Answer(answer.body(bytes::Bytes::from_static(b"{}")).unwrap()))
        });
        let first = outcome(&scene.onboard().await);
        assert!(first.starts_with("Retryable"), "{status} {headers:?}: {first}");
        if status != 200 {
            assert_eq!(
                scene.requests(Service::Hub),
                1,
                "{status} {headers:?}: who was sent away for a year does not ask on"
            );
        }
        let start = tokio::time::Instant::now();
        assert_eq!(outcome(&scene.onboard().await), "applied", "{status} {headers:?}");
        assert!(start.elapsed() < std::time::Duration::from_mins(1), "{status} {headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_locked_out_address_is_not_made_worse() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.script(|_, service, _| {
        let body = bytes::Bytes::from_static(b"too many failed login attempts for username or IP address");
        let answer = http::Response::builder().status(429).body(body);
        (service == Service::Hub).then(|| Fault::Answer(answer.unwrap()))
    });
    assert!(outcome(&scene.onboard().await).starts_with("Retryable"));
    assert_eq!(scene.requests(Service::Hub), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bearer_that_arm_does_not_take_is_replaced_once() {
    let scene = Scene::new(Begin::ByHand);
    let mut first = true;
    scene.world.script(move |_, service, _| {
        let hit = first && service == Service::Arm;
        first &= !hit;
        let answer = hubkeeper_sandbox::world::json(
            401,
            &serde_json::json!({"error": {"code": "ExpiredAuthenticationToken", "message": "expired"}}),
        );
        hit.then_some(Fault::Answer(answer))
    });
    assert_eq!(outcome(&scene.onboard().await), "applied");
    assert_eq!(scene.requests(Service::Entra), 2);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_ends_before_the_token_is_made_is_repeated_and_what_may_make_none_is_for_a_person() {
    for (status, kind) in [(401, "Retryable"), (403, "NeedsHuman")] {
        let scene = Scene::new(Begin::Manager);
        scene.world.script(move |_, service, request| {
            let answer = hubkeeper_sandbox::world::json(status, &serde_json::json!({"message": "refused"}));
            is_mint(service, request).then_some(Fault::Answer(answer))
        });
        let answer = outcome(&scene.onboard().await);
        assert!(answer.starts_with(kind) && answer.contains("remedy: "), "{status}: {answer}");
        assert_eq!(scene.connector_writes(), [""; 0]);
        scene.world.calm();
        assert_eq!(outcome(&scene.onboard().await), "applied");
        assert_eq!(scene.world.with(|state| hub::pats_of(state, USER)).len(), 1);
    }
}
