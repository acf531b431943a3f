//! Tests the fan-out: one message for each secret, whatever the queue returns.

use hubkeeper_core::event;
use hubkeeper_core::event::Event;
use hubkeeper_core::request::{Mode, Trigger};
use hubkeeper_sandbox::{Fault, Request, Service, aws};
use serde_json::{Value, json};

use super::{Fleet, Plan, outcomes, secret_ids};

/// Returns the bodies of the entries of every `SendMessageBatch`.
fn batches(fleet: &Fleet) -> Vec<Vec<String>> {
    let asked = fleet.asked(Service::Aws).into_iter();
    let sends = asked.filter(|entry| aws::action(&entry.request).as_deref() == Some("SendMessageBatch"));
    sends
        .map(|entry| {
            let entries = entries(&entry.request);
            entries.iter().map(|entry| entry["MessageBody"].as_str().unwrap().to_owned()).collect()
        })
        .collect()
}

fn entries(request: &Request) -> Vec<Value> {
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    body["Entries"].as_array().unwrap().clone()
}

/// Makes the queue reject every entry, with this value of `SenderFault`.
fn refuse_entries(fleet: &Fleet, sender_fault: bool) {
    fleet.scene.world.script(move |_, service, request| {
        let is_send = service == Service::Aws && aws::action(request).as_deref() == Some("SendMessageBatch");
        is_send.then(|| {
            let failed = entries(request).into_iter().map(
                |entry| json!({"Id": entry["Id"], "SenderFault": sender_fault, "Code": "InternalError", "Message": "no"}),
            );
            let failed: Vec<Value> = failed.collect();
            Fault::Answer(hubkeeper_sandbox::world::json(200, &json!({"Successful": [], "Failed": failed})))
        })
    });
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_did_not_take_is_sent_again_alone() {
    let mut fleet = Fleet::new(Plan::of(12));
    let queue = fleet.with_queue();
    fleet.state(|state| state.aws.sqs.fail_entries = [1, 4, 9].into());
    let report = fleet.reconcile().await;
    assert_eq!(outcomes(&report), ["recorded"; 12]);
    assert_eq!(secret_ids(&report), fleet.arns());
    let batches = batches(&fleet);
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [10, 3, 2]);
    assert_eq!(batches[1], [1, 4, 9].map(|at: usize| batches[0][at].clone()));
    let mut sent = fleet.state(|state| aws::sqs::bodies(state, &queue));
    sent.sort_unstable();
    let mut wanted = [&batches[0][..], &batches[2][..]].concat();
    wanted.sort_unstable();
    assert_eq!(sent, wanted, "each once");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_keeps_failing_is_told_of_and_is_no_function_error() {
    for (sender_fault, times) in [(false, 4), (true, 1)] {
        let mut fleet = Fleet::new(Plan::of(12));
        fleet.with_queue();
        refuse_entries(&fleet, sender_fault);
        let report = fleet.reconcile().await;
        assert_eq!(outcomes(&report), ["failed"; 12]);
        assert_eq!(report["outcome"], "failed");
        for (item, arn) in report["items"].as_array().unwrap().iter().zip(fleet.arns()) {
            assert_eq!((item["errorType"].as_str(), item["secretId"].as_str()), (Some("Retryable"), Some(arn)));
            assert!(item["errorMessage"].as_str().unwrap().contains("InternalError"), "{item}");
        }
        assert_eq!(fleet.calls("SendMessageBatch"), 2 * times);
        assert_eq!(fleet.asked(Service::Hub).len(), 0, "what was not sent is not worked on here either");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_not_there_or_does_not_answer_fails_every_item() {
    let mut fleet = Fleet::new(Plan::of(2));
    fleet.scene.set("HUBKEEPER_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/111122223333/gone");
    let report = fleet.reconcile().await;
    assert_eq!(outcomes(&report), ["failed"; 2]);
    assert!(report["items"][0]["errorMessage"].as_str().unwrap().contains("SendMessageBatch"));

    fleet.with_queue();
    fleet.scene.world.script(|_, service, request| {
        let is_send = service == Service::Aws && aws::action(request).as_deref() == Some("SendMessageBatch");
        is_send.then_some(Fault::Hang)
    });
    let report = fleet.reconcile().await;
    assert_eq!(outcomes(&report), ["failed"; 2]);
    assert_eq!(report["items"][0]["errorType"], "Retryable");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_is_a_function_error() {
    let mut fleet = Fleet::new(Plan::of(2));
    fleet.with_queue();
    fleet.scene.world.script(|_, service, request| {
        let is_list = service == Service::Aws && aws::action(request).as_deref() == Some("ListSecrets");
        let answer = json!({"__type": "AccessDeniedException", "Message": "no"});
        is_list.then(|| Fault::Answer(hubkeeper_sandbox::world::json(400, &answer)))
    });
    let error = fleet.scene.invoke(json!({"action": "reconcile"})).await.unwrap_err();
    assert_eq!(error.kind().name(), "Misconfigured");
    assert!(error.to_string().contains("ListSecrets"), "{error}");
    assert_eq!(fleet.calls("SendMessageBatch"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_plan_sends_nothing_and_returns_what_each_would_do() {
    let mut fleet = Fleet::new(Plan::of(5));
    let queue = fleet.with_queue();
    fleet.delete_connector(3);
    for event in [
        json!({"action": "reconcile", "mode": "plan"}),
        json!({"action": "reconcile", "mode": "plan", "secretIds": fleet.arns()}),
        json!({"action": "onboard", "mode": "plan", "secretIds": fleet.arns()}),
    ] {
        let report = fleet.scene.invoke(event.clone()).await.unwrap();
        assert_eq!(outcomes(&report), ["unchanged", "unchanged", "unchanged", "planned", "unchanged"], "{event}");
        assert_eq!(report["outcome"], "planned");
        for (at, item) in report["items"].as_array().unwrap().iter().enumerate() {
            assert_eq!(item["mode"], "plan");
            let steps = item["plan"].as_array().unwrap();
            assert_eq!(steps.is_empty(), at != 3, "{item}");
        }
        assert_eq!(report["items"][3]["connector"]["change"], "wouldCreate");
    }
    assert_eq!(fleet.state(|state| aws::sqs::bodies(state, &queue)), [""; 0]);
    assert_eq!(fleet.scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn messages_are_events_and_carry_all_that_the_event_said() {
    let onboard = |force| Trigger::Onboard { force, fix_role: false, version: None };
    for (event, trigger) in [
        (json!({"action": "onboard"}), onboard(false)),
        (json!({"action": "onboard", "force": true}), onboard(true)),
        (
            json!({"action": "onboard", "fixRole": true}),
            Trigger::Onboard { force: false, fix_role: true, version: None },
        ),
        (json!({"action": "reconcile"}), Trigger::Reconcile { revoke_replaced: false }),
        (json!({"action": "reconcile", "revokeReplaced": true}), Trigger::Reconcile { revoke_replaced: true }),
    ] {
        let mut fleet = Fleet::new(Plan::of(3));
        let queue = fleet.with_queue();
        let mut event = event;
        event["secretIds"] = json!(fleet.arns());
        let report = fleet.scene.invoke(event).await.unwrap();
        assert_eq!(outcomes(&report), ["recorded"; 3]);
        let bodies = fleet.state(|state| aws::sqs::bodies(state, &queue));
        assert_eq!(bodies.len(), 3);
        for (body, arn) in bodies.iter().zip(fleet.arns()) {
            let Ok(Event::Fleet(message)) = event::parse(&serde_json::from_str(body).unwrap()) else {
                panic!("{body} is no event over secrets");
            };
            assert_eq!((&message.trigger, message.mode), (&trigger, Mode::Apply), "{body}");
            assert_eq!(message.secret_ids, Some(vec![arn.to_owned()]));
        }
        assert_eq!(fleet.asked(Service::Hub).len() + fleet.asked(Service::Arm).len(), 0, "the records do the work");
    }
}

#[tokio::test(start_paused = true)]
async fn an_onboarding_by_force_through_the_queue_writes_every_connector() {
    let mut fleet = Fleet::new(Plan::of(3));
    let queue = fleet.with_queue();
    for (force, writes) in [(false, 0), (true, 3)] {
        let mut event = json!({"action": "onboard", "secretIds": fleet.arns()});
        if force {
            event["force"] = json!(true);
        }
        fleet.scene.invoke(event).await.unwrap();
        let event = fleet.state(|state| aws::sqs::lambda_event(state, &queue, 10));
        assert_eq!(event["Records"].as_array().unwrap().len(), 3);
        assert_eq!(fleet.scene.invoke(event).await.unwrap(), json!({"batchItemFailures": []}));
        assert_eq!(fleet.scene.connector_writes().len(), writes, "force: {force}");
        fleet.state(|state| state.aws.sqs.queues.get_mut(&queue).unwrap().clear());
    }
}
