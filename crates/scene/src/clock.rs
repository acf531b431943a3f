//! Simulated time and reproducible randomness.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubkeeper::clock::{Clock, Random};
use hubkeeper_core::time::Timestamp;
use time::macros::datetime;

/// Simulated time: tokio's paused clock from a fixed start. The second field is the offset of this clock.
#[derive(Clone, Copy)]
pub struct SimClock(pub(crate) tokio::time::Instant, pub(crate) time::Duration);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        datetime!(2026-11-24 10:00 UTC) + self.0.elapsed() + self.1
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

pub(crate) struct Counting(pub(crate) AtomicUsize);

impl Random for Counting {
    fn next_u64(&self) -> u64 {
        let n = self.0.fetch_add(1, Ordering::Relaxed) as u64;
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}
