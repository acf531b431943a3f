//! `hubkeeper rotate`: starts a rotation at Secrets Manager, and follows its four steps.

use std::time::Duration;

use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use hubkeeper::clients::secrets_manager::SecretStore;
use hubkeeper::http::aws::{SdkHttp, SdkTime};
use hubkeeper_core::redact;
use hubkeeper_core::secret::{Label, Secret};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::status;
use crate::args::Rotate;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::function::{Deployed, client};
use crate::progress::Line;
use crate::{local, render};

/// How often the labels are read.
const POLL: Duration = Duration::from_secs(2);

/// Runs the command.
///
/// # Errors
/// Returns why a rotation did not start or did not finish.
pub async fn run(context: &Context, arguments: Rotate) -> Result<Code, Failure> {
    context.doing("interrupted before a rotation was started");
    let line = context.line("rotate");
    let shared = context.shared(&line)?;
    let http_client = local::http_client(&shared);
    let aws = local::aws(&http_client).await?;
    let sdk = client!(aws_sdk_secretsmanager, &aws, http_client, SdkHttp::new(http_client.clone()));
    let store = SecretStore::new(sdk.clone(), http_client.clone());
    let function = Deployed::find(&arguments.function, &context.environment, &aws, &http_client).await;
    let ids = match (&function, arguments.all) {
        (_, false) => arguments.ids.clone(),
        (Ok(function), true) => status::managed(function).await?,
        (Err(failure), true) => return Err(failure.clone()),
    };
    let mut secrets = Vec::new();
    for id in &ids {
        let secret = store.describe(id).await.map_err(|error| error.at("rotate"))?;
        let organization = ready(&store, &secret).await?;
        secrets.push((secret, organization));
    }
    line.clear();
    if arguments.plan {
        let items: Vec<Value> = secrets.iter().map(|(secret, organization)| plan(secret, organization)).collect();
        let report = json!({"outcome": "planned", "items": items});
        context.print(&report, || secrets.iter().map(|(_, organization)| plan_in_words(organization)).collect());
        return Ok(Code::Done);
    }
    let question = format!("Rotate {} now?", render::style::count(secrets.len(), "secret", "secrets"));
    if !context.terminal.confirm(question, arguments.yes).await? {
        context.say("nothing was started");
        return Ok(Code::Done);
    }
    let mut items = Vec::new();
    for (secret, organization) in &secrets {
        let started = sdk.rotate_secret().secret_id(&secret.arn).rotate_immediately(true).send().await;
        let started = started.map_err(|error| {
            let code = error.code().and_then(redact::code).unwrap_or("no answer");
            Failure::new(
                if error.as_service_error().is_some() { Code::Person } else { Code::Retry },
                format!("the rotation of {} was not started: RotateSecret: {code}", secret.arn),
                "you need the right secretsmanager:RotateSecret; see hubkeeper status for a rotation that is stuck",
            )
        })?;
        let version = started.version_id.unwrap_or_default();
        context.doing(format!(
            "the rotation of {} continues by itself: follow it with hubkeeper status {}",
            secret.arn, secret.arn
        ));
        let line = context.line(organization);
        let mut item = follow(&store, function.as_ref().ok(), secret, &version, arguments.wait, &line).await?;
        line.clear();
        item["organization"] = json!(organization);
        items.push(item);
    }
    let report = match items.len() {
        1 => items.remove(0),
        _ => json!({"outcome": "applied", "items": items}),
    };
    context.print(&report, || render::report::report(&report));
    Ok(Code::of_report(&report))
}

/// Checks that a rotation can start: it is turned on, and none is under way or left over. Returns the secret's organization.
async fn ready(store: &SecretStore, secret: &Secret) -> Result<String, Failure> {
    let arn = &secret.arn;
    if !secret.rotation_enabled {
        return Err(Failure::new(
            Code::Person,
            format!("rotation of {arn} is off"),
            format!(
                "turn it on: aws secretsmanager rotate-secret --secret-id {arn} --rotation-lambda-arn <the function's ARN> --rotation-rules AutomaticallyAfterDays=30 --no-rotate-immediately"
            ),
        ));
    }
    if let Some(pending) = secret.rotation_in_progress().or(secret.leftover_pending()) {
        let command = hubkeeper_core::plan::refusals::unstick(secret, pending);
        return Err(Failure::new(
            Code::Person,
            format!("version {pending} of {arn} is AWSPENDING: a rotation is under way, or stuck"),
            format!("wait for it; if it is stuck, end it: {command}"),
        ));
    }
    let current = secret.version(Label::Current).unwrap_or_default();
    let document =
        store.document(arn, current, Some(Label::Current.name())).await.map_err(|error| error.at("rotate"))?;
    if document.manager.is_none() && secret.version(Label::Candidate).is_none() {
        return Err(Failure::new(
            Code::Person,
            format!("{arn} names no manager, so hubkeeper cannot create a token, and no candidate is staged"),
            format!("stage a token, which is then adopted without a rotation: hubkeeper stage {arn}"),
        ));
    }
    Ok(document.organization)
}

const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

fn plan(secret: &Secret, organization: &str) -> Value {
    json!({"action": "rotate", "outcome": "planned", "organization": organization, "secretId": secret.arn, "versionId": secret.version(Label::Current),
        "steps": STEPS})
}

fn plan_in_words(organization: &str) -> String {
    format!(
        "{} {}\n  {}\n  {}\n  {}\n  {}\n",
        render::style::warn("~"),
        render::style::bold(organization),
        render::style::good("+ createSecret: a new read-only token, or the candidate's, as AWSPENDING"),
        render::style::warn("~ setSecret: prove it, and write it into the connector"),
        "? testSecret: check that the connector carries it, and that it logs in and pulls",
        render::style::warn("~ finishSecret: move AWSCURRENT to it; the old token is retired after the grace period"),
    )
}

/// Follows a rotation by what it leaves: a value, the connector's version, the labels.
async fn follow(
    store: &SecretStore,
    function: Option<&Deployed>,
    secret: &Secret,
    version: &str,
    seconds: u64,
    line: &Line,
) -> Result<Value, Failure> {
    let until = OffsetDateTime::now_utc() + Duration::from_secs(seconds);
    let mut done = 0;
    loop {
        let seen = store.describe(&secret.arn).await.map_err(|error| error.at("rotate"))?;
        if seen.bears(version, Label::Current) {
            done = STEPS.len();
        } else {
            if done == 0 && stored(store, &secret.arn, version).await {
                done = 1;
            }
            if done == 1 && carried(function, &secret.arn).await.as_deref() == Some(version) {
                done = 2;
            }
        }
        let steps: Vec<Value> = STEPS
            .iter()
            .enumerate()
            .map(|(at, name)| json!({"name": name, "status": if at < done { "done" } else { "open" }}))
            .collect();
        let mut report = json!({"action": "rotate", "secretId": secret.arn, "versionId": version, "stages": steps});
        if done == STEPS.len() {
            report["outcome"] = json!("applied");
            report["reason"] = json!("the new version is AWSCURRENT, and the connector carries it");
            return Ok(report);
        }
        line.message(format!("{} of 4 steps done, {} runs", done, STEPS[done]));
        if seconds == 0 {
            report["outcome"] = json!("applied");
            report["reason"] = json!("the rotation was started");
            return Ok(report);
        }
        if OffsetDateTime::now_utc() >= until {
            let log = function.map_or_else(
                || "see the function's log".to_owned(),
                |function| format!("see its log: aws logs tail /aws/lambda/{} --since 30m", function.name),
            );
            return Err(Failure::new(
                Code::Retry,
                format!("{} of {} is not done after {seconds} seconds", STEPS[done], secret.arn),
                format!("Secrets Manager continues by itself; {log}"),
            ));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the pending version has a value.
async fn stored(store: &SecretStore, arn: &str, version: &str) -> bool {
    matches!(store.value(arn, version, None).await, Ok(Some(_)))
}

/// The version in the connector, by the deployed function.
async fn carried(function: Option<&Deployed>, arn: &str) -> Option<String> {
    let page = function?.invoke(&json!({"action": "status", "secretIds": [arn]})).await.ok()?;
    page["items"][0]["carriedVersionId"].as_str().map(str::to_owned)
}
