//! One event out of a file, sent into the example world.

use hubkeeper_sandbox::{aws, leak, scene};
use serde_json::{Value, json};

use crate::life::by_hand;
use crate::page::short;
use crate::seen;
use crate::stage::Stage;

/// What stands in for the ids of a file.
struct Ids {
    arn: String,
    version: String,
    rotation_token: Option<String>,
}

/// Makes the situation that the event tells of, puts the example's ids into it, sends it, and shows what changed.
pub(crate) async fn send(stage: &mut Stage, path: &str, mut event: Value) {
    stage.page.line(&format!("hubkeeper: one event, {path}"));
    stage.page.line("");
    let ids = prepare(stage, &event).await;
    adapt(&mut event, &ids);
    let token = if ids.rotation_token.is_some() { ", its rotation token by the real one" } else { "" };
    stage.page.row(
        "ids",
        &format!(
            "the file's secret is replaced by the example's, {}, a version id by {}…{token}",
            scene::SECRET,
            short(&ids.version)
        ),
    );
    stage.take_writes();
    stage.take_events();
    let shown = shown(&event);
    stage.page.row("event", &shown);
    let was = stage.world.with(|state| seen::everything(state));
    let answer = stage.invoke(event).await;
    stage.show(&answer);
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
    stage.page.expect(ran, "the function answers");
    let (dead, unproven) = {
        let watched = stage.watched();
        (watched.dead, watched.unproven)
    };
    stage.page.expect(unproven == 0, "every credential written was proven");
    stage.page.expect(dead == 0, "the connector's token was accepted by Docker Hub at every change");
    let secrets = stage.world.with(|state| leak::secrets_of(state));
    let leaks = leak::find(&secrets, &stage.host.output()).len() + leak::find(&secrets, stage.page.text()).len();
    stage.page.expect(leaks == 0, "no secret was printed");
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The members of an action, which may stand in the detail of an event or in a queue's record.
fn action(event: &Value) -> Value {
    if event["detail"]["action"].is_string() {
        return event["detail"].clone();
    }
    let body = text(event, "/Records/0/body");
    serde_json::from_str(body).unwrap_or_else(|_| event.clone())
}

async fn prepare(stage: &mut Stage, event: &Value) -> Ids {
    let inner = action(event);
    let fresh = text(&inner, "/action") == "onboard" && inner["versionId"].is_null() && inner["force"] != json!(true);
    let mut happened = Vec::new();
    if fresh {
        happened.push("a new secret that holds no token; its manager can mint".to_owned());
    } else {
        let onboarded = stage.invoke(json!({ "action": "onboard", "secretId": stage.arn })).await;
        stage.page.expect(onboarded.is_ok(), "the example is onboarded first");
        happened.push("the example, onboarded".to_owned());
    }
    let ids = situation(stage, event, &inner, &mut happened).await;
    stage.page.row("situation", &happened.join("; then "));
    ids
}

/// What happened at AWS before the event was sent.
async fn situation(stage: &mut Stage, event: &Value, inner: &Value, happened: &mut Vec<String>) -> Ids {
    let arn = stage.arn.clone();
    let step = text(event, "/Step");
    if !step.is_empty() {
        let (version, rotation_token) = stage.world.with(|state| aws::begin_rotation(state, &arn, true));
        happened.push(format!("a rotation began, version {} is AWSPENDING", short(&version)));
        for earlier in ["createSecret", "setSecret", "testSecret"].into_iter().take_while(|earlier| *earlier != step) {
            let mut event = json!({ "Step": earlier, "SecretId": arn, "ClientRequestToken": version });
            if let Some(token) = &rotation_token {
                event["RotationToken"] = json!(token);
            }
            let answer = stage.invoke(event).await;
            stage.page.expect(answer.is_ok(), &format!("{earlier} comes before it"));
            happened.push(earlier.to_owned());
        }
        return Ids { arn, version, rotation_token };
    }
    let label = match text(event, "/detail/labelUpdated") {
        "" if matches!(text(event, "/detail/eventName"), "PutSecretValue" | "UpdateSecret") => "AWSCURRENT",
        "" if text(inner, "/action") == "onboard" && inner["versionId"].is_string() => "HUBKEEPER_CANDIDATE",
        label => label,
    };
    let version = if label.is_empty() {
        stage.world.with(|state| aws::version_with(state, &arn, "AWSCURRENT")).unwrap_or_default()
    } else {
        let (uuid, mut document) = by_hand(&stage.world, "made by hand", "repo:read", 60);
        document["manager"] = json!(scene::MANAGER);
        happened.push(format!("a person made the read-only token {} and put it as {label}", short(&uuid)));
        stage.world.with(|state| aws::put_version(state, &arn, None, &document, &[label]))
    };
    Ids { arn, version, rotation_token: None }
}

/// Puts the example's ids in the places of the file's.
fn adapt(event: &mut Value, ids: &Ids) {
    match event {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                match (name.to_lowercase().as_str(), &*value) {
                    ("secretid", Value::String(_)) => *value = json!(ids.arn),
                    ("secretids", Value::Array(_)) => *value = json!([ids.arn]),
                    ("versionid" | "clientrequesttoken", Value::String(_)) => *value = json!(ids.version),
                    ("rotationtoken", Value::String(_)) => {
                        if let Some(token) = &ids.rotation_token {
                            *value = json!(token);
                        }
                    }
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

/// The event without its rotation token, which is as secret as a password.
fn shown(event: &Value) -> String {
    let mut shown = event.clone();
    if shown["RotationToken"].is_string() {
        shown["RotationToken"] = json!("(not shown)");
    }
    serde_json::to_string_pretty(&shown).unwrap_or_default()
}
