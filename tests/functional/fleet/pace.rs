//! Tests Docker Hub's rate limit per minute and address, and ARM's token buckets: the function waits, and never retries
//! blindly.

use std::collections::BTreeSet;

use hubkeeper::handler::Handler;
use hubkeeper_sandbox::arm::{Bucket, Throttle};
use hubkeeper_sandbox::{Service, aws};
use serde_json::{Value, json};

use super::{A_MINUTE, Fleet, Plan, deadline, is_proven, keep, outcomes, patient, proofs, reports, secret_ids};

const LARGE: Plan = Plan { members: 300, repositories: 50, manager_every: 3 };

/// Processes one message after another as an event source mapping does, and deletes those that succeed.
async fn work(fleet: &Fleet, handler: &Handler, queue: &str) -> Vec<Value> {
    let mut answers = Vec::new();
    loop {
        let event = fleet.state(|state| {
            let event = aws::sqs::lambda_event(state, queue, 1);
            // AWS recommends a visibility timeout of six times the function's timeout
            let hidden = state.now() + time::Duration::minutes(90);
            let taken = event["Records"][0]["messageId"].as_str();
            for message in state.aws.sqs.queues.get_mut(queue).unwrap() {
                if Some(message.id.as_str()) == taken {
                    message.visible = hidden;
                }
            }
            event
        });
        let Some(id) = event["Records"][0]["messageId"].as_str() else { return answers };
        let answer = keep(fleet, handler.handle(&event, deadline(fleet)).await);
        if answer == json!({"batchItemFailures": []}) {
            fleet.state(|state| state.aws.sqs.queues.get_mut(queue).unwrap().retain(|message| message.id != id));
        }
        answers.push(answer);
        assert!(answers.len() <= fleet.members.len(), "the queue never gets empty");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_fleet_is_proven_through_the_queue_by_two_at_once() {
    let mut fleet = Fleet::new(LARGE);
    let queue = fleet.with_queue();
    fleet.state(|state| state.hub.rate_limit_per_minute = Some(A_MINUTE));
    let report = fleet.reconcile().await;
    assert_eq!(report["outcome"], "recorded");
    assert_eq!(secret_ids(&report), fleet.arns());
    assert_eq!(outcomes(&report), ["recorded"; 300]);
    let sent: Vec<Value> = fleet
        .state(|state| aws::sqs::bodies(state, &queue))
        .iter()
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    let wanted: Vec<Value> =
        fleet.arns().iter().map(|arn| json!({"action": "reconcile", "secretIds": [arn], "mode": "apply"})).collect();
    assert_eq!(sent, wanted, "one message for each secret");
    assert_eq!(fleet.calls("SendMessageBatch"), 30);

    let began = fleet.scene.now();
    let (one, two) = (fleet.environment(), fleet.environment());
    let (first, second) = tokio::join!(work(&fleet, &one.0, &queue), work(&fleet, &two.0, &queue));
    assert!(first.len() > 50 && second.len() > 50, "{} and {}", first.len(), second.len());
    for answer in first.iter().chain(&second) {
        assert_eq!(*answer, json!({"batchItemFailures": []}));
    }
    assert_eq!(fleet.state(|state| aws::sqs::bodies(state, &queue)), [""; 0]);
    assert_eq!(first.len() + second.len(), 300, "no message came twice");

    let proofs = proofs(&fleet);
    assert_eq!(proofs.len(), 300);
    for (organization, proof) in &proofs {
        assert_eq!((proof.logins, proof.lists, proof.pulls.len(), proof.manifests), (1, 1, 50, 5), "{organization}");
    }
    let reports = reports();
    let proven: BTreeSet<&str> = reports
        .iter()
        .filter(|report| is_proven(report))
        .filter_map(|report| report["organization"].as_str())
        .collect();
    assert_eq!(proven.len(), 300, "{:?}", reports.iter().find(|report| !is_proven(report)));
    assert_eq!(fleet.scene.writes(), vec!["POST SendMessageBatch"; 30], "a healthy fleet is not written to");

    let asked = fleet.asked(Service::Hub).len();
    let refused = patient(&one.1) + patient(&two.1);
    assert!(refused > 0, "the limit was never met");
    assert!(refused < asked / 20, "{refused} of {asked} requests to Docker Hub were refused");
    // two requests for each, and two more for every third, which has a manager: 800 at 180 a minute
    assert_eq!(asked - refused, 800);
    let took = fleet.scene.now() - began;
    assert!(took < time::Duration::minutes(5), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_one_invocation_cannot_finish_ends_in_time_and_nothing_has_failed() {
    let fleet = Fleet::new(LARGE);
    // 800 requests fit into 15 minutes even at a third of the rate, so other clients behind the same address take four fifths
    fleet.state(|state| state.hub.rate_limit_per_minute = Some(A_MINUTE / 5));
    let end = deadline(&fleet);
    let (handler, notes) = fleet.environment();
    let report = keep(&fleet, handler.handle(&json!({"action": "reconcile"}), end).await);
    assert!(fleet.scene.now() < end - time::Duration::seconds(1), "no time is left for the report");
    assert_eq!(secret_ids(&report), fleet.arns());
    let outcomes = outcomes(&report);
    let count = |outcome: &str| outcomes.iter().filter(|known| **known == outcome).count();
    assert_eq!(count("unchanged") + count("notReached"), 300, "{outcomes:?}");
    assert!(count("unchanged") > 150, "{}", count("unchanged"));
    assert!(count("notReached") > 50, "{}", count("notReached"));
    assert_eq!(report["outcome"], "notReached");
    let proven = report["items"].as_array().unwrap().iter().filter(|item| is_proven(item)).count();
    assert_eq!(proven, count("unchanged"));
    assert_eq!(fleet.scene.writes(), [""; 0]);
    let (asked, refused) = (fleet.asked(Service::Hub).len(), patient(&notes));
    assert!(refused < asked / 10, "{refused} of {asked} requests to Docker Hub were refused");
}

#[tokio::test(start_paused = true)]
async fn arms_token_bucket_is_respected_and_no_early_retry_renews_the_wait() {
    let fleet = Fleet::new(Plan::of(60));
    let reads = Bucket { capacity: 12, refill_per_second: 3 };
    fleet.state(|state| state.arm.throttle = Some(Throttle { reads, ..Throttle::default() }));
    let began = fleet.scene.now();
    let (handler, notes) = fleet.environment();
    let report = keep(&fleet, handler.handle(&json!({"action": "reconcile"}), deadline(&fleet)).await);
    assert_eq!(outcomes(&report), ["unchanged"; 60]);
    assert!(report["items"].as_array().unwrap().iter().all(is_proven));
    let refused = patient(&notes);
    assert!(refused > 0, "the bucket was never empty");
    // 240 reads at three a second: a wait that is renewed repeatedly takes far longer
    let took = fleet.scene.now() - began;
    assert!(took < time::Duration::minutes(2), "{took}, {refused} refused");
}
