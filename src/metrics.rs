//! Writes metrics for alarms and dashboards, in `CloudWatch`'s embedded metric format: one line for each report, and one
//! for each service whose requests cost a wait, a retry or a rejected login.
//!
//! A line contains numbers, names and ids, and never a message. A plan has no line of its own, and neither does an event
//! that is not for this function: alarms must count only what happened. Its requests happened, so they are counted.

use std::io::Write;
use std::time::SystemTime;

use hubkeeper_core::ids::VersionId;
use hubkeeper_core::outcome::Outcome;
use hubkeeper_core::proof::Verdict;
use hubkeeper_core::report::Report;
use hubkeeper_core::request::Mode;
use hubkeeper_core::time::{Timestamp, parse_rfc3339, rfc3339};
use hubkeeper_core::traffic::{Cost, Service};
use metrique_writer_core::format::Format;
use metrique_writer_core::unit::NegativeScale;
use metrique_writer_core::value::MetricFlags;
use metrique_writer_core::{Entry, EntryWriter, Observation, Unit, Value, ValueWriter};
use metrique_writer_format_emf::Emf;

/// The namespace of every metric.
pub const NAMESPACE: &str = "hubkeeper";
/// The dimension sets of a line. Sets with the organization are omitted if the organization is unknown.
pub const DIMENSIONS: [&[&str]; 3] = [&[FUNCTION, ACTION, ORGANIZATION], &[FUNCTION, ACTION], &[FUNCTION]];
/// The dimension sets of a line about a service. The organization is only a field of it.
pub const TRAFFIC_DIMENSIONS: [&[&str]; 2] = [&[FUNCTION, SERVICE], &[FUNCTION]];
/// Every metric of a report.
pub const METRICS: [Metric; 7] = [
    Metric { name: "Succeeded", unit: Unit::Count, value: |report, _| Some(flag(succeeded(report.outcome)?)) },
    Metric { name: "Failed", unit: Unit::Count, value: |report, _| Some(flag(failed(report.outcome))) },
    Metric { name: "Duration", unit: Unit::Second(NegativeScale::Milli), value: |report, _| duration(report) },
    Metric { name: "DaysLeft", unit: Unit::None, value: days_left },
    Metric { name: "VerdictComplete", unit: Unit::Count, value: |report, _| verdict_complete(report) },
    Metric { name: "RepositoriesProven", unit: Unit::Count, value: |report, _| repositories_proven(report) },
    Metric { name: "Unproven", unit: Unit::Count, value: |report, _| unproven(report) },
];
/// Every metric of a service.
pub const TRAFFIC_METRICS: [TrafficMetric; 3] = [
    TrafficMetric {
        name: "RateLimitWait",
        unit: Unit::Second(NegativeScale::Milli),
        value: |cost| u64::try_from(cost.waited.as_millis()).unwrap_or(u64::MAX),
    },
    TrafficMetric { name: "Retries", unit: Unit::Count, value: |cost| cost.retries },
    TrafficMetric { name: "RefusedLogins", unit: Unit::Count, value: |cost| cost.refused_logins },
];

const FUNCTION: &str = "FunctionName";
const ACTION: &str = "Action";
const ORGANIZATION: &str = "Organization";
const SERVICE: &str = "Service";
const RECONCILE: &str = "reconcile";
const DAY: f64 = 86_400.0;

/// A metric, and how it is computed from a report.
pub struct Metric {
    /// The metric's name.
    pub name: &'static str,
    unit: Unit,
    value: fn(&Report, Timestamp) -> Option<Observation>,
}

impl Metric {
    /// Returns the metric's unit, in `CloudWatch`'s spelling.
    pub fn unit(&self) -> &'static str {
        self.unit.name()
    }
}

/// A metric of a service, and how it is computed from the cost of its requests.
pub struct TrafficMetric {
    /// The metric's name.
    pub name: &'static str,
    unit: Unit,
    value: fn(&Cost) -> u64,
}

impl TrafficMetric {
    /// Returns the metric's unit, in `CloudWatch`'s spelling.
    pub fn unit(&self) -> &'static str {
        self.unit.name()
    }
}

/// Receives the lines of metrics.
pub trait Sink: Send + Sync {
    /// Writes a line that includes its line end.
    fn write(&self, line: &str);
}

/// Standard output, which Lambda forwards to the log. One write for each line keeps lines from interleaving.
pub struct Stdout;

impl Sink for Stdout {
    fn write(&self, line: &str) {
        // a failed write must not fail the event, as with log lines
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }
}

/// Returns the line of a report with its line end, or `None` if there is nothing to count.
pub fn line(function: &str, report: &Report, now: Timestamp) -> Option<String> {
    if report.mode == Mode::Plan.name() || report.outcome == Outcome::Ignored {
        return None;
    }
    let known = |set: &&[&str]| report.organization.is_some() || !set.contains(&ORGANIZATION);
    let sets: Vec<&[&str]> = DIMENSIONS.into_iter().filter(known).collect();
    formatted(&sets, &Measured { function, report, service: None, now })
}

/// Returns one line with its line end for each service whose requests cost something.
pub fn traffic_lines(function: &str, report: &Report, now: Timestamp) -> Vec<String> {
    let line = |service| formatted(&TRAFFIC_DIMENSIONS, &Measured { function, report, service: Some(service), now });
    report.traffic.iter().filter_map(line).collect()
}

fn formatted(sets: &[&[&str]], measured: &Measured<'_>) -> Option<String> {
    let sets = sets.iter().map(|set| set.iter().map(ToString::to_string).collect()).collect();
    let mut line = Vec::new();
    Emf::builder(NAMESPACE.to_owned(), sets).build().format(measured, &mut line).ok()?;
    String::from_utf8(line).ok()
}

/// A report, or the cost of a service's requests, in the shape that the metrics library reads: numbers are metrics, texts
/// are dimensions or plain fields. One type for both: the library's code is in the package once for each type.
struct Measured<'a> {
    function: &'a str,
    report: &'a Report,
    service: Option<(Service, Cost)>,
    now: Timestamp,
}

impl Entry for Measured<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let Self { function, report, service, now } = *self;
        writer.timestamp(SystemTime::from(now));
        // without these two fields, Lambda's log filter assigns its own level and time to the line
        writer.value("level", "INFO");
        writer.value("timestamp", &rfc3339(now));
        writer.value(FUNCTION, function);
        writer.value(ACTION, &report.action);
        writer.value(ORGANIZATION, &report.organization);
        if let Some((service, cost)) = service {
            writer.value(SERVICE, service.name());
            for TrafficMetric { name, unit, value } in &TRAFFIC_METRICS {
                writer.value(*name, &Number(Observation::Unsigned(value(&cost)), *unit));
            }
            return;
        }
        writer.value("outcome", report.outcome.name());
        writer.value("verdict", &report.verdict.as_ref().map(|verdict| verdict.result.name()));
        writer.value("secretId", &report.secret_id);
        writer.value("versionId", &report.version_id.as_ref().map(VersionId::as_str));
        writer.value("errorType", &report.error_type);
        for Metric { name, unit, value } in &METRICS {
            if let Some(observed) = value(report, now) {
                writer.value(*name, &Number(observed, *unit));
            }
        }
    }
}

/// A number and its unit.
struct Number(Observation, Unit);

impl Value for Number {
    fn write(&self, writer: impl ValueWriter) {
        writer.metric([self.0], self.1, [], MetricFlags::empty());
    }
}

/// Returns whether the event achieved its purpose, or `None` if that depends on a person or on another event.
fn succeeded(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::Applied | Outcome::Proven | Outcome::Unchanged => Some(true),
        Outcome::Failed | Outcome::Refused | Outcome::NotReached => Some(false),
        Outcome::Awaiting | Outcome::Planned | Outcome::Recorded | Outcome::Ignored => None,
    }
}

fn failed(outcome: Outcome) -> bool {
    succeeded(outcome) == Some(false)
}

fn flag(is_so: bool) -> Observation {
    Observation::Unsigned(is_so.into())
}

fn duration(report: &Report) -> Option<Observation> {
    u64::try_from(report.duration?.as_millis()).ok().map(Observation::Unsigned)
}

/// Returns the days until the token expires, negative after its expiry. Not emitted for offboarded secrets.
fn days_left(report: &Report, now: Timestamp) -> Option<Observation> {
    let end = report.tokens.expires_at.as_deref().filter(|_| !report.is_given_up).and_then(parse_rfc3339)?;
    Some(Observation::Floating((end - now).as_seconds_f64() / DAY))
}

fn verdict_complete(report: &Report) -> Option<Observation> {
    report.verdict.as_ref().map(|verdict| flag(verdict.is_complete()))
}

fn repositories_proven(report: &Report) -> Option<Observation> {
    let verdict = report.verdict.as_ref().filter(|verdict| Verdict::is_complete(verdict))?;
    u64::try_from(verdict.repositories).ok().map(Observation::Unsigned)
}

/// Returns 1 if a reconcile of a managed secret ended without a complete proof, else 0. Not emitted where no proof is due:
/// the secret is offboarded, still waits for a person, or is only in the queue.
fn unproven(report: &Report) -> Option<Observation> {
    let is_due = report.action == RECONCILE
        && report.secret_id.is_some()
        && !report.is_given_up
        && !matches!(report.outcome, Outcome::Awaiting | Outcome::Recorded);
    is_due.then(|| flag(!report.verdict.as_ref().is_some_and(Verdict::is_complete)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::*;
    use hubkeeper_core::error::Error;
    use hubkeeper_core::proof::{Finding, NotScanned};
    use hubkeeper_core::traffic::Traffic;

    const NOW: Timestamp = datetime!(2026-11-24 10:00:00.25 UTC);
    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper/acme-AbCdEf";

    fn report(action: &str, outcome: Outcome) -> Report {
        let mut report = Report::new(action, "apply");
        report.outcome = outcome;
        report.organization = Some("acme".into());
        report.secret_id = Some(ARN.into());
        report.duration = Some(Duration::from_millis(3_630));
        report
    }

    fn verdict(result: Finding) -> Verdict {
        Verdict {
            result,
            repositories: 42,
            private: 17,
            not_scanned: NotScanned::default(),
            missing: Vec::new(),
            missing_count: 0,
            reasons: vec!["words of somebody else".into()],
            warnings: Vec::new(),
        }
    }

    fn json_of(report: &Report) -> Value {
        let line = line("hubkeeper-prod", report, NOW).expect("a line");
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        serde_json::from_str(&line).expect("JSON")
    }

    #[test]
    fn a_report_with_all_there_is() {
        let mut report = report("rotation:setSecret", Outcome::Applied);
        report.version_id = Some(VersionId::of_service("5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01"));
        report.verdict = Some(verdict(Finding::Complete));
        report.tokens.expires_at = Some("2027-01-08T22:00:00Z".into());
        report.reason = Some("a reason".into());
        assert_eq!(
            json_of(&report),
            json!({
                "_aws": {
                    "CloudWatchMetrics": [{
                        "Namespace": "hubkeeper",
                        "Dimensions": [["FunctionName", "Action", "Organization"], ["FunctionName", "Action"], ["FunctionName"]],
                        "Metrics": [
                            {"Name": "Succeeded", "Unit": "Count"},
                            {"Name": "Failed", "Unit": "Count"},
                            {"Name": "Duration", "Unit": "Milliseconds"},
                            {"Name": "DaysLeft"},
                            {"Name": "VerdictComplete", "Unit": "Count"},
                            {"Name": "RepositoriesProven", "Unit": "Count"},
                        ],
                    }],
                    "Timestamp": 1_795_514_400_250_i64,
                },
                "Succeeded": 1, "Failed": 0, "Duration": 3630, "DaysLeft": 45.499_997_106_481_48, "VerdictComplete": 1,
                "RepositoriesProven": 42,
                "level": "INFO", "timestamp": "2026-11-24T10:00:00Z",
                "FunctionName": "hubkeeper-prod", "Action": "rotation:setSecret", "Organization": "acme",
                "outcome": "applied", "verdict": "complete", "secretId": ARN,
                "versionId": "5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01",
            })
        );
    }

    #[test]
    fn an_error_before_the_organization_is_known() {
        let mut report = Report::new("onboard", "apply");
        report.fail(&Error::misconfigured("the message", "the remedy"));
        assert_eq!(
            json_of(&report),
            json!({
                "_aws": {
                    "CloudWatchMetrics": [{
                        "Namespace": "hubkeeper",
                        "Dimensions": [["FunctionName", "Action"], ["FunctionName"]],
                        "Metrics": [{"Name": "Succeeded", "Unit": "Count"}, {"Name": "Failed", "Unit": "Count"}],
                    }],
                    "Timestamp": 1_795_514_400_250_i64,
                },
                "Succeeded": 0, "Failed": 1,
                "level": "INFO", "timestamp": "2026-11-24T10:00:00Z",
                "FunctionName": "hubkeeper-prod", "Action": "onboard", "outcome": "failed", "errorType": "Misconfigured",
            })
        );
    }

    #[test]
    fn every_outcome_counts_as_it_should() {
        for (outcome, succeeded, failed) in [
            (Outcome::Failed, json!(0), 1),
            (Outcome::Refused, json!(0), 1),
            (Outcome::NotReached, json!(0), 1),
            (Outcome::Awaiting, Value::Null, 0),
            (Outcome::Applied, json!(1), 0),
            (Outcome::Proven, json!(1), 0),
            (Outcome::Recorded, Value::Null, 0),
            (Outcome::Unchanged, json!(1), 0),
        ] {
            let line = json_of(&report("reconcile", outcome));
            assert_eq!((&line["Succeeded"], &line["Failed"]), (&succeeded, &json!(failed)), "{outcome:?}");
            assert_eq!(line["outcome"], serde_json::to_value(outcome).unwrap());
            let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
            for Metric { name, .. } in &METRICS {
                assert_eq!(metrics.iter().any(|metric| metric["Name"] == *name), line[*name].is_number(), "{name}");
            }
        }
    }

    #[test]
    fn a_plan_and_what_is_ignored_have_no_line() {
        for outcome in [Outcome::Planned, Outcome::Unchanged, Outcome::Failed] {
            let mut planned = report("reconcile", outcome);
            planned.mode = "plan";
            assert_eq!(line("hubkeeper", &planned, NOW), None);
        }
        assert_eq!(line("hubkeeper", &report("rotationSucceeded", Outcome::Ignored), NOW), None);
    }

    #[test]
    fn a_verdict_that_is_not_complete_proves_no_repository() {
        for result in [Finding::Rejected, Finding::Inconclusive, Finding::OverPrivileged, Finding::Partial] {
            let mut report = report("verify", Outcome::Refused);
            report.verdict = Some(verdict(result));
            let line = json_of(&report);
            assert_eq!((&line["VerdictComplete"], &line["RepositoriesProven"]), (&json!(0), &Value::Null));
            assert_eq!(line["verdict"], result.name());
        }
    }

    #[test]
    fn the_days_of_a_token_go_below_zero_and_those_of_a_secret_that_is_given_up_do_not_count() {
        let mut report = report("reconcile", Outcome::Unchanged);
        report.tokens.expires_at = Some("2026-11-22T22:00:00.25Z".into());
        assert_eq!(json_of(&report)["DaysLeft"], -1.5);
        report.is_given_up = true;
        assert_eq!(json_of(&report)["DaysLeft"], Value::Null);
    }

    #[test]
    fn a_reconcile_without_a_complete_proof_is_unproven() {
        let of = |outcome, result: Option<Finding>| {
            let mut report = report("reconcile", outcome);
            report.verdict = result.map(verdict);
            json_of(&report)["Unproven"].clone()
        };
        assert_eq!(of(Outcome::Unchanged, Some(Finding::Complete)), 0);
        assert_eq!(of(Outcome::Refused, Some(Finding::Rejected)), 1);
        assert_eq!(of(Outcome::Failed, None), 1);
        assert_eq!(of(Outcome::NotReached, None), 1);
        assert_eq!(of(Outcome::Awaiting, None), Value::Null);
        assert_eq!(of(Outcome::Recorded, None), Value::Null);
        let mut given_up = report("reconcile", Outcome::Unchanged);
        given_up.is_given_up = true;
        assert_eq!(json_of(&given_up)["Unproven"], Value::Null);
        assert_eq!(json_of(&report("onboard", Outcome::Failed))["Unproven"], Value::Null);
        assert_eq!(json_of(&Report::new("reconcile", "apply"))["Unproven"], Value::Null, "a fleet without secrets");
    }

    #[test]
    fn a_service_whose_requests_cost_something_has_a_line() {
        let environment = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let config = hubkeeper_core::config::Config::parse(&environment).unwrap();
        let mut report = report("verify", Outcome::Refused);
        assert!(traffic_lines("hubkeeper", &report, NOW).is_empty());
        let cost = Cost { waited: Duration::from_millis(1_500), retries: 2, refused_logins: 1 };
        report.traffic = Traffic::of([("hub.docker.com".to_owned(), cost)], &config);
        let lines = traffic_lines("hubkeeper", &report, NOW);
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        assert!(lines.len() == 1 && lines[0].ends_with("}\n"), "{lines:?}");
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "CloudWatchMetrics": [{
                        "Namespace": "hubkeeper",
                        "Dimensions": [["FunctionName", "Service"], ["FunctionName"]],
                        "Metrics": [
                            {"Name": "RateLimitWait", "Unit": "Milliseconds"},
                            {"Name": "Retries", "Unit": "Count"},
                            {"Name": "RefusedLogins", "Unit": "Count"},
                        ],
                    }],
                    "Timestamp": 1_795_514_400_250_i64,
                },
                "RateLimitWait": 1500, "Retries": 2, "RefusedLogins": 1,
                "level": "INFO", "timestamp": "2026-11-24T10:00:00Z",
                "FunctionName": "hubkeeper", "Service": "hub", "Action": "verify", "Organization": "acme",
            })
        );
    }

    #[test]
    fn every_metric_has_a_unit_of_cloudwatch() {
        let table = METRICS.map(|metric| (metric.name, metric.unit()));
        assert_eq!(
            table,
            [
                ("Succeeded", "Count"),
                ("Failed", "Count"),
                ("Duration", "Milliseconds"),
                ("DaysLeft", "None"),
                ("VerdictComplete", "Count"),
                ("RepositoriesProven", "Count"),
                ("Unproven", "Count"),
            ]
        );
        let table = TRAFFIC_METRICS.map(|metric| (metric.name, metric.unit()));
        assert_eq!(table, [("RateLimitWait", "Milliseconds"), ("Retries", "Count"), ("RefusedLogins", "Count")]);
    }
}
