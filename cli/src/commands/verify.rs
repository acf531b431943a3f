//! `hubkeeper verify`: the whole proof of a token, from standard input or of a secret.

use std::sync::Arc;

use hubkeeper::clients::hub::{Credential, Hub};
use hubkeeper::http::HttpShared;
use hubkeeper::prove::examine_token;
use hubkeeper::prove::gather::{Subject, TagList};
use hubkeeper_core::config::ProofConfig;
use hubkeeper_core::ids::is_repository_part;
use hubkeeper_core::outcome::Outcome;
use hubkeeper_core::plan::refusals::refusal;
use hubkeeper_core::proof::{Finding, Verdict};
use hubkeeper_core::report::Report;
use hubkeeper_core::secret::document::Expected;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::args::Verify;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::target::Target;
use crate::{local, render, secrets, token};

/// Runs the command.
///
/// # Errors
/// Returns why there is no verdict.
pub async fn run(context: &Context, arguments: Verify) -> Result<Code, Failure> {
    match (&arguments.organization, &arguments.secret) {
        (_, Some(secret)) => of_secret(context, &arguments, secret).await,
        (Some(organization), None) => of_token(context, &arguments, organization).await,
        (None, None) => {
            Err(Failure::usage("neither an organization nor --secret is named", "see hubkeeper verify --help"))
        }
    }
}

/// Proves a token that is in no secret.
async fn of_token(context: &Context, arguments: &Verify, organization: &str) -> Result<Code, Failure> {
    context.doing("interrupted before anything was sent");
    if !is_repository_part(organization) {
        return Err(Failure::usage(
            "the organization is not the name of a Docker Hub organization",
            "write it as in the address of its page, in lower case",
        ));
    }
    let expected = arguments.expect.iter().map(|entry| expected(entry)).collect::<Result<Vec<_>, _>>()?;
    if let Some(wrong) = arguments.exclude.iter().find(|name| !is_repository_part(name)) {
        return Err(Failure::usage(
            format!("--exclude {wrong} is not the name of a repository"),
            "leave out the organization",
        ));
    }
    let config = ProofConfig::parse(&context.environment).map_err(|problems| local::misconfigured(&problems))?;
    let user = arguments.username.as_deref().unwrap_or(organization);
    let token = token::read(&arguments.token, &context.environment, context.terminal, user).await?;
    let is_organization_token = token.expose_secret().starts_with("dckr_oat_");
    let username = match &arguments.username {
        Some(username) if username.contains('@') => {
            return Err(Failure::usage("--username is an e-mail address", "name the user's Docker ID"));
        }
        Some(username) => username.clone(),
        None if is_organization_token => organization.to_owned(),
        None => {
            return Err(Failure::usage(
                "--username is missing: whose token is it?",
                "add --username and the Docker ID",
            ));
        }
    };
    context.doing(format!("the proof of {organization} was interrupted: nothing was written anywhere"));
    let line = context.line(organization);
    let shared = context.shared(&line)?;
    let subject = Subject {
        credential: Credential { identifier: username, token },
        organization,
        is_organization_token: is_organization_token || user.eq_ignore_ascii_case(organization),
        expected: &expected,
        excluded: &arguments.exclude,
        sample_only: false,
        tags: TagList::DockerHub,
    };
    let mut verdict = Box::pin(examine_token(&hub(&shared, &config), &subject, None, config.over_privilege)).await;
    line.clear();
    for warning in &mut verdict.warnings {
        warning.message = without_secret(&warning.message);
    }
    let report = report(organization, &verdict).to_json();
    context.print(&report, || render::report::report(&report));
    if let Some(remedy) = remedy(&verdict) {
        context.advise(remedy);
    }
    Ok(Code::of_finding(verdict.result))
}

/// The client of Docker Hub over the state of an HTTP client.
pub fn hub(shared: &Arc<HttpShared>, config: &ProofConfig) -> Hub {
    Hub {
        http_client: local::http_client(shared),
        api: config.hub_url.clone(),
        auth: config.hub_auth_url.clone(),
        registry: config.registry_url.clone(),
    }
}

/// The report of a proof without a secret: the one that the function returns for `verify`.
pub fn report(organization: &str, verdict: &Verdict) -> Report {
    let mut report = Report::new("verify", "apply");
    report.organization = Some(organization.to_owned());
    report.note_verdict(verdict);
    report.outcome = match verdict.result {
        Finding::Complete => Outcome::Proven,
        Finding::Inconclusive => Outcome::Failed,
        Finding::Rejected | Finding::OverPrivileged | Finding::Partial => Outcome::Refused,
    };
    if verdict.result == Finding::Inconclusive {
        report.error_type = Some(refusal(verdict).kind().name());
    }
    report
}

/// What to do about a verdict, for a token that is in no secret.
pub fn remedy(verdict: &Verdict) -> Option<&'static str> {
    match verdict.result {
        Finding::Complete => None,
        Finding::Rejected => Some("create a new read-only token as this user at Docker Hub, and check --username"),
        Finding::Inconclusive => Some("run the command again; nothing is known about the token yet"),
        Finding::OverPrivileged => Some("create a token with the permission `Read-only` instead"),
        Finding::Partial => Some(
            "give the token `Read-only` (not `Public Repo Read-only`) and its user read access to every repository (role or team), check the organization's name, or name what may be left out with --exclude",
        ),
    }
}

/// A warning of a proof, for a token that is in no secret: the option instead of the secret's field.
fn without_secret(message: &str) -> String {
    message
        .replace("no expectedRepositories", "nothing expected")
        .replace("in the secret's `expectedRepositories`", "with `--expect`")
}

fn expected(entry: &str) -> Result<Expected, Failure> {
    let (name, is_prefix) = entry.strip_suffix('*').map_or((entry, false), |prefix| (prefix, true));
    if !is_repository_part(name) {
        return Err(Failure::usage(
            format!("--expect {entry} is not the name of a repository, or a prefix and `*`"),
            "leave out the organization; separate names by commas",
        ));
    }
    Ok(if is_prefix { Expected::Prefix(name.to_owned()) } else { Expected::Name(name.to_owned()) })
}

/// Proves what a secret holds: through the deployed function where one is named, else with the caller's credentials.
async fn of_secret(context: &Context, arguments: &Verify, secret: &str) -> Result<Code, Failure> {
    context.doing(format!("the proof of {secret} was interrupted: nothing was written anywhere"));
    let line = context.line(secret);
    let shared = context.shared(&line)?;
    let through_function = arguments.function.function.is_some() || arguments.function.stack.is_some();
    let version = match (&arguments.version, arguments.candidate) {
        (Some(version), _) => Some(version.clone()),
        (None, true) => Some(secrets::candidate(&shared, secret).await?.to_string()),
        (None, false) => None,
    };
    let mut event = json!({"action": "verify", "secretId": secret});
    if let Some(version) = version {
        event["versionId"] = Value::String(version);
    }
    let target = Target::find(context, &arguments.function, !through_function, &shared).await?;
    if through_function {
        line.message("the function proves it");
    }
    let answer = target.handle(&event).await;
    line.clear();
    let report = answer?;
    context.print(&report, || render::report::report(&report));
    let result = report["verdict"]["result"].as_str();
    Ok(if result == Some("inconclusive") { Code::Retry } else { Code::of_report(&report) })
}
