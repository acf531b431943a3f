//! The sweep: every flow, every request of it, every fault that can happen to the request. Also each act of a person and each
//! behaviour of a service, in its flows, at the points that differ most.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::Options;
use crate::acts::Act;
use crate::behaviours::Behaviour;
use crate::calls::Call;
use crate::faults::Fault;
use crate::flows::Flow;
use crate::random;
use crate::report::{self, Counts};
use crate::run::{self, Outcome, Script};

/// Threads, one per core. A run stays on one thread.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// Violations of a flow that are printed with their trace.
const PRINTED: usize = 5;

/// Runs the sweep. Returns how many runs broke a promise.
pub(crate) fn run(options: &Options) -> usize {
    let (only, what, first) = (options.flow.as_deref(), options.what.as_deref(), options.first);
    let since = Instant::now();
    let mut counts = Counts::default();
    let (mut runs, mut violations) = (0, 0);
    for flow in Flow::ALL.into_iter().filter(|flow| only.is_none_or(|only| flow.name().contains(only))) {
        let began = Instant::now();
        let (undisturbed, broken) = twice(flow);
        let mut cases = beside_faults(flow, &undisturbed);
        for (at, (service, call)) in undisturbed.calls.iter().enumerate() {
            for fault in Fault::ALL {
                if fault.applies(*service, *call) {
                    cases.push(Script::fault(at, fault));
                } else {
                    counts.skipped(flow);
                }
            }
        }
        cases.retain(|case| {
            what.is_none_or(|what| case.names().any(|name| name.contains(what)))
                && (case.is_more_than_a_fault() || !options.without_faults)
        });
        for case in &cases {
            counts.ran(flow, case);
        }
        counts.requests.insert(flow, undisturbed.calls.len());
        let (ran, found) = if first && broken > 0 { (0, BTreeMap::new()) } else { all(flow, &cases, first) };
        let again = format!("cargo test --test simulation -- --flow '{}'", flow.name());
        for (count, (at, outcome)) in found.iter().enumerate() {
            let what = format!("{}/{}", flow.name(), cases[*at].told());
            if count < PRINTED {
                report::violation(&what, &outcome.violations, &outcome.trace, &again);
            } else {
                println!("VIOLATION in {what}\n  {}", outcome.violations.join("\n  "));
            }
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
    if only.is_none() && what.is_none() && !options.without_faults && !(first && violations > 0) {
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

/// Runs a flow without faults, twice: the same script must give the same trace, and no promise may break.
fn twice(flow: Flow) -> (Outcome, usize) {
    let none = Script::default();
    let (one, other) = (run::run(flow, &none), run::run(flow, &none));
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

/// Cases with a person's act or a service's behaviour. A person acts at the beginning, before each write, and at the end. A
/// behaviour begins with the flow, or before its middle write.
fn beside_faults(flow: Flow, undisturbed: &Outcome) -> Vec<Script> {
    let calls = &undisturbed.calls;
    let writes: Vec<usize> = (0..calls.len()).filter(|at| calls[*at].1.changes()).collect();
    // also between a write of the connector and the read after it
    let looks = writes.iter().filter(|at| calls[**at].1 == Call::ConnectorPut).map(|at| at + 1);
    let points: BTreeSet<usize> =
        [0].into_iter().chain(writes.iter().copied()).chain(looks).chain([calls.len()]).collect();
    let acts = Act::ALL.into_iter().filter(|act| act.flows().contains(&flow));
    let acts = acts.flat_map(|act| points.iter().map(move |at| Script { act: Some((*at, act)), ..Script::default() }));
    let begins: BTreeSet<usize> = [0].into_iter().chain(writes.get(writes.len() / 2).copied()).collect();
    let behaviours = Behaviour::ALL.into_iter().filter(|behaviour| behaviour.flows().contains(&flow));
    let behaviours = behaviours.flat_map(|behaviour| {
        begins.iter().map(move |at| Script { behaviour: Some((*at, behaviour)), ..Script::default() })
    });
    // a service that names another writer for the function's writes must not hide writes of people
    let hides = flow == Flow::ReconcileDrift || flow == Flow::Mint;
    let both = points.iter().filter(|_| hides).map(|at| Script {
        act: Some((*at, Act::ReplaceToken)),
        behaviour: Some((0, Behaviour::OtherWriter)),
        ..Script::default()
    });
    // a put that succeeded without a response, and whose retry is rejected: its token is stored all the same
    let puts = (0..calls.len()).filter(|at| calls[*at].1 == Call::Put);
    let lost = puts.map(|at| Script {
        faults: [(at, Fault::ResetAfter)].into(),
        behaviour: Some((at + 1, Behaviour::NoKey)),
        ..Script::default()
    });
    let lost = lost.filter(|_| Behaviour::NoKey.flows().contains(&flow));
    acts.chain(behaviours).chain(both).chain(lost).collect()
}

/// Runs every case of a flow, on all threads. Returns how many ran, and those that broke a promise.
fn all(flow: Flow, cases: &[Script], first: bool) -> (usize, BTreeMap<usize, Outcome>) {
    let (next, done, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let found: Mutex<BTreeMap<usize, Outcome>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at).filter(|_| !stop.load(Ordering::Relaxed)) else { return };
                    let outcome = run::run(flow, case);
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
