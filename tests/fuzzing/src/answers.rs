//! Services that respond as a script says.
//!
//! Format of a script: the name of an operation in the first line, then responses, separated by `%%` lines. A response is a
//! status, one header per line, an empty line, the body. Status `000` is a connection that fails, `001` one that breaks, `002`
//! silence. After the last response every connection breaks.
//!
//! ```text
//! tokens
//! 429
//! retry-after: 3
//!
//! %%
//! 200
//!
//! {"count":0,"results":[]}
//! ```

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use hubkeeper::clock::{Clock, Random};
use hubkeeper::http::{HttpClient, HttpShared, Request, Response, Transport, TransportError, TransportErrorKind};
use hubkeeper_core::time::Timestamp;
use serde_json::Value;
use time::macros::datetime;

use crate::clean::MARKER;

/// Start time of every run.
pub const NOW: Timestamp = datetime!(2026-11-24 10:00 UTC);
/// Time limit of an invocation.
const TIME: Duration = Duration::from_mins(15);
/// Maximum number of responses in a script.
const ANSWERS: usize = 64;

/// One response, or a failure.
#[derive(Clone)]
pub enum Answer {
    /// A response.
    Response(Response),
    /// The connection fails.
    Refused,
    /// The connection breaks.
    Broken,
    /// The service never responds.
    Silence,
}

impl Answer {
    /// A JSON response.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        let mut response = http::Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = status.try_into().unwrap_or_default();
        Self::Response(response)
    }

    fn parse(text: &[u8]) -> Self {
        let (head, body) = divided(text, b"\n\n").unwrap_or((b"200", text));
        let mut lines = head.split(|byte| *byte == b'\n');
        let mut response = http::Response::new(Bytes::copy_from_slice(body));
        match lines.next().unwrap_or_default() {
            b"000" => return Self::Refused,
            b"001" => return Self::Broken,
            b"002" => return Self::Silence,
            status => *response.status_mut() = http::StatusCode::from_bytes(status).unwrap_or_default(),
        }
        for line in lines {
            let Some((name, value)) = divided(line, b": ") else { continue };
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                response.headers_mut().append(name, value);
            }
        }
        Self::Response(response)
    }
}

/// Splits at the first occurrence of `mark`.
fn divided<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    Some((&text[..at], &text[at + mark.len()..]))
}

/// The operation that an input names, and the responses to it. An unknown name in the first line still selects an operation.
pub(crate) fn parse(input: &[u8], operations: &[&'static str]) -> (&'static str, Vec<Answer>) {
    let (name, rest) = divided(input, b"\n").unwrap_or((input, b""));
    let known = operations.iter().find(|known| known.as_bytes() == name);
    let picked = usize::from(name.first().copied().unwrap_or_default()) % operations.len();
    let mut answers = Vec::new();
    let mut rest = rest;
    while !rest.is_empty() && answers.len() < ANSWERS {
        let (answer, more) = divided(rest, b"\n%%\n").unwrap_or((rest, b""));
        answers.push(Answer::parse(answer));
        rest = more;
    }
    (known.copied().unwrap_or(operations[picked]), answers)
}

/// A request that was sent.
pub struct Sent {
    /// The time.
    pub at: Timestamp,
    /// Its host.
    pub host: String,
    /// The status of its response. 0 if there was none.
    pub status: u16,
}

/// A script, and the record of the requests.
pub struct Script {
    answers: Mutex<VecDeque<Answer>>,
    /// The services beside the script.
    beside: fn(&Request) -> Option<Response>,
    sent: Mutex<Vec<Sent>>,
    nanoseconds: Arc<AtomicI64>,
    chance: AtomicU64,
}

impl Script {
    /// A script of these responses.
    #[must_use]
    pub fn new(answers: Vec<Answer>) -> Arc<Self> {
        Self::with(answers, |_| None)
    }

    /// The same, with services beside it that the run does not test.
    pub(crate) fn with(answers: Vec<Answer>, beside: fn(&Request) -> Option<Response>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into()),
            beside,
            sent: Mutex::default(),
            nanoseconds: Arc::default(),
            chance: AtomicU64::new(1),
        })
    }

    /// The HTTP client for the script. Its clock moves only while something waits.
    #[must_use]
    pub fn http_client(self: &Arc<Self>) -> HttpClient {
        HttpClient::new(self.shared(), self.deadline())
    }

    pub(crate) fn shared(self: &Arc<Self>) -> Arc<HttpShared> {
        let (transport, clock, random) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        HttpShared::new(transport, clock, random)
    }

    /// The deadline for requests.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        NOW + TIME
    }

    /// Every request so far.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    /// Ends a run. Nothing may have waited past the deadline.
    ///
    /// # Panics
    /// If something did.
    pub fn end(&self) {
        assert!(self.now() <= self.deadline(), "a wait went past the deadline: {}", self.now());
    }
}

impl Transport for Script {
    fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>> {
        let uri = request.uri().to_string();
        let authorization = request.headers().get(AUTHORIZATION);
        let host = request.uri().host().unwrap_or_default().to_owned();
        // a request for a tag contains the name that Docker Hub returned, whatever it is
        let names_tag = host == "registry-1.docker.io" && uri.contains("/manifests/");
        assert!(uri.starts_with("https://") && (names_tag || !uri.contains(MARKER)), "{uri}");
        // the AWS SDK signs its requests itself; the signature is not secret
        assert!(authorization.is_none_or(|value| value.is_sensitive() || host.ends_with(".amazonaws.com")), "{uri}");
        let beside = (self.beside)(&request);
        let scripted = beside.is_none();
        let answer = match beside {
            Some(response) => Answer::Response(response),
            None => self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Broken),
        };
        let status = match &answer {
            Answer::Response(response) => response.status().as_u16(),
            _ => 0,
        };
        if scripted {
            self.sent.lock().unwrap().push(Sent { at: self.now(), host, status });
        }
        let failed = |kind, detail| Err(TransportError::new(kind, detail));
        Box::pin(async move {
            match answer {
                Answer::Response(response) if response.body().len() > body_limit => {
                    failed(TransportErrorKind::TooLarge, "body over its cap")
                }
                Answer::Response(response) => Ok(response),
                Answer::Refused => failed(TransportErrorKind::Connect, "connection refused"),
                Answer::Broken => failed(TransportErrorKind::Broken, "connection reset"),
                Answer::Silence => std::future::pending().await,
            }
        })
    }
}

impl Clock for Script {
    fn now(&self) -> Timestamp {
        NOW + time::Duration::nanoseconds(self.nanoseconds.load(Ordering::Relaxed))
    }

    /// A wait moves the clock by its duration.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let nanoseconds = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        let until = self.nanoseconds.load(Ordering::Relaxed).saturating_add(nanoseconds);
        let now = Arc::clone(&self.nanoseconds);
        Box::pin(async move {
            now.fetch_max(until, Ordering::Relaxed);
        })
    }
}

impl Random for Script {
    fn next_u64(&self) -> u64 {
        self.chance.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Runs a future of the function to completion, on this thread.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
