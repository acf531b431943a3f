//! Counts, and violations in words.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::faults::Fault;
use crate::flows::Flow;

/// What was run, by flow and fault.
#[derive(Default)]
pub(crate) struct Counts {
    runs: BTreeMap<(Flow, Fault), usize>,
    skipped: BTreeMap<(Flow, Fault), usize>,
    /// Requests of each flow, undisturbed.
    pub(crate) requests: BTreeMap<Flow, usize>,
}

impl Counts {
    pub(crate) fn ran(&mut self, flow: Flow, fault: Fault) {
        *self.runs.entry((flow, fault)).or_default() += 1;
    }

    pub(crate) fn skipped(&mut self, flow: Flow, fault: Fault) {
        *self.skipped.entry((flow, fault)).or_default() += 1;
    }

    /// A row for each fault, a column for each flow.
    pub(crate) fn print(&self, took: Duration) {
        let flows: BTreeSet<Flow> = self.requests.keys().copied().collect();
        let of = |count: &BTreeMap<(Flow, Fault), usize>, flow: Option<Flow>, fault: Option<Fault>| -> usize {
            let hit =
                |(a, b): &(Flow, Fault)| flow.is_none_or(|flow| flow == *a) && fault.is_none_or(|fault| fault == *b);
            count.iter().filter(|(key, _)| hit(key)).map(|(_, count)| count).sum()
        };
        for (at, flow) in flows.iter().enumerate() {
            println!(
                "{:>3} {:<36} {:>3} requests {:>5} runs",
                at + 1,
                flow.name(),
                self.requests[flow],
                of(&self.runs, Some(*flow), None)
            );
        }
        let row = |name: &str, cells: Vec<usize>| {
            let cells: String =
                cells.into_iter().map(|cell| if cell == 0 { "    .".into() } else { format!("{cell:>5}") }).collect();
            println!("{name:<30}{cells}");
        };
        println!();
        row("flow", (1..=flows.len()).collect());
        for fault in Fault::ALL {
            let cells = flows.iter().map(|flow| of(&self.runs, Some(*flow), Some(fault)));
            row(fault.name(), cells.chain([of(&self.runs, None, Some(fault))]).collect());
        }
        let cells = flows.iter().map(|flow| of(&self.skipped, Some(*flow), None));
        row("do not apply, by their rule", cells.chain([of(&self.skipped, None, None)]).collect());
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
