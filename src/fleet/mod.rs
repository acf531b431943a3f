//! Handles an event about many secrets: all managed ones, or those that the event names. Works on a few at a time, or
//! sends one message for each to a queue.
//!
//! Each report goes to the caller as soon as its secret ends, so that what a fleet holds does not grow with its size, and
//! so that an invocation that is killed has logged what it did.

pub mod ended;
pub mod queue;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use futures_util::stream::StreamExt;
use futures_util::{FutureExt, stream};
use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::event::{Event, Fleet, Record};
use hubkeeper_core::outcome::Outcome;
use hubkeeper_core::report::{Report, new_report};
use hubkeeper_core::request::{Mode, Request};
use hubkeeper_core::time::{Timestamp, until};
use hubkeeper_core::traffic::Traffic;

use self::ended::Ended;
use crate::clients::Sessions;
use crate::process::Process;
use crate::run;

/// Number of secrets that are handled concurrently.
const SIDE_BY_SIDE: usize = 4;

/// Offset between the starting points of two days in the list. A prime, so that every secret comes first at some time.
const STRIDE: usize = 7919;

/// Handles one event about several secrets or all of them, through the queue if one is configured.
///
/// # Errors
/// Returns an error if the managed secrets cannot be listed. The result for each secret is in its report.
pub async fn run(process: &Process, fleet: &Fleet, end: Timestamp, ended: &mut Ended<'_>) -> Result<(), Error> {
    let secret_ids = members(process, fleet, end).await?;
    match &process.config.queue_url {
        // a plan writes nothing, so it sends no message
        Some(queue) if fleet.mode == Mode::Apply => {
            let services = process.services(end, &Sessions::default());
            let writers = process.writers(&services);
            queue::send(&services, &writers.queue, queue, fleet, &secret_ids, ended).await;
        }
        _ => work(process, secret_ids.into_iter().map(|id| fleet.request(id)).collect(), end, ended).await,
    }
    Ok(())
}

async fn members(process: &Process, fleet: &Fleet, end: Timestamp) -> Result<Vec<String>, Error> {
    if let Some(named) = &fleet.secret_ids {
        return Ok(named.clone());
    }
    let services = process.services(end, &Sessions::default());
    let listed = services.store.managed().await;
    listed.map_err(|error| services.http_client.explain(error).at(fleet.trigger.name()))
}

/// The result of a queue record: whether the queue must deliver it again.
pub struct Handled {
    /// The id of the record.
    pub message_id: String,
    /// Whether one of its secrets was not reached or may succeed later.
    may_succeed_later: bool,
    /// The error about the record itself.
    pub error: Option<Error>,
}

impl Handled {
    /// Returns whether the queue must deliver the record again: it is unreadable, or one of its secrets was not reached
    /// or may succeed later.
    ///
    /// An error of kind `Refused`, `NeedsHuman` or `Misconfigured` would occur again, after one more login. For these,
    /// the log line, the metric `Failed` and its alarm notify a person.
    pub fn is_to_come_again(&self) -> bool {
        self.error.is_some() || self.may_succeed_later
    }
}

fn may_succeed_later(report: &Report) -> bool {
    match report.outcome {
        Outcome::NotReached => true,
        Outcome::Failed | Outcome::Refused => report.error_type == Some(Kind::Retryable.name()),
        _ => false,
    }
}

/// Handles the records of a queue. A record never fans out again. `ended` gets the report of each secret when it ends.
pub async fn records(
    process: &Process,
    records: Vec<Record>,
    end: Timestamp,
    ended: &mut (dyn FnMut(&Report) + Send),
) -> Vec<Handled> {
    let mut handled = Vec::new();
    let mut requests = Vec::new();
    for (at, record) in records.into_iter().enumerate() {
        let mut entry = Handled { message_id: record.message_id, may_succeed_later: false, error: None };
        match record.event.map(|event| *event) {
            Ok(Event::One(request)) => requests.push((at, request)),
            Ok(Event::Fleet(fleet)) => match members(process, &fleet, end).await {
                Ok(ids) if ids.is_empty() => ended(&empty(&fleet)),
                Ok(ids) => requests.extend(ids.into_iter().map(|id| (at, fleet.request(id)))),
                Err(error) => entry.error = Some(error),
            },
            Ok(Event::Ignored { action, secret_id, reason }) => {
                ended(&ignored(action, secret_id, reason));
            }
            Ok(Event::CustomResource(_)) => {
                entry.error = Some(Error::bad_event("a record holds a request of CloudFormation").at("event"));
            }
            Ok(Event::Status(_) | Event::Describe | Event::Widget(_)) => {
                entry.error =
                    Some(Error::bad_event("a record requests the status, which nobody would read").at("event"));
            }
            Ok(Event::Doctor(_)) => {
                entry.error = Some(
                    Error::bad_event("a record requests the checks of doctor, which nobody would read").at("event"),
                );
            }
            Ok(Event::Records(_)) => entry.error = Some(Error::bad_event("a record holds records").at("event")),
            Err(error) => entry.error = Some(error),
        }
        handled.push(entry);
    }
    let (owners, requests): (Vec<usize>, Vec<Request>) = requests.into_iter().unzip();
    work(process, requests, end, &mut |at, report| {
        if let Some(entry) = owners.get(at).and_then(|owner| handled.get_mut(*owner)) {
            entry.may_succeed_later |= may_succeed_later(&report);
        }
        ended(&report);
    })
    .await;
    handled
}

/// Returns the report of an event that is not for this function.
pub fn ignored(action: &str, secret_id: Option<String>, reason: String) -> Report {
    let mut report = Report::new(action, Mode::Apply.name());
    report.outcome = Outcome::Ignored;
    report.secret_id = secret_id;
    report.reason = Some(reason);
    report
}

/// Returns the report of a fleet without secrets: the event still succeeds.
pub fn empty(fleet: &Fleet) -> Report {
    let mut report = Report::new(fleet.trigger.name(), fleet.mode.name());
    report.reason = Some("no secret is managed".into());
    report
}

/// Handles each secret separately: the failure of one organization never stops another. Requests about the same secret
/// run one after another. `ended` gets each report when its secret ends, with the position of its request.
pub async fn work(process: &Process, requests: Vec<Request>, end: Timestamp, ended: &mut Ended<'_>) {
    let sessions = Sessions::default();
    let mut queues: BTreeMap<String, Vec<(usize, Request)>> = BTreeMap::new();
    let mut order = Vec::new();
    for (at, request) in requests.into_iter().enumerate() {
        if !queues.contains_key(&request.secret_id) {
            order.push(request.secret_id.clone());
        }
        queues.entry(request.secret_id.clone()).or_default().push((at, request));
    }
    // rotates the order each day: if the time does not suffice for all secrets, different ones come first tomorrow
    let days = usize::try_from(process.shared.now().unix_timestamp() / 86_400).unwrap_or(0);
    let first = days.wrapping_mul(STRIDE) % order.len().max(1);
    order.rotate_left(first);
    let sessions = &sessions;
    let each = order.into_iter().filter_map(|id| queues.remove(&id)).map(|queue| async move {
        let mut reports = Vec::with_capacity(queue.len());
        for (at, request) in queue {
            reports.push((at, Box::pin(item(process, &request, sessions, end)).await));
        }
        reports
    });
    let mut done = stream::iter(each).buffer_unordered(SIDE_BY_SIDE);
    while let Some(reports) = done.next().await {
        for (at, report) in reports {
            ended(at, report);
        }
    }
}

async fn item(process: &Process, request: &Request, sessions: &Sessions, end: Timestamp) -> Report {
    if process.shared.now() >= end {
        let mut report = new_report(request);
        report.outcome = Outcome::NotReached;
        report.reason = Some("the function ran out of time".into());
        return report;
    }
    let since = process.shared.now();
    let run = AssertUnwindSafe(one(process, request, sessions, end)).catch_unwind().await;
    run.map_or_else(
        |_| {
            let mut report = new_report(request);
            report.duration = Some(until(since, process.shared.now()));
            report.fail(&Error::retryable("the function panicked", "report this as a bug"));
            report
        },
        |(report, _)| report,
    )
}

/// Handles one event about one secret.
pub async fn one(process: &Process, request: &Request, sessions: &Sessions, end: Timestamp) -> (Report, Option<Error>) {
    let services = process.services(end, sessions);
    let mut report = new_report(request);
    let since = services.now();
    let error = run::run(&services, &process.writers(&services), request, &mut report).await.err();
    // a secret that got no time has no error of its own
    if error.as_ref().is_some_and(|error| error.kind() == Kind::Retryable) && services.http_client.is_out_of_time() {
        report.outcome = Outcome::NotReached;
    }
    report.duration = Some(until(since, services.now()));
    report.traffic = Traffic::of(services.http_client.costs(), &process.config);
    (report, error)
}
