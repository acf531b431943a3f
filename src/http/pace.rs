//! Limits the requests to one host: how many run concurrently, and when the next one may start.
//!
//! The services name a wait in three headers: `Retry-After` in seconds or as a date (Docker's reference, ARM),
//! `X-Retry-After` as unix time (Docker, older), and `X-RateLimit-Reset` as unix time beside `X-RateLimit-Remaining`
//! (Docker). A [`Host`] lives as long as the process, so it keeps only plausible waits. The invocation keeps the others
//! (`Holds`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use hubkeeper_core::time::{Timestamp, until, within_reach};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::Clock;
use crate::http::exchange::Response;
use crate::http::tally::Tally;
use crate::observer::{Observer, Progress};

/// The reason why a request is not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The deadline has passed.
    Deadline,
    /// The host asks to wait beyond the deadline.
    RateLimited,
}

struct Window {
    /// Requests left in the window, minus those sent since the host reported the number.
    left: u64,
    /// The end of the window that the host reported, which identifies the window.
    reset: Timestamp,
    /// The end of the window as the client applies it: at most 15 minutes after the host first reported it.
    end: Timestamp,
}

/// The implausibly long waits of one invocation, by host.
#[derive(Default)]
pub(super) struct Holds(Mutex<HashMap<String, Timestamp>>);

impl Holds {
    /// Holds requests to a host until the end of a wait.
    pub(super) fn hold(&self, host: &str, end: Timestamp) {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = holds.entry(host.to_owned()).or_insert(end);
        *known = end.max(*known);
    }

    /// Returns how long requests to a host are still held.
    fn left(&self, host: &str, now: Timestamp) -> Duration {
        let holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holds.get(host).map_or(Duration::ZERO, |end| until(now, *end))
    }
}

/// The limits of one host: concurrent requests, and the shared wait.
pub struct Host {
    places: Semaphore,
    budget: Mutex<Budget>,
}

#[derive(Default)]
struct Budget {
    not_before: Option<Timestamp>,
    window: Option<Window>,
}

impl Host {
    /// Creates a host with a maximum number of concurrent requests.
    pub fn new(places: usize) -> Self {
        Self { places: Semaphore::new(places), budget: Mutex::default() }
    }

    /// Waits until the host has a free slot and the time that it named has come.
    pub(super) async fn admit(
        &self,
        clock: &dyn Clock,
        deadline: Timestamp,
        (holds, tally, name): (&Holds, &Tally, &str),
        observer: &dyn Observer,
    ) -> Result<SemaphorePermit<'_>, Refusal> {
        loop {
            let now = clock.now();
            if now >= deadline {
                return Err(Refusal::Deadline);
            }
            // nothing closes the semaphore, so this never fails
            let permit = self.places.acquire().await.map_err(|_| Refusal::Deadline)?;
            let held = holds.left(name, clock.now());
            let wait = if held.is_zero() { self.spend(clock.now()) } else { held };
            if wait.is_zero() {
                return if clock.now() >= deadline { Err(Refusal::Deadline) } else { Ok(permit) };
            }
            drop(permit);
            if clock.now() + wait >= deadline {
                return Err(Refusal::RateLimited);
            }
            observer.observe(Progress::Waiting { host: name, until: clock.now() + wait });
            clock.sleep(wait).await;
            tally.waited(name, wait);
        }
    }

    /// Takes one request from the window, or returns how long to wait for the next.
    fn spend(&self, now: Timestamp) -> Duration {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = budget.not_before {
            if at > now {
                return until(now, at);
            }
            budget.not_before = None;
        }
        match &mut budget.window {
            Some(window) if window.end <= now => budget.window = None,
            Some(window) if window.left == 0 => return until(now, window.end),
            Some(window) => window.left -= 1,
            None => {}
        }
        Duration::ZERO
    }

    /// Records the limits in a response, and returns the wait that the response asks for, if any.
    ///
    /// An [implausible wait](Wait::meant) is not recorded here, where it would outlive the invocation.
    pub(super) fn note(&self, response: &Response, now: Timestamp) -> Option<Wait> {
        let headers = response.headers();
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        // ignores a count whose window ends at an impossible time: a later 429 names the wait
        if let (Some(left), Some(asked)) = (number(headers, "x-ratelimit-remaining"), reset(headers, now))
            && let Asked::At(reset) = asked
            && let Wait { end, meant: true } = Wait::until(asked, now)
        {
            match &mut budget.window {
                // a late response must not give back requests that others have used since
                Some(window) if window.reset == reset => window.left = window.left.min(left),
                window => *window = Some(Window { left, reset, end }),
            }
        }
        // ARM's token buckets have no window: they refill at 10 or 25 requests a second
        if headers.iter().any(|(name, left)| {
            name.as_str().starts_with("x-ms-ratelimit-remaining-") && left.to_str().is_ok_and(|left| left.trim() == "0")
        }) {
            let refilled = now + Duration::from_secs(1);
            budget.not_before = Some(budget.not_before.map_or(refilled, |known| known.max(refilled)));
        }
        let asked = asked(response.status().as_u16(), headers, now)?;
        if asked.meant {
            budget.not_before = Some(budget.not_before.map_or(asked.end, |known| known.max(asked.end)));
        }
        Some(asked)
    }
}

/// Maximum time that the client waits for a service, whatever it asks for: no invocation lasts longer.
pub const LONGEST: Duration = Duration::from_mins(15);

/// Maximum plausible wait. A longer one is a mistake, such as a reset in milliseconds. The longest window of Docker Hub
/// is six hours.
const MEANT: Duration = Duration::from_hours(24);

/// Tolerated clock skew: a time this far in the past means now, and an older one is ignored.
const SKEW: Duration = Duration::from_secs(2);

/// Minimum wait. Services name waits in whole seconds, so a time of `now` is slightly later.
const SHORTEST: Duration = Duration::from_millis(50);

/// A wait that a service asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// The end of the wait: from 50 ms to 15 minutes from now.
    pub end: Timestamp,
    /// Whether the wait is plausible: at most a day. An implausible wait holds only the invocation that received it.
    pub meant: bool,
}

impl Wait {
    fn until(asked: Asked, now: Timestamp) -> Self {
        let (end, meant) = match asked {
            Asked::At(at) => (at.clamp(now + SHORTEST, now + LONGEST), at <= now + MEANT),
            Asked::TooFar => (now + LONGEST, false),
        };
        Self { end, meant }
    }
}

/// A point in time that a header names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    At(Timestamp),
    /// Later than a timestamp can represent.
    TooFar,
}

/// Parses the wait that a response asks for: `Retry-After` or `X-Retry-After` of a 429 or 503, or `X-RateLimit-Reset`
/// of a 429. Ignores unreadable, negative and past values; the usual back-off then applies.
pub fn asked(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Wait> {
    if status != 429 && status != 503 {
        return None;
    }
    let is_over = |asked: &Asked| matches!(asked, Asked::At(at) if *at + SKEW < now);
    let reset = if status == 429 { reset(headers, now) } else { None };
    let asked = [retry_after(headers, now), unix(headers, "x-retry-after"), reset].into_iter().flatten();
    let mut waits = asked.filter(|asked| !is_over(asked)).map(|asked| Wait::until(asked, now));
    // the first plausible wait in the order of trust, else the first one
    let first = waits.next()?;
    Some(if first.meant { first } else { waits.find(|wait| wait.meant).unwrap_or(first) })
}

/// Parses `Retry-After`: seconds, or a date in any form of RFC 9110.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Asked> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if is_number(text) {
        let seconds = text.parse::<u32>().ok();
        return Some(seconds.map_or(Asked::TooFar, |seconds| Asked::At(now + Duration::from_secs(seconds.into()))));
    }
    httpdate::parse_http_date(text).ok().map(|date| Asked::At(within_reach(date.into())))
}

/// Parses the end of the window from `X-RateLimit-Reset`, if it is in the future.
fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Asked> {
    unix(headers, "x-ratelimit-reset").filter(|asked| !matches!(asked, Asked::At(at) if *at <= now))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Parses a header in seconds of unix time.
fn unix(headers: &HeaderMap, name: &str) -> Option<Asked> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    if !is_number(text) {
        return None;
    }
    let at = text.parse().ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    Some(at.map_or(Asked::TooFar, |at| Asked::At(within_reach(at))))
}

#[cfg(test)]
mod tests;
