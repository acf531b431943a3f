//! Tests `{"action": "status"}`: its result, its requests to the services, and its pages.

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Fault, arm, aws};
use hubkeeper_scene::{Begin, CONNECTOR, GROUP, SUBSCRIPTION, Scene, outcome};
use serde_json::{Value, json};

use crate::fleet::{Fleet, Plan};

async fn status(scene: &Scene, event: Value) -> Value {
    let page = scene.invoke(event).await.unwrap();
    assert_eq!(page["outcome"], "unchanged");
    page
}

async fn only_item(scene: &Scene) -> Value {
    let page = status(scene, json!({"action": "status", "secretIds": [scene.arn]})).await;
    let items = page["items"].as_array().unwrap();
    assert_eq!((items.len(), page.get("next")), (1, None), "{page}");
    items[0].clone()
}

#[tokio::test(start_paused = true)]
async fn a_connected_secret_is_ready_and_nobody_logs_in_or_writes() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let _ = scene.world.take_record();
    let item = only_item(&scene).await;
    let version = scene.version("AWSCURRENT").unwrap();
    assert_eq!(item["state"], "ready", "{item}");
    assert_eq!(
        (&item["organization"], &item["versionId"], &item["carriedVersionId"], &item["repositories"], &item["private"]),
        (&json!("acme"), &json!(version), &json!(version), &json!(4), &json!(3))
    );
    assert!(item["daysLeft"].as_i64().unwrap() > 30 && item["nextRotationAt"].is_string(), "{item}");
    assert_eq!(scene.writes(), [""; 0]);
    for service in [Service::Hub, Service::HubAuth, Service::Registry] {
        assert_eq!(scene.requests(service), 0, "{service:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_states_follow_a_secret_through_its_life() {
    let scene = Scene::new(Begin::Manager);
    let before = only_item(&scene).await;
    assert_eq!((&before["state"], &before["carriedVersionId"]), (&json!("unknown"), &Value::Null), "{before}");
    assert!(before["reason"].as_str().unwrap().contains("onboard"), "{before}");
    scene.onboard().await.unwrap();

    // a rotation between setSecret and finishSecret: the connector is one version ahead
    let (next, _) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, false));
    let next = next.as_str();
    assert_eq!(only_item(&scene).await["state"], "rotating");
    for step in ["createSecret", "setSecret"] {
        scene.invoke(scene.step(step, next, None)).await.unwrap();
    }
    let item = only_item(&scene).await;
    assert_eq!((&item["state"], &item["carriedVersionId"]), (&json!("rotating"), &json!(next)), "{item}");
    scene.invoke(scene.step("finishSecret", next, None)).await.unwrap();
    assert_eq!(only_item(&scene).await["state"], "ready");

    // a person deletes the connector in the portal
    scene.world.with(|state| assert!(arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR)));
    let item = only_item(&scene).await;
    assert_eq!((&item["state"], &item["carriedVersionId"]), (&json!("drifted"), &Value::Null), "{item}");
    scene.reconcile().await;
    assert_eq!(only_item(&scene).await["state"], "ready");

    scene.stage("dckr_pat_waits", |_| {}, &["HUBKEEPER_CANDIDATE"]);
    assert_eq!(only_item(&scene).await["state"], "candidateWaiting");
    scene.invoke(json!({"action": "offboard", "secretId": scene.arn})).await.unwrap();
    assert_eq!(only_item(&scene).await["state"], "offboarded");
}

#[tokio::test(start_paused = true)]
async fn one_secret_that_cannot_be_read_stops_no_other() {
    let fleet = Fleet::new(Plan::of(3));
    fleet.scene.world.with(|state| {
        aws::put_version(state, &fleet.members[1].arn, None, &json!({"organization": 7}), &["AWSCURRENT"]);
    });
    let ids: Vec<&str> = fleet.members.iter().map(|member| member.arn.as_str()).chain(["hubkeeper/nowhere"]).collect();
    let page = status(&fleet.scene, json!({"action": "status", "secretIds": ids})).await;
    let told: Vec<(&str, &str)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["state"].as_str().unwrap(), item["errorType"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(told.iter().filter(|(state, _)| *state == "ready").count(), 2, "{page}");
    assert_eq!(told.iter().filter(|told| **told == ("unknown", "Misconfigured")).count(), 2, "{page}");
    assert!(page["items"][0]["reason"].as_str().unwrap().starts_with("status"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_hundred_hold_every_secret_once() {
    let fleet = Fleet::new(Plan::of(230));
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    let mut event = json!({"action": "status"});
    loop {
        let page = status(&fleet.scene, event.clone()).await;
        let items = page["items"].as_array().unwrap();
        sizes.push(items.len());
        seen.extend(items.iter().map(|item| item["secretId"].as_str().unwrap().to_owned()));
        assert!(items.iter().all(|item| item["state"] == "ready"), "{page}");
        match page.get("next") {
            Some(next) => event["next"] = next.clone(),
            None => break,
        }
    }
    let mut wanted: Vec<String> = fleet.members.iter().map(|member| member.arn.clone()).collect();
    wanted.sort_unstable();
    seen.sort_unstable();
    assert_eq!((sizes, seen), (vec![100, 100, 30], wanted));
}

#[tokio::test(start_paused = true)]
async fn the_status_of_many_is_read_side_by_side() {
    let fleet = Fleet::new(Plan::of(100));
    let began = fleet.scene.now();
    status(&fleet.scene, json!({"action": "status"})).await;
    let took = fleet.scene.now() - began;
    // each request takes 20 ms, so sequential requests would take six seconds
    assert!(took < time::Duration::seconds(2), "{took}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_listed_is_an_error_of_the_event() {
    let scene = Scene::new(Begin::ByHand);
    let refuse = json!({"__type": "AccessDeniedException", "Message": "not authorized to perform ListSecrets"});
    scene.world.script(move |_, service, request| {
        let lists = service == Service::Aws && aws::action(request).as_deref() == Some("ListSecrets");
        lists.then(|| Fault::Answer(hubkeeper_sandbox::world::json(400, &refuse)))
    });
    let answer = scene.invoke(json!({"action": "status"})).await;
    assert!(outcome(&answer).starts_with("Misconfigured: status"), "{}", outcome(&answer));
}

#[tokio::test(start_paused = true)]
async fn a_resource_group_that_is_gone_is_named_in_one_step() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    scene.world.with(|state| arm::delete_resource_group(state, SUBSCRIPTION, GROUP));
    let item = only_item(&scene).await;
    assert_eq!((&item["state"], &item["errorType"]), (&json!("unknown"), &json!("Misconfigured")), "{item}");
    assert!(item["reason"].as_str().unwrap().contains("ResourceGroupNotFound"), "{item}");
    // the same item after an offboarding: nothing is left to delete
    scene.world.with(|state| {
        let secret = state.aws.secrets.get_mut(&scene.arn).unwrap();
        secret.tags.insert("hubkeeper".into(), "offboarded".into());
    });
    let item = only_item(&scene).await;
    assert_eq!(item["state"], "offboarded", "{item}");
    assert!(item["reason"].as_str().unwrap().starts_with("delete the secret"), "{item}");
}
