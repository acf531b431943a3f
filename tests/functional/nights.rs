//! Twelve planted nights in the simulated world: which alarm or notice comes, how long after the fault, which entry of the runbook it
//! links to, what the entry's query finds in the log, and whether its steps repair the fault.
//!
//! The metrics are the function's own lines. What AWS measures (errors of invocations, messages in the dead-letter queue) is
//! measured here. Retries, the schedule and the notices are simulated as `infra/aws/template.yaml` sets them.

mod alarm;
mod insights;
mod runbook;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use alarm::{Alarm, Metrics, State, alarms};
use hubkeeper_core::time::{Timestamp, parse_rfc3339};
use hubkeeper_sandbox::world::{Service, json as answer};
use hubkeeper_sandbox::{Fault, Request, State as Services, arm, aws, hub};
use hubkeeper_scene::{Answer, Begin, CONNECTOR, GROUP, ORG, SUBSCRIPTION, Scene, USER, logged, outcome};
use serde_json::{Value, json};

use crate::infra::notices::{self, Format};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// The period of the queue's metric, and the time between two evaluations.
const TICK: Duration = Duration::from_mins(5);

/// A scene with its alarms and notices.
struct Night {
    scene: Scene,
    alarms: Vec<Alarm>,
    states: BTreeMap<String, State>,
    metrics: Metrics,
    lines: Vec<Value>,
    /// Each alarm that acted and each notice: the time, its name and its text.
    signals: Vec<(Timestamp, String, String)>,
    /// Every state that each alarm had.
    seen: BTreeSet<(String, String)>,
    dead_letters: u32,
    fault: Option<Timestamp>,
    next_reconcile: Option<Timestamp>,
}

impl Night {
    /// A stack that works: one organization is onboarded, and the schedule has run.
    async fn quiet(begin: Begin) -> Self {
        let scene = Scene::new(begin);
        let mut night = Self {
            next_reconcile: Some(scene.now() + HOUR),
            scene,
            alarms: alarms(),
            states: BTreeMap::new(),
            metrics: Metrics::default(),
            lines: Vec::new(),
            signals: Vec::new(),
            seen: BTreeSet::new(),
            dead_letters: 0,
            fault: None,
        };
        night.evaluate();
        assert!(night.states.values().all(|state| *state != State::Alarm), "a new stack is not in ALARM");
        let onboarded = json!({"action": "onboard", "secretId": night.scene.arn});
        assert_eq!(outcome(&night.send(onboarded).await), "applied");
        night.rest(DAY * 2).await;
        assert_eq!(night.signals, [], "nothing happened yet");
        assert!(night.all_quiet(), "{:?}", night.states);
        night
    }

    fn all_quiet(&self) -> bool {
        self.states.values().all(|state| *state == State::Ok)
    }

    /// Notes the beginning of the fault.
    fn breaks(&mut self) {
        self.fault = Some(self.scene.now());
    }

    fn measure(&mut self, namespace: &str, metric: &str, dimension: (&str, &str), value: f64) {
        let dimensions = [(dimension.0.to_owned(), dimension.1.to_owned())].into();
        self.metrics.add(namespace, metric, dimensions, (self.scene.now(), value));
    }

    /// Reads the metrics out of the function's lines, as `CloudWatch` does.
    fn collect(&mut self) {
        for line in self.scene.take_metrics() {
            let at = parse_rfc3339(line["timestamp"].as_str().unwrap()).unwrap();
            for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
                for set in directive["Dimensions"].as_array().unwrap() {
                    let names = set.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                    let dimensions: BTreeMap<String, String> =
                        names.map(|name| (name.to_owned(), line[name].as_str().unwrap().to_owned())).collect();
                    for metric in directive["Metrics"].as_array().unwrap() {
                        let metric = metric["Name"].as_str().unwrap();
                        let value = line[metric].as_f64().unwrap();
                        let namespace = directive["Namespace"].as_str().unwrap();
                        self.metrics.add(namespace, metric, dimensions.clone(), (at, value));
                    }
                }
            }
            self.lines.push(line);
        }
    }

    /// Evaluates every alarm. One that goes to ALARM, or to `INSUFFICIENT_DATA` with an action for that, is a signal.
    fn evaluate(&mut self) {
        let now = self.scene.now();
        for alarm in &self.alarms {
            let before = self.states.get(&alarm.name).copied().unwrap_or(State::InsufficientData);
            let after = alarm.evaluate(&self.metrics, now, before);
            let acts = after == State::Alarm || (after == State::InsufficientData && alarm.acts_on_missing);
            if acts && before != after {
                self.signals.push((now, alarm.name.clone(), alarm.description.clone()));
            }
            self.seen.insert((alarm.name.clone(), format!("{after:?}")));
            self.states.insert(alarm.name.clone(), after);
        }
    }

    /// Invokes the function once, synchronously.
    async fn send(&mut self, event: Value) -> Answer {
        let result = self.scene.invoke(event).await;
        self.measure("AWS/Lambda", "Errors", ("FunctionName", "hubkeeper"), f64::from(u8::from(result.is_err())));
        self.collect();
        self.evaluate();
        result
    }

    /// Invokes the function as `EventBridge` does: a failed event comes once more, then there is a notice.
    async fn send_event(&mut self, event: Value) -> Answer {
        let first = self.send(event.clone()).await;
        if first.is_ok() {
            return first;
        }
        tokio::time::advance(Duration::from_mins(1)).await;
        let second = self.send(event).await;
        if let Err(error) = &second {
            let mut record = notices::failed_event();
            record["time"] = json!(hubkeeper_core::time::rfc3339(self.scene.now()));
            record["detail"]["responsePayload"] =
                json!({"errorType": error.kind().name(), "errorMessage": error.to_string()});
            self.notice("EventFailed", "FailedEventRule", &record);
        }
        second
    }

    fn notice(&mut self, name: &str, rule: &str, event: &Value) {
        let text = notices::mail(&notices::render(rule, Format::Email, event)).join("\n");
        serde_json::from_str::<Value>(&notices::render(rule, Format::Chat, event)).unwrap();
        self.signals.push((self.scene.now(), name.to_owned(), text));
    }

    /// Sends a record of the queue until it is done, three times at most. Then it is in the dead-letter queue.
    async fn send_record(&mut self, body: &str) {
        let record =
            json!({"messageId": "m", "receiptHandle": "r", "body": body, "eventSource": "aws:sqs", "attributes": {}});
        for _ in 0..3 {
            let response = self.send(json!({"Records": [record]})).await.unwrap();
            if response["batchItemFailures"] == json!([]) {
                return;
            }
            self.rest(Duration::from_mins(90)).await;
        }
        self.dead_letters += 1;
    }

    /// Lets time pass, with the schedule and the evaluation of alarms.
    async fn rest(&mut self, time: Duration) {
        let end = self.scene.now() + time;
        while self.scene.now() < end {
            tokio::time::advance(TICK).await;
            if self.next_reconcile.is_some_and(|at| at <= self.scene.now()) {
                self.next_reconcile = Some(self.scene.now() + DAY);
                let event = json!({"action": "reconcile", "secretIds": [self.scene.arn]});
                self.send(event).await.unwrap();
            }
            let waiting = f64::from(self.dead_letters);
            let queue = ("QueueName", "hubkeeper-DeadLetterQueue");
            self.measure("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, waiting);
            self.evaluate();
        }
    }

    /// Runs the command of a runbook entry that sends a reconcile of the secret.
    async fn reconcile(&mut self) -> Value {
        let fleet = self.send(json!({"action": "reconcile", "secretIds": [self.scene.arn]})).await.unwrap();
        fleet["items"][0].clone()
    }

    /// Every line of the log, the metrics included.
    fn log(&self) -> Vec<Value> {
        let logged = logged();
        let lines = logged.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.chain(self.lines.iter().cloned()).collect()
    }

    /// Checks the first signal after the fault, its text, its entry, the entry's query, and that the entry names `steps`. The caller
    /// has run them. Then checks that every alarm returns to OK.
    async fn ends(mut self, name: &str, signal: &str, words: &[&str], query: (&str, &str), steps: &[&str]) -> Row {
        let fault = self.fault.expect("a fault");
        let found = self.signals.iter().find(|(at, name, _)| *at >= fault && name == signal);
        let (at, _, text) = found.unwrap_or_else(|| {
            panic!("{name}: no {signal}: {:?}", self.signals.iter().map(|s| &s.1).collect::<Vec<_>>())
        });
        let (after, text) = (*at - fault, text.clone());
        for word in words {
            assert!(text.contains(word), "{name}: {word}: {text}");
        }
        let anchor = text.rsplit_once('#').unwrap().1.trim().to_lowercase();
        assert_eq!(anchor, signal.to_lowercase(), "{name}");
        let entry = runbook::entry(signal);
        for step in steps {
            assert!(entry.contains(step), "{name}: the entry {signal} does not say: {step}");
        }
        let (query, word) = query;
        assert!(entry.contains(&format!("`{query}`")), "{name}: the entry {signal} does not name the query {query}");
        let rows = insights::run(&runbook::query(query).replace("ORGANIZATION", ORG), &self.log());
        assert!(!rows.is_empty() && json!(rows).to_string().contains(word), "{name}: {query}: {word}: {}", json!(rows));
        let others: BTreeSet<&str> = self
            .signals
            .iter()
            .filter(|(at, name, _)| *at >= fault && name != signal)
            .map(|(_, name, _)| name.as_str())
            .collect();
        let others = others.into_iter().collect::<Vec<_>>().join(", ");
        self.rest(DAY * 6).await;
        assert!(self.all_quiet(), "{name}: not over: {:?}", self.states);
        Row {
            night: name.to_owned(),
            signal: signal.to_owned(),
            after,
            others,
            query: query.to_owned(),
            seen: self.seen.clone(),
        }
    }
}

/// The result of one night.
struct Row {
    night: String,
    signal: String,
    after: time::Duration,
    others: String,
    query: String,
    seen: BTreeSet<(String, String)>,
}

/// Removes AWSPENDING, as the runbook's command does.
fn unstick(state: &mut Services, arn: &str) {
    let secret = state.aws.secrets.get_mut(arn).unwrap();
    for version in secret.versions.values_mut() {
        version.stages.retain(|stage| stage != "AWSPENDING");
    }
    secret.rotating = None;
}

fn refuses(
    service: Service,
    method: &'static str,
    status: u16,
    body: Value,
) -> impl FnMut(&Services, Service, &Request) -> Option<Fault> + Send + 'static {
    move |_, to, request| {
        let hit = to == service && (method.is_empty() || request.method() == method);
        hit.then(|| Fault::Answer(answer(status, &body)))
    }
}

fn current_token(scene: &Scene) -> String {
    scene.token_id(&scene.version("AWSCURRENT").unwrap())
}

async fn expired_token() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    // the watch reports a connector with a dead token, which this night is about
    night.scene.checked = false;
    let past = night.scene.now() - time::Duration::minutes(1);
    let id = current_token(&night.scene);
    night.scene.world.with(|state| hub::set_expiry(state, &id, Some(past)));
    night.breaks();
    night.rest(DAY).await;
    assert!(night.scene.rotate(1).await.succeeded);
    assert_eq!(night.reconcile().await["verdict"]["result"], "complete");
    let query = ("errors by organization", "rejected");
    night
        .ends("expired token", "VerdictAlarm", &["was rejected", "remedy"], query, &["hubkeeper rotate hubkeeper/acme"])
        .await
}

async fn lost_team() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    night.scene.world.with(|state| {
        hub::remove_member(state, ORG, USER);
        hub::add_member(state, ORG, USER, hub::Role::Member);
    });
    night.breaks();
    night.rest(DAY).await;
    night.scene.world.with(|state| {
        hub::remove_member(state, ORG, USER);
        hub::add_member(state, ORG, USER, hub::Role::Editor);
    });
    assert_eq!(night.reconcile().await["outcome"], "unchanged");
    let steps = ["give the user access to the missing repositories", "hubkeeper reconcile hubkeeper/acme"];
    night.ends("lost team", "VerdictAlarm", &["sees too little"], ("errors by organization", "partial"), &steps).await
}

async fn deleted_connector() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    night.scene.world.with(|state| arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
    night.breaks();
    night.rest(DAY).await;
    assert!(night.scene.connector().is_some(), "the next reconcile creates it again");
    assert_eq!(night.signals, [], "and nobody has to know");
    let fault = night.fault.unwrap();
    let rows = insights::run(&runbook::query("reconciles"), &night.log());
    let applied = rows.iter().find(|row| row["outcome"] == "applied").unwrap();
    let after = parse_rfc3339(applied["@timestamp"].as_str().unwrap()).unwrap() - fault;
    Row {
        night: "deleted connector".into(),
        signal: "none: reconcile repairs it".into(),
        after,
        others: String::new(),
        query: "reconciles".into(),
        seen: night.seen.clone(),
    }
}

async fn policy_denies() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    night.scene.world.with(|state| arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
    let policy = json!([{"type": "PolicyViolation", "info": {"policyAssignmentName": "allowed-locations",
        "policyAssignmentDisplayName": "Allowed locations", "policyAssignmentId": "/subscriptions/x/policyAssignments/allowed-locations"}}]);
    let body =
        json!({"error": {"code": "RequestDisallowedByPolicy", "message": "Plain words.", "additionalInfo": policy}});
    night.scene.world.script(refuses(Service::Arm, "PUT", 403, body));
    night.breaks();
    night.rest(DAY).await;
    night.scene.world.calm();
    assert_eq!(night.reconcile().await["outcome"], "applied");
    let steps = ["exempt the connector's resource group", "hubkeeper reconcile hubkeeper/acme"];
    let query = ("errors by organization", "Allowed locations");
    night.ends("policy denies", "FailedAlarm", &["report.errorMessage"], query, &steps).await
}

async fn stuck_rotation() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    let body = json!({"error": {"code": "ScopeLocked", "message": "Plain words."}});
    night.scene.world.script(refuses(Service::Arm, "PUT", 409, body));
    let (pending, token) = night.scene.world.with(|state| aws::begin_rotation(state, &night.scene.arn, true));
    night.breaks();
    night.send(night.scene.step("createSecret", &pending, token.as_deref())).await.unwrap();
    for _ in 0..3 {
        let step = night.send(night.scene.step("setSecret", &pending, token.as_deref())).await;
        assert!(step.is_err(), "{}", outcome(&step));
        night.rest(HOUR).await;
    }
    let mut event = notices::ended_rotation("rotation-failed");
    event["detail"]["additionalEventData"]["SecretId"] = json!(night.scene.arn);
    event["detail"]["requestID"] = json!(format!("Rotation-{}-{pending}", night.scene.arn));
    night.notice("RotationFailed", "RotationEndedRule", &event);
    assert_eq!(night.send(event).await.unwrap()["outcome"], "recorded");
    night.scene.world.calm();
    night.scene.world.with(|state| unstick(state, &night.scene.arn));
    assert!(night.scene.rotate(1).await.succeeded);
    assert_eq!(night.reconcile().await["verdict"]["result"], "complete");
    let steps = ["hubkeeper rotate hubkeeper/acme", "--version-stage AWSPENDING --remove-from-version-id"];
    night
        .ends(
            "stuck rotation",
            "RotationFailed",
            &["hubkeeper/acme", "rotate-secret"],
            ("failed rotations", "setSecret"),
            &steps,
        )
        .await
}

async fn leftover_pending() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    night.scene.world.with(|state| state.aws.leave_pending = true);
    let rotation = night.scene.rotate(1).await;
    assert!(rotation.succeeded);
    // the label blocks every rotation that follows, until the token is about to expire
    let version = night.scene.stage(&night.scene.good_token(), |_| {}, &["HUBKEEPER_CANDIDATE"]);
    let label = night.scene.label_event("HUBKEEPER_CANDIDATE", &version);
    night.send_event(label).await.unwrap();
    let expiry = night.scene.now() + time::Duration::days(20);
    let version = night.scene.version("AWSCURRENT").unwrap();
    let token = night.scene.value(&version)["accessToken"].as_str().unwrap().to_owned();
    let soon = night.scene.stage(
        &token,
        |value| {
            value["manager"] = json!("hubkeeper/manager");
            value["expiresAt"] = json!(hubkeeper_core::time::rfc3339(expiry));
        },
        &["AWSCURRENT"],
    );
    assert_eq!(night.scene.version("AWSCURRENT"), Some(soon));
    night.breaks();
    night.rest(DAY * 8).await;
    night.scene.world.with(|state| {
        state.aws.leave_pending = false;
        unstick(state, &night.scene.arn);
    });
    assert!(night.scene.rotate(1).await.succeeded);
    assert_eq!(night.reconcile().await["verdict"]["result"], "complete");
    let steps = ["hubkeeper rotate hubkeeper/acme", "failed rotations"];
    night
        .ends(
            "leftover AWSPENDING",
            "DaysLeftLowAlarm",
            &["expires soon"],
            ("days left by organization", "acme"),
            &steps,
        )
        .await
}

async fn dead_letters() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    night.breaks();
    night.send_record("{\"action\": \"reconcil\"}").await;
    night.rest(HOUR).await;
    // read, and deleted, since it is not an event of hubkeeper
    night.dead_letters = 0;
    let steps = ["aws sqs receive-message", "Delete a message that is not an event"];
    let query = ("failures that the queue repeats", "BadEvent");
    night.ends("dead letters", "DeadLetterAlarm", &["start-message-move-task"], query, &steps).await
}

async fn locked_out() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    night.scene.world.script(|_, service, request| {
        let body = bytes::Bytes::from_static(b"too many failed login attempts for username or IP address");
        let response = http::Response::builder().status(429).body(body);
        let hit = service == Service::Hub && request.method() == "POST";
        hit.then(|| Fault::Answer(response.unwrap()))
    });
    night.breaks();
    night.rest(DAY).await;
    night.scene.world.calm();
    night.rest(Duration::from_mins(10)).await;
    assert_eq!(night.reconcile().await["outcome"], "unchanged");
    let steps = ["refused logins", "correct the manager secret, and wait ten minutes"];
    night
        .ends(
            "locked-out login",
            "FailedAlarm",
            &["organization and remedy"],
            ("refused logins", "\"Service\":\"hub\""),
            &steps,
        )
        .await
}

async fn federation_off() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    let body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
        <Code>OutboundWebIdentityFederationDisabledException</Code><Message>disabled</Message></Error></ErrorResponse>";
    night.scene.world.script(move |_, service, request| {
        let is_it = String::from_utf8_lossy(request.body()).contains("GetWebIdentityToken");
        let response = http::Response::builder().status(403).header("content-type", "text/xml");
        (service == Service::Aws && is_it).then(|| Fault::Answer(response.body(bytes::Bytes::from(body)).unwrap()))
    });
    night.breaks();
    night.rest(DAY).await;
    night.scene.world.calm();
    assert_eq!(night.reconcile().await["outcome"], "unchanged");
    let steps = ["aws iam enable-outbound-web-identity-federation", "hubkeeper reconcile hubkeeper/acme"];
    let query = ("errors by organization", "enable-outbound-web-identity-federation");
    night.ends("federation switched off", "FailedAlarm", &["organization and remedy"], query, &steps).await
}

async fn schedule_disabled() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    night.next_reconcile = None;
    night.breaks();
    night.rest(DAY * 2).await;
    assert_eq!(night.states["ReconcileMissingAlarm"], State::InsufficientData);
    night.next_reconcile = Some(night.scene.now() + DAY);
    assert_eq!(night.reconcile().await["outcome"], "unchanged");
    let steps = ["aws scheduler list-schedules", "hubkeeper deploy", "hubkeeper reconcile --all"];
    let words = ["No reconcile of hubkeeper succeeded in 26 hours", "check the schedule"];
    night.ends("schedule disabled", "ReconcileMissingAlarm", &words, ("reconciles", "unchanged"), &steps).await
}

async fn kms_denied() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    night.scene.world.script(|_, service, request| {
        let is_it =
            request.headers().get("x-amz-target").is_some_and(|target| target == "secretsmanager.GetSecretValue");
        let body = json!({"__type": "AccessDeniedException", "Message": "Access to KMS is not allowed"});
        (service == Service::Aws && is_it).then(|| Fault::Answer(answer(400, &body)))
    });
    night.breaks();
    // longer than the alarm on missing proofs, and than the one on reconciles
    night.rest(DAY * 4).await;
    assert_eq!(night.states["ProofMissingAlarm"], State::Alarm);
    assert_eq!(night.states["ReconcileMissingAlarm"], State::Alarm, "reconciles run, and fail");
    night.scene.world.calm();
    assert_eq!(night.reconcile().await["outcome"], "unchanged");
    let steps = ["hubkeeper verify --secret hubkeeper/acme", "hubkeeper reconcile hubkeeper/acme"];
    let words = ["3 days in a row", "proofs that are missing"];
    night
        .ends("KMS denied", "ProofMissingAlarm", &words, ("proofs that are missing", "secret:hubkeeper/acme"), &steps)
        .await
}

async fn docker_hub_down() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    night.scene.world.script(refuses(Service::Hub, "", 503, json!({"message": "unavailable"})));
    night.breaks();
    let version = night.scene.stage(&night.scene.good_token(), |_| {}, &["HUBKEEPER_CANDIDATE"]);
    let label = night.scene.label_event("HUBKEEPER_CANDIDATE", &version);
    assert!(night.send_event(label).await.is_err());
    night.rest(HOUR * 2).await;
    night.scene.world.calm();
    assert_eq!(night.reconcile().await["outcome"], "applied", "it adopts the candidate that waits");
    let steps = ["hubkeeper reconcile hubkeeper/acme", "adopts a candidate that waits"];
    let query = ("errors by organization", "Retryable");
    night
        .ends(
            "Docker Hub down for two hours",
            "EventFailed",
            &["adopt for organization acme", "Retryable", "503"],
            query,
            &steps,
        )
        .await
}

async fn throttled() -> Row {
    let mut night = Night::quiet(Begin::Manager).await;
    night.breaks();
    night.measure("AWS/Lambda", "Throttles", ("FunctionName", "hubkeeper"), 2.0);
    night.rest(TICK).await;
    let (pending, token) = night.scene.world.with(|state| aws::begin_rotation(state, &night.scene.arn, true));
    night.scene.world.script(refuses(Service::Hub, "", 503, json!({"message": "unavailable"})));
    assert!(night.send(night.scene.step("createSecret", &pending, token.as_deref())).await.is_err());
    night.scene.world.calm();
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        night.send(night.scene.step(step, &pending, token.as_deref())).await.unwrap();
    }
    night.scene.world.with(|state| unstick(state, &night.scene.arn));
    night.rest(HOUR).await;
    let steps = ["aws lambda get-account-settings", "Reserve ten or more"];
    night
        .ends(
            "concurrency used up",
            "ThrottlesAlarm",
            &["concurrency is used up"],
            ("failed rotations", "createSecret"),
            &steps,
        )
        .await
}

#[tokio::test(start_paused = true)]
async fn every_night_has_its_signal_and_the_runbook_ends_it() {
    let rows = [
        Box::pin(expired_token()).await,
        Box::pin(lost_team()).await,
        Box::pin(deleted_connector()).await,
        Box::pin(policy_denies()).await,
        Box::pin(stuck_rotation()).await,
        Box::pin(leftover_pending()).await,
        Box::pin(dead_letters()).await,
        Box::pin(locked_out()).await,
        Box::pin(federation_off()).await,
        Box::pin(schedule_disabled()).await,
        Box::pin(kms_denied()).await,
        Box::pin(docker_hub_down()).await,
        Box::pin(throttled()).await,
    ];
    let seen: BTreeSet<_> = rows.iter().flat_map(|row| row.seen.iter().cloned()).collect();
    for alarm in alarms() {
        for state in ["Ok", "Alarm"] {
            assert!(
                seen.contains(&(alarm.name.clone(), state.to_owned())),
                "no night drives {} to {state}",
                alarm.name
            );
        }
    }
    let mut table =
        String::from("| night | first signal | after | also | query of its entry |\n|---|---|---|---|---|\n");
    for Row { night, signal, after, others, query, .. } in &rows {
        let minutes = after.whole_minutes();
        writeln!(table, "| {night} | {signal} | {} h {:02} min | {others} | {query} |", minutes / 60, minutes % 60)
            .unwrap();
    }
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("nights.md"), table).unwrap();
}
