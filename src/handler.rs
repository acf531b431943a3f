//! The boundary to Lambda: parses the event, returns a report or a typed error, and writes one log line and one line of
//! metrics for each report. No other module knows Lambda.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hubkeeper_core::config::Problems;
use hubkeeper_core::doctor::State;
use hubkeeper_core::error::Error;
use hubkeeper_core::event;
use hubkeeper_core::event::{Event, Payload};
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::outcome::Outcome;
use hubkeeper_core::report::Report;
use hubkeeper_core::report::fleet::{Collector, FleetReport};
use hubkeeper_core::status::{Page, page};
use hubkeeper_core::time::{Timestamp, until};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::clients::Sessions;
use crate::doctor::{AzureLogin, Diagnosis};
use crate::http::HttpShared;
use crate::process::Process;
use crate::{cloudformation, doctor, fleet, metrics, status};

/// Time reserved for the report before the function's deadline: this, or a tenth of the remaining time if that is less.
const RESERVE: Duration = Duration::from_secs(3);

/// Handles events, with a usable configuration or without one.
pub enum Handler {
    /// The configuration is usable.
    Ready(Box<Process>),
    /// The configuration is unusable. Every event gets these problems as its error, and a custom resource gets a
    /// response over this client, if there is one.
    Unusable(Problems, Option<BareClient>),
}

/// The client that sends a response to `CloudFormation` without a configuration.
pub struct BareClient {
    /// The HTTP client of the process.
    pub shared: Arc<HttpShared>,
    /// Whether AWS runs on this machine, as in [`Config::is_local`](hubkeeper_core::config::Config::is_local).
    pub is_local: bool,
}

/// How Lambda invoked the function. The default is an unqualified invocation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Invocation {
    /// The ARN that the caller named, with its qualifier; empty if it is unknown.
    pub function_arn: String,
    /// The log group of the function; empty if it is unknown.
    pub log_group: String,
}

impl Invocation {
    /// The alias that returns the status and nothing else, so that viewers of a dashboard need no right to the rest.
    const VIEWERS: &str = "status";

    /// Whether the caller may only view the status: `arn:aws:lambda:Region:account:function:name:status`.
    fn only_views(&self) -> bool {
        self.function_arn.split(':').nth(7) == Some(Self::VIEWERS)
    }

    /// Rejects an event that is not for viewers, if the caller may only view.
    fn admitted(&self, event: Event) -> Result<Event, Error> {
        match event {
            Event::Status(_) | Event::Describe | Event::Widget(_) => Ok(event),
            _ if self.only_views() => Err(Error::bad_event(format!(
                "the alias `{}` accepts the event of status and the calls of CloudWatch's widget alone: invoke the function without the alias",
                Self::VIEWERS
            ))
            .at("event")),
            event => Ok(event),
        }
    }
}

impl Handler {
    /// Handles one invocation of Lambda.
    ///
    /// # Errors
    /// Returns the typed error, which becomes the function error.
    pub async fn invoke(&self, event: LambdaEvent<Payload>) -> Result<Value, Error> {
        let deadline = OffsetDateTime::from(event.context.deadline());
        let invocation = Invocation {
            function_arn: event.context.invoked_function_arn.clone(),
            log_group: event.context.env_config.log_group.clone(),
        };
        self.handle_read(event.payload.read(), &invocation, deadline).await
    }

    /// Handles one event in JSON text until `deadline`.
    ///
    /// # Errors
    /// Returns the errors of [`Handler::handle`], and `BadEvent` if the text is not valid JSON.
    pub async fn handle_text(&self, event: &str, deadline: Timestamp) -> Result<Value, Error> {
        self.handle_read(event::read(event), &Invocation::default(), deadline).await
    }

    async fn handle_read(
        &self,
        event: Result<Value, Error>,
        invocation: &Invocation,
        deadline: Timestamp,
    ) -> Result<Value, Error> {
        match (event, self) {
            (Ok(event), _) => self.handle_invoked(&event, invocation, deadline).await,
            // problems of the configuration come first, as for every event
            (Err(_), Handler::Unusable(problems, _)) => {
                let error = Error::from(problems);
                log_error(&error, None);
                Err(error)
            }
            (Err(error), Handler::Ready(_)) => {
                log_error(&error, None);
                Err(error)
            }
        }
    }

    /// Handles one event until `deadline`.
    ///
    /// # Errors
    /// Returns the typed error of an event about a single secret.
    pub async fn handle(&self, event: &Value, deadline: Timestamp) -> Result<Value, Error> {
        self.handle_invoked(event, &Invocation::default(), deadline).await
    }

    /// Handles one event until `deadline`, as an invocation allows.
    ///
    /// # Errors
    /// Returns the errors of [`Handler::handle`], and `BadEvent` if the alias does not accept the event.
    pub async fn handle_invoked(
        &self,
        event: &Value,
        invocation: &Invocation,
        deadline: Timestamp,
    ) -> Result<Value, Error> {
        let handled = AssertUnwindSafe(Box::pin(self.dispatch(event, invocation, deadline))).catch_unwind().await;
        // drops the payload of a panic unread, because it may quote a secret
        handled.unwrap_or_else(|_| {
            let error = Error::retryable("the function panicked", "report this as a bug, with the time of the event")
                .at("event");
            log_error(&error, None);
            Err(error)
        })
    }

    async fn dispatch(&self, event: &Value, invocation: &Invocation, deadline: Timestamp) -> Result<Value, Error> {
        let process = match self {
            Handler::Ready(process) => process,
            Handler::Unusable(problems, client) => {
                let client = client.as_ref().filter(|_| !invocation.only_views());
                return unusable(problems, client, event, deadline).await;
            }
        };
        let end = requests_until(process.shared.now(), deadline);
        let parsed = event::parse(event).and_then(|event| invocation.admitted(event)).and_then(|event| match event {
            Event::CustomResource(resource) => {
                resource.admitted(process.config.is_local).map(|()| Event::CustomResource(resource))
            }
            event => Ok(event),
        });
        match parsed {
            Err(error) => Err(logged(error)),
            Ok(Event::Ignored { action, secret_id, reason }) => {
                let report = fleet::ignored(action, secret_id, reason);
                log_report(&report);
                Ok(report.to_json())
            }
            Ok(Event::One(request)) => {
                let (report, error) = fleet::one(process, &request, &Sessions::default(), end).await;
                match &error {
                    None => log_report(&report),
                    Some(error) => log_error(error, Some(&report)),
                }
                count(process, &report);
                error.map_or_else(|| Ok(report.to_json()), Err)
            }
            Ok(Event::CustomResource(resource)) => {
                let (report, lost) = cloudformation::handle(process, &resource, end).await;
                count(process, &report);
                Ok(answered(&report, lost.as_ref()))
            }
            Ok(Event::Fleet(fleet)) => {
                let mut collector = Collector::default();
                let mut ended = |at, report: Report| {
                    log_report(&report);
                    count(process, &report);
                    collector.add(at, report);
                };
                fleet::run(process, &fleet, end, &mut ended).await.map_err(logged)?;
                let report = collector.finish();
                if report.counts.is_empty() {
                    count(process, &fleet::empty(&fleet));
                }
                log_fleet(&report);
                Ok(serde_json::to_value(&report).unwrap_or(Value::Null))
            }
            Ok(Event::Status(query)) => {
                let page = status::run(process, &query, end).await.map_err(logged)?;
                log_status(&page);
                Ok(serde_json::to_value(&page).unwrap_or(Value::Null))
            }
            Ok(Event::Describe) => Ok(Value::from(page::DESCRIPTION)),
            Ok(Event::Widget(query)) => {
                let known = |text: &'_ str| Some(text.to_owned()).filter(|text| !text.is_empty());
                let (endpoint, log_group) = (known(&invocation.function_arn), known(&invocation.log_group));
                let shown = status::widget(process, &query, endpoint.as_deref(), log_group.as_deref(), end).await;
                let (html, page) = shown.map_err(logged)?;
                log_status(&page);
                Ok(Value::from(html))
            }
            Ok(Event::Doctor(query)) => {
                let diagnosis = Box::pin(doctor::run(process, &query, &AzureLogin::Exchange, end)).await;
                log_diagnosis(&diagnosis);
                Ok(diagnosis.to_json())
            }
            Ok(Event::Records(records)) => {
                let mut ended = |report: &Report| {
                    log_report(report);
                    count(process, report);
                };
                let handled = fleet::records(process, records, end, &mut ended).await;
                let failed = handled.iter().filter(|record| record.is_to_come_again());
                let failures: Vec<Value> = failed.map(|record| json!({"itemIdentifier": record.message_id})).collect();
                for error in handled.iter().filter_map(|record| record.error.as_ref()) {
                    log_error(error, None);
                }
                Ok(json!({"batchItemFailures": failures}))
            }
        }
    }
}

/// Rejects an event because the configuration is unusable. A custom resource still gets a response.
async fn unusable(
    problems: &Problems,
    client: Option<&BareClient>,
    event: &Value,
    deadline: Timestamp,
) -> Result<Value, Error> {
    let error = Error::from(problems);
    if let (Some(BareClient { shared, is_local }), Ok(Event::CustomResource(resource))) = (client, event::parse(event))
        && resource.admitted(*is_local).is_ok()
    {
        let end = requests_until(shared.now(), deadline);
        let (report, lost) = cloudformation::refuse(shared, &resource, &error, end).await;
        return Ok(answered(&report, lost.as_ref()));
    }
    Err(logged(error))
}

/// Logs an error and returns it.
fn logged(error: Error) -> Error {
    log_error(&error, None);
    error
}

/// Converts an error for Lambda's runtime. The kind is the `errorType`.
pub fn diagnostic(error: &Error) -> Diagnostic {
    Diagnostic { error_type: error.kind().name().to_owned(), error_message: error.to_string() }
}

/// Logs the report of a custom resource. `CloudFormation` got its failure in the response, so it is no function error.
fn answered(report: &Report, lost: Option<&Error>) -> Value {
    log_report(report);
    if let Some(error) = lost {
        log_error(error, None);
    }
    report.to_json()
}

/// Returns the time at which requests stop, so that the report is complete before the function's deadline.
fn requests_until(now: Timestamp, deadline: Timestamp) -> Timestamp {
    deadline - RESERVE.min(until(now, deadline) / 10)
}

/// Logs one line for each secret: at level error for a failure, at level warn for something that a person should know.
fn log_report(report: &Report) {
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                action = %report.action,
                mode = report.mode,
                outcome = report.outcome.name(),
                error.kind = report.error_type,
                error.message = report.error_message,
                hub.organization = report.organization,
                secret.id = report.secret_id,
                secret.version_id = report.version_id.as_ref().map(VersionId::as_str),
                warnings = report.warnings.len(),
                report = %report.to_json(),
                $message
            )
        };
    }
    match report.outcome {
        Outcome::Failed | Outcome::Refused if report.error_type.is_some() => line!(error, "event failed"),
        Outcome::Refused | Outcome::NotReached => line!(warn, "event handled"),
        Outcome::Recorded if report.action.starts_with("rotation") => line!(error, "rotation ended without success"),
        _ => line!(info, "event handled"),
    }
}

fn log_error(error: &Error, report: Option<&Report>) {
    tracing::error!(
        error.kind = error.kind().name(),
        error.step = error.step(),
        error.message = %error,
        hub.organization = error.organization(),
        secret.id = report.and_then(|report| report.secret_id.as_deref()),
        report = report.map(|report| report.to_json().to_string()),
        "event failed"
    );
}

/// Writes the report's metrics.
fn count(process: &Process, report: &Report) {
    if let Some(line) = metrics::line(&process.config.function_name, report, process.shared.now()) {
        process.metrics.write(&line);
    }
    for line in metrics::traffic_lines(&process.config.function_name, report, process.shared.now()) {
        process.metrics.write(&line);
    }
}

/// Logs the fleet as a whole. Its secrets have their own lines, because one line may be too short for all of them.
fn log_fleet(fleet: &FleetReport) {
    let items: usize = fleet.counts.values().sum();
    let counts: BTreeMap<&str, usize> = fleet.counts.iter().map(|(outcome, count)| (outcome.name(), *count)).collect();
    let counts = json!(counts).to_string();
    tracing::info!(outcome = fleet.outcome.name(), items, counts, "fleet handled");
}

/// Logs a page of the status. Its items are only in the response, because the status changes nothing.
fn log_status(page: &Page) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for item in &page.items {
        *counts.entry(item.state.name()).or_default() += 1;
    }
    let counts = json!(counts).to_string();
    tracing::info!(outcome = page.outcome.name(), items = page.items.len(), counts, "status read");
}

fn log_diagnosis(diagnosis: &Diagnosis) {
    let count = |state| diagnosis.ledger.count(state);
    tracing::info!(
        failures = count(State::Failure),
        warnings = count(State::Warning),
        not_reached = count(State::NotReached),
        "checks of doctor ended"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_qualifier_makes_a_caller_a_viewer() {
        let arn = "arn:aws:lambda:eu-west-1:111122223333:function:hubkeeper";
        for (function_arn, views) in [
            (format!("{arn}:status"), true),
            (arn.to_owned(), false),
            (format!("{arn}:$LATEST"), false),
            (format!("{arn}:live"), false),
            (arn.replace("hubkeeper", "status"), false),
            (String::new(), false),
        ] {
            let invocation = Invocation { function_arn, ..Invocation::default() };
            assert_eq!(invocation.only_views(), views, "{}", invocation.function_arn);
        }
    }

    #[test]
    fn the_error_type_is_the_kind_and_the_message_names_the_step() {
        let error = Error::needs_human("no version is staged HUBKEEPER_CANDIDATE", "stage one").at("createSecret");
        let told = diagnostic(&error);
        assert_eq!((told.error_type.as_str(), told.error_message), ("NeedsHuman", error.to_string()));
    }
}
