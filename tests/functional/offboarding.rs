//! Tests offboarding, and the part of it that reconcile completes (docs/operating.md).

use std::time::Duration;

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{arm, aws, hub};
use serde_json::{Value, json};

use crate::reconcile::by_hand;
use hubkeeper_scene::{
    Answer, Begin, CLIENT, CONNECTOR, GROUP, ORG, SUBSCRIPTION, Scene, USER, interleave, kill, outcome,
};

const DAY: Duration = Duration::from_hours(24);

fn event(scene: &Scene) -> Value {
    json!({"action": "offboard", "secretId": scene.arn})
}

async fn offboard(scene: &Scene) -> Answer {
    scene.invoke(event(scene)).await
}

fn tag(scene: &Scene) -> Option<String> {
    scene.world.with(|state| aws::tags(state, &scene.arn).get("hubkeeper").cloned())
}

#[tokio::test(start_paused = true)]
async fn the_secret_is_tagged_first_the_connector_deleted_and_the_tokens_left() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let id = scene.token_id(&scene.version("AWSCURRENT").unwrap());
    let _ = scene.world.take_record();
    let report = offboard(&scene).await.unwrap();
    assert_eq!(
        (report["outcome"].as_str(), report["connector"]["change"].as_str()),
        (Some("applied"), Some("deleted"))
    );
    assert_eq!(report["organization"], ORG);
    let writes = scene.writes();
    assert_eq!(writes[0], "POST TagResource");
    assert!(writes.len() == 2 && writes[1].starts_with("DELETE /subscriptions"), "{writes:?}");
    assert_eq!((scene.connector(), tag(&scene).as_deref()), (None, Some("offboarded")));
    assert_eq!(scene.pat(&id), "active", "its tokens are reconcile's");
    assert!(scene.version("AWSCURRENT").is_some(), "the secret is its owner's");
    let _ = scene.world.take_record();
    assert_eq!(outcome(&offboard(&scene).await), "unchanged");
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_offboarded_secret_is_finished_by_reconcile_and_touched_by_nothing_else() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let old = scene.token_id(&scene.version("AWSCURRENT").unwrap());
    assert!(scene.rotate(1).await.succeeded);
    let current = scene.version("AWSCURRENT").unwrap();
    let new = scene.token_id(&current);
    let (by_hand, _) = scene.world.with(|state| hub::add_pat(state, USER, "by hand", &["repo:read"], None));
    offboard(&scene).await.unwrap();
    let changed = scene.invoke(scene.label_event("AWSCURRENT", &current)).await.unwrap();
    assert_eq!(changed["outcome"], "ignored");
    let (pending, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        let answer = outcome(&scene.invoke(scene.step(step, &pending, token.as_deref())).await);
        assert!(answer.starts_with("Refused") && answer.contains("cancel-rotate-secret"), "{step}: {answer}");
    }
    let _ = scene.world.take_record();
    let report = scene.reconcile().await;
    assert_eq!(report["outcome"], "unchanged", "{report}");
    assert_eq!((scene.writes().len(), scene.requests(Service::HubAuth)), (0, 0), "nothing is proven any more");
    assert_eq!((scene.pat(&old), scene.pat(&new)), ("active", "active"), "the grace runs from the tag");
    tokio::time::advance(DAY + Duration::from_hours(1)).await;
    let report = scene.reconcile().await;
    assert!(report["warnings"].to_string().contains("stillUsed"), "they were used within seven days: {report}");
    tokio::time::advance(DAY * 6).await;
    assert_eq!(scene.reconcile().await["outcome"], "applied");
    assert_eq!((scene.pat(&old), scene.pat(&new), scene.pat(&by_hand)), ("inactive", "inactive", "active"));
    scene.reconcile().await;
    assert_eq!((scene.pat(&old), scene.pat(&new), scene.pat(&by_hand)), ("gone", "gone", "active"));
    assert_eq!(scene.reconcile().await["outcome"], "unchanged");
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_came_back_is_for_a_person_and_no_token_is_touched() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let current = scene.version("AWSCURRENT").unwrap();
    let body = scene.world.with(|state| {
        let connector = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).unwrap();
        json!({"location": connector.location, "tags": connector.tags, "properties": connector.properties})
    });
    offboard(&scene).await.unwrap();
    let back = |body: &Value| {
        scene.world.with(|state| arm::put_connector(state, SUBSCRIPTION, GROUP, CONNECTOR, body, "person@example.com"));
    };
    back(&body);
    let report = scene.reconcile().await;
    assert_eq!(
        (&report["errorType"], &report["connector"]["change"]),
        (&json!("NeedsHuman"), &json!("none")),
        "{report}"
    );
    let mut untagged = body.clone();
    untagged["tags"] = json!({});
    back(&untagged);
    tokio::time::advance(DAY * 3).await;
    let report = scene.reconcile().await;
    assert!(report["warnings"].to_string().contains("connectorLeft"), "{report}");
    assert_eq!(scene.pat(&scene.token_id(&current)), "active", "it may be inside");
    scene.world.with(|state| assert!(arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).is_some()));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_is_neither_deleted_nor_given_up() {
    for (pointer, value) in [
        ("/tags", json!({})),
        ("/tags/hubkeeper-secret", json!("ba9876543210")),
        ("/properties/hierarchyIdentifier", json!("somebody-else")),
    ] {
        let scene = Scene::new(Begin::ByHand);
        scene.onboard().await.unwrap();
        by_hand(&scene, |body| *body.pointer_mut(pointer).unwrap() = value.clone());
        let _ = scene.world.take_record();
        let answer = outcome(&offboard(&scene).await);
        assert!(answer.starts_with("Refused") && answer.contains("not deleted"), "{answer}");
        assert_eq!((scene.writes().len(), tag(&scene).as_deref()), (0, Some("managed")));
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_rotation_is_under_way_nothing_is_given_up() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let (pending, _) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, false));
    let _ = scene.world.take_record();
    let answer = outcome(&offboard(&scene).await);
    assert!(answer.starts_with("Retryable") && answer.contains(&pending), "{answer}");
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_is_gone_already_is_success_and_a_plan_writes_nothing() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let _ = scene.world.take_record();
    let plan = scene.invoke(json!({"action": "offboard", "secretId": scene.arn, "mode": "plan"})).await.unwrap();
    assert_eq!(plan["plan"], json!([{"step": "tagOffboarded"}, {"step": "deleteConnector"}]));
    assert_eq!(
        (plan["outcome"].as_str(), plan["connector"]["change"].as_str()),
        (Some("planned"), Some("wouldDelete"))
    );
    assert_eq!(scene.writes(), [""; 0]);
    scene.world.with(|state| arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
    assert_eq!(outcome(&offboard(&scene).await), "applied");
    assert_eq!(tag(&scene).as_deref(), Some("offboarded"));
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_delete_the_error_says_which_and_a_repeat_goes_on() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    scene.world.with(|state| {
        arm::revoke_grants(state, CLIENT);
        arm::grant(state, CLIENT, SUBSCRIPTION, GROUP, &["read", "write"]);
    });
    let answer = outcome(&offboard(&scene).await);
    assert!(answer.starts_with("NeedsHuman") && answer.contains("/delete"), "{answer}");
    scene.world.with(|state| arm::grant(state, CLIENT, SUBSCRIPTION, GROUP, &["delete"]));
    assert_eq!(outcome(&offboard(&scene).await), "applied");
    assert_eq!(scene.connector(), None);
}

#[tokio::test(start_paused = true)]
async fn an_offboarded_secret_can_be_onboarded_again() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    offboard(&scene).await.unwrap();
    assert_eq!(outcome(&scene.onboard().await), "applied");
    assert_eq!(tag(&scene).as_deref(), Some("managed"));
    assert_eq!(scene.connector().unwrap().0, scene.version("AWSCURRENT").unwrap());
    // the manager creates another token after all tokens are deleted
    offboard(&scene).await.unwrap();
    for _ in 0..2 {
        tokio::time::advance(DAY * 8).await;
        scene.reconcile().await;
    }
    assert_eq!(outcome(&scene.onboard().await), "applied");
    assert_eq!(scene.connector().unwrap().0, scene.version("AWSCURRENT").unwrap());
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_request_the_repeat_ends_as_if_nothing_had_happened() {
    for at in 0.. {
        let mut ended = false;
        for after in [false, true] {
            let scene = Scene::new(Begin::Manager);
            scene.onboard().await.unwrap();
            ended |= !kill(&scene, event(&scene), at, after).await;
            let again = offboard(&scene).await;
            assert!(again.is_ok(), "request {at}: {}", outcome(&again));
            assert_eq!((scene.connector(), tag(&scene).as_deref()), (None, Some("offboarded")), "request {at}");
        }
        if ended {
            return;
        }
    }
}

/// Whatever runs during an offboarding, the connector is deleted in the end and stays deleted.
#[tokio::test(start_paused = true)]
async fn an_offboarding_in_the_middle_of_anything_has_the_last_word() {
    type Prepare = fn(&Scene);
    let drift: Prepare = |scene| by_hand(scene, |body| body["properties"]["offerings"] = json!([]));
    for (name, prepare) in [("reconcile", drift), ("onboard", drift), ("adopt", drift)] {
        for at in 0.. {
            let scene = Scene::new(Begin::ByHand);
            scene.onboard().await.unwrap();
            prepare(&scene);
            let first = match name {
                "reconcile" => scene.reconcile_event(&json!({})),
                "onboard" => json!({"action": "onboard", "secretId": scene.arn}),
                _ => {
                    let token = scene.good_token();
                    let version = scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
                    scene.label_event("HUBKEEPER_CANDIDATE", &version)
                }
            };
            let (_, between) = interleave(&scene, first, at, offboard(&scene)).await;
            let Some(between) = between else { break };
            assert!(between.is_ok(), "{name}, request {at}: {}", outcome(&between));
            let given_up = (scene.connector(), tag(&scene));
            // an onboarding that had not yet read the tag onboards the secret again, and sets the tag
            let taken_up = name == "onboard" && given_up.1.as_deref() == Some("managed");
            if taken_up {
                assert_eq!(scene.connector().unwrap().0, scene.version("AWSCURRENT").unwrap(), "{name}, request {at}");
            } else {
                assert_eq!(given_up, (None, Some("offboarded".to_owned())), "{name}, request {at}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_in_the_middle_of_an_offboarding_does_not_bring_the_connector_back() {
    for at in 0.. {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        let reconcile = scene.invoke(scene.reconcile_event(&json!({})));
        let (answer, between) = interleave(&scene, event(&scene), at, reconcile).await;
        assert!(answer.is_ok(), "request {at}: {}", outcome(&answer));
        assert_eq!((scene.connector(), tag(&scene).as_deref()), (None, Some("offboarded")), "request {at}");
        if between.is_none() {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_somebody_deletes_at_the_same_moment_is_gone_all_the_same() {
    for at in 0.. {
        let scene = Scene::new(Begin::ByHand);
        scene.onboard().await.unwrap();
        let by_hand = async {
            scene.world.with(|state| arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
        };
        let (answer, between) = interleave(&scene, event(&scene), at, by_hand).await;
        assert!(answer.is_ok(), "request {at}: {}", outcome(&answer));
        assert_eq!((scene.connector(), tag(&scene).as_deref()), (None, Some("offboarded")), "request {at}");
        if between.is_none() {
            return;
        }
    }
}
