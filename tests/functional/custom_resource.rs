//! Tests the custom resource of `CloudFormation`: a stack that owns an onboarded organization (docs/events.md).

use hubkeeper_sandbox::responses::{self, Answer};
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Fault, aws, hub};
use serde_json::{Value, json};

use crate::zero;
use hubkeeper_scene::{Begin, CONNECTOR, PASSWORD, Scene, USER, document, outcome};

fn answers(scene: &Scene) -> Vec<Answer> {
    scene.world.with(|state| responses::answers(state))
}

/// Sends a request and returns its one response.
async fn ask(scene: &Scene, event: Value) -> Value {
    let before = answers(scene).len();
    let url = event["ResponseURL"].as_str().unwrap().to_owned();
    let returned = scene.invoke(event.clone()).await;
    assert!(returned.is_ok(), "the invocation succeeds: {}", outcome(&returned));
    let all = answers(scene);
    assert_eq!(all.len(), before + 1, "one answer");
    let answer = all.last().unwrap();
    assert!(answer.bytes <= 4096, "{} bytes", answer.bytes);
    assert!(url.ends_with(&answer.target), "path and query as they came");
    for name in ["StackId", "RequestId", "LogicalResourceId"] {
        assert_eq!(answer.body[name], event[name]);
    }
    assert!(!answer.body["PhysicalResourceId"].as_str().unwrap().is_empty());
    answer.body.clone()
}

fn status(answer: &Value) -> (&str, &str) {
    (answer["Status"].as_str().unwrap(), answer["PhysicalResourceId"].as_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn create_update_and_delete_are_onboard_and_offboard() {
    let scene = Scene::new(Begin::Manager);
    let made = format!("hubkeeper/{}", scene.arn);
    let answer = ask(&scene, scene.stack_event("Create", None)).await;
    assert_eq!(status(&answer), ("SUCCESS", made.as_str()), "{answer}");
    assert_eq!((&answer["Data"]["Outcome"], &answer["Data"]["Organization"]), (&json!("applied"), &json!("acme")));
    assert!(answer["Data"]["ConnectorId"].as_str().unwrap().ends_with(CONNECTOR));
    let put = scene.world.record().into_iter().find(|entry| entry.service == Service::Responses).unwrap();
    assert!(put.request.headers().get("content-type").is_none());

    let answer = ask(&scene, scene.stack_event("Update", Some(&made))).await;
    assert_eq!(status(&answer), ("SUCCESS", made.as_str()), "{answer}");
    assert_eq!(answer["Data"]["Outcome"], "unchanged");

    let answer = ask(&scene, scene.stack_event("Delete", Some(&made))).await;
    assert_eq!(status(&answer), ("SUCCESS", made.as_str()), "{answer}");
    assert_eq!(scene.connector(), None);
    assert_eq!(scene.world.with(|state| aws::tags(state, &scene.arn)["hubkeeper"].clone()), "offboarded");
    let answer = ask(&scene, scene.stack_event("Delete", Some(&made))).await;
    assert_eq!(answer["Status"], "SUCCESS", "once more: {answer}");
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_awaits_a_person_is_made_and_what_follows_is_its_own() {
    let scene = zero::scene(|_| {});
    let answer = ask(&scene, scene.stack_event("Create", None)).await;
    assert_eq!(status(&answer), ("SUCCESS", format!("hubkeeper/{}", scene.arn).as_str()), "{answer}");
    assert_eq!((&answer["Data"]["Outcome"], &answer["Data"]["Invitation"]), (&json!("awaiting"), &json!("pending")));
    let example = include_str!("../../infra/aws/onboarded-organization.yaml");
    let attributes = example.split("!GetAtt Organization.").skip(1).filter_map(|rest| rest.split_whitespace().next());
    for name in attributes.collect::<Vec<_>>() {
        assert!(answer["Data"][name].is_string(), "the example reads {name}: {answer}");
    }
    scene.world.with(|state| hub::accept_invitation(state, "acme", "scanner@acme.example", USER));
    assert_eq!(scene.reconcile().await["outcome"], "applied");
    let physical = answer["PhysicalResourceId"].as_str().unwrap();
    let answer = ask(&scene, scene.stack_event("Delete", Some(physical))).await;
    assert_eq!((answer["Status"].as_str(), scene.connector()), (Some("SUCCESS"), None), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_was_there_before_outlives_the_resource() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let before = scene.connector();
    let answer = ask(&scene, scene.stack_event("Create", None)).await;
    let kept = format!("hubkeeper-kept/{}", scene.arn);
    assert_eq!(status(&answer), ("SUCCESS", kept.as_str()), "{answer}");
    let answer = ask(&scene, scene.stack_event("Update", Some(&kept))).await;
    assert_eq!(status(&answer), ("SUCCESS", kept.as_str()));
    let _ = scene.world.take_record();
    let answer = ask(&scene, scene.stack_event("Delete", Some(&kept))).await;
    assert_eq!(status(&answer), ("SUCCESS", kept.as_str()), "{answer}");
    assert_eq!(scene.connector(), before);
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_fails_is_answered_and_its_deletion_leaves_what_was_there_alone() {
    let mut scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    scene.checked = false; // the world deactivates the connector's token here
    let before = scene.connector();
    scene.world.with(|state| hub::pats_of(state, USER).iter().for_each(|pat| hub::deactivate(state, &pat.uuid)));
    let answer = ask(&scene, scene.stack_event("Create", None)).await;
    let (state, physical) = status(&answer);
    assert_eq!(state, "FAILED", "{answer}");
    assert!(answer["Reason"].as_str().unwrap().contains("rejected"), "{answer}");
    assert!(physical.starts_with("hubkeeper-kept/"), "{physical}");
    let answer = ask(&scene, scene.stack_event("Delete", Some(physical))).await;
    assert_eq!((answer["Status"].as_str(), scene.connector()), (Some("SUCCESS"), before));
}

#[tokio::test(start_paused = true)]
async fn the_deletion_of_what_never_got_an_id_does_nothing() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let before = scene.connector();
    for physical in [None, Some("onboarded-Organization-1ABCDEFGHIJKL"), Some("2026/11/24/[$LATEST]0f")] {
        let answer = ask(&scene, scene.stack_event("Delete", physical)).await;
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        if let Some(physical) = physical {
            assert_eq!(answer["PhysicalResourceId"], json!(physical));
        }
    }
    assert_eq!(scene.connector(), before);
}

#[tokio::test(start_paused = true)]
async fn another_secret_replaces_the_resource_and_a_failed_update_does_not() {
    let scene = Scene::new(Begin::Manager);
    let other = scene.world.with(|state| {
        hub::add_member(state, "umbrella", USER, hub::Role::Editor);
        hub::add_repository(state, "umbrella", "app", true);
        let mut value = document();
        value["organization"] = json!("umbrella");
        value["manager"] = json!("hubkeeper/umbrella-manager");
        let login = json!({"username": USER, "password": PASSWORD, "usedBy": ["hubkeeper/umbrella"]});
        aws::create_secret(state, "hubkeeper/umbrella-manager", &login, &[]);
        value["connector"]["name"] = json!("dockerhub-umbrella");
        value["expectedRepositories"] = json!(["app"]);
        aws::create_secret(state, "hubkeeper/umbrella", &value, &[])
    });
    let first = ask(&scene, scene.stack_event("Create", None)).await;
    let first = first["PhysicalResourceId"].as_str().unwrap().to_owned();

    let mut update = scene.stack_event("Update", Some(&first));
    update["OldResourceProperties"] = update["ResourceProperties"].clone();
    update["ResourceProperties"]["SecretId"] = json!("hubkeeper/nowhere");
    let answer = ask(&scene, update.clone()).await;
    assert_eq!(status(&answer), ("FAILED", first.as_str()), "the old one stays: {answer}");

    // the name and the ARN of one secret are the same secret
    update = scene.stack_event("Update", Some(&first));
    update["ResourceProperties"]["SecretId"] = json!("hubkeeper/acme");
    assert_eq!(status(&ask(&scene, update.clone()).await), ("SUCCESS", first.as_str()));

    update = scene.stack_event("Update", Some(&first));
    update["ResourceProperties"]["SecretId"] = json!("hubkeeper/umbrella");
    let mut scene = scene;
    scene.checked = false; // the watch knows only one organization
    let answer = ask(&scene, update).await;
    assert_eq!(status(&answer), ("SUCCESS", format!("hubkeeper/{other}").as_str()), "{answer}");
    let answer = ask(&scene, scene.stack_event("Delete", Some(&first))).await;
    assert_eq!((answer["Status"].as_str(), scene.connector()), (Some("SUCCESS"), None));
    assert!(scene.world.with(|state| aws::tags(state, &other)["hubkeeper"] == "managed"), "the new one stays");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_host_is_refused_without_a_request() {
    for url in [
        "https://collector.example.com/a?X-Amz-Signature=planted-signature-0123456789",
        "http://x.s3.amazonaws.com/a?X-Amz-Signature=planted-signature-0123456789",
        "https://x.s3.amazonaws.com@collector.example.com/a?X-Amz-Signature=planted-signature-0123456789",
    ] {
        let scene = Scene::new(Begin::Manager);
        let mut event = scene.stack_event("Create", None);
        event["ResponseURL"] = json!(url);
        let answer = outcome(&scene.invoke(event).await);
        assert!(answer.starts_with("BadEvent") && answer.contains("`ResponseURL`"), "{answer}");
        assert!(!answer.contains("planted") && !scene.output().contains("planted"), "{answer}");
        assert_eq!(scene.world.record().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_request_is_answered() {
    let scene = Scene::new(Begin::Manager);
    for (name, value, word) in [
        ("RequestType", json!("Read"), "`RequestType`"),
        ("RequestType", json!(null), "`RequestType`"),
        ("ResourceProperties", json!({}), "SecretId"),
        ("ResourceProperties", json!({"SecretId": "a b"}), "SecretId"),
    ] {
        let mut event = scene.stack_event("Create", None);
        event[name] = value;
        let answer = ask(&scene, event).await;
        assert_eq!(answer["Status"], "FAILED");
        assert!(answer["Reason"].as_str().unwrap().contains(word), "{answer}");
    }
    // a response is sent even if `CloudFormation` cannot match it, so that no failed event keeps the URL
    let mut event = scene.stack_event("Create", None);
    event.as_object_mut().unwrap().remove("StackId");
    assert!(scene.invoke(event).await.is_ok());
    assert_eq!(answers(&scene).last().unwrap().body["Status"], "FAILED");
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_not_set_up_answers_too() {
    let mut scene = Scene::new(Begin::Manager);
    scene.set("AZURE_TENANT_ID", "");
    let answer = ask(&scene, scene.stack_event("Create", None)).await;
    assert_eq!(answer["Status"], "FAILED");
    assert!(answer["Reason"].as_str().unwrap().contains("AZURE_TENANT_ID"), "{answer}");
    assert!(status(&answer).1.starts_with("hubkeeper-kept/"));
}

#[tokio::test(start_paused = true)]
async fn a_long_reason_is_cut_to_fit() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let mut scene = scene;
    scene.checked = false; // the world removes rights here
    scene.world.with(|state| {
        for n in 0..40 {
            hub::add_repository(state, "acme", &format!("a-{n:02}-{}", "long-name-".repeat(20)), true);
        }
    });
    let names: Vec<String> = (0..20).map(|n| format!("a-{n:02}-{}", "long-name-".repeat(20))).collect();
    let mut value = scene.value(&scene.version("AWSCURRENT").unwrap());
    value["expectedRepositories"] = json!(names);
    value["accessToken"] = json!(scene.good_token());
    value["tokenId"] = Value::Null;
    value["manager"] = Value::Null;
    scene.world.with(|state| {
        aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]);
        hub::remove_member(state, "acme", USER);
    });
    let answer = ask(&scene, scene.stack_event("Update", Some("hubkeeper/other"))).await;
    assert_eq!(answer["Status"], "FAILED");
    let reason = answer["Reason"].as_str().unwrap();
    assert!(reason.contains("partial") && reason.len() > 2000, "{}", reason.len());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_sent_again_and_one_that_never_arrives_is_logged() {
    let scene = Scene::new(Begin::Manager);
    let mut failures = 6;
    scene.world.script(move |_, service, _| {
        let hit = service == Service::Responses && failures > 0;
        failures -= i32::from(hit);
        hit.then_some(Fault::ResetBefore)
    });
    let answer = ask(&scene, scene.stack_event("Create", None)).await;
    assert_eq!(answer["Status"], "SUCCESS");
    scene.world.script(|_, service, _| (service == Service::Responses).then_some(Fault::ResetBefore));
    let before = scene.now();
    let returned = scene.invoke(scene.stack_event("Create", None)).await;
    assert!(returned.is_ok(), "Lambda must not repeat it: {}", outcome(&returned));
    assert!(scene.now() - before < time::Duration::minutes(15));
    assert!(scene.output().contains("was not delivered"), "logged");
}

#[tokio::test(start_paused = true)]
async fn time_is_kept_for_the_answer() {
    let scene = Scene::new(Begin::Manager);
    scene.world.script(|_, service, _| (service == Service::Registry).then_some(Fault::Hang));
    let answer = ask(&scene, scene.stack_event("Create", None)).await;
    assert_eq!(answer["Status"], "FAILED", "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_request_in_a_queue_is_refused_and_the_url_is_nowhere() {
    let scene = Scene::new(Begin::Manager);
    let body = scene.stack_event("Create", None).to_string();
    let records = json!({"Records": [{"messageId": "m-1", "eventSource": "aws:sqs", "body": body}]});
    let answer = scene.invoke(records).await.unwrap();
    assert_eq!(answer["batchItemFailures"][0]["itemIdentifier"], "m-1");
    assert!(answers(&scene).is_empty() && scene.writes().is_empty());
    assert!(!scene.output().contains(PASSWORD));
}
