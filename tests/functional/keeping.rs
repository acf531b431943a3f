//! Tests which connector a secret manages: the tag `hubkeeper-connector`, and people's changes of documents, tags and
//! connectors.

use std::time::Duration;

use hubkeeper_sandbox::{Fault, arm, aws, hub, responses};
use serde_json::{Value, json};

use crate::reconcile::by_hand;
use hubkeeper_scene::{Begin, CLIENT, CONNECTOR, GROUP, SUBSCRIPTION, Scene, USER, interleave, kill, outcome};

const DAY: Duration = Duration::from_hours(24);
const KEPT: &str = "acme/a5caac9c-5c04-49af-b3d0-e204f40345d5/rg-security/dockerhub-acme";
const OTHER: &str = "acme/a5caac9c-5c04-49af-b3d0-e204f40345d5/rg-security/dockerhub-other";

fn tag(scene: &Scene, name: &str) -> Option<String> {
    scene.world.with(|state| aws::tags(state, &scene.arn).get(name).cloned())
}

fn set_tag(scene: &Scene, name: &str, value: Option<&str>) {
    scene.world.with(|state| match value {
        Some(value) => aws::set_tag(state, &scene.arn, name, value),
        None => _ = state.aws.secrets.get_mut(&scene.arn).unwrap().tags.remove(name),
    });
}

fn codes(report: &Value) -> Vec<&str> {
    report["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

fn event(scene: &Scene, action: &str) -> Value {
    json!({"action": action, "secretId": scene.arn})
}

fn rename(value: &mut Value) {
    value["connector"]["name"] = json!("dockerhub-other");
}

/// Returns the names of all connectors.
fn connectors(scene: &Scene) -> Vec<String> {
    scene.world.with(|state| arm::connectors(state).map(|connector| connector.name.clone()).collect())
}

/// Deletes the connector, and creates the same one in another resource group.
fn move_connector(scene: &Scene, group: &str) {
    scene.world.with(|state| {
        let connector = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).unwrap().clone();
        let (username, token) = connector.credential().unwrap();
        let mut body =
            json!({"location": connector.location, "tags": connector.tags, "properties": connector.properties});
        body["properties"]["environmentData"]["authentication"]["username"] = json!(username);
        body["properties"]["environmentData"]["authentication"]["accessToken"] = json!(token);
        arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR);
        arm::put_connector(state, SUBSCRIPTION, group, CONNECTOR, &body, "person@example.com");
    });
}

#[tokio::test(start_paused = true)]
async fn whichever_trigger_writes_first_remembers_the_connector_before_the_write() {
    type Run = fn(&Scene) -> Value;
    let label: Run = |scene| {
        set_tag(scene, "hubkeeper", Some("managed"));
        scene.label_event("AWSCURRENT", &scene.version("AWSCURRENT").unwrap())
    };
    let candidate: Run = |scene| {
        set_tag(scene, "hubkeeper", Some("managed"));
        let version = scene.stage(&scene.good_token(), |_| {}, &["HUBKEEPER_CANDIDATE"]);
        scene.label_event("HUBKEEPER_CANDIDATE", &version)
    };
    for (name, run) in [("onboard", (|scene| event(scene, "onboard")) as Run), ("changed", label), ("adopt", candidate)]
    {
        let scene = Scene::new(Begin::ByHand);
        assert_eq!(outcome(&scene.invoke(run(&scene)).await), "applied", "{name}");
        assert_eq!(tag(&scene, "hubkeeper-connector").as_deref(), Some(KEPT), "{name}");
        let writes = scene.writes();
        let of = |what: &str| writes.iter().position(|line| line.contains(what)).unwrap();
        assert!(of("TagResource") < of("PUT /subscriptions"), "{name}: {writes:?}");
    }
    let scene = Scene::new(Begin::Manager);
    assert!(scene.rotate(1).await.succeeded);
    let tags = ["hubkeeper", "hubkeeper-connector"].map(|name| tag(&scene, name));
    assert_eq!(tags, [Some("managed".to_owned()), Some(KEPT.to_owned())]);
    let writes = scene.writes();
    let of = |what: &str| writes.iter().position(|line| line.contains(what)).unwrap();
    assert!(of("TagResource") < of("PUT /subscriptions"), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_names_another_connector_is_refused_by_every_trigger_however_many_were_put() {
    for puts in 1..=3 {
        let scene = Scene::new(Begin::ByHand);
        scene.onboard().await.unwrap();
        let before = scene.connector();
        for _ in 0..puts {
            scene.stage(&scene.good_token(), rename, &["AWSCURRENT"]);
        }
        let current = scene.version("AWSCURRENT").unwrap();
        let staged = scene.stage(&scene.good_token(), rename, &["HUBKEEPER_CANDIDATE"]);
        for event in [
            event(&scene, "onboard"),
            scene.label_event("AWSCURRENT", &current),
            scene.label_event("HUBKEEPER_CANDIDATE", &staged),
        ] {
            let answer = outcome(&scene.invoke(event.clone()).await);
            assert!(answer.starts_with("NeedsHuman"), "{puts}: {event}: {answer}");
            for word in ["dockerhub-acme", "dockerhub-other", "offboard"] {
                assert!(answer.contains(word), "{word}: {answer}");
            }
        }
        let report = scene.reconcile().await;
        assert_eq!(report["errorType"], "NeedsHuman", "{report}");
        let rotation = scene.rotate(1).await;
        assert!(!rotation.succeeded && rotation.message.unwrap().contains("NeedsHuman"));
        assert_eq!((scene.connector(), connectors(&scene)), (before, vec![CONNECTOR.to_owned()]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_rotation_does_not_lead_away_from_the_connector_and_no_token_is_retired() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let kept = scene.connector();
    let id = scene.token_id(&scene.version("AWSCURRENT").unwrap());
    // a person edits the current document and keeps its token
    let mut value = scene.value(&scene.version("AWSCURRENT").unwrap());
    rename(&mut value);
    for _ in 0..2 {
        scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
    }
    let minted = scene.world.with(|state| hub::pats_of(state, USER).len());
    assert!(!scene.rotate(2).await.succeeded);
    assert_eq!(scene.world.with(|state| hub::pats_of(state, USER).len()), minted, "nothing is minted for it");
    tokio::time::advance(DAY * 3).await;
    for _ in 0..3 {
        scene.reconcile().await;
    }
    assert_eq!((scene.connector(), scene.pat(&id)), (kept, "active"));
}

#[tokio::test(start_paused = true)]
async fn offboard_deletes_the_connector_that_is_kept_and_then_the_new_one_is_taken() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let mut value = scene.value(&scene.version("AWSCURRENT").unwrap());
    rename(&mut value);
    scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
    let report = scene.invoke(event(&scene, "offboard")).await.unwrap();
    assert_eq!(report["connector"]["change"], "deleted", "{report}");
    assert!(report["connector"]["id"].as_str().unwrap().ends_with(CONNECTOR), "{report}");
    assert_eq!((connectors(&scene), tag(&scene, "hubkeeper-connector").as_deref()), (vec![], Some(KEPT)));
    assert_eq!(outcome(&scene.onboard().await), "applied");
    assert_eq!(connectors(&scene), ["dockerhub-other"]);
    assert_eq!(tag(&scene, "hubkeeper-connector").as_deref(), Some(OTHER));
}

#[tokio::test(start_paused = true)]
async fn an_onboarding_elsewhere_waits_until_the_connector_before_is_gone() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    set_tag(&scene, "hubkeeper", Some("offboarded"));
    scene.stage(&scene.good_token(), rename, &["AWSCURRENT"]);
    let answer = outcome(&scene.onboard().await);
    assert!(answer.starts_with("NeedsHuman") && answer.contains("send offboard again"), "{answer}");
    assert_eq!(connectors(&scene), [CONNECTOR]);
    scene.invoke(event(&scene, "offboard")).await.unwrap();
    assert_eq!(outcome(&scene.onboard().await), "applied");
    assert_eq!(connectors(&scene), ["dockerhub-other"]);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_cannot_be_read_is_no_obstacle_to_offboarding() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    scene.world.with(|state| aws::put_version(state, &scene.arn, None, &json!("not JSON"), &["AWSCURRENT"]));
    let report = scene.invoke(event(&scene, "offboard")).await.unwrap();
    assert_eq!((&report["connector"]["change"], &report["organization"]), (&json!("deleted"), &json!("acme")));
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_before_gets_its_tag_from_reconcile_and_once() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    set_tag(&scene, "hubkeeper-connector", None);
    let _ = scene.world.take_record();
    assert_eq!(scene.reconcile().await["outcome"], "applied");
    assert_eq!(scene.writes(), ["POST TagResource"]);
    assert_eq!(tag(&scene, "hubkeeper-connector").as_deref(), Some(KEPT));
    assert_eq!(scene.reconcile().await["outcome"], "unchanged");
}

#[tokio::test(start_paused = true)]
async fn where_the_tag_is_missing_no_version_may_name_another_connector() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    scene.stage(&scene.good_token(), rename, &["AWSCURRENT"]);
    set_tag(&scene, "hubkeeper-connector", None);
    let report = scene.reconcile().await;
    assert_eq!(report["errorType"], "NeedsHuman", "{report}");
    assert!(report["errorMessage"].as_str().unwrap().contains(&scene.version("AWSPREVIOUS").unwrap()), "{report}");
    assert_eq!(connectors(&scene), [CONNECTOR]);
    // a person deleted the connector and set the tag
    scene.world.with(|state| arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
    set_tag(&scene, "hubkeeper-connector", Some(OTHER));
    assert_eq!(scene.reconcile().await["outcome"], "applied");
    assert_eq!(connectors(&scene), ["dockerhub-other"]);
}

#[tokio::test(start_paused = true)]
async fn a_tag_alone_deletes_no_connector_and_kills_no_token() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let (kept, id) = (scene.connector(), scene.token_id(&scene.version("AWSCURRENT").unwrap()));
    set_tag(&scene, "hubkeeper", Some("offboarded"));
    for _ in 0..4 {
        let report = scene.reconcile().await;
        assert_eq!(report["errorType"], "NeedsHuman", "{report}");
        assert!(report["errorMessage"].as_str().unwrap().contains("send offboard again"), "{report}");
        tokio::time::advance(DAY * 3).await;
    }
    assert_eq!((scene.connector(), scene.pat(&id)), (kept, "active"));
    // the person removes the tag again, and the function continues
    set_tag(&scene, "hubkeeper", Some("managed"));
    assert_eq!(scene.reconcile().await["outcome"], "unchanged");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_finds_the_secret_offboarded_deletes_only_what_it_created() {
    for there in [false, true] {
        let mut reached = false;
        for at in 0.. {
            let scene = Scene::new(Begin::ByHand);
            if there {
                scene.onboard().await.unwrap();
                by_hand(&scene, |body| body["properties"]["offerings"] = json!([]));
            }
            let tagged = async { set_tag(&scene, "hubkeeper", Some("offboarded")) };
            let (answer, between) = interleave(&scene, event(&scene, "onboard"), at, tagged).await;
            if between.is_none() {
                break;
            }
            let answer = outcome(&answer);
            let offboarded = tag(&scene, "hubkeeper").as_deref() == Some("offboarded");
            if there {
                assert!(scene.connector().is_some(), "request {at}: {answer}");
                reached |= answer.starts_with("NeedsHuman");
            } else if offboarded {
                assert!(scene.connector().is_none(), "request {at}: {answer}");
                reached |= answer.contains("it was deleted again");
            }
        }
        assert!(reached, "no request was in the middle of the write");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leftover_awspending_is_no_rotation_and_its_steps_are_refused() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    scene.world.with(|state| state.aws.leave_pending = true);
    let rotation = scene.rotate(1).await;
    assert!(rotation.succeeded);
    let left = rotation.version_id;
    let old = scene.token_id(&left);
    // the function adopts a candidate while the leftover, now AWSPREVIOUS, names another connector
    let manage = |value: &mut Value| value["manager"] = json!("hubkeeper/manager");
    let version = scene.stage(&scene.good_token(), manage, &["HUBKEEPER_CANDIDATE"]);
    assert_eq!(outcome(&scene.invoke(scene.label_event("HUBKEEPER_CANDIDATE", &version)).await), "applied");
    assert_eq!(scene.version("AWSPREVIOUS").as_deref(), Some(left.as_str()));
    assert_eq!(scene.version("AWSPENDING").as_deref(), Some(left.as_str()));
    let kept = scene.connector();
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        let answer = outcome(&scene.invoke(scene.step(step, &left, None)).await);
        assert!(answer.starts_with("NeedsHuman") && answer.contains("--remove-from-version-id"), "{step}: {answer}");
    }
    assert_eq!((scene.connector(), scene.version("AWSCURRENT")), (kept, Some(version)));
    assert!(!codes(&scene.reconcile().await).contains(&"pendingLeftover"), "Secrets Manager may be about to clean up");
    tokio::time::advance(Duration::from_hours(2)).await;
    let report = scene.reconcile().await;
    assert!(codes(&report).contains(&"pendingLeftover") && report.to_string().contains(&left), "{report}");
    // repair and retirement continue
    by_hand(&scene, |body| body["properties"]["offerings"] = json!([]));
    assert_eq!(scene.reconcile().await["connector"]["change"], "updated");
    tokio::time::advance(DAY * 9).await;
    for _ in 0..2 {
        scene.reconcile().await;
    }
    assert_eq!(scene.pat(&old), "gone");
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_was_moved_is_not_created_a_second_time() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    scene.world.with(|state| arm::grant(state, CLIENT, SUBSCRIPTION, "*", &["read"]));
    let id = scene.token_id(&scene.version("AWSCURRENT").unwrap());
    move_connector(&scene, "rg-other");
    for trigger in [scene.reconcile_event(&json!({})), event(&scene, "onboard")] {
        let answer = match scene.invoke(trigger).await {
            Ok(report) => report["items"][0]["errorMessage"].as_str().unwrap().to_owned(),
            Err(error) => format!("{error}"),
        };
        for word in ["rg-security", "rg-other", "was moved"] {
            assert!(answer.contains(word), "{word}: {answer}");
        }
    }
    let rotation = scene.rotate(1).await;
    assert!(!rotation.succeeded, "a rotation creates none either");
    tokio::time::advance(DAY * 3).await;
    scene.reconcile().await;
    assert_eq!((connectors(&scene).len(), scene.pat(&id)), (1, "active"));
}

#[tokio::test(start_paused = true)]
async fn where_the_role_does_not_permit_the_look_the_connector_is_created_again() {
    for status in [403, 404] {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        scene.world.with(|state| arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
        let whole = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Security/securityConnectors");
        let refusal = json!({"error": {"code": "AuthorizationFailed", "message": "no right on the subscription"}});
        scene.world.script(move |_, _, request| {
            let refused = request.uri().path() == whole;
            refused.then(|| Fault::Answer(hubkeeper_sandbox::world::json(status, &refusal)))
        });
        assert_eq!(scene.reconcile().await["connector"]["change"], "created", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_group_that_is_gone_ends_an_offboarding_and_nothing_else() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let id = scene.token_id(&scene.version("AWSCURRENT").unwrap());
    scene.world.with(|state| arm::delete_resource_group(state, SUBSCRIPTION, GROUP));
    assert_eq!(scene.reconcile().await["errorType"], "Misconfigured", "while it is managed the group is missed");
    let report = scene.invoke(event(&scene, "offboard")).await.unwrap();
    assert_eq!(report["outcome"], "applied", "{report}");
    tokio::time::advance(DAY * 9).await;
    for _ in 0..2 {
        let report = scene.reconcile().await;
        assert!(report["errorType"].is_null(), "{report}");
    }
    assert_eq!(scene.pat(&id), "gone");
}

/// Returns the last response to a stack.
fn told(scene: &Scene) -> Value {
    scene.world.with(|state| responses::answers(state).last().unwrap().body.clone())
}

#[tokio::test(start_paused = true)]
async fn a_stack_owns_the_connector_that_a_killed_create_made() {
    let mut created = false;
    for at in 0.. {
        let scene = Scene::new(Begin::ByHand);
        let create = scene.stack_event("Create", None);
        if !kill(&scene, create.clone(), at, true).await {
            break;
        }
        created |= scene.connector().is_some();
        scene.invoke(create).await.unwrap();
        let answer = told(&scene);
        assert_eq!(answer["Status"], "SUCCESS", "killed after request {at}: {answer}");
        let physical = answer["PhysicalResourceId"].as_str().unwrap().to_owned();
        assert!(physical.starts_with("hubkeeper/"), "killed after request {at}: {physical}");
        scene.invoke(scene.stack_event("Delete", Some(&physical))).await.unwrap();
        assert_eq!(scene.connector(), None, "killed after request {at}");
    }
    assert!(created, "no run was killed after the PUT");
}

#[tokio::test(start_paused = true)]
async fn a_stack_does_not_own_a_connector_that_was_there() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    scene.invoke(scene.stack_event("Create", None)).await.unwrap();
    assert!(told(&scene)["PhysicalResourceId"].as_str().unwrap().starts_with("hubkeeper-kept/"));
    assert_eq!(tag(&scene, "hubkeeper-stack"), None);
}
