//! Tests the queue's records: each has its own result, and none fans out again.

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{aws, hub};
use serde_json::{Value, json};

use super::{Fleet, Plan, batch, body, deadline, is_proven, keep, proofs, reports};

/// Returns the outcomes of the logged reports about one secret.
fn outcomes_of(arn: &str) -> Vec<String> {
    let reports = reports().into_iter().filter(|report| report["secretId"] == arn);
    reports.map(|report| report["outcome"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn of_ten_exactly_the_poisoned_comes_back_and_the_refused_is_done() {
    let fleet = Fleet::new(Plan::of(10));
    fleet.want_too_much(7);
    let mut bodies: Vec<String> = fleet.arns().iter().map(|arn| body("reconcile", arn)).collect();
    bodies[3] = "{\"action\": \"recon".into();
    assert_eq!(fleet.records(&bodies).await, [3], "a repetition of the refused one would be refused again");
    let proven: Vec<bool> = (0..10).map(|at| proofs(&fleet).contains_key(&fleet.members[at].organization)).collect();
    assert_eq!(proven, [true, true, true, false, true, true, true, true, true, true]);
    assert_eq!(reports().iter().filter(|report| is_proven(report)).count(), 8);
    assert_eq!(outcomes_of(&fleet.members[7].arn), ["refused"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_event_spoils_nothing_but_itself() {
    let fleet = Fleet::new(Plan::of(1));
    let arn = &fleet.members[0].arn;
    let version = "7c2c7a4e-6a0e-4a2f-9b58-0d6a4f8a1c11";
    let step = json!({"Step": "createSecret", "SecretId": arn, "ClientRequestToken": version});
    let bodies = [
        String::new(),
        "reconcile".into(),
        "[]".into(),
        "null".into(),
        json!({"action": "reconsile"}).to_string(),
        json!({"action": "reconcile", "secretId": arn}).to_string(),
        step.to_string(),
        batch(&[body("reconcile", arn)]).to_string(),
        body("reconcile", arn),
        json!({"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}).to_string(),
    ];
    assert_eq!(fleet.records(&bodies).await, [0, 1, 2, 3, 4, 5, 6, 7, 9]);
    assert_eq!(outcomes_of(arn), ["unchanged"]);
    assert_eq!(proofs(&fleet).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_fails_the_list_of_failures_is_empty() {
    let fleet = Fleet::new(Plan::of(3));
    let bodies: Vec<String> = fleet.arns().iter().map(|arn| body("reconcile", arn)).collect();
    for bodies in [&bodies[..], &bodies[..1], &[]] {
        assert_eq!(fleet.scene.invoke(batch(bodies)).await.unwrap(), json!({"batchItemFailures": []}));
    }
    assert_eq!(reports().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_record_about_the_whole_fleet_does_the_work_and_sends_nothing() {
    let mut fleet = Fleet::new(Plan::of(13));
    let queue = fleet.with_queue();
    let many = json!({"action": "reconcile", "secretIds": fleet.arns()[..4]}).to_string();
    for (body, proven) in [(json!({"action": "reconcile"}).to_string(), 13), (many, 4)] {
        let before = reports().len();
        assert_eq!(fleet.records(&[body]).await, [0; 0]);
        let reports = reports();
        assert_eq!(reports[before..].iter().filter(|report| is_proven(report)).count(), proven);
        assert_eq!(fleet.state(|state| aws::sqs::bodies(state, &queue)), [""; 0]);
    }
    assert_eq!(proofs(&fleet).len(), 13);
    assert_eq!(fleet.calls("SendMessageBatch") + fleet.calls("SendMessage"), 0);

    // one `Refused` among them: its log line, metric and alarm report it, and the queue does not deliver it again
    fleet.want_too_much(11);
    let bodies = [body("reconcile", &fleet.members[0].arn), json!({"action": "reconcile"}).to_string()];
    assert_eq!(fleet.records(&bodies).await, [0; 0]);
    assert_eq!(outcomes_of(&fleet.members[11].arn).last().map(String::as_str), Some("refused"));
}

#[tokio::test(start_paused = true)]
async fn events_of_eventbridge_are_bodies_too() {
    let fleet = Fleet::new(Plan::of(6));
    let Fleet { members, .. } = &fleet;
    let version = |at: usize| fleet.state(|state| aws::version_with(state, &members[at].arn, "AWSCURRENT").unwrap());
    let envelope = |kind: &str, source: &str, detail: Value| {
        json!({"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": kind, "source": source,
            "account": "111122223333", "time": "2026-11-24T10:00:00Z", "region": "eu-west-1", "resources": [], "detail": detail})
    };
    let label = |at: usize, label: &str, version: &str| {
        let detail =
            json!({"name": format!("fleet/{}", members[at].organization), "labelUpdated": label, "versionId": version});
        let mut event = envelope("Secret Label Updated", "aws.secretsmanager", detail);
        event["resources"] = json!([members[at].arn]);
        event.to_string()
    };
    // 1: a candidate exists
    let candidate = fleet.state(|state| {
        let mut value =
            aws::value_of(state, &members[1].arn, &aws::version_with(state, &members[1].arn, "AWSCURRENT").unwrap())
                .unwrap();
        let (_, token) = hub::add_pat(state, &members[1].username, "next", &["repo:read"], None);
        value["accessToken"] = json!(token);
        aws::put_version(state, &members[1].arn, None, &value, &["HUBKEEPER_CANDIDATE"])
    });
    let put = json!({"eventSource": "secretsmanager.amazonaws.com", "eventName": "PutSecretValue",
        "requestParameters": {"secretId": members[2].arn, "clientRequestToken": version(2)},
        "responseElements": {"arn": members[2].arn}});
    let failed = json!({"eventSource": "secretsmanager.amazonaws.com", "eventName": "RotationFailed",
        "additionalEventData": {"SecretId": members[3].arn}});
    let bodies = [
        label(0, "AWSCURRENT", &version(0)),
        label(1, "HUBKEEPER_CANDIDATE", &candidate),
        envelope("AWS API Call via CloudTrail", "aws.secretsmanager", put).to_string(),
        envelope("AWS Service Event via CloudTrail", "aws.secretsmanager", failed).to_string(),
        envelope("hubkeeper", "hubkeeper", json!({"action": "reconcile", "secretIds": [members[4].arn]})).to_string(),
        label(5, "AWSPREVIOUS", &version(5)),
        envelope("EC2 Instance State-change Notification", "aws.ec2", json!({"state": "running"})).to_string(),
    ];
    assert_eq!(fleet.records(&bodies).await, [6]);
    let found: Vec<String> = members.iter().map(|member| outcomes_of(&member.arn).join(" ")).collect();
    assert_eq!(found, ["unchanged", "applied", "unchanged", "recorded", "unchanged", "ignored"]);
    assert_eq!(version(1), candidate);
    assert_eq!(fleet.connector(1).unwrap().tag("hubkeeper-version"), Some(candidate.as_str()));
}

#[tokio::test(start_paused = true)]
async fn two_records_about_one_secret_run_one_after_another() {
    let fleet = Fleet::new(Plan::of(2));
    fleet.delete_connector(0);
    let arns = fleet.arns();
    let bodies = [body("onboard", arns[0]), body("onboard", arns[1]), body("onboard", arns[0])];
    assert_eq!(fleet.records(&bodies).await, [0; 0]);
    assert_eq!(outcomes_of(arns[0]), ["applied", "unchanged"], "the second finds what the first has done");
    assert_eq!(fleet.scene.connector_writes().len(), 1);

    // both get a report, even if the first of them fails
    fleet.state(|state| aws::begin_rotation(state, &fleet.members[0].arn, true));
    assert_eq!(fleet.records(&bodies).await, [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_tag_taken_off_after_the_message_was_sent_is_no_failure() {
    let mut fleet = Fleet::new(Plan::of(2));
    let queue = fleet.with_queue();
    fleet.reconcile().await;
    let arn = fleet.members[1].arn.clone();
    fleet.state(|state| state.aws.secrets.get_mut(&arn).unwrap().tags.clear());
    let event = fleet.state(|state| aws::sqs::lambda_event(state, &queue, 10));
    assert_eq!(fleet.scene.invoke(event).await.unwrap(), json!({"batchItemFailures": []}));
    let found: Vec<Vec<String>> = fleet.arns().iter().map(|arn| outcomes_of(arn)).collect();
    assert_eq!(found, [["recorded", "unchanged"], ["recorded", "ignored"]]);
    assert_eq!(proofs(&fleet).keys().collect::<Vec<_>>(), ["org-000"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_deadline_cut_off_comes_again_and_nothing_else() {
    let fleet = Fleet::new(Plan::of(10));
    // a daily proof takes two requests, so about six of the ten fit into the minute
    fleet.state(|state| state.hub.rate_limit_per_minute = Some(13));
    let bodies: Vec<String> = fleet.arns().iter().map(|arn| body("reconcile", arn)).collect();
    let handler = fleet.scene.handler(None);
    let end = fleet.scene.now() + time::Duration::minutes(1);
    let answer = keep(&fleet, handler.handle(&batch(&bodies), end).await);
    assert!(fleet.scene.now() < end);
    let again: Vec<&str> = answer["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["itemIdentifier"].as_str().unwrap())
        .collect();
    let late: Vec<String> =
        (0..10).filter(|at| outcomes_of(&fleet.members[*at].arn) != ["unchanged"]).map(|at| format!("m{at}")).collect();
    assert_eq!(again, late);
    assert!((1..9).contains(&late.len()), "{late:?}");
    for report in reports() {
        assert!(is_proven(&report) || report["outcome"] == "notReached", "{report}");
    }
    assert!(fleet.asked(Service::Hub).len() >= 13);
    let answer = keep(&fleet, fleet.scene.handler(None).handle(&batch(&bodies), deadline(&fleet)).await);
    assert_eq!(answer, json!({"batchItemFailures": []}), "with more time all of them are proven");
}
