//! The world, the secret in it, and the function.

use std::fmt::Write as _;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use hubkeeper::clock::Clock;
use hubkeeper::handler::{BareClient, Handler, Invocation};
use hubkeeper::http::{HttpShared, Transport};
use hubkeeper::metrics::Sink;
use hubkeeper::process::Process;
use hubkeeper_core::config::{Config, Environment};
use hubkeeper_core::error::Error;
use hubkeeper_core::time::Timestamp;
use hubkeeper_sandbox::rotation::{Function, FunctionError, Rotation};
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Recorded, State, World, arm, aws, hub, leak, record, responses};
use serde_json::{Value, json};

use crate::clock::{Counting, SimClock};
use crate::gate::Gate;
use crate::logs::{begin_logs, logged};
use crate::transport::InProcess;
use crate::world::{CLIENT, CONNECTOR, GROUP, SUBSCRIPTION, TENANT, USER, build, document, watch};

/// The function's timeout, as in Lambda.
pub const TIMEOUT: Duration = Duration::from_mins(15);

/// The metric lines so far.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<String>>);

impl Sink for Kept {
    fn write(&self, line: &str) {
        self.0.lock().unwrap().push_str(line);
    }
}

/// The handler's result, as Lambda passes it on.
pub type Answer = Result<Value, Error>;

/// The world, the secret in it, and the function.
pub struct Scene {
    /// The services.
    pub world: World,
    /// ARN of the secret.
    pub arn: String,
    /// The clock of the services.
    pub clock: SimClock,
    environment: Environment,
    outputs: Mutex<Vec<String>>,
    metrics: Kept,
    broken: Arc<Mutex<Vec<String>>>,
    /// Whether a broken promise fails the test when the scene ends. Tests that break one on purpose set it to false.
    pub checked: bool,
    /// Whether the outputs are searched for secrets when the scene ends. Tests that search them on their own set it to false.
    pub searched: bool,
    /// How far the function's clock is ahead of AWS's.
    pub ahead: time::Duration,
}

/// The initial state of the secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// With a manager and no token yet.
    Manager,
    /// With a token made by hand, without a manager.
    ByHand,
}

impl Scene {
    /// One organization with one secret, under [`watch`].
    pub fn new(begin: Begin) -> Self {
        Self::of(|state| build(state, begin), watch)
    }

    /// A different world: `fill` creates it and returns the ARN of a secret. The caller supplies the watch.
    pub fn of(fill: impl FnOnce(&mut State) -> String, watch: impl FnOnce(&World, &Arc<Mutex<Vec<String>>>)) -> Self {
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

    /// Sets an environment variable of the function.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// The time, on the services' clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A fresh function: another execution environment, with its own transport.
    pub fn handler(&self, gate: Option<Arc<Gate>>) -> Handler {
        self.handler_over(Arc::new(self.transport(gate)))
    }

    /// A transport to the sandbox that pauses at `gate`.
    pub fn transport(&self, gate: Option<Arc<Gate>>) -> InProcess {
        InProcess { world: self.world.clone(), sent: Arc::default(), gate }
    }

    /// A fresh function with the test's own transport.
    pub fn handler_over(&self, transport: Arc<dyn Transport>) -> Handler {
        let clock = Arc::new(SimClock(self.clock.0, self.ahead)) as Arc<dyn Clock>;
        let shared = HttpShared::new(transport, clock, Arc::new(Counting(AtomicUsize::new(1))));
        match Config::parse(&self.environment) {
            Err(problems) => {
                let is_local = hubkeeper_core::config::is_local(&self.environment);
                Handler::Unusable(problems, Some(BareClient { shared, is_local }))
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
    ///
    /// # Errors
    /// The error of the function.
    pub async fn invoke(&self, event: Value) -> Answer {
        let handler = self.handler(None);
        let answer = handler.handle(&event, self.deadline()).await;
        self.keep(&answer);
        answer
    }

    /// Invokes a fresh function with an event, as Lambda does for a caller that named an alias.
    ///
    /// # Errors
    /// The error of the function.
    pub async fn invoke_as(&self, event: &Value, invocation: &Invocation) -> Answer {
        let answer = self.handler(None).handle_invoked(event, invocation, self.deadline()).await;
        self.keep(&answer);
        answer
    }

    /// Invokes a fresh function with an event as text.
    ///
    /// # Errors
    /// The error of the function.
    pub async fn invoke_text(&self, event: &str) -> Answer {
        let answer = self.handler(None).handle_text(event, self.deadline()).await;
        self.keep(&answer);
        answer
    }

    /// The deadline of an invocation that begins now, on the function's clock.
    pub fn deadline(&self) -> Timestamp {
        self.now() + self.ahead + TIMEOUT
    }

    /// One reconcile of the secret. Returns its report or error.
    pub async fn reconcile(&self) -> Value {
        self.reconcile_with(json!({})).await
    }

    /// One reconcile with additional fields in the event.
    pub async fn reconcile_with(&self, more: Value) -> Value {
        let fleet = self.invoke(self.reconcile_event(&more)).await.unwrap();
        let items = fleet["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{fleet}");
        assert_eq!(fleet["outcome"], items[0]["outcome"]);
        items[0].clone()
    }

    /// The event of [`Scene::reconcile_with`].
    pub fn reconcile_event(&self, more: &Value) -> Value {
        let mut event = json!({"action": "reconcile", "secretIds": [self.arn]});
        let members = event.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        event
    }

    /// The uuid of the PAT in a version.
    pub fn token_id(&self, version: &str) -> String {
        self.value(version)["tokenId"].as_str().unwrap_or_default().to_owned()
    }

    /// The state of a PAT: `active`, `inactive` or `gone`.
    pub fn pat(&self, id: &str) -> &'static str {
        match self.world.with(|state| hub::pats_of(state, USER)).iter().find(|pat| pat.uuid == id) {
            None => "gone",
            Some(pat) if pat.is_active => "active",
            Some(_) => "inactive",
        }
    }

    /// Keeps a response for the search for secrets at the end.
    pub fn keep(&self, answer: &Answer) {
        let text = match answer {
            Ok(value) => value.to_string(),
            Err(error) => {
                format!("{error} {error:?} {}", hubkeeper::handler::diagnostic(error).error_message)
            }
        };
        self.outputs.lock().unwrap().push(text);
    }

    /// Invokes a fresh function with an onboard event.
    ///
    /// # Errors
    /// The error of the function.
    pub async fn onboard(&self) -> Answer {
        self.invoke(json!({"action": "onboard", "secretId": self.arn})).await
    }

    /// The event of a rotation step.
    pub fn step(&self, step: &str, version: &str, token: Option<&str>) -> Value {
        let mut event = json!({"Step": step, "SecretId": self.arn, "ClientRequestToken": version});
        if let Some(token) = token {
            event["RotationToken"] = json!(token);
        }
        event
    }

    /// The native event for the candidate, or for AWSCURRENT.
    pub fn label_event(&self, label: &str, version: &str) -> Value {
        json!({"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "Secret Label Updated",
            "source": "aws.secretsmanager", "account": "111122223333", "time": "2026-11-24T10:00:00Z", "region": "eu-west-1",
            "resources": [self.arn], "detail": {"name": "hubkeeper/acme", "labelUpdated": label, "versionId": version}})
    }

    /// `CloudFormation`'s request for the resource of this secret, with a response URL.
    pub fn stack_event(&self, kind: &str, physical: Option<&str>) -> Value {
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

    /// Rotates the secret as Secrets Manager does, with this number of attempts.
    pub async fn rotate(&self, attempts: usize) -> Rotation {
        hubkeeper_sandbox::rotation::rotate(&self.world, self, &self.arn, attempts).await
    }

    /// The version that has a staging label.
    pub fn version(&self, label: &str) -> Option<String> {
        self.world.with(|state| aws::version_with(state, &self.arn, label))
    }

    /// The stored document of a version. Null if it does not exist.
    pub fn value(&self, version: &str) -> Value {
        self.world.with(|state| aws::value_of(state, &self.arn, version)).unwrap_or(Value::Null)
    }

    /// The connector's version tag and its token.
    pub fn connector(&self) -> Option<(String, String)> {
        self.world.with(|state| {
            let connector = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR)?;
            let version = connector.tag("hubkeeper-version").unwrap_or_default().to_owned();
            Some((version, connector.credential()?.1.to_owned()))
        })
    }

    /// Puts a version as a person would: this document with a different token.
    pub fn stage(&self, token: &str, change: impl FnOnce(&mut Value), stages: &[&str]) -> String {
        let mut value = document();
        value["accessToken"] = json!(token);
        change(&mut value);
        self.world.with(|state| aws::put_version(state, &self.arn, None, &value, stages))
    }

    /// A valid token, made by hand.
    pub fn good_token(&self) -> String {
        self.world.with(|state| hub::add_pat(state, USER, "by hand", &["repo:read"], None)).1
    }

    /// Writes since the record was last taken, as lines.
    pub fn writes(&self) -> Vec<String> {
        self.world.record().iter().filter(|entry| entry.is_write()).map(Recorded::line).collect()
    }

    /// Requests that can change the connector.
    pub fn connector_writes(&self) -> Vec<String> {
        let record = self.world.record();
        record.iter().filter(|entry| entry.service == Service::Arm && entry.is_write()).map(Recorded::line).collect()
    }

    /// Requests to a service since the record was last taken.
    pub fn requests(&self, service: Service) -> usize {
        self.world.record().iter().filter(|entry| entry.service == service).count()
    }

    /// PATs with the label of a version.
    pub fn pats_of_version(&self, version: &str) -> Vec<String> {
        let all = self.world.with(|state| hub::pats_of(state, USER));
        all.into_iter().filter(|pat| pat.label.ends_with(&format!("/{version}"))).map(|pat| pat.uuid).collect()
    }

    /// The metric lines since the previous call, each a JSON object.
    pub fn take_metrics(&self) -> Vec<Value> {
        let lines = std::mem::take(&mut *self.metrics.0.lock().unwrap());
        assert!(lines.is_empty() || lines.ends_with('\n'), "a line without its end: {lines}");
        let parsed = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        self.outputs.lock().unwrap().push(lines);
        parsed
    }

    /// Everything that left the function: responses, logs, metrics, URLs, labels, tags, responses to stacks.
    pub fn output(&self) -> String {
        let mut all = self.outputs.lock().unwrap().join("\n");
        all.push_str(&logged());
        all.push_str(&self.metrics.0.lock().unwrap());
        // a presigned URL is a secret itself, and only its own host gets it
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

    /// The broken promises so far.
    pub fn broken(&self) -> Vec<String> {
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

fn sdk() -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// The outcome of a report, or type and message of an error.
pub fn outcome(answer: &Answer) -> String {
    match answer {
        Ok(report) => report["outcome"].as_str().unwrap_or("?").to_owned(),
        Err(error) => format!("{}: {error}", error.kind().name()),
    }
}
