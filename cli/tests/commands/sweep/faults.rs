//! Requests by name, and what happens to them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hubkeeper_sandbox::{Fault, Recorded, Request, Response, Service, world};

use super::Ended;
use crate::site::Site;

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
    /// The service limits the rate, once.
    ThrottledOnce,
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
    pub(super) const ALL: [Kind; 9] = [
        Kind::Unsent,
        Kind::LostOnce,
        Kind::Lost,
        Kind::Broken,
        Kind::ThrottledOnce,
        Kind::Throttled,
        Kind::Denied,
        Kind::KilledBefore,
        Kind::KilledAfter,
    ];

    fn is_once(self) -> bool {
        matches!(self, Kind::LostOnce | Kind::ThrottledOnce | Kind::KilledBefore | Kind::KilledAfter)
    }

    pub(super) fn kills(self) -> bool {
        matches!(self, Kind::KilledBefore | Kind::KilledAfter)
    }

    fn fault(self, service: Service, request: &Request) -> Fault {
        match self {
            Kind::Unsent | Kind::KilledBefore => Fault::ResetBefore,
            Kind::LostOnce | Kind::Lost | Kind::KilledAfter => Fault::ResetAfter,
            Kind::Broken | Kind::ThrottledOnce | Kind::Throttled | Kind::Denied => {
                Fault::Answer(self.answer(service, request))
            }
        }
    }

    /// The error as the service states it.
    fn answer(self, service: Service, request: &Request) -> Response {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_s3 = header("authorization").contains("/s3/aws4_request");
        let (status, code) = match (service, self) {
            (Service::Aws, Kind::Broken) if is_s3 => (500, "InternalError"),
            (Service::Aws, Kind::ThrottledOnce | Kind::Throttled) if is_s3 => (503, "SlowDown"),
            (Service::Aws, Kind::Denied) if is_s3 => (403, "AccessDenied"),
            (Service::Aws, Kind::Broken) if !header("x-amz-target").is_empty() => (500, "InternalServiceError"),
            (Service::Aws, Kind::ThrottledOnce | Kind::Throttled) if !header("x-amz-target").is_empty() => {
                (400, "ThrottlingException")
            }
            (Service::Aws, Kind::Denied) if !header("x-amz-target").is_empty() => (400, "AccessDeniedException"),
            (Service::Aws, Kind::Broken) => (500, "InternalFailure"),
            (Service::Aws, Kind::ThrottledOnce | Kind::Throttled) => (400, "Throttling"),
            (Service::Aws, _) => (403, "AccessDenied"),
            (_, Kind::Broken) => (500, "InternalServerError"),
            (_, Kind::ThrottledOnce | Kind::Throttled) => (429, "TooManyRequests"),
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
        if point.line == AZ {
            // its words are free, so that nothing tells what passes
            if code == 0 || !ended.err.contains("what to do") {
                wrong.push(format!("it ends with {code}: {}", ended.err));
            }
            return wrong;
        }
        // what happens once is no reason to fail
        let expected = match self {
            Kind::LostOnce | Kind::ThrottledOnce => 0,
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
    happened: Arc<AtomicBool>,
    child: Arc<Mutex<Option<Arc<Mutex<Child>>>>>,
    /// The file that the Azure CLI's stand-in leaves.
    file: PathBuf,
}

impl Planted {
    /// Whether it happened.
    pub(super) fn happened(&self) -> bool {
        self.happened.load(Ordering::Relaxed) || self.file.exists()
    }

    /// The process that a fault may kill.
    pub(super) fn may_kill(&self, child: Arc<Mutex<Child>>) {
        *self.child.lock().unwrap() = Some(child);
    }
}

/// The invocations of the function, as points: kinds that break connections do not happen to them.
pub(super) const INVOKE: &str = "invoke";
/// The calls of the Azure CLI, as points.
pub(super) const AZ: &str = "az";

/// Puts faults into the Azure CLI's stand-in: the file `az.fault` holds the number of a call, and the kind.
pub(super) fn may_break_az(site: &Site) {
    fs::rename(site.folder.join("bin/az"), site.folder.join("bin/az.real")).unwrap();
    site.program(
        "az",
        r#"echo call >> az.calls
if [ -e az.fault ]; then
    read -r at kind < az.fault
    calls=0; while read -r _; do calls=$((calls + 1)); done < az.calls
    if [ "$calls" = "$at" ]; then
        mv az.fault az.happened
        case $kind in
        Denied) echo 'ERROR: (AuthorizationFailed) The client has no authorization.' >&2; exit 1 ;;
        Lost) az.real "$@" > /dev/null 2>&1; echo 'ERROR: (ConnectionError) The connection was reset.' >&2; exit 1 ;;
        KilledBefore) kill -9 $PPID; exit 1 ;;
        KilledAfter) az.real "$@"; kill -9 $PPID; exit 1 ;;
        esac
    fi
fi
exec az.real "$@""#,
    );
}

/// Plants a fault.
pub(super) fn plant(site: &Site, point: &Point, kind: Kind) -> Planted {
    let planted = Planted { happened: Arc::default(), child: Arc::default(), file: site.folder.join("az.happened") };
    if point.line == AZ {
        site.file("az.fault", &format!("{} {kind:?}\n", point.nth));
        return planted;
    }
    if point.line == INVOKE {
        let (status, code) = match kind {
            Kind::Throttled => (429, "TooManyRequestsException"),
            Kind::Denied => (403, "AccessDeniedException"),
            _ => (500, "ServiceException"),
        };
        let deployed = site.deployed.as_ref().unwrap();
        deployed.refuse_after(point.nth - 1, status, code, kind == Kind::Lost);
        return planted;
    }
    let (happened, child, point) = (Arc::clone(&planted.happened), Arc::clone(&planted.child), point.clone());
    let mut seen = 0;
    site.world.script(move |_, service, request| {
        if name(&world::line(service, request)) != point.line {
            return None;
        }
        seen += 1;
        let is_hit = if kind.is_once() { seen == point.nth } else { seen >= point.nth };
        if !is_hit {
            return None;
        }
        happened.store(true, Ordering::Relaxed);
        if kind.kills() {
            // it waits for the response: nothing else has it
            let child = child.lock().unwrap().clone().unwrap();
            child.lock().unwrap().kill().unwrap();
        }
        Some(kind.fault(service, request))
    });
    planted
}
