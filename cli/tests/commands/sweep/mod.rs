//! The fault sweep: a command is run once undisturbed, and its requests are recorded. Then, for each request and each kind of fault, it
//! is run in a new world with that fault, and then again without one.
//!
//! Checked after each run: whoever reads exit code and message knows whether the command reached its goal, which step failed, and what
//! to do; nothing printed holds a secret; and the same command, run again, reaches exactly what the undisturbed run reached.

mod deploying;
mod faults;
mod importing;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use hubkeeper_sandbox::Recorded;
use hubkeeper_sandbox::deployed::Deployed;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::faults::{Kind, Point};
use crate::site::{Run, Site};

/// How many worlds exist at a time: most of a run is waiting.
const AT_A_TIME: usize = 20;
/// How often a command is run again that asks for it: an operation of `CloudFormation` lasts a few looks.
const AGAIN: usize = 6;

/// How a process ended.
struct Ended {
    /// The exit code; `None` if it was killed.
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs a process to its end. `started` gets it, to kill it.
fn run(run: &Run<'_>, input: &str, started: impl FnOnce(Arc<Mutex<Child>>)) -> Ended {
    fn read(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        })
    }
    let mut command = run.command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let child = Arc::new(Mutex::new(child));
    started(Arc::clone(&child));
    // a process that asks for nothing may have ended already
    let _ = stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
    let (out, err) = (read(out), read(err));
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    let status = child.lock().unwrap().wait().unwrap();
    Ended { code: status.code(), out, err }
}

/// One command, the world it starts from, and what it leads to.
trait Flow: Send + Sync + 'static {
    /// Its name, for messages.
    fn name(&self) -> &'static str;
    /// A new world.
    fn site(&self) -> impl Future<Output = Site> + Send;
    /// The command.
    fn run<'a>(&self, site: &'a Site) -> Run<'a>;
    /// What its standard input holds.
    fn input(&self, site: &Site) -> String {
        let _ = site;
        String::new()
    }
    /// Everything that it leads to.
    fn state(&self, site: &Site) -> Value;
    /// Runs the command again, and whatever its message names, until its goal is reached.
    ///
    /// # Errors
    /// Returns why that did not lead there.
    fn again(&self, site: &Site) -> Result<(), String>
    where
        Self: Sized,
    {
        again(self, site)
    }
    /// Whether it ended where it leads to.
    fn is_done(&self, ended: &Ended) -> bool {
        ended.code == Some(0)
    }
    /// What is wrong in the world right after a fault, whatever follows.
    fn wrong(&self, site: &Site, point: &Point, kind: Kind) -> Option<String> {
        let _ = (site, point, kind);
        None
    }
    /// What is wrong with how it says that it is not done.
    fn dishonest(&self, site: &Site, point: &Point, kind: Kind, ended: &Ended) -> Vec<String> {
        let _ = site;
        kind.dishonest(point, ended)
    }
}

/// Runs the command again, as long as it asks for that.
fn again(flow: &impl Flow, site: &Site) -> Result<(), String> {
    for _ in 0..AGAIN {
        let ended = run(&flow.run(site), &flow.input(site), |_| ());
        told(site, &ended);
        match ended.code {
            _ if flow.is_done(&ended) => return Ok(()),
            Some(3) => {}
            code => return Err(format!("run again, it ends with {code:?}: {}", ended.err.trim())),
        }
    }
    Err(format!("run again {AGAIN} times, it is not done"))
}

/// Everything that was printed is searched for secrets when the site ends.
fn told(site: &Site, ended: &Ended) {
    site.told("standard output", ended.out.clone());
    site.told("standard error", ended.err.clone());
}

/// The undisturbed run: its requests, and what it leads to.
async fn undisturbed(flow: &impl Flow) -> (Vec<Recorded>, Value) {
    let site = flow.site().await;
    let _ = site.world.take_record();
    let ended = run(&flow.run(&site), &flow.input(&site), |_| ());
    assert!(flow.is_done(&ended), "{}: {}", flow.name(), ended.err);
    told(&site, &ended);
    (site.world.take_record(), flow.state(&site))
}

/// One fault in a new world. Returns what is wrong.
async fn disturbed(flow: &impl Flow, point: &Point, kind: Kind, expected: &Value) -> Vec<String> {
    let site = flow.site().await;
    let plan = faults::plant(&site, point, kind);
    let input = flow.input(&site);
    let ended = tokio::task::block_in_place(|| run(&flow.run(&site), &input, |child| plan.may_kill(child)));
    site.world.calm();
    told(&site, &ended);
    let mut wrong = Vec::new();
    let happened = site.deployed.as_ref().is_some_and(Deployed::calm) || plan.happened();
    if !happened {
        wrong.push("the request was not sent: the command is not the same each time".to_owned());
    }
    let is_done = flow.is_done(&ended);
    if !is_done || kind.kills() {
        wrong.extend(flow.dishonest(&site, point, kind, &ended));
    }
    wrong.extend(flow.wrong(&site, point, kind));
    let said = ended.err.lines().last().unwrap_or_default().trim().to_owned();
    if is_done {
        wrong.extend(
            differences(expected, &flow.state(&site)).map(|what| format!("it says that it is done, but {what}")),
        );
    } else {
        match tokio::task::block_in_place(|| flow.again(&site)) {
            Ok(()) => wrong.extend(differences(expected, &flow.state(&site)).map(|what| format!("run again, {what}"))),
            Err(why) => wrong.push(why),
        }
    }
    wrong.extend(site.take_leaks().into_iter().map(|leak| format!("it told a secret: {leak}")));
    wrong.into_iter().map(|what| format!("{}, {point} {kind:?}: {what} [{said}]", flow.name())).collect()
}

/// What differs between two states.
fn differences(expected: &Value, found: &Value) -> Option<String> {
    fn add(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                fields.iter().for_each(|(name, value)| add(&format!("{path}/{name}"), value, into));
            }
            value => drop(into.insert(path.to_owned(), value.to_string().chars().take(120).collect())),
        }
    }
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    add("", expected, &mut before);
    add("", found, &mut after);
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let none = "nothing".to_owned();
    let differing: Vec<String> = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| {
            let (is, was) = (after.get(name).unwrap_or(&none), before.get(name).unwrap_or(&none));
            format!("{name} is {is}, not {was}")
        })
        .collect();
    (!differing.is_empty()).then(|| differing.join("; "))
}

/// Sweeps over a command: `kinds` says which faults a request gets.
#[expect(clippy::print_stdout, reason = "its numbers are what it is for")]
async fn sweep<F: Flow>(flow: F, kinds: impl Fn(&[(Point, bool)]) -> Vec<(Point, Kind)>) {
    let began = Instant::now();
    let flow = Arc::new(flow);
    let (record, expected) = undisturbed(&*flow).await;
    let cases = kinds(&faults::points(&record));
    let (expected, places) = (Arc::new(expected), Arc::new(Semaphore::new(AT_A_TIME)));
    let mut runs = JoinSet::new();
    let count = cases.len();
    for (point, kind) in cases {
        let (flow, expected, places) = (Arc::clone(&flow), Arc::clone(&expected), Arc::clone(&places));
        runs.spawn(async move {
            let _place = places.acquire().await.unwrap();
            disturbed(&*flow, &point, kind, &expected).await
        });
    }
    let wrong: Vec<String> = runs.join_all().await.into_iter().flatten().collect();
    println!(
        "{}: {} requests, {count} runs, {} violations, {:.1} s",
        flow.name(),
        record.len(),
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    assert!(wrong.is_empty(), "{} violations in {count} runs:\n{}", wrong.len(), wrong.join("\n"));
}
