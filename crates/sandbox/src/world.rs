//! The state of all services, the single entry point to them, the record of requests, and the faults that a test injects.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use time::macros::format_description;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::{arm, aws, entra, hub, registry, responses};

/// A request with its whole body. The URI is absolute or starts at the path: services read only path and query.
pub type Request = http::Request<Bytes>;
/// A response with its whole body.
pub type Response = http::Response<Bytes>;

/// The services of the sandbox, one listener each behind sockets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Service {
    /// Secrets Manager, SQS, STS, IAM, `CloudWatch`, SNS and `EventBridge` Scheduler, as behind `AWS_ENDPOINT_URL`. `X-Amz-Target`,
    /// the form's `Version`, or the path distinguishes them.
    Aws,
    /// Entra: `POST /{tenant}/oauth2/v2.0/token`, https only.
    Entra,
    /// Azure Resource Manager: connectors and their health reports, subscriptions, plans, permissions and policies.
    Arm,
    /// `hub.docker.com`.
    Hub,
    /// `auth.docker.io`.
    HubAuth,
    /// `registry-1.docker.io`.
    Registry,
    /// The bucket in which `CloudFormation` receives the responses of custom resources.
    Responses,
}

impl Service {
    /// Every service.
    pub const ALL: [Service; 7] = [
        Service::Aws,
        Service::Entra,
        Service::Arm,
        Service::Hub,
        Service::HubAuth,
        Service::Registry,
        Service::Responses,
    ];

    /// The service of a real host name, for runs in one process with the default endpoints.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Service> {
        match host {
            "hub.docker.com" => Some(Service::Hub),
            "auth.docker.io" => Some(Service::HubAuth),
            "registry-1.docker.io" => Some(Service::Registry),
            "management.azure.com" | "management.usgovcloudapi.net" => Some(Service::Arm),
            "login.microsoftonline.com" | "login.microsoftonline.us" => Some(Service::Entra),
            responses::HOST => Some(Service::Responses),
            _ if host.ends_with(".amazonaws.com") => Some(Service::Aws),
            _ => None,
        }
    }
}

/// A fault in one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The service returns this response and does not handle the request.
    Answer(Response),
    /// The service handles the request. This response replaces its own.
    AnswerAfter(Response),
    /// The connection breaks before the request is handled.
    ResetBefore,
    /// The connection breaks after the service handled the request.
    ResetAfter,
    /// The service handles the request. No response ever arrives.
    Hang,
    /// The service handles the request. The response body is cut in half; `Content-Length` is unchanged.
    Truncate,
}

/// No response arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// The connection was reset.
    Reset,
    /// The response never arrives. The client waits until its own timeout.
    Hang,
    /// The body ended early.
    Truncated,
}

/// One request and its result.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Position in the order of handling.
    pub index: usize,
    /// The service.
    pub service: Service,
    /// The time, on the world's clock.
    pub at: OffsetDateTime,
    /// The request.
    pub request: Request,
    /// The service's response. `None` if it did not handle the request.
    pub response: Option<Response>,
    /// Whether a fault was injected.
    pub faulted: bool,
}

impl Recorded {
    /// `METHOD path?query` (AWS: `METHOD Action`, except for Scheduler, which has paths), for messages and matching.
    #[must_use]
    pub fn line(&self) -> String {
        line(self.service, &self.request)
    }

    /// Whether the request can change state: every method but GET and HEAD, except logins, token exchanges, AWS's reads, and the
    /// check of Azure's policies.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match self.service {
            Service::Aws => aws::is_write(&self.request),
            Service::Entra | Service::HubAuth | Service::Registry | Service::Responses => false,
            Service::Arm => arm::is_write(&self.request),
            Service::Hub => {
                !matches!(self.request.method().as_str(), "GET" | "HEAD")
                    && !matches!(
                        self.request.uri().path().trim_end_matches('/'),
                        "/v2/auth/token" | "/v2/users/login" | "/v2/users/2fa-login"
                    )
            }
        }
    }
}

/// A request as [`Recorded::line`] shows it.
#[must_use]
pub fn line(service: Service, request: &Request) -> String {
    if service == Service::Aws && !aws::has_path(request) {
        return format!("{} {}", request.method(), aws::action(request).unwrap_or_else(|| "?".to_owned()));
    }
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    format!("{} {path}", request.method())
}

type Script = Box<dyn FnMut(&State, Service, &Request) -> Option<Fault> + Send>;
type Watch = Box<dyn FnMut(&State, &Recorded) + Send>;
type Now = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// The state of every service. Tests act as a person or another program by reading and changing it directly.
pub struct State {
    /// How far the services' clocks in the `Date` headers are ahead of the world's. Default zero.
    pub date_skew: Duration,
    /// AWS.
    pub aws: aws::Aws,
    /// Entra: applications, federated credentials, issued bearers.
    pub entra: entra::Entra,
    /// Azure: subscriptions, resource groups, connectors.
    pub arm: arm::Arm,
    /// Docker Hub: users, organizations, teams, repositories, tokens.
    pub hub: hub::Hub,
    /// The registry's own state. [`hub::Hub`] holds the tokens that `auth.docker.io` issues.
    pub registry: registry::Registry,
    /// Responses of custom resources.
    pub responses: responses::Responses,
    random: StdRng,
    now: Now,
}

impl State {
    /// The world's clock.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        (self.now)()
    }

    /// The services' clock, as a `Date` header shows it.
    pub(crate) fn date(&self) -> String {
        let format =
            format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
        (self.now() + self.date_skew).to_offset(UtcOffset::UTC).format(format).unwrap_or_default()
    }

    /// The response with the `Date` header that every service sends.
    fn dated(&self, mut response: Response) -> Response {
        if let Ok(date) = http::HeaderValue::try_from(self.date()) {
            response.headers_mut().entry(http::header::DATE).or_insert(date);
        }
        response
    }

    /// A uuid in its usual spelling. The same seed gives the same sequence.
    pub fn uuid(&mut self) -> String {
        let bits: u128 = self.random.r#gen();
        let hex = format!("{bits:032x}");
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// `length` random characters of `A-Za-z0-9`. The same seed gives the same sequence.
    pub fn random_text(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..length).map(|_| char::from(LETTERS[self.random.next_u32() as usize % LETTERS.len()])).collect()
    }
}

struct Inner {
    state: State,
    record: Vec<Recorded>,
    script: Option<Script>,
    watches: Vec<Watch>,
    handled: usize,
    recording: bool,
}

/// The sandbox. Clones share one state.
#[derive(Clone)]
pub struct World(Arc<Mutex<Inner>>);

impl World {
    /// An empty world (no secret, no user, no connector) on the system clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(OffsetDateTime::now_utc), 1)
    }

    /// An empty world on the caller's clock. `seed` determines every id and token that the services generate.
    #[must_use]
    pub fn with_clock(now: Now, seed: u64) -> Self {
        let state = State {
            date_skew: Duration::ZERO,
            aws: aws::Aws::default(),
            entra: entra::Entra::default(),
            arm: arm::Arm::default(),
            hub: hub::Hub::default(),
            registry: registry::Registry::default(),
            responses: responses::Responses::default(),
            random: StdRng::seed_from_u64(seed),
            now,
        };
        Self(Arc::new(Mutex::new(Inner {
            state,
            record: Vec::new(),
            script: None,
            watches: Vec::new(),
            handled: 0,
            recording: true,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Reads or changes the state as a person, or another program, would.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.lock().state)
    }

    /// Sets the script that decides, before every request, whether a fault happens. It replaces the earlier script.
    pub fn script(&self, script: impl FnMut(&State, Service, &Request) -> Option<Fault> + Send + 'static) {
        self.lock().script = Some(Box::new(script));
    }

    /// Removes the script of faults.
    pub fn calm(&self) {
        self.lock().script = None;
    }

    /// Adds a callback that runs after every handled request with the new state. A watch that finds a broken promise panics or
    /// keeps its own note.
    pub fn watch(&self, watch: impl FnMut(&State, &Recorded) + Send + 'static) {
        self.lock().watches.push(Box::new(watch));
    }

    /// Every request so far.
    #[must_use]
    pub fn record(&self) -> Vec<Recorded> {
        self.lock().record.clone()
    }

    /// Returns the record so far and starts a new one.
    #[must_use]
    pub fn take_record(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.lock().record)
    }

    /// Turns the record on or off (off for benchmarks of many requests).
    pub fn set_recording(&self, recording: bool) {
        self.lock().recording = recording;
    }

    /// Handles one request: script, service, record, watches, in this order.
    ///
    /// # Errors
    /// [`Broken`] if the script lets no response through.
    pub fn call(&self, service: Service, request: Request) -> Result<Response, Broken> {
        self.exchange(service, request).1
    }

    /// Like [`World::call`], and also returns the service's own response when the caller does not get it, such as the whole of a
    /// cut-off response.
    pub fn exchange(&self, service: Service, request: Request) -> (Option<Response>, Result<Response, Broken>) {
        let mut guard = self.lock();
        let Inner { state, record, script, watches, handled, recording } = &mut *guard;
        let fault = script.as_mut().and_then(|script| script(state, service, &request));
        let reached = !matches!(fault, Some(Fault::Answer(_) | Fault::ResetBefore));
        let response = reached.then(|| match service {
            Service::Aws => aws::handle(state, &request),
            Service::Entra => entra::handle(state, &request),
            Service::Arm => arm::handle(state, &request),
            Service::Hub => hub::handle(state, &request),
            Service::HubAuth => hub::handle_auth(state, &request),
            Service::Registry => registry::handle(state, &request),
            Service::Responses => responses::handle(state, &request),
        });
        let response = response.map(|response| state.dated(response));
        let entry = Recorded {
            index: *handled,
            service,
            at: state.now(),
            request,
            response: response.clone(),
            faulted: fault.is_some(),
        };
        *handled += 1;
        for watch in watches.iter_mut() {
            watch(state, &entry);
        }
        if *recording {
            record.push(entry);
        }
        let result = match (fault, &response) {
            (Some(Fault::Answer(answer) | Fault::AnswerAfter(answer)), _) => Ok(state.dated(answer)),
            (Some(Fault::Hang), _) => Err(Broken::Hang),
            (Some(Fault::Truncate), _) => Err(Broken::Truncated),
            (None, Some(response)) => Ok(response.clone()),
            (Some(Fault::ResetBefore | Fault::ResetAfter), _) | (None, None) => Err(Broken::Reset),
        };
        (response, result)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// A JSON response.
#[must_use]
pub fn json(status: u16, body: &serde_json::Value) -> Response {
    http::Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Bytes::from(body.to_string()))
        .unwrap_or_else(|_| http::Response::new(Bytes::new()))
}

/// A response without a body.
#[must_use]
pub fn empty(status: u16) -> Response {
    http::Response::builder().status(status).body(Bytes::new()).unwrap_or_else(|_| http::Response::new(Bytes::new()))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn date(world: &World) -> String {
        let request = http::Request::get("/v2/").body(Bytes::new()).expect("a request");
        let response = world.call(Service::Registry, request).expect("a response");
        let dates: Vec<_> = response.headers().get_all("date").iter().collect();
        assert_eq!(dates.len(), 1);
        dates[0].to_str().expect("text").to_owned()
    }

    #[test]
    fn every_response_has_the_date_of_the_services_clock() {
        let world = World::with_clock(Arc::new(|| datetime!(2026-11-29 20:48:17.5 UTC)), 1);
        assert_eq!(date(&world), "Sun, 29 Nov 2026 20:48:17 GMT");
        world.with(|state| state.date_skew = Duration::minutes(-10));
        assert_eq!(date(&world), "Sun, 29 Nov 2026 20:38:17 GMT");
        world.script(|_, _, _| Some(Fault::Answer(empty(503))));
        assert_eq!(date(&world), "Sun, 29 Nov 2026 20:38:17 GMT");
        world.script(|_, _, _| {
            let mut own = empty(200);
            own.headers_mut().insert("date", http::HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
            Some(Fault::AnswerAfter(own))
        });
        assert_eq!(date(&world), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert!(
            world.record().iter().filter_map(|entry| entry.response.as_ref()).all(|r| r.headers().contains_key("date"))
        );
    }
}
