//! The boundary: JSON in, report or typed error out, one log line for each. The only place that knows Lambda.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use lambda_runtime::LambdaEvent;
use serde_json::Value;
use time::OffsetDateTime;

use crate::clock::{Timestamp, until};
use crate::config::Problems;
use crate::error::{Error, Kind};
use crate::event::{self, Event};
use crate::flow::{self, Mode, Request};
use crate::report::{FleetReport, Outcome, Report};
use crate::services::Process;

/// Time kept free before the function's deadline, for the report: this, or a tenth of the time where that is less.
const RESERVE: Duration = Duration::from_secs(3);
/// Secrets of one event that are worked on side by side.
const SIDE_BY_SIDE: usize = 4;

/// The function: a process that is set up, or what is wrong with its configuration.
pub enum Handler {
    /// Set up.
    Ready(Box<Process>),
    /// Not: every event is answered with this.
    Unusable(Problems),
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
        let handled = AssertUnwindSafe(self.dispatch(event, deadline)).catch_unwind().await;
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
            Handler::Unusable(problems) => {
                let error = Error::from(problems);
                log_error(&error, None);
                return Err(error);
            }
        };
        match event::parse(event) {
            Err(error) => {
                log_error(&error, None);
                Err(error)
            }
            Ok(Event::Ignored { action, secret_id, reason }) => {
                let mut report = Report::new(action, Mode::Apply.name());
                report.outcome = Outcome::Ignored;
                report.secret_id = secret_id;
                report.reason = Some(reason);
                log_report(&report);
                Ok(report.to_json())
            }
            Ok(Event::One(request)) => {
                let (report, error) = one(process, &request, deadline).await;
                match error {
                    None => {
                        log_report(&report);
                        Ok(report.to_json())
                    }
                    Some(error) => {
                        log_error(&error, Some(&report));
                        Err(error)
                    }
                }
            }
            Ok(Event::Many { requests, .. }) => {
                let fleet = FleetReport::new(many(process, requests, deadline).await);
                log_fleet(&fleet);
                Ok(serde_json::to_value(&fleet).unwrap_or(Value::Null))
            }
        }
    }
}

/// When requests stop, so that the report comes before the function's deadline.
fn requests_until(now: Timestamp, deadline: Timestamp) -> Timestamp {
    deadline - RESERVE.min(until(now, deadline) / 10)
}

async fn one(process: &Process, request: &Request, deadline: Timestamp) -> (Report, Option<Error>) {
    let now = process.shared.now();
    let services = process.services(requests_until(now, deadline));
    let mut report = new_report(request);
    let result = flow::run(&services, request, &mut report).await;
    (report, result.err())
}

fn new_report(request: &Request) -> Report {
    let name = request.trigger.name();
    let action = if request.trigger.is_rotation() { format!("rotation:{name}") } else { name.to_owned() };
    let mut report = Report::new(action, request.mode.name());
    report.secret_id = Some(request.secret_id.clone());
    report
}

/// Each secret by itself: one organization's failure never stops another's.
async fn many(process: &Process, requests: Vec<Request>, deadline: Timestamp) -> Vec<Report> {
    let end = requests_until(process.shared.now(), deadline);
    let mut reports: Vec<(usize, Report)> =
        stream::iter(requests.into_iter().enumerate().map(|(at, request)| async move {
            if process.shared.now() >= end {
                let mut report = new_report(&request);
                report.outcome = Outcome::NotReached;
                return (at, report);
            }
            let run = AssertUnwindSafe(one(process, &request, deadline)).catch_unwind().await;
            let report = run.map_or_else(
                |_| {
                    let mut report = new_report(&request);
                    report.fail(&Error::retryable("the function panicked", "report this as a bug"));
                    report
                },
                |(mut report, error)| {
                    if error.is_some_and(|error| error.kind() == Kind::Retryable) && process.shared.now() >= end {
                        report.outcome = Outcome::NotReached;
                    }
                    report
                },
            );
            (at, report)
        }))
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    reports.sort_by_key(|(at, _)| *at);
    reports.into_iter().map(|(_, report)| report).collect()
}

fn log_report(report: &Report) {
    tracing::info!(
        action = %report.action,
        mode = report.mode,
        outcome = ?report.outcome,
        hub.organization = report.organization,
        secret.id = report.secret_id,
        secret.version_id = report.version_id,
        warnings = report.warnings.len(),
        report = %report.to_json(),
        "event handled"
    );
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

fn log_fleet(fleet: &FleetReport) {
    let json = serde_json::to_string(fleet).unwrap_or_default();
    tracing::info!(outcome = ?fleet.outcome, items = fleet.items.len(), report = %json, "fleet handled");
}
