//! `hubkeeper stage`: proves a new token here, then puts it as `HUBKEEPER_CANDIDATE`, and waits until it is adopted.

use std::sync::Arc;
use std::time::Duration;

use hubkeeper::clients::hub::Credential;
use hubkeeper::clients::secrets_manager::{SecretStore, SecretWriter};
use hubkeeper::clock::{Random, SystemRandom};
use hubkeeper::http::HttpShared;
use hubkeeper::prove::examine_token;
use hubkeeper::prove::gather::Subject;
use hubkeeper_core::config::ProofConfig;
use hubkeeper_core::error::Error;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::secret::{Document, Label, Managed, Secret};
use hubkeeper_core::time::{Timestamp, parse_rfc3339, rfc3339};
use serde_json::{Value, json};
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::several::own_report;
use super::verify;
use crate::args::Stage;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::{local, render, secrets, token};

/// How often the labels are read while the adoption is awaited.
const POLL: Duration = Duration::from_secs(2);

/// Runs the command.
///
/// # Errors
/// Returns why the token was not staged or not adopted.
pub async fn run(context: &Context, arguments: Stage) -> Result<Code, Failure> {
    context.doing("interrupted before anything was written");
    let config = ProofConfig::parse(&context.environment).map_err(|problems| local::misconfigured(&problems))?;
    let line = context.line(&arguments.id);
    line.message("reading the secret");
    let shared = context.shared(&line)?;
    let store = secrets::store(&shared).await?;
    let (secret, current) = read(&store, &arguments.id).await?;
    line.clear();

    let token = token::read(&arguments.token, &context.environment, context.terminal, &current.username).await?;
    let expires_at = expiry(context, arguments.expires_at.as_deref()).await?;
    let document = current.with_token(token, expires_at);
    // what a reader of the new version would refuse is refused here
    Document::parse(&document.to_secret_string()).map_err(|error| error.of(&current.organization).at("stage"))?;

    context.doing(format!("the proof of {} was interrupted: nothing was written anywhere", current.organization));
    let line = context.line(&current.organization);
    let proving = context.shared(&line)?;
    let hub = verify::hub(&proving, &config);
    let subject = Subject::of(&document, false)
        .ok_or_else(|| Failure::usage("there is no token to stage", "pass it on standard input"))?;
    let in_use = compare_with(&current, &document);
    let in_use = in_use.as_ref().map(|credential| (credential, "the token in use (AWSCURRENT)".to_owned()));
    let verdict = Box::pin(examine_token(&hub, &subject, in_use, config.over_privilege)).await;
    line.clear();
    if !verdict.is_complete() {
        let report = verify::report(&current.organization, &verdict).to_json();
        context.print(&report, || render::report::report(&report));
        if let Some(remedy) = verify::remedy(&verdict) {
            context.advise(remedy);
        }
        context.say("\nnothing was written");
        return Ok(Code::of_finding(verdict.result));
    }

    context.doing("interrupted before anything was written");
    let seen = render::style::count(verdict.repositories, "repository", "repositories");
    context.say(&format!("{} complete: the token reads {seen}", render::style::good("✓")));
    let question = format!("Put it as HUBKEEPER_CANDIDATE of {}?", secret.arn);
    if !context.terminal.confirm(question, arguments.yes).await? {
        context.say("nothing was written");
        return Ok(Code::Done);
    }
    let version = VersionId::of_service(SystemRandom.uuid());
    context.doing(format!(
        "interrupted while version {version} was put: if hubkeeper status shows it as a candidate it is staged, and the function adopts it"
    ));
    let put = SecretWriter::new(store.clone()).put(&secret.arn, &version, &document, Label::Candidate, None).await;
    put.map_err(|failure| Failure::own(failure.error.of(&current.organization).at("stage")))?;
    context.say(&format!("{} staged as version {version} (HUBKEEPER_CANDIDATE)", render::style::good("✓")));
    context.doing(if secret.managed() == Managed::No {
        format!("version {version} is staged: hubkeeper onboard {} adopts it", secret.name)
    } else {
        format!("version {version} is staged: the function adopts it by itself, see hubkeeper status")
    });
    await_adoption(context, &arguments, &shared, &store, &secret, &version).await
}

/// Reads the secret and the document of AWSCURRENT.
async fn read(store: &SecretStore, id: &str) -> Result<(Secret, Document), Failure> {
    let at = |error: Error| Failure::own(error.at("stage"));
    let secret = store.describe(id).await.map_err(at)?;
    if secret.managed() == Managed::Offboarded {
        return Err(Failure::new(
            Code::Person,
            format!("the secret {id} is offboarded: no event adopts a token of it"),
            format!("onboard it first: hubkeeper onboard {id}"),
        ));
    }
    let version = secret.version(Label::Current).ok_or_else(|| {
        Failure::new(
            Code::Person,
            format!("the secret {id} has no AWSCURRENT"),
            "put the secret's document; docs/secret.md shows it",
        )
    })?;
    let document = store.document(&secret.arn, version, Some(Label::Current.name())).await.map_err(at)?;
    Ok((secret, document))
}

/// The token in use, where the new one can be compared with it.
fn compare_with(current: &Document, next: &Document) -> Option<Credential> {
    let now = OffsetDateTime::now_utc();
    let counts = !current.same_token(next) && current.expires_at.is_none_or(|expires_at| expires_at > now);
    let token = current.access_token.clone().filter(|_| counts)?;
    Some(Credential { identifier: current.username.clone(), token })
}

/// When the token expires: asked for where no option says it.
///
/// # Errors
/// Returns a usage failure if it is missing or wrong.
pub(super) async fn expiry(context: &Context, option: Option<&str>) -> Result<Option<Timestamp>, Failure> {
    let text = match option {
        Some(text) => text.to_owned(),
        None if context.terminal.answers => {
            let check = |text: &str| {
                parse_expiry(text.trim(), OffsetDateTime::now_utc()).map(drop).map_err(|failure| in_words(&failure))
            };
            context.terminal.line("When does it expire? (2027-01-31, a time, or never)".to_owned(), check).await?
        }
        None => {
            return Err(Failure::usage(
                "--expires-at is missing: nobody can warn in time of a token whose end is not known",
                "add --expires-at and a date, a time (RFC 3339), or never",
            ));
        }
    };
    parse_expiry(text.trim(), OffsetDateTime::now_utc())
}

/// A failure as the answer to what was typed.
fn in_words(failure: &Failure) -> String {
    let what = failure.what.replace("--expires-at", "it");
    format!("{what}: {}", failure.remedy)
}

fn parse_expiry(text: &str, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    if text.eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    let date =
        Date::parse(text, format_description!("[year]-[month]-[day]")).ok().map(|date| date.midnight().assume_utc());
    let at = parse_rfc3339(text).or(date).ok_or_else(|| {
        Failure::usage(
            "--expires-at is neither a date nor a time",
            "write it as 2027-01-31, 2027-01-31T12:00:00Z, or never",
        )
    })?;
    if at <= now {
        return Err(Failure::usage(
            format!("--expires-at ({}) is in the past", rfc3339(at)),
            "create a new token, and check its end at Docker Hub",
        ));
    }
    Ok(Some(at))
}

/// Waits until the version is AWSCURRENT: asks the deployed function for it where one is found, else watches the labels.
async fn await_adoption(
    context: &Context,
    arguments: &Stage,
    shared: &Arc<HttpShared>,
    store: &SecretStore,
    secret: &Secret,
    version: &VersionId,
) -> Result<Code, Failure> {
    if arguments.wait == 0 {
        context.print(&staged(secret, version), String::new);
        return Ok(Code::Done);
    }
    let line = context.line(&secret.arn);
    line.message("waiting for the adoption");
    match context.function(&arguments.function, shared).await {
        Ok(function) => {
            let event = json!({"action": "onboard", "secretId": secret.arn, "versionId": version});
            match function.ask(&event).await {
                Ok(Ok(report)) => {
                    line.clear();
                    context.print(&report, || render::report::report(&report));
                    return Ok(Code::of_report(&report));
                }
                // the event of the new label is being handled: its end shows in the labels
                Ok(Err(failure)) if failure.code == Code::Retry => {}
                Ok(Err(failure)) => return Err(failure),
                Err(failure) => watching(context, secret, &failure)?,
            }
        }
        Err(failure) => watching(context, secret, &failure)?,
    }
    let until = OffsetDateTime::now_utc() + Duration::from_secs(arguments.wait);
    while OffsetDateTime::now_utc() < until {
        let seen = store.describe(&secret.arn).await.map_err(|error| Failure::own(error.at("stage")))?;
        if seen.bears(version, Label::Current) {
            line.clear();
            let fields = json!({"outcome": "applied", "secretId": secret.arn, "versionId": version,
                "reason": "the version is AWSCURRENT"});
            let report = own_report("adopt", fields);
            context.print(&report, || render::report::report(&report));
            return Ok(Code::Done);
        }
        tokio::time::sleep(POLL).await;
    }
    line.clear();
    context.print(&staged(secret, version), String::new);
    Err(Failure::new(
        Code::Retry,
        format!("version {version} was not adopted within {} seconds", arguments.wait),
        format!(
            "it stays staged, and reconcile adopts it too; see why with hubkeeper status {}, or hubkeeper onboard {}",
            secret.arn, secret.arn
        ),
    ))
}

/// Says why the function is not asked: the rule on the new label adopts the version just the same.
///
/// # Errors
/// Returns a failure for a secret that was never onboarded: the function ignores the rule's events about it.
fn watching(context: &Context, secret: &Secret, failure: &Failure) -> Result<(), Failure> {
    if secret.managed() == Managed::No {
        return Err(Failure::new(
            Code::Person,
            format!(
                "{}; the token is staged, and {} is not onboarded yet: only an onboarding adopts it",
                failure.what, secret.name
            ),
            format!("{}; then connect it: hubkeeper onboard {}", failure.remedy, secret.name),
        ));
    }
    context.say(&format!(
        "{}; {}\nwatching the labels, since the function adopts it by itself",
        failure.what, failure.remedy
    ));
    Ok(())
}

/// What is known of a version that nobody has adopted yet.
fn staged(secret: &Secret, version: &VersionId) -> Value {
    let fields = json!({"outcome": "applied", "secretId": secret.arn, "versionId": version,
        "reason": "the version is staged HUBKEEPER_CANDIDATE, and not adopted yet"});
    own_report("stage", fields)
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn an_end_is_a_date_a_time_or_never() {
        let now = datetime!(2026-11-29 12:00 UTC);
        assert_eq!(parse_expiry("2027-01-31", now).ok().flatten(), Some(datetime!(2027-01-31 0:00 UTC)));
        assert_eq!(
            parse_expiry("2027-01-31T12:00:00+01:00", now).ok().flatten(),
            Some(datetime!(2027-01-31 11:00 UTC))
        );
        assert_eq!(parse_expiry("never", now), Ok(None));
        assert_eq!(parse_expiry("soon", now).unwrap_err().code, Code::Usage);
        assert!(parse_expiry("2026-11-29", now).unwrap_err().what.contains("is in the past"));
    }

    #[test]
    fn the_token_in_use_is_a_view_to_compare_with_unless_it_is_the_same_or_expired() {
        let document = |token: &str, expires: &str| {
            let text = json!({"organization": "acme", "username": "acme-scanner", "accessToken": token, "expiresAt": expires,
                "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "n", "location": "westeurope"}});
            Document::parse(&SecretString::from(text.to_string())).unwrap()
        };
        let next = document("new", "2999-01-01T00:00:00Z");
        assert!(compare_with(&document("old", "2999-01-01T00:00:00Z"), &next).is_some());
        assert!(compare_with(&document("new", "2999-01-01T00:00:00Z"), &next).is_none());
        assert!(compare_with(&document("old", "2020-01-01T00:00:00Z"), &next).is_none());
    }
}
