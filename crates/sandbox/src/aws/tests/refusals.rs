//! Rights, the KMS key, and other Regions.

use super::*;
use crate::aws::sqs;

#[test]
fn an_action_that_is_denied_is_named_with_the_caller() {
    let (world, _) = world();
    let arn = made(&world);
    let url = world.with(|state| sqs::add_queue(state, "fleet"));
    let denied = ["secretsmanager:ListSecrets", "secretsmanager:GetSecretValue", "sqs:SendMessage"];
    world.with(|state| state.aws.denied = denied.map(str::to_owned).into());
    let user = "User: arn:aws:sts::111122223333:assumed-role/sandbox/sandbox is not authorized to perform: ";
    for (action, body, on) in [
        ("ListSecrets", json!({}), String::new()),
        ("GetSecretValue", json!({ "SecretId": arn }), format!(" on resource: {arn}")),
        // the right is missing, whether the secret exists or not
        ("GetSecretValue", json!({ "SecretId": "none" }), " on resource: none".to_owned()),
    ] {
        let (status, answer) = send(&world, request(&format!("secretsmanager.{action}"), TYPE, body.to_string()));
        assert_eq!((status, answer["__type"].as_str()), (400, Some("AccessDeniedException")));
        let message = answer["Message"].as_str().expect("a message");
        assert!(message.starts_with(&format!("{user}secretsmanager:{action}{on} because")), "{message}");
    }
    assert!(ask(&world, "DescribeSecret", json!({ "SecretId": arn })).is_ok());
    for (action, body) in [
        ("SendMessage", json!({ "QueueUrl": url, "MessageBody": "x" })),
        ("SendMessageBatch", json!({ "QueueUrl": url, "Entries": [{ "Id": "a", "MessageBody": "x" }] })),
    ] {
        let request = request(&format!("AmazonSQS.{action}"), "application/x-amz-json-1.0", body.to_string());
        let response = world.call(Service::Aws, request).expect("a response");
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["x-amzn-query-error"], "AccessDenied;Sender");
    }
    assert!(world.with(|state| sqs::bodies(state, &url)).is_empty());
}

#[test]
fn without_the_key_no_value_is_read_or_written() {
    let (world, _) = world();
    let arn = made(&world);
    world.with(|state| state.aws.kms_denied = true);
    let put = json!({ "SecretId": arn, "ClientRequestToken": id(2), "SecretString": "x" });
    let created = json!({ "Name": "other", "ClientRequestToken": id(3), "SecretString": "x" });
    for (action, body) in [
        ("GetSecretValue", json!({ "SecretId": arn })),
        ("PutSecretValue", put.clone()),
        ("UpdateSecret", put),
        ("CreateSecret", created),
    ] {
        let (status, answer) = send(&world, request(&format!("secretsmanager.{action}"), TYPE, body.to_string()));
        let expected = json!({ "__type": "AccessDeniedException", "Message": "Access to KMS is not allowed" });
        assert_eq!((status, answer), (400, expected), "{action}");
    }
    assert!(ask(&world, "DescribeSecret", json!({ "SecretId": arn })).is_ok());
    assert_eq!(ask(&world, "ListSecrets", json!({})).expect("a list")["SecretList"].as_array().map(Vec::len), Some(1));
}

#[test]
fn another_region_has_no_secret_and_no_queue() {
    let (world, _) = world();
    let arn = made(&world);
    let url = world.with(|state| sqs::add_queue(state, "fleet"));
    let elsewhere = |target: &str, content_type: &str, service: &str, body: Value| {
        let mut request = request(target, content_type, body.to_string());
        let header = signed("us-east-1", service).parse().expect("a header");
        request.headers_mut().insert("authorization", header);
        send(&world, request)
    };
    let secrets = |action: &str, body| elsewhere(&format!("secretsmanager.{action}"), TYPE, "secretsmanager", body);
    for action in ["DescribeSecret", "GetSecretValue", "TagResource"] {
        let (status, answer) = secrets(action, json!({ "SecretId": arn }));
        assert_eq!((status, answer["__type"].as_str()), (400, Some("ResourceNotFoundException")), "{action}");
    }
    assert_eq!(secrets("ListSecrets", json!({})), (200, json!({ "SecretList": [] })));
    let body = json!({ "QueueUrl": url, "MessageBody": "x" });
    let (_, answer) = elsewhere("AmazonSQS.SendMessage", "application/x-amz-json-1.0", "sqs", body);
    assert_eq!(answer["__type"], "com.amazonaws.sqs#QueueDoesNotExist");
}
