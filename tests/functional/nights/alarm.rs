//! Evaluates the alarms of the template over metrics, by the rules that `CloudWatch` documents for missing data
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html>).
//!
//! Two points are simplified. The periods end at the time of the evaluation, where `CloudWatch` may align long ones. The
//! evaluation range is two periods longer than the alarm's, as in the documented examples: `CloudWatch` does not say how
//! much longer it is.

use std::collections::BTreeMap;

use hubkeeper_core::time::Timestamp;
use serde_json::Value;

use crate::infra::notices::substitute;
use crate::infra::template::{Template, list};

/// Periods that `CloudWatch` reads beyond those of the alarm.
const BEYOND: usize = 2;

/// The state of an alarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Ok,
    Alarm,
    InsufficientData,
}

/// The values of metrics, in the order of their times, by namespace, name and dimensions.
#[derive(Default)]
pub(super) struct Metrics(BTreeMap<Series, Vec<(Timestamp, f64)>>);

type Series = (String, String, BTreeMap<String, String>);

impl Metrics {
    /// Adds a value that is not older than those before.
    pub(super) fn add(
        &mut self,
        namespace: &str,
        metric: &str,
        dimensions: BTreeMap<String, String>,
        (at, value): (Timestamp, f64),
    ) {
        self.0.entry((namespace.to_owned(), metric.to_owned(), dimensions)).or_default().push((at, value));
    }
}

/// An alarm of the template, with the defaults of its parameters.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) acts_on_missing: bool,
    series: Series,
    statistic: String,
    period: time::Duration,
    periods: usize,
    needed: usize,
    threshold: f64,
    comparison: String,
    missing: String,
}

/// Returns the alarms of the template.
pub(super) fn alarms() -> Vec<Alarm> {
    let template = Template::read();
    template
        .of_type("AWS::CloudWatch::Alarm")
        .into_iter()
        .map(|(name, alarm)| Alarm::of(&template, name, alarm))
        .collect()
}

fn text(template: &Template, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        value if value["Ref"] == "HubkeeperFunction" => "hubkeeper".to_owned(),
        value if value.get("Ref").is_some() => template.default(value["Ref"].as_str().unwrap()).unwrap(),
        value if value["Fn::GetAtt"][0] == "DeadLetterQueue" => "hubkeeper-DeadLetterQueue".to_owned(),
        other => panic!("{other} has no value here"),
    }
}

impl Alarm {
    fn of(template: &Template, name: &str, alarm: &Value) -> Self {
        const KNOWN: [&str; 14] = [
            "AlarmActions",
            "AlarmDescription",
            "ComparisonOperator",
            "DatapointsToAlarm",
            "Dimensions",
            "EvaluationPeriods",
            "InsufficientDataActions",
            "MetricName",
            "Namespace",
            "OKActions",
            "Period",
            "Statistic",
            "Threshold",
            "TreatMissingData",
        ];
        for property in alarm.as_object().unwrap().keys() {
            assert!(KNOWN.contains(&property.as_str()), "{name}: {property} is not evaluated");
        }
        let of = |property: &str| text(template, &alarm[property]);
        let number = |property: &str| of(property).parse::<i64>().unwrap();
        let periods = usize::try_from(number("EvaluationPeriods")).unwrap();
        Self {
            name: name.to_owned(),
            description: substitute(template, alarm["AlarmDescription"]["Fn::Sub"].as_str().unwrap()),
            acts_on_missing: alarm.get("InsufficientDataActions").is_some(),
            series: (
                of("Namespace"),
                of("MetricName"),
                list(&alarm["Dimensions"])
                    .iter()
                    .map(|entry| (entry["Name"].as_str().unwrap().to_owned(), text(template, &entry["Value"])))
                    .collect(),
            ),
            statistic: of("Statistic"),
            period: time::Duration::seconds(number("Period")),
            periods,
            needed: alarm.get("DatapointsToAlarm").map_or(periods, |value| text(template, value).parse().unwrap()),
            threshold: of("Threshold").parse().unwrap(),
            comparison: of("ComparisonOperator"),
            missing: of("TreatMissingData"),
        }
    }

    /// Returns the state at `now`.
    pub(super) fn evaluate(&self, metrics: &Metrics, now: Timestamp, state: State) -> State {
        let windows = (0..self.periods + BEYOND).rev();
        let values: Vec<Option<bool>> = windows
            .map(|back| {
                let end = now - self.period * i32::try_from(back).unwrap();
                self.statistic(metrics, end).map(|value| self.breaches(value))
            })
            .collect();
        judge(&values, self.periods, self.needed, &self.missing, state)
    }

    fn statistic(&self, metrics: &Metrics, end: Timestamp) -> Option<f64> {
        let series = self.series(metrics);
        let from = series.partition_point(|(at, _)| *at <= end - self.period);
        let to = series.partition_point(|(at, _)| *at <= end);
        let values: Vec<f64> = series[from..to].iter().map(|(_, value)| *value).collect();
        if values.is_empty() {
            return None;
        }
        Some(match self.statistic.as_str() {
            "Sum" => values.iter().sum(),
            "Minimum" => values.iter().copied().fold(f64::INFINITY, f64::min),
            "Maximum" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            other => panic!("{other} is not evaluated"),
        })
    }

    fn series<'a>(&self, metrics: &'a Metrics) -> &'a [(Timestamp, f64)] {
        metrics.0.get(&self.series).map_or(&[], Vec::as_slice)
    }

    fn breaches(&self, value: f64) -> bool {
        match self.comparison.as_str() {
            "GreaterThanOrEqualToThreshold" => value >= self.threshold,
            "LessThanThreshold" => value < self.threshold,
            other => panic!("{other} is not evaluated"),
        }
    }
}

/// Returns the state that follows from the points of the evaluation range, oldest first: `Some(true)` breaches, `None` is
/// missing.
fn judge(range: &[Option<bool>], periods: usize, needed: usize, missing: &str, state: State) -> State {
    let real: Vec<bool> = range.iter().rev().flatten().copied().take(periods).collect();
    let breaching = real.iter().filter(|breaches| **breaches).count();
    let filled = periods - real.len();
    let decided = |breaching: usize| if breaching >= needed { State::Alarm } else { State::Ok };
    match missing {
        _ if filled == 0 => decided(breaching),
        "breaching" => decided(breaching + filled),
        "missing" if real.is_empty() => State::InsufficientData,
        "missing" if breaching == real.len() => State::Alarm,
        "missing" | "notBreaching" => decided(breaching),
        "ignore" if breaching >= needed => State::Alarm,
        "ignore" if breaching == real.len() => state,
        "ignore" => State::Ok,
        other => panic!("{other} is not a treatment of missing data"),
    }
}

#[test]
fn the_documented_examples_of_missing_data_end_in_the_documented_states() {
    use State::{Alarm as A, InsufficientData as I, Ok as O};
    let points = |text: &str| -> Vec<Option<bool>> {
        text.split(' ').map(|point| (point != "-").then_some(point == "X")).collect()
    };
    // states for missing, ignore (`None`: the state before is kept), breaching, notBreaching
    for (needed, text, missing, ignore, breaching, fine) in [
        (3, "0 - X - X", O, Some(O), O, O),
        (3, "- - - - 0", O, Some(O), O, O),
        (3, "- - - - -", I, None, A, O),
        (3, "0 X X - X", A, Some(A), A, A),
        (3, "- - X - -", A, None, A, O),
        (2, "0 - X - X", A, Some(A), A, A),
        (2, "0 0 X 0 X", A, Some(A), A, A),
        (2, "0 - X - -", O, Some(O), A, O),
        (2, "- - - - 0", O, Some(O), A, O),
        (2, "- - - X -", A, None, A, O),
    ] {
        let range = points(text);
        let judged = |treatment, before| judge(&range, 3, needed, treatment, before);
        assert_eq!(judged("missing", O), missing, "{needed} {text} missing");
        assert_eq!(judged("breaching", O), breaching, "{needed} {text} breaching");
        assert_eq!(judged("notBreaching", O), fine, "{needed} {text} notBreaching");
        for before in [O, A, I] {
            assert_eq!(judged("ignore", before), ignore.unwrap_or(before), "{needed} {text} ignore");
        }
    }
}

#[test]
fn a_new_stack_is_not_in_alarm_before_its_first_reconcile() {
    let now = Timestamp::UNIX_EPOCH + time::Duration::days(20_000);
    for alarm in alarms() {
        let state = alarm.evaluate(&Metrics::default(), now, State::InsufficientData);
        assert_ne!(state, State::Alarm, "{}", alarm.name);
        let watches_silence = alarm.name == "ReconcileMissingAlarm";
        assert_eq!(alarm.acts_on_missing, watches_silence, "{}: silence is a notice", alarm.name);
    }
}
