//! `bench verify FUNCTION HUBKEEPER`, `bench status FUNCTION HUBKEEPER`, `bench help HUBKEEPER`: what a person at a terminal waits
//! for. The command line runs on a pseudo-terminal.
//!
//! `verify` compares the proof of a token at the terminal, from the start of the process to its end, with the function's own proof of
//! the same token in the same run. Both must come from one build profile.

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hubkeeper_sandbox::deployed::Deployed;
use hubkeeper_sandbox::lambda::LambdaHost;
use hubkeeper_sandbox::pty::{End, Terminal};
use hubkeeper_sandbox::serve::{Options, Served, serve};
use hubkeeper_sandbox::{World, aws, hub, scene};
use serde_json::{Value, json};

use crate::fleet;

/// Repositories of the organization whose token is proven. Every second one is private.
const REPOSITORIES: usize = 1_000;
/// Milliseconds added to each response while a token is proven.
const PROOF_LATENCY: u64 = 50;
/// Organizations whose status is read.
const ORGANIZATIONS: usize = 300;
/// Milliseconds added to each response while a status is read.
const STATUS_LATENCY: u64 = 20;
/// Runs of each proof. The median counts for durations, the maximum for the rest.
const RUNS: usize = 3;
/// Starts of `hubkeeper --help`. The fastest counts: every other one measures what else the machine does.
const STARTS: usize = 20;
const COLUMNS: u16 = 140;
const TIMEOUT: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(5);

/// Wall time of the command line, by the function's.
const RATIO: f64 = 1.1;
/// MiB.
const MEMORY: f64 = 40.0;
const STANDSTILL: Duration = Duration::from_millis(500);
const STATUS: Duration = Duration::from_secs(10);
const HELP: Duration = Duration::from_millis(10);

pub(crate) async fn run(which: &str, arguments: &[String]) -> ExitCode {
    let result = match (which, arguments) {
        ("verify", [function, hubkeeper]) => verify(Path::new(function), Path::new(hubkeeper)).await,
        ("status", [function, hubkeeper]) => status(Path::new(function), Path::new(hubkeeper)).await,
        ("help", [hubkeeper]) => help(Path::new(hubkeeper)),
        _ => {
            eprintln!("{}", crate::USAGE);
            return ExitCode::from(2);
        }
    };
    let _ = std::fs::remove_file(scene::authority_file());
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench {which}: {error}");
            ExitCode::from(2)
        }
    }
}

/// A program with the variables that it gets.
struct Program<'a> {
    path: &'a Path,
    environment: Vec<(String, String)>,
}

impl Program<'_> {
    /// Runs it on a terminal. Returns its end and its peak memory, in KiB.
    async fn run(&self, arguments: &[&str]) -> Result<(End, u64), Box<dyn Error>> {
        let mut terminal = Terminal::start(self.path, arguments, &self.environment, COLUMNS)?;
        let mut memory = 0;
        while !terminal.has_ended()? {
            memory = terminal.peak_memory_kib().unwrap_or_default().max(memory);
            tokio::time::sleep(POLL).await;
        }
        let end = terminal.end(TIMEOUT)?;
        if end.code == Some(0) { Ok((end, memory)) } else { Err(format!("code {:?}\n{}", end.code, end.screen).into()) }
    }
}

async fn sandbox(world: World) -> Result<Served, Box<dyn Error>> {
    world.set_recording(false);
    let options = Options { authority_file: Some(scene::authority_file()), ..Options::default() };
    Ok(serve(world, options).await?)
}

/// A login at AWS, and the endpoints.
fn everything(served: &Served, deployed: &Deployed) -> Vec<(String, String)> {
    scene::caller(served).into_iter().chain(deployed.environment()).collect()
}

async fn verify(function: &Path, hubkeeper: &Path) -> Result<bool, Box<dyn Error>> {
    let world = World::new();
    let (arn, token) = world.with(|state| {
        state.hub.remember_tokens = false;
        scene::azure(state);
        let organization = scene::ORGANIZATION;
        hub::add_user(state, scene::USER, "only tokens are used here");
        hub::add_member(state, organization, scene::USER, hub::Role::Editor);
        hub::add_repositories(state, organization, "service-", REPOSITORIES, 2);
        let (_, token) = hub::add_pat(state, scene::USER, "by hand", &["repo:read"], None);
        let mut value = scene::document_with(&token, None);
        value["expectedRepositories"] = json!([]);
        (aws::create_secret(state, scene::SECRET, &value, &[]), token)
    });
    let served = sandbox(world).await?;
    served.latency.store(PROOF_LATENCY, Ordering::Relaxed);
    let mut environment = served.environment();
    environment.push(("NO_PROXY".to_owned(), "127.0.0.1,localhost".to_owned()));
    environment.push(("HUBKEEPER_TOKEN".to_owned(), token));
    let program = Program { path: hubkeeper, environment };
    let (mut of_function, mut of_proof, mut of_command) = (Vec::new(), Vec::new(), Vec::new());
    let (mut memory, mut standstill, mut numbers) = (0, Duration::ZERO, Duration::ZERO);
    for _ in 0..RUNS {
        let host = LambdaHost::start(function, &scene::environment(&served), TIMEOUT)?;
        host.started_to_first_poll().await?;
        let since = Instant::now();
        let answer = host.invoke(json!({"action": "verify", "secretId": arn})).await;
        of_function.push(since.elapsed());
        let report = answer.map_err(|error| format!("{}: {}", error.error_type, error.message))?;
        of_proof.push(proven(&report)?);
        let (end, peak) = program.run(&["verify", scene::ORGANIZATION, "--username", scene::USER]).await?;
        of_command.push(end.after);
        memory = memory.max(peak);
        let first = end.frames.iter().find(|frame| line(&frame.screen).is_some());
        let first = first.ok_or("no progress was shown")?.at;
        let longest = end.longest_standstill(|screen| line(screen).map(str::to_owned)).unwrap_or(TIMEOUT);
        standstill = standstill.max(longest).max(first);
        numbers = numbers.max(end.longest_standstill(|screen| line(screen).map(steps)).unwrap_or(TIMEOUT));
        if !end.screen.contains("1,000 repositories") {
            return Err(format!("the proof saw other repositories:\n{}", end.screen).into());
        }
    }
    let (of_function, of_command) = (median(&mut of_function), median(&mut of_command));
    let of_proof = median(&mut of_proof);
    let ratio = of_command.as_secs_f64() / of_function.as_secs_f64();
    println!(
        "verify of {REPOSITORIES} repositories, {PROOF_LATENCY} ms added to each answer, {RUNS} runs in turn\n\
         \x20 the function      {:>7.0} ms  {}, one event; {:.0} ms of it are the proof\n\
         \x20 the command line  {:>7.0} ms  {}, from the start of the process to its end\n",
        millis(of_function),
        function.display(),
        millis(of_proof),
        millis(of_command),
        hubkeeper.display(),
    );
    println!(
        "wall time by the proof alone, which reads no secret and starts no process: {:.2}",
        of_command.as_secs_f64() / of_proof.as_secs_f64()
    );
    println!("longest time without another number in the line of progress: {:.0} ms\n", millis(numbers));
    let peak = fleet::mebibytes(memory);
    Ok([
        limit("wall time by the function's", &format!("{ratio:.2}"), &format!("{RATIO:.2}"), ratio <= RATIO),
        limit("peak memory, MiB", &format!("{peak:.1}"), &format!("{MEMORY:.1}"), peak <= MEMORY),
        limit("longest time without progress, ms", &whole(standstill), &whole(STANDSTILL), standstill <= STANDSTILL),
    ]
    .into_iter()
    .all(|held| held))
}

/// The duration of the proof alone. Fails unless the function proved the whole organization.
fn proven(report: &Value) -> Result<Duration, Box<dyn Error>> {
    let is_whole = report["verdict"]["result"] == "complete" && report["verdict"]["repositories"] == REPOSITORIES;
    let mut stages = report["stages"].as_array().into_iter().flatten();
    let proof = stages.find(|stage| stage["name"] == "prove").and_then(|stage| stage["durationMs"].as_u64());
    match proof {
        Some(proof) if is_whole => Ok(Duration::from_millis(proof)),
        _ => Err(format!("the function has not proven the token: {report}").into()),
    }
}

/// The line of progress on a screen.
fn line(screen: &str) -> Option<&str> {
    let name = format!(" {}: ", scene::ORGANIZATION);
    screen.lines().find(|line| line.contains(&name))
}

/// The line without what moves by itself: the sign that turns, and the time.
fn steps(line: &str) -> String {
    let (_, steps) = line.split_once(": ").unwrap_or_default();
    steps.trim_end().rsplit_once(' ').map_or("", |(steps, _)| steps).trim_end().to_owned()
}

async fn status(function: &Path, hubkeeper: &Path) -> Result<bool, Box<dyn Error>> {
    let world = World::new();
    let arns = world.with(|state| {
        state.hub.remember_tokens = false;
        scene::azure(state);
        (0..ORGANIZATIONS).map(|index| fleet::add_organization(state, index, 2)).collect::<Vec<_>>()
    });
    let served = sandbox(world.clone()).await?;
    let deployed = Deployed::start(&world, function, &scene::environment(&served)).await?;
    let onboarded = deployed.invoke(json!({"action": "onboard", "secretIds": arns})).await;
    let report = onboarded.map_err(|error| format!("{}: {}", error.error_type, error.message))?;
    if report["outcome"] != "applied" {
        return Err(format!("the organizations were not onboarded: {}", report["outcome"]).into());
    }
    served.latency.store(STATUS_LATENCY, Ordering::Relaxed);
    let program = Program { path: hubkeeper, environment: everything(&served, &deployed) };
    println!(
        "status of {ORGANIZATIONS} organizations, {STATUS_LATENCY} ms added to each answer, with {} and {}\n",
        function.display(),
        hubkeeper.display()
    );
    let mut held = true;
    let ways: [(&str, &[&str]); 2] = [
        ("through the deployed function, ms", &["status"]),
        ("with the caller's own login, ms", &["status", "--local"]),
    ];
    for (name, arguments) in ways {
        let (end, _) = program.run(arguments).await?;
        let words = format!("{ORGANIZATIONS} secrets: {ORGANIZATIONS} ready");
        if !end.screen.contains(&words) {
            return Err(format!("not all organizations are ready:\n{}", end.screen).into());
        }
        held &= limit(name, &whole(end.after), &whole(STATUS), end.after <= STATUS);
    }
    Ok(held)
}

fn help(hubkeeper: &Path) -> Result<bool, Box<dyn Error>> {
    let start = |program: &Path, arguments: &[&str]| -> Result<Duration, Box<dyn Error>> {
        let since = Instant::now();
        let status = Command::new(program).args(arguments).stdout(Stdio::null()).status()?;
        let took = since.elapsed();
        if status.success() { Ok(took) } else { Err(format!("{} ended with {status}", program.display()).into()) }
    };
    let (mut of_nothing, mut of_help) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        of_nothing.push(start(Path::new("true"), &[])?);
        of_help.push(start(hubkeeper, &["--help"])?);
    }
    let fastest = |durations: &[Duration]| durations.iter().min().copied().unwrap_or_default();
    let (of_nothing, of_help) = (fastest(&of_nothing), fastest(&of_help));
    println!("{} --help, the fastest of {STARTS}; true takes {:.1} ms\n", hubkeeper.display(), millis(of_nothing));
    Ok(limit("hubkeeper --help, ms", &format!("{:.1}", millis(of_help)), &whole(HELP), of_help <= HELP))
}

fn median(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn whole(duration: Duration) -> String {
    format!("{:.0}", millis(duration))
}

/// Prints a measurement beside its limit.
fn limit(name: &str, measured: &str, most: &str, held: bool) -> bool {
    println!("{name:<36} {measured:>7}  at most {most:>6}  {}", if held { "ok" } else { "OVER" });
    held
}
