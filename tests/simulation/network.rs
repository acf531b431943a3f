//! The network of one run: it counts the requests, applies the script to them, and keeps the trace.
//!
//! It forwards each request to the sandbox through the transport of the other tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubkeeper::clock::Clock;
use hubkeeper::http::{Request, Response, Transport, TransportError, TransportErrorKind};
use hubkeeper_sandbox::world::json as answer;
use hubkeeper_sandbox::{Service, World, aws};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::acts::{Act, Person};
use crate::behaviours::{Behaviour, Lasting};
use crate::calls::Call;
use crate::faults::{self, Fault};
use crate::oracles::Oracles;
use hubkeeper_scene::{InProcess, Scene, SimClock};

/// Duration of an outage, a silence, or an exhausted rate limit.
const LONG: time::Duration = time::Duration::minutes(10);
/// Time for which a new value cannot be read.
const VALUE_LAG: time::Duration = time::Duration::seconds(5);
/// Time for which a new token is rejected.
const TOKEN_LAG: time::Duration = time::Duration::seconds(40);
/// Delay before a new role assignment takes effect.
const ROLE_LAG: time::Duration = time::Duration::seconds(90);

/// Arrival of a late request: during Lambda's retry.
const LATE: Duration = Duration::from_millis(60_300);
/// Latest arrival in a random run, in milliseconds: after the first retry of a rotation.
const LATEST: u64 = 400_000;

/// The invocation of a request. It travels with the request, so that the oracles know it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Invocation(pub(crate) usize);

/// One request of the trace.
pub(crate) struct Line {
    pub(crate) service: Service,
    pub(crate) call: Call,
    at: String,
    invocation: usize,
    text: String,
    fault: Option<Fault>,
    /// A person's act before it, and the behaviour that began with it.
    before: Vec<&'static str>,
    result: String,
}

/// A fault that outlasts the request at which it began.
#[derive(Clone)]
enum Standing {
    /// The service answers 503.
    Outage(Service),
    /// The service never responds.
    Silence(Service),
    /// The service returns 429 with `Retry-After`.
    Throttled(Service),
    /// ARM returns 403.
    Role,
    /// This version's value cannot be read yet.
    Value(String),
}

#[derive(Default)]
struct Inner {
    armed: bool,
    sent: usize,
    script: BTreeMap<usize, Fault>,
    standing: Vec<(Standing, time::OffsetDateTime)>,
    /// The last responses to reads, and those that are shown once more.
    looks: BTreeMap<String, Response>,
    stale: BTreeMap<String, Response>,
    trace: Vec<Line>,
    behaviour: Option<(usize, Behaviour)>,
    lasting: Option<Lasting>,
    /// Extra latency of each request, for runs that vary the order of requests.
    jitter: Option<fastrand::Rng>,
}

/// The network of one run.
#[derive(Clone)]
pub(crate) struct Network {
    inner: Arc<Mutex<Inner>>,
    world: World,
    clock: SimClock,
    pass: InProcess,
    oracles: Oracles,
    person: Person,
    arn: String,
    moved: Arc<Notify>,
}

impl Network {
    pub(crate) fn new(scene: &Scene, oracles: Oracles, person: Person) -> Self {
        Self {
            inner: Arc::default(),
            person,
            arn: scene.arn.clone(),
            world: scene.world.clone(),
            clock: scene.clock,
            pass: scene.transport(None),
            oracles,
            moved: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Starts to count requests and to follow the script.
    pub(crate) fn arm(
        &self,
        script: BTreeMap<usize, Fault>,
        behaviour: Option<(usize, Behaviour)>,
        jitter: Option<fastrand::Rng>,
    ) {
        let mut inner = self.lock();
        inner.armed = true;
        inner.script = script;
        inner.behaviour = behaviour;
        inner.jitter = jitter;
    }

    /// Ends the behaviour.
    pub(crate) fn as_usual(&self) {
        let mut inner = self.lock();
        let behaviour = inner.behaviour.take();
        let began = inner.lasting.take().is_some();
        drop(inner);
        if let Some((_, behaviour)) = behaviour.filter(|_| began) {
            self.world.with(|state| behaviour.set(state, false));
        }
    }

    /// The person acts before this request, or at the end, if it is time.
    pub(crate) fn people(&self, request: Option<usize>) -> Option<Act> {
        self.world.with(|state| {
            let act = self.person.may_act(request, state, &self.arn)?;
            self.oracles.acted(state);
            Some(act)
        })
    }

    /// Ends all faults.
    pub(crate) fn calm(&self) {
        let mut inner = self.lock();
        inner.armed = false;
        inner.standing.clear();
        inner.stale.clear();
        inner.jitter = None;
        drop(inner);
        self.world.with(|state| state.hub.usable_delay = time::Duration::ZERO);
    }

    /// The number of requests since [`Network::arm`].
    pub(crate) fn sent(&self) -> usize {
        self.lock().sent
    }

    /// Waits until this many requests were sent since [`Network::arm`].
    pub(crate) async fn reached(&self, sent: usize) {
        while self.sent() < sent {
            self.moved.notified().await;
        }
    }

    /// The requests since [`Network::arm`], classified.
    pub(crate) fn calls(&self) -> Vec<(Service, Call)> {
        self.lock().trace.iter().map(|line| (line.service, line.call)).collect()
    }

    /// The trace, one line per request, with the faults marked.
    pub(crate) fn trace(&self) -> String {
        let mut text = String::new();
        for (index, line) in self.lock().trace.iter().enumerate() {
            let Line { at, invocation, text: what, fault, before, result, .. } = line;
            for before in before {
                writeln!(text, "       {at} *** {before}").unwrap();
            }
            let mark = fault.map(|fault| format!("   <-- {}", fault.name())).unwrap_or_default();
            writeln!(text, "  {index:>4} {at} invocation {invocation:>2} {what} -> {result}{mark}").unwrap();
        }
        text
    }

    /// The transport of one execution environment.
    pub(crate) fn line(&self) -> EnvironmentLine {
        EnvironmentLine { network: self.clone(), invocation: Arc::default(), killed: Arc::default() }
    }

    fn note(&self, at: Option<usize>, result: String) {
        let mut inner = self.lock();
        if let Some(line) = at.and_then(|at| inner.trace.get_mut(at)) {
            line.result = result;
        }
    }

    /// Counts a request. Returns its position in the trace and its fault.
    fn count(
        &self,
        service: Service,
        call: Call,
        invocation: usize,
        request: &Request,
    ) -> (Option<usize>, Option<Fault>) {
        let mut inner = self.lock();
        if !inner.armed {
            return (None, None);
        }
        let index = inner.sent;
        inner.sent += 1;
        let mut before = Vec::new();
        if inner.lasting.is_none()
            && let Some((_, behaviour)) = inner.behaviour.filter(|(begin, _)| *begin <= index)
        {
            inner.lasting = Some(Lasting::new(behaviour));
            before.push(behaviour.name());
            self.world.with(|state| behaviour.set(state, true));
        }
        before.extend(self.people(Some(index)).map(Act::name));
        let fault = inner.script.get(&index).copied().filter(|fault| fault.applies(service, call));
        let since = self.clock.now();
        inner.trace.push(Line {
            service,
            call,
            at: format!("{:02}:{:02}:{:02}.{:03}", since.hour(), since.minute(), since.second(), since.millisecond()),
            invocation,
            text: described(service, request),
            fault,
            before,
            result: "no response".into(),
        });
        self.moved.notify_waiters();
        self.moved.notify_one();
        (Some(index), fault)
    }

    /// The effect of an earlier fault on this request.
    fn standing(&self, service: Service, call: Call, request: &Request) -> Option<Standing> {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.standing.retain(|(_, end)| *end > now);
        let hit = inner.standing.iter().find(|(standing, _)| match standing {
            Standing::Outage(of) | Standing::Silence(of) | Standing::Throttled(of) => *of == service,
            Standing::Role => service == Service::Arm,
            Standing::Value(version) => call == Call::Value && text_of(request, "VersionId") == *version,
        });
        hit.map(|(standing, _)| standing.clone())
    }

    fn stand(&self, standing: Standing, lasts: time::Duration) {
        let end = self.clock.now() + lasts;
        self.lock().standing.push((standing, end));
    }

    /// The target of a read: labels of a secret, or a connector.
    fn look(call: Call, request: &Request) -> Option<String> {
        match call {
            Call::Describe => Some(format!("labels {}", text_of(request, "SecretId"))),
            Call::Connector => Some(format!("connector {}", request.uri().path().to_ascii_lowercase())),
            _ => None,
        }
    }

    async fn through(&self, request: Request, body_limit: usize) -> Result<Response, TransportError> {
        let extra = self.lock().jitter.as_mut().map(|rng| rng.u64(0..60));
        if let Some(extra) = extra {
            tokio::time::sleep(Duration::from_millis(extra)).await;
        }
        let service = request.uri().host().and_then(Service::of_host);
        let call = service.map(|service| (service, Call::of(service, &request)));
        let look = Self::look(Call::Connector, &request);
        if let Some((service, call)) = call
            && let Some(refusal) = self.refuses(service, call)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
            return Ok(refusal);
        }
        let response = self.pass.send(request, body_limit).await?;
        let now = self.clock.now();
        let mut inner = self.lock();
        let Inner { lasting, looks, .. } = &mut *inner;
        let (Some(lasting), Some((_, call))) = (lasting.as_mut(), call) else { return Ok(response) };
        Ok(lasting.turn(call, response, || looks.get(&look?).cloned(), now))
    }

    fn refuses(&self, service: Service, call: Call) -> Option<Response> {
        let now = self.clock.now();
        self.lock().lasting.as_mut()?.refuses(service, call, now)
    }

    /// The service receives the request long after its sender has gone.
    fn arrive_late(&self, (service, call): (Service, Call), request: Request, body_limit: usize) {
        if self.refuses(service, call).is_some() {
            return;
        }
        let late = self.lock().jitter.as_mut().map(|rng| Duration::from_millis(rng.u64(0..LATEST)));
        let arrives = self.pass.send(request, body_limit);
        tokio::spawn(async move {
            tokio::time::sleep(late.unwrap_or(LATE)).await;
            drop(arrives.await);
        });
    }

    /// The response that the client gets.
    async fn answer(
        &self,
        line: &EnvironmentLine,
        (service, call): (Service, Call),
        fault: Option<Fault>,
        request: Request,
        body_limit: usize,
    ) -> Result<Response, TransportError> {
        let broken = |detail| Err(TransportError::new(TransportErrorKind::Broken, detail));
        let moment = Duration::from_millis(20);
        let refuse = |status: u16, code: &str| Ok(faults::refusal(service, status, code, &request));
        match fault {
            Some(Fault::Status500) => {
                tokio::time::sleep(moment).await;
                refuse(500, "InternalError")
            }
            Some(Fault::Status503) => {
                tokio::time::sleep(moment).await;
                refuse(503, "ServiceUnavailable")
            }
            Some(Fault::Status429) => {
                tokio::time::sleep(moment).await;
                refuse(429, "TooManyRequests")
            }
            Some(Fault::Status429Wait) => {
                tokio::time::sleep(moment).await;
                refuse(429, "TooManyRequests").map(|response| waiting(response, 2))
            }
            Some(Fault::ResetBefore) => {
                tokio::time::sleep(moment).await;
                broken("connection reset")
            }
            Some(Fault::HangBefore) => std::future::pending().await,
            Some(Fault::KilledBefore) => line.die().await,
            Some(Fault::KilledLate) => {
                self.arrive_late((service, call), request, body_limit);
                line.die().await
            }
            Some(Fault::Expired) => {
                tokio::time::sleep(moment).await;
                Ok(faults::expired(service, &request))
            }
            Some(fault) => {
                match fault {
                    Fault::Outage => self.stand(Standing::Outage(service), LONG),
                    Fault::Silence => self.stand(Standing::Silence(service), LONG),
                    Fault::Throttled => self.stand(Standing::Throttled(service), LONG),
                    Fault::RoleLags => self.stand(Standing::Role, ROLE_LAG),
                    Fault::TokenLags => self.world.with(|state| state.hub.usable_delay = TOKEN_LAG),
                    Fault::ValueLags => self.stand(Standing::Value(text_of(&request, "ClientRequestToken")), VALUE_LAG),
                    Fault::LabelsLag | Fault::ConnectorLags => {
                        let mut inner = self.lock();
                        let seen = inner.looks.clone();
                        let labels = fault == Fault::LabelsLag;
                        inner.stale.extend(seen.into_iter().filter(|(what, _)| what.starts_with("labels") == labels));
                    }
                    _ => {}
                }
                if let Some(standing) = self.standing(service, call, &request) {
                    return self.stood(standing, service, &request).await;
                }
                let answered = self.through(request.clone(), body_limit).await;
                if fault == Fault::TokenLags {
                    self.world.with(|state| state.hub.usable_delay = time::Duration::ZERO);
                }
                let response = answered?;
                match fault {
                    Fault::Status500After => refuse(500, "InternalError"),
                    Fault::ResetAfter => broken("connection reset"),
                    Fault::Truncated => broken("body ended early"),
                    Fault::HangAfter => std::future::pending().await,
                    Fault::KilledAfter => line.die().await,
                    Fault::InvalidJson => Ok(faults::halved(&response)),
                    Fault::Html => Ok(faults::html(&response, &request)),
                    Fault::WrongShape => Ok(faults::misshapen(&response)),
                    Fault::EmptyList => Ok(faults::empty_list(&response, service)),
                    Fault::ForeignLink => Ok(faults::foreign_link(&response, service)),
                    _ => Ok(response),
                }
            }
            None => {
                if let Some(standing) = self.standing(service, call, &request) {
                    return self.stood(standing, service, &request).await;
                }
                let look = Self::look(call, &request);
                let stale = look.as_ref().and_then(|look| self.lock().stale.remove(look));
                let response = self.through(request, body_limit).await?;
                if let Some(look) = look {
                    self.lock().looks.insert(look, response.clone());
                }
                Ok(stale.unwrap_or(response))
            }
        }
    }

    async fn stood(&self, standing: Standing, service: Service, request: &Request) -> Result<Response, TransportError> {
        if !matches!(standing, Standing::Silence(_)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(match standing {
            Standing::Outage(_) => faults::refusal(service, 503, "ServiceUnavailable", request),
            Standing::Throttled(_) => waiting(faults::refusal(service, 429, "TooManyRequests", request), 600),
            Standing::Role => faults::refusal(service, 403, "AuthorizationFailed", request),
            Standing::Value(_) => answer(
                400,
                &json!({"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret value"}),
            ),
            Standing::Silence(_) => std::future::pending().await,
        })
    }
}

fn waiting(mut response: Response, seconds: u32) -> Response {
    response.headers_mut().insert("retry-after", seconds.into());
    response
}

/// A field of a JSON request.
pub(crate) fn text_of(request: &Request, member: &str) -> String {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    body[member].as_str().unwrap_or_default().to_owned()
}

fn described(service: Service, request: &Request) -> String {
    match service {
        Service::Aws => aws::action(request).unwrap_or_default(),
        _ => format!("{} {service:?} {}", request.method(), request.uri().path()),
    }
}

/// The transport of one execution environment: one invocation at a time.
#[derive(Clone)]
pub(crate) struct EnvironmentLine {
    network: Network,
    invocation: Arc<Mutex<usize>>,
    killed: Arc<Notify>,
}

impl EnvironmentLine {
    /// Requests belong to this invocation from now on.
    pub(crate) fn begin(&self, invocation: Invocation) {
        *self.invocation.lock().unwrap() = invocation.0;
    }

    /// Waits until a fault kills the environment.
    pub(crate) async fn killed(&self) {
        self.killed.notified().await;
    }

    async fn die<T>(&self) -> T {
        self.killed.notify_one();
        std::future::pending().await
    }
}

impl Transport for EnvironmentLine {
    fn send(&self, mut request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>> {
        let this = self.clone();
        Box::pin(async move {
            let network = &this.network;
            let invocation = Invocation(*this.invocation.lock().unwrap());
            let host = request.uri().host().unwrap_or_default().to_owned();
            let Some(service) = Service::of_host(&host) else {
                network.oracles.foreign_host(&host);
                return Err(TransportError::new(TransportErrorKind::Connect, "no such host"));
            };
            let call = Call::of(service, &request);
            request.extensions_mut().insert(invocation);
            network.oracles.sent(invocation, call, &request);
            let (at, fault) = network.count(service, call, invocation.0, &request);
            let answered = network.answer(&this, (service, call), fault, request.clone(), body_limit).await;
            network.note(
                at,
                match &answered {
                    Ok(response) => response.status().as_u16().to_string(),
                    Err(error) => error.detail.clone(),
                },
            );
            network.oracles.answered(invocation, call, &request, &answered);
            answered
        })
    }
}
