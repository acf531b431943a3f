//! Every fault at every point: a deterministic simulation around the real handler and the sandbox, in one process.
//!
//! Without arguments it sweeps: each flow runs once without faults, then once for every request of it and every fault. With
//! `--seconds N` it runs at random: two and three faults together, with a second event in between. `--seed` and `--run` replay
//! one such run. The last line is `N runs, N violations`. The exit code is 1 if a promise broke.

#![expect(clippy::unwrap_used, reason = "a simulation that cannot continue fails by panicking")]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod acts;
mod behaviours;
mod calls;
mod faults;
mod flows;
mod network;
mod oracles;
mod random;
mod report;
mod run;
mod sweep;

use std::process::ExitCode;

/// The options of the command line.
#[derive(Default)]
pub(crate) struct Options {
    /// Random mode, for this long.
    seconds: Option<u64>,
    /// The seed of the random runs.
    seed: Option<u64>,
    /// A single random run.
    run: Option<u64>,
    /// Whether the sweep ends at the first violation.
    pub(crate) first: bool,
    /// Sweeps only the flows whose name contains this.
    pub(crate) flow: Option<String>,
    /// Runs only the cases whose fault, act or behaviour has a name that contains this.
    pub(crate) what: Option<String>,
    /// Runs only acts and behaviours.
    pub(crate) without_faults: bool,
}

impl Options {
    /// Parses known options and ignores those of Cargo's test runner. `None` if the command line selects other tests.
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse().ok());
            match word.as_str() {
                "--seconds" => options.seconds = number(),
                "--seed" => options.seed = number(),
                "--run" => options.run = number(),
                "--first" => options.first = true,
                "--flow" => options.flow = words.next(),
                "--without-faults" => options.without_faults = true,
                "--what" => options.what = words.next(),
                "--list" | "--ignored" => return None,
                "--test-threads" | "--skip" | "--format" | "--color" => drop(words.next()),
                filter if !filter.starts_with('-') && !"simulation".contains(filter) => return None,
                _ => {}
            }
        }
        Some(options)
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::read(std::env::args().skip(1)) else { return ExitCode::SUCCESS };
    let violations = match (options.seconds, options.seed, options.run) {
        (_, Some(seed), Some(run)) => random::replay(seed, run),
        (Some(seconds), seed, _) => random::run(seconds, seed),
        _ => sweep::run(&options),
    };
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
