//! After the first day: reconcile, replaced tokens, a connector that a person changed, offboarding.

use crate::{State, arm, aws, hub, scene};
use serde_json::{Value, json};
use time::Duration;

use crate::demo::life::{expect_report, in_step, show_stages, show_writes};
use crate::demo::page::count;
use crate::demo::seen;
use crate::demo::stage::{Stage, reports_in};

const QUEUE_URL: &str = "HUBKEEPER_QUEUE_URL";
const PERSON: &str = "somebody@acme.example";

/// Sends a reconcile of all managed secrets (there is one). Returns the token that it retired.
async fn reconcile(stage: &mut Stage, expected: &[(&str, Value)]) -> Option<String> {
    let event = json!({ "action": "reconcile" });
    stage.page.row("event", &event.to_string());
    let answer = stage.invoke(event).await;
    stage.show(&answer);
    let items = answer.as_ref().ok().and_then(|report| report["items"].as_array()).map_or(0, Vec::len);
    stage.page.expect(items == 1, "the report has one item: the managed secret");
    let item = answer.map(|report| report["items"][0].clone());
    expect_report(stage, &item, expected);
    show_stages(stage, &item);
    item.ok()?["tokens"]["retired"][0].as_str().map(str::to_owned)
}

pub(crate) async fn well(stage: &mut Stage) {
    stage.page.scene("3a Reconcile finds nothing to change");
    stage.page.row("happens", "EventBridge Scheduler sends its daily input");
    reconcile(stage, &[("/outcome", json!("unchanged")), ("/verdict/result", json!("complete"))]).await;
    let writes = stage.take_writes();
    stage.page.expect(writes.all() == 0, "a reconcile without changes writes nothing");
    stage.page.row("writes", &count(writes.all(), "write"));
}

/// The same event with a queue: messages arrive as an event source mapping delivers them.
pub(crate) async fn queue(stage: &mut Stage) {
    stage.page.scene("3b Reconcile with a queue: one message per secret");
    let url = stage.world.with(|state| aws::sqs::add_queue(state, "hubkeeper"));
    stage.page.row("happens", &format!("the function runs with HUBKEEPER_QUEUE_URL={url}"));
    let event = json!({ "action": "reconcile" });
    stage.page.row("event", &event.to_string());
    let (answer, _) = stage.invoke_with((QUEUE_URL, &url), event).await;
    stage.show(&answer);
    expect_report(stage, &answer, &[("/outcome", json!("recorded")), ("/items/0/outcome", json!("recorded"))]);
    let bodies = stage.world.with(|state| aws::sqs::bodies(state, &url));
    for body in &bodies {
        stage.page.row("message", body);
    }
    stage.page.expect(bodies.len() == 1, "the queue has one message, for the one secret");
    show_writes(stage);
    let records = stage.world.with(|state| aws::sqs::lambda_event(state, &url, 10));
    stage.page.row("happens", "SQS delivers the message to the function in a record");
    let (answer, log) = stage.invoke_with((QUEUE_URL, &url), records).await;
    stage.show(&answer);
    expect_report(stage, &answer, &[("/batchItemFailures", json!([]))]);
    let reports = reports_in(&log);
    for report in &reports {
        stage.item("log", report);
    }
    let well = reports.len() == 1 && reports[0]["outcome"] == json!("unchanged");
    stage.page.expect(well, "the function handles the record and does not send it on");
    let writes = stage.take_writes();
    stage.page.expect(writes.all() == 0, "a reconcile without changes writes nothing");
    stage.page.row("writes", &count(writes.all(), "write"));
}

/// The function runs on the system clock, so the sandbox moves its dates instead.
fn days_pass(stage: &mut Stage, days: i64) {
    stage.world.with(|state| scene::age(state, Duration::days(days)));
    stage.page.row("happens", &format!("{days} days pass: the demo moves all dates in the sandbox back"));
}

/// The tokens with hubkeeper's labels, one row each.
fn show_minted(stage: &mut Stage) {
    for text in stage.world.with(|state| minted(state)) {
        stage.page.row("token", &text);
    }
}

fn minted(state: &State) -> Vec<String> {
    let own = hub::pats_of(state, scene::USER).into_iter().filter(|pat| pat.label.starts_with("hubkeeper/"));
    let text = |pat: hub::PatView| {
        let active = if pat.is_active { "active" } else { "deactivated" };
        format!("{}, {active}", seen::token_name(state, &pat.value))
    };
    own.map(text).collect()
}

/// Whether a token exists and is active.
fn state_of(stage: &Stage, uuid: &str) -> Option<bool> {
    stage.world.with(|state| {
        let known = hub::pats_of(state, scene::USER);
        known.iter().find(|pat| pat.uuid == uuid).map(|pat| pat.is_active)
    })
}

pub(crate) async fn retirement(stage: &mut Stage) {
    stage.page.scene("4a Reconcile deactivates the replaced token after its grace period");
    days_pass(stage, 2);
    let old = reconcile(stage, &[("/outcome", json!("applied"))]).await.unwrap_or_default();
    show_minted(stage);
    stage.page.expect(state_of(stage, &old) == Some(false), "the old token exists and is deactivated");
    let minted = stage.world.with(|state| minted(state).len());
    stage.page.expect(minted == 2, "the token in use exists as well");
    show_writes(stage);

    stage.page.scene("4b The next reconcile deletes it");
    stage
        .page
        .row("happens", "EventBridge Scheduler sends its next input; until now a person could reactivate the token");
    reconcile(stage, &[("/outcome", json!("applied")), ("/tokens/retired/0", json!(old))]).await;
    show_minted(stage);
    stage.page.expect(state_of(stage, &old).is_none(), "the old token is gone");
    in_step(stage);
    show_writes(stage);
}

/// Another scan interval, and one plan less: a change that a person can make in the portal.
pub(crate) fn edit(state: &mut State) {
    arm::edit_connector(state, scene::SUBSCRIPTION, scene::GROUP, scene::CONNECTOR, PERSON);
}

fn plans(stage: &Stage) -> usize {
    stage.world.with(|state| seen::connector(state).map_or(0, |connector| connector.offerings().len()))
}

fn show_settings(stage: &mut Stage, name: &str) {
    let text = stage.world.with(|state| {
        let connector = seen::connector(state)?;
        let interval = &connector.properties["environmentData"]["scanInterval"];
        Some(format!("{}, a scan every {interval} hours", count(connector.offerings().len(), "plan")))
    });
    stage.page.row(name, text.as_deref().unwrap_or("none"));
}

pub(crate) async fn repair(stage: &mut Stage) {
    stage.page.scene("5a Reconcile repairs a connector that a person changed");
    stage.page.row("happens", "a person turns off a plan in the portal and changes the scan interval");
    stage.world.with(edit);
    stage.page.expect(plans(stage) == 2, "a plan is off");
    show_settings(stage, "before");
    reconcile(stage, &[("/outcome", json!("applied")), ("/connector/change", json!("updated"))]).await;
    stage.page.expect(plans(stage) == 3, "the three plans are on");
    show_settings(stage, "after");
    in_step(stage);
    show_writes(stage);

    stage.page.scene("5b Reconcile recreates a connector that a person deleted");
    stage.page.row("happens", "a person deletes the connector");
    stage.world.with(|state| arm::delete_connector(state, scene::SUBSCRIPTION, scene::GROUP, scene::CONNECTOR));
    reconcile(stage, &[("/outcome", json!("applied")), ("/connector/change", json!("created"))]).await;
    stage.page.expect(plans(stage) == 3, "the three plans are on");
    in_step(stage);
    show_writes(stage);
}

pub(crate) async fn offboarding(stage: &mut Stage) {
    stage.page.scene("8a Offboarding");
    stage.page.row("happens", "an operator cancels the secret's rotation and offboards the secret");
    stage.world.with(|state| aws::enable_rotation(state, &stage.arn, false));
    let event = json!({ "action": "offboard", "secretId": scene::SECRET });
    stage.page.row("event", &event.to_string());
    let answer = stage.invoke(event).await;
    stage.show(&answer);
    expect_report(stage, &answer, &[("/outcome", json!("applied")), ("/connector/change", json!("deleted"))]);
    show_stages(stage, &answer);
    let (gone, tag) = stage
        .world
        .with(|state| (seen::connector(state).is_none(), aws::tags(state, &stage.arn).get("hubkeeper").cloned()));
    stage.page.expect(gone, "the connector is gone");
    stage.page.expect(tag.as_deref() == Some("offboarded"), "the secret is tagged hubkeeper = offboarded");
    show_minted(stage);
    show_writes(stage);

    stage.page.scene("8b Reconcile deactivates the tokens of the offboarded secret");
    stage.page.row(
        "why",
        "reconcile keeps a token that was used in the last seven days: a moved connector looks like a deleted one",
    );
    days_pass(stage, 8);
    let token = reconcile(stage, &[("/outcome", json!("applied"))]).await.unwrap_or_default();
    show_minted(stage);
    stage.page.expect(state_of(stage, &token) == Some(false), "the token is deactivated");
    show_writes(stage);

    stage.page.scene("8c The next reconcile deletes them");
    stage.page.row("happens", "EventBridge Scheduler sends its next input");
    reconcile(stage, &[("/outcome", json!("applied")), ("/tokens/retired/0", json!(token))]).await;
    let (left, by_hand) = stage.world.with(|state| {
        let all = hub::pats_of(state, scene::USER).len();
        let left = minted(state).len();
        (left, all - left)
    });
    stage.page.expect(left == 0, "no token of hubkeeper's is left");
    stage.page.row(
        "left",
        &format!("the secret, and {} made by hand, which a person has to revoke", count(by_hand, "token")),
    );
    show_writes(stage);
}
