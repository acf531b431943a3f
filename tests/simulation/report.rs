//! Counts, and descriptions of violations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::acts::Act;
use crate::behaviours::Behaviour;
use crate::faults::Fault;
use crate::flows::Flow;
use crate::run::Script;

/// The runs, by flow and by fault, act or behaviour.
#[derive(Default)]
pub(crate) struct Counts {
    runs: BTreeMap<(Flow, &'static str), usize>,
    skipped: BTreeMap<Flow, usize>,
    /// Requests of each flow without faults.
    pub(crate) requests: BTreeMap<Flow, usize>,
}

impl Counts {
    pub(crate) fn ran(&mut self, flow: Flow, script: &Script) {
        for name in script.names() {
            *self.runs.entry((flow, name)).or_default() += 1;
        }
    }

    pub(crate) fn skipped(&mut self, flow: Flow) {
        *self.skipped.entry(flow).or_default() += 1;
    }

    /// A row for each fault, act and behaviour, a column for each flow.
    pub(crate) fn print(&self, took: Duration) {
        let flows: BTreeSet<Flow> = self.requests.keys().copied().collect();
        let of = |flow: Option<Flow>, name: Option<&str>| -> usize {
            let hit = |(a, b): &(Flow, &str)| flow.is_none_or(|flow| flow == *a) && name.is_none_or(|name| name == *b);
            self.runs.iter().filter(|(key, _)| hit(key)).map(|(_, count)| count).sum()
        };
        for (at, flow) in flows.iter().enumerate() {
            let (name, requests, runs) = (flow.name(), self.requests[flow], of(Some(*flow), None));
            println!("{:>3} {name:<36} {requests:>3} requests {runs:>5} runs", at + 1);
        }
        let row = |name: &str, cells: Vec<usize>| {
            let cells: String =
                cells.into_iter().map(|cell| if cell == 0 { "    .".into() } else { format!("{cell:>5}") }).collect();
            println!("{name:<43}{cells}");
        };
        println!();
        row("flow", (1..=flows.len()).collect());
        let faults = Fault::ALL.map(Fault::name).into_iter();
        let acts = Act::ALL.map(Act::name).into_iter();
        for name in faults.chain(acts).chain(Behaviour::ALL.map(Behaviour::name)) {
            let cells = flows.iter().map(|flow| of(Some(*flow), Some(name)));
            row(name, cells.chain([of(None, Some(name))]).collect());
        }
        let cells = flows.iter().map(|flow| self.skipped.get(flow).copied().unwrap_or_default());
        row("do not apply, by their rule", cells.chain([self.skipped.values().sum()]).collect());
        println!("\n{:.0} s", took.as_secs_f64());
    }
}

/// One run that broke a promise.
pub(crate) fn violation(what: &str, violations: &[String], trace: &str, replay: &str) {
    println!("VIOLATION in {what}");
    for violation in violations {
        println!("  {violation}");
    }
    println!("{trace}  again: {replay}\n");
}

/// The last line.
pub(crate) fn last(runs: usize, violations: usize) {
    println!("{runs} runs, {violations} violations");
}
