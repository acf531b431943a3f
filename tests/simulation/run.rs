//! One run: a world, its network, and the function as AWS invokes it: in environments that are reused until they are killed, with
//! the retries of rotation and of asynchronous events.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use hubkeeper::handler::Handler;
use hubkeeper_sandbox::aws;
use hubkeeper_sandbox::keys::Quick;
use hubkeeper_sandbox::rotation::{Function, FunctionError, Rotation, rotate};
use serde_json::{Value, json};

use crate::acts::{Act, Person};
use crate::behaviours::{Behaviour, Kind};
use crate::faults::Fault;
use crate::flows::{Flow, rotating};
use crate::network::{EnvironmentLine, Invocation, Network};
use crate::oracles::Oracles;
use hubkeeper_scene::{Answer, Scene, TIMEOUT};

/// The function's timeout for faults that must outlast it.
const LITTLE: Duration = Duration::from_secs(90);
/// Attempts at a rotation.
const ATTEMPTS: usize = 5;
/// Time between two attempts.
const BETWEEN: Duration = Duration::from_mins(5);
/// Time before each attempt at an asynchronous event. The template allows one retry, and Lambda waits a minute for it.
const RETRIES: [Duration; 2] = [Duration::ZERO, Duration::from_mins(1)];
/// Time before an event is sent again: longer than every outage.
const LATER: Duration = Duration::from_mins(15);
/// Longer than every lock-out.
const LOCKED_OUT: Duration = Duration::from_mins(65);
/// The grace period of replaced tokens, plus the extra time of onboarding's tokens.
const GRACE: Duration = Duration::from_hours(27);
/// Time for which a replaced token that was used stays.
const STILL_USED: Duration = Duration::from_hours(8 * 24);

/// An execution environment: one process, whose state survives between invocations.
struct Environment {
    handler: Handler,
    line: EnvironmentLine,
}

/// A second event, in the middle of the flow.
#[derive(Clone, Copy)]
pub(crate) struct Second {
    pub(crate) at: usize,
    pub(crate) event: Event,
}

/// The events that may come in the middle of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Reconcile,
    Onboard,
    Current,
    Candidate,
    Rotation,
    Again,
}

/// What happens to a flow.
#[derive(Clone, Default)]
pub(crate) struct Script {
    /// Faults, by request.
    pub(crate) faults: BTreeMap<usize, Fault>,
    /// A person's act, and the request before which it happens.
    pub(crate) act: Option<(usize, Act)>,
    /// A service's behaviour, and the request at which it begins.
    pub(crate) behaviour: Option<(usize, Behaviour)>,
    /// A second event.
    pub(crate) second: Option<Second>,
    /// Whether the order of requests varies.
    pub(crate) jitter: Option<fastrand::Rng>,
}

impl Script {
    /// Whether it contains a person's act or a service's behaviour.
    pub(crate) fn is_more_than_a_fault(&self) -> bool {
        self.act.is_some() || self.behaviour.is_some()
    }

    /// The names of the faults, acts and behaviours, as in the table.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        let faults = self.faults.values().map(|fault| fault.name());
        let act = self.act.map(|(_, act)| act.name());
        faults.chain(act).chain(self.behaviour.map(|(_, behaviour)| behaviour.name()))
    }

    /// A description for people: what happens, and when.
    pub(crate) fn told(&self) -> String {
        let faults = self.faults.iter().map(|(at, fault)| (fault.name(), *at));
        let act = self.act.map(|(at, act)| (act.name(), at));
        let behaviour = self.behaviour.map(|(at, behaviour)| (behaviour.name(), at));
        let mut told: Vec<String> =
            faults.chain(act).chain(behaviour).map(|(name, at)| format!("{name} at request {at}")).collect();
        told.extend(self.second.map(|second| format!("{:?} at request {}", second.event, second.at)));
        told.join(", ")
    }

    /// A script of one fault.
    pub(crate) fn fault(at: usize, fault: Fault) -> Self {
        Self { faults: [(at, fault)].into(), ..Self::default() }
    }
}

/// One run.
pub(crate) struct Run {
    pub(crate) flow: Flow,
    pub(crate) scene: Scene,
    pub(crate) network: Network,
    pub(crate) oracles: Oracles,
    person: Person,
    timeout: Duration,
    warm: Mutex<Vec<Environment>>,
    invocations: AtomicUsize,
    failed: Mutex<bool>,
    answers: Mutex<String>,
    /// Kinds of errors, and outcomes of decisions, since they were last taken.
    told: Mutex<BTreeSet<String>>,
    /// Whether the last reconcile wrote the connector.
    last_wrote: AtomicBool,
}

/// The result of a run.
pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    /// The requests of the flow.
    pub(crate) calls: Vec<(hubkeeper_sandbox::Service, crate::calls::Call)>,
    /// The trace for people: requests with the faults marked, then the results.
    pub(crate) trace: String,
}

impl Run {
    fn new(flow: Flow, timeout: Duration) -> Self {
        let oracles = Oracles::default();
        let mut scene = flow.scene(&oracles);
        (scene.checked, scene.searched) = (false, false);
        scene.world.set_recording(false);
        oracles.about(&scene.arn);
        scene.world.with(|state| oracles.note(state));
        let person = Person::default();
        let network = Network::new(&scene, oracles.clone(), person.clone());
        Self {
            flow,
            person,
            told: Mutex::default(),
            last_wrote: AtomicBool::default(),
            scene,
            network,
            oracles,
            timeout,
            warm: Mutex::default(),
            invocations: AtomicUsize::new(0),
            failed: Mutex::new(false),
            answers: Mutex::default(),
        }
    }

    fn environment(&self) -> Environment {
        if let Some(warm) = self.warm.lock().unwrap().pop() {
            return warm;
        }
        let line = self.network.line();
        Environment { handler: self.scene.handler_over(std::sync::Arc::new(line.clone())), line }
    }

    /// One invocation. `None` if the environment was killed, by a fault or by Lambda at the timeout.
    pub(crate) async fn invoke(&self, event: Value) -> Option<Answer> {
        let environment = self.environment();
        let invocation = Invocation(self.invocations.fetch_add(1, Ordering::Relaxed));
        environment.line.begin(invocation);
        self.scene.world.with(|state| self.oracles.began(invocation, &event, state));
        let deadline = self.scene.now() + self.timeout;
        let answer = {
            let handled = Box::pin(environment.handler.handle(&event, deadline));
            let time_is_up = Box::pin(tokio::time::sleep(self.timeout));
            let killed = Box::pin(environment.line.killed());
            match select(killed, select(handled, time_is_up)).await {
                Either::Left(_) => None,
                Either::Right((Either::Left((answer, _)), _)) => Some(answer),
                Either::Right((Either::Right(_), _)) => {
                    self.oracles.late(&event);
                    None
                }
            }
        };
        let what = event["Step"]
            .as_str()
            .or(event["action"].as_str())
            .or(event["RequestType"].as_str())
            .unwrap_or("event")
            .to_owned();
        let said = match &answer {
            None => "killed".to_owned(),
            Some(Ok(report)) => report["outcome"].as_str().unwrap_or("done").to_owned(),
            Some(Err(error)) => format!("{}: {error}", error.kind().name()),
        };
        writeln!(self.answers.lock().unwrap(), "  invocation {:>2} {what}: {said}", invocation.0).unwrap();
        if let Some(answer) = &answer {
            if self.person.act().is_none() || self.person.has_acted() {
                self.told.lock().unwrap().extend(kinds(answer));
            }
            self.scene.keep(answer);
            self.oracles.answer(invocation, answer);
            self.oracles.returned(invocation);
            self.warm.lock().unwrap().push(environment);
        }
        answer
    }

    /// Sends an asynchronous event. Lambda retries it once after a failure.
    pub(crate) async fn deliver(&self, event: &Value) {
        for wait in RETRIES {
            tokio::time::sleep(wait).await;
            if self.invoke(event.clone()).await.is_some_and(|answer| answer.is_ok()) {
                return;
            }
        }
    }

    /// Sends the event twice, as a service with at-least-once delivery does.
    pub(crate) async fn deliver_twice(&self, event: Value) {
        self.deliver(&event).await;
        tokio::time::sleep(LATER).await;
        self.deliver(&event).await;
    }

    /// A rotation, with the service's retries.
    pub(crate) async fn rotate(&self) -> Rotation {
        rotate(&self.scene.world, self, &self.scene.arn, ATTEMPTS).await
    }

    /// A rotation with one attempt.
    pub(crate) async fn rotate_once(&self) -> Rotation {
        rotate(&self.scene.world, self, &self.scene.arn, 1).await
    }

    /// A reconcile of the secret. With a queue it is a record, since the function would otherwise only send messages.
    pub(crate) fn reconcile_event(&self) -> Value {
        let event = self.scene.reconcile_event(&json!({}));
        if self.flow != Flow::FanOut {
            return event;
        }
        let id = "059f36b4-87a3-44ab-83d2-661975830a7d";
        json!({"Records": [{"messageId": id, "eventSource": "aws:sqs", "body": event.to_string()}]})
    }

    async fn second(&self, event: Event) {
        let current = || self.scene.version("AWSCURRENT").unwrap_or_default();
        match event {
            Event::Reconcile | Event::Again => self.deliver(&self.reconcile_event()).await,
            Event::Onboard => self.deliver(&json!({"action": "onboard", "secretId": self.scene.arn})).await,
            Event::Current => self.deliver(&self.scene.label_event("AWSCURRENT", &current())).await,
            Event::Candidate => {
                let candidate = self.scene.version("HUBKEEPER_CANDIDATE").unwrap_or_else(current);
                self.deliver(&self.scene.label_event("HUBKEEPER_CANDIDATE", &candidate)).await;
            }
            Event::Rotation => drop(self.rotate().await),
        }
    }

    /// Runs the flow under the script, and beside it the second event from its request on.
    async fn disturbed(&self, second: Option<Second>) {
        let Some(second) = second else { return Box::pin(self.flow.act(self)).await };
        let first = Box::pin(self.flow.act(self));
        let began = std::sync::atomic::AtomicBool::new(false);
        let other = Box::pin(async {
            self.network.reached(second.at).await;
            began.store(true, Ordering::Relaxed);
            self.second(second.event).await;
        });
        match select(first, other).await {
            Either::Left(((), other)) if began.load(Ordering::Relaxed) => other.await,
            Either::Left(_) => {}
            Either::Right(((), first)) => first.await,
        }
    }

    /// Settles after all faults: completes what is left, lets time pass, reconciles twice.
    async fn settle(&self) {
        // the person who learns of a failed event sends it again later
        tokio::time::sleep(LATER).await;
        Box::pin(self.flow.finish(self)).await;
        if self.person.act().is_some() && !self.flow.is_given_up() {
            // the last step of every remedy
            let onboard = json!({"action": "onboard", "secretId": self.scene.arn});
            self.deliver(&onboard).await;
            if !self.flow.is_settled(self) {
                // Docker Hub locks a user out after failed logins, and the error says for how long
                tokio::time::sleep(LOCKED_OUT).await;
                self.deliver(&onboard).await;
            }
        }
        tokio::time::sleep(GRACE).await;
        self.reconcile_twice().await;
        if !self.oracles.strays(&self.scene, self.flow.is_given_up()).is_empty() {
            // a replaced token that was used stays a week longer
            tokio::time::sleep(STILL_USED).await;
            self.reconcile_twice().await;
        }
    }

    async fn reconcile_twice(&self) {
        self.invoke(self.reconcile_event()).await;
        let writes = self.oracles.connector_writes();
        self.invoke(self.reconcile_event()).await;
        self.last_wrote.store(self.oracles.connector_writes() > writes, Ordering::Relaxed);
    }

    /// Runs the consequences of a person's act: events of AWS, the schedule, the person's next attempt. Then a person repairs
    /// what only a person can repair.
    async fn people(&self) {
        let Some(act) = self.person.act() else { return };
        self.network.people(None);
        tokio::time::sleep(LATER).await;
        if self.flow.is_given_up() {
            // only the event itself offboards a secret
            Box::pin(self.flow.finish(self)).await;
        }
        let person = self.person.clone();
        Box::pin(person.aftermath(self)).await;
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let is_told = ["NeedsHuman", "Refused", "Misconfigured", "ignored"].iter().any(|kind| told.contains(*kind));
        // everything that waits for an interrupted rotation names it, reconcile as the reason of `unchanged`
        let is_told = is_told || rotating(&self.scene).is_some();
        // a secret with the tag offboarded and without a connector matches its tag: there is nothing to report
        let tags = self.scene.world.with(|state| aws::tags(state, &self.scene.arn));
        let is_offboarded = tags.get("hubkeeper").is_some_and(|tag| tag == "offboarded");
        let is_as_tagged = is_offboarded && self.scene.connector().is_none();
        if !is_told && !is_as_tagged && !self.flow.is_settled(self) {
            self.oracles.violated(format!(
                "told: after a person {}, the flow is not settled and no error says so ({told:?})",
                act.name()
            ));
        }
        self.scene.world.with(|state| {
            person.undo(state, &self.scene.arn);
            self.oracles.acted(state);
        });
    }

    /// The expected result of the flow while a service keeps its behaviour.
    fn behaved(&self, behaviour: Behaviour) {
        let told = self.told.lock().unwrap().clone();
        match behaviour.kind() {
            Kind::Odd if !self.flow.is_settled(self) || !told.is_empty() => {
                self.oracles
                    .violated(format!("settles: the flow ends in an error while {} ({told:?})", behaviour.name()));
            }
            Kind::Refusal if told.contains("Retryable") => {
                self.oracles.violated(format!("told: {} ends in an error that asks for a retry", behaviour.name()));
            }
            _ => {}
        }
    }

    async fn go(&self, script: Script) {
        let Script { faults, act, behaviour, second, jitter } = script;
        Box::pin(self.flow.prepare(self)).await;
        self.scene.world.with(|state| self.oracles.note(state));
        self.told.lock().unwrap().clear();
        let alone = faults.is_empty() && act.is_none() && second.is_none();
        let pile = faults.len();
        self.person.will(act);
        self.network.arm(faults, behaviour, jitter);
        self.disturbed(second).await;
        let calls = self.network.calls().len();
        debug_assert_eq!(calls, self.network.sent());
        if let Some((_, behaviour)) = behaviour {
            if alone {
                self.behaved(behaviour);
            }
            if act.is_none() && matches!(behaviour, Behaviour::NoKey | Behaviour::TooManyVersions) {
                self.oracles.no_pile(&self.scene, pile);
            }
        }
        self.network.calm();
        if behaviour.is_none_or(|(_, behaviour)| behaviour.kind() != Kind::Odd) {
            self.network.as_usual();
        }
        self.people().await;
        self.settle().await;
        self.flow.at_rest(self);
        // each reconcile requests an offering that ARM drops
        let drops = behaviour.is_some_and(|(_, behaviour)| behaviour == Behaviour::DropsOffering);
        if self.last_wrote.load(Ordering::Relaxed) && !drops {
            self.oracles.violated("at rest: every reconcile writes the connector again");
        }
        self.oracles.no_leak(&self.scene);
    }
}

/// Records the kinds of a result's errors, and the outcomes that were decided on purpose.
fn kinds(answer: &Answer) -> BTreeSet<String> {
    match answer {
        Err(error) => [error.kind().name().to_owned()].into(),
        Ok(report) => {
            let items = report["items"].as_array().into_iter().flatten().chain([report]);
            items
                .flat_map(|item| {
                    let ignored = item["outcome"].as_str().filter(|outcome| *outcome == "ignored");
                    [item["errorType"].as_str(), ignored]
                })
                .flatten()
                .map(str::to_owned)
                .collect()
        }
    }
}

impl Function for Run {
    async fn invoke(&self, event: Value) -> Result<Value, FunctionError> {
        if std::mem::take(&mut *self.failed.lock().unwrap()) {
            tokio::time::sleep(BETWEEN).await;
        }
        let answer = Run::invoke(self, event).await;
        let result = match answer {
            Some(Ok(report)) => Ok(report),
            Some(Err(error)) => {
                Err(FunctionError { error_type: error.kind().name().to_owned(), message: error.to_string() })
            }
            None => Err(FunctionError { error_type: "Sandbox.Timedout".to_owned(), message: "killed".to_owned() }),
        };
        *self.failed.lock().unwrap() = result.is_err();
        result
    }
}

/// Runs a flow under a script, on its own simulated time.
pub(crate) fn run(flow: Flow, script: &Script) -> Outcome {
    // only the sandbox verifies the tokens that it signed
    let _quick = Quick::begin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let timeout = if script.faults.values().any(|fault| fault.is_long()) { LITTLE } else { TIMEOUT };
        let run = Run::new(flow, timeout);
        run.go(script.clone()).await;
        Outcome {
            violations: run.oracles.violations(),
            calls: run.network.calls(),
            trace: format!("{}{}", run.network.trace(), run.answers.lock().unwrap()),
        }
    })
}
