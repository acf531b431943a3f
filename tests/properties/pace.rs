//! The waits that a service asks for.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use hubkeeper::http::pace::{LONGEST, Wait, asked};
use hubkeeper_core::time::Timestamp;
use proptest::prelude::*;
use time::macros::datetime;

use hubkeeper_test_support::property::{ensure, holds, refuted};

const NOW: Timestamp = datetime!(2026-11-24 10:00:00.5 UTC);

fn value() -> impl Strategy<Value = String> {
    let unix = NOW.unix_timestamp();
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (-100_000_i64..100_000).prop_map(|seconds| seconds.to_string()),
        (-100_000_i64..100_000).prop_map(move |seconds| (unix + seconds).to_string()),
        (-100_000_i64..100_000).prop_map(move |seconds| ((unix + seconds) * 1000).to_string()),
        (-100_000_i64..100_000_000_000).prop_map(move |seconds| {
            let date = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(unix + seconds).unwrap_or(0));
            httpdate::fmt_http_date(date)
        }),
        "[ -~]{0,40}",
    ]
}

/// Status and headers of a response.
type Told = (u16, Vec<(usize, String)>);

fn told() -> impl Strategy<Value = Told> {
    let status = prop_oneof![Just(200_u16), Just(429), Just(500), Just(503)];
    (status, proptest::collection::vec((0_usize..4, value()), 0..5))
}

fn headers(pairs: &[(usize, String)]) -> HeaderMap {
    let names = ["retry-after", "x-retry-after", "x-ratelimit-reset", "x-ratelimit-remaining"];
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(names[*name]), value);
        }
    }
    headers
}

/// For all responses: a wait is at most 15 minutes, never in the past, and only from a status that asks for it.
fn is_bounded((status, pairs): Told, asked: impl Fn(u16, &HeaderMap, Timestamp) -> Option<Wait>) -> Result<(), String> {
    let Some(wait) = asked(status, &headers(&pairs), NOW) else { return Ok(()) };
    ensure(matches!(status, 429 | 503), || format!("a wait of status {status}"))?;
    ensure(wait.end > NOW && wait.end <= NOW + LONGEST, || format!("a wait until {}", wait.end))?;
    ensure(wait.meant || wait.end == NOW + LONGEST, || "what cannot be meant is not shorter".to_owned())
}

#[test]
fn a_wait_is_between_now_and_15_minutes() {
    holds(&told(), |told| is_bounded(told, asked));
    refuted(&told(), |told| {
        is_bounded(told, |status, headers, now| {
            // exactly, as other parsers read it
            let seconds: u32 = headers.get("retry-after")?.to_str().ok()?.parse().ok()?;
            (status == 429).then(|| Wait { end: now + Duration::from_secs(seconds.into()), meant: true })
        })
    });
}

/// A wait of up to 15 minutes is exact. A wait of up to a day is plausible.
#[test]
fn seconds_are_waited_by_the_letter() {
    let is_kept = |seconds: u32, longest: Duration| {
        let wait = asked(503, &headers(&[(0, seconds.to_string())]), NOW).ok_or("no wait")?;
        let end = NOW + Duration::from_secs(seconds.into()).clamp(Duration::from_millis(50), longest);
        ensure((wait.end, wait.meant) == (end, seconds <= 86_400), || format!("{wait:?}"))
    };
    holds(&(0_u32..200_000), |seconds| is_kept(seconds, LONGEST));
    refuted(&(0_u32..200_000), |seconds| is_kept(seconds, 2 * LONGEST));
}
