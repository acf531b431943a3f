//! Injects time and randomness. The function reads the system's clock and randomness nowhere else, except for the
//! lifetime of a bearer token, which the identity library computes from the system's clock (`azure::entra`).

use std::time::Duration;

use futures_util::future::BoxFuture;
use hubkeeper_core::time::Timestamp;
use time::OffsetDateTime;

/// Tells the time and waits.
pub trait Clock: Send + Sync {
    /// Returns the current time, in UTC.
    fn now(&self) -> Timestamp;
    /// Completes once `duration` has passed on this clock.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Generates numbers that need not be secret: jitter of a back-off, correlation ids.
pub trait Random: Send + Sync {
    /// Returns the next 64 bits.
    fn next_u64(&self) -> u64;

    /// Returns a version 4 UUID, in lower case with hyphens.
    fn uuid(&self) -> String {
        let random = (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64());
        uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid().to_string()
    }
}

/// The system's clock, on tokio's timer.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        OffsetDateTime::now_utc()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The thread's pseudo-random number generator.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next_u64(&self) -> u64 {
        fastrand::u64(..)
    }
}
