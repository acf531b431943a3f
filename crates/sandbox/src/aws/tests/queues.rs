use super::*;
use crate::aws::sqs;

#[expect(clippy::needless_pass_by_value, reason = "calls read better with the body in place")]
fn call(world: &World, action: &str, body: Value) -> (u16, Value) {
    send(world, request(&format!("AmazonSQS.{action}"), "application/x-amz-json-1.0", body.to_string()))
}

fn entries(count: usize) -> Value {
    (0..count).map(|n| json!({ "Id": format!("m{n}"), "MessageBody": format!("body {n}") })).collect()
}

#[test]
fn a_batch_may_fail_in_part_inside_a_200() {
    let (world, _) = world();
    let url = world.with(|state| sqs::add_queue(state, "fleet"));
    world.with(|state| state.aws.sqs.fail_entries.extend([1]));
    let (status, body) = call(&world, "SendMessageBatch", json!({ "QueueUrl": url, "Entries": entries(3) }));
    assert_eq!(status, 200);
    assert_eq!(body["Failed"][0]["Id"], json!("m1"));
    assert_eq!(body["Successful"][0]["MD5OfMessageBody"], json!("2c2f1edb5aac06c6c201d1fe8916de7d"));
    assert_eq!(world.with(|state| sqs::bodies(state, &url)), ["body 0", "body 2"]);
    let (_, body) = call(&world, "SendMessageBatch", json!({ "QueueUrl": url, "Entries": entries(3) }));
    assert_eq!(body.get("Failed"), None);
}

#[test]
fn batches_have_limits() {
    let (world, _) = world();
    let url = world.with(|state| sqs::add_queue(state, "fleet"));
    let refused = |entries: Value, kind: &str| {
        let (status, body) = call(&world, "SendMessageBatch", json!({ "QueueUrl": url, "Entries": entries }));
        assert_eq!((status, body["__type"].as_str()), (400, Some(format!("com.amazonaws.sqs#{kind}").as_str())));
    };
    refused(entries(0), "EmptyBatchRequest");
    refused(entries(11), "TooManyEntriesInBatchRequest");
    refused(json!([{ "Id": "a", "MessageBody": "x" }, { "Id": "a", "MessageBody": "x" }]), "BatchEntryIdsNotDistinct");
    refused(json!([{ "Id": "a b", "MessageBody": "x" }]), "InvalidBatchEntryId");
    refused(json!([{ "Id": "a", "MessageBody": "x".repeat(1_048_577) }]), "BatchRequestTooLong");
    let (_, body) = call(&world, "SendMessage", json!({ "QueueUrl": "https://x/1/none", "MessageBody": "x" }));
    assert_eq!(body["__type"], json!("com.amazonaws.sqs#QueueDoesNotExist"));
}

#[test]
fn a_message_is_hidden_while_it_is_handled_and_comes_again() {
    let (world, clock) = world();
    let url = world.with(|state| sqs::add_queue(state, "fleet"));
    call(&world, "SendMessage", json!({ "QueueUrl": url, "MessageBody": "work" }));
    let event = world.with(|state| sqs::lambda_event(state, &url, 10));
    assert_eq!(
        (&event["Records"][0]["body"], &event["Records"][0]["eventSource"]),
        (&json!("work"), &json!("aws:sqs"))
    );
    assert_eq!(call(&world, "ReceiveMessage", json!({ "QueueUrl": url })).1, json!({}));
    clock.store(31, Ordering::Relaxed);
    let again = call(&world, "ReceiveMessage", json!({ "QueueUrl": url })).1;
    assert_eq!(again["Messages"][0]["Attributes"]["ApproximateReceiveCount"], json!("2"));
    let receipt = again["Messages"][0]["ReceiptHandle"].clone();
    call(&world, "DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": receipt }));
    assert!(world.with(|state| sqs::bodies(state, &url)).is_empty());
}
