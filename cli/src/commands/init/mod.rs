//! `hubkeeper init`: asks for what is missing, checks document, logins, connector and token, and creates the secret.

pub mod checks;
pub mod draft;
pub mod field;

use hubkeeper::clients::secrets_manager::SecretStore;
use hubkeeper::prove::examine_token;
use hubkeeper::prove::gather::Subject;
use hubkeeper::sdk_client;
use hubkeeper_core::config::{Environment, ProofConfig};
use hubkeeper_core::secret::{Document, Purpose};
use hubkeeper_core::time::rfc3339;
use secrecy::SecretString;
use serde_json::{Value, json};

use self::checks::Finding;
use self::draft::Draft;
use self::field::Field;
use super::several::own_report;
use super::{stage, verify};
use crate::args::{self, Init};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::function::Names;
use crate::secrets::Created;
use crate::{hints, local, render, secrets, token};

/// The prefix of secrets where no stack tells another.
const PREFIX: &str = "hubkeeper/";
/// What stands for the token in a printed document.
const PLACEHOLDER: &str = "<token>";
/// The variable that many Azure tools read; the default of a question.
const SUBSCRIPTION: &str = "AZURE_SUBSCRIPTION_ID";

/// Runs the command.
///
/// # Errors
/// Returns why the secret was not created.
pub async fn run(context: &Context, arguments: Init) -> Result<Code, Failure> {
    context.doing("interrupted before anything was created");
    let config = ProofConfig::parse(&context.environment).map_err(|problems| local::misconfigured(&problems))?;
    let (draft, document) = described(context, &arguments).await?;

    let line = context.line(&draft.organization);
    line.message("reading what exists");
    let shared = context.shared(&line)?;
    let http_client = local::http_client(&shared);
    let aws = local::aws(&http_client).await?;
    let sdk = sdk_client!(aws_sdk_secretsmanager, &aws, http_client);
    let store = SecretStore::new(sdk.clone(), http_client.clone());
    let names = Names::find(&arguments.function, &context.environment, &aws, &http_client).await;
    let (function, name) = named(context, &arguments.function, arguments.name.as_deref(), &draft.organization, names)?;
    secrets::absent(&store, &name, "init").await?;
    let mut open = Vec::new();
    for (id, purpose) in [(&draft.manager, Purpose::Manager), (&draft.owner, Purpose::Owner)] {
        if let Some(id) = id {
            note(context, &mut open, checks::login(&store, &document, id, purpose, &name, "init").await?);
        }
    }
    note(context, &mut open, checks::connector(context, &arguments.function, &shared, &document).await?);
    line.clear();
    if let Some(code) = refused(context, &document, &config).await? {
        return Ok(code);
    }

    if arguments.dry_run {
        let printed = printable(&draft, &document);
        context.print(&printed, || serde_json::to_string_pretty(&printed).unwrap_or_default());
        context.say("nothing was created");
        return Ok(Code::Done);
    }
    let though = if open.is_empty() { String::new() } else { format!(", though {}", open.join(" and ")) };
    if !context.terminal.confirm(format!("Create the secret {name}{though}?"), arguments.yes).await? {
        context.say("nothing was created");
        return Ok(Code::Done);
    }
    context.doing(format!(
        "interrupted while the secret {name} was created: run the command again, and it says whether it exists"
    ));
    let created = secrets::create(&sdk, &store, &name, &document, arguments.kms_key.as_deref()).await?;
    let report = report(&document, &created);
    context.print(&report, || table(&document, &created));
    if context.is_for_people() {
        let next = hints::Next {
            id: &name,
            arn: &created.arn,
            function: function.as_deref(),
            named: &flags(&arguments.function),
            token: match (&document.manager, &document.access_token) {
                (Some(_), _) => hints::Origin::Manager,
                (None, Some(_)) => hints::Origin::Present,
                (None, None) if document.invitation.is_some() => hints::Origin::Invited,
                (None, None) => hints::Origin::ByHand,
            },
        };
        context.say(&format!("\n{}", hints::after_init(&next)));
    }
    Ok(Code::Done)
}

/// The document: from the options, from the answers, and from wherever the token is.
async fn described(context: &Context, arguments: &Init) -> Result<(Draft, Document), Failure> {
    let mut draft = Draft::new(arguments);
    let is_named = token::is_named(&arguments.token, &context.environment);
    let mut token = if arguments.no_token {
        None
    } else if is_named {
        let user = draft.username.clone().unwrap_or_else(|| draft.organization.clone());
        Some(token::read(&arguments.token, &context.environment, context.terminal, &user).await?)
    } else if context.terminal.answers || draft.has_login() {
        None
    } else {
        token::piped()?
    };
    if let Some(token) = &token {
        draft.user_of(token);
    }
    if context.terminal.answers {
        ask(context, &mut draft, arguments, token.is_some()).await?;
        if token.is_none() && !arguments.no_token && !draft.has_login() {
            token = asked_token(context, &draft).await?;
        }
    } else {
        let missing = missing(&draft, arguments, token.is_some());
        if !missing.is_empty() {
            return Err(Failure::usage(
                format!("missing: {}", missing.join(", ")),
                "add them, or run the command on a terminal, where it asks; hubkeeper init --help explains each",
            ));
        }
    }
    let document = draft.document()?;
    let Some(token) = token else {
        if arguments.expires_at.is_some() {
            return Err(Failure::usage("--expires-at is about a token, and there is no token", "leave it out"));
        }
        return Ok((draft, document));
    };
    let expires_at = stage::expiry(context, arguments.expires_at.as_deref()).await?;
    let document = document.with_token(token, expires_at);
    // what the function would refuse is refused here
    draft::checked(&document.to_secret_string())?;
    Ok((draft, document))
}

/// The options that are missing where nobody can be asked.
fn missing(draft: &Draft, arguments: &Init, has_token: bool) -> Vec<&'static str> {
    let mut missing: Vec<&str> = draft.missing().into_iter().map(Field::option).collect();
    if has_token && arguments.expires_at.is_none() {
        missing.push("--expires-at");
    }
    if !has_token && !arguments.no_token && !draft.has_login() {
        missing.push("a token on standard input, in --token-file or in HUBKEEPER_TOKEN (or --manager, or --no-token)");
    }
    missing
}

/// Asks for each field that is missing.
async fn ask(context: &Context, draft: &mut Draft, arguments: &Init, has_token: bool) -> Result<(), Failure> {
    // what is wrong is said before any question
    draft.check_given()?;
    let organization = draft.organization.clone();
    let variable = |name: &str| context.environment.get(name).cloned().filter(|value| !value.is_empty());
    let mut questions = Vec::new();
    for field in draft.missing() {
        let (prompt, default) = match field {
            Field::Username => ("Docker Hub user", Some(format!("{organization}-scanner"))),
            Field::Owner => ("Owner secret, whose login invites the user (name or ARN)", None),
            Field::Email => ("E-mail address of the user to invite", None),
            Field::Subscription => ("Azure subscription (uuid)", variable(SUBSCRIPTION)),
            Field::ResourceGroup => ("Resource group of the connector (must exist)", None),
            _ => ("Azure location of the connector", Some(location(&context.environment).to_owned())),
        };
        questions.push((field, prompt, default));
    }
    if !has_token && !arguments.no_token && !draft.has_login() {
        questions.push((
            Field::Manager,
            "Manager secret, with which hubkeeper makes the tokens (name or ARN; empty: none)",
            None,
        ));
    }
    if draft.expected.is_empty() {
        questions.push((Field::Expected, "Repositories that must be readable (a,b,team-*; empty: none)", None));
    }
    for (field, prompt, default) in questions {
        let may_be_empty = matches!(field, Field::Manager | Field::Expected);
        let check = move |text: &str| if may_be_empty && text.is_empty() { Ok(()) } else { field.check(text) };
        let answer = context.terminal.value(prompt.to_owned(), default, check).await?;
        draft.set(field, &answer);
    }
    Ok(())
}

/// Asks whether there is a token, and for it.
async fn asked_token(context: &Context, draft: &Draft) -> Result<Option<SecretString>, Failure> {
    let user = draft.username.as_deref().unwrap_or(&draft.organization);
    let question = format!("Is there a read-only token of {user} already? (else hubkeeper stage puts it later)");
    if !context.terminal.confirm(question, false).await? {
        return Ok(None);
    }
    token::typed(context.terminal, user).await.map(Some)
}

fn location(environment: &Environment) -> &'static str {
    match environment.get("HUBKEEPER_AZURE_CLOUD").map(String::as_str) {
        Some("us-government") => "usgovvirginia",
        _ => "westeurope",
    }
}

/// The function, if it is found, and the name of the secret.
///
/// # Errors
/// Returns a failure if the stack that was named does not exist, or the name cannot be one.
pub(super) fn named(
    context: &Context,
    arguments: &args::Function,
    name: Option<&str>,
    organization: &str,
    names: Result<Names, Failure>,
) -> Result<(Option<String>, String), Failure> {
    let (function, prefix) = match names {
        Ok(names) => (Some(names.function), names.prefix),
        // a stack that was named must be there
        Err(failure) if arguments.stack.is_some() => return Err(failure),
        Err(failure) => {
            if name.is_none() {
                context.say(&format!("{}; the secret's name begins with {PREFIX}", failure.what));
            }
            (None, None)
        }
    };
    let prefix = prefix.unwrap_or_else(|| PREFIX.to_owned());
    let name = name.map_or_else(|| format!("{prefix}{organization}"), str::to_owned);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
    if !(1..=512).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err(Failure::usage(
            "--name is not a name that Secrets Manager accepts",
            "use letters, digits and /_+=.@- (a name, not an ARN)",
        ));
    }
    if !name.starts_with(&prefix) && function.is_some() {
        context
            .say(&format!("the name {name} does not begin with {prefix}: the function may not be allowed to read it"));
    }
    Ok((function, name))
}

/// Says what a check found, and keeps what is open for the question.
pub(super) fn note(context: &Context, open: &mut Vec<String>, finding: Finding) {
    context.clear_line();
    match finding {
        Finding::Good(what) => context.say(&format!("{} {what}", render::style::good("✓"))),
        Finding::Open { what, remedy, though } => {
            context.say(&format!(
                "{} {what}\n  {}  {remedy}",
                render::style::warn("!"),
                render::style::bold("what to do")
            ));
            open.push(though);
        }
    }
}

/// Proves the token, if there is one: only a complete one continues. Returns how the command ends for any other.
///
/// # Errors
/// Returns why there is no verdict.
pub(super) async fn refused(
    context: &Context,
    document: &Document,
    config: &ProofConfig,
) -> Result<Option<Code>, Failure> {
    let organization = &document.organization;
    let Some(subject) = Subject::of(document, false) else { return Ok(None) };
    context.doing(format!("the proof of {organization} was interrupted: nothing was created"));
    let line = context.line(organization);
    let hub = verify::hub(&context.shared(&line)?, config);
    let verdict = Box::pin(examine_token(&hub, &subject, None, config.over_privilege)).await;
    line.clear();
    context.doing("interrupted before anything was created");
    if !verdict.is_complete() {
        let report = verify::report(organization, &verdict).to_json();
        context.print(&report, || render::report::report(&report));
        if let Some(remedy) = verify::remedy(&verdict) {
            context.advise(remedy);
        }
        context.say("\nnothing was created");
        return Ok(Some(Code::of_finding(verdict.result)));
    }
    let seen = render::style::count(verdict.repositories, "repository", "repositories");
    context.say(&format!("{} complete: the token reads {seen}", render::style::good("✓")));
    for warning in &verdict.warnings {
        context.say(&format!("  {}", render::style::warn(&format!("warning: {} ({})", warning.message, warning.code))));
    }
    Ok(None)
}

/// The document with a placeholder for its token.
pub(super) fn printable(draft: &Draft, document: &Document) -> Value {
    let mut fields = draft.fields();
    if document.access_token.is_some() {
        fields["accessToken"] = json!(PLACEHOLDER);
    }
    if let Some(expires_at) = document.expires_at {
        fields["expiresAt"] = json!(rfc3339(expires_at));
    }
    fields
}

fn report(document: &Document, created: &Created) -> Value {
    let connector = json!({"id": document.connector.id.to_string(), "change": "none"});
    let fields = json!({"outcome": "applied", "organization": document.organization, "secretId": created.arn, "versionId": created.version,
        "reason": "the secret is created, and not onboarded yet", "connector": connector});
    own_report("init", fields)
}

fn table(document: &Document, created: &Created) -> String {
    format!(
        "{} {}  created\n{}{}{}",
        render::style::good("✓"),
        render::style::bold(&document.organization),
        render::style::fact("secret", &created.arn),
        render::style::fact("version", created.version.as_str().get(..8).unwrap_or_default()),
        render::style::fact(
            "connector",
            &format!("{}, not connected yet", render::plan::name_of_connector(&document.connector.id.to_string()))
        ),
    )
}

/// The options that name the function, for the commands that follow.
pub(super) fn flags(arguments: &args::Function) -> String {
    match (&arguments.function, &arguments.stack) {
        (Some(function), _) => format!(" --function {function}"),
        (None, Some(stack)) => format!(" --stack {stack}"),
        (None, None) => String::new(),
    }
}
