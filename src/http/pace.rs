//! What one host asked of us: how many requests at once, and when the next one may go.
//!
//! The three ways in which the services tell a wait: `Retry-After` in seconds or as a date (Docker's reference, ARM),
//! `X-Retry-After` as unix time (Docker, older), `X-RateLimit-Reset` as unix time beside `X-RateLimit-Remaining` (Docker).
//! A [`Host`] lives as long as the process, so it keeps only what can be meant; the rest is kept by the invocation (`Holds`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use hubkeeper_core::time::{Timestamp, until, within_reach};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::Clock;
use crate::http::exchange::Response;

/// Why a request is not let out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The time is up.
    Deadline,
    /// The host asks to wait past the deadline.
    RateLimited,
}

struct Window {
    /// Requests left, less those sent since that was told.
    left: u64,
    /// When the host says that the window ends: tells one window from the next.
    reset: Timestamp,
    /// When it ends for us: 15 minutes after it was first told, at the latest.
    end: Timestamp,
}

/// The waits that one invocation was told and that cannot be meant, by host.
#[derive(Default)]
pub(super) struct Holds(Mutex<HashMap<String, Timestamp>>);

impl Holds {
    /// Holds requests to a host back until the end of a wait.
    pub(super) fn hold(&self, host: &str, end: Timestamp) {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = holds.entry(host.to_owned()).or_insert(end);
        *known = end.max(*known);
    }

    /// How long requests to a host are held back.
    fn left(&self, host: &str, now: Timestamp) -> Duration {
        let holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holds.get(host).map_or(Duration::ZERO, |end| until(now, *end))
    }
}

/// One host: its places, and the shared wait.
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
    /// A host with so many places.
    pub fn new(places: usize) -> Self {
        Self { places: Semaphore::new(places), budget: Mutex::default() }
    }

    /// Waits for a place and for the time that the host named.
    pub(super) async fn admit(
        &self,
        clock: &dyn Clock,
        deadline: Timestamp,
        (holds, name): (&Holds, &str),
    ) -> Result<SemaphorePermit<'_>, Refusal> {
        loop {
            let now = clock.now();
            if now >= deadline {
                return Err(Refusal::Deadline);
            }
            // A closed semaphore does not occur: nothing closes it.
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
            Some(window) if window.end <= now => budget.window = None,
            Some(window) if window.left == 0 => return until(now, window.end),
            Some(window) => window.left -= 1,
            None => {}
        }
        Duration::ZERO
    }

    /// Takes note of what a response says about pace; gives the wait that it asks for, if it asks for one.
    ///
    /// A wait that [`cannot be meant`](Wait::meant) is not noted here, where it would outlive the invocation.
    pub(super) fn note(&self, response: &Response, now: Timestamp) -> Option<Wait> {
        let headers = response.headers();
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        // a count that ends at no possible time says nothing about when to go on: a 429 will say that
        if let (Some(left), Some(asked)) = (number(headers, "x-ratelimit-remaining"), reset(headers, now))
            && let Asked::At(reset) = asked
            && let Wait { end, meant: true } = Wait::until(asked, now)
        {
            match &mut budget.window {
                // an answer that was under way while others were spent must not give them back
                Some(window) if window.reset == reset => window.left = window.left.min(left),
                window => *window = Some(Window { left, reset, end }),
            }
        }
        // ARM's token buckets have no window: what is spent is refilled at 10 or 25 requests a second
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

/// The longest time that an upstream is waited for, whatever it asks: an invocation is over by then.
pub const LONGEST: Duration = Duration::from_mins(15);

/// A longer wait is a mistake: a reset in milliseconds, a year. The longest window of Docker Hub is six hours.
const MEANT: Duration = Duration::from_hours(24);

/// Clocks differ: a time so far in the past still means now. One that is further away says nothing.
const SKEW: Duration = Duration::from_secs(2);

/// A second is the coarsest unit in which a wait is told, so `now` is a little later.
const SHORTEST: Duration = Duration::from_millis(50);

/// A wait that an upstream asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// When it ends: from 50 ms to 15 minutes from now.
    pub end: Timestamp,
    /// Whether it can be meant: at most a day. What cannot be meant holds back the invocation that was told it, and no later one.
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
    /// Later than a timestamp can tell.
    TooFar,
}

/// The wait that a response asks for: `Retry-After` or `X-Retry-After` of a 429 or 503, or the `X-RateLimit-Reset` of a 429.
/// What cannot be read, is negative or lies in the past asks for nothing: the usual back-off applies.
pub fn asked(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Wait> {
    if status != 429 && status != 503 {
        return None;
    }
    let is_over = |asked: &Asked| matches!(asked, Asked::At(at) if *at + SKEW < now);
    let reset = if status == 429 { reset(headers, now) } else { None };
    let asked = [retry_after(headers, now), unix(headers, "x-retry-after"), reset].into_iter().flatten();
    let mut waits = asked.filter(|asked| !is_over(asked)).map(|asked| Wait::until(asked, now));
    // the first that can be meant, in the order of trust; else the first
    let first = waits.next()?;
    Some(if first.meant { first } else { waits.find(|wait| wait.meant).unwrap_or(first) })
}

/// The point in time that `Retry-After` names, in seconds or as a date in any form of RFC 9110.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Asked> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if is_number(text) {
        let seconds = text.parse::<u32>().ok();
        return Some(seconds.map_or(Asked::TooFar, |seconds| Asked::At(now + Duration::from_secs(seconds.into()))));
    }
    httpdate::parse_http_date(text).ok().map(|date| Asked::At(within_reach(date.into())))
}

/// The end of the window of `X-RateLimit-Reset`, where it is still to come.
fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Asked> {
    unix(headers, "x-ratelimit-reset").filter(|asked| !matches!(asked, Asked::At(at) if *at <= now))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// A header in seconds of unix time.
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
