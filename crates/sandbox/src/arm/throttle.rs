//! Throttling by token buckets: one for each subscription, principal and kind of operation (Microsoft, "Understand how Azure
//! Resource Manager throttles requests").

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

use super::refusal::{Refusal, arm};

/// The size of a token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Requests in a full bucket.
    pub capacity: u32,
    /// Requests refilled per second.
    pub refill_per_second: u32,
}

/// The buckets. The default has Microsoft's figures.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    /// GET and HEAD: 250, 25 a second.
    pub reads: Bucket,
    /// PUT and PATCH: 200, 10 a second.
    pub writes: Bucket,
    /// DELETE: 200, 10 a second.
    pub deletes: Bucket,
    /// Value of `Retry-After`, in seconds. An earlier retry is rejected and restarts the wait. Default 5.
    pub retry_after: u32,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            reads: Bucket { capacity: 250, refill_per_second: 25 },
            writes: Bucket { capacity: 200, refill_per_second: 10 },
            deletes: Bucket { capacity: 200, refill_per_second: 10 },
            retry_after: 5,
        }
    }
}

struct Level {
    /// Thousandths of a request.
    left: i64,
    at: OffsetDateTime,
    blocked_until: Option<OffsetDateTime>,
}

/// Current levels of the buckets.
#[derive(Default)]
pub(super) struct Spending(BTreeMap<(String, String, &'static str), Level>);

impl Spending {
    /// Takes one request out of a bucket and returns what is left.
    pub(super) fn take(
        &mut self,
        throttle: &Throttle,
        now: OffsetDateTime,
        subscription: &str,
        client: &str,
        method: &str,
    ) -> Result<u32, Refusal> {
        let (kind, bucket) = match method {
            "GET" | "HEAD" => ("read", throttle.reads),
            "DELETE" => ("delete", throttle.deletes),
            _ => ("write", throttle.writes),
        };
        let full = i64::from(bucket.capacity) * 1_000;
        let key = (subscription.to_lowercase(), client.to_owned(), kind);
        let level = self.0.entry(key).or_insert(Level { left: full, at: now, blocked_until: None });
        let passed = i64::try_from((now - level.at).whole_milliseconds()).unwrap_or(0).max(0);
        level.left = full.min(level.left + passed * i64::from(bucket.refill_per_second));
        level.at += Duration::milliseconds(passed);
        if level.blocked_until.is_some_and(|until| now < until) || level.left < 1_000 {
            level.blocked_until = Some(now + Duration::seconds(throttle.retry_after.into()));
            let text = format!(
                "Number of '{kind}' requests for subscription '{subscription}' exceeded the limit. Please try again after \
                 '{}' seconds.",
                throttle.retry_after
            );
            let refusal = arm(429, "SubscriptionRequestsThrottled", text);
            return Err(Refusal { retry_after: Some(throttle.retry_after), ..refusal });
        }
        level.blocked_until = None;
        level.left -= 1_000;
        Ok(u32::try_from(level.left / 1_000).unwrap_or(0))
    }
}
