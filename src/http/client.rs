//! The one HTTP client: every request of the function, of the AWS SDK and of the identity library passes [`HttpClient::send`].
//!
//! Promises: a request never outlives the invocation's deadline; what the service asks to wait is waited (and shared by
//! every request to that host); at most 64 requests are under way to one host; a body is cut off at its cap; a 401 is
//! never retried; a request that is not safe to repeat is sent again only where the service cannot have acted on it.
//! Redirects are not followed, whatever the request carries.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::time::{Timestamp, until};

use super::pace::{self, Holds, Host};
use super::proxy::ProxyFault;
use super::transport::{Transport, TransportError, TransportErrorKind};
use crate::clock::{Clock, Random};
use crate::http::exchange::{MayHaveActed, Policy, Repeat, Request, Response, UNDER_WAY};

/// Answers 429 that one request waits out at most: a service that goes on saying so is not asked for ever.
const RATE_LIMITED: u32 = 30;

/// Why no usable answer came.
#[derive(Clone, PartialEq, Eq)]
pub struct SendError {
    /// The host that was asked.
    pub host: String,
    /// What happened.
    pub cause: Cause,
    /// Whether the service may have acted on the request.
    pub acted: bool,
}

/// The ways to get no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The invocation's time is up.
    Deadline,
    /// The service asks to wait past the invocation's time.
    RateLimited,
    /// No connection: name, refusal, TLS.
    Unreachable(String),
    /// The proxy did not lead to the host: which proxy, and why.
    Proxy(String, ProxyFault),
    /// No answer within the attempt's time.
    Timeout,
    /// The connection broke, or the body ended early.
    Broken(String),
    /// The body is larger than its cap.
    TooLarge,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match &self.cause {
            Cause::Deadline => write!(f, "the invocation's time was up before {host} answered"),
            Cause::RateLimited => write!(f, "{host} is rate limited beyond the invocation's time"),
            Cause::Unreachable(why) => write!(f, "{host} cannot be reached ({why})"),
            Cause::Proxy(address, fault) => f.write_str(&fault.describe(host, address)),
            Cause::Timeout => write!(f, "{host} did not answer in time"),
            Cause::Broken(why) => write!(f, "the connection to {host} broke ({why})"),
            Cause::TooLarge => write!(f, "the answer of {host} is too large"),
        }
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SendError {}

/// What lives as long as the process: the transport, time, chance, and what each host asked of us.
pub struct HttpShared {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl HttpShared {
    /// An HTTP client over `transport`.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Arc<Self> {
        Arc::new(Self { transport, clock, random, hosts: Mutex::default() })
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hosts.entry(name.to_owned()).or_insert_with(|| Arc::new(Host::new(UNDER_WAY))))
    }
}

/// The HTTP client of one invocation: [`HttpShared`] and a deadline.
#[derive(Clone)]
pub struct HttpClient {
    shared: Arc<HttpShared>,
    deadline: Timestamp,
    out_of_time: Arc<AtomicBool>,
    /// Waits that cannot be meant: they end with the invocation.
    holds: Arc<Holds>,
    /// What the proxy did last, and what to do about it.
    proxy_trouble: Arc<Mutex<Option<SendError>>>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// An HTTP client until `deadline`, which leaves time for the report.
    pub fn new(shared: Arc<HttpShared>, deadline: Timestamp) -> Self {
        Self { shared, deadline, out_of_time: Arc::default(), holds: Arc::default(), proxy_trouble: Arc::default() }
    }

    /// The clock that the requests run on.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Chance.
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.shared.random
    }

    /// When requests stop.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Whether so much time is left before the deadline.
    pub fn has(&self, time: Duration) -> bool {
        let enough = self.now() + time < self.deadline;
        if !enough {
            self.out_of_time.store(true, Ordering::Relaxed);
        }
        enough
    }

    /// Whether something was given up because the deadline comes first: what failed then was not reached.
    pub fn is_out_of_time(&self) -> bool {
        self.out_of_time.load(Ordering::Relaxed)
    }

    /// An error that was made of what the proxy did gets the remedy for that; rejected credentials are `Misconfigured`.
    ///
    /// Clients know a [`SendError`] by its text alone, and would say "repeat the event".
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        let trouble = self.proxy_trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &*trouble {
            Some(SendError { host, cause: Cause::Proxy(address, fault), .. })
                if error.kind() == Kind::Retryable && error.what().contains(&fault.describe(host, address)) =>
            {
                let kind = if *fault == ProxyFault::Credentials { Kind::Misconfigured } else { Kind::Retryable };
                error.with(kind, fault.remedy(host, address))
            }
            _ => error,
        }
    }

    /// Waits, unless the deadline comes first.
    ///
    /// # Errors
    /// Gives `false` without waiting where the deadline comes first.
    pub async fn wait(&self, duration: Duration) -> bool {
        if !self.has(duration) {
            return false;
        }
        self.shared.clock.sleep(duration).await;
        true
    }

    /// Sends one request under `policy`. A response of any status is a success here; 5xx and 429 come back only once
    /// the attempts are used up.
    ///
    /// # Errors
    /// [`SendError`] where no answer came.
    pub async fn send(&self, request: Request, policy: Policy) -> Result<Response, SendError> {
        let name = host_of(&request);
        let host = self.shared.host(&name);
        let fail = |cause, acted| self.failed(&name, cause, acted);
        let mut acted = false;
        let mut failed = false;
        let mut attempt = 0;
        let mut limited = 0;
        loop {
            attempt += 1;
            let permit = host.admit(self.shared.clock.as_ref(), self.deadline, (&self.holds, &name)).await;
            let permit = permit.map_err(|refusal| {
                fail(if refusal == pace::Refusal::Deadline { Cause::Deadline } else { Cause::RateLimited }, acted)
            })?;
            let outcome = self.attempt(&request, policy).await;
            drop(permit);
            let now = self.now();
            let wait = match outcome {
                Ok(mut response) => {
                    let asked = host.note(&response, now);
                    if let Some(wait) = asked.filter(|wait| !wait.meant) {
                        self.holds.hold(&name, wait.end);
                    }
                    let status = response.status().as_u16();
                    if acted || failed {
                        response.extensions_mut().insert(MayHaveActed);
                    }
                    failed |= matches!(status, 408 | 500..=599);
                    let again = match status {
                        // asking on would prolong a lock-out
                        429 => !speaks_of_failed_logins(&response),
                        408 | 500 | 502 | 503 | 504 => policy.repeat == Repeat::Safe,
                        _ => false,
                    };
                    match asked {
                        // the service said when: `admit` waits for it, and the attempt does not count
                        Some(_) if again && status == 429 && limited < RATE_LIMITED => {
                            limited += 1;
                            attempt -= 1;
                            Duration::ZERO
                        }
                        Some(_) if again && attempt < policy.attempts => Duration::ZERO,
                        _ if again && attempt < policy.attempts => self.back_off(attempt),
                        _ => return Ok(response),
                    }
                }
                Err(error) => {
                    let sent = !matches!(error.kind, TransportErrorKind::Connect | TransportErrorKind::Proxy(..));
                    acted |= sent;
                    // a rejected password is not tried again: enough of them lock an account
                    let is_final = matches!(
                        error.kind,
                        TransportErrorKind::TooLarge | TransportErrorKind::Proxy(_, ProxyFault::Credentials)
                    );
                    let again = !is_final && (policy.repeat == Repeat::Safe || !sent);
                    if !again || attempt >= policy.attempts {
                        return Err(fail(cause(error, now >= self.deadline), acted));
                    }
                    self.back_off(attempt)
                }
            };
            if !wait.is_zero() && !self.wait(wait).await {
                return Err(fail(Cause::Deadline, acted));
            }
        }
    }

    /// The failure of a request, which is kept where it tells about the invocation or the proxy.
    fn failed(&self, host: &str, cause: Cause, acted: bool) -> SendError {
        if matches!(cause, Cause::Deadline | Cause::RateLimited) {
            self.out_of_time.store(true, Ordering::Relaxed);
        }
        let error = SendError { host: host.to_owned(), cause, acted };
        if matches!(error.cause, Cause::Proxy(..)) {
            *self.proxy_trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
        error
    }

    async fn attempt(&self, request: &Request, policy: Policy) -> Result<Response, TransportError> {
        let time = policy.timeout.min(until(self.now(), self.deadline));
        let sent = self.shared.transport.send(request.clone(), policy.body_limit);
        let late = self.shared.clock.sleep(time);
        match select(sent, late).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(TransportError::new(TransportErrorKind::Timeout, "no answer")),
        }
    }

    /// 200 ms doubled for each attempt, up to 5 s, with the upper half left to chance.
    fn back_off(&self, attempt: u32) -> Duration {
        let full = Duration::from_millis(200).saturating_mul(1 << attempt.min(10).saturating_sub(1));
        let half = full.min(Duration::from_secs(5)) / 2;
        let jitter = u32::try_from(self.shared.random.next_u64() % 1024).unwrap_or(0);
        half + half * jitter / 1024
    }
}

/// Why the last attempt got no answer. `is_over` tells whether the invocation's time is up.
fn cause(error: TransportError, is_over: bool) -> Cause {
    match error.kind {
        TransportErrorKind::Connect => Cause::Unreachable(error.detail),
        TransportErrorKind::Proxy(address, fault) => Cause::Proxy(address, fault),
        TransportErrorKind::Timeout if is_over => Cause::Deadline,
        TransportErrorKind::Timeout => Cause::Timeout,
        TransportErrorKind::Broken => Cause::Broken(error.detail),
        TransportErrorKind::TooLarge => Cause::TooLarge,
    }
}

/// Whether a response is the lock-out after too many failed logins.
pub(crate) fn speaks_of_failed_logins(response: &Response) -> bool {
    let head = &response.body()[..response.body().len().min(500)];
    String::from_utf8_lossy(head).to_ascii_lowercase().contains("failed login")
}

/// Host and port of an absolute URI.
fn host_of(request: &Request) -> String {
    request.uri().authority().map_or_else(|| "?".to_owned(), ToString::to_string)
}

/// A base URL with a path that is already percent-encoded.
pub fn join(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}
