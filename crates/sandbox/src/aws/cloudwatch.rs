//! `CloudWatch`: `DescribeAlarms`, and `GetMetricStatistics` for the metric of successful reconciles.

use std::collections::BTreeMap;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::deployment::Alarm;
use super::events::time_text;
use super::query::{Denied, Form, denied, invalid, list, tag};
use crate::world::State;

/// Maximum number of data points in a response (AWS's reference).
const POINTS: i64 = 1_440;

fn combination(message: impl Into<String>) -> Denied {
    denied(400, "InvalidParameterCombination", message)
}

/// `DescribeAlarms`.
pub(super) fn alarms(state: &State, form: &Form, is_here: bool) -> Result<String, Denied> {
    let names = form.members("AlarmNames");
    let prefix = form.field("AlarmNamePrefix");
    if names.len() > 100 {
        return Err(invalid("1 validation error detected: Value at 'alarmNames' must have at most 100 members"));
    }
    if prefix.is_some_and(|prefix| !(1..=255).contains(&prefix.len())) {
        return Err(invalid("1 validation error detected: Value at 'alarmNamePrefix' must have 1 to 255 characters"));
    }
    if prefix.is_some() && !names.is_empty() {
        return Err(combination("AlarmNamePrefix cannot be combined with AlarmNames."));
    }
    let wanted = form.field("StateValue");
    if wanted.is_some_and(|value| !["OK", "ALARM", "INSUFFICIENT_DATA"].contains(&value)) {
        return Err(invalid("1 validation error detected: Value at 'stateValue' must be a state"));
    }
    let size = form.number("MaxRecords", 50, 100)?;
    let mut found: Vec<&Alarm> = state
        .aws
        .deployment
        .alarms
        .iter()
        .filter(|alarm| is_here && prefix.is_none_or(|prefix| alarm.name.starts_with(prefix)))
        .filter(|alarm| names.is_empty() || names.contains(&alarm.name.as_str()))
        .filter(|alarm| wanted.is_none_or(|value| alarm.state == value))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let start = match form.field("NextToken") {
        None => 0,
        Some(token) => token
            .strip_prefix("after-")
            .and_then(|offset| offset.parse::<usize>().ok())
            .filter(|offset| *offset <= found.len())
            .ok_or_else(|| denied(400, "InvalidNextToken", "The NextToken is not valid."))?,
    };
    let end = found.len().min(start + size);
    let members = found[start..end].iter().map(|alarm| entry(state, alarm));
    let next = if end < found.len() { tag("NextToken", &format!("after-{end}")) } else { String::new() };
    Ok(format!("{}{}{next}", list("MetricAlarms", members), list("CompositeAlarms", [])))
}

fn entry(state: &State, alarm: &Alarm) -> String {
    let at = time_text(state.aws.deployment.deployed_at);
    let arn = format!("arn:aws:cloudwatch:{}:{}:alarm:{}", state.aws.region, state.aws.account, alarm.name);
    [
        tag("AlarmName", &alarm.name),
        tag("AlarmArn", &arn),
        tag("AlarmDescription", &alarm.description),
        tag("AlarmConfigurationUpdatedTimestamp", &at),
        tag("ActionsEnabled", &alarm.actions_enabled.to_string()),
        list("OKActions", alarm.ok_actions.iter().cloned()),
        list("AlarmActions", alarm.actions.iter().cloned()),
        list("InsufficientDataActions", []),
        tag("StateValue", &alarm.state),
        tag("StateReason", &alarm.reason),
        tag("StateUpdatedTimestamp", &at),
        tag("MetricName", &alarm.metric),
        tag("Namespace", &alarm.namespace),
    ]
    .concat()
}

fn required<'a>(form: &'a Form, name: &str) -> Result<&'a str, Denied> {
    let text = format!("The parameter {name} is required.");
    form.field(name).filter(|value| !value.is_empty()).ok_or_else(|| denied(400, "MissingParameter", text))
}

fn time(form: &Form, name: &str) -> Result<OffsetDateTime, Denied> {
    let text = required(form, name)?;
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| denied(400, "InvalidParameterValue", format!("The parameter {name} must be an ISO 8601 time.")))
}

/// `GetMetricStatistics`. A metric without data has no data points, and so has one that does not exist.
pub(super) fn statistics(state: &State, form: &Form, is_here: bool) -> Result<String, Denied> {
    let (namespace, metric) = (required(form, "Namespace")?, required(form, "MetricName")?);
    let (start, end) = (time(form, "StartTime")?, time(form, "EndTime")?);
    if start >= end {
        return Err(combination("The parameter StartTime must be less than the parameter EndTime."));
    }
    let statistics = form.members("Statistics");
    if statistics.is_empty() {
        return Err(combination("At least one of the parameters Statistics and ExtendedStatistics must be specified."));
    }
    let known = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"];
    if statistics.iter().any(|name| !known.contains(name)) {
        return Err(denied(400, "InvalidParameterValue", "The value for parameter Statistics is not a statistic."));
    }
    let period = period(state, required(form, "Period")?, start)?;
    let points = ((end - start).whole_seconds() + period - 1) / period;
    if points > POINTS {
        return Err(combination(format!(
            "You have requested up to {points} datapoints, which exceeds the limit of 1,440. You may reduce the datapoints \
             requested by increasing Period, or decreasing the time range."
        )));
    }
    let names = form.members_of("Dimensions", "Name");
    let mut dimensions: Vec<_> = names.into_iter().zip(form.members_of("Dimensions", "Value")).collect();
    dimensions.sort_unstable();
    // a set of dimensions is a metric of its own: fewer of them name another one
    let function = state.aws.deployment.function.name.as_str();
    let own = [(Some("Action"), Some("reconcile")), (Some("FunctionName"), Some(function))];
    let is_known = is_here && namespace == "hubkeeper" && metric == "Succeeded" && dimensions == own;
    let mut counts: BTreeMap<i64, u32> = BTreeMap::new();
    for at in state.aws.deployment.reconciled.iter().filter(|at| is_known && **at >= start && **at < end) {
        *counts.entry(at.unix_timestamp().div_euclid(period) * period).or_default() += 1;
    }
    let point = |(at, count): (i64, u32)| {
        let at = OffsetDateTime::from_unix_timestamp(at).map(time_text).unwrap_or_default();
        let value = |name: &&str| match *name {
            "SampleCount" | "Sum" => tag(name, &format!("{count}.0")),
            name => tag(name, "1.0"),
        };
        let values: Vec<_> = statistics.iter().map(value).collect();
        format!("{}{}{}", tag("Timestamp", &at), values.concat(), tag("Unit", "Count"))
    };
    Ok(format!("{}{}", tag("Label", metric), list("Datapoints", counts.into_iter().map(point))))
}

/// The period in seconds. Older data is kept at a lower resolution: after 15 days at 5 minutes, after 63 days at an hour.
fn period(state: &State, text: &str, start: OffsetDateTime) -> Result<i64, Denied> {
    let wrong = |why: &str| denied(400, "InvalidParameterValue", format!("The parameter Period must be {why}."));
    let period = text.parse::<i64>().ok().filter(|period| *period >= 1).ok_or_else(|| wrong("a positive number"))?;
    let age = state.now() - start;
    let unit = if age > Duration::days(63) {
        3_600
    } else if age > Duration::days(15) {
        300
    } else {
        60
    };
    // the metric has a resolution of one minute
    if period % unit == 0 { Ok(period) } else { Err(wrong(&format!("a multiple of {unit}"))) }
}
