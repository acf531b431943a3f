//! What one host asked of us: how many requests at once, and when the next one may go.
//!
//! The three ways in which the services tell a wait: `Retry-After` in seconds or as a date (Docker's reference, ARM),
//! `X-Retry-After` as unix time (Docker, older), `X-RateLimit-Reset` as unix time beside `X-RateLimit-Remaining` (Docker).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Response;
use crate::clock::{Clock, Timestamp, until, within_reach};

/// Why a request is not let out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The time is up.
    Deadline,
    /// The host asks to wait past the deadline.
    RateLimited,
}

/// One host: its places, and the shared wait.
pub struct Host {
    places: Semaphore,
    budget: Mutex<Budget>,
}

#[derive(Default)]
struct Budget {
    not_before: Option<Timestamp>,
    /// Requests left in the window that ends at the second member, less those sent since it was told.
    window: Option<(u64, Timestamp)>,
}

impl Host {
    /// A host with so many places.
    pub fn new(places: usize) -> Self {
        Self { places: Semaphore::new(places), budget: Mutex::default() }
    }

    /// Waits for a place and for the time that the host named.
    pub(super) async fn admit(&self, clock: &dyn Clock, deadline: Timestamp) -> Result<SemaphorePermit<'_>, Refusal> {
        loop {
            let now = clock.now();
            if now >= deadline {
                return Err(Refusal::Deadline);
            }
            // A closed semaphore does not occur: nothing closes it.
            let permit = self.places.acquire().await.map_err(|_| Refusal::Deadline)?;
            let wait = self.spend(clock.now());
            if wait.is_zero() {
                return if clock.now() >= deadline { Err(Refusal::Deadline) } else { Ok(permit) };
            }
            drop(permit);
            if clock.now() + wait >= deadline {
                return Err(Refusal::RateLimited);
            }
            clock.sleep(wait).await;
        }
    }

    /// Takes one request out of the budget, or tells how long to wait for the next.
    fn spend(&self, now: Timestamp) -> Duration {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = budget.not_before {
            if at > now {
                return until(now, at);
            }
            budget.not_before = None;
        }
        match &mut budget.window {
            Some((_, end)) if *end <= now => budget.window = None,
            Some((0, end)) => return until(now, *end),
            Some((left, _)) => *left -= 1,
            None => {}
        }
        Duration::ZERO
    }

    /// Takes note of what a response says about pace; gives the time before which no request may go, if it named one.
    pub(super) fn note(&self, response: &Response, now: Timestamp) -> Option<Timestamp> {
        let headers = response.headers();
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let reset = unix(headers, "x-ratelimit-reset").filter(|reset| *reset > now);
        if let (Some(left), Some(reset)) = (number(headers, "x-ratelimit-remaining"), reset) {
            budget.window = Some(match budget.window {
                // an answer that was under way while others were spent must not give them back
                Some((known, end)) if end == reset => (known.min(left), end),
                _ => (left, reset),
            });
        }
        // ARM's token buckets have no window: what is spent is refilled at 10 or 25 requests a second
        if headers.iter().any(|(name, left)| {
            name.as_str().starts_with("x-ms-ratelimit-remaining-") && left.to_str().is_ok_and(|left| left.trim() == "0")
        }) {
            let refilled = now + Duration::from_secs(1);
            budget.not_before = Some(budget.not_before.map_or(refilled, |known| known.max(refilled)));
        }
        let status = response.status().as_u16();
        if status != 429 && status != 503 {
            return None;
        }
        let asked = retry_after(headers, now).or(if status == 429 { reset } else { None })?;
        // a second is the coarsest unit in which the wait is told
        let asked = asked.max(now + Duration::from_millis(50));
        let at = budget.not_before.map_or(asked, |known| known.max(asked));
        budget.not_before = Some(at);
        Some(at)
    }
}

/// The wait that `Retry-After` or `X-Retry-After` asks for, as a point in time.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get("retry-after").and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(text) = text {
        if let Ok(seconds) = text.parse::<u32>() {
            return Some(now + Duration::from_secs(u64::from(seconds)));
        }
        if let Ok(date) = OffsetDateTime::parse(text, &Rfc2822) {
            return Some(within_reach(date));
        }
    }
    unix(headers, "x-retry-after")
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn unix(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    let seconds = i64::try_from(number(headers, name)?).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok().map(within_reach)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: Timestamp = datetime!(2026-11-24 10:00 UTC);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn each_spelling_of_a_wait_is_understood() {
        let in_30_seconds = NOW + Duration::from_secs(30);
        let unix = in_30_seconds.unix_timestamp().to_string();
        for (name, value) in
            [("retry-after", "30"), ("retry-after", "Tue, 24 Nov 2026 10:00:30 GMT"), ("x-retry-after", unix.as_str())]
        {
            assert_eq!(retry_after(&headers(&[(name, value)]), NOW), Some(in_30_seconds), "{name}: {value}");
        }
        let never = headers(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 -2359")]);
        assert!(retry_after(&never, NOW).unwrap().checked_add(time::Duration::DAY).is_some(), "it can be added to");
        for value in ["", "-1", "soon", "99999999999999999999"] {
            assert_eq!(retry_after(&headers(&[("retry-after", value)]), NOW), None, "{value}");
        }
    }

    #[test]
    fn a_spent_window_holds_every_request_back_until_it_ends() {
        let host = Host::new(4);
        let reset = NOW + Duration::from_secs(20);
        let mut response = http::Response::new(bytes::Bytes::new());
        *response.headers_mut() =
            headers(&[("x-ratelimit-remaining", "2"), ("x-ratelimit-reset", &reset.unix_timestamp().to_string())]);
        assert_eq!(host.note(&response, NOW), None);
        assert_eq!(host.spend(NOW), Duration::ZERO);
        assert_eq!(host.spend(NOW), Duration::ZERO);
        assert_eq!(host.spend(NOW), Duration::from_secs(20));
        assert_eq!(host.spend(reset), Duration::ZERO);
    }

    #[test]
    fn an_answer_under_way_does_not_give_spent_requests_back() {
        let host = Host::new(4);
        let reset = (NOW + Duration::from_secs(20)).unix_timestamp().to_string();
        let response = |left: &str| {
            let mut response = http::Response::new(bytes::Bytes::new());
            *response.headers_mut() = headers(&[("x-ratelimit-remaining", left), ("x-ratelimit-reset", &reset)]);
            response
        };
        host.note(&response("1"), NOW);
        assert_eq!(host.spend(NOW), Duration::ZERO);
        host.note(&response("2"), NOW);
        assert_eq!(host.spend(NOW), Duration::from_secs(20));
    }

    fn response(status: u16, pairs: &[(&'static str, &str)]) -> Response {
        let mut response = http::Response::new(bytes::Bytes::new());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = headers(pairs);
        response
    }

    #[test]
    fn a_wait_is_one_only_with_a_status_that_says_so() {
        let soon = (NOW + Duration::from_secs(20)).unix_timestamp().to_string();
        let present = NOW.unix_timestamp().to_string();
        let noted = |status: u16, name: &'static str, value: &str| {
            Host::new(1).note(&response(status, &[(name, value)]), NOW).map(|at| at - NOW)
        };
        let seconds = time::Duration::seconds;
        assert_eq!(noted(429, "retry-after", "3"), Some(seconds(3)));
        assert_eq!(noted(503, "retry-after", "3"), Some(seconds(3)));
        assert_eq!(noted(200, "retry-after", "3"), None);
        assert_eq!(noted(429, "retry-after", "0"), Some(time::Duration::milliseconds(50)));
        for (status, at, expected) in [(429, &soon, Some(seconds(20))), (503, &soon, None), (429, &present, None)] {
            assert_eq!(noted(status, "x-ratelimit-reset", at), expected, "{status} {at}");
        }
    }

    #[test]
    fn a_new_window_gives_new_requests() {
        let host = Host::new(1);
        let window = |left: &str, seconds: u64| {
            let reset = (NOW + Duration::from_secs(seconds)).unix_timestamp().to_string();
            response(200, &[("x-ratelimit-remaining", left), ("x-ratelimit-reset", &reset)])
        };
        host.note(&window("0", 20), NOW);
        assert_eq!(host.spend(NOW), Duration::from_secs(20));
        host.note(&window("1", 30), NOW);
        assert_eq!(host.spend(NOW), Duration::ZERO);
        assert_eq!(host.spend(NOW), Duration::from_secs(30));
    }

    #[test]
    fn a_wait_that_is_over_does_not_hide_the_window() {
        let host = Host::new(1);
        let reset = (NOW + Duration::from_secs(20)).unix_timestamp().to_string();
        let both = [("retry-after", "5"), ("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", &reset)];
        host.note(&response(429, &both), NOW);
        assert_eq!(host.spend(NOW + Duration::from_secs(4)), Duration::from_secs(1));
        let over = NOW + Duration::from_secs(5);
        assert_eq!(host.spend(over), Duration::ZERO);
        assert_eq!(host.spend(over), Duration::from_secs(15));
    }

    #[test]
    fn an_empty_bucket_of_arm_holds_requests_back_for_a_second() {
        for (name, value, expected) in [
            ("x-ms-ratelimit-remaining-subscription-reads", "0", 1),
            ("x-ms-ratelimit-remaining-subscription-reads", "7", 0),
            ("x-other", "0", 0),
        ] {
            let host = Host::new(1);
            assert_eq!(host.note(&response(200, &[(name, value)]), NOW), None);
            assert_eq!(host.spend(NOW), Duration::from_secs(expected), "{name}: {value}");
        }
    }

    /// A clock that goes on while somebody sleeps.
    struct Hands(std::sync::Arc<Mutex<Timestamp>>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }

        fn sleep(&self, duration: Duration) -> futures_util::future::BoxFuture<'static, ()> {
            let hands = std::sync::Arc::clone(&self.0);
            Box::pin(async move { *hands.lock().unwrap() += duration })
        }
    }

    #[tokio::test]
    async fn a_request_waits_as_long_as_the_deadline_lets_it() {
        for (asked, deadline, expected) in [
            (0, 10, Ok(0)),
            (5, 10, Ok(5)),
            (10, 10, Err(Refusal::RateLimited)),
            (15, 10, Err(Refusal::RateLimited)),
            (0, 0, Err(Refusal::Deadline)),
        ] {
            let (host, clock) = (Host::new(1), Hands(std::sync::Arc::new(Mutex::new(NOW))));
            if asked > 0 {
                host.note(&response(429, &[("retry-after", &asked.to_string())]), NOW);
            }
            let admitted = host.admit(&clock, NOW + Duration::from_secs(deadline)).await;
            let waited = clock.now() - NOW;
            assert_eq!(admitted.map(|_| waited), expected.map(time::Duration::seconds), "{asked} {deadline}");
            assert!(expected.is_ok() || waited.is_zero(), "who is refused does not wait first");
        }
    }
}
