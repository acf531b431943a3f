//! A request, its response, and how it may be sent.

use std::time::Duration;

use bytes::Bytes;

/// An extension of a response: an attempt before it was lost, timed out or failed with 408 or 5xx, so the service may have acted on
/// the request although this response is a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MayHaveActed;

/// A request with its whole body.
pub type Request = http::Request<Bytes>;

/// A response with its whole body.
pub type Response = http::Response<Bytes>;

/// Requests under way to one host at most.
pub const UNDER_WAY: usize = 64;

/// What may be done about a failed attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// Repeating does no harm: broken connections, time-outs, 408, 429 and 5xx are tried again.
    Safe,
    /// Only where the service did not act: a connection that was never made, or a 429.
    Unsent,
}

/// How one request is sent.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Whether it may be repeated.
    pub repeat: Repeat,
    /// Attempts at most; a wait that the service asked for does not count.
    pub attempts: u32,
    /// Time for one attempt, connection included.
    pub timeout: Duration,
    /// Bytes of the response body at most.
    pub body_limit: usize,
}

impl Policy {
    /// For reads, and writes that may be repeated: 4 attempts of 20 s, 1 MiB.
    pub const SAFE: Policy =
        Policy { repeat: Repeat::Safe, attempts: 4, timeout: Duration::from_secs(20), body_limit: 1 << 20 };
    /// For creates: never repeated where the service may have acted.
    pub const CREATE: Policy =
        Policy { repeat: Repeat::Unsent, attempts: 3, timeout: Duration::from_secs(30), body_limit: 1 << 20 };

    /// The same with another time for one attempt.
    #[must_use]
    pub const fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same with another cap on the body.
    #[must_use]
    pub const fn capped(mut self, body_limit: usize) -> Self {
        self.body_limit = body_limit;
        self
    }
}
