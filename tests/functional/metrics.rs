//! Tests the lines of metrics: one for each report of an applied event, and none for a plan.

use std::time::Duration;

use hubkeeper::metrics::{METRICS, NAMESPACE, TRAFFIC_DIMENSIONS, TRAFFIC_METRICS};
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Fault, aws, hub};
use serde_json::{Value, json};

use crate::fleet::{Fleet, Plan};
use hubkeeper_scene::{Begin, ORG, Scene, USER, outcome};

/// Returns the one line since the last call, after a check of its declarations.
fn only(scene: &Scene) -> Value {
    let mut lines = scene.take_metrics();
    assert_eq!(lines.len(), 1, "{lines:?}");
    seen_to_be_whole(&lines[0]);
    lines.remove(0)
}

/// Checks that a line contains every metric and dimension that it declares, and declares nothing else.
fn seen_to_be_whole(line: &Value) {
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], NAMESPACE);
    for metric in directive["Metrics"].as_array().unwrap() {
        let known = METRICS.iter().find(|known| metric["Name"] == known.name).unwrap();
        assert_eq!(metric["Unit"].as_str().unwrap_or("None"), known.unit(), "{line}");
        assert!(line[known.name].is_number(), "{line}");
    }
    for name in directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap()) {
        assert!(line[name.as_str().unwrap()].as_str().is_some_and(|value| !value.is_empty()), "{line}");
    }
    assert!(line["_aws"]["Timestamp"].is_u64() && line["level"] == "INFO", "{line}");
    assert!(hubkeeper_core::time::parse_rfc3339(line["timestamp"].as_str().unwrap()).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_onboarding_counts_its_token_its_proof_and_its_time() {
    let mut scene = Scene::new(Begin::Manager);
    scene.set("AWS_LAMBDA_FUNCTION_NAME", "hubkeeper-prod");
    let report = scene.onboard().await.unwrap();
    assert!(report.get("duration").is_none() && report.get("isGivenUp").is_none(), "{report}");
    let line = only(&scene);
    assert_eq!(
        line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
        json!([["FunctionName", "Action", "Organization"], ["FunctionName", "Action"], ["FunctionName"]])
    );
    assert_eq!(
        [&line["FunctionName"], &line["Action"], &line["Organization"]],
        ["hubkeeper-prod", "onboard", ORG].map(|text| json!(text)).each_ref()
    );
    let count = |name: &str| line[name].as_u64();
    assert_eq!((count("Succeeded"), count("Failed"), count("VerdictComplete")), (Some(1), Some(0), Some(1)));
    assert_eq!(line["RepositoriesProven"], report["verdict"]["repositories"]);
    // every request takes 20 ms, and some run concurrently
    assert!((200..60_000).contains(&count("Duration").unwrap()), "{line}");
    let days = line["DaysLeft"].as_f64().unwrap();
    assert!((89.9..=90.0).contains(&days), "{days}");
    assert_eq!((&line["outcome"], &line["verdict"]), (&json!("applied"), &json!("complete")));
    assert_eq!((&line["secretId"], &line["versionId"]), (&report["secretId"], &report["versionId"]));
    assert_eq!(line["errorType"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_fleet_counts_for_itself() {
    let fleet = Fleet::new(Plan::of(3));
    fleet.want_too_much(1);
    let report = fleet.scene.invoke(json!({"action": "reconcile"})).await.unwrap();
    assert_eq!(report["outcome"], "refused");
    let lines = fleet.scene.take_metrics();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            seen_to_be_whole(line);
            let numbers = ["Succeeded", "Failed", "VerdictComplete"].map(|name| line[name].as_u64().unwrap());
            (line["Organization"].as_str().unwrap(), line["outcome"].as_str().unwrap(), numbers)
        })
        .collect();
    assert_eq!(
        seen,
        [("org-000", "unchanged", [1, 0, 1]), ("org-001", "refused", [0, 1, 0]), ("org-002", "unchanged", [1, 0, 1])]
    );
    assert_eq!(lines[1]["errorType"], "Refused");
    assert_eq!(lines[1]["verdict"], "partial");
    assert_eq!(lines[1]["RepositoriesProven"], Value::Null);
    // the same metrics for events from a queue
    let bodies: Vec<String> = fleet
        .members
        .iter()
        .map(|member| json!({"action": "reconcile", "secretIds": [member.arn]}).to_string())
        .collect();
    assert_eq!(fleet.records(&bodies).await, [0; 0], "told by the metric, not by the queue");
    let again = fleet.scene.take_metrics();
    assert_eq!(again.iter().map(|line| line["Failed"].as_u64()).collect::<Vec<_>>(), [Some(0), Some(1), Some(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_step_that_fails_counts_as_failed_under_its_own_name() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    scene.take_metrics();
    let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    let answer = scene.invoke(scene.step("createSecret", &version, token.as_deref())).await;
    assert!(outcome(&answer).starts_with("NeedsHuman"), "{}", outcome(&answer));
    let line = only(&scene);
    assert_eq!((&line["Action"], &line["Organization"]), (&json!("rotation:createSecret"), &json!(ORG)));
    assert_eq!((&line["Succeeded"], &line["Failed"]), (&json!(0), &json!(1)));
    assert_eq!((&line["outcome"], &line["errorType"]), (&json!("failed"), &json!("NeedsHuman")));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_read_counts_without_an_organization() {
    let scene = Scene::new(Begin::ByHand);
    scene.invoke(json!({"action": "onboard", "secretId": "hubkeeper/nobody"})).await.unwrap_err();
    let line = only(&scene);
    assert_eq!(
        line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
        json!([["FunctionName", "Action"], ["FunctionName"]])
    );
    assert_eq!((&line["Failed"], &line["FunctionName"]), (&json!(1), &json!("hubkeeper")));
    assert_eq!(line.get("Organization"), None);
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_of_a_fleet_without_secrets_has_succeeded() {
    let mut fleet = Fleet::new(Plan::of(0));
    let event = json!({"action": "reconcile"});
    for with_queue in [false, true] {
        if with_queue {
            fleet.with_queue();
        }
        assert_eq!(fleet.scene.invoke(event.clone()).await.unwrap()["items"], json!([]));
        let line = only(&fleet.scene);
        assert_eq!((&line["Action"], &line["Succeeded"], &line["Failed"]), (&json!("reconcile"), &json!(1), &json!(0)));
        assert_eq!((line.get("Organization"), line.get("Duration")), (None, None));
        assert_eq!(fleet.records(&[event.to_string()]).await, [0; 0]);
        assert_eq!(only(&fleet.scene)["Succeeded"], 1);
    }
    let plan = json!({"action": "reconcile", "mode": "plan"});
    fleet.scene.invoke(plan.clone()).await.unwrap();
    assert_eq!(fleet.records(&[plan.to_string()]).await, [0; 0]);
    assert_eq!(fleet.scene.take_metrics(), [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_has_taken_is_neither_done_nor_failed() {
    let mut fleet = Fleet::new(Plan::of(2));
    fleet.with_queue();
    fleet.scene.invoke(json!({"action": "reconcile"})).await.unwrap();
    let lines = fleet.scene.take_metrics();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert_eq!(
            (&line["outcome"], &line["Failed"], &line["Succeeded"]),
            (&json!("recorded"), &json!(0), &Value::Null)
        );
        assert_eq!(line["Duration"], Value::Null, "nothing was done with the secret yet");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_whose_turn_never_came_counts_as_failed() {
    let fleet = Fleet::new(Plan::of(1));
    let event = json!({"action": "reconcile", "secretIds": [fleet.members[0].arn]});
    let answer = fleet.scene.handler(None).handle(&event, fleet.scene.now()).await;
    fleet.scene.keep(&answer);
    let line = only(&fleet.scene);
    assert_eq!((&line["outcome"], &line["Succeeded"], &line["Failed"]), (&json!("notReached"), &json!(0), &json!(1)));
    assert_eq!(line["Duration"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_plan_and_what_has_no_report_count_for_nothing() {
    let mut scene = Scene::new(Begin::ByHand);
    scene.invoke(json!({"action": "onboard", "secretId": scene.arn, "mode": "plan"})).await.unwrap();
    scene.reconcile_with(json!({"mode": "plan"})).await;
    scene.invoke(json!({"action": "verify", "secretId": "hubkeeper/nobody", "mode": "plan"})).await.unwrap_err();
    scene.invoke(json!({"action": "onbord"})).await.unwrap_err();
    let elsewhere = scene.label_event("AWSPREVIOUS", "7c2c7a4e-6a0e-4a2f-9b58-0d6a4f8a1c11");
    assert_eq!(scene.invoke(elsewhere).await.unwrap()["outcome"], "ignored");
    scene.set("AZURE_TENANT_ID", "");
    scene.onboard().await.unwrap_err();
    assert_eq!(scene.take_metrics(), [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_token_is_no_concern_of_a_secret_that_is_offboarded() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    tokio::time::advance(Duration::from_hours(24 * 30)).await;
    scene.reconcile().await;
    let days: Vec<f64> = scene.take_metrics().iter().map(|line| line["DaysLeft"].as_f64().unwrap()).collect();
    assert!(days[0] > 89.9 && (59.9..=60.0).contains(&days[1]), "{days:?}");
    scene.invoke(json!({"action": "offboard", "secretId": scene.arn})).await.unwrap();
    scene.reconcile().await;
    for line in scene.take_metrics() {
        assert_eq!((&line["DaysLeft"], &line["Succeeded"]), (&Value::Null, &json!(1)), "{line}");
    }
}

/// Returns the lines about services since the last call, after a check of their declarations.
fn services(scene: &Scene) -> Vec<Value> {
    let lines = scene.take_metrics().into_iter().filter(|line| line.get("Service").is_some());
    lines
        .inspect(|line| {
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            let named: Vec<_> = directive["Metrics"].as_array().unwrap().iter().map(|metric| &metric["Name"]).collect();
            assert_eq!(named, TRAFFIC_METRICS.map(|metric| metric.name), "{line}");
            assert_eq!(directive["Dimensions"], json!(TRAFFIC_DIMENSIONS), "the organization is no dimension: {line}");
            assert_eq!(line["Organization"], ORG);
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_rate_limit_and_its_retry_count_for_their_service() {
    let scene = Scene::new(Begin::ByHand);
    let mut first = true;
    scene.world.script(move |_, service, request| {
        let hit = first && service == Service::Hub && request.uri().path() == "/v2/auth/token";
        first &= !hit;
        let response = http::Response::builder().status(429).header("retry-after", "7");
        hit.then(|| Fault::Answer(response.body(bytes::Bytes::new()).unwrap()))
    });
    scene.invoke(json!({"action": "verify", "secretId": scene.arn})).await.unwrap();
    let lines = services(&scene);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!((&line["Service"], &line["Action"]), (&json!("hub"), &json!("verify")));
    assert_eq!(
        [&line["RateLimitWait"], &line["Retries"], &line["RefusedLogins"]],
        [7000, 1, 0].map(|n| json!(n)).each_ref()
    );
    // the next invocation begins at zero
    scene.invoke(json!({"action": "verify", "secretId": scene.arn})).await.unwrap();
    assert_eq!(services(&scene), [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_a_rejected_password_and_a_lock_out_are_refused_logins() {
    let scene = Scene::new(Begin::ByHand);
    let token = scene.good_token();
    let version = scene.stage(&token, |_| {}, &["AWSCURRENT"]);
    scene.world.with(|state| {
        for pat in hub::pats_of(state, USER) {
            hub::deactivate(state, &pat.uuid);
        }
    });
    assert_eq!(scene.version("AWSCURRENT"), Some(version));
    scene.invoke(json!({"action": "verify", "secretId": scene.arn})).await.unwrap();
    let refused = |lines: Vec<Value>| {
        let of = |line: &Value| (line["Service"].clone(), line["RefusedLogins"].as_u64().unwrap());
        lines.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(refused(services(&scene)), [(json!("hub"), 1)]);

    let scene = Scene::new(Begin::Manager);
    scene.world.with(|state| hub::set_password(state, USER, "another-password"));
    scene.onboard().await.unwrap_err();
    assert_eq!(refused(services(&scene)), [(json!("hub"), 1)]);

    let scene = Scene::new(Begin::ByHand);
    scene.world.script(|_, service, _| {
        let body = bytes::Bytes::from_static(b"too many failed login attempts for username or IP address");
        let response = http::Response::builder().status(429).body(body);
        (service == Service::Hub).then(|| Fault::Answer(response.unwrap()))
    });
    scene.onboard().await.unwrap_err();
    assert_eq!(refused(services(&scene)), [(json!("hub"), 1)]);
}

#[tokio::test(start_paused = true)]
async fn the_lines_are_searched_for_secrets_when_a_test_ends() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    assert!(scene.output().contains("CloudWatchMetrics"));
    scene.take_metrics();
    assert!(scene.output().contains("CloudWatchMetrics"), "also after a test took them");
}
