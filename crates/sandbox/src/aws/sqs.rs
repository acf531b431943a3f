//! SQS: standard queues, limited to sending and receiving.

use std::collections::{BTreeMap, BTreeSet};

use md5::{Digest, Md5};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::Refusal;
use super::input::Input;
use crate::world::State;

/// Maximum size of one message, and of one batch (AWS's quotas of 2025: 1 MiB).
const BYTES: usize = 1_048_576;

/// The queues.
#[derive(Default)]
pub struct Sqs {
    /// The queues by URL, `https://sqs.{region}.amazonaws.com/{account}/{name}`.
    pub queues: BTreeMap<String, Vec<Message>>,
    /// The positions of the entries that fail in the next `SendMessageBatch`, which still returns 200. Empty after that call.
    pub fail_entries: BTreeSet<usize>,
}

/// A message that waits, or that was received and not yet deleted.
#[derive(Clone)]
pub struct Message {
    /// `MessageId`.
    pub id: String,
    /// The body.
    pub body: String,
    /// The latest receipt handle.
    pub receipt: Option<String>,
    /// The receive count.
    pub received: u32,
    /// The end of the visibility timeout.
    pub visible: OffsetDateTime,
}

/// Creates a queue. Returns its URL.
pub fn add_queue(state: &mut State, name: &str) -> String {
    let url = format!("https://sqs.{}.amazonaws.com/{}/{name}", state.aws.region, state.aws.account);
    state.aws.sqs.queues.entry(url.clone()).or_default();
    url
}

/// The bodies of all messages of a queue, oldest first.
#[must_use]
pub fn bodies(state: &State, url: &str) -> Vec<String> {
    let messages = state.aws.sqs.queues.get(url).map(Vec::as_slice).unwrap_or_default();
    messages.iter().map(|message| message.body.clone()).collect()
}

/// Receives up to `count` visible messages as an event source mapping does. Returns the Lambda event. The caller deletes the
/// messages.
pub fn lambda_event(state: &mut State, url: &str, count: usize) -> Value {
    let arn = format!(
        "arn:aws:sqs:{}:{}:{}",
        state.aws.region,
        state.aws.account,
        url.rsplit('/').next().unwrap_or_default()
    );
    let region = state.aws.region.clone();
    let records: Vec<Value> = take(state, url, count, Duration::seconds(30))
        .iter()
        .map(|message| {
            json!({
                "messageId": message.id,
                "receiptHandle": message.receipt,
                "body": message.body,
                "attributes": { "ApproximateReceiveCount": message.received.to_string() },
                "messageAttributes": {},
                "md5OfBody": md5(&message.body),
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "awsRegion": region,
            })
        })
        .collect();
    json!({ "Records": records })
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn queue_error(kind: &'static str, message: &str) -> Refusal {
    Refusal::new(kind, message)
}

fn queue(state: &State, input: &Input<'_>) -> Result<String, Refusal> {
    // behind an endpoint of its own a queue's URL has another host, so the path identifies the queue
    let path = |url: &str| url::Url::parse(url).ok().map(|url| url.path().to_owned());
    let wanted = input.required("QueueUrl").ok().and_then(path);
    let found = state.aws.sqs.queues.keys().find(|url| wanted.is_some() && path(url) == wanted);
    found.cloned().ok_or_else(no_queue)
}

pub(super) fn no_queue() -> Refusal {
    queue_error("com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.")
}

fn take(state: &mut State, url: &str, count: usize, hide: Duration) -> Vec<Message> {
    let now = state.now();
    let receipts: Vec<String> = (0..count).map(|_| state.random_text(40)).collect();
    let messages = state.aws.sqs.queues.get_mut(url).map(Vec::as_mut_slice).unwrap_or_default();
    let visible = messages.iter_mut().filter(|message| message.visible <= now);
    visible
        .zip(receipts)
        .map(|(message, receipt)| {
            message.receipt = Some(receipt);
            message.received += 1;
            message.visible = now + hide;
            message.clone()
        })
        .collect()
}

fn push(state: &mut State, url: &str, body: &str, delay: i64) -> Value {
    let (id, visible) = (state.uuid(), state.now() + Duration::seconds(delay));
    let message = Message { id: id.clone(), body: body.to_owned(), receipt: None, received: 0, visible };
    state.aws.sqs.queues.entry(url.to_owned()).or_default().push(message);
    json!({ "MessageId": id, "MD5OfMessageBody": md5(body) })
}

/// The body and the delay of a message.
fn message<'a>(input: &Input<'a>) -> Result<(&'a str, i64), Refusal> {
    let body = input.text("MessageBody")?.unwrap_or_default();
    if body.is_empty() {
        return Err(queue_error("MissingParameter", "The request must contain the parameter MessageBody."));
    }
    let delay = input.number("DelaySeconds")?.unwrap_or(0);
    if !(0..=900).contains(&delay) {
        return Err(queue_error("InvalidParameterValue", "DelaySeconds must be >= 0 and <= 900."));
    }
    Ok((body, delay))
}

pub(super) fn handle(state: &mut State, action: &str, input: &Input<'_>) -> Result<Value, Refusal> {
    match action {
        "SendMessage" => {
            let url = queue(state, input)?;
            let (body, delay) = message(input)?;
            if body.len() > BYTES {
                return Err(queue_error(
                    "InvalidParameterValue",
                    "One or more parameters are invalid. Message too long.",
                ));
            }
            Ok(push(state, &url, body, delay))
        }
        "SendMessageBatch" => send_batch(state, input),
        "ReceiveMessage" => receive(state, input),
        "DeleteMessage" => {
            let url = queue(state, input)?;
            let receipt = input.required("ReceiptHandle")?;
            if let Some(messages) = state.aws.sqs.queues.get_mut(&url) {
                messages.retain(|message| message.receipt.as_deref() != Some(receipt));
            }
            Ok(json!({}))
        }
        _ => Err(Refusal::new("UnknownOperationException", "")),
    }
}

fn send_batch(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let url = queue(state, input)?;
    let entries = input.list("Entries")?.map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return Err(queue_error(
            "com.amazonaws.sqs#EmptyBatchRequest",
            "There should be at least one SendMessageBatchRequestEntry in the request.",
        ));
    }
    if entries.len() > 10 {
        return Err(queue_error(
            "com.amazonaws.sqs#TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10.",
        ));
    }
    let (mut ids, mut bytes, mut messages) = (BTreeSet::new(), 0, Vec::new());
    for entry in entries {
        let entry = Input::new(entry)?;
        let id = entry.text("Id")?.unwrap_or_default();
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !(1..=80).contains(&id.len()) || !plain {
            return Err(queue_error(
                "com.amazonaws.sqs#InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
                 letters long.",
            ));
        }
        if !ids.insert(id) {
            return Err(queue_error("com.amazonaws.sqs#BatchEntryIdsNotDistinct", "Two entries have the same id."));
        }
        let (body, delay) = message(&entry)?;
        bytes += body.len();
        messages.push((id, body, delay));
    }
    if bytes > BYTES {
        return Err(queue_error(
            "com.amazonaws.sqs#BatchRequestTooLong",
            "Batch requests cannot be longer than 1048576 bytes.",
        ));
    }
    let failing = std::mem::take(&mut state.aws.sqs.fail_entries);
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (index, (id, body, delay)) in messages.into_iter().enumerate() {
        if failing.contains(&index) {
            failed.push(json!({
                "Id": id, "SenderFault": false, "Code": "InternalError", "Message": "We encountered an internal error.",
            }));
            continue;
        }
        let mut sent = push(state, &url, body, delay);
        sent["Id"] = json!(id);
        successful.push(sent);
    }
    let mut answer = json!({ "Successful": successful });
    if !failed.is_empty() {
        answer["Failed"] = json!(failed);
    }
    Ok(answer)
}

fn receive(state: &mut State, input: &Input<'_>) -> Result<Value, Refusal> {
    let url = queue(state, input)?;
    let count = input.number("MaxNumberOfMessages")?.unwrap_or(1);
    let hide = input.number("VisibilityTimeout")?.unwrap_or(30);
    if !(1..=10).contains(&count) || !(0..=43_200).contains(&hide) {
        return Err(queue_error("InvalidParameterValue", "A parameter of ReceiveMessage is out of its range."));
    }
    let taken = take(state, &url, usize::try_from(count).unwrap_or(1), Duration::seconds(hide));
    if taken.is_empty() {
        return Ok(json!({}));
    }
    let messages: Vec<Value> = taken
        .iter()
        .map(|message| {
            json!({
                "MessageId": message.id,
                "ReceiptHandle": message.receipt,
                "MD5OfBody": md5(&message.body),
                "Body": message.body,
                "Attributes": { "ApproximateReceiveCount": message.received.to_string() },
            })
        })
        .collect();
    Ok(json!({ "Messages": messages }))
}
