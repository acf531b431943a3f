//! The one HTTP client: every request of the function, of the AWS SDK and of the identity library goes through
//! [`HttpClient::send`].
//!
//! It guarantees:
//!
//! - A request never outlives the invocation's deadline.
//! - The client waits as long as the service asks, and shares the wait with every request to that host.
//! - At most 64 requests are in progress to one host.
//! - A body never exceeds its cap.
//! - A 401 is never retried.
//! - A request that is not safe to repeat is retried only if the service cannot have carried it out.
//! - Redirects are never followed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::time::{Timestamp, until};
use hubkeeper_core::traffic::{Cost, authority};
use hubkeeper_core::transcript::Transcript;

use super::pace::{self, Holds, Host};
use super::proxy::ProxyFault;
use super::recording::Recording;
use super::tally::Tally;
use super::transport::{Transport, TransportError, TransportErrorKind};
use crate::clock::{Clock, Random};
use crate::http::exchange::{MayHaveActed, Policy, Repeat, Request, Response, UNDER_WAY};
use crate::observer::{Observer, Progress, Silent};

/// Maximum number of 429 responses that one request waits out.
const RATE_LIMITED: u32 = 30;

/// The error of a request without a usable response.
#[derive(Clone, PartialEq, Eq)]
pub struct SendError {
    /// The host of the request.
    pub host: String,
    /// The cause.
    pub cause: Cause,
    /// Whether the service may have carried out the request.
    pub acted: bool,
}

/// The causes of a missing response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The invocation's deadline has passed.
    Deadline,
    /// The service asks to wait beyond the invocation's deadline.
    RateLimited,
    /// The connection could not be established: name resolution, refused connection or TLS.
    Unreachable(String),
    /// The proxy did not connect to the host: the proxy's address and the fault.
    Proxy(String, ProxyFault),
    /// No response within the attempt's timeout.
    Timeout,
    /// The connection broke, or the body ended early.
    Broken(String),
    /// The body exceeds its cap.
    TooLarge,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match &self.cause {
            Cause::Deadline => write!(f, "the invocation ran out of time before {host} responded"),
            Cause::RateLimited => write!(f, "{host} limits the rate of requests for longer than the invocation lasts"),
            Cause::Unreachable(why) => write!(f, "{host} cannot be reached ({why})"),
            Cause::Proxy(address, fault) => f.write_str(&fault.describe(host, address)),
            Cause::Timeout => write!(f, "{host} did not respond in time"),
            Cause::Broken(why) => write!(f, "the connection to {host} broke ({why})"),
            Cause::TooLarge => write!(f, "the response of {host} is too large"),
        }
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SendError {}

/// The state of the HTTP client that lives as long as the process: transport, clock, randomness, and the limits of each
/// host.
pub struct HttpShared {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    observer: Arc<dyn Observer>,
    hosts: Arc<Mutex<HashMap<String, Arc<Host>>>>,
}

impl HttpShared {
    /// Creates the shared state over `transport`.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Arc<Self> {
        Self::observed(transport, clock, random, Arc::new(Silent))
    }

    /// Creates the shared state over `transport`, and tells `observer` how far requests are.
    pub fn observed(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        observer: Arc<dyn Observer>,
    ) -> Arc<Self> {
        Arc::new(Self { transport, clock, random, observer, hosts: Arc::default() })
    }

    /// Creates a client state that notes each exchange in `transcript`. Everything else is shared, the waits that hosts
    /// asked for too.
    pub fn recording(&self, transcript: &Arc<Mutex<Transcript>>) -> Arc<Self> {
        Arc::new(Self {
            transport: Arc::new(Recording::new(Arc::clone(&self.transport), Arc::clone(transcript))),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            observer: Arc::clone(&self.observer),
            hosts: Arc::clone(&self.hosts),
        })
    }

    /// Returns the current time.
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
    /// Implausibly long waits, which apply to this invocation only.
    holds: Arc<Holds>,
    /// What the requests of this invocation cost.
    tally: Arc<Tally>,
    /// The proxy's last fault and its remedy.
    proxy_trouble: Arc<Mutex<Option<SendError>>>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Creates an HTTP client until `deadline`, which must leave time for the report.
    pub fn new(shared: Arc<HttpShared>, deadline: Timestamp) -> Self {
        Self {
            shared,
            deadline,
            out_of_time: Arc::default(),
            holds: Arc::default(),
            tally: Arc::default(),
            proxy_trouble: Arc::default(),
        }
    }

    /// Returns the clock that the requests use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Returns the source of randomness.
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.shared.random
    }

    /// Tells the observer of the process how far the work is.
    pub(crate) fn observe(&self, progress: Progress<'_>) {
        self.shared.observer.observe(progress);
    }

    /// Returns the time at which requests stop.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Returns whether at least `time` is left before the deadline.
    pub fn has(&self, time: Duration) -> bool {
        let enough = self.now() + time < self.deadline;
        if !enough {
            self.out_of_time.store(true, Ordering::Relaxed);
        }
        enough
    }

    /// Returns whether a request failed because of the deadline. Its service then counts as not reached.
    pub fn is_out_of_time(&self) -> bool {
        self.out_of_time.load(Ordering::Relaxed)
    }

    /// Returns what the requests of this invocation cost so far, by host.
    pub fn costs(&self) -> BTreeMap<String, Cost> {
        self.tally.costs()
    }

    /// Counts a login that the service at `base` rejected.
    pub(crate) fn count_refused_login(&self, base: &str) {
        self.tally.refused_login(authority(base));
    }

    /// Counts a call that is sent again after `pause`, because AWS throttled it.
    pub(super) fn count_throttled(&self, request: &Request, pause: Duration) {
        let host = host_of(request);
        self.tally.waited(&host, pause);
        self.tally.retried(&host);
    }

    /// Adds the proxy's remedy to an error that a proxy fault caused, and makes rejected credentials `Misconfigured`.
    ///
    /// Clients know only the text of a [`SendError`], and would recommend to repeat the event.
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

    /// Waits for `duration`. Returns `false` without waiting if the deadline comes first.
    pub async fn wait(&self, duration: Duration) -> bool {
        if !self.has(duration) {
            return false;
        }
        self.shared.clock.sleep(duration).await;
        true
    }

    /// Sends one request under `policy`. A response with any status is a success. A 5xx or 429 is returned only after
    /// the last attempt.
    ///
    /// # Errors
    /// Returns [`SendError`] if no response arrived.
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
            let observer = self.shared.observer.as_ref();
            let limits = (&*self.holds, &*self.tally, name.as_str());
            let permit = host.admit(self.shared.clock.as_ref(), self.deadline, limits, observer).await;
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
                    let is_lock_out = status == 429 && speaks_of_failed_logins(&response);
                    if is_lock_out {
                        self.tally.refused_login(&name);
                    }
                    let again = match status {
                        // a retry would prolong a lock-out
                        429 => !is_lock_out,
                        408 | 500 | 502 | 503 | 504 => policy.repeat == Repeat::Safe,
                        _ => false,
                    };
                    match asked {
                        // the service named a time: `admit` waits for it, and the attempt does not count
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
                    // never retries a rejected password: several of them lock an account
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
            self.tally.retried(&name);
        }
    }

    /// Creates the error of a request, and records it if it concerns the invocation or the proxy.
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
            Either::Right(_) => Err(TransportError::new(TransportErrorKind::Timeout, "no response")),
        }
    }

    /// Returns the back-off: 200 ms doubled for each attempt, at most 5 s, with jitter in the upper half.
    fn back_off(&self, attempt: u32) -> Duration {
        let full = Duration::from_millis(200).saturating_mul(1 << attempt.min(10).saturating_sub(1));
        let half = full.min(Duration::from_secs(5)) / 2;
        let jitter = u32::try_from(self.shared.random.next_u64() % 1024).unwrap_or(0);
        half + half * jitter / 1024
    }
}

/// Returns why the last attempt got no response. `is_over` says whether the invocation's deadline has passed.
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

/// Returns whether a response reports a lock-out after too many failed logins.
pub(crate) fn speaks_of_failed_logins(response: &Response) -> bool {
    let head = &response.body()[..response.body().len().min(500)];
    String::from_utf8_lossy(head).to_ascii_lowercase().contains("failed login")
}

/// Returns host and port of an absolute URI.
fn host_of(request: &Request) -> String {
    request.uri().authority().map_or_else(|| "?".to_owned(), ToString::to_string)
}

/// Joins a base URL and a path that is already percent-encoded.
pub fn join(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}
