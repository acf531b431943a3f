//! The normal course after onboarding: a scheduled rotation, a token made by hand, and the summary.

use std::path::Path;

use crate::rotation::rotate;
use crate::{World, aws, hub, leak, scene};
use serde_json::{Value, json};
use time::Duration;

use crate::demo::page::{count, short};
use crate::demo::seen;
use crate::demo::stage::{Answer, Stage, summary_of};
use crate::demo::zero;

pub(crate) fn introduce(stage: &mut Stage, function: &Path) {
    let page = &mut stage.page;
    page.line("hubkeeper: the life of a Docker Hub token");
    page.line("");
    page.row("function", &format!("{}, run by a Lambda Runtime API", function.display()));
    page.row("services", "AWS, Docker Hub, Entra and Azure are the sandbox in this process, on loopback sockets");
    let private = scene::REPOSITORIES.iter().filter(|(_, private, _)| *private).count();
    page.row(
        "Docker Hub",
        &format!(
            "organization {}: {} repositories, {private} of them private, which the teams {} and {} can read; the user {} has an account, but belongs to no organization yet",
            scene::ORGANIZATION,
            scene::REPOSITORIES.len(),
            scene::TEAM,
            scene::PAYMENTS,
            scene::USER,
        ),
    );
    page.row(
        "AWS",
        &format!(
            "secret {}, without a token yet; its manager secret is {}, its owner secret {}",
            scene::SECRET,
            scene::MANAGER,
            zero::OWNER_SECRET
        ),
    );
    page.row("Azure", &format!("resource group {}, without a connector yet", scene::GROUP));
    page.row("ids", "version ids and uuids are shortened to their first 8 characters");
}

/// The connector has the version and the token of AWSCURRENT.
pub(crate) fn in_step(stage: &mut Stage) {
    let (carried, current, same) = stage.world.with(|state| {
        let current = aws::version_with(state, &stage.arn, "AWSCURRENT");
        let value =
            current.as_deref().and_then(|version| aws::value_of(state, &stage.arn, version)).unwrap_or_default();
        let token = seen::connector(state).and_then(|connector| connector.credential()).map(|(_, token)| token);
        (seen::carried_version(state), current, token.is_some() && token == value["accessToken"].as_str())
    });
    stage.page.expect(carried.is_some() && carried == current, "the connector has the version of AWSCURRENT");
    stage.page.expect(same, "the connector has the token of AWSCURRENT");
    let text = stage.world.with(|state| seen::carried(state));
    stage.page.row("connector", &text);
    stage.page.row("secret", &format!("AWSCURRENT is version {}", short(current.as_deref().unwrap_or("none"))));
}

pub(crate) fn expect_report(stage: &mut Stage, answer: &Answer, expected: &[(&str, Value)]) {
    let none = Value::Null;
    let report = answer.as_ref().unwrap_or(&none);
    for (pointer, value) in expected {
        let held = report.pointer(pointer) == Some(value);
        stage.page.expect(held, &format!("the report says {value} at {pointer}"));
    }
}

/// The function reports `unchanged` for an event about its own change: the connector has that version already.
pub(crate) async fn echoes(stage: &mut Stage) {
    for event in stage.take_events() {
        let name = match event["detail"]["labelUpdated"].as_str() {
            Some(label) => format!("Secret Label Updated, {label}"),
            None => event["detail"]["eventName"].as_str().unwrap_or_default().to_owned(),
        };
        // the template's rules forward neither event
        if name == "RotationStarted" || event["detail"]["labelUpdated"] == "HUBKEEPER_MINTED" {
            continue;
        }
        let answer = stage.invoke(event).await;
        let text = answer.as_ref().map_or_else(ToString::to_string, summary_of);
        stage.page.row("echo", &format!("{name} -> {text}"));
        let outcome = answer.as_ref().ok().and_then(|report| report["outcome"].as_str());
        stage
            .page
            .expect(outcome == Some("unchanged"), "the function reports `unchanged` for an event about its own change");
    }
    let writes = stage.take_writes();
    stage.page.expect(writes.all() == 0, "such events write nothing");
}

pub(crate) fn show_writes(stage: &mut Stage) {
    let writes = stage.take_writes();
    let text = format!("{} to AWS, {} to Docker Hub, {} to Azure", writes.aws, writes.hub, writes.arm);
    stage.page.row("writes", &text);
}

pub(crate) fn show_stages(stage: &mut Stage, answer: &Answer) {
    if let Ok(report) = answer {
        stage.page.row("did", &stages_of(report));
    }
}

/// The stages of a run, in order.
fn stages_of(report: &Value) -> String {
    let stages = report["stages"].as_array().into_iter().flatten();
    let names: Vec<&str> = stages.filter_map(|stage| stage["name"].as_str()).collect();
    names.join(", ")
}

pub(crate) async fn rotation(stage: &mut Stage) {
    stage.page.scene("2  A scheduled rotation: four steps, called by Secrets Manager");
    stage.page.row(
        "happens",
        "Secrets Manager makes a version AWSPENDING without a value, and calls the function step by step",
    );
    let before = stage.world.with(|state| seen::carried_now(state));
    let rotation = rotate(&stage.world, &stage.host, &stage.arn, 1).await;
    for (step, answer) in &rotation.steps {
        let text = answer
            .as_ref()
            .map_or_else(ToString::to_string, |report| format!("{}; did {}", summary_of(report), stages_of(report)));
        stage.page.row(step, &text);
        stage.page.expect(answer.is_ok(), &format!("{step} succeeds"));
    }
    stage.page.expect(rotation.succeeded && rotation.steps.len() == 4, "the rotation succeeds at its first attempt");
    let after = stage.world.with(|state| seen::carried_now(state));
    let fresh = after.as_ref().and_then(|after| after.version.as_deref()) == Some(rotation.version_id.as_str());
    stage.page.expect(before != after && fresh, "the connector has the new version");
    in_step(stage);
    let kept = stage.world.with(|state| {
        let old = before.as_ref().and_then(|before| before.credential.as_ref());
        old.is_some_and(|(username, token)| hub::accepts(state, username, token))
    });
    stage.page.expect(kept, "Docker Hub still accepts the replaced token");
    if kept {
        stage.page.row("old token", "Docker Hub still accepts it: it is retired only after its grace period");
    }
    show_writes(stage);
    echoes(stage).await;
}

/// Creates a token on Docker Hub's web page that expires in some days. Returns its uuid, value and expiry.
pub(crate) fn by_hand(world: &World, label: &str, scope: &str, days: i64) -> (String, Value) {
    world.with(|state| {
        let end = state.now() + Duration::days(days);
        let (uuid, token) = hub::add_pat(state, scene::USER, label, &[scope], Some(end));
        (uuid, scene::document_with(&token, Some(end)))
    })
}

/// Stages a document as the candidate, as a person does. Returns the version and the event that AWS sends.
pub(crate) fn put_candidate(stage: &mut Stage, mut document: Value) -> (String, Value) {
    document["manager"] = json!(scene::MANAGER);
    let version =
        stage.world.with(|state| aws::put_version(state, &stage.arn, None, &document, &["HUBKEEPER_CANDIDATE"]));
    let event = stage.take_events().pop().unwrap_or_default();
    let named = event["detail"]["versionId"] == json!(version);
    stage.page.expect(named, "AWS sends an event about the staged version");
    let label = event["detail"]["labelUpdated"].as_str().unwrap_or_default();
    let kind = event["detail-type"].as_str().unwrap_or_default();
    stage.page.row("event", &format!("{kind}: {label} on version {}", short(&version)));
    (version, event)
}

pub(crate) async fn candidate(stage: &mut Stage) {
    stage.page.scene("6  A token made by hand is adopted");
    stage.page.row("happens", "a person creates a read-only token and stages the document as HUBKEEPER_CANDIDATE");
    let (_, document) = by_hand(&stage.world, "made by hand", "repo:read", 60);
    let (version, event) = put_candidate(stage, document);
    let answer = stage.invoke(event).await;
    stage.show(&answer);
    let expected = [
        ("/outcome", json!("applied")),
        ("/verdict/result", json!("complete")),
        ("/connector/change", json!("updated")),
        ("/versionId", json!(version)),
    ];
    expect_report(stage, &answer, &expected);
    show_stages(stage, &answer);
    in_step(stage);
    let (current, label) = stage.world.with(|state| {
        let of = |label: &str| aws::version_with(state, &stage.arn, label);
        (of("AWSCURRENT"), of("HUBKEEPER_CANDIDATE"))
    });
    stage.page.expect(
        current == Some(version) && label.is_none(),
        "AWSCURRENT moved to the candidate, which lost its own label",
    );
    show_writes(stage);
    echoes(stage).await;
}

pub(crate) fn summary(stage: &mut Stage) {
    stage.take_writes();
    let writes = stage.writes;
    let (looks, dead, written, unproven) = {
        let watched = stage.watched();
        (watched.looks, watched.dead, watched.written, watched.unproven)
    };
    let secrets = stage.world.with(|state| leak::secrets_of(state));
    let output = stage.output();
    let leaks = leak::find(&secrets, &output).len() + leak::find(&secrets, stage.page.text()).len();
    let failed = stage.page.failures();
    stage.page.heading("Summary");
    let scenes = count(stage.page.scenes(), "scene");
    let all = if failed == 0 { "all as expected".to_owned() } else { format!("{failed} expectations not met") };
    stage.page.row("scenes", &format!("{scenes}, {all}"));
    let text = format!(
        "{}: {} to AWS, {} to Docker Hub, {} to Azure",
        count(writes.all(), "write"),
        writes.aws,
        writes.hub,
        writes.arm
    );
    stage.page.row("writes", &text);
    let yes = |held: bool| if held { "yes" } else { "NO" };
    stage.page.row(
        "no gap",
        &format!(
            "connector's token accepted by Docker Hub at every change: {} (looked after each of {looks} requests)",
            yes(looks > 0 && dead == 0)
        ),
    );
    stage.page.row(
        "no unproven",
        &format!(
            "every credential written reads the whole organization and nothing more: {} ({written} written)",
            yes(written > 0 && unproven == 0)
        ),
    );
    stage.page.row(
        "no leak",
        &format!(
            "secrets in the function's output and on this page: {} ({} secrets looked for, {} of output)",
            if leaks == 0 { "none".to_owned() } else { leaks.to_string() },
            secrets.len(),
            format_args!("{} KiB", output.len() / 1024),
        ),
    );
    stage.page.expect(looks > 0 && dead == 0, "the connector's token was accepted at every change");
    stage.page.expect(written == 3 && unproven == 0, "three credentials were written, each of them proven");
    stage.page.expect(leaks == 0, "no secret was printed");
}
