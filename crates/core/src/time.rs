//! Points in time, as values.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;

/// A point in time, UTC.
pub type Timestamp = OffsetDateTime;

/// Formats a time as RFC 3339 in whole seconds with `Z`.
pub fn rfc3339(at: Timestamp) -> String {
    let whole = at.to_offset(time::UtcOffset::UTC).replace_nanosecond(0).unwrap_or(at);
    whole.format(&Rfc3339).unwrap_or_default()
}

/// Parses an RFC 3339 time; `None` for anything else.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(within_reach)
}

/// Moves a time from outside into the years 1970 to 9000. Times beyond them, such as 9999-12-31 for
/// "never", can be neither converted to UTC nor added to.
pub fn within_reach(at: Timestamp) -> Timestamp {
    at.clamp(OffsetDateTime::UNIX_EPOCH, datetime!(9000-01-01 0:00 UTC))
}

/// Returns the time from `from` to `to`; zero if `to` is not later.
pub fn until(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to - from).unwrap_or(Duration::ZERO)
}

/// Returns the full days from `since` to `now`; zero if `since` is later.
pub fn age_days(since: Timestamp, now: Timestamp) -> i64 {
    (now - since).whole_days().max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_at_the_end_of_the_calendar_can_be_told_and_added_to() {
        for text in
            ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "2026-11-24T10:00:00Z"]
        {
            let at = parse_rfc3339(text).unwrap();
            assert!(parse_rfc3339(&rfc3339(at)).is_some(), "{text}");
            assert!(at.checked_add(time::Duration::days(300_000)).is_some(), "{text}");
        }
        assert_eq!(rfc3339(parse_rfc3339("2026-11-24T12:00:00.9+02:00").unwrap()), "2026-11-24T10:00:00Z");
    }
}
