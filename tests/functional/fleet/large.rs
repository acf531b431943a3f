//! Tests a fleet of 10,000 organizations on simulated time: it is listed and sent to the queue in time, every organization is
//! reconciled once at the rate that Docker Hub allows, nothing is lost, and no response is too large.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hubkeeper::handler::Handler;
use hubkeeper::http::{Request, Response, Transport, TransportError};
use hubkeeper_core::time::Timestamp;
use hubkeeper_sandbox::keys::Quick;
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{World, aws};
use serde_json::{Value, json};

use super::{A_MINUTE, Fleet, Plan, batch, deadline, not_before};
use hubkeeper_scene::{InProcess, log_from, take_logged};

const ORGANIZATIONS: usize = 10_000;
/// Every twentieth makes its tokens with a manager: two more requests to Docker Hub's API.
const PLAN: Plan = Plan { members: ORGANIZATIONS, repositories: 1, manager_every: 20 };
/// Maximum size of a response of Lambda, in bytes.
const RESPONSE: usize = 6_000_000;
/// Deliveries after which a message goes to the dead-letter queue (the template's redrive policy).
const RECEIVES: u32 = 3;
/// Every so many deliveries the execution environment is killed while it handles the message.
const KILLED_EVERY: usize = 997;
/// Organizations whose proof is refused: a repository that they expect is missing.
const REFUSED: [usize; 3] = [7, 500, 2_999];

/// Requests by service, and what the services answered.
#[derive(Default)]
struct Counted {
    requests: BTreeMap<Service, usize>,
    /// Responses with status 429, by service.
    refused: BTreeMap<Service, usize>,
    writes: BTreeMap<String, usize>,
}

/// A transport that notes what one execution environment does at Docker Hub's API.
struct Paced {
    inner: InProcess,
    world: World,
    pace: Arc<Mutex<Pace>>,
}

#[derive(Default)]
struct Pace {
    /// When the next request may start, by the last responses.
    not_before: Option<Timestamp>,
    /// Requests that started earlier.
    early: usize,
    under_way: usize,
    most_under_way: usize,
}

impl Transport for Paced {
    fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>> {
        let is_hub = request.uri().host() == Some("hub.docker.com");
        let (inner, world, pace) = (self.inner.clone(), self.world.clone(), Arc::clone(&self.pace));
        let now = move || world.with(|state| state.now());
        Box::pin(async move {
            {
                let mut pace = pace.lock().unwrap();
                pace.early += usize::from(is_hub && pace.not_before.is_some_and(|earliest| now() < earliest));
                pace.under_way += 1;
                pace.most_under_way = pace.most_under_way.max(pace.under_way);
            }
            let answer = inner.send(request, body_limit).await;
            let mut pace = pace.lock().unwrap();
            pace.under_way -= 1;
            if let (true, Ok(response)) = (is_hub, &answer) {
                pace.not_before = pace.not_before.max(not_before(response, now()));
            }
            answer
        })
    }
}

/// What became of the messages.
#[derive(Default)]
struct Ledger {
    waiting: VecDeque<(String, u32)>,
    deliveries: usize,
    killed: usize,
    dead: Vec<String>,
    /// Reports by secret: the outcome of each.
    outcomes: BTreeMap<String, Vec<String>>,
}

impl Ledger {
    /// Takes the log lines, and notes the report of each secret that ended.
    fn note(&mut self) {
        let lines = take_logged();
        for line in lines.lines().filter(|line| line.contains("\"report\"")) {
            let line: Value = serde_json::from_str(line).unwrap();
            let report: Value = serde_json::from_str(line["report"].as_str().unwrap()).unwrap();
            let secret = report["secretId"].as_str().unwrap().to_owned();
            let proven = report["verdict"]["result"].as_str().unwrap_or("unproven");
            let outcome = format!("{} {proven}", report["outcome"].as_str().unwrap());
            self.outcomes.entry(secret).or_default().push(outcome);
        }
    }
}

/// Handles one message after another, as one of the two concurrent invocations of the event source mapping does.
async fn work(fleet: &Fleet, ledger: &Mutex<Ledger>, pace: &Arc<Mutex<Pace>>) {
    let environment = || -> Handler {
        let inner = fleet.scene.transport(None);
        let paced = Paced { inner, world: fleet.scene.world.clone(), pace: Arc::clone(pace) };
        fleet.scene.handler_over(Arc::new(paced))
    };
    let mut handler = environment();
    loop {
        let Some((body, received, is_killed)) = ({
            let mut ledger = ledger.lock().unwrap();
            ledger.waiting.pop_front().map(|(body, received)| {
                ledger.deliveries += 1;
                (body, received + 1, ledger.deliveries.is_multiple_of(KILLED_EVERY))
            })
        }) else {
            return;
        };
        let event = batch(std::slice::from_ref(&body));
        let work = Box::pin(handler.handle(&event, deadline(fleet)));
        let answer = if is_killed {
            let cut = tokio::time::timeout(Duration::from_millis(110), work).await;
            assert!(cut.is_err(), "a message is handled in less than 110 ms");
            handler = environment();
            let mut pace = pace.lock().unwrap();
            *pace = Pace { most_under_way: pace.most_under_way, early: pace.early, ..Pace::default() };
            None
        } else {
            Some(work.await.unwrap())
        };
        let mut ledger = ledger.lock().unwrap();
        ledger.note();
        ledger.killed += usize::from(is_killed);
        if answer != Some(json!({"batchItemFailures": []})) {
            if received < RECEIVES {
                ledger.waiting.push_back((body, received));
            } else {
                ledger.dead.push(body);
            }
        }
    }
}

/// Counts the requests instead of recording them: a record of so many would take more memory than all else.
fn count(fleet: &Fleet) -> Arc<Mutex<Counted>> {
    let counted = Arc::new(Mutex::new(Counted::default()));
    let kept = Arc::clone(&counted);
    fleet.scene.world.set_recording(false);
    fleet.scene.world.watch(move |_, entry| {
        let mut counted = kept.lock().unwrap();
        *counted.requests.entry(entry.service).or_default() += 1;
        if entry.response.as_ref().is_some_and(|response| response.status() == 429) {
            *counted.refused.entry(entry.service).or_default() += 1;
        }
        if entry.is_write() {
            *counted.writes.entry(entry.line()).or_default() += 1;
        }
    });
    counted
}

/// Checks that Lambda accepts the response, and returns its size.
fn fits(answer: &Value) -> usize {
    let bytes = answer.to_string().len();
    assert!(bytes < RESPONSE, "{bytes} bytes");
    bytes
}

/// The number of secrets with each outcome, in the items and beside them.
fn tally(answer: &Value) -> BTreeMap<String, u64> {
    let mut tally = BTreeMap::new();
    for item in answer["items"].as_array().unwrap() {
        *tally.entry(item["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    for (outcome, count) in answer["omitted"].as_object().into_iter().flatten() {
        *tally.entry(outcome.clone()).or_default() += count.as_u64().unwrap();
    }
    tally
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_organizations_are_reconciled_once_each_at_docker_hub_s_rate() {
    let since = Instant::now();
    let _cheaper = (log_from("info"), Quick::begin());
    let mut fleet = Fleet::unwatched(PLAN);
    let queue = fleet.with_queue();
    fleet.state(|state| state.hub.rate_limit_per_minute = Some(A_MINUTE));
    for at in REFUSED {
        fleet.want_too_much(at);
    }
    let counted = count(&fleet);

    // the daily schedule: one invocation lists the secrets and sends one message for each
    let began = fleet.scene.now();
    let answer = fleet.reconcile().await;
    let sent_in = fleet.scene.now() - began;
    assert!(sent_in < time::Duration::minutes(1), "{sent_in} of the function's 15 minutes");
    assert_eq!(tally(&answer), BTreeMap::from([("recorded".to_owned(), 10_000)]));
    let answer_bytes = fits(&answer);
    let bodies = fleet.state(|state| aws::sqs::bodies(state, &queue));
    let mut sent: Vec<String> = bodies
        .iter()
        .map(|body| serde_json::from_str::<Value>(body).unwrap()["secretIds"][0].as_str().unwrap().to_owned())
        .collect();
    sent.sort_unstable();
    let mut arns: Vec<&str> = fleet.arns();
    arns.sort_unstable();
    assert_eq!(sent, arns, "one message for each secret");
    let _ = take_logged();

    let ledger =
        Mutex::new(Ledger { waiting: bodies.into_iter().map(|body| (body, 0)).collect(), ..Ledger::default() });
    let before = counted.lock().unwrap().requests.clone();
    let began = fleet.scene.now();
    let paces = [Arc::<Mutex<Pace>>::default(), Arc::<Mutex<Pace>>::default()];
    tokio::join!(work(&fleet, &ledger, &paces[0]), work(&fleet, &ledger, &paces[1]));
    let took = fleet.scene.now() - began;
    let ledger = ledger.into_inner().unwrap();

    // nothing is lost: every organization has one report, also those whose environment was killed in between
    assert_eq!((ledger.waiting.len(), ledger.dead.len()), (0, 0));
    assert!(
        ledger.killed >= ORGANIZATIONS / 1_000 && ledger.deliveries == ORGANIZATIONS + ledger.killed,
        "{}",
        ledger.killed
    );
    assert_eq!(ledger.outcomes.len(), ORGANIZATIONS);
    for (at, member) in fleet.members.iter().enumerate() {
        let expected = if REFUSED.contains(&at) { "refused partial" } else { "unchanged complete" };
        assert_eq!(ledger.outcomes[&member.arn], [expected], "{}", member.organization);
    }

    let counted = counted.lock().unwrap();
    let requests: BTreeMap<Service, usize> = counted
        .requests
        .iter()
        .map(|(service, count)| (*service, count - before.get(service).copied().unwrap_or_default()))
        .collect();
    let of = |service| requests.get(&service).copied().unwrap_or_default();
    let refused = counted.refused.get(&Service::Hub).copied().unwrap_or_default();
    assert_eq!(counted.writes, BTreeMap::from([("POST SendMessageBatch".to_owned(), 1_000)]), "all is well");
    // as fast as the limit allows, and no faster
    let hub = of(Service::Hub) - refused;
    // a killed environment repeats what it had begun
    let expected = 2 * ORGANIZATIONS + 2 * ORGANIZATIONS.div_ceil(PLAN.manager_every);
    assert!((expected..=expected + 4 * ledger.killed).contains(&hub), "{hub} requests instead of {expected}");
    let least = time::Duration::minutes(i64::try_from(hub).unwrap() / i64::from(A_MINUTE));
    assert!(took >= least - time::Duration::minutes(1), "{took} for {hub} requests");
    assert!(took < least * 1.05, "{took} instead of {least}");
    assert!(took < time::Duration::hours(6), "{took} of a day");
    assert!(refused < hub / 20, "{refused} of {hub}");
    for pace in &paces {
        let pace = pace.lock().unwrap();
        assert_eq!(pace.early, 0, "a request to Docker Hub before the time that a response named");
        // what an environment holds does not grow with the fleet: one organization at a time
        assert!(pace.most_under_way <= 8, "{}", pace.most_under_way);
    }
    let figures = format!(
        "{ORGANIZATIONS} organizations, {A_MINUTE} requests a minute at Docker Hub: sent to the queue in {sent_in}, reconciled in {took}; \
         {hub} requests to Docker Hub's API and {refused} refused by its limit; {requests:?}; {} environments killed; \
         the fan-out's response has {answer_bytes} bytes; {:?} of real time\n",
        ledger.killed,
        since.elapsed()
    );
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("fleet.txt"), figures).unwrap();
}

/// Without a queue, one invocation works through the whole fleet. Its response must fit whatever the reports need.
#[tokio::test(start_paused = true)]
async fn the_response_about_thousands_fits_and_the_worst_are_in_it() {
    const UNKNOWN: usize = 5_000;
    let _cheaper = (log_from("info"), Quick::begin());
    let mut fleet = Fleet::new(Plan::of(4));
    fleet.scene.searched = false;
    fleet.delete_connector(2);
    // a name may have 512 characters, and the error quotes it
    let unknown = (0..UNKNOWN).map(|at| format!("hubkeeper/{}-{at:05}", "x".repeat(450)));
    let mut ids: Vec<String> = fleet.arns().iter().map(|arn| (*arn).to_owned()).collect();
    ids.splice(2..2, unknown);
    let report = fleet.scene.invoke(json!({"action": "reconcile", "secretIds": ids})).await.unwrap();
    let bytes = fits(&report);
    let expected = [("applied", 1), ("failed", UNKNOWN as u64), ("unchanged", 3)];
    assert_eq!(
        tally(&report),
        BTreeMap::from(expected.map(|(name, count)| (name.to_owned(), count))),
        "nobody is lost"
    );
    assert_eq!((&report["outcome"], &report["omitted"]["applied"]), (&json!("failed"), &json!(1)));
    let items = report["items"].as_array().unwrap();
    assert!(bytes > 4_900_000 && items.len() < UNKNOWN, "{bytes} bytes, {} items", items.len());
    let listed: Vec<&str> = items.iter().map(|item| item["secretId"].as_str().unwrap()).collect();
    let expected: Vec<&str> = ids[2..2 + items.len()].iter().map(String::as_str).collect();
    assert_eq!(listed, expected, "the failures, in the order of the event");
    // each secret has its line in the log and its metrics, whether it is in the response or not
    let mut ledger = Ledger::default();
    ledger.note();
    assert_eq!(ledger.outcomes.len(), UNKNOWN + 4);
    assert!(ledger.outcomes.values().all(|outcomes| outcomes.len() == 1));
    let metrics = fleet.scene.take_metrics();
    let failed: u64 = metrics.iter().map(|line| line["Failed"].as_u64().unwrap()).sum();
    assert_eq!((metrics.len(), failed), (UNKNOWN + 4, UNKNOWN as u64));
}
