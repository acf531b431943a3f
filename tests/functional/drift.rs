//! Tests ARM's undocumented behaviour: another writer's name, settings that it drops or hides, writes that it shows
//! late.
//!
//! The tags and the user name show which version a connector carries. Every other difference is drift.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubkeeper::http::{Request, Response, Transport, TransportError};
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{aws, responses};
use serde_json::{Value, json};

use crate::reconcile::by_hand;
use hubkeeper_scene::{Answer, Begin, CLIENT, InProcess, Scene, outcome};

/// The function's own name as a writer in ARM: the object id of the service principal.
const OBJECT_ID: &str = "0b1ec700-0000-4000-a000-000000000001";

type Bend = Arc<dyn Fn(&Request, Response) -> Response + Send + Sync>;

/// The sandbox, with changed responses of ARM about connectors.
#[derive(Clone)]
struct Bent {
    inner: InProcess,
    bend: Bend,
}

impl Transport for Bent {
    fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>> {
        let this = self.clone();
        Box::pin(async move {
            let asked = request.clone();
            let response = this.inner.send(request, body_limit).await?;
            let arm = asked.uri().host().is_some_and(|host| host.starts_with("management."));
            Ok(if arm { (this.bend)(&asked, response) } else { response })
        })
    }
}

/// Changes the body of a response if the body is a connector.
fn rewritten(mut response: Response, change: impl FnOnce(&mut Value)) -> Response {
    if let Ok(mut body) = serde_json::from_slice::<Value>(response.body())
        && body["properties"]["environmentName"].is_string()
    {
        change(&mut body);
        response.headers_mut().remove("content-length");
        *response.body_mut() = body.to_string().into();
    }
    response
}

async fn invoke(scene: &Scene, bend: &Bend, event: Value) -> Answer {
    let transport = Bent { inner: scene.transport(None), bend: Arc::clone(bend) };
    let answer = scene.handler_over(Arc::new(transport)).handle(&event, scene.deadline()).await;
    scene.keep(&answer);
    answer
}

/// Runs createSecret to finishSecret.
async fn rotate(scene: &Scene, bend: &Bend) -> Vec<String> {
    let token = scene.good_token();
    scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
    let (version, rotation_token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    let mut outcomes = Vec::new();
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        let event = scene.step(step, &version, rotation_token.as_deref());
        outcomes.push(outcome(&invoke(scene, bend, event).await));
    }
    outcomes
}

fn codes(report: &Value) -> Vec<&str> {
    report["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

fn names_another_writer() -> Bend {
    Arc::new(|_, response| {
        rewritten(response, |body| {
            if body["systemData"]["lastModifiedBy"] == CLIENT {
                body["systemData"]["lastModifiedBy"] = json!(OBJECT_ID);
            }
        })
    })
}

fn drops_an_offering() -> Bend {
    Arc::new(|_, response| {
        rewritten(response, |body| {
            let offerings = body["properties"]["offerings"].as_array_mut().unwrap();
            offerings.retain(|offering| offering["offeringType"] != "DefenderCspmDockerHub");
        })
    })
}

fn hides_the_interval() -> Bend {
    Arc::new(|_, response| {
        rewritten(response, |body| {
            body["properties"]["environmentData"].as_object_mut().unwrap().remove("scanInterval");
        })
    })
}

#[tokio::test(start_paused = true)]
async fn whatever_arm_makes_of_the_settings_awscurrent_moves() {
    for (name, bend) in
        [("writer", names_another_writer()), ("offering", drops_an_offering()), ("interval", hides_the_interval())]
    {
        let scene = Scene::new(Begin::ByHand);
        invoke(&scene, &bend, json!({"action": "onboard", "secretId": scene.arn})).await.unwrap();
        let outcomes = rotate(&scene, &bend).await;
        assert!(outcomes.iter().all(|outcome| !outcome.contains(':')), "{name}: {outcomes:?}");
        assert_eq!(scene.connector().unwrap().0, scene.version("AWSCURRENT").unwrap(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_writer_is_learned_from_the_response_to_our_own_put_and_never_from_a_get() {
    let bend = names_another_writer();
    let scene = Scene::new(Begin::ByHand);
    invoke(&scene, &bend, json!({"action": "onboard", "secretId": scene.arn})).await.unwrap();
    let writer =
        |scene: &Scene| scene.world.with(|state| aws::tags(state, &scene.arn).get("hubkeeper-writer").cloned());
    assert_eq!(writer(&scene).as_deref(), Some(OBJECT_ID));
    let _ = scene.world.take_record();
    let fleet = invoke(&scene, &bend, scene.reconcile_event(&json!({}))).await.unwrap();
    assert_eq!(fleet["outcome"], "unchanged", "{fleet}");
    assert_eq!(scene.writes(), [""; 0]);
    // the function repairs a person's write, and does not store the person as the writer
    by_hand(&scene, |_| {});
    let fleet = invoke(&scene, &bend, scene.reconcile_event(&json!({}))).await.unwrap();
    assert_eq!((&fleet["outcome"], &fleet["items"][0]["connector"]["change"]), (&json!("applied"), &json!("updated")));
    assert_eq!(writer(&scene).as_deref(), Some(OBJECT_ID));
    let fleet = invoke(&scene, &bend, scene.reconcile_event(&json!({}))).await.unwrap();
    assert_eq!(fleet["outcome"], "unchanged", "{fleet}");
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_cannot_be_remembered_is_a_warning() {
    let bend = names_another_writer();
    let scene = Scene::new(Begin::ByHand);
    let refuse = json!({"__type": "AccessDeniedException", "Message": "not authorized to perform TagResource"});
    scene.world.script(move |_, service, request| {
        let writer = service == Service::Aws && String::from_utf8_lossy(request.body()).contains("hubkeeper-writer");
        writer.then(|| hubkeeper_sandbox::Fault::Answer(hubkeeper_sandbox::world::json(400, &refuse)))
    });
    let report = invoke(&scene, &bend, json!({"action": "onboard", "secretId": scene.arn})).await.unwrap();
    assert_eq!(report["outcome"], "applied", "{report}");
    assert!(codes(&report).contains(&"writerNotRemembered"), "{report}");
    assert!(report.to_string().contains("TagResource"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn what_arm_did_not_keep_is_a_warning_and_never_a_second_write_in_the_same_run() {
    let bend = drops_an_offering();
    let scene = Scene::new(Begin::ByHand);
    let report = invoke(&scene, &bend, json!({"action": "onboard", "secretId": scene.arn})).await.unwrap();
    assert!(codes(&report).contains(&"driftRemains"), "{report}");
    let _ = scene.world.take_record();
    let fleet = invoke(&scene, &bend, scene.reconcile_event(&json!({}))).await.unwrap();
    let item = &fleet["items"][0];
    assert_eq!(scene.connector_writes().len(), 1, "{item}");
    assert!(codes(item).contains(&"connectorDrifted") && codes(item).contains(&"driftRemains"), "{item}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_arm_shows_forty_seconds_late_is_waited_for() {
    for (late, settled) in [(40, true), (70, false)] {
        let scene = Scene::new(Begin::ByHand);
        let since = tokio::time::Instant::now();
        let written = Arc::new(AtomicUsize::new(usize::MAX));
        let bend: Bend = Arc::new(move |request, response| {
            let now = usize::try_from(since.elapsed().as_secs()).unwrap();
            if request.method() == "PUT" {
                written.store(now, Ordering::Relaxed);
            } else if request.method() == "GET"
                && now.saturating_sub(written.load(Ordering::Relaxed).min(now)) < late
                && written.load(Ordering::Relaxed) != usize::MAX
                && request.uri().path().ends_with(hubkeeper_scene::CONNECTOR)
            {
                return hubkeeper_sandbox::world::json(
                    404,
                    &json!({"error": {"code": "ResourceNotFound", "message": "x"}}),
                );
            }
            response
        });
        let answer = outcome(&invoke(&scene, &bend, json!({"action": "onboard", "secretId": scene.arn})).await);
        assert_eq!(answer == "applied", settled, "{late} s: {answer}");
        assert_eq!(scene.connector_writes().len(), 1, "{late} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stack_owns_what_it_created_whatever_the_read_back_said() {
    let scene = Scene::new(Begin::ByHand);
    let bend: Bend = Arc::new(|request, response| {
        if request.method() == "GET" && request.uri().path().ends_with(hubkeeper_scene::CONNECTOR) {
            return hubkeeper_sandbox::world::json(
                404,
                &json!({"error": {"code": "ResourceNotFound", "message": "x"}}),
            );
        }
        response
    });
    invoke(&scene, &bend, scene.stack_event("Create", None)).await.unwrap();
    let answer = scene.world.with(|state| responses::answers(state).last().unwrap().body.clone());
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    let physical = answer["PhysicalResourceId"].as_str().unwrap().to_owned();
    assert!(physical.starts_with("hubkeeper/"), "{physical}");
    assert!(scene.connector().is_some());
    tokio::time::sleep(Duration::from_mins(1)).await;
    scene.invoke(scene.stack_event("Delete", Some(&physical))).await.unwrap();
    assert_eq!(scene.connector(), None, "the stack's rollback takes it away again");
}

#[tokio::test(start_paused = true)]
async fn a_user_name_in_capitals_is_no_drift() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let bend: Bend = Arc::new(|_, response| {
        rewritten(response, |body| {
            body["properties"]["environmentData"]["authentication"]["username"] = json!("Acme-Scanner");
        })
    });
    let fleet = invoke(&scene, &bend, scene.reconcile_event(&json!({}))).await.unwrap();
    assert_eq!(fleet["outcome"], "unchanged", "{fleet}");
}
