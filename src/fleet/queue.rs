//! Sends one message for each secret with `SendMessageBatch`. A response with status 200 may contain failed entries,
//! which are sent again.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use hubkeeper_core::error::Error;
use hubkeeper_core::event::Fleet;
use hubkeeper_core::failure::sqs::not_taken;
use hubkeeper_core::outcome::Outcome;

use crate::clients::Services;
use crate::clients::sdk::failed;
use crate::fleet::ended::Ended;

/// Maximum number of messages in a batch (AWS's reference of `SendMessageBatch`). Their bodies are far below its limit
/// of 1 MiB.
const BATCH: usize = 10;
/// Maximum number of attempts for a message.
const ATTEMPTS: u32 = 4;

/// Sends one message for each secret. `ended` gets the reports in the order of the ids, with `recorded` for each message
/// that the queue accepted.
pub async fn send(
    services: &Services,
    client: &Client,
    queue: &str,
    fleet: &Fleet,
    secret_ids: &[String],
    ended: &mut Ended<'_>,
) {
    for (nth, batch) in secret_ids.chunks(BATCH).enumerate() {
        let outcomes = send_batch(services, client, queue, fleet, batch).await;
        for (at, (id, outcome)) in batch.iter().zip(outcomes).enumerate() {
            let mut report = hubkeeper_core::report::new_report(&fleet.request(id.clone()));
            match outcome {
                Ok(()) => {
                    report.outcome = Outcome::Recorded;
                    report.reason = Some("sent to the queue".into());
                }
                Err(error) => {
                    report.fail(&error.at(fleet.trigger.name()));
                    if services.http_client.is_out_of_time() {
                        report.outcome = Outcome::NotReached;
                    }
                }
            }
            ended(nth * BATCH + at, report);
        }
    }
}

async fn send_batch(
    services: &Services,
    client: &Client,
    queue: &str,
    fleet: &Fleet,
    ids: &[String],
) -> Vec<Result<(), Error>> {
    let mut outcomes: Vec<Result<(), Error>> = ids.iter().map(|_| Err(not_taken("it was not sent"))).collect();
    let mut open: Vec<usize> = (0..ids.len()).collect();
    for attempt in 1..=ATTEMPTS {
        if attempt > 1 && !services.http_client.wait(Duration::from_millis(250 << attempt)).await {
            break;
        }
        let entries: Result<Vec<_>, _> = open
            .iter()
            .filter_map(|at| Some((*at, ids.get(*at)?)))
            .map(|(at, id)| {
                let body = fleet.message(id).to_string();
                SendMessageBatchRequestEntry::builder().id(at.to_string()).message_body(body).build()
            })
            .collect();
        let Ok(entries) = entries else { break };
        let answer = client.send_message_batch().queue_url(queue).set_entries(Some(entries)).send().await;
        match answer {
            Ok(answer) => {
                let mut again = Vec::new();
                for at in &open {
                    let named = at.to_string();
                    let refused = answer.failed().iter().find(|entry| entry.id() == named);
                    let Some(outcome) = outcomes.get_mut(*at) else { continue };
                    if answer.successful().iter().any(|entry| entry.id() == named) {
                        *outcome = Ok(());
                    } else {
                        let code = refused.and_then(|entry| hubkeeper_core::redact::code(entry.code()));
                        *outcome = Err(not_taken(code.unwrap_or("it gave no reason")));
                        if refused.is_none_or(|entry| !entry.sender_fault()) {
                            again.push(*at);
                        }
                    }
                }
                open = again;
            }
            Err(error) => {
                let error = failed("SendMessageBatch", &error);
                for at in &open {
                    if let Some(outcome) = outcomes.get_mut(*at) {
                        *outcome = Err(error.clone());
                    }
                }
                // the HTTP client has already retried where a retry could help
                break;
            }
        }
        if open.is_empty() {
            break;
        }
    }
    outcomes
}
