//! The random mode: two and three faults together, shuffled requests, a second event in between, a person who acts, a service
//! with an unusual behaviour. Seed and index alone determine a run.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::acts::Act;
use crate::behaviours::Behaviour;
use crate::faults::Fault;
use crate::flows::Flow;
use crate::report::{self, Counts};
use crate::run::{self, Outcome, Script, Second};
use crate::sweep::threads;

/// The plan of one run.
struct Draw {
    flow: Flow,
    script: Script,
}

impl Draw {
    /// The plan for a seed and an index. `lengths` are the numbers of requests of each flow.
    fn of(seed: u64, index: u64, lengths: &BTreeMap<Flow, usize>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let flow = Flow::ALL[rng.usize(..Flow::ALL.len())];
        let length = lengths[&flow];
        // faults beyond the end hit the retries
        let mut faults = BTreeMap::new();
        for _ in 0..rng.usize(..=3) {
            faults.insert(rng.usize(..length + length / 2), Fault::ALL[rng.usize(..Fault::ALL.len())]);
        }
        let seconds = flow.seconds();
        let second = rng.bool().then(|| Second { at: rng.usize(..length), event: seconds[rng.usize(..seconds.len())] });
        let acts: Vec<Act> = Act::ALL.into_iter().filter(|act| act.flows().contains(&flow)).collect();
        let act = (rng.bool() && !acts.is_empty()).then(|| (rng.usize(..=length), acts[rng.usize(..acts.len())]));
        let behaviours: Vec<Behaviour> =
            Behaviour::ALL.into_iter().filter(|behaviour| behaviour.flows().contains(&flow)).collect();
        let behaviour = (rng.u8(..3) == 0 && !behaviours.is_empty())
            .then(|| (rng.usize(..length), behaviours[rng.usize(..behaviours.len())]));
        let jitter = Some(rng.fork());
        Self { flow, script: Script { faults, act, behaviour, second, jitter } }
    }

    fn run(self) -> Outcome {
        run::run(self.flow, &self.script)
    }

    fn told(&self) -> String {
        format!("{}: {}", self.flow.name(), self.script.told())
    }
}

fn lengths() -> BTreeMap<Flow, usize> {
    Flow::ALL.into_iter().map(|flow| (flow, run::run(flow, &Script::default()).calls.len())).collect()
}

fn again(seed: u64, index: u64) -> String {
    format!("make chaos SEED={seed} RUN={index}")
}

/// Runs for this long. Returns how many runs broke a promise.
pub(crate) fn run(seconds: u64, seed: Option<u64>) -> usize {
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("seed {seed}");
    let end = Instant::now() + Duration::from_secs(seconds);
    let since = Instant::now();
    let lengths = lengths();
    let counts: Mutex<Counts> = Mutex::default();
    for (flow, length) in &lengths {
        counts.lock().unwrap().requests.insert(*flow, *length);
    }
    let (next, violations) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                while Instant::now() < end {
                    let index = next.fetch_add(1, Ordering::Relaxed) as u64;
                    let draw = Draw::of(seed, index, &lengths);
                    let told = draw.told();
                    counts.lock().unwrap().ran(draw.flow, &draw.script);
                    let outcome = draw.run();
                    if !outcome.violations.is_empty() {
                        violations.fetch_add(1, Ordering::Relaxed);
                        let what = format!("seed {seed}, run {index}: {told}");
                        report::violation(&what, &outcome.violations, &outcome.trace, &again(seed, index));
                    }
                }
            });
        }
    });
    counts.into_inner().unwrap().print(since.elapsed());
    let violations = violations.into_inner();
    report::last(next.into_inner(), violations);
    violations
}

/// Repeats one run and prints its trace.
pub(crate) fn replay(seed: u64, index: u64) -> usize {
    let (outcome, told) = again_and_again(seed, index, &lengths());
    println!("seed {seed}, run {index}: {told}\n{}", outcome.trace);
    for violation in &outcome.violations {
        println!("VIOLATION {violation}");
    }
    let violations = usize::from(!outcome.violations.is_empty());
    report::last(1, violations);
    violations
}

/// A few random runs, each twice, to check that seed and index suffice to replay one. Returns how many ran, and how many broke a
/// promise.
pub(crate) fn replays(lengths: &BTreeMap<Flow, usize>) -> (usize, usize) {
    const SEED: u64 = 7;
    let mut violations = 0;
    for index in 0..REPLAYED {
        let (outcome, told) = again_and_again(SEED, index, lengths);
        if !outcome.violations.is_empty() {
            violations += 1;
            let what = format!("seed {SEED}, run {index}: {told}");
            report::violation(&what, &outcome.violations, &outcome.trace, &again(SEED, index));
        }
    }
    (usize::try_from(2 * REPLAYED).unwrap_or_default(), violations)
}

/// The random runs that the sweep replays.
const REPLAYED: u64 = 20;

/// Runs twice. Different traces are a violation.
fn again_and_again(seed: u64, index: u64, lengths: &BTreeMap<Flow, usize>) -> (Outcome, String) {
    let draw = Draw::of(seed, index, lengths);
    let told = draw.told();
    let (mut outcome, second) = (draw.run(), Draw::of(seed, index, lengths).run());
    if outcome.trace != second.trace {
        outcome.violations.push("deterministic: two runs of the same differ".to_owned());
        outcome.trace.push_str(&second.trace);
    }
    (outcome, told)
}
