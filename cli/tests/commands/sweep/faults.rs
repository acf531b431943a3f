//! Requests by name, and what happens to them.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hubkeeper_sandbox::{Fault, Recorded, Request, Response, Service, World, world};

use super::Ended;

/// One request: what it is, and which of its kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Point {
    pub(super) line: String,
    pub(super) nth: usize,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.line, self.nth)
    }
}

/// A request without what differs between worlds.
fn name(line: &str) -> String {
    line.split("versionId=").next().unwrap_or_default().to_owned()
}

/// The requests of a record, and whether each writes.
pub(super) fn points(record: &[Recorded]) -> Vec<(Point, bool)> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let point = |entry: &Recorded| {
        let line = name(&entry.line());
        let nth = seen.entry(line.clone()).or_default();
        *nth += 1;
        (Point { line, nth: *nth }, entry.is_write())
    };
    record.iter().map(point).collect()
}

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The connection breaks before it is handled, each time.
    Unsent,
    /// It is handled, and its response is lost, once.
    LostOnce,
    /// It is handled, and its response is lost, each time.
    Lost,
    /// The service fails, each time.
    Broken,
    /// The service limits the rate, each time.
    Throttled,
    /// The caller has no right to it.
    Denied,
    /// The process is killed before it is handled.
    KilledBefore,
    /// The process is killed after it was handled.
    KilledAfter,
}

impl Kind {
    /// Each kind, for writes.
    pub(super) const ALL: [Kind; 8] = [
        Kind::Unsent,
        Kind::LostOnce,
        Kind::Lost,
        Kind::Broken,
        Kind::Throttled,
        Kind::Denied,
        Kind::KilledBefore,
        Kind::KilledAfter,
    ];

    fn is_once(self) -> bool {
        matches!(self, Kind::LostOnce | Kind::KilledBefore | Kind::KilledAfter)
    }

    pub(super) fn kills(self) -> bool {
        matches!(self, Kind::KilledBefore | Kind::KilledAfter)
    }

    fn fault(self, service: Service, request: &Request) -> Fault {
        match self {
            Kind::Unsent | Kind::KilledBefore => Fault::ResetBefore,
            Kind::LostOnce | Kind::Lost | Kind::KilledAfter => Fault::ResetAfter,
            Kind::Broken | Kind::Throttled | Kind::Denied => Fault::Answer(self.answer(service, request)),
        }
    }

    /// The error as the service states it.
    fn answer(self, service: Service, request: &Request) -> Response {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_s3 = header("authorization").contains("/s3/aws4_request");
        let (status, code) = match (service, self) {
            (Service::Aws, Kind::Broken) if is_s3 => (500, "InternalError"),
            (Service::Aws, Kind::Throttled) if is_s3 => (503, "SlowDown"),
            (Service::Aws, Kind::Denied) if is_s3 => (403, "AccessDenied"),
            (Service::Aws, Kind::Broken) if !header("x-amz-target").is_empty() => (500, "InternalServiceError"),
            (Service::Aws, Kind::Throttled) if !header("x-amz-target").is_empty() => (400, "ThrottlingException"),
            (Service::Aws, Kind::Denied) if !header("x-amz-target").is_empty() => (400, "AccessDeniedException"),
            (Service::Aws, Kind::Broken) => (500, "InternalFailure"),
            (Service::Aws, Kind::Throttled) => (400, "Throttling"),
            (Service::Aws, _) => (403, "AccessDenied"),
            (_, Kind::Broken) => (500, "InternalServerError"),
            (_, Kind::Throttled) => (429, "TooManyRequests"),
            (_, _) => (403, "AuthorizationFailed"),
        };
        let body = match service {
            Service::Aws if is_s3 => format!("<Error><Code>{code}</Code><Message>m</Message></Error>"),
            Service::Aws if header("x-amz-target").is_empty() => {
                format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>"
                )
            }
            Service::Aws => format!(r#"{{"__type":"{code}","message":"m"}}"#),
            _ => format!(r#"{{"error":{{"code":"{code}","message":"m"}},"message":"m"}}"#),
        };
        let kind = if body.starts_with('<') { "text/xml" } else { "application/json" };
        http::Response::builder().status(status).header("content-type", kind).body(Bytes::from(body)).unwrap()
    }

    /// What is wrong with how the command ended.
    pub(super) fn dishonest(self, point: &Point, ended: &Ended) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.kills() {
            if ended.code.is_some() {
                wrong.push(format!("it was not killed, and ends with {:?}", ended.code));
            }
            return wrong;
        }
        let Some(code) = ended.code else { return vec!["it crashed".to_owned()] };
        // one lost response is no reason to fail
        let expected = match self {
            Kind::LostOnce => 0,
            Kind::Denied => 4,
            _ => 3,
        };
        if code != expected {
            wrong.push(format!("it ends with {code}, not {expected}"));
        }
        let action = point.line.strip_prefix("POST ").filter(|action| !action.starts_with('/'));
        let step = action.unwrap_or(if point.line.contains("/hubkeeper-") { "bucket" } else { "" });
        if !ended.err.contains("error: ") || !ended.err.contains("what to do") || !ended.err.contains(step) {
            wrong.push(format!("it does not say what failed and what to do: {}", ended.err));
        }
        if self == Kind::Denied && !ended.err.contains("you need the right") && step != "GetCallerIdentity" {
            wrong.push("it names no right".to_owned());
        }
        let blames = ["you need the right", "correct what", "check --", "not accepted"];
        if expected == 3 && blames.iter().any(|words| ended.err.contains(words)) {
            wrong.push("it blames the person for a fault that passes".to_owned());
        }
        wrong
    }
}

/// A fault that waits for its request.
pub(super) struct Planted {
    hits: Arc<AtomicUsize>,
    child: Arc<Mutex<Option<Arc<Mutex<Child>>>>>,
}

impl Planted {
    /// How often it happened.
    pub(super) fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    /// The process that a fault may kill.
    pub(super) fn may_kill(&self, child: Arc<Mutex<Child>>) {
        *self.child.lock().unwrap() = Some(child);
    }
}

/// Plants a fault.
pub(super) fn plant(world: &World, point: &Point, kind: Kind) -> Planted {
    let planted = Planted { hits: Arc::default(), child: Arc::default() };
    let (hits, child, point) = (Arc::clone(&planted.hits), Arc::clone(&planted.child), point.clone());
    let mut seen = 0;
    world.script(move |_, service, request| {
        if name(&world::line(service, request)) != point.line {
            return None;
        }
        seen += 1;
        let is_hit = if kind.is_once() { seen == point.nth } else { seen >= point.nth };
        if !is_hit {
            return None;
        }
        hits.fetch_add(1, Ordering::Relaxed);
        if kind.kills() {
            // it waits for the response: nothing else has it
            let child = child.lock().unwrap().clone().unwrap();
            child.lock().unwrap().kill().unwrap();
        }
        Some(kind.fault(service, request))
    });
    planted
}
