//! One event from a file, sent into the example world.

use crate::rotation::rotate;
use crate::{aws, hub, leak, responses, scene};
use serde_json::{Value, json};

use crate::demo::life::by_hand;
use crate::demo::page::{count, short};
use crate::demo::seen;
use crate::demo::stage::{Answer, Stage, reports_in};
use crate::demo::upkeep::edit;
use crate::demo::zero;

const SECOND_SECRET: &str = "hubkeeper/umbrella";
const SECOND_ORGANIZATION: &str = "umbrella";

/// The replacements for the ids of a file.
struct Ids {
    arn: String,
    /// The second secret, if the file names several.
    second: Option<String>,
    version: String,
    rotation_token: Option<String>,
    /// The response URL of a custom resource.
    response_url: String,
}

/// Prepares the situation that the event describes, puts the example's ids into the event, sends it, and shows what changed.
/// Returns whether the function did what the event asks for.
pub(crate) async fn send(stage: &mut Stage, path: &str, mut event: Value) -> bool {
    stage.page.line(&format!("hubkeeper: one event, {path}"));
    stage.page.line("");
    let ids = prepare(stage, &event).await;
    adapt(&mut event, &ids);
    show_ids(stage, &event, &ids);
    stage.take_writes();
    stage.take_events();
    let shown = shown(&event);
    stage.page.row("event", &shown);
    let was = stage.world.with(|state| seen::everything(state));
    let logged = stage.host.output().len();
    let answer = stage.invoke(event).await;
    stage.show(&answer);
    if answer.as_ref().is_ok_and(|answer| answer["batchItemFailures"].is_array()) {
        // the response to a queue holds no reports: they are in the log
        for report in reports_in(stage.host.output().get(logged..).unwrap_or_default()) {
            stage.item("log", &report);
        }
    }
    let answers = stage.world.with(|state| responses::answers(state));
    let bodies: Vec<&Value> = answers.iter().map(|answered| &answered.body).collect();
    let undone = undone(&answer, &bodies);
    for answered in &answers {
        stage.page.row("to the stack", &serde_json::to_string_pretty(&answered.body).unwrap_or_default());
    }
    stage
        .page
        .expect(answers.len() == usize::from(shown.contains("ResponseURL")), "a custom resource gets one response");
    let is = stage.world.with(|state| seen::everything(state));
    let changes = seen::changes(&was, &is);
    let writes = stage.take_writes();
    stage.page.row(
        "writes",
        &format!("{} ({} to AWS, {} to Docker Hub, {} to Azure)", writes.all(), writes.aws, writes.hub, writes.arm),
    );
    stage.page.row("changes", if changes.is_empty() { "none" } else { &changes[0] });
    for change in changes.iter().skip(1) {
        stage.page.row("", change);
    }
    let carried = stage.world.with(|state| seen::carried(state));
    stage.page.row("connector", &carried);
    if let Ok(report) = &answer {
        stage.page.row("report", &serde_json::to_string_pretty(report).unwrap_or_default());
    }
    let ran = answer
        .as_ref()
        .err()
        .is_none_or(|error| !error.error_type.starts_with("Sandbox.") && !error.error_type.starts_with("Runtime."));
    stage.page.expect(ran, "the function returns a response");
    let (dead, unproven) = {
        let watched = stage.watched();
        (watched.dead, watched.unproven)
    };
    stage.page.expect(unproven == 0, "every credential written was proven");
    stage.page.expect(dead == 0, "the connector's token was accepted by Docker Hub at every change");
    let secrets = stage.world.with(|state| leak::secrets_of(state));
    let leaks = leak::find(&secrets, &stage.output()).len() + leak::find(&secrets, stage.page.text()).len();
    stage.page.expect(leaks == 0, "no secret was printed");
    if let Some(what) = &undone {
        stage.page.row("not done", what);
    }
    undone.is_none()
}

/// The failed parts of the event: all of it, items of a list, records of a queue, or the change of a stack.
fn undone(answer: &Answer, to_the_stack: &[&Value]) -> Option<String> {
    let report = match answer {
        Ok(report) => report,
        Err(error) => return Some(format!("the function ended with an error of type {}", error.error_type)),
    };
    let array = |name: &str| report[name].as_array().into_iter().flatten();
    let items = array("items").filter(|item| item["errorType"].is_string()).count();
    let records = array("batchItemFailures").count();
    if items > 0 {
        return Some(format!("{} failed", count(items, "item")));
    }
    if records > 0 {
        return Some(format!("{} of the queue failed", count(records, "record")));
    }
    let failed = to_the_stack.iter().any(|body| body["Status"] == json!("FAILED"));
    failed.then(|| "the stack was told FAILED".to_owned())
}

/// The ids of the file that are replaced, if it has any.
fn show_ids(stage: &mut Stage, event: &Value, ids: &Ids) {
    let text = event.to_string();
    let mut parts = Vec::new();
    if text.contains(&ids.arn) {
        parts.push(format!("secret {}", scene::SECRET));
    }
    if ids.second.as_ref().is_some_and(|second| text.contains(second)) {
        parts.push(format!("secret {SECOND_SECRET}"));
    }
    if text.contains(&ids.version) {
        parts.push(format!("version {}…", short(&ids.version)));
    }
    if event["RotationToken"].is_string() {
        parts.push("the real rotation token".to_owned());
    }
    if !parts.is_empty() {
        stage.page.row("ids", &format!("these replace the file's: {}", parts.join(", ")));
    }
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The events in a file: those of a queue's records, the action in an event's detail, or the event itself.
fn inner(event: &Value) -> Vec<Value> {
    if let Some(records) = event["Records"].as_array() {
        let bodies = records.iter().filter_map(|record| serde_json::from_str(record["body"].as_str()?).ok());
        return bodies.flat_map(|body| inner(&body)).collect();
    }
    vec![if event["detail"]["action"].is_string() { event["detail"].clone() } else { event.clone() }]
}

async fn prepare(stage: &mut Stage, event: &Value) -> Ids {
    let events = inner(event);
    let fresh = |event: &Value| {
        let onboards = text(event, "/action") == "onboard" || text(event, "/RequestType") == "Create";
        onboards && event["versionId"].is_null() && event["force"] != json!(true)
    };
    let mut happened = Vec::new();
    if events.iter().all(fresh) {
        happened.push("a new secret without a token; its manager can mint one".to_owned());
        if events.iter().any(|event| event["fixRole"] == json!(true)) {
            zero::outside(stage);
            happened.push(format!(
                "its document asks for {} as a member of the team {}, to which the user does not belong",
                scene::USER,
                scene::PAYMENTS
            ));
        }
    } else {
        let onboarded = stage.invoke(json!({ "action": "onboard", "secretId": stage.arn })).await;
        stage.page.expect(onboarded.is_ok(), "the example is onboarded first");
        happened.push("the example, onboarded".to_owned());
    }
    let ids = situation(stage, &events, &mut happened).await;
    stage.page.row("situation", &happened.join("; then "));
    ids
}

/// Creates the state before the event.
async fn situation(stage: &mut Stage, events: &[Value], happened: &mut Vec<String>) -> Ids {
    let arn = stage.arn.clone();
    let first = events.first().cloned().unwrap_or_default();
    let step = text(&first, "/Step");
    if !step.is_empty() {
        return begun(stage, &["createSecret", "setSecret", "testSecret"], step, happened).await;
    }
    match text(&first, "/detail/eventName") {
        "RotationFailed" => {
            let team = format!("a person removed {} from the team {}", scene::USER, scene::PAYMENTS);
            stage.world.with(|state| hub::remove_from_team(state, scene::ORGANIZATION, scene::PAYMENTS, scene::USER));
            happened.push(team);
            let ids = begun(stage, &["createSecret"], "", happened).await;
            let answer = stage.invoke(step_event("setSecret", &ids)).await;
            stage.page.expect(answer.is_err(), "setSecret fails");
            happened.push("setSecret failed, and Secrets Manager ended the rotation".to_owned());
            return ids;
        }
        "RotationAbandoned" => {
            let ids = begun(stage, &["createSecret"], "", happened).await;
            put_by_hand(stage, "AWSCURRENT", happened);
            return ids;
        }
        _ => {}
    }
    if text(&first, "/action") == "reconcile" && events.len() == 1 {
        if first["revokeReplaced"] == json!(true) {
            let rotation = rotate(&stage.world, &stage.host, &arn, 1).await;
            stage.page.expect(rotation.succeeded, "a rotation comes before it");
            happened.push("a rotation, which replaced the leaked token".to_owned());
        } else {
            stage.world.with(edit);
            happened.push("a person turned off a plan in the portal and changed the scan interval".to_owned());
        }
    }
    let many = |event: &Value| event["secretIds"].as_array().is_some_and(|ids| ids.len() > 1);
    let second = if events.iter().any(many) { Some(second(stage, &first, happened).await) } else { None };
    let label = events.iter().find_map(|event| match text(event, "/detail/labelUpdated") {
        "" if matches!(text(event, "/detail/eventName"), "PutSecretValue" | "UpdateSecret") => Some("AWSCURRENT"),
        "" if text(event, "/action") == "onboard" && event["versionId"].is_string() => Some("HUBKEEPER_CANDIDATE"),
        "" => None,
        label => Some(label),
    });
    let version = match label {
        Some(label) => put_by_hand(stage, label, happened),
        None => stage.world.with(|state| aws::version_with(state, &arn, "AWSCURRENT")).unwrap_or_default(),
    };
    Ids { arn, second, version, rotation_token: None, response_url: stage.response_url() }
}

/// A second organization of the same user, with its own secret and connector. It is onboarded, unless that is the event.
async fn second(stage: &mut Stage, event: &Value, happened: &mut Vec<String>) -> String {
    let mut document = scene::document();
    document["organization"] = json!(SECOND_ORGANIZATION);
    document["expectedRepositories"] = json!(["app"]);
    document["connector"]["name"] = json!("dockerhub-umbrella");
    document["manager"] = json!(scene::MANAGER);
    let arn = stage.world.with(|state| {
        hub::add_member(state, SECOND_ORGANIZATION, scene::USER, hub::Role::Member);
        hub::add_to_team(state, SECOND_ORGANIZATION, scene::TEAM, scene::USER);
        hub::add_repository(state, SECOND_ORGANIZATION, "app", true);
        let read = Some(hub::Permission::Read);
        hub::team_permission(state, SECOND_ORGANIZATION, scene::TEAM, "app", read);
        aws::create_secret(state, SECOND_SECRET, &document, &[])
    });
    happened.push(format!("a second secret, {SECOND_SECRET}, for the organization {SECOND_ORGANIZATION}"));
    if text(event, "/action") != "onboard" {
        let onboarded = stage.invoke(json!({ "action": "onboard", "secretId": arn })).await;
        stage.page.expect(onboarded.is_ok(), "the second secret is onboarded as well");
        happened.push("that one onboarded, too".to_owned());
    }
    arn
}

/// A rotation that has completed the steps before `until`.
async fn begun(stage: &mut Stage, steps: &[&str], until: &str, happened: &mut Vec<String>) -> Ids {
    let arn = stage.arn.clone();
    let (version, rotation_token) = stage.world.with(|state| aws::begin_rotation(state, &arn, true));
    happened.push(format!("a rotation began, version {} is AWSPENDING", short(&version)));
    let ids = Ids { arn, second: None, version, rotation_token, response_url: stage.response_url() };
    for step in steps.iter().take_while(|step| **step != until) {
        let answer = stage.invoke(step_event(step, &ids)).await;
        stage.page.expect(answer.is_ok(), &format!("{step} comes before it"));
        happened.push((*step).to_owned());
    }
    ids
}

fn step_event(step: &str, ids: &Ids) -> Value {
    let mut event = json!({ "Step": step, "SecretId": ids.arn, "ClientRequestToken": ids.version });
    if let Some(token) = &ids.rotation_token {
        event["RotationToken"] = json!(token);
    }
    event
}

/// A person creates a token and stores it under a label. Returns the version.
fn put_by_hand(stage: &Stage, label: &str, happened: &mut Vec<String>) -> String {
    let (uuid, mut document) = by_hand(&stage.world, "made by hand", "repo:read", 60);
    document["manager"] = json!(scene::MANAGER);
    happened.push(format!("a person made the read-only token {} and put it as {label}", short(&uuid)));
    stage.world.with(|state| aws::put_version(state, &stage.arn, None, &document, &[label]))
}

/// Replaces the ids of the file with those of the example.
fn adapt(event: &mut Value, ids: &Ids) {
    match event {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                match (name.to_lowercase().as_str(), &*value) {
                    ("secretid", Value::String(_)) => *value = json!(ids.arn),
                    ("secretids", Value::Array(_)) => {
                        *value = std::iter::once(&ids.arn).chain(&ids.second).map(|arn| json!(arn)).collect();
                    }
                    ("versionid" | "clientrequesttoken", Value::String(_)) => *value = json!(ids.version),
                    ("rotationtoken", Value::String(_)) => {
                        if let Some(token) = &ids.rotation_token {
                            *value = json!(token);
                        }
                    }
                    ("responseurl", Value::String(_)) => *value = json!(ids.response_url),
                    ("physicalresourceid", Value::String(_)) => *value = json!(format!("hubkeeper/{}", ids.arn)),
                    ("body", Value::String(body)) => {
                        if let Ok(mut inner) = serde_json::from_str(body) {
                            adapt(&mut inner, ids);
                            *value = json!(inner.to_string());
                        }
                    }
                    _ => adapt(value, ids),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| adapt(item, ids)),
        Value::String(text) if text.starts_with("arn:aws:secretsmanager:") => ids.arn.clone_into(text),
        Value::String(text) if text.starts_with("Rotation-arn:") => {
            *text = format!("Rotation-{}-{}", ids.arn, ids.version);
        }
        _ => {}
    }
}

/// The event without its rotation token and its URL, which are secrets.
fn shown(event: &Value) -> String {
    let mut shown = event.clone();
    for name in ["RotationToken", "ResponseURL"] {
        if shown[name].is_string() {
            shown[name] = json!("(not shown)");
        }
    }
    serde_json::to_string_pretty(&shown).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::rotation::FunctionError;

    use super::*;

    #[test]
    fn a_refused_event_is_not_done_in_whatever_form_the_function_says_so() {
        let refused = FunctionError { error_type: "Refused".into(), message: "no".into() };
        assert_eq!(undone(&Err(refused), &[]).as_deref(), Some("the function ended with an error of type Refused"));
        let item = json!({ "items": [{ "outcome": "applied" }, { "outcome": "failed", "errorType": "Refused" }] });
        assert_eq!(undone(&Ok(item), &[]).as_deref(), Some("1 item failed"));
        let record = json!({ "batchItemFailures": [{ "itemIdentifier": "1" }] });
        assert_eq!(undone(&Ok(record), &[]).as_deref(), Some("1 record of the queue failed"));
        let told = json!({ "Status": "FAILED" });
        assert_eq!(undone(&Ok(json!({})), &[&told]).as_deref(), Some("the stack was told FAILED"));
    }

    #[test]
    fn what_was_done_is_done() {
        let applied = json!({ "outcome": "applied", "items": [{ "outcome": "applied" }], "batchItemFailures": [] });
        assert_eq!(undone(&Ok(applied), &[&json!({ "Status": "SUCCESS" })]), None);
    }
}
