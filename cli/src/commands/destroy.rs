//! `hubkeeper destroy`: says what is deleted and what stays, asks for the stack's name, deletes the stack and its packages.

use std::fmt::Write as _;
use std::path::Path;

use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};
use hubkeeper::sdk_client;
use hubkeeper_core::redact;
use serde_json::{Value, json};

use super::deploy::shared::stack_name;
use crate::args::{CONFIG, Destroy};
use crate::context::Context;
use crate::deploy::bucket::{self, Bucket};
use crate::deploy::changes;
use crate::deploy::cloudformation::Stacks;
use crate::deploy::config::DeployConfig;
use crate::deploy::login::Login;
use crate::deploy::stack::{Stack, busy};
use crate::deploy::template::OF_THE_PACKAGE;
use crate::exit::{Code, Failure};
use crate::{local, render};

/// A secret that the function still manages.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Managed {
    name: String,
    /// Whether this stack's function rotates it.
    is_rotated: bool,
}

/// Runs the command.
///
/// # Errors
/// Returns why nothing was deleted, or what is left.
pub async fn run(context: &Context, arguments: Destroy) -> Result<Code, Failure> {
    context.doing("interrupted before anything was deleted");
    let kept = DeployConfig::read(Path::new(CONFIG))?;
    let name = stack_name(arguments.stack.as_deref(), kept.stack.as_deref(), &context.environment);
    let line = context.line(&name);
    line.message("reading what exists");
    let shared = context.shared(&line)?;
    let login = Login::new(&context.environment, local::http_client(&shared)).await?;
    if arguments.stack.is_none() {
        kept.fit(Path::new(CONFIG), &login.account, &login.region, &name).map_err(|failure| {
            let remedy = "choose the login with AWS_PROFILE and AWS_REGION, or name the stack with --stack";
            Failure::new(failure.code, failure.what, remedy)
        })?;
    }
    let stacks = Stacks::new(&login, &name);
    let Some(stack) = stacks.describe(None).await? else {
        let bucket = kept.bucket.filter(|_| kept.stack.is_none_or(|stack| stack == name));
        let bucket = bucket.unwrap_or_else(|| bucket::default_name(&login.account, &login.region));
        if left(&login, &bucket, &name).await? {
            line.clear();
            return delete_left(context, &arguments, &login, &name, &bucket).await;
        }
        return Err(Failure::new(
            Code::Person,
            format!("there is no stack {name} in {} of account {}", login.region, login.account),
            "name it with --stack, or choose account and Region with AWS_PROFILE and AWS_REGION",
        ));
    };
    if stack.is_busy() {
        return Err(busy(&name, &stack.status));
    }
    // a stack whose creation failed has parameters, but no outputs
    let Some(prefix) = stack.parameters.get("SecretNamePrefix").filter(|_| !stack.is_only_reviewed()) else {
        return Err(Failure::new(
            Code::Person,
            format!("the stack {name} ({}) has no parameter SecretNamePrefix: it is not hubkeeper's", stack.status),
            "name hubkeeper's stack with --stack",
        ));
    };
    let managed = managed(&login, prefix, stack.outputs.get("FunctionArn").map(String::as_str)).await?;
    line.clear();
    context.say(&plan(&name, &login, &stack, &managed));
    if arguments.plan {
        context.say("nothing was deleted");
        context.print_for_programs(&result("planned", &name, &managed, None));
        return Ok(Code::Done);
    }
    if !confirmed(context, &arguments, &name).await? {
        context.say("nothing was deleted: this is not the stack's name");
        return Ok(Code::Done);
    }
    delete(context, &stacks, &stack).await?;
    let deleted = match stack.parameters.get(OF_THE_PACKAGE[0]) {
        Some(bucket) => Some(packages(context, &login, &name, bucket).await?),
        None => None,
    };
    context.print(&result("applied", &name, &managed, deleted), || {
        let packages = deleted.map_or_else(String::new, |count| {
            format!(", and {} of its packages", render::style::count(count, "object", "objects"))
        });
        format!("{} deleted {name}{packages}\n", render::style::good("✓"))
    });
    if context.is_for_people() {
        context.say(&remains(&managed));
    }
    Ok(Code::Done)
}

fn result(outcome: &str, stack: &str, managed: &[Managed], packages: Option<usize>) -> Value {
    let managed: Vec<&str> = managed.iter().map(|secret| secret.name.as_str()).collect();
    json!({"action": "destroy", "outcome": outcome, "stack": stack, "stillManaged": managed, "packages": packages})
}

/// Whether the person typed the stack's name, or gave it as an option.
async fn confirmed(context: &Context, arguments: &Destroy, name: &str) -> Result<bool, Failure> {
    if let Some(confirm) = &arguments.confirm {
        if confirm == name {
            return Ok(true);
        }
        return Err(Failure::usage(
            format!("--confirm is not the name of the stack, {name}: nothing was deleted"),
            format!("to delete all of this, run it again with --confirm {name}"),
        ));
    }
    if !context.terminal.answers {
        return Err(Failure::usage(
            "this command asks before it deletes, and standard input is not a terminal: nothing was deleted",
            format!("to delete all of this, run it again with --confirm {name}"),
        ));
    }
    let typed =
        context.terminal.line(format!("Type the stack's name, {name}, to delete all of this"), |_| Ok(())).await?;
    Ok(typed.trim() == name)
}

/// The secrets below the stack's prefix that are managed.
async fn managed(login: &Login, prefix: &str, function: Option<&str>) -> Result<Vec<Managed>, Failure> {
    let client = sdk_client!(aws_sdk_secretsmanager, &login.aws, login.http_client);
    let filter = |key, value: &str| Filter::builder().key(key).values(value).build();
    let (mut found, mut next) = (Vec::new(), None);
    loop {
        let call = client
            .list_secrets()
            .filters(filter(FilterNameStringType::TagKey, "hubkeeper"))
            .filters(filter(FilterNameStringType::TagValue, "managed"))
            .set_next_token(next);
        let page = call.send().await.map_err(|error| {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code).and_then(redact::code);
            let why = code.map_or_else(|| "got no response".to_owned(), |code| format!("AWS returned {code}"));
            let kind = Code::of_aws(code);
            let remedy = match kind {
                Code::Retry => "run the command again",
                _ => "you need the right secretsmanager:ListSecrets",
            };
            let what = format!("the secrets cannot be listed, so it is not known which of them still need the stack: ListSecrets: {why}");
            Failure::new(kind, what, remedy)
        })?;
        // both filters match by prefix and independently, so the tag is checked again
        let ours = page.secret_list().iter().filter(|secret| is_managed(secret, prefix));
        found.extend(ours.map(|secret| Managed {
            name: secret.name().unwrap_or_default().to_owned(),
            is_rotated: secret.rotation_enabled() == Some(true)
                && function.is_some()
                && secret.rotation_lambda_arn() == function,
        }));
        next = page.next_token().map(str::to_owned);
        if next.is_none() {
            return Ok(found);
        }
    }
}

fn is_managed(secret: &SecretListEntry, prefix: &str) -> bool {
    let has_tag = secret.tags().iter().any(|tag| tag.key() == Some("hubkeeper") && tag.value() == Some("managed"));
    has_tag && secret.name().is_some_and(|name| name.starts_with(prefix))
}

/// What is deleted, what stays, and what is still managed.
fn plan(name: &str, login: &Login, stack: &Stack, managed: &[Managed]) -> String {
    let made = stack
        .outputs
        .get("ManagedSecretArn")
        .map_or_else(String::new, |arn| format!("\n         (among the secrets: {arn}, which the stack created)"));
    let mut text = format!(
        "account  {}\nRegion   {}\nstack    {name} ({})\n\
         deletes  the function and its role, the triggers and the schedule, both queues with what is in them, the topic and its\n\
         \x20        subscriptions, the alarms, the dashboard, the log group with all its lines, and the stack's packages in its bucket\n\
         stays    every secret; the connectors in Azure, each with the token that it has now; the identity and the role in Azure;\n\
         \x20        the Docker Hub users and their tokens; the bucket itself{made}\n\
         costs    nothing; each secret that stays costs 0.40 USD a month\n",
        login.account, login.region, stack.status
    );
    if !managed.is_empty() {
        text.push_str(
            "\nWARNING  These secrets are still managed. Without the stack nothing maintains their connectors: tokens are no longer proven,\n\
             \x20        renewed or retired, and scans end when a token does. Offboard them first, or deploy another stack for them.\n",
        );
        for secret in managed {
            let _ = write!(text, "         {}: hubkeeper offboard {}", secret.name, secret.name);
            if secret.is_rotated {
                let _ = write!(
                    text,
                    "\n           its rotation would fail: aws secretsmanager cancel-rotate-secret --secret-id {} --region {}",
                    secret.name, login.region
                );
            }
            text.push('\n');
        }
    }
    text
}

/// What a person removes, if nothing else needs it.
fn remains(managed: &[Managed]) -> String {
    let secrets =
        if managed.is_empty() { String::new() } else { ", and cancel the rotations that the warning names".to_owned() };
    format!(
        "\nwhat remains\n  1. Azure: \"Remove\" in infra/azure/README.md{secrets}\n  2. each secret that nobody needs: aws secretsmanager delete-secret --secret-id <name>\n  3. the Docker Hub user and its tokens"
    )
}

/// Deletes the stack, and follows that.
async fn delete(context: &Context, stacks: &Stacks<'_>, stack: &Stack) -> Result<(), Failure> {
    let name = stacks.name;
    let line = context.line(name);
    line.message("deleting");
    let known = stacks.events(&stack.id, &[]).await.unwrap_or_default();
    let known: Vec<String> = known.into_iter().map(|event| event.id).collect();
    context.doing(format!(
        "interrupted: CloudFormation continues to delete {name} by itself; run the command again to see what is left"
    ));
    stacks.delete().await?;
    let (settled, events) = stacks.follow(&stack.id, &known, |events| line.message(&changes::progress(events))).await?;
    line.clear();
    if settled.status == "DELETE_COMPLETE" {
        return Ok(());
    }
    let reasons = changes::failures(&events);
    let reasons = if reasons.is_empty() { "CloudFormation named no reason".to_owned() } else { reasons.join("\n  ") };
    Err(Failure::new(
        Code::Person,
        format!("the stack {name} is not deleted, and is {}:\n  {reasons}", settled.status),
        "correct what the reason names, then run this again",
    ))
}

/// Deletes the packages of a stack that is gone already. Returns how many objects it deleted.
async fn packages(context: &Context, login: &Login, name: &str, bucket: &str) -> Result<usize, Failure> {
    context.doing(format!(
        "interrupted: the stack {name} is deleted, and its packages in the bucket {bucket} are not; run the command again"
    ));
    let line = context.line(name);
    line.message("deleting the packages");
    let emptied = Bucket::new(login, bucket)?.empty(&bucket::folder(name)).await;
    line.clear();
    emptied.map_err(|failure| {
        let what = format!("the stack {name} is deleted, and its packages are not: {}", failure.what);
        let again = match failure.code {
            Code::Retry => "run the command again".to_owned(),
            _ => format!("{}; then run the command again", failure.remedy),
        };
        Failure::new(failure.code, what, format!("{again}: it deletes what is below {}", bucket::folder(name)))
    })
}

/// Whether an earlier run deleted the stack, and ended before it deleted all packages.
async fn left(login: &Login, bucket: &str, name: &str) -> Result<bool, Failure> {
    let held = async {
        let bucket = Bucket::new(login, bucket)?;
        Ok(bucket.exists().await? && bucket.holds(&bucket::folder(name)).await?)
    };
    match held.await {
        // a bucket that may not be read is not one whose packages this person deletes
        Err(Failure { code: Code::Person | Code::Usage, .. }) => Ok(false),
        held => held,
    }
}

/// Deletes the packages that an earlier run left.
async fn delete_left(
    context: &Context,
    arguments: &Destroy,
    login: &Login,
    name: &str,
    bucket: &str,
) -> Result<Code, Failure> {
    context.say(&format!(
        "account  {}\nRegion   {}\nstack    {name} (deleted)\ndeletes  its packages, which are still in the bucket {bucket}\n",
        login.account, login.region
    ));
    if arguments.plan {
        context.say("nothing was deleted");
        context.print_for_programs(&result("planned", name, &[], None));
        return Ok(Code::Done);
    }
    if !confirmed(context, arguments, name).await? {
        context.say("nothing was deleted: this is not the stack's name");
        return Ok(Code::Done);
    }
    let deleted = packages(context, login, name, bucket).await?;
    context.print(&result("applied", name, &[], Some(deleted)), || {
        let packages = render::style::count(deleted, "object", "objects");
        format!("{} deleted {packages} of the packages of {name}\n", render::style::good("✓"))
    });
    Ok(Code::Done)
}
