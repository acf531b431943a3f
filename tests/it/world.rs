//! One world for the tests: an organization, its dedicated user, a secret, an Azure resource group, and the function.
//!
//! The three promises are watched at every change of the sandbox's state, and every output is searched for secrets, in
//! every test, when the [`Scene`] ends.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use futures_util::future::BoxFuture;
use hubkeeper::clock::{Clock, Random};
use hubkeeper::handler::{Handler, WayOut};
use hubkeeper::http::{Request, Response, Shared, Transport, TransportError, TransportErrorKind};
use hubkeeper::metrics::Sink;
use hubkeeper::process::Process;
use hubkeeper_core::config::{Config, Environment};
use hubkeeper_core::error::Error;
use hubkeeper_core::time::Timestamp;
use hubkeeper_sandbox::rotation::{Function, FunctionError, Rotation};
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Broken, Recorded, State, World, arm, aws, entra, hub, leak, record, responses};
use serde_json::{Value, json};
use time::macros::datetime;
use tokio::sync::Notify;

pub(crate) const ORG: &str = "acme";
pub(crate) const USER: &str = "acme-scanner";
pub(crate) const PASSWORD: &str = "correct-horse-battery-9";
pub(crate) const TENANT: &str = "7e4a0000-0000-4000-a000-000000000001";
pub(crate) const CLIENT: &str = "c11e0000-0000-4000-a000-000000000001";
pub(crate) const SUBSCRIPTION: &str = "a5caac9c-5c04-49af-b3d0-e204f40345d5";
pub(crate) const GROUP: &str = "rg-security";
pub(crate) const CONNECTOR: &str = "dockerhub-acme";
/// Who is invited where onboarding begins at zero, and the owner who invites.
pub(crate) const EMAIL: &str = "scanner@acme.example";
pub(crate) const OWNER: &str = "acme-owner";
pub(crate) const OWNER_PASSWORD: &str = "an-owner-has-another-password-3";
pub(crate) const OWNER_SECRET: &str = "vault/acme-owner";
/// The name of the secret, as its manager and owner list it.
pub(crate) const SECRET: &str = "hubkeeper/acme";
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// Time of a function, as in Lambda.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(15);

/// Simulated time: tokio's paused clock from a fixed start; the second member is how far this clock is off.
#[derive(Clone, Copy)]
pub(crate) struct SimClock(tokio::time::Instant, time::Duration);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        datetime!(2026-11-24 10:00 UTC) + self.0.elapsed() + self.1
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct Counting(AtomicUsize);

impl Random for Counting {
    fn next_u64(&self) -> u64 {
        let n = self.0.fetch_add(1, Ordering::Relaxed) as u64;
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Where one invocation is held up, and by what it is let go.
pub(crate) struct Gate {
    at: usize,
    after: bool,
    pub(crate) reached: Notify,
    pub(crate) go_on: Notify,
}

/// The transport into the sandbox: by host name, without sockets.
#[derive(Clone)]
pub(crate) struct InProcess {
    world: World,
    sent: Arc<AtomicUsize>,
    gate: Option<Arc<Gate>>,
}

impl Transport for InProcess {
    fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>> {
        let this = self.clone();
        Box::pin(async move {
            let index = this.sent.fetch_add(1, Ordering::SeqCst);
            let held = this.gate.as_ref().filter(|gate| gate.at == index);
            if let Some(gate) = held.filter(|gate| !gate.after) {
                gate.reached.notify_one();
                gate.go_on.notified().await;
            }
            let host = request.uri().host().unwrap_or_default().to_owned();
            let Some(service) = Service::of_host(&host) else {
                return Err(TransportError::new(TransportErrorKind::Connect, "no such host in the sandbox"));
            };
            // every request takes a moment, so that what runs side by side is seen to
            tokio::time::sleep(Duration::from_millis(20)).await;
            let answer = this.world.call(service, request);
            if let Some(gate) = held.filter(|gate| gate.after) {
                gate.reached.notify_one();
                gate.go_on.notified().await;
            }
            match answer {
                Ok(response) if response.body().len() > body_limit => {
                    Err(TransportError::new(TransportErrorKind::TooLarge, "body over its cap"))
                }
                Ok(response) => Ok(response),
                Err(Broken::Reset) => Err(TransportError::new(TransportErrorKind::Broken, "connection reset")),
                Err(Broken::Truncated) => Err(TransportError::new(TransportErrorKind::Broken, "body ended early")),
                Err(Broken::Hang) => std::future::pending().await,
            }
        })
    }
}

/// Lines of metrics, kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<String>>);

impl Sink for Kept {
    fn write(&self, line: &str) {
        self.0.lock().unwrap().push_str(line);
    }
}

/// What the handler answered, as Lambda would pass it on.
pub(crate) type Answer = Result<Value, Error>;

/// The world, the secret in it, and the function.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) arn: String,
    pub(crate) clock: SimClock,
    environment: Environment,
    outputs: Mutex<Vec<String>>,
    metrics: Kept,
    broken: Arc<Mutex<Vec<String>>>,
    /// Proofs that the watch counts as whole: set to false where a test lets the truth differ on purpose.
    pub(crate) checked: bool,
    /// Whether the outputs are searched for secrets when the scene ends: set to false by who searches them.
    pub(crate) searched: bool,
    /// How far the function's clock is ahead of AWS's.
    pub(crate) ahead: time::Duration,
}

/// How the secret begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With a manager and no token yet.
    Manager,
    /// With a token made by hand, without a manager.
    ByHand,
}

impl Scene {
    pub(crate) fn new(begin: Begin) -> Self {
        Self::of(|state| build(state, begin), watch)
    }

    /// Another world than that of one organization: what `fill` makes (it gives the ARN of a secret), under its own watch.
    pub(crate) fn of(
        fill: impl FnOnce(&mut State) -> String,
        watch: impl FnOnce(&World, &Arc<Mutex<Vec<String>>>),
    ) -> Self {
        begin_logs();
        let clock = SimClock(tokio::time::Instant::now(), time::Duration::ZERO);
        let world = World::with_clock(Arc::new(move || clock.now()), 7);
        record::begin(&world);
        let arn = world.with(fill);
        let environment: Environment = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", CLIENT)]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into();
        let broken = Arc::new(Mutex::new(Vec::new()));
        watch(&world, &broken);
        let (outputs, metrics) = (Mutex::default(), Kept::default());
        Self {
            world,
            arn,
            clock,
            environment,
            outputs,
            metrics,
            broken,
            checked: true,
            searched: true,
            ahead: time::Duration::ZERO,
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A fresh function: another execution environment, with a transport of its own.
    pub(crate) fn handler(&self, gate: Option<Arc<Gate>>) -> Handler {
        self.handler_over(Arc::new(self.transport(gate)))
    }

    pub(crate) fn transport(&self, gate: Option<Arc<Gate>>) -> InProcess {
        InProcess { world: self.world.clone(), sent: Arc::default(), gate }
    }

    /// A fresh function over a transport of the test's own.
    pub(crate) fn handler_over(&self, transport: Arc<dyn Transport>) -> Handler {
        let clock = Arc::new(SimClock(self.clock.0, self.ahead)) as Arc<dyn Clock>;
        let shared = Shared::new(transport, clock, Arc::new(Counting(AtomicUsize::new(1))));
        match Config::parse(&self.environment) {
            Err(problems) => {
                let is_local = hubkeeper_core::config::is_local(&self.environment);
                Handler::Unusable(problems, Some(WayOut { shared, is_local }))
            }
            Ok(config) => Handler::Ready(Box::new(Process {
                config: Arc::new(config),
                aws: sdk(),
                shared,
                bearers: Arc::default(),
                metrics: Arc::new(self.metrics.clone()),
            })),
        }
    }

    /// Invokes a fresh function with an event.
    pub(crate) async fn invoke(&self, event: Value) -> Answer {
        let handler = self.handler(None);
        let answer = handler.handle(&event, self.deadline()).await;
        self.keep(&answer);
        answer
    }

    /// Invokes a fresh function with an event as text.
    pub(crate) async fn invoke_text(&self, event: &str) -> Answer {
        let answer = self.handler(None).handle_text(event, self.deadline()).await;
        self.keep(&answer);
        answer
    }

    /// When an invocation that begins now ends, by the function's clock.
    pub(crate) fn deadline(&self) -> Timestamp {
        self.now() + self.ahead + TIMEOUT
    }

    /// One reconcile of the secret; what came of it.
    pub(crate) async fn reconcile(&self) -> Value {
        self.reconcile_with(json!({})).await
    }

    /// The same with further members of the event.
    pub(crate) async fn reconcile_with(&self, more: Value) -> Value {
        let fleet = self.invoke(self.reconcile_event(&more)).await.unwrap();
        let items = fleet["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{fleet}");
        assert_eq!(fleet["outcome"], items[0]["outcome"]);
        items[0].clone()
    }

    pub(crate) fn reconcile_event(&self, more: &Value) -> Value {
        let mut event = json!({"action": "reconcile", "secretIds": [self.arn]});
        let members = event.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        event
    }

    /// The uuid of the PAT that a version stores.
    pub(crate) fn token_id(&self, version: &str) -> String {
        self.value(version)["tokenId"].as_str().unwrap_or_default().to_owned()
    }

    /// A PAT as it is: `active`, `inactive` or `gone`.
    pub(crate) fn pat(&self, id: &str) -> &'static str {
        match self.world.with(|state| hub::pats_of(state, USER)).iter().find(|pat| pat.uuid == id) {
            None => "gone",
            Some(pat) if pat.is_active => "active",
            Some(_) => "inactive",
        }
    }

    pub(crate) fn keep(&self, answer: &Answer) {
        let text = match answer {
            Ok(value) => value.to_string(),
            Err(error) => {
                format!("{error} {error:?} {}", hubkeeper::handler::diagnostic(error).error_message)
            }
        };
        self.outputs.lock().unwrap().push(text);
    }

    pub(crate) async fn onboard(&self) -> Answer {
        self.invoke(json!({"action": "onboard", "secretId": self.arn})).await
    }

    /// The event of a rotation step.
    pub(crate) fn step(&self, step: &str, version: &str, token: Option<&str>) -> Value {
        let mut event = json!({"Step": step, "SecretId": self.arn, "ClientRequestToken": version});
        if let Some(token) = token {
            event["RotationToken"] = json!(token);
        }
        event
    }

    /// The native event about the candidate, or about AWSCURRENT.
    pub(crate) fn label_event(&self, label: &str, version: &str) -> Value {
        json!({"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "Secret Label Updated",
            "source": "aws.secretsmanager", "account": "111122223333", "time": "2026-11-24T10:00:00Z", "region": "eu-west-1",
            "resources": [self.arn], "detail": {"name": "hubkeeper/acme", "labelUpdated": label, "versionId": version}})
    }

    /// `CloudFormation`'s request about the resource that this secret is, with a place for its answer.
    pub(crate) fn stack_event(&self, kind: &str, physical: Option<&str>) -> Value {
        const SERVICE: &str = "arn:aws:lambda:eu-west-1:111122223333:function:hubkeeper";
        const STACK: &str =
            "arn:aws:cloudformation:eu-west-1:111122223333:stack/onboarded/3f6b1f00-0000-11f1-a0a0-000000000001";
        let target = self.world.with(responses::presign);
        let mut event = json!({
            "RequestType": kind, "RequestId": "b3c5b1c0-0000-4000-a000-000000000001", "StackId": STACK,
            "LogicalResourceId": "Organization", "ResourceType": "Custom::HubkeeperOrganization",
            "ResponseURL": format!("https://{}{target}", responses::HOST),
            "ServiceToken": SERVICE, "ResourceProperties": {"ServiceToken": SERVICE, "SecretId": self.arn},
        });
        if let Some(physical) = physical {
            event["PhysicalResourceId"] = json!(physical);
        }
        event
    }

    pub(crate) async fn rotate(&self, attempts: usize) -> Rotation {
        hubkeeper_sandbox::rotation::rotate(&self.world, self, &self.arn, attempts).await
    }

    pub(crate) fn version(&self, label: &str) -> Option<String> {
        self.world.with(|state| aws::version_with(state, &self.arn, label))
    }

    pub(crate) fn value(&self, version: &str) -> Value {
        self.world.with(|state| aws::value_of(state, &self.arn, version)).unwrap_or(Value::Null)
    }

    /// The connector's version tag and its token.
    pub(crate) fn connector(&self) -> Option<(String, String)> {
        self.world.with(|state| {
            let connector = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR)?;
            let version = connector.tag("hubkeeper-version").unwrap_or_default().to_owned();
            Some((version, connector.credential()?.1.to_owned()))
        })
    }

    /// Puts a version as a person would: this document with another token.
    pub(crate) fn stage(&self, token: &str, change: impl FnOnce(&mut Value), stages: &[&str]) -> String {
        let mut value = document();
        value["accessToken"] = json!(token);
        change(&mut value);
        self.world.with(|state| aws::put_version(state, &self.arn, None, &value, stages))
    }

    /// A good token, made by hand.
    pub(crate) fn good_token(&self) -> String {
        self.world.with(|state| hub::add_pat(state, USER, "by hand", &["repo:read"], None)).1
    }

    /// Writes since the record was last taken, as lines.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.world.record().iter().filter(|entry| entry.is_write()).map(Recorded::line).collect()
    }

    /// Requests that can change the connector.
    pub(crate) fn connector_writes(&self) -> Vec<String> {
        let record = self.world.record();
        record.iter().filter(|entry| entry.service == Service::Arm && entry.is_write()).map(Recorded::line).collect()
    }

    pub(crate) fn requests(&self, service: Service) -> usize {
        self.world.record().iter().filter(|entry| entry.service == service).count()
    }

    /// PATs that bear the label of a version.
    pub(crate) fn pats_of_version(&self, version: &str) -> Vec<String> {
        let all = self.world.with(|state| hub::pats_of(state, USER));
        all.into_iter().filter(|pat| pat.label.ends_with(&format!("/{version}"))).map(|pat| pat.uuid).collect()
    }

    /// The lines of metrics since this was last asked, each a JSON object.
    pub(crate) fn take_metrics(&self) -> Vec<Value> {
        let lines = std::mem::take(&mut *self.metrics.0.lock().unwrap());
        assert!(lines.is_empty() || lines.ends_with('\n'), "a line without its end: {lines}");
        let parsed = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        self.outputs.lock().unwrap().push(lines);
        parsed
    }

    /// Everything that left the function: answers, logs, metrics, URLs, labels, tags, what stacks were told.
    pub(crate) fn output(&self) -> String {
        let mut all = self.outputs.lock().unwrap().join("\n");
        all.push_str(&logged());
        all.push_str(&self.metrics.0.lock().unwrap());
        // a presigned URL is a secret by nature, and goes to its own host alone
        for entry in self.world.record().iter().filter(|entry| entry.service != Service::Responses) {
            all.push_str(&entry.request.uri().to_string());
            all.push('\n');
        }
        self.world.with(|state| {
            for connector in arm::connectors(state) {
                writeln!(all, "{:?} {}", connector.tags, connector.name).unwrap();
            }
            writeln!(all, "{:?}", aws::tags(state, &self.arn)).unwrap();
            for pat in hub::pats_of(state, USER) {
                all.push_str(&pat.label);
                all.push('\n');
            }
            for answer in responses::answers(state) {
                writeln!(all, "{}", answer.body).unwrap();
            }
        });
        all
    }

    /// What was found broken so far.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.broken.lock().unwrap().clone()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let broken = self.broken();
        assert!(!self.checked || broken.is_empty(), "promises broken: {broken:#?}");
        if !self.searched {
            return;
        }
        let secrets = self.world.with(|state| leak::secrets_of(state));
        let leaks = leak::find(&secrets, &self.output());
        assert!(
            leaks.is_empty(),
            "secrets in the output: {:?}",
            leaks.iter().map(|leak| &leak.around).collect::<Vec<_>>()
        );
    }
}

impl Function for Scene {
    async fn invoke(&self, event: Value) -> Result<Value, FunctionError> {
        Scene::invoke(self, event)
            .await
            .map_err(|error| FunctionError { error_type: error.kind().name().to_owned(), message: error.to_string() })
    }
}

/// The secret's document, without a token.
pub(crate) fn document() -> Value {
    json!({
        "organization": ORG, "username": USER, "contact": "security@example.com",
        "connector": {"subscriptionId": SUBSCRIPTION, "resourceGroup": GROUP, "name": CONNECTOR, "location": "westeurope"}
    })
}

pub(crate) fn build(state: &mut State, begin: Begin) -> String {
    hub::add_organization(state, ORG);
    hub::add_user(state, USER, PASSWORD);
    hub::add_member(state, ORG, USER, hub::Role::Editor);
    for (name, private) in [("web", false), ("api", true), ("db", true), ("ops", true)] {
        hub::add_repository(state, ORG, name, private);
        hub::add_tag(state, ORG, name, "1.0", hub::MediaType::OciIndex);
    }
    let (issuer, role) = (state.aws.sts.issuer.clone(), state.aws.sts.role_arn.clone());
    entra::register_application(state, TENANT, CLIENT);
    entra::add_federated_credential(state, CLIENT, &issuer, &role, "api://AzureADTokenExchange");
    arm::add_resource_group(state, SUBSCRIPTION, GROUP);
    arm::grant(state, CLIENT, SUBSCRIPTION, GROUP, &["read", "write", "delete"]);
    let mut value = document();
    match begin {
        Begin::Manager => {
            let login = json!({"username": USER, "password": PASSWORD, "usedBy": [SECRET]});
            aws::create_secret(state, "hubkeeper/manager", &login, &[]);
            value["manager"] = json!("hubkeeper/manager");
        }
        Begin::ByHand => {
            let (_, token) = hub::add_pat(state, USER, "first, by hand", &["repo:read"], None);
            value["accessToken"] = json!(token);
        }
    }
    let arn = aws::create_secret(state, SECRET, &value, &[]);
    aws::enable_rotation(state, &arn, true);
    arn
}

/// The same, but the dedicated user is in no organization yet and the secret, which has no token, asks for it; `change` makes the
/// document.
pub(crate) fn build_zero(state: &mut State, change: impl FnOnce(&mut Value)) -> String {
    let arn = build(state, Begin::Manager);
    hub::remove_member(state, ORG, USER);
    hub::add_user(state, OWNER, OWNER_PASSWORD);
    hub::set_totp(state, OWNER, Some(SEED));
    hub::add_member(state, ORG, OWNER, hub::Role::Owner);
    hub::add_team(state, ORG, "readers");
    for name in ["web", "api", "db", "ops"] {
        hub::team_permission(state, ORG, "readers", name, Some(hub::Permission::Read));
    }
    let login = json!({"username": OWNER, "password": OWNER_PASSWORD, "totpSecret": SEED, "usedBy": [SECRET]});
    aws::create_secret(state, OWNER_SECRET, &login, &[]);
    let mut value = document();
    value["manager"] = json!("hubkeeper/manager");
    value["owner"] = json!(OWNER_SECRET);
    value["user"] = json!({"email": EMAIL});
    change(&mut value);
    aws::put_version(state, &arn, None, &value, &["AWSCURRENT"]);
    arn
}

/// The oracles, at every change: the token in the connector is alive; it was written only if it reads the whole
/// organization and nothing more.
pub(crate) fn watch(world: &World, broken: &Arc<Mutex<Vec<String>>>) {
    let broken = Arc::clone(broken);
    let mut known = BTreeSet::new();
    world.watch(move |state, entry| {
        for what in broken_promises(state, &mut known, Some(ORG)) {
            broken.lock().unwrap().push(format!("{what} after request {} ({})", entry.index, entry.line()));
        }
    });
}

/// What the connectors break as they are now; a credential that is in `known` was judged before. Where no organization is named,
/// each connector's own is meant.
pub(crate) fn broken_promises(
    state: &State,
    known: &mut BTreeSet<(String, String)>,
    organization: Option<&str>,
) -> Vec<&'static str> {
    let mut broken = Vec::new();
    for connector in arm::connectors(state) {
        let Some((username, token)) = connector.credential() else { continue };
        let organization = organization.or(connector.properties["hierarchyIdentifier"].as_str()).unwrap_or_default();
        if !hub::accepts(state, username, token) {
            broken.push("no gap: the token in the connector is dead");
        }
        if known.insert((connector.name.clone(), token.to_owned()))
            && (!hub::can_pull_everything(state, username, token, organization)
                || hub::can_push(state, username, token, organization))
        {
            broken.push("no unproven write: the connector's token does not read everything, or more than that");
        }
    }
    broken
}

fn sdk() -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

thread_local! {
    /// The log lines of this test, at TRACE: a test and its function run on one thread.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Logs;

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was logged since the last [`Scene`] began.
pub(crate) fn logged() -> String {
    LINES.with_borrow(|lines| String::from_utf8_lossy(lines).into_owned())
}

fn begin_logs() {
    static SUBSCRIBED: Once = Once::new();
    SUBSCRIBED.call_once(|| {
        let subscriber = hubkeeper::logging::subscriber(Some("trace"), || Logs);
        tracing::subscriber::set_global_default(subscriber).expect("no other subscriber");
    });
    LINES.with_borrow_mut(Vec::clear);
}

/// A gate at a request: before it is sent, or after it was handled.
pub(crate) fn gate(at: usize, after: bool) -> Arc<Gate> {
    Arc::new(Gate { at, after, reached: Notify::new(), go_on: Notify::new() })
}

/// Runs `event` until it comes to the gate, then `meanwhile`, then the rest. `None` where it never came there.
pub(crate) async fn interleave<T>(
    scene: &Scene,
    event: Value,
    at: usize,
    meanwhile: impl Future<Output = T>,
) -> (Answer, Option<T>) {
    let gate = gate(at, false);
    let handler = scene.handler(Some(Arc::clone(&gate)));
    let deadline = scene.deadline();
    let first = handler.handle(&event, deadline);
    let second = async {
        gate.reached.notified().await;
        let result = meanwhile.await;
        gate.go_on.notify_one();
        result
    };
    tokio::pin!(first, second);
    let mut between = None;
    let answer = loop {
        tokio::select! {
            biased;
            result = &mut second, if between.is_none() => between = Some(result),
            answer = &mut first => break answer,
        }
    };
    scene.keep(&answer);
    (answer, between)
}

/// Kills the function at a request, before or after the service handled it. `false` where it ended before.
pub(crate) async fn kill(scene: &Scene, event: Value, at: usize, after: bool) -> bool {
    let gate = gate(at, after);
    let handler = scene.handler(Some(Arc::clone(&gate)));
    let deadline = scene.deadline();
    tokio::select! {
        biased;
        () = gate.reached.notified() => true,
        answer = handler.handle(&event, deadline) => { scene.keep(&answer); false }
    }
}

pub(crate) fn outcome(answer: &Answer) -> String {
    match answer {
        Ok(report) => report["outcome"].as_str().unwrap_or("?").to_owned(),
        Err(error) => format!("{}: {error}", error.kind().name()),
    }
}
