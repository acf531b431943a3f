//! `hubkeeper deploy`: the identity in Azure, then the stack in AWS. Each half shows what would change, asks, and follows.

mod azure;
mod end;
mod given;
mod origin;
mod rollback;
pub(super) mod shared;
mod stack;

use serde_json::Value;

use self::end::finish_azure;
use self::given::Given;
use self::origin::Origin;
use self::shared::{IDS, Run, options, role, stack_name};
use crate::args::Deploy;
use crate::context::Context;
use crate::deploy::azure::{AUDIENCE, AUDIENCE_OF_GOVERNMENT};
use crate::deploy::cloudformation::Stacks;
use crate::deploy::config::DeployConfig;
use crate::deploy::handover::{self, Handover};
use crate::deploy::login::Login;
use crate::deploy::stack::Stack;
use crate::exit::{Code, Failure};
use crate::local;

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
