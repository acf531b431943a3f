//! Defines a request, its response, and the policy that sends it.

use std::time::Duration;

use bytes::Bytes;

/// Marks a response, as an extension, if an earlier attempt got no response, a timeout, 408 or 5xx. The service may
/// have carried out the request although this response is an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MayHaveActed;

/// A request with its whole body.
pub type Request = http::Request<Bytes>;

/// A response with its whole body.
pub type Response = http::Response<Bytes>;

/// Maximum number of concurrent requests to one host.
pub const UNDER_WAY: usize = 64;

/// Which failed attempts may be retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// The request is safe to repeat: retries broken connections, timeouts, 408, 429 and 5xx.
    Safe,
    /// The request is not safe to repeat: retries only if the service did not carry it out (no connection, or a 429).
    Unsent,
}

/// The policy for sending one request.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Which failed attempts may be retried.
    pub repeat: Repeat,
    /// Maximum number of attempts. A wait that the service requests does not count.
    pub attempts: u32,
    /// Timeout of one attempt, including the connection.
    pub timeout: Duration,
    /// Maximum size of the response body in bytes.
    pub body_limit: usize,
}

impl Policy {
    /// The policy for reads and repeatable writes: 4 attempts of 20 s, 1 MiB.
    pub const SAFE: Policy =
        Policy { repeat: Repeat::Safe, attempts: 4, timeout: Duration::from_secs(20), body_limit: 1 << 20 };
    /// The policy for creates: never retries if the service may have carried out the request.
    pub const CREATE: Policy =
        Policy { repeat: Repeat::Unsent, attempts: 3, timeout: Duration::from_secs(30), body_limit: 1 << 20 };

    /// Returns the policy with another timeout for one attempt.
    #[must_use]
    pub const fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the policy with another cap on the body.
    #[must_use]
    pub const fn capped(mut self, body_limit: usize) -> Self {
        self.body_limit = body_limit;
        self
    }
}
