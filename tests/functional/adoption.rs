//! Tests the adoption of a candidate that a person staged, and of a changed secret (docs/operating.md).

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{aws, hub};
use serde_json::json;

use hubkeeper_scene::{Begin, ORG, Scene, USER, kill, outcome};

#[tokio::test(start_paused = true)]
async fn a_candidate_is_proven_connected_made_current_and_unstaged() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let token = scene.good_token();
    let version = scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
    let event = scene.label_event("HUBKEEPER_CANDIDATE", &version);
    assert_eq!(outcome(&scene.invoke(event.clone()).await), "applied");
    assert_eq!(scene.connector().unwrap(), (version.clone(), token));
    assert_eq!(scene.version("AWSCURRENT"), Some(version.clone()));
    assert_eq!(scene.version("HUBKEEPER_CANDIDATE"), None);
    let _ = scene.world.take_record();
    assert_eq!(outcome(&scene.invoke(event).await), "unchanged");
    // the event of the function's own move of AWSCURRENT
    assert_eq!(outcome(&scene.invoke(scene.label_event("AWSCURRENT", &version)).await), "unchanged");
    assert_eq!(scene.writes(), [""; 0]);
    assert_eq!(scene.requests(Service::Hub), 0, "already carried: no proof");
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_sees_too_little_leaves_everything_as_it_was() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let before = (scene.connector(), scene.version("AWSCURRENT"));
    let (_, token) = scene.world.with(|state| hub::add_pat(state, USER, "x", &["repo:public_read"], None));
    let version = scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
    let _ = scene.world.take_record();
    let answer = outcome(&scene.invoke(scene.label_event("HUBKEEPER_CANDIDATE", &version)).await);
    assert!(answer.starts_with("Refused") && answer.contains("adopt") && answer.contains(ORG), "{answer}");
    assert_eq!((scene.connector(), scene.version("AWSCURRENT")), before);
    assert_eq!(scene.version("HUBKEEPER_CANDIDATE"), Some(version));
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_of_another_organization_or_connector_needs_a_person() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let token = scene.good_token();
    for change in [
        (|value: &mut serde_json::Value| value["organization"] = json!("other")) as fn(&mut serde_json::Value),
        |value| value["connector"]["name"] = json!("another"),
    ] {
        let version = scene.stage(&token, change, &["HUBKEEPER_CANDIDATE"]);
        let answer = outcome(&scene.invoke(scene.label_event("HUBKEEPER_CANDIDATE", &version)).await);
        assert!(answer.starts_with("NeedsHuman") && answer.contains("offboard"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_are_not_ours_are_ignored_and_say_why() {
    let scene = Scene::new(Begin::ByHand);
    let current = scene.version("AWSCURRENT").unwrap();
    let untagged = scene.invoke(scene.label_event("AWSCURRENT", &current)).await.unwrap();
    assert_eq!(untagged["outcome"], "ignored");
    assert!(untagged["reason"].as_str().unwrap().contains("managed"));
    scene.onboard().await.unwrap();
    let (pending, _) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, false));
    // while the event is young, the function waits for a version that is not visible yet
    tokio::time::sleep(std::time::Duration::from_mins(11)).await;
    for (event, why) in [
        (scene.label_event("SOMETHING", &current), "label"),
        (scene.label_event("AWSCURRENT", &pending), "AWSPENDING"),
        (scene.label_event("AWSCURRENT", "00000000-0000-4000-a000-00000000dead"), "AWSCURRENT"),
        (scene.label_event("HUBKEEPER_CANDIDATE", "00000000-0000-4000-a000-00000000dead"), "staged"),
    ] {
        let report = scene.invoke(event.clone()).await.unwrap();
        assert_eq!(report["outcome"], "ignored", "{event}");
        assert!(report["reason"].as_str().unwrap().contains(why), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_current_version_put_by_hand_is_proven_and_connected() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let token = scene.good_token();
    let version = scene.stage(&token, |_| {}, &["AWSCURRENT"]);
    let event = json!({"detail-type": "AWS API Call via CloudTrail", "source": "aws.secretsmanager", "detail": {
        "eventName": "PutSecretValue", "requestParameters": {"secretId": "hubkeeper/acme", "clientRequestToken": version},
        "responseElements": {"aRN": scene.arn}}});
    assert_eq!(outcome(&scene.invoke(event.clone()).await), "applied");
    assert_eq!(scene.connector().unwrap(), (version, token));
    assert_eq!(outcome(&scene.invoke(event).await), "unchanged");
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_request_the_repeat_ends_as_if_nothing_had_happened() {
    for at in 0.. {
        let mut ended = false;
        for after in [false, true] {
            let scene = Scene::new(Begin::ByHand);
            scene.onboard().await.unwrap();
            let token = scene.good_token();
            let version = scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
            let event = scene.label_event("HUBKEEPER_CANDIDATE", &version);
            ended |= !kill(&scene, event.clone(), at, after).await;
            let again = scene.invoke(event).await;
            assert!(again.is_ok(), "request {at}: {}", outcome(&again));
            assert_eq!(scene.connector().unwrap(), (version.clone(), token), "request {at}");
            assert_eq!(scene.version("AWSCURRENT"), Some(version), "request {at}");
            assert_eq!(scene.version("HUBKEEPER_CANDIDATE"), None, "request {at}");
        }
        if ended {
            assert!(at > 20, "the flow has more requests than {at}");
            return;
        }
    }
}
