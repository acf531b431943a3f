//! When Secrets Manager rotates a secret, according to `DescribeSecret`, and whether a token outlives that.

use time::Duration;

use crate::time::{Timestamp, rfc3339};
use crate::warning::{Warning, WarningCode};

/// The rotation window if the secret names none: AWS's default ends with the UTC day.
const WINDOW: Duration = Duration::DAY;

/// The range that AWS accepts as `AutomaticallyAfterDays`.
const DAYS: std::ops::RangeInclusive<i64> = 1..=1000;

/// The schedule of a secret whose rotation is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// `NextRotationDate`, or the date computed from the interval.
    pub next: Option<Timestamp>,
    /// `NextRotationDate`, if `DescribeSecret` tells it.
    pub announced: Option<Timestamp>,
    /// Time between two rotations; `None` for a cron expression.
    pub interval: Option<Duration>,
    /// The window in which a rotation may run.
    pub window: Duration,
}

impl Schedule {
    /// Reads `RotationRules`: `AutomaticallyAfterDays`, `ScheduleExpression` (`rate(…)`; the interval of `cron(…)` is not
    /// computed) and `Duration` (`3h`), as AWS's reference of `RotationRulesType` describes them.
    /// Without `next` in the response, it is one interval after `last`: the last rotation, or the creation of the secret.
    pub fn new(
        days: Option<i64>,
        expression: Option<&str>,
        window: Option<&str>,
        next: Option<Timestamp>,
        last: Option<Timestamp>,
    ) -> Self {
        let days = days.filter(|days| DAYS.contains(days));
        let interval = days.map(Duration::days).or_else(|| expression.and_then(rate));
        let announced = next;
        let next = next.or_else(|| Some(last? + interval?));
        let hours = window.and_then(|text| text.strip_suffix('h')).and_then(|text| text.parse::<u16>().ok());
        Self { next, announced, interval, window: hours.map_or(WINDOW, |hours| Duration::hours(hours.into())) }
    }

    /// When the rotation after the current one is due.
    pub fn after(&self, now: Timestamp) -> Option<Timestamp> {
        self.interval.map(|interval| now + interval)
    }
}

/// Parses `rate(10 days)`, `rate(12 hours)`.
fn rate(expression: &str) -> Option<Duration> {
    let (number, unit) = expression.trim().strip_prefix("rate(")?.strip_suffix(')')?.trim().split_once(' ')?;
    let number: u16 = number.parse().ok()?;
    match unit.trim() {
        "day" | "days" => Some(Duration::days(number.into())),
        "hour" | "hours" => Some(Duration::hours(number.into())),
        _ => None,
    }
}

/// The warning that a token ends before the rotation that is `due` has certainly run and its grace period is over.
pub fn ends_before_rotation(
    schedule: &Schedule,
    due: Option<Timestamp>,
    expires_at: Timestamp,
    grace: Duration,
) -> Option<Warning> {
    let due = due?;
    let safe = due + schedule.window + grace;
    (expires_at < safe).then(|| {
        Warning::new(WarningCode::EndsBeforeRotation,
            format!(
                "the token ends at {}, before the next rotation ({}), its window and the grace period end ({}): rotate more often, or raise HUBKEEPER_TOKEN_LIFETIME_DAYS",
                rfc3339(expires_at),
                rfc3339(due),
                rfc3339(safe)
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn each_form_of_a_rule_gives_the_interval_and_the_window() {
        for (days, expression, window, interval, hours) in [
            (Some(30), None, None, Some(Duration::days(30)), 24),
            (None, Some("rate(10 days)"), Some("3h"), Some(Duration::days(10)), 3),
            (None, Some("rate(1 day)"), None, Some(Duration::days(1)), 24),
            (None, Some("rate(4 hours)"), Some("1h"), Some(Duration::hours(4)), 1),
            (None, Some("cron(0 8 1 * ? *)"), Some("2h"), None, 2),
            (None, Some("rate(soon)"), Some("x"), None, 24),
            (None, None, None, None, 24),
            (Some(i64::MAX), None, None, None, 24),
        ] {
            let schedule = Schedule::new(days, expression, window, None, None);
            assert_eq!((schedule.interval, schedule.window), (interval, Duration::hours(hours)), "{expression:?}");
        }
    }

    #[test]
    fn a_token_must_outlive_rotation_window_and_grace() {
        let due = datetime!(2026-12-24 10:00 UTC);
        let schedule = Schedule::new(Some(30), None, Some("2h"), Some(due), None);
        let told_by_the_last = Schedule::new(Some(30), None, Some("2h"), None, Some(due - Duration::days(30)));
        assert_eq!((told_by_the_last.next, told_by_the_last.announced), (schedule.next, None));
        let warned = |expires_at| ends_before_rotation(&schedule, schedule.next, expires_at, Duration::DAY).is_some();
        assert!(warned(datetime!(2026-12-24 9:00 UTC)));
        assert!(warned(datetime!(2026-12-25 11:59 UTC)));
        assert!(!warned(datetime!(2026-12-25 12:00 UTC)));
        assert_eq!(ends_before_rotation(&schedule, None, datetime!(2026-01-01 0:00 UTC), Duration::DAY), None);
        assert_eq!(schedule.after(due), Some(datetime!(2027-01-23 10:00 UTC)));
    }
}
