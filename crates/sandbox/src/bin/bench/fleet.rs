//! `bench fleet FUNCTION`: the cost, above all in memory, of a reconcile of many organizations in one invocation: no queue, no
//! rate limits, a new process, 20 ms added to each response. A fleet of three, measured in the same run, is the baseline.
//!
//! The sandbox runs in this process, without its record. All connectors are in one resource group, the worst case: each check for
//! other connectors of the organization reads all of them. Then the status page of each fleet, in a new process. Last, the
//! invocation that sends 10,000 secrets to a queue: all that grows with the size of a fleet that has one.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hubkeeper_sandbox::lambda::LambdaHost;
use hubkeeper_sandbox::serve::{Options, Served, serve};
use hubkeeper_sandbox::{State, World, aws, hub, scene};
use serde_json::{Value, json};

use crate::NAMES;

/// Organizations: the baseline, and the fleet.
const SIZES: [usize; 2] = [3, 300];
/// Secrets that one invocation sends to a queue.
const SENT: usize = 10_000;
/// Repositories of each organization. Every second one is private.
const REPOSITORIES: usize = 50;
/// Runs of each size. The maximum counts.
const RUNS: usize = 2;
/// Milliseconds added to each response. Without them two requests rarely overlap.
const LATENCY: u64 = 20;
const TIMEOUT: Duration = Duration::from_mins(15);
/// MiB.
const MEMORY: f64 = 40.0;
/// MiB while 10,000 secrets are sent: half of Lambda's smallest setting. The reports in the response take most of it.
const MEMORY_OF_SENDING: f64 = 64.0;
/// Bytes of a response that Lambda accepts.
const RESPONSE: usize = 6_000_000;
/// Duration of a status page.
const PAGE: Duration = Duration::from_secs(10);
/// Concurrent requests to one service.
const AT_ONCE: usize = 64;

/// The maximum cost of the reconciles of a fleet.
#[derive(Default)]
struct Row {
    organizations: usize,
    wall: Duration,
    requests: [usize; 6],
    at_once: [usize; 6],
    /// KiB.
    memory: u64,
    /// Of the status page: the duration, the peak memory in KiB, and the bytes.
    page: (Duration, u64, usize),
}

pub(crate) async fn run(arguments: &[String]) -> ExitCode {
    let [function] = arguments else {
        eprintln!("usage: bench fleet FUNCTION");
        return ExitCode::from(2);
    };
    let mut rows = Vec::new();
    for organizations in SIZES {
        match size(Path::new(function), organizations).await {
            Ok(row) => rows.push(row),
            Err(error) => {
                eprintln!("bench fleet, {organizations} organizations: {error}");
                return ExitCode::from(2);
            }
        }
    }
    let sent = match fan_out(Path::new(function)).await {
        Ok(sent) => sent,
        Err(error) => {
            eprintln!("bench fleet, {SENT} secrets for a queue: {error}");
            return ExitCode::from(2);
        }
    };
    table(&rows);
    let held = [held(&rows), held_sending(sent)];
    if held == [true, true] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Sends a fleet to a queue, in a new process. Returns the duration, the peak memory of the process in KiB, and the bytes of the
/// response.
async fn fan_out(function: &Path) -> Result<(Duration, u64, usize), Box<dyn Error>> {
    let world = World::new();
    world.set_recording(false);
    let queue = world.with(|state| {
        for index in 0..SENT {
            let name = format!("hubkeeper/{}-{index:05}", scene::ORGANIZATION);
            aws::create_secret(state, &name, &json!({}), &[("hubkeeper", "managed")]);
        }
        aws::sqs::add_queue(state, "fleet")
    });
    let authority = scene::authority_file();
    let served =
        serve(world.clone(), Options { authority_file: Some(authority.clone()), ..Options::default() }).await?;
    let mut environment = scene::environment(&served);
    environment.push(("HUBKEEPER_QUEUE_URL".to_owned(), queue.clone()));
    let host = LambdaHost::start(function, &environment, TIMEOUT)?;
    host.started_to_first_poll().await?;
    served.latency.store(LATENCY, Ordering::Relaxed);
    let since = Instant::now();
    let answer = host.invoke(json!({"action": "reconcile"})).await;
    let answer = answer.map_err(|error| format!("{}: {}", error.error_type, error.message))?;
    let wall = since.elapsed();
    let memory = host.peak_memory_kib().ok_or("the function is no longer running")?;
    let _ = std::fs::remove_file(authority);
    let messages = world.with(|state| aws::sqs::bodies(state, &queue).len());
    if messages == SENT && answer["outcome"] == "recorded" {
        return Ok((wall, memory, answer.to_string().len()));
    }
    Err(format!("{messages} of {SENT} messages were sent; the outcome is {}", answer["outcome"]).into())
}

/// Prints the limits of sending beside their measurements. Returns whether all are met.
fn held_sending((wall, memory, bytes): (Duration, u64, usize)) -> bool {
    let memory = mebibytes(memory);
    let word = |held: bool| if held { "ok" } else { "OVER" };
    println!("{SENT} secrets sent to a queue in {:.1} s, a response of {bytes} bytes", wall.as_secs_f64());
    println!(
        "peak memory, MiB                 {memory:>6.1}  at most {MEMORY_OF_SENDING:>4.1}  {}",
        word(memory <= MEMORY_OF_SENDING)
    );
    println!("bytes of the response           {bytes:>7}  at most {RESPONSE}  {}", word(bytes <= RESPONSE));
    memory <= MEMORY_OF_SENDING && bytes <= RESPONSE
}

fn build(state: &mut State, organizations: usize) -> Vec<String> {
    state.hub.remember_tokens = false;
    scene::azure(state);
    (0..organizations).map(|index| add_organization(state, index, REPOSITORIES)).collect()
}

/// Creates an organization with this many repositories, its dedicated user, and its secret. Returns the secret's ARN.
pub(crate) fn add_organization(state: &mut State, index: usize, repositories: usize) -> String {
    let organization = format!("{}-{index:03}", scene::ORGANIZATION);
    let username = format!("{organization}-scanner");
    hub::add_user(state, &username, "only tokens are used here");
    hub::add_member(state, &organization, &username, hub::Role::Editor);
    hub::add_repositories(state, &organization, "service-", repositories, 2);
    let (_, token) = hub::add_pat(state, &username, "by hand", &["repo:read"], None);
    let mut value = scene::document_with(&token, None);
    value["organization"] = json!(organization);
    value["username"] = json!(username);
    value["expectedRepositories"] = json!([]);
    value["connector"]["name"] = json!(format!("dockerhub-{organization}"));
    aws::create_secret(state, &format!("hubkeeper/{organization}"), &value, &[])
}

async fn size(function: &Path, organizations: usize) -> Result<Row, Box<dyn Error>> {
    let world = World::new();
    world.set_recording(false);
    let arns = world.with(|state| build(state, organizations));
    let authority = scene::authority_file();
    let options = Options { authority_file: Some(authority.clone()), ..Options::default() };
    let served = serve(world, options).await?;
    // creates the connectors and does not count
    let onboard = json!({"action": "onboard", "secretIds": arns});
    invoke(function, &served, &onboard, organizations, "applied").await?;
    served.latency.store(LATENCY, Ordering::Relaxed);
    let mut row = Row { organizations, ..Row::default() };
    for _ in 0..RUNS {
        let reconcile = json!({"action": "reconcile"});
        let (wall, memory) = invoke(function, &served, &reconcile, organizations, "unchanged").await?;
        row.wall = row.wall.max(wall);
        row.memory = row.memory.max(memory);
        for (index, (service, _)) in NAMES.into_iter().enumerate() {
            row.requests[index] = row.requests[index].max(served.requests(service));
            row.at_once[index] = row.at_once[index].max(served.most_at_once(service));
        }
    }
    row.page = page(function, &served, organizations).await?;
    let _ = std::fs::remove_file(authority);
    Ok(row)
}

/// One invocation of a new process. It must end with this outcome, and a whole proof, for every organization. Returns its
/// duration and the peak memory of the process, in KiB.
async fn invoke(
    function: &Path,
    served: &Served,
    event: &Value,
    organizations: usize,
    outcome: &str,
) -> Result<(Duration, u64), Box<dyn Error>> {
    let host = LambdaHost::start(function, &scene::environment(served), TIMEOUT)?;
    host.started_to_first_poll().await?;
    served.reset_counts();
    let since = Instant::now();
    let answer =
        host.invoke(event.clone()).await.map_err(|error| format!("{}: {}", error.error_type, error.message))?;
    let wall = since.elapsed();
    let memory = host.peak_memory_kib().ok_or("the function is no longer running")?;
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_good = |item: &&Value| item["outcome"] == outcome && item["verdict"]["result"] == "complete";
    let good = items.iter().filter(is_good).count();
    if good == organizations && items.len() == organizations {
        return Ok((wall, memory));
    }
    let other = items.iter().find(|item| !is_good(item)).map(ToString::to_string).unwrap_or_default();
    Err(format!("{good} of {organizations} organizations are {outcome} and proven; one that is not: {other}").into())
}

/// One status page of a new process, as `CloudWatch` requests it.
async fn page(
    function: &Path,
    served: &Served,
    organizations: usize,
) -> Result<(Duration, u64, usize), Box<dyn Error>> {
    let host = LambdaHost::start(function, &scene::environment(served), TIMEOUT)?;
    host.started_to_first_poll().await?;
    let since = Instant::now();
    let answer = host.invoke(json!({"widgetContext": {"theme": "light", "params": {}}})).await;
    let answer = answer.map_err(|error| format!("{}: {}", error.error_type, error.message))?;
    let wall = since.elapsed();
    let memory = host.peak_memory_kib().ok_or("the function is no longer running")?;
    let html = answer.as_str().unwrap_or_default();
    let rows = html.matches("<tr class=ready>").count();
    if rows == organizations {
        return Ok((wall, memory, html.len()));
    }
    Err(format!("{rows} of {organizations} organizations are ready on the status page").into())
}

/// MiB.
pub(crate) fn mebibytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

fn table(rows: &[Row]) {
    println!(
        "reconcile of all, one invocation of a new process, {REPOSITORIES} repositories each, {LATENCY} ms added to each response; the most of {RUNS} runs"
    );
    println!();
    println!("organizations        wall  requests  most at once  peak memory");
    for Row { organizations, wall, requests, at_once, memory, .. } in rows {
        println!(
            "{organizations:>13}  {:>7.0} ms  {:>8}  {:>12}  {:>7.1} MiB",
            wall.as_secs_f64() * 1e3,
            requests.iter().sum::<usize>(),
            at_once.iter().max().unwrap_or(&0),
            mebibytes(*memory),
        );
    }
    println!();
    print!("organizations");
    for (_, name) in NAMES {
        print!("  {name:>10}");
    }
    println!("    requests by service / most of them at once");
    for Row { organizations, requests, at_once, .. } in rows {
        print!("{organizations:>13}");
        for (requests, at_once) in requests.iter().zip(at_once) {
            print!("  {:>10}", format!("{requests} / {at_once}"));
        }
        println!();
    }
    println!();
}

/// Prints the ratio, and every limit beside its measurement. Returns whether all are met.
fn held(rows: &[Row]) -> bool {
    let [few, many] = rows else { return false };
    let (baseline, memory) = (mebibytes(few.memory), mebibytes(many.memory));
    println!(
        "peak memory, {} organizations against {}: {memory:.1} MiB against {baseline:.1} MiB, ratio {:.2}",
        many.organizations,
        few.organizations,
        memory / baseline
    );
    let at_once = rows.iter().flat_map(|row| row.at_once).max().unwrap_or_default();
    let at_once_held = at_once <= AT_ONCE;
    let memory_held = memory <= MEMORY;
    let word = |held: bool| if held { "ok" } else { "OVER" };
    println!("peak memory, MiB                 {memory:>6.1}  at most {MEMORY:>4.1}  {}", word(memory_held));
    println!("requests at once to one service  {at_once:>6}  at most {AT_ONCE:>4}  {}", word(at_once_held));
    let (wall, memory, bytes) = many.page;
    let (memory, seconds) = (mebibytes(memory), wall.as_secs_f64());
    let page_held = wall <= PAGE && memory <= MEMORY;
    println!("status page of {} organizations, {bytes} bytes", many.organizations);
    println!("duration, s                      {seconds:>6.1}  at most {:>4}  {}", PAGE.as_secs(), word(wall <= PAGE));
    println!("peak memory, MiB                 {memory:>6.1}  at most {MEMORY:>4.1}  {}", word(memory <= MEMORY));
    at_once_held && memory_held && page_held
}
