//! The sweep: every flow, every request of it, every fault that can happen to the request.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::faults::Fault;
use crate::flows::Flow;
use crate::random;
use crate::report::{self, Counts};
use crate::run::{self, Outcome};

/// Threads; each run has one of its own.
pub(crate) const THREADS: usize = 2;
/// Violations of a flow that are printed with their trace.
const PRINTED: usize = 5;

/// Runs it; how many runs broke a promise.
pub(crate) fn run(only: Option<&str>, first: bool) -> usize {
    let since = Instant::now();
    let mut counts = Counts::default();
    let (mut runs, mut violations) = (0, 0);
    for flow in Flow::ALL.into_iter().filter(|flow| only.is_none_or(|only| flow.name().contains(only))) {
        let began = Instant::now();
        let (undisturbed, broken) = twice(flow);
        let mut cases = Vec::new();
        for (at, (service, call)) in undisturbed.calls.iter().enumerate() {
            for fault in Fault::ALL {
                if fault.applies(*service, *call) {
                    counts.ran(flow, fault);
                    cases.push((at, fault));
                } else {
                    counts.skipped(flow, fault);
                }
            }
        }
        counts.requests.insert(flow, undisturbed.calls.len());
        let (ran, found) = if first && broken > 0 { (0, BTreeMap::new()) } else { all(flow, &cases, first) };
        let again = format!("cargo test --test chaos -- --flow '{}'", flow.name());
        for (at, outcome) in found.iter().take(PRINTED) {
            let (at, fault) = cases[*at];
            let what = format!("{}/{} at request {at}", flow.name(), fault.name());
            report::violation(&what, &outcome.violations, &outcome.trace, &again);
        }
        runs += 2 + ran;
        let broken = broken + found.len();
        violations += broken;
        let seconds = began.elapsed().as_secs_f64();
        println!("{:<36} {:>5} runs {broken:>3} violations {seconds:>4.0} s", flow.name(), 2 + ran);
        if first && broken > 0 {
            break;
        }
    }
    if only.is_none() && !(first && violations > 0) {
        let (ran, broken) = random::replays(&counts.requests);
        runs += ran;
        violations += broken;
        println!("{:<36} {ran:>5} runs {broken:>3} violations", "random runs, each twice");
    }
    println!();
    counts.print(since.elapsed());
    report::last(runs, violations);
    violations
}

/// A flow undisturbed, twice: the same script must give the same trace, and no promise may break.
fn twice(flow: Flow) -> (Outcome, usize) {
    let none = BTreeMap::new();
    let (one, other) = (run::run(flow, &none, None, None), run::run(flow, &none, None, None));
    let mut broken = one.violations.clone();
    let mut trace = one.trace.clone();
    if one.trace != other.trace {
        broken.push("deterministic: two runs of the same differ".to_owned());
        trace.push_str(&other.trace);
    }
    if !broken.is_empty() {
        report::violation(&format!("{}, undisturbed", flow.name()), &broken, &trace, "the same command");
    }
    (one, usize::from(!broken.is_empty()))
}

/// Every case of a flow, on all threads; how many ran, and those that broke a promise.
fn all(flow: Flow, cases: &[(usize, Fault)], first: bool) -> (usize, BTreeMap<usize, Outcome>) {
    let (next, done, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let found: Mutex<BTreeMap<usize, Outcome>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at).filter(|_| !stop.load(Ordering::Relaxed)) else { return };
                    let outcome = run::run(flow, &[*case].into(), None, None);
                    done.fetch_add(1, Ordering::Relaxed);
                    if !outcome.violations.is_empty() {
                        found.lock().unwrap().insert(at, outcome);
                        stop.fetch_or(first, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    (done.into_inner(), found.into_inner().unwrap())
}
