//! `hubkeeper rotate`: starts a rotation at Secrets Manager, and follows its four steps.

use std::time::Duration;

use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use hubkeeper::clients::secrets_manager::SecretStore;
use hubkeeper::sdk_client;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::redact;
use hubkeeper_core::secret::{Label, Secret};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::several::{all_needs_the_function, joined, own_report};
use super::status;
use crate::args::Rotate;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::function::Deployed;
use crate::progress::Line;
use crate::{hints, local, render};

/// How often the labels are read.
const POLL: Duration = Duration::from_secs(2);

/// Runs the command.
///
/// # Errors
/// Returns why a rotation did not start or did not finish.
pub async fn run(context: &Context, arguments: Rotate) -> Result<Code, Failure> {
    let Rotate { act, wait } = arguments;
    if act.local && act.all {
        return Err(all_needs_the_function());
    }
    context.doing("interrupted before a rotation was started");
    let line = context.line("rotate");
    let shared = context.shared(&line)?;
    let http_client = local::http_client(&shared);
    let aws = local::aws(&http_client).await?;
    let sdk = sdk_client!(aws_sdk_secretsmanager, &aws, http_client);
    let store = SecretStore::new(sdk.clone(), http_client.clone());
    let function = if act.local {
        None
    } else {
        match Deployed::find(&act.function, &context.environment, &aws, &http_client).await {
            Ok(function) => Some(function),
            Err(failure) if act.all => return Err(failure),
            // a plan asks the function for nothing
            Err(_) if act.plan => None,
            Err(failure) => {
                context.say(&format!("{}; {}\nonly the secret's labels are watched", failure.what, failure.remedy));
                None
            }
        }
    };
    let ids = match &function {
        Some(function) if act.all => status::managed(function).await?,
        _ => act.ids.clone(),
    };
    let mut secrets = Vec::new();
    for id in &ids {
        secrets.push((id.clone(), look(&store, id, function.as_ref()).await));
    }
    line.clear();
    if act.plan {
        let plans = secrets.into_iter().map(|(id, seen)| (id, seen.map(|seen| plan(&seen)))).collect();
        let report = joined("rotate", "plan", plans)?;
        context.print(&report, || match report["items"].as_array() {
            Some(items) => items.iter().map(plan_in_words).collect(),
            None => plan_in_words(&report),
        });
        return Ok(Code::of_report(&report));
    }
    let ready = secrets.iter().filter(|(_, seen)| seen.is_ok()).count();
    let question = format!("Rotate {} now?", render::style::count(ready, "secret", "secrets"));
    if ready > 0 && !context.terminal.confirm(question, act.yes).await? {
        context.say("nothing was started");
        return Ok(Code::Done);
    }
    let mut reports = Vec::new();
    for (id, seen) in secrets {
        let report = match seen {
            Err(failure) => Err(failure),
            Ok(seen) => one(context, &sdk, &store, function.as_ref(), &seen, wait).await,
        };
        reports.push((id, report));
    }
    let report = joined("rotate", "apply", reports)?;
    context.print(&report, || render::report::report(&report));
    Ok(Code::of_report(&report))
}

/// A secret whose rotation can start, and its organization.
struct Ready {
    secret: Secret,
    organization: String,
}

/// Reads a secret, and checks that its rotation can start.
async fn look(store: &SecretStore, id: &str, function: Option<&Deployed>) -> Result<Ready, Failure> {
    let secret = store.describe(id).await.map_err(|error| Failure::own(error.at("rotate")))?;
    let organization = ready(store, &secret, function).await?;
    Ok(Ready { secret, organization })
}

/// Starts one rotation and follows it.
async fn one(
    context: &Context,
    sdk: &aws_sdk_secretsmanager::Client,
    store: &SecretStore,
    function: Option<&Deployed>,
    Ready { secret, organization }: &Ready,
    seconds: u64,
) -> Result<Value, Failure> {
    let started = sdk.rotate_secret().secret_id(&secret.arn).rotate_immediately(true).send().await;
    let started = started.map_err(|error| {
        let code = error.as_service_error().and_then(|error| error.code()).map(redact::code);
        not_started(&secret.arn, code.map(|code| code.unwrap_or("an unknown code")))
    })?;
    let version = VersionId::of_service(started.version_id.unwrap_or_default());
    context.doing(format!(
        "the rotation of {} continues by itself: follow it with hubkeeper status {}",
        secret.arn, secret.arn
    ));
    let line = context.line(organization);
    let followed = follow(store, function, secret, &version, seconds, &line).await;
    line.clear();
    let mut report = followed?;
    report["organization"] = json!(organization);
    Ok(report)
}

/// Why a rotation did not start, by the error code of AWS; `None` without a response.
fn not_started(arn: &str, code: Option<&str>) -> Failure {
    let what = format!("the rotation of {arn} was not started");
    let Some(code) = code else {
        return Failure::new(Code::Retry, format!("{what}: RotateSecret got no response"), "run the command again");
    };
    let kind = Code::of_aws(Some(code));
    let remedy = match code {
        _ if kind == Code::Retry => "run the command again".into(),
        // AWS's reference of RotateSecret, "Required permissions"
        "AccessDeniedException" => {
            "you need the right secretsmanager:RotateSecret on the secret, and lambda:InvokeFunction on the function"
                .into()
        }
        _ => format!("see whether a rotation is in progress or stuck: hubkeeper status {arn}"),
    };
    Failure::new(kind, format!("{what}: RotateSecret: AWS returned {code}"), remedy)
}

/// Checks that a rotation can start: it is turned on, and none is in progress or left over. Returns the secret's organization.
async fn ready(store: &SecretStore, secret: &Secret, function: Option<&Deployed>) -> Result<String, Failure> {
    let arn = &secret.arn;
    if !secret.rotation_enabled {
        return Err(Failure::new(
            Code::Person,
            format!("rotation of {arn} is off"),
            format!("turn it on: {}", hints::turn_on_rotation(arn, function.map(|function| function.name.as_str()))),
        ));
    }
    // beside AWSCURRENT it may stay for a while after a rotation, and RotateSecret accepts that
    let pending = secret.version(Label::Pending).filter(|pending| !secret.bears(pending, Label::Current));
    if let Some(pending) = pending {
        let command = hubkeeper_core::plan::refusals::unstick(secret, pending);
        return Err(Failure::new(
            Code::Person,
            format!("version {pending} of {arn} is AWSPENDING: a rotation is under way, or stuck"),
            format!("wait for it; if it is stuck, end it: {command}"),
        ));
    }
    let current = secret.version(Label::Current).ok_or_else(|| {
        Failure::new(
            Code::Person,
            format!("{arn} has no AWSCURRENT"),
            "put the secret's document; docs/secret.md shows it",
        )
    })?;
    let document = store
        .document(arn, current, Some(Label::Current.name()))
        .await
        .map_err(|error| Failure::own(error.at("rotate")))?;
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

fn plan(Ready { secret, organization }: &Ready) -> Value {
    let fields = json!({"mode": "plan", "outcome": "planned", "organization": organization, "secretId": secret.arn,
        "versionId": secret.version(Label::Current), "steps": STEPS});
    own_report("rotate", fields)
}

/// What a rotation would do, or why it cannot start.
fn plan_in_words(item: &Value) -> String {
    if item["outcome"] != "planned" {
        return render::report::report(item);
    }
    format!(
        "{} {}\n  {}\n  {}\n  {}\n  {}\n",
        render::style::warn("~"),
        render::style::bold(item["organization"].as_str().unwrap_or_default()),
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
    version: &VersionId,
    seconds: u64,
    line: &Line,
) -> Result<Value, Failure> {
    let until = OffsetDateTime::now_utc() + Duration::from_secs(seconds);
    let mut done = 0;
    loop {
        let seen = store.describe(&secret.arn).await.map_err(|error| Failure::own(error.at("rotate")))?;
        if seen.bears(version, Label::Current) {
            done = STEPS.len();
        } else {
            if done == 0 && stored(store, &secret.arn, version).await {
                done = 1;
            }
            if done == 1 && carried(function, &secret.arn).await.as_deref() == Some(version.as_str()) {
                done = 2;
            }
        }
        let steps: Vec<Value> = STEPS
            .iter()
            .enumerate()
            .map(|(at, name)| json!({"name": name, "status": if at < done { "done" } else { "open" }}))
            .collect();
        let mut report = own_report("rotate", json!({"secretId": secret.arn, "versionId": version, "stages": steps}));
        if done == STEPS.len() {
            report["outcome"] = json!("applied");
            report["reason"] = json!("the new version is AWSCURRENT, and the connector carries it");
            return Ok(report);
        }
        line.message(&format!("{} of 4 steps done, {} runs", done, STEPS[done]));
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
async fn stored(store: &SecretStore, arn: &str, version: &VersionId) -> bool {
    matches!(store.value(arn, version, None).await, Ok(Some(_)))
}

/// The version in the connector, by the deployed function.
async fn carried(function: Option<&Deployed>, arn: &str) -> Option<String> {
    let page = function?.invoke(&json!({"action": "status", "secretIds": [arn]})).await.ok()?;
    page["items"][0]["carriedVersionId"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_that_did_not_start_names_the_right_or_the_status() {
        let denied = not_started("arn", Some("AccessDeniedException"));
        assert!(denied.remedy.contains("secretsmanager:RotateSecret"), "{denied:?}");
        let busy = not_started("arn", Some("InvalidRequestException"));
        assert!(
            busy.what.contains("InvalidRequestException") && busy.remedy.ends_with("hubkeeper status arn"),
            "{busy:?}"
        );
        assert_eq!((denied.code, busy.code, not_started("arn", None).code), (Code::Person, Code::Person, Code::Retry));
        assert_eq!(not_started("arn", Some("InternalServiceError")).code, Code::Retry);
    }
}
