//! Tests that errors are accurate: each names what is wrong and where, and is as final as the cause (docs/report.md).

use std::time::Duration;

use hubkeeper_sandbox::rotation::test_only;
use hubkeeper_sandbox::world::{Service, json as answer};
use hubkeeper_sandbox::{Fault, Request, aws, entra, hub};
use serde_json::{Value, json};

use crate::zero;
use hubkeeper_scene::{Begin, CLIENT, Scene, TENANT, USER, logged, outcome};

/// Schedules a secret for deletion as a person would.
fn delete(scene: &Scene, name: &str) {
    let now = scene.now();
    scene.world.with(|state| {
        let secret = state.aws.secrets.values_mut().find(|secret| secret.name == name).unwrap();
        secret.deleted = Some(now + time::Duration::days(30));
    });
}

/// Removes a secret at once.
fn remove(scene: &Scene, name: &str) {
    scene.world.with(|state| state.aws.secrets.retain(|_, secret| secret.name != name));
}

fn outside(scene: &Scene) -> usize {
    [Service::Hub, Service::HubAuth, Service::Registry, Service::Entra, Service::Arm]
        .into_iter()
        .map(|service| scene.requests(service))
        .sum()
}

fn with_client_secret() -> Scene {
    let mut scene = Scene::new(Begin::ByHand);
    scene.set("HUBKEEPER_AZURE_AUTH", "client-secret");
    scene.set("HUBKEEPER_AZURE_CLIENT_SECRET_ID", "azure/client");
    scene.world.with(|state| {
        let secret = entra::add_client_secret(state, CLIENT, None);
        aws::create_secret(state, "azure/client", &json!(secret), &[]);
    });
    scene
}

/// Checks the kind and the parts of a rendered error.
fn told(text: &str, kind: &str, parts: &[&str]) {
    assert!(text.starts_with(&format!("{kind}: ")) && text.contains("; remedy: "), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_scheduled_for_deletion_is_named_with_the_command_that_restores_it() {
    let scenes = [
        (Scene::new(Begin::Manager), "hubkeeper/acme", "the secret arn:aws"),
        (Scene::new(Begin::Manager), "hubkeeper/manager", "the manager secret hubkeeper/manager"),
        (with_client_secret(), "azure/client", "the client secret azure/client"),
        (zero::scene(|_| {}), "vault/acme-owner", "the owner secret vault/acme-owner"),
    ];
    for (scene, name, what) in scenes {
        delete(&scene, name);
        let text = outcome(&scene.onboard().await);
        told(
            &text,
            "NeedsHuman",
            &[what, "is scheduled for deletion", "aws secretsmanager restore-secret --secret-id "],
        );
        assert_eq!(scene.connector_writes(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_of_a_secret_that_is_scheduled_for_deletion_makes_no_token() {
    let scene = Scene::new(Begin::Manager);
    let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    delete(&scene, "hubkeeper/acme");
    let text = outcome(&scene.invoke(scene.step("createSecret", &version, token.as_deref())).await);
    told(&text, "NeedsHuman", &["scheduled for deletion", "restore-secret"]);
    assert_eq!(outside(&scene), 0);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_there_is_named_as_that_one() {
    let scenes = [
        (Scene::new(Begin::Manager), "hubkeeper/acme", "there is no secret arn:aws", "in the event"),
        (Scene::new(Begin::Manager), "hubkeeper/manager", "there is no manager secret hubkeeper/manager", "`manager`"),
        (
            with_client_secret(),
            "azure/client",
            "there is no client secret azure/client",
            "HUBKEEPER_AZURE_CLIENT_SECRET_ID",
        ),
        (zero::scene(|_| {}), "vault/acme-owner", "there is no owner secret vault/acme-owner", "`owner`"),
    ];
    for (scene, name, what, correct) in scenes {
        remove(&scene, name);
        told(&outcome(&scene.onboard().await), "Misconfigured", &[what, correct]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_and_another_region_are_refused_before_any_outside_request() {
    let scene = Scene::new(Begin::Manager);
    scene.world.with(|state| state.aws.primary_region = Some("us-east-1".into()));
    told(&outcome(&scene.onboard().await), "Misconfigured", &["replica in eu-west-1", "primary Region is us-east-1"]);
    assert_eq!(outside(&scene), 0);
    scene.world.with(|state| state.aws.primary_region = Some("eu-west-1".into()));
    assert_eq!(outcome(&scene.onboard().await), "applied", "the primary itself");

    let scene = Scene::new(Begin::Manager);
    let elsewhere = scene.arn.replace("eu-west-1", "us-east-1");
    let answer = scene.invoke(json!({"action": "verify", "secretId": elsewhere})).await;
    told(&outcome(&answer), "Misconfigured", &["is in Region us-east-1, the function runs in eu-west-1"]);
    assert_eq!(scene.world.record().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn tags_that_cannot_be_set_name_the_limit_or_the_action_and_nothing_is_written_outside() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.with(|state| {
        for n in 0..50 {
            aws::set_tag(state, &scene.arn, &format!("t{n}"), "x");
        }
    });
    told(&outcome(&scene.onboard().await), "NeedsHuman", &["TagResource", "50 tags", "untag-resource"]);
    assert_eq!(scene.connector_writes(), [""; 0]);

    let scene = Scene::new(Begin::ByHand);
    scene.world.script(|_, service, request| {
        let denied = json!({"__type": "AccessDeniedException", "Message": "User is not authorized"});
        is_call(service, request, "TagResource").then(|| Fault::Answer(answer(400, &denied)))
    });
    told(&outcome(&scene.onboard().await), "Misconfigured", &["allow the function's role secretsmanager:TagResource"]);
    assert_eq!(scene.connector_writes(), [""; 0]);
}

fn is_call(service: Service, request: &Request, action: &str) -> bool {
    service == Service::Aws && aws::action(request).as_deref() == Some(action)
}

#[tokio::test(start_paused = true)]
async fn a_put_that_passes_a_limit_needs_a_person() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    scene.world.script(|_, service, request| {
        let full = json!({"__type": "LimitExceededException", "Message": "The request exceeds a limit"});
        is_call(service, request, "PutSecretValue").then(|| Fault::Answer(answer(400, &full)))
    });
    let text = outcome(&scene.invoke(scene.step("createSecret", &version, token.as_deref())).await);
    told(&text, "NeedsHuman", &["PutSecretValue", "about 100"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_way_to_secrets_manager_the_error_comes_before_the_time_is_up() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.script(|_, service, _| (service == Service::Aws).then_some(Fault::Hang));
    let begin = scene.now();
    let event = json!({"action": "verify", "secretId": scene.arn});
    let answer = scene.handler(None).handle(&event, begin + Duration::from_secs(20)).await;
    told(
        &outcome(&answer),
        "Retryable",
        &["DescribeSecret", "secretsmanager.eu-west-1", "interface endpoint for secretsmanager"],
    );
    assert!(scene.now() < begin + Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_soon_gets_a_shorter_assertion() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.with(|state| state.aws.sts.session_seconds = 100);
    assert_eq!(outcome(&scene.onboard().await), "applied");
    let scene = Scene::new(Begin::ByHand);
    scene.world.with(|state| state.aws.sts.session_seconds = 30);
    told(
        &outcome(&scene.onboard().await),
        "Retryable",
        &["SessionDurationEscalationException", "session of the function's role"],
    );
}

fn entra_refusal(code: i64) -> Value {
    json!({"error": "invalid_client", "error_description": format!("AADSTS{code}: words about it."), "error_codes": [code]})
}

fn exchanges(scene: &Scene) -> usize {
    let record = scene.world.record();
    record.iter().filter(|entry| entry.service == Service::Entra && entry.request.method() == "POST").count()
}

#[tokio::test(start_paused = true)]
async fn a_federated_credential_that_does_not_match_is_asked_for_once_more_and_may_come() {
    for code in [70021, 700_211, 700_212, 700_213] {
        let scene = Scene::new(Begin::ByHand);
        let mut left = 1;
        scene.world.script(move |_, service, request| {
            let hit = service == Service::Entra && request.method() == "POST" && left > 0;
            left -= i32::from(hit);
            hit.then(|| Fault::Answer(answer(401, &entra_refusal(code))))
        });
        assert_eq!(outcome(&scene.onboard().await), "applied", "{code}");

        let scene = Scene::new(Begin::ByHand);
        scene.world.script(move |_, service, request| {
            let hit = service == Service::Entra && request.method() == "POST";
            hit.then(|| Fault::Answer(answer(401, &entra_refusal(code))))
        });
        let text = outcome(&scene.onboard().await);
        told(
            &text,
            "Retryable",
            &["may not be active yet", "issuer https://", "subject arn:aws:iam::", "audience api://"],
        );
        // two concurrent callers need a bearer token, and each retries once
        assert_eq!(exchanges(&scene), 4, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn entras_other_codes_have_remedies_of_their_own() {
    let create = format!("az ad sp create --id {CLIENT}");
    let case: Value = serde_json::from_str(
        r#"{"error": "invalid_client", "error_description": "AADSTS7000229: The client application 'x' is missing service principal in the tenant 'y'.", "error_codes": [7000229]}"#,
    )
    .unwrap();
    for (body, kind, parts) in [
        (case, "NeedsHuman", ["AADSTS7000229", create.as_str()]),
        (entra_refusal(700_024), "Retryable", ["AADSTS700024", "time range"]),
        (entra_refusal(7_999_999), "NeedsHuman", ["AADSTS7999999", "error?code=7999999"]),
    ] {
        let scene = Scene::new(Begin::ByHand);
        scene.world.script(move |_, service, request| {
            let hit = service == Service::Entra && request.method() == "POST";
            hit.then(|| Fault::Answer(answer(400, &body)))
        });
        let text = outcome(&scene.onboard().await);
        told(&text, kind, &parts);
        assert!(!text.contains("issuer") && !text.contains("subject"), "{text}");
        assert!(text.contains(TENANT) || kind == "Retryable", "{text}");
        assert_eq!(exchanges(&scene), 2, "each caller asks once");
    }
}

#[tokio::test(start_paused = true)]
async fn arms_codes_have_remedies_of_their_own_and_what_is_final_is_not_repeated() {
    let policy = json!([{"type": "PolicyViolation", "info": {"policyAssignmentName": "allowed-locations",
        "policyAssignmentDisplayName": "Allowed locations", "policyAssignmentId": "/subscriptions/x/policyAssignments/allowed-locations"}}]);
    for (status, code, more, kind, part) in [
        (403, "RequestDisallowedByPolicy", policy, "NeedsHuman", "Allowed locations (allowed-locations)"),
        (409, "ReadOnlyDisabledSubscription", json!([]), "NeedsHuman", "the subscription is disabled"),
        (409, "ScopeLocked", json!([]), "NeedsHuman", "remove the lock"),
        (403, "AuthorizationFailed", json!([]), "NeedsHuman", "securityConnectors/read and /write"),
        (403, "LinkedAuthorizationFailed", json!([]), "NeedsHuman", "a resource that it refers to"),
        (
            409,
            "MissingSubscriptionRegistration",
            json!([]),
            "NeedsHuman",
            "az provider register --namespace Microsoft.Security",
        ),
        (409, "AnotherOperationInProgress", json!([]), "Retryable", "another change to the connector is in progress"),
    ] {
        let scene = Scene::new(Begin::ByHand);
        let body = json!({"error": {"code": code, "message": "Plain words.", "additionalInfo": more}});
        scene.world.script(move |_, service, request| {
            let hit = service == Service::Arm && request.method() == "PUT";
            hit.then(|| Fault::Answer(answer(status, &body)))
        });
        told(&outcome(&scene.onboard().await), kind, &[code, part]);
        assert_eq!(scene.connector_writes().len(), 1, "{code} is not repeated");
    }
}

#[tokio::test(start_paused = true)]
async fn a_challenge_for_more_claims_ends_at_once() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.script(|_, service, _| {
        let body = json!({"error": {"code": "InvalidAuthenticationToken", "message": "Continuous access evaluation resulted in challenge"}});
        let mut challenge = answer(401, &body);
        let header = r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
        challenge.headers_mut().insert("www-authenticate", header.parse().unwrap());
        (service == Service::Arm).then_some(Fault::Answer(challenge))
    });
    let answer = scene.invoke(json!({"action": "onboard", "secretId": scene.arn})).await;
    told(&outcome(&answer), "NeedsHuman", &["requires claims", "conditional access", "continuous access evaluation"]);
    assert_eq!(exchanges(&scene), 1, "another bearer would meet the same");
}

#[tokio::test(start_paused = true)]
async fn a_put_that_is_answered_202_is_read_back() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.script(|_, service, request| {
        let hit = service == Service::Arm && request.method() == "PUT";
        hit.then(|| Fault::AnswerAfter(hubkeeper_sandbox::world::empty(202)))
    });
    assert_eq!(outcome(&scene.onboard().await), "applied");
    assert_eq!(scene.connector_writes().len(), 1);
}

/// Returns JSON that serde rejects.
fn unreadable() -> [String; 3] {
    let deep = format!("{{\"action\":\"verify\",\"secretId\":{}{}}}", "[".repeat(200), "]".repeat(200));
    [deep, r#"{"action":"verify","secretId":"\ud83d"}"#.to_owned(), "no JSON at all".to_owned()]
}

#[tokio::test(start_paused = true)]
async fn an_event_that_serde_refuses_is_a_bad_event_and_the_next_one_works() {
    let scene = Scene::new(Begin::ByHand);
    for event in unreadable() {
        let text = outcome(&scene.invoke_text(&event).await);
        told(&text, "BadEvent", &["event: the event is not JSON that can be read"]);
    }
    let event = json!({"action": "verify", "secretId": scene.arn}).to_string();
    assert_eq!(outcome(&scene.invoke_text(&event).await), "proven");
    let record = |id: &str, body: &str| json!({"messageId": id, "eventSource": "aws:sqs", "body": body});
    let [deep, surrogate, none] = unreadable();
    let records =
        json!({"Records": [record("a", &deep), record("b", &surrogate), record("c", &none), record("d", &event)]});
    let answer = scene.invoke_text(&records.to_string()).await.unwrap();
    let back: Vec<&str> =
        answer["batchItemFailures"].as_array().unwrap().iter().map(|f| f["itemIdentifier"].as_str().unwrap()).collect();
    assert_eq!(back, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn an_sns_notification_inside_a_record_is_handled_like_the_bare_event() {
    let scene = Scene::new(Begin::ByHand);
    assert_eq!(outcome(&scene.onboard().await), "applied");
    let token = scene.good_token();
    let version = scene.stage(&token, |_| {}, &["AWSCURRENT"]);
    let envelope = json!({"Type": "Notification", "MessageId": "b2a7f1d0-0000-4000-8000-000000000001",
        "TopicArn": "arn:aws:sns:eu-west-1:111122223333:secrets", "Message": scene.label_event("AWSCURRENT", &version).to_string(),
        "Timestamp": "2026-11-29T08:00:01.000Z", "SignatureVersion": "1", "Signature": "c2ln"});
    let records = json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": envelope.to_string()}]});
    let answer = scene.invoke(records).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(scene.connector().unwrap(), (version, token));
}

#[tokio::test(start_paused = true)]
async fn a_notice_about_a_version_that_is_not_shown_waits_ten_minutes() {
    const UNKNOWN: &str = "5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01";
    let scene = Scene::new(Begin::ByHand);
    assert_eq!(outcome(&scene.onboard().await), "applied");
    for label in ["AWSCURRENT", "HUBKEEPER_CANDIDATE"] {
        told(
            &outcome(&scene.invoke(scene.label_event(label, UNKNOWN)).await),
            "Retryable",
            &[UNKNOWN, "does not show yet"],
        );
    }
    tokio::time::sleep(Duration::from_mins(11)).await;
    for label in ["AWSCURRENT", "HUBKEEPER_CANDIDATE"] {
        assert_eq!(outcome(&scene.invoke(scene.label_event(label, UNKNOWN)).await), "ignored");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trials_test_secret_reports_the_version_that_it_proved() {
    for copies in [false, true] {
        let scene = Scene::new(Begin::ByHand);
        assert_eq!(outcome(&scene.onboard().await), "applied");
        scene.world.with(|state| state.aws.test_copies_current = copies);
        let current = scene.version("AWSCURRENT").unwrap();
        let rotation = test_only(&scene.world, &scene, &scene.arn).await;
        let report = rotation.steps[0].1.as_ref().unwrap();
        assert_eq!(
            (report["versionId"].as_str(), &report["verdict"]["result"]),
            (Some(current.as_str()), &json!("complete"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_url_on_this_machine_is_for_an_aws_on_this_machine() {
    let scene = Scene::new(Begin::ByHand);
    for url in ["http://127.0.0.1:9/a?b", "https://localhost:9/a"] {
        let mut event = scene.stack_event("Create", None);
        event["ResponseURL"] = json!(url);
        told(&outcome(&scene.invoke(event).await), "BadEvent", &["`ResponseURL`"]);
        assert_eq!(scene.world.record().len(), 0, "{url}");
    }
    let mut scene = Scene::new(Begin::ByHand);
    scene.set("AWS_ENDPOINT_URL", "http://127.0.0.1:4566");
    let mut event = scene.stack_event("Create", None);
    event["ResponseURL"] = json!("http://127.0.0.1:9/a?b");
    assert_eq!(outcome(&scene.invoke(event).await), "applied", "the sandbox has no such host, but it was admitted");
}

#[tokio::test(start_paused = true)]
async fn every_log_line_spells_an_outcome_as_the_report_does() {
    let scene = Scene::new(Begin::ByHand);
    let ids = json!([scene.arn, "hubkeeper/unknown"]);
    let token = scene.world.with(|state| hub::add_pat(state, USER, "public", &["repo:public_read"], None)).1;
    let mut reports = Vec::new();
    for event in [
        json!({"action": "verify", "secretId": scene.arn}),
        json!({"action": "onboard", "secretId": scene.arn, "mode": "plan"}),
        json!({"action": "onboard", "secretId": scene.arn}),
        json!({"action": "onboard", "secretId": scene.arn}),
        scene.label_event("OTHER", "5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01"),
        json!({"action": "reconcile", "secretIds": ids}),
    ] {
        reports.push(outcome(&scene.invoke(event).await));
    }
    scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
    reports.push(outcome(
        &scene
            .reconcile_with(json!({}))
            .await
            .pointer("/outcome")
            .map_or(Ok(Value::Null), |outcome| Ok(json!({"outcome": outcome}))),
    ));
    let known = [
        "failed",
        "refused",
        "notReached",
        "awaiting",
        "applied",
        "planned",
        "proven",
        "recorded",
        "unchanged",
        "ignored",
    ];
    let mut seen = Vec::new();
    for line in logged().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if let Some(outcome) = line["outcome"].as_str() {
            assert!(known.contains(&outcome), "{line}");
            seen.push(outcome.to_owned());
        }
        if let Some(counts) = line["counts"].as_str() {
            let counts: Value = serde_json::from_str(counts).unwrap();
            assert!(counts.as_object().unwrap().keys().all(|outcome| known.contains(&outcome.as_str())), "{line}");
        }
        if let Some(report) = line["report"].as_str().filter(|_| line["outcome"].is_string()) {
            let report: Value = serde_json::from_str(report).unwrap();
            assert_eq!(report["outcome"], line["outcome"], "{line}");
        }
    }
    for outcome in reports {
        assert!(seen.contains(&outcome), "{outcome} is in no line: {seen:?}");
    }
}
