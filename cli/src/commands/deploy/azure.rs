//! The half in Azure: what would change, the question, the deployment.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::given;
use super::origin::Origin;
use super::shared::{IDS, Run};
use crate::deploy::azure::{self, Account, Before, Wanted};
use crate::exit::{Code, Failure};

/// Who is trusted.
#[derive(Clone, Copy)]
pub(super) struct Trusted<'a> {
    pub(super) issuer: &'a str,
    pub(super) role: &'a str,
}

/// The identity's name: the option, the file, the stack's name.
pub(super) fn identity(run: &Run<'_>) -> String {
    let named = run.arguments.identity.clone().or_else(|| run.config.identity.clone());
    named.unwrap_or_else(|| run.stack.to_owned())
}

/// Runs the half. Returns what was done; `None` if it was declined.
///
/// # Errors
/// Returns why nothing was deployed.
pub(super) async fn run(run: &mut Run<'_>, origin: &Origin, trusted: Trusted<'_>) -> Result<Option<Value>, Failure> {
    let context = run.context;
    let parameters = given::pairs(&run.arguments.azure_parameters)?;
    let wanted = wanted(run, trusted, parameters).await?;
    let template = origin.azure_template()?;
    let account = azure::account()
        .await
        .map_err(|why| Failure::new(Code::Person, why.0, "install it, run az login, and run this again"))?;
    if let Some(kept) = run.config.subscription.as_deref().filter(|kept| *kept != account.id) {
        return Err(Failure::new(
            Code::Person,
            format!(
                "{} is about the subscription {kept}, and the Azure CLI has chosen {} ({})",
                run.arguments.config.display(),
                account.name,
                account.id
            ),
            format!("run az account set --subscription {kept}; or name another file with --config"),
        ));
    }
    let line = context.line(run.stack);
    line.message("asking Azure what would change");
    let before = azure::before(&wanted, &account, &template).await?;
    line.clear();
    context.say(&plan(&wanted, &account, &before));
    let Some(changes) = &before.changes else {
        context.say("Azure          nothing to change\n");
        let outputs = azure::checked(&wanted, before.outputs.clone().unwrap_or_default())?;
        remember(run, &wanted, &account, &outputs)?;
        return Ok(Some(json!({"outcome": "unchanged", "changes": [], "outputs": outputs})));
    };
    context.say(&azure::table(&wanted.group, changes));
    let changes = azure::to_json(changes);
    if run.arguments.plan {
        if let Some(outputs) = &before.outputs {
            learn(run, &account, outputs);
        }
        context.say("nothing was changed in Azure");
        return Ok(Some(json!({"outcome": "planned", "changes": changes, "outputs": before.outputs})));
    }
    let question = format!("Deploy this to the resource group {} of {}?", wanted.group, account.name);
    if !context.terminal.confirm(question, run.arguments.yes).await? {
        context.say("nothing was changed in Azure");
        return Ok(None);
    }
    context.doing(format!(
        "interrupted: Azure may continue the deployment {} by itself; run the command again, which deploys the same again",
        wanted.identity
    ));
    let line = context.line(run.stack);
    line.message("deploying the identity in Azure");
    let outputs = azure::deploy(&wanted, &account, &template).await?;
    line.clear();
    context.doing("interrupted: the identity in Azure is deployed; run the command again to continue");
    context.say(&format!("Azure          deployed {}\n", wanted.identity));
    remember(run, &wanted, &account, &outputs)?;
    Ok(Some(json!({"outcome": "applied", "changes": changes, "outputs": outputs})))
}

async fn wanted(run: &Run<'_>, trusted: Trusted<'_>, parameters: BTreeMap<String, String>) -> Result<Wanted, Failure> {
    let named = run.arguments.resource_group.clone().or_else(|| run.config.resource_group.clone());
    let group = match named {
        Some(group) => group,
        None if run.context.terminal.answers => {
            let prompt = "Azure resource group of the connectors (must exist)".to_owned();
            let check = |text: &str| if text.is_empty() { Err("name the group".to_owned()) } else { Ok(()) };
            run.context.terminal.value(prompt, None, check).await?
        }
        None => {
            return Err(Failure::usage(
                "missing: --resource-group, the Azure resource group of the connectors",
                "add it; or deploy the stack alone: --aws-only --set AzureTenantId=… --set AzureClientId=…",
            ));
        }
    };
    let identity = identity(run);
    if !(3..=64).contains(&identity.len()) {
        return Err(Failure::usage(
            format!("the identity's name {identity} does not have 3 to 64 characters"),
            "choose another one with --identity",
        ));
    }
    if !trusted.issuer.starts_with("https://") {
        return Err(Failure::usage(
            "the issuer is not an https URL",
            "aws iam get-outbound-web-identity-federation-info shows it",
        ));
    }
    let is_role =
        trusted.role.starts_with("arn:aws") && trusted.role.contains(":iam::") && trusted.role.contains(":role/");
    if !is_role {
        return Err(Failure::usage(
            "--role-arn is not the ARN of an IAM role",
            "it looks like arn:aws:iam::111122223333:role/hubkeeper-eu-west-1",
        ));
    }
    Ok(Wanted { group, identity, issuer: trusted.issuer.to_owned(), role: trusted.role.to_owned(), parameters })
}

/// What is deployed, and which role the identity will trust.
fn plan(wanted: &Wanted, account: &Account, before: &Before) -> String {
    let note = before.unregistered.as_deref().map_or_else(String::new, |state| {
        format!(
            "\nnote           Microsoft.Security is {state} in this subscription. Writes of connectors fail until an administrator has run:\n               az provider register --namespace Microsoft.Security --wait"
        )
    });
    format!(
        "subscription   {} ({}), tenant {}\n\
         group          {} ({})\n\
         creates        or updates: the managed identity {} and its federated credential, a custom role, its assignment in this\n\
         \x20              group; it costs nothing, and creates no secret\n\
         trusts         an assertion of AWS with exactly\n\
         \x20              issuer   {}\n\
         \x20              subject  {}\n\
         \x20              audience {}\n\
         leaves         everything else in the group unchanged{note}\n",
        account.name,
        account.id,
        account.tenant,
        wanted.group,
        before.location,
        wanted.identity,
        wanted.issuer,
        wanted.role,
        account.audience()
    )
}

/// The parameters of the stack that Azure determines.
fn learn(run: &mut Run<'_>, account: &Account, outputs: &BTreeMap<String, String>) {
    let parameters = &mut run.config.parameters;
    for (name, output) in IDS.iter().zip(["tenantId", "clientId"]) {
        if let Some(value) = outputs.get(output) {
            parameters.insert((*name).to_owned(), value.clone());
        }
    }
    if account.is_government {
        parameters.insert("AzureCloud".to_owned(), "us-government".to_owned());
    }
}

/// Keeps what the next deployment needs, at once: the half in AWS may be declined.
fn remember(
    run: &mut Run<'_>,
    wanted: &Wanted,
    account: &Account,
    outputs: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    learn(run, account, outputs);
    run.config.resource_group = Some(wanted.group.clone());
    run.config.subscription = Some(account.id.clone());
    run.config.identity = Some(wanted.identity.clone());
    run.config.stack = Some(run.stack.to_owned());
    if !run.arguments.plan {
        run.config.write(&run.arguments.config)?;
    }
    Ok(())
}
