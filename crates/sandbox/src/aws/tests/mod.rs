//! Tests of the AWS services with requests as the SDKs send them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;
use crate::world::{Service, World};

mod labels;
mod lists;
mod queries;
mod queues;
mod refusals;
mod schedules;
mod stacks;
mod tokens;
mod values;

const TYPE: &str = "application/x-amz-json-1.1";

/// The `Authorization` header of a signed request.
fn signed(region: &str, service: &str) -> String {
    let scope = format!("AKID/20261124/{region}/{service}/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00")
}

/// A world whose clock the test moves, in seconds since the start.
fn world() -> (World, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(0));
    let read = Arc::clone(&clock);
    let start = time::macros::datetime!(2026-11-24 10:00 UTC);
    let now = move || -> OffsetDateTime { start + time::Duration::seconds(read.load(Ordering::Relaxed)) };
    (World::with_clock(Arc::new(now), 7), clock)
}

fn request(target: &str, content_type: &str, body: impl Into<Bytes>) -> Request {
    let service = if target.starts_with("AmazonSQS") { "sqs" } else { "secretsmanager" };
    http::Request::post("https://aws.example/")
        .header("x-amz-target", target)
        .header("content-type", content_type)
        .header("authorization", signed("eu-west-1", service))
        .body(body.into())
        .expect("a request")
}

fn send(world: &World, request: Request) -> (u16, Value) {
    let response = world.call(Service::Aws, request).expect("an answer");
    (response.status().as_u16(), serde_json::from_slice(response.body()).expect("JSON"))
}

/// Calls Secrets Manager. Returns the body of a success, or the name of the error.
#[expect(clippy::needless_pass_by_value, reason = "calls read better with the body in place")]
fn ask(world: &World, action: &str, body: Value) -> Result<Value, String> {
    let (status, body) = send(world, request(&format!("secretsmanager.{action}"), TYPE, body.to_string()));
    if status == 200 {
        return Ok(body);
    }
    assert_eq!(status, 400, "{body}");
    Err(body["__type"].as_str().expect("a type").to_owned())
}

/// A version id of 36 characters that ends in `n`.
fn id(n: u32) -> String {
    format!("00000000-0000-4000-a000-{n:012}")
}

fn made(world: &World) -> String {
    world.with(|state| {
        let arn = create_secret(state, "dockerhub", &json!({ "accessToken": "first-token" }), &[("team", "blue")]);
        state.aws.events.clear();
        arn
    })
}

fn stage(world: &World, arn: &str, label: &str) -> Option<String> {
    world.with(|state| version_with(state, arn, label))
}

fn names(world: &World) -> Vec<String> {
    world.with(|state| {
        let label = |event: &Value| event["detail"]["labelUpdated"].as_str().map(str::to_owned);
        let name = |event: &Value| event["detail"]["eventName"].as_str().unwrap_or_default().to_owned();
        state.aws.events.iter().map(|event| label(event).unwrap_or_else(|| name(event))).collect()
    })
}

#[test]
fn a_request_without_a_signature_is_refused() {
    let (world, _) = world();
    let mut unsigned = request("secretsmanager.ListSecrets", TYPE, "{}");
    unsigned.headers_mut().remove("authorization");
    let (status, body) = send(&world, unsigned.clone());
    assert_eq!((status, body["__type"].as_str()), (400, Some("MissingAuthenticationTokenException")));
    let incomplete = "AWS4-HMAC-SHA256 Credential=AKID, SignedHeaders=host, Signature=00".to_owned();
    for (header, kind) in
        [(incomplete, "MissingAuthenticationTokenException"), (signed("eu-west-1", "sqs"), "InvalidSignatureException")]
    {
        let mut other = unsigned.clone();
        other.headers_mut().insert("authorization", header.parse().expect("a header"));
        let (status, body) = send(&world, other);
        assert_eq!((status, body["__type"].as_str()), (400, Some(kind)));
    }
}

#[test]
fn what_is_no_request_of_the_protocol_is_refused() {
    let (world, _) = world();
    for (request, status, kind) in [
        (request("secretsmanager.ListSecrets", "text/plain", "{}"), 404, "UnknownOperationException"),
        (request("secretsmanager.ListSecrets", TYPE, "{"), 400, "SerializationException"),
        (request("secretsmanager.ListSecrets", TYPE, "[]"), 400, "SerializationException"),
        (request("secretsmanager.GetSecretValue", TYPE, r#"{"SecretId":7}"#), 400, "SerializationException"),
        (request("secretsmanager.GetSecretValue", TYPE, "{}"), 400, "InvalidParameterException"),
        (request("secretsmanager.Unheard", TYPE, "{}"), 400, "UnknownOperationException"),
        (request("dynamodb.GetItem", TYPE, "{}"), 404, "UnknownOperationException"),
    ] {
        let (found, body) = send(&world, request);
        assert_eq!((found, body["__type"].as_str()), (status, Some(kind)));
    }
}

#[test]
fn writes_are_told_from_reads() {
    let is = |target: &str| is_write(&request(target, TYPE, "{}"));
    for write in ["PutSecretValue", "UpdateSecretVersionStage", "TagResource", "CancelRotateSecret"] {
        assert!(is(&format!("secretsmanager.{write}")), "{write}");
    }
    for read in ["GetSecretValue", "DescribeSecret", "ListSecrets", "ListSecretVersionIds"] {
        assert!(!is(&format!("secretsmanager.{read}")), "{read}");
    }
    assert!(is("AmazonSQS.SendMessageBatch") && !is("AmazonSQS.ReceiveMessage"));
    let form =
        |action: &str| is_write(&http::Request::post("/").body(format!("Action={action}").into()).expect("a request"));
    for read in ["GetCallerIdentity", "SimulatePrincipalPolicy", "DescribeAlarms", "GetMetricStatistics"] {
        assert!(!form(read), "{read}");
    }
    assert!(form("DeleteAlarms") && form("Publish"));
}

#[test]
fn every_secret_is_told_to_the_leak_finder() {
    let (world, _) = world();
    let arn = made(&world);
    world.with(|state| {
        create_secret(
            state,
            "manager",
            &json!({ "username": "robot", "password": "pass-word", "totpSecret": "SEED" }),
            &[],
        );
        create_secret(state, "client", &json!("plain-value"), &[]);
        enable_rotation(state, &arn, true);
        let (_, token) = begin_rotation(state, &arn, true);
        let found = all_secret_values(state);
        for secret in ["first-token", "pass-word", "SEED", "plain-value", &token.expect("a token")] {
            assert!(found.iter().any(|value| value == secret), "{secret}");
        }
        assert!(!found.iter().any(|value| value == "robot"));
    });
}
