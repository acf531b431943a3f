//! Tests two concurrent invocations, interleaved at every request boundary.

use hubkeeper_sandbox::{aws, hub};
use serde_json::json;

use hubkeeper_scene::{Begin, CONNECTOR, GROUP, SUBSCRIPTION, Scene, USER, interleave, kill, outcome};

#[tokio::test(start_paused = true)]
async fn two_create_secrets_leave_one_token_and_it_is_the_stored_one() {
    for at in 0.. {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
        let event = scene.step("createSecret", &version, token.as_deref());
        let (first, second) = interleave(&scene, event.clone(), at, scene.invoke(event.clone())).await;
        assert!(first.is_ok(), "request {at}: {}", outcome(&first));
        let Some(second) = second else {
            assert!(at > 8, "the step has more requests than {at}");
            return;
        };
        assert!(second.is_ok(), "request {at}: {}", outcome(&second));
        let stored = scene.value(&version);
        assert_eq!(scene.pats_of_version(&version), [stored["tokenId"].as_str().unwrap()], "request {at}");
        let token = stored["accessToken"].as_str().unwrap();
        assert!(scene.world.with(|state| hub::accepts(state, USER, token)), "request {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_secret_killed_anywhere_is_mended_by_the_next() {
    for at in 0.. {
        let mut ended = false;
        for after in [false, true] {
            let scene = Scene::new(Begin::Manager);
            scene.onboard().await.unwrap();
            let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
            let event = scene.step("createSecret", &version, token.as_deref());
            ended |= !kill(&scene, event.clone(), at, after).await;
            scene.invoke(event).await.unwrap();
            let stored = scene.value(&version);
            assert_eq!(scene.pats_of_version(&version), [stored["tokenId"].as_str().unwrap()], "request {at}");
        }
        if ended {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_and_a_late_event_for_the_old_version() {
    for at in 0.. {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        let old = scene.version("AWSCURRENT").unwrap();
        let (_, between) = interleave(&scene, scene.label_event("AWSCURRENT", &old), at, scene.rotate(2)).await;
        let Some(rotation) = between else { return };
        assert!(rotation.succeeded, "request {at}: {:?}", rotation.steps);
        assert_eq!(scene.connector().unwrap().0, rotation.version_id, "request {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_adoption_and_a_rotation() {
    for at in 0.. {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        let token = scene.good_token();
        let candidate =
            scene.stage(&token, |value| value["manager"] = json!("hubkeeper/manager"), &["HUBKEEPER_CANDIDATE"]);
        let event = scene.label_event("HUBKEEPER_CANDIDATE", &candidate);
        let (_, between) = interleave(&scene, event.clone(), at, scene.rotate(2)).await;
        let ended = between.is_none();
        let _ = scene.rotate(2).await;
        let _ = scene.invoke(event).await;
        let current = scene.version("AWSCURRENT").unwrap();
        assert_eq!(scene.connector().unwrap().0, current, "request {at}");
        if ended {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_event_twice_at_once() {
    for at in 0.. {
        let scene = Scene::new(Begin::ByHand);
        let event = json!({"action": "onboard", "secretId": scene.arn});
        let (first, between) = interleave(&scene, event.clone(), at, scene.invoke(event.clone())).await;
        let Some(second) = between else { return };
        assert!(second.is_ok(), "request {at}: {}", outcome(&second));
        assert!(first.is_ok(), "request {at}: {}", outcome(&first));
        assert_eq!(scene.connector().unwrap().0, scene.version("AWSCURRENT").unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_repairs_and_a_rotation() {
    for at in 0.. {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        scene.world.with(|state| hubkeeper_sandbox::arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
        let (answer, between) = interleave(&scene, scene.reconcile_event(&json!({})), at, scene.rotate(3)).await;
        let Some(rotation) = between else {
            assert!(at > 15, "a reconcile has more requests than {at}");
            return;
        };
        assert!(rotation.succeeded, "request {at}: {:?}", rotation.steps);
        let report = answer.unwrap();
        let current = scene.version("AWSCURRENT").unwrap();
        assert_eq!(current, rotation.version_id);
        assert_eq!(scene.connector().unwrap().0, current, "request {at}: {report}");
        assert_eq!(scene.pat(&scene.token_id(&current)), "active", "request {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_and_a_reconcile_in_each_of_its_steps() {
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        for at in 0.. {
            let mut scene = Scene::new(Begin::Manager);
            scene.set("HUBKEEPER_REVOKE_AFTER_HOURS", "0");
            scene.onboard().await.unwrap();
            let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
            let steps = ["createSecret", "setSecret", "testSecret", "finishSecret"];
            for earlier in steps.iter().take_while(|earlier| **earlier != step) {
                scene.invoke(scene.step(earlier, &version, token.as_deref())).await.unwrap();
            }
            let event = scene.step(step, &version, token.as_deref());
            let (answer, between) = interleave(&scene, event, at, scene.reconcile()).await;
            assert!(answer.is_ok(), "{step}, request {at}: {}", outcome(&answer));
            for later in steps.iter().skip_while(|later| **later != step).skip(1) {
                scene.invoke(scene.step(later, &version, token.as_deref())).await.unwrap();
            }
            let id = scene.token_id(&version);
            assert_eq!((scene.connector().unwrap().0, scene.pat(&id)), (version, "active"), "{step}, request {at}");
            if between.is_none() {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_reconciles_at_once_that_adopt_repair_and_retire() {
    for at in 0.. {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        let old = scene.token_id(&scene.version("AWSCURRENT").unwrap());
        assert!(scene.rotate(1).await.succeeded);
        tokio::time::advance(std::time::Duration::from_hours(48)).await;
        let token = scene.good_token();
        let candidate =
            scene.stage(&token, |value| value["manager"] = json!("hubkeeper/manager"), &["HUBKEEPER_CANDIDATE"]);
        let (first, between) = interleave(&scene, scene.reconcile_event(&json!({})), at, scene.reconcile()).await;
        let ended = between.is_none();
        assert!(first.is_ok(), "request {at}");
        tokio::time::advance(std::time::Duration::from_hours(48)).await;
        for _ in 0..2 {
            let report = scene.reconcile().await;
            assert!(["applied", "unchanged"].contains(&report["outcome"].as_str().unwrap()), "request {at}: {report}");
        }
        assert_eq!(scene.version("AWSCURRENT").as_deref(), Some(candidate.as_str()), "request {at}");
        assert_eq!(scene.connector().unwrap(), (candidate, token), "request {at}");
        assert_eq!(scene.pat(&old), "gone", "request {at}");
        if ended {
            return;
        }
    }
}
