//! The boundary: JSON in, report or typed error out, one log line and one line of metrics for each. The only place that knows Lambda.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::clock::{Timestamp, until};
use crate::config::Problems;
use crate::custom_resource;
use crate::error::Error;
use crate::event::{self, Event};
use crate::fleet;
use crate::http::Shared;
use crate::metrics;
use crate::outcome::Outcome;
use crate::process::Process;
use crate::report::{FleetReport, Report};
use crate::services::Sessions;

/// Time kept free before the function's deadline, for the report: this, or a tenth of the time where that is less.
const RESERVE: Duration = Duration::from_secs(3);

/// The function: a process that is set up, or what is wrong with its configuration.
pub enum Handler {
    /// Set up.
    Ready(Box<Process>),
    /// Not: every event is answered with this. A custom resource is answered over this way out, where there is one.
    Unusable(Problems, Option<Arc<Shared>>),
}

impl Handler {
    /// Handles one invocation of Lambda.
    ///
    /// # Errors
    /// The typed error, which becomes the function error.
    pub async fn invoke(&self, event: LambdaEvent<Value>) -> Result<Value, Error> {
        let deadline = OffsetDateTime::from(event.context.deadline());
        self.handle(&event.payload, deadline).await
    }

    /// Handles one event until `deadline`, whoever sent it.
    ///
    /// # Errors
    /// The typed error of an event about a single secret.
    pub async fn handle(&self, event: &Value, deadline: Timestamp) -> Result<Value, Error> {
        let handled = AssertUnwindSafe(Box::pin(self.dispatch(event, deadline))).catch_unwind().await;
        // the payload of a panic is not looked at: it may quote anything
        handled.unwrap_or_else(|_| {
            let error = Error::retryable("the function panicked", "report this as a bug, with the time of the event")
                .at("event");
            log_error(&error, None);
            Err(error)
        })
    }

    async fn dispatch(&self, event: &Value, deadline: Timestamp) -> Result<Value, Error> {
        let process = match self {
            Handler::Ready(process) => process,
            Handler::Unusable(problems, way_out) => {
                let error = Error::from(problems);
                if let (Some(shared), Ok(Event::CustomResource(resource))) = (way_out, event::parse(event)) {
                    let end = requests_until(shared.now(), deadline);
                    let (report, lost) = custom_resource::refuse(shared, &resource, &error, end).await;
                    return Ok(answered(&report, lost.as_ref()));
                }
                log_error(&error, None);
                return Err(error);
            }
        };
        let end = requests_until(process.shared.now(), deadline);
        match event::parse(event) {
            Err(error) => {
                log_error(&error, None);
                Err(error)
            }
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
                let (report, lost) = custom_resource::handle(process, &resource, end).await;
                count(process, &report);
                Ok(answered(&report, lost.as_ref()))
            }
            Ok(Event::Fleet(fleet)) => match fleet::run(process, &fleet, end).await {
                Ok(items) => {
                    if items.is_empty() {
                        count(process, &fleet::empty(&fleet));
                    }
                    for item in &items {
                        log_report(item);
                        count(process, item);
                    }
                    let report = FleetReport::new(items);
                    log_fleet(&report);
                    Ok(serde_json::to_value(&report).unwrap_or(Value::Null))
                }
                Err(error) => {
                    log_error(&error, None);
                    Err(error)
                }
            },
            Ok(Event::Records(records)) => {
                let handled = fleet::records(process, records, end).await;
                let failed = handled.iter().filter(|record| record.is_to_come_again());
                let failures: Vec<Value> = failed.map(|record| json!({"itemIdentifier": record.message_id})).collect();
                for record in &handled {
                    for report in &record.reports {
                        log_report(report);
                        count(process, report);
                    }
                    if let Some(error) = &record.error {
                        log_error(error, None);
                    }
                }
                Ok(json!({"batchItemFailures": failures}))
            }
        }
    }
}

/// A custom resource's report, logged: its failure is told to `CloudFormation`, and is no function error.
fn answered(report: &Report, lost: Option<&Error>) -> Value {
    log_report(report);
    if let Some(error) = lost {
        log_error(error, None);
    }
    report.to_json()
}

/// When requests stop, so that the report comes before the function's deadline.
fn requests_until(now: Timestamp, deadline: Timestamp) -> Timestamp {
    deadline - RESERVE.min(until(now, deadline) / 10)
}

/// One line for each secret. What failed is an error, what somebody should know of a warning.
fn log_report(report: &Report) {
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                action = %report.action,
                mode = report.mode,
                outcome = ?report.outcome,
                error.kind = report.error_type,
                error.message = report.error_message,
                hub.organization = report.organization,
                secret.id = report.secret_id,
                secret.version_id = report.version_id,
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

/// The report in numbers.
fn count(process: &Process, report: &Report) {
    if let Some(line) = metrics::line(&process.config.function_name, report, process.shared.now()) {
        process.metrics.write(&line);
    }
}

/// The fleet as a whole; its secrets have lines of their own, since one line may not hold them all.
fn log_fleet(fleet: &FleetReport) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for item in &fleet.items {
        *counts.entry(format!("{:?}", item.outcome)).or_default() += 1;
    }
    tracing::info!(outcome = ?fleet.outcome, items = fleet.items.len(), counts = ?counts, "fleet handled");
}
