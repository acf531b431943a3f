//! Tests many organizations in one world: the list, the fan-out over the queue, records, and the services' rate limits.
//!
//! Each organization starts in the state after an onboarding, so a reconcile of a healthy fleet writes nothing.

mod items;
mod large;
mod pace;
mod records;
mod sending;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use hubkeeper::http::{Request, Response, Transport, TransportError};
use hubkeeper_core::time::Timestamp;
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Recorded, State, World, arm, aws, entra, hub};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use hubkeeper_scene::{Answer, CLIENT, InProcess, SUBSCRIPTION, Scene, TENANT, TIMEOUT, broken_promises, logged};

/// Requests per minute and address that Docker Hub allows (observed).
const A_MINUTE: u32 = 180;
/// Number of connectors that share a resource group.
const A_GROUP: usize = 10;

/// A fleet and its world.
pub(crate) struct Fleet {
    pub(crate) scene: Scene,
    pub(crate) members: Vec<Member>,
}

/// One organization, its secret, and the location of its connector.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) organization: String,
    username: String,
    pub(crate) arn: String,
    group: String,
    connector: String,
}

/// How a fleet is built.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    members: usize,
    /// Number of repositories of each organization; every fifth is private.
    repositories: usize,
    /// Every n-th organization creates its tokens with a manager; 0 means none.
    manager_every: usize,
}

impl Plan {
    /// Organizations of six repositories, without managers.
    pub(crate) const fn of(members: usize) -> Self {
        Self { members, repositories: 6, manager_every: 0 }
    }
}

impl Fleet {
    pub(crate) fn new(plan: Plan) -> Self {
        Self::watched(plan, watch_writes)
    }

    /// A fleet too large to search its outputs, and every connector at every write.
    fn unwatched(plan: Plan) -> Self {
        let mut fleet = Self::watched(plan, |_, _| {});
        fleet.scene.searched = false;
        fleet
    }

    fn watched(plan: Plan, watch: impl FnOnce(&World, &Arc<Mutex<Vec<String>>>)) -> Self {
        let mut members = Vec::new();
        let fill = |state: &mut State| {
            let (issuer, role) = (state.aws.sts.issuer.clone(), state.aws.sts.role_arn.clone());
            entra::register_application(state, TENANT, CLIENT);
            entra::add_federated_credential(state, CLIENT, &issuer, &role, "api://AzureADTokenExchange");
            arm::grant(state, CLIENT, SUBSCRIPTION, "*", &["read", "write", "delete"]);
            // a search for thousands of registry tokens is too slow; passwords, access tokens and bearer tokens are
            // searched for
            state.hub.remember_tokens = false;
            members = (0..plan.members).map(|index| add_member(state, plan, index)).collect();
            state.aws.events.clear();
            members.first().map(|member| member.arn.clone()).unwrap_or_default()
        };
        let scene = Scene::of(fill, watch);
        Self { scene, members }
    }

    /// Creates a queue, sets the function's variable, and returns the queue's URL.
    pub(crate) fn with_queue(&mut self) -> String {
        let url = self.scene.world.with(|state| aws::sqs::add_queue(state, "fleet"));
        self.scene.set("HUBKEEPER_QUEUE_URL", &url);
        url
    }

    async fn reconcile(&self) -> Value {
        self.scene.invoke(json!({"action": "reconcile"})).await.unwrap()
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.scene.world.with(act)
    }

    fn arns(&self) -> Vec<&str> {
        self.members.iter().map(|member| member.arn.as_str()).collect()
    }

    fn connector(&self, index: usize) -> Option<arm::Connector> {
        let Member { group, connector, .. } = &self.members[index];
        self.state(|state| arm::connector(state, SUBSCRIPTION, group, connector).cloned())
    }

    /// Returns the connector's body in a form that can be written again.
    fn stored(&self, index: usize) -> Value {
        let found = self.connector(index).unwrap();
        let (username, token) = found.credential().unwrap();
        let mut properties = found.properties.clone();
        properties["environmentData"]["authentication"]["username"] = json!(username);
        properties["environmentData"]["authentication"]["accessToken"] = json!(token);
        json!({"location": found.location, "tags": found.tags, "properties": properties})
    }

    /// Writes the connector as another program would.
    fn restore(&self, index: usize, body: &Value) {
        let Member { group, connector, .. } = &self.members[index];
        self.state(|state| arm::put_connector(state, SUBSCRIPTION, group, connector, body, CLIENT));
    }

    fn delete_connector(&self, index: usize) {
        let Member { group, connector, .. } = &self.members[index];
        assert!(self.state(|state| arm::delete_connector(state, SUBSCRIPTION, group, connector)));
    }

    /// Puts a changed document of the organization, which becomes AWSCURRENT at once.
    fn put(&self, index: usize, change: impl FnOnce(&mut Value)) {
        let arn = &self.members[index].arn;
        self.state(|state| {
            let current = aws::version_with(state, arn, "AWSCURRENT").unwrap();
            let mut value = aws::value_of(state, arn, &current).unwrap();
            change(&mut value);
            aws::put_version(state, arn, Some(&current), &value, &["AWSCURRENT"]);
        });
    }

    /// Puts a document that requires a missing repository: the proof is `partial` although the token is good.
    pub(crate) fn want_too_much(&self, index: usize) {
        self.put(index, |value| value["expectedRepositories"] = json!(["not-there"]));
    }

    /// Returns a new execution environment, and the record of its requests.
    fn environment(&self) -> (hubkeeper::handler::Handler, Notes) {
        let notes = Notes::default();
        let noting =
            Noting { inner: self.scene.transport(None), world: self.scene.world.clone(), notes: notes.clone() };
        (self.scene.handler_over(Arc::new(noting)), notes)
    }

    /// Sends records with these bodies as the queue does, and returns the positions of those that failed.
    pub(crate) async fn records(&self, bodies: &[String]) -> Vec<usize> {
        let answer = self.scene.invoke(batch(bodies)).await.unwrap();
        assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["batchItemFailures"]);
        let failures = answer["batchItemFailures"].as_array().unwrap().iter();
        failures.map(|failure| failure["itemIdentifier"].as_str().unwrap()[1..].parse().unwrap()).collect()
    }

    /// Returns the handled requests of one service.
    fn asked(&self, service: Service) -> Vec<Recorded> {
        self.scene.world.record().into_iter().filter(|entry| entry.service == service).collect()
    }

    /// Returns the number of requests for an action of AWS.
    fn calls(&self, action: &str) -> usize {
        self.asked(Service::Aws).iter().filter(|entry| aws::action(&entry.request).as_deref() == Some(action)).count()
    }
}

fn add_member(state: &mut State, plan: Plan, index: usize) -> Member {
    // the list is sorted by name
    let digits = if plan.members > 1_000 { 5 } else { 3 };
    let organization = format!("org-{index:0digits$}");
    let member = Member {
        username: format!("{organization}-scanner"),
        arn: String::new(),
        group: format!("rg-{}", index / A_GROUP),
        connector: format!("dockerhub-{organization}"),
        organization,
    };
    let Member { organization, username, group, connector, .. } = &member;
    let password = state.random_text(20);
    hub::add_user(state, username, &password);
    hub::add_member(state, organization, username, hub::Role::Editor);
    hub::add_repositories(state, organization, "service-", plan.repositories, 5);
    arm::add_resource_group(state, SUBSCRIPTION, group);
    let (_, token) = hub::add_pat(state, username, "by hand", &["repo:read"], None);
    let mut value = json!({
        "organization": organization, "username": username, "accessToken": token,
        "connector": {"subscriptionId": SUBSCRIPTION, "resourceGroup": group, "name": connector, "location": "westeurope"},
    });
    if plan.manager_every > 0 && index.is_multiple_of(plan.manager_every) {
        let manager = format!("managers/{organization}");
        let login = json!({"username": username, "password": password, "usedBy": [format!("fleet/{organization}")]});
        aws::create_secret(state, &manager, &login, &[]);
        value["manager"] = json!(manager);
    }
    let kept = format!("{organization}/{SUBSCRIPTION}/{group}/{connector}");
    let tags = [("hubkeeper", "managed"), ("hubkeeper-connector", kept.as_str())];
    let arn = aws::create_secret(state, &format!("fleet/{organization}"), &value, &tags);
    let version = aws::version_with(state, &arn, "AWSCURRENT").unwrap();
    let private = plan.repositories.div_ceil(5);
    let body = json!({
        "location": "westeurope",
        "tags": {
            "hubkeeper-secret": fingerprint(&arn), "hubkeeper-version": version,
            "hubkeeper-proved-at": "2026-11-20T10:00:00Z", "hubkeeper-proved": format!("{}/{private}", plan.repositories),
        },
        "properties": {
            "hierarchyIdentifier": organization,
            "environmentName": "DockerHub",
            "environmentData": {
                "environmentType": "DockerHubOrganization", "scanInterval": 24,
                "authentication": {"authenticationType": "AccessToken", "username": username, "accessToken": token},
            },
            "offerings": [
                {"offeringType": "CspmMonitorDockerHub"}, {"offeringType": "DefenderForContainersDockerHub"},
                {"offeringType": "DefenderCspmDockerHub"},
            ],
        },
    });
    arm::put_connector(state, SUBSCRIPTION, group, connector, &body, CLIENT);
    Member { arn, ..member }
}

/// Returns the first 12 hexadecimal digits of the SHA-256 of the secret's ARN.
fn fingerprint(arn: &str) -> String {
    let digest = Sha256::digest(arn);
    digest[..6].iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Checks the oracles of the world at every write: nothing else changes a connector or a token here, and no token
/// expires.
fn watch_writes(world: &World, broken: &Arc<Mutex<Vec<String>>>) {
    let broken = Arc::clone(broken);
    let mut known = BTreeSet::new();
    world.watch(move |state, entry| {
        if !entry.is_write() {
            return;
        }
        for what in broken_promises(state, &mut known, None) {
            broken.lock().unwrap().push(format!("{what} after request {} ({})", entry.index, entry.line()));
        }
    });
}

/// Returns the Lambda event with these bodies. The record at position 3 has the id `m3`.
fn batch(bodies: &[String]) -> Value {
    let records = bodies.iter().enumerate().map(|(at, body)| {
        json!({
            "messageId": format!("m{at}"), "receiptHandle": format!("r{at}"), "body": body,
            "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:111122223333:fleet", "awsRegion": "eu-west-1",
        })
    });
    json!({"Records": records.collect::<Vec<_>>()})
}

/// Returns the body of a message about one secret.
fn body(action: &str, secret_id: &str) -> String {
    json!({"action": action, "secretIds": [secret_id], "mode": "apply"}).to_string()
}

/// Returns every logged report of a secret, in the order of the lines.
fn reports() -> Vec<Value> {
    let lines = logged();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| serde_json::from_str(line["report"].as_str()?).ok()).collect()
}

/// Returns the outcomes of a fleet's items, in order.
fn outcomes(report: &Value) -> Vec<&str> {
    report["items"].as_array().unwrap().iter().map(|item| item["outcome"].as_str().unwrap()).collect()
}

fn secret_ids(report: &Value) -> Vec<&str> {
    report["items"].as_array().unwrap().iter().map(|item| item["secretId"].as_str().unwrap()).collect()
}

fn is_proven(report: &Value) -> bool {
    report["outcome"] == "unchanged" && report["verdict"]["result"] == "complete"
}

/// The successful requests about one organization at Docker Hub.
#[derive(Default, PartialEq, Eq, Debug)]
struct Proof {
    logins: usize,
    lists: usize,
    /// Repositories with a granted pull token.
    pulls: BTreeSet<String>,
    manifests: usize,
}

/// Returns the proofs by organization, from the services' record and not from the function's reports.
fn proofs(fleet: &Fleet) -> BTreeMap<String, Proof> {
    let mut proofs: BTreeMap<String, Proof> = BTreeMap::new();
    for entry in fleet.scene.world.record() {
        if entry.response.as_ref().is_none_or(|response| response.status() != 200) {
            continue;
        }
        let path = entry.request.uri().path().to_owned();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match (entry.service, segments.as_slice()) {
            (Service::Hub, ["v2", "auth", "token"]) => {
                let body: Value = serde_json::from_slice(entry.request.body()).unwrap();
                let organization = body["identifier"].as_str().unwrap().trim_end_matches("-scanner");
                proofs.entry(organization.to_owned()).or_default().logins += 1;
            }
            (Service::Hub, ["v2", "namespaces", organization, "repositories"]) => {
                proofs.entry((*organization).to_owned()).or_default().lists += 1;
            }
            (Service::HubAuth, ["token"]) => {
                for part in entry.request.uri().query().unwrap_or_default().split('&') {
                    let Some(scope) = part.strip_prefix("scope=repository:") else { continue };
                    let (organization, name) = scope.strip_suffix(":pull").unwrap().split_once('/').unwrap();
                    proofs.entry(organization.to_owned()).or_default().pulls.insert(name.to_owned());
                }
            }
            (Service::Registry, ["v2", organization, _, "manifests", _]) => {
                proofs.entry((*organization).to_owned()).or_default().manifests += 1;
            }
            _ => {}
        }
    }
    proofs
}

/// The requests and responses of one execution environment, in order.
#[derive(Clone)]
enum Note {
    Sent { host: String, at: Timestamp },
    Answered { host: String, at: Timestamp, status: u16, not_before: Option<Timestamp> },
}

type Notes = Arc<Mutex<Vec<Note>>>;

/// A transport that records requests and responses.
struct Noting {
    inner: InProcess,
    world: World,
    notes: Notes,
}

impl Transport for Noting {
    fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let (inner, world, notes) = (self.inner.clone(), self.world.clone(), Arc::clone(&self.notes));
        let now = move || world.with(|state| state.now());
        Box::pin(async move {
            notes.lock().unwrap().push(Note::Sent { host: host.clone(), at: now() });
            let answer = inner.send(request, body_limit).await;
            if let Ok(response) = &answer {
                let (at, status) = (now(), response.status().as_u16());
                let not_before = not_before(response, at);
                notes.lock().unwrap().push(Note::Answered { host, at, status, not_before });
            }
            answer
        })
    }
}

/// Returns when the next request may start: after a 429 the time that it names, after the last request of a window the
/// window's end.
fn not_before(response: &Response, at: Timestamp) -> Option<Timestamp> {
    let number = |name: &str| response.headers().get(name)?.to_str().ok()?.parse::<i64>().ok();
    if response.status() == 429 {
        return number("retry-after").map(|seconds| at + time::Duration::seconds(seconds));
    }
    let reset = number("x-ratelimit-reset").and_then(|reset| Timestamp::from_unix_timestamp(reset).ok());
    reset.filter(|_| number("x-ratelimit-remaining") == Some(0))
}

/// Checks that no request started before the time that an earlier response of its host named. Returns the number of 429
/// responses.
fn patient(notes: &Notes) -> usize {
    let mut wait: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut refused = 0;
    for note in notes.lock().unwrap().iter() {
        match note {
            Note::Sent { host, at } => {
                let earliest = wait.get(host).copied().unwrap_or(*at);
                assert!(*at >= earliest, "a request to {host} at {at}, which was to wait until {earliest}");
            }
            Note::Answered { host, at, status, not_before } => {
                assert!(*status != 429 || not_before.is_some(), "a 429 of {host} without a wait at {at}");
                refused += usize::from(*status == 429);
                if let Some(until) = not_before {
                    let known = wait.entry(host.clone()).or_insert(*until);
                    *known = (*known).max(*until);
                }
            }
        }
    }
    refused
}

fn keep(fleet: &Fleet, answer: Answer) -> Value {
    fleet.scene.keep(&answer);
    answer.unwrap()
}

/// Returns the end of an invocation that starts now.
fn deadline(fleet: &Fleet) -> Timestamp {
    fleet.scene.now() + TIMEOUT
}
