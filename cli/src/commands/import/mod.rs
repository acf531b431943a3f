//! `hubkeeper import`: reads a connector that somebody made in the portal, creates the secret for it, and lets the deployed
//! function take it over.

pub mod asked;
pub mod checks;
pub mod reading;
pub mod shown;

use std::sync::Arc;

use hubkeeper::clients::azure::arm::Read;
use hubkeeper::clients::secrets_manager::SecretStore;
use hubkeeper::http::HttpShared;
use hubkeeper::sdk_client;
use hubkeeper_core::config::ProofConfig;
use hubkeeper_core::connector::observed::TAG_SECRET;
use hubkeeper_core::connector::takeover::takeover;
use hubkeeper_core::connector::{Found, Observed, Takeover, changed};
use hubkeeper_core::secret::Purpose;
use hubkeeper_core::secret::document::ConnectorId;
use serde_json::{Value, json};

use self::reading::{Reading, connector_id};
use super::init;
use super::several::own_report;
use crate::args::Import;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::function::{Deployed, Names};
use crate::local::Local;
use crate::render::plan::name_of_connector;
use crate::secrets::Created;
use crate::{hints, local, render, secrets};

/// The right to read connectors.
const READ: &str = "Microsoft.Security/securityConnectors/read";

/// Runs the command.
///
/// # Errors
/// Returns why the connector was not taken over.
pub async fn run(context: &Context, arguments: Import) -> Result<Code, Failure> {
    context.doing("interrupted before anything was created");
    let config = ProofConfig::parse(&context.environment).map_err(|problems| local::misconfigured(&problems))?;
    let id = connector_id(&arguments.connector)?;
    let given = asked::given_token(context, &arguments).await?;

    let line = context.line(&id.name);
    line.message("reading the connector");
    let shared = context.shared(&line)?;
    let azure = context.reader(&arguments.function, Arc::clone(&shared)).await?;
    let before = connector(&azure, &id).await?;
    let reading = Reading::of(&before, &id)?;
    let health = azure.health(&reading.id).await;
    line.message("reading what exists");
    let site = Site::find(context, &arguments, &shared, &reading, &before).await?;
    line.clear();
    context.say(shown::reading(&reading, before.username(), health.as_ref()).trim_end());

    let (draft, document) = asked::described(context, &arguments, &reading, given).await?;
    let takeover = takeover(&document, &before);
    checks::room_for_tags(&reading, &takeover)?;
    let mut open = Vec::new();
    if let Some(manager) = &draft.manager {
        let checked = init::checks::login(&site.store, &document, manager, Purpose::Manager, &site.name, "import");
        init::note(context, &mut open, checked.await?);
    }
    if let Some(code) = init::refused(context, &document, &config).await? {
        return Ok(code);
    }

    let changes = shown::takeover(&takeover, &reading);
    if arguments.plan {
        let report = planned(&site.name, &init::printable(&draft, &document), &reading, &takeover);
        context.print(&report, || {
            let document = serde_json::to_string_pretty(&report["document"]).unwrap_or_default();
            format!("the secret {}\n{document}\n{changes}", site.name)
        });
        context.say("nothing was created, and nothing was changed");
        return Ok(Code::Done);
    }
    context.say(changes.trim_end());
    let Some(function) = &site.function else {
        return Err(Failure::usage("no function was found", "name it with --function"));
    };
    let though = if open.is_empty() { String::new() } else { format!(", though {}", open.join(" and ")) };
    let question =
        format!("Create the secret {}{though}, and plan the takeover with the function {}?", site.name, function.name);
    if !context.terminal.confirm(question, arguments.yes).await? {
        context.say("nothing was created");
        return Ok(Code::Done);
    }
    unchanged(&azure, &reading, &before).await?;
    context.doing(format!(
        "interrupted while the secret {} was created: run the command again, and it says whether it exists",
        site.name
    ));
    let created = secrets::create(&site.sdk, &site.store, &site.name, &document, arguments.kms_key.as_deref()).await?;
    context.say(&format!("{} created the secret {}", render::style::good("✓"), created.arn));
    let taken = Taken { azure: &azure, before: &before, takeover: &takeover, reading: &reading };
    let next = hints::Next {
        id: &site.name,
        arn: &created.arn,
        function: Some(&function.name),
        named: &init::flags(&arguments.function),
        token: if document.manager.is_some() { hints::Origin::Manager } else { hints::Origin::Present },
    };
    take_over(context, function, &created, &taken, &next, arguments.yes).await
}

/// What is known of the deployment and of Secrets Manager. No `Debug`: the clients hold credentials.
struct Site {
    /// The deployed function; `None` for a plan without one.
    function: Option<Deployed>,
    /// Secrets Manager, which creates the secret.
    sdk: aws_sdk_secretsmanager::Client,
    /// Secrets Manager, for reads.
    store: SecretStore,
    /// Name of the new secret.
    name: String,
}

impl Site {
    /// Finds the function and the name of the secret, and checks that no secret manages the connector.
    async fn find(
        context: &Context,
        arguments: &Import,
        shared: &Arc<HttpShared>,
        reading: &Reading,
        connector: &Observed,
    ) -> Result<Self, Failure> {
        let http_client = local::http_client(shared);
        let aws = local::aws(&http_client).await?;
        let sdk = sdk_client!(aws_sdk_secretsmanager, &aws, http_client);
        let store = SecretStore::new(sdk.clone(), http_client.clone());
        let tag = connector.tag(TAG_SECRET);
        let (function, names) = match Names::find(&arguments.function, &context.environment, &aws, &http_client).await {
            Ok(names) => (Some(Deployed::named(&names, &aws, &http_client)), Ok(names)),
            Err(failure) if arguments.plan => (None, Err(failure)),
            Err(failure) => return Err(failure),
        };
        match &function {
            None if tag.is_some() => return Err(checks::tagged(reading, tag.unwrap_or_default(), &[])),
            None => {
                context.say("no function was found: whether a secret manages the connector already was not checked");
            }
            Some(function) => match checks::unmanaged(function, &store, reading, tag).await {
                Err(failure) if arguments.plan && failure.what.starts_with("the function ") => {
                    context.clear_line();
                    context.say(&checks::not_asked(&failure));
                }
                checked => checked?,
            },
        }
        let (_, name) =
            init::named(context, &arguments.function, arguments.name.as_deref(), &reading.organization, names)?;
        checks::absent(&store, &name, reading, &init::flags(&arguments.function)).await?;
        Ok(Self { function, sdk, store, name })
    }
}

/// Reads the connector.
async fn connector(azure: &Local, id: &ConnectorId) -> Result<Observed, Failure> {
    let name = name_of_connector(&id.to_string());
    match azure.connector(id).await {
        Ok(Read::Found(Found::Present(observed))) => Ok(*observed),
        Ok(Read::Found(Found::Absent)) => Err(Failure::new(
            Code::Person,
            format!("there is no connector {name}"),
            "check --connector; to create a connector with its secret: hubkeeper init, then hubkeeper onboard",
        )),
        Ok(Read::NoGroup(error)) => Err(Failure::own(error.at("import"))),
        Err(mut failure) => {
            if failure.what.contains("AuthorizationFailed") {
                failure.remedy =
                    format!("you need the right {READ} on the resource group: the role Security Reader has it");
            }
            Err(failure)
        }
    }
}

/// Checks right before the first write that nobody changed the connector while the person read the plan.
async fn unchanged(azure: &Local, reading: &Reading, before: &Observed) -> Result<(), Failure> {
    let now = connector(azure, &reading.id).await?;
    if changed(before, &now).is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Code::Retry,
        format!("the connector {} was changed meanwhile; nothing was created", reading.name()),
        "run the command again: it reads the connector anew",
    ))
}

/// The report of a plan.
fn planned(name: &str, document: &Value, reading: &Reading, takeover: &Takeover) -> Value {
    let connector = json!({"id": reading.id.to_string(), "change": "wouldUpdate"});
    let fields = json!({"mode": "plan", "outcome": "planned", "organization": reading.organization, "secretId": name,
        "reason": "the secret would be created, and the function would take the connector over", "connector": connector,
        "document": document,
        "takeover": {"changes": shown::changes(takeover), "keeps": shown::keeps(takeover, reading)}});
    own_report("import", fields)
}

/// A connector before its takeover. No `Debug`: its body may hold the token.
struct Taken<'a> {
    azure: &'a Local,
    before: &'a Observed,
    takeover: &'a Takeover,
    reading: &'a Reading,
}

/// Lets the function plan the onboarding, asks, lets it run the plan, and compares the connector with the plan.
async fn take_over(
    context: &Context,
    function: &Deployed,
    created: &Created,
    taken: &Taken<'_>,
    next: &hints::Next<'_>,
    yes: bool,
) -> Result<Code, Failure> {
    let (id, named) = (next.id, next.named);
    let onboard = format!("hubkeeper onboard {id}{named}");
    context
        .doing(format!("interrupted: the secret {id} exists, and the connector is unchanged; continue with {onboard}"));
    let later = |failure: Failure| {
        let what = format!("{}; the secret {id} exists, and the connector is unchanged", failure.what);
        Failure::new(failure.code, what, format!("{}; then continue with {onboard}", failure.remedy))
    };
    let line = context.line(&function.name);
    line.message("planning");
    let mut event = json!({"action": "onboard", "secretId": created.arn, "mode": "plan"});
    let plan = function.invoke(&event).await.map_err(later)?;
    line.clear();
    context.say(render::report::report(&plan).trim_end());
    if !updates_only(&plan) {
        return Err(Failure::new(
            Code::Person,
            format!(
                "the function plans something else than the takeover of {}; the secret {id} exists, and the connector is unchanged",
                taken.reading.name()
            ),
            format!("read the plan, then decide: {onboard}"),
        ));
    }
    if !context.terminal.confirm(format!("Run this with the function {}?", function.name), yes).await? {
        context.say(&format!("the secret {id} exists, and the connector is unchanged; continue with {onboard}"));
        return Ok(Code::Done);
    }
    context.doing(format!(
        "interrupted while the function {} ran: it continues by itself, and {onboard} finishes what it left; see hubkeeper status {id}",
        function.name
    ));
    let line = context.line(&function.name);
    line.message("running");
    event["mode"] = json!("apply");
    let report = function.invoke(&event).await.map_err(|failure| {
        let what = format!("{}; the secret {id} exists", failure.what);
        Failure::new(failure.code, what, format!("{}; then continue with {onboard}", failure.remedy))
    })?;
    line.message("reading the connector");
    let after = connector(taken.azure, &taken.reading.id).await;
    line.clear();
    context.print(&report, || render::report::report(&report));
    let code = Code::of_report(&report);
    if code == Code::Done {
        let compared = match &after {
            Ok(after) => shown::compared(&changed(taken.before, after), taken.takeover),
            Err(failure) => {
                format!("{} the connector was not compared with the plan: {}", render::style::warn("!"), failure.what)
            }
        };
        context.say(&compared);
    }
    if context.is_for_people() {
        context.say(&format!("\n{}", hints::after_import(next)));
    }
    Ok(code)
}

/// Whether the plan writes the connector that exists, and creates none.
fn updates_only(plan: &Value) -> bool {
    let writes = plan["plan"].as_array().into_iter().flatten().filter(|step| step["step"] == "writeConnector");
    let creates: Vec<&Value> = writes.map(|step| &step["create"]).collect();
    creates == [&json!(false)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plan_that_updates_the_connector_is_a_takeover() {
        let plan = |steps: Value| updates_only(&json!({"plan": steps}));
        assert!(plan(json!([{"step": "tagManaged"}, {"step": "writeConnector", "create": false}])));
        assert!(!plan(json!([{"step": "writeConnector", "create": true}])));
        assert!(!plan(json!([{"step": "tagManaged"}])));
        assert!(!updates_only(&json!({"outcome": "unchanged"})));
    }
}
