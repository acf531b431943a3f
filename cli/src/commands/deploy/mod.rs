//! `hubkeeper deploy`: the identity in Azure, then the stack in AWS. Each half shows what would change, asks, and follows.

mod azure;
mod given;
mod origin;
mod rollback;
mod stack;

use std::fmt::Write as _;
use std::path::Path;

use hubkeeper_core::config::Environment;
use hubkeeper_core::doctor::State;
use serde_json::{Value, json};

use self::given::Given;
use self::origin::Origin;
use super::doctor;
use crate::args::{CONFIG, Deploy, Doctor, Function};
use crate::context::Context;
use crate::deploy::azure::{AUDIENCE, AUDIENCE_OF_GOVERNMENT};
use crate::deploy::cloudformation::Stacks;
use crate::deploy::config::DeployConfig;
use crate::deploy::handover::{self, Handover};
use crate::deploy::login::Login;
use crate::deploy::parameters::Values;
use crate::deploy::stack::{Stack, role_arn};
use crate::exit::{Code, Failure};
use crate::{local, render};

/// The stack where nobody names another.
const STACK: &str = "hubkeeper";
/// The ids of the identity, by which the function logs in.
const IDS: [&str; 2] = ["AzureTenantId", "AzureClientId"];

/// The stack's name: the option, the file, the variable.
pub(super) fn stack_name(option: Option<&str>, kept: Option<&str>, environment: &Environment) -> String {
    let variable = environment.get("HUBKEEPER_STACK").map(|name| name.trim()).filter(|name| !name.is_empty());
    option.or(kept).or(variable).unwrap_or(STACK).to_owned()
}

/// One run of the command. No `Debug`: it holds credentials.
struct Run<'a> {
    context: &'a Context,
    arguments: &'a Deploy,
    stack: &'a str,
    config: DeployConfig,
    given: Given,
}

/// Runs the command.
///
/// # Errors
/// Returns why nothing was deployed, or what failed.
pub async fn run(context: &Context, arguments: Deploy) -> Result<Code, Failure> {
    context.doing("interrupted before anything was changed");
    let config = DeployConfig::read(&arguments.config)?;
    let stack = stack_name(arguments.stack.as_deref(), config.stack.as_deref(), &context.environment);
    let given = Given::parse(context, &arguments.parameters).await?;
    let mut run = Run { context, arguments: &arguments, stack: &stack, config, given };
    if let (Some(issuer), Some(role)) = (&arguments.issuer, &arguments.role_arn) {
        let origin = Origin::find(&arguments)?;
        let done = azure::run(&mut run, &origin, azure::Trusted { issuer, role }).await?;
        return Ok(finish_azure(context, &run, done.as_ref()));
    }
    let line = context.line(&stack);
    line.message("reading what exists");
    let shared = context.shared(&line)?;
    let login = Login::new(&context.environment, local::http_client(&shared)).await?;
    run.config.fit(&arguments.config, &login.account, &login.region, &stack)?;
    let stacks = Stacks::new(&login, &stack);
    let existing = stacks.describe(None).await?.filter(|stack| !stack.is_only_reviewed());
    line.clear();
    if arguments.rollback {
        return Box::pin(rollback::run(&mut run, &login, existing.as_ref())).await;
    }
    let origin = Origin::find(&arguments)?;
    let role = role(&run, &login, existing.as_ref())?;
    let has_bucket = !arguments.azure_only && stack::check(&run, &login, &origin, existing.as_ref()).await?;
    let known = ids(&run, existing.as_ref());
    let mut done_in_azure = None;
    if wants_azure(&run, known) {
        let outcome = Box::pin(in_azure(&mut run, &login, &origin, &role)).await;
        match outcome {
            Ok(done) => {
                if arguments.azure_only {
                    return Ok(finish_azure(context, &run, done.as_ref()));
                }
                // the first deployment is declined as a whole
                if done.is_none() && !ids(&run, existing.as_ref()) {
                    return Ok(Code::Done);
                }
                done_in_azure = done;
            }
            Err(Stopped::Failure(failure)) => return Err(failure),
            Err(Stopped::NoCli(why)) if known && !arguments.azure_only => {
                context.say(&format!("Azure   not checked: {why}"));
            }
            Err(Stopped::NoCli(why)) => return Err(handed_over(&run, &login, &origin, &role, &why).await),
        }
    } else if !known {
        let why = "Azure is left out (--aws-only), and the ids of the identity are not known";
        return Err(handed_over(&run, &login, &origin, &role, why).await);
    }
    let half = stack::Half { login: &login, origin: &origin, existing: existing.as_ref(), has_bucket };
    Box::pin(stack::run(&mut run, half, done_in_azure)).await
}

/// The ARN of the role that the stack has after this deployment: a given name counts before the one that the stack has.
fn role(run: &Run<'_>, login: &Login, existing: Option<&Stack>) -> Result<String, Failure> {
    let kept = run.config.parameters.get("RoleName").map(String::as_str);
    let name = run.given.value("RoleName").or(kept).filter(|name| !name.is_empty());
    match existing.and_then(|stack| stack.outputs.get("RoleArn")) {
        Some(arn) if name.is_none() => Ok(arn.clone()),
        _ => role_arn(run.stack, name, &login.region, &login.account, &login.partition),
    }
}

/// Why the half in Azure did not end.
enum Stopped {
    /// The Azure CLI cannot be used.
    NoCli(String),
    /// Anything else.
    Failure(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Stopped::Failure(failure)
    }
}

/// The half in Azure, with the issuer of the account.
async fn in_azure(run: &mut Run<'_>, login: &Login, origin: &Origin, role: &str) -> Result<Option<Value>, Stopped> {
    // whether az can be used decides first: without it nothing else matters
    crate::deploy::azure::account().await.map_err(|why| Stopped::NoCli(why.0))?;
    let issuer = login.issuer().await.map_err(|refusal| {
        if crate::deploy::login::is_off(&refusal) {
            return crate::deploy::login::federation_is_off(&login.account);
        }
        let what = format!("the issuer of the account cannot be read: {}", refusal.what);
        if Code::of_aws(Some(&refusal.code)) == Code::Retry {
            return Failure::new(Code::Retry, what, "run the command again");
        }
        Failure::new(
            Code::Person,
            what,
            format!(
                "you need the right iam:GetOutboundWebIdentityFederationInfo; or deploy Azure apart: hubkeeper deploy --azure-only --issuer <URL> --role-arn <ARN>{}",
                options(run)
            ),
        )
    })?;
    Ok(azure::run(run, origin, azure::Trusted { issuer: &issuer, role }).await?)
}

/// Whether the ids of the identity are known without Azure.
fn ids(run: &Run<'_>, existing: Option<&Stack>) -> bool {
    IDS.iter().all(|name| {
        run.given.contains(name)
            || run.config.parameters.contains_key(*name)
            || existing.is_some_and(|stack| stack.parameters.contains_key(*name))
    })
}

/// Whether the identity is deployed: where somebody named its resource group, or where its ids are not known yet.
fn wants_azure(run: &Run<'_>, known: bool) -> bool {
    let is_named = run.arguments.resource_group.is_some() || run.config.resource_group.is_some();
    !run.arguments.aws_only && (run.arguments.azure_only || is_named || !known)
}

/// The failure with the command for an administrator of Azure.
async fn handed_over(run: &Run<'_>, login: &Login, origin: &Origin, role: &str, why: &str) -> Failure {
    let issuer = match login.issuer().await {
        Ok(issuer) => Some(issuer),
        Err(refusal) if crate::deploy::login::is_off(&refusal) => {
            return crate::deploy::login::federation_is_off(&login.account);
        }
        Err(_) => None,
    };
    let template =
        origin.azure_template().map_or_else(|_| "azuredeploy.json".to_owned(), |path| path.display().to_string());
    let group = run.arguments.resource_group.as_deref().or(run.config.resource_group.as_deref());
    let cloud = run.given.value("AzureCloud").or(run.config.parameters.get("AzureCloud").map(String::as_str));
    let handover = Handover {
        group,
        identity: &azure::identity(run),
        template: &template,
        issuer: issuer.as_deref(),
        audience: if cloud == Some("us-government") { AUDIENCE_OF_GOVERNMENT } else { AUDIENCE },
        role,
        options: &options(run),
    };
    Failure::new(Code::Person, format!("{why}; nothing was deployed"), handover::text(&handover))
}

/// The options that name stack, release and file, for the commands that follow: empty, or with a space in front.
fn options(run: &Run<'_>) -> String {
    let mut origin = String::new();
    if run.arguments.build {
        origin.push_str(" --build");
    }
    if let Some(release) = &run.arguments.release {
        let _ = write!(origin, " --release {}", quoted(release));
    }
    options_with(run, &origin)
}

/// The same with another release.
fn options_with(run: &Run<'_>, origin: &str) -> String {
    let mut text = String::new();
    if run.stack != STACK {
        let _ = write!(text, " --stack {}", run.stack);
    }
    text.push_str(origin);
    if run.arguments.config.as_os_str() != CONFIG {
        let _ = write!(text, " --config {}", quoted(&run.arguments.config));
    }
    text
}

/// A path as a word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@%,:=~".contains(letter);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The end of a deployment of Azure alone.
fn finish_azure(context: &Context, run: &Run<'_>, done: Option<&Value>) -> Code {
    let outcome = match done {
        Some(done) => done["outcome"].as_str().unwrap_or("applied"),
        None => "unchanged",
    };
    let value = json!({"action": "deploy", "outcome": outcome, "stack": run.stack, "azure": done});
    let outputs: Values =
        serde_json::from_value(done.map_or(Value::Null, |done| done["outputs"].clone())).unwrap_or_default();
    if outputs.is_empty() {
        context.print_for_programs(&value);
    } else {
        context.print(&value, || listed("outputs of Azure", &outputs));
    }
    if context.is_for_people() && !outputs.is_empty() {
        context.say(&format!(
            "\nwhat comes next\n  1. deploy the stack: hubkeeper deploy --aws-only --set AzureTenantId={} --set AzureClientId={}{}\n     The credential and the role take some minutes to propagate.",
            outputs.get("tenantId").map(String::as_str).unwrap_or_default(),
            outputs.get("clientId").map(String::as_str).unwrap_or_default(),
            options(run)
        ));
    }
    Code::Done
}

/// Names and values below a heading.
fn listed(heading: &str, values: &Values) -> String {
    if values.is_empty() {
        return String::new();
    }
    let width = values.keys().map(String::len).max().unwrap_or(0);
    let mut text = format!("{}\n", render::style::bold(heading));
    for (name, value) in values {
        let _ = writeln!(text, "  {name:<width$}  {value}");
    }
    text
}

/// What was done, for the end of the command.
struct Done<'a> {
    outcome: &'a str,
    version: Option<&'a str>,
    changes: Value,
    azure: Option<Value>,
}

/// The end: outputs, the checks of `doctor`, and the next command.
async fn finish(run: &Run<'_>, stack: &Stack, done: Done<'_>) -> Result<Code, Failure> {
    let context = run.context;
    let function = Function { function: None, stack: Some(run.stack.to_owned()) };
    let checks = doctor::examine(context, &Doctor { secret: None, local: false, record: None, function }).await;
    context.doing("interrupted: the deployment is over, its checks are not");
    let (checked, failed) = match &checks {
        Ok(ledger) => (Value::Object(ledger.to_json()), ledger.count(State::Failure)),
        Err(failure) => (json!({"error": failure.what, "remedy": failure.remedy}), 1),
    };
    let value = json!({
        "action": "deploy", "outcome": done.outcome, "stack": run.stack, "status": stack.status, "version": done.version,
        "changes": done.changes, "azure": done.azure, "outputs": stack.outputs, "doctor": checked,
    });
    context.print(&value, || {
        let outputs = listed(&format!("outputs of {} ({})", run.stack, stack.status), &stack.outputs);
        let checks = match &checks {
            Ok(ledger) => render::doctor::doctor(ledger),
            Err(failure) => format!("{}\n", render::failure(failure)),
        };
        format!("{outputs}\n{checks}")
    });
    if context.is_for_people() {
        let of_stack = if run.stack == STACK { String::new() } else { format!(" --stack {}", run.stack) };
        let mut steps = Vec::new();
        if failed > 0 {
            steps.push(format!(
                "correct what the checks above name (a new credential takes minutes to propagate), and check again: hubkeeper doctor{of_stack}"
            ));
        }
        steps.push(format!("create the secret of each organization: hubkeeper init <organization>{of_stack}"));
        steps.push(format!("see the state of every secret: hubkeeper status{of_stack}"));
        let steps = steps.iter().enumerate().map(|(at, step)| format!("  {}. {step}", at + 1)).collect::<Vec<_>>();
        context.say(&format!("\nwhat comes next\n{}", steps.join("\n")));
    }
    Ok(Code::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_file_and_variable() {
        let environment: Environment = [("HUBKEEPER_STACK".to_owned(), " v ".to_owned())].into();
        assert_eq!(stack_name(Some("o"), Some("f"), &environment), "o");
        assert_eq!(stack_name(None, Some("f"), &environment), "f");
        assert_eq!(stack_name(None, None, &environment), "v");
        assert_eq!(stack_name(None, None, &Environment::new()), "hubkeeper");
    }
}
