//! `bench depth FUNCTION`: the number of responses that `setSecret` waits for one after another. Depth is the wall time with 120
//! ms of added latency minus that with 20 ms, in hundreds of milliseconds. Time that does not depend on latency cancels out.
//!
//! Each rotation runs in a new process, as after a month without one: no open connection, no cached bearer. The sandbox runs in
//! this process, without rate limits and without its record.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hubkeeper_sandbox::lambda::LambdaHost;
use hubkeeper_sandbox::rotation::{Function, FunctionError, rotate};
use hubkeeper_sandbox::serve::{Options, Served, serve};
use hubkeeper_sandbox::{State, World, aws, hub, scene};
use serde_json::{Value, json};

use crate::NAMES;

/// Numbers of repositories, and counted runs at each latency.
const SIZES: [(usize, usize); 4] = [(10, 3), (100, 5), (1_000, 5), (10_000, 3)];
/// Milliseconds added to each response.
const LATENCIES: [u64; 2] = [20, 120];
const TIMEOUT: Duration = Duration::from_mins(15);

/// The cost of one `setSecret`.
#[derive(Clone, Default)]
struct Run {
    wall: Duration,
    requests: [usize; 6],
    at_once: [usize; 6],
    /// KiB.
    memory: u64,
}

/// The result of all runs of one size.
struct Row {
    repositories: usize,
    depth: f64,
    walls: [Duration; 2],
    /// The maximum of all runs.
    most: Run,
}

/// The function, and a stopwatch around its `setSecret`. All other steps run without added latency.
struct Timed<'a> {
    host: &'a LambdaHost,
    served: &'a Served,
    latency: u64,
    run: Mutex<Run>,
}

impl Function for Timed<'_> {
    async fn invoke(&self, event: Value) -> Result<Value, FunctionError> {
        if event["Step"] != "setSecret" {
            return self.host.invoke(event).await;
        }
        self.served.reset_counts();
        self.served.latency.store(self.latency, Ordering::Relaxed);
        let since = Instant::now();
        let answer = self.host.invoke(event).await;
        let wall = since.elapsed();
        self.served.latency.store(0, Ordering::Relaxed);
        let run = Run {
            wall,
            requests: NAMES.map(|(service, _)| self.served.requests(service)),
            at_once: NAMES.map(|(service, _)| self.served.most_at_once(service)),
            memory: self.host.peak_memory_kib().unwrap_or_default(),
        };
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = run;
        answer
    }
}

pub(crate) async fn run(arguments: &[String]) -> ExitCode {
    let [function] = arguments else {
        eprintln!("usage: bench depth FUNCTION");
        return ExitCode::from(2);
    };
    let mut rows = Vec::new();
    for (repositories, runs) in SIZES {
        match size(Path::new(function), repositories, runs).await {
            Ok(row) => rows.push(row),
            Err(error) => {
                eprintln!("bench depth, {repositories} repositories: {error}");
                return ExitCode::from(2);
            }
        }
    }
    table(&rows);
    if held(&rows) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn build(state: &mut State, repositories: usize) -> String {
    state.hub.remember_tokens = false;
    scene::azure(state);
    hub::add_user(state, scene::USER, "only tokens are used here");
    hub::add_member(state, scene::ORGANIZATION, scene::USER, hub::Role::Editor);
    hub::add_repositories(state, scene::ORGANIZATION, "service-", repositories, 2);
    let value = with_token(state);
    let arn = aws::create_secret(state, scene::SECRET, &value, &[]);
    aws::enable_rotation(state, &arn, true);
    arn
}

fn with_token(state: &mut State) -> Value {
    let (_, token) = hub::add_pat(state, scene::USER, "by hand", &["repo:read"], None);
    let mut value = scene::document_with(&token, None);
    value["expectedRepositories"] = json!([]);
    value
}

async fn size(function: &Path, repositories: usize, runs: usize) -> Result<Row, Box<dyn Error>> {
    let world = World::new();
    world.set_recording(false);
    let arn = world.with(|state| build(state, repositories));
    let authority = scene::authority_file();
    let options = Options { authority_file: Some(authority.clone()), ..Options::default() };
    let served = serve(world.clone(), options).await?;
    // the first rotation creates the connector and does not count
    rotation(function, &world, &served, &arn, 0).await?;
    let mut walls = [Vec::new(), Vec::new()];
    let mut most = Run::default();
    for _ in 0..runs {
        for (walls, latency) in walls.iter_mut().zip(LATENCIES) {
            let run = rotation(function, &world, &served, &arn, latency).await?;
            walls.push(run.wall);
            most.memory = most.memory.max(run.memory);
            for index in 0..NAMES.len() {
                most.requests[index] = most.requests[index].max(run.requests[index]);
                most.at_once[index] = most.at_once[index].max(run.at_once[index]);
            }
        }
    }
    let walls = walls.map(median);
    let depth = (walls[1].as_secs_f64() - walls[0].as_secs_f64()) / 0.1;
    let _ = std::fs::remove_file(authority);
    Ok(Row { repositories, depth, walls, most })
}

/// One whole rotation from a new candidate, in a new process.
async fn rotation(
    function: &Path,
    world: &World,
    served: &Served,
    arn: &str,
    latency: u64,
) -> Result<Run, Box<dyn Error>> {
    world.with(|state| {
        let value = with_token(state);
        aws::put_version(state, arn, None, &value, &["HUBKEEPER_CANDIDATE"]);
        state.aws.events.clear();
    });
    let host = LambdaHost::start(function, &scene::environment(served), TIMEOUT)?;
    host.started_to_first_poll().await?;
    let timed = Timed { host: &host, served, latency, run: Mutex::default() };
    let rotation = rotate(world, &timed, arn, 1).await;
    if !rotation.succeeded {
        return Err(rotation.message.unwrap_or_default().into());
    }
    let run = timed.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(run)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// MiB.
fn mebibytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

fn table(rows: &[Row]) {
    println!(
        "setSecret, from a new process; medians of {} and {} ms added to each response",
        LATENCIES[0], LATENCIES[1]
    );
    println!();
    println!("repositories  depth  wall at 20 ms  wall at 120 ms  requests  most at once  peak memory");
    for Row { repositories, depth, walls, most } in rows {
        println!(
            "{repositories:>12}  {depth:>5.2}  {:>10.0} ms  {:>11.0} ms  {:>8}  {:>12}  {:>7.1} MiB",
            walls[0].as_secs_f64() * 1e3,
            walls[1].as_secs_f64() * 1e3,
            most.requests.iter().sum::<usize>(),
            most.at_once.iter().max().unwrap_or(&0),
            mebibytes(most.memory),
        );
    }
    println!();
    print!("{:>12}", "repositories");
    for (_, name) in NAMES {
        print!("  {name:>10}");
    }
    println!("    requests by service / most of them at once");
    for Row { repositories, most, .. } in rows {
        print!("{repositories:>12}");
        for (requests, at_once) in most.requests.iter().zip(most.at_once) {
            print!("  {:>10}", format!("{requests} / {at_once}"));
        }
        println!();
    }
    println!();
}

/// Prints every limit beside its measurement. Returns whether all are met.
fn held(rows: &[Row]) -> bool {
    let row = |repositories: usize| rows.iter().find(|row| row.repositories == repositories);
    let (Some(ten), Some(hundred), Some(thousand), Some(most)) = (row(10), row(100), row(1_000), row(10_000)) else {
        return false;
    };
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let at_once = rows.iter().flat_map(|row| row.most.at_once).max().unwrap_or_default();
    let limits = [
        ("depth, 100 repositories", hundred.depth, 8.0, 2),
        ("depth, 1,000 repositories", thousand.depth, 9.5, 2),
        (
            "memory for 10,000 repositories above that for 10, MiB",
            mebibytes(most.most.memory) - mebibytes(ten.most.memory),
            24.0,
            1,
        ),
        ("requests, 10,000 repositories", count(most.most.requests.iter().sum()), 800.0, 0),
        ("requests at once to one service", count(at_once), 64.0, 0),
    ];
    let mut all = true;
    for (what, measured, limit, digits) in limits {
        let holds = measured <= limit;
        all &= holds;
        println!("{what:<54} {measured:>8.digits$}  at most {limit:>6.digits$}  {}", if holds { "ok" } else { "OVER" });
    }
    all
}
