//! The report of an event for several secrets, which must fit into a response of Lambda.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::outcome::Outcome;
use crate::report::Report;

/// Maximum size of the items together, in bytes of JSON. Lambda rejects a response above 6 MB, and the event would then
/// fail although its work is done.
pub const BYTES: usize = 5_000_000;

/// The result of an event for several secrets.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FleetReport {
    /// The worst outcome of all secrets.
    pub outcome: Outcome,
    /// One report per secret, in the order of the event; of a large fleet the worst ones.
    pub items: Vec<Report>,
    /// The secrets whose report is not among the items, by outcome.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub omitted: BTreeMap<&'static str, usize>,
    /// All secrets, by outcome. Only the log uses it.
    #[serde(skip)]
    pub counts: BTreeMap<Outcome, usize>,
}

/// The rank of a report: the worst outcome first, then the order of the event.
type Rank = (Outcome, usize);

/// Collects the reports of an event while its secrets end, in any order, and holds no more of them than fit.
///
/// It keeps the longest run of ranks that fits. What it keeps depends on the reports alone, not on which of them ended
/// first.
pub struct Collector {
    kept: BTreeMap<Rank, (Report, usize)>,
    bytes: usize,
    limit: usize,
    /// The best rank that did not fit. What ranks behind it is left out too.
    cut: Option<Rank>,
    counts: BTreeMap<Outcome, usize>,
}

impl Default for Collector {
    fn default() -> Self {
        Self::within(BYTES)
    }
}

impl Collector {
    /// An empty collector whose items take up to `limit` bytes.
    pub fn within(limit: usize) -> Self {
        Self { kept: BTreeMap::new(), bytes: 0, limit, cut: None, counts: BTreeMap::new() }
    }

    /// Adds the report of the secret at this position of the event.
    pub fn add(&mut self, at: usize, report: Report) {
        *self.counts.entry(report.outcome).or_default() += 1;
        let rank = (report.outcome, at);
        if self.cut.is_some_and(|cut| cut < rank) {
            return;
        }
        // a comma or a bracket beside it
        let bytes = 1 + serde_json::to_vec(&report).map_or(0, |json| json.len());
        self.bytes += bytes;
        self.kept.insert(rank, (report, bytes));
        while self.bytes > self.limit {
            let Some((rank, (_, bytes))) = self.kept.pop_last() else { break };
            self.bytes -= bytes;
            self.cut = Some(rank);
        }
    }

    /// Returns the number of bytes and of reports that the collector holds now.
    pub fn held(&self) -> (usize, usize) {
        (self.bytes, self.kept.len())
    }

    /// Returns the report of all.
    pub fn finish(self) -> FleetReport {
        let outcome = self.counts.keys().next().copied().unwrap_or(Outcome::Unchanged);
        let mut left = self.counts.clone();
        for (outcome, _) in self.kept.keys() {
            if let Some(count) = left.get_mut(outcome) {
                *count -= 1;
            }
        }
        let omitted = left.into_iter().filter(|(_, count)| *count > 0);
        let omitted = omitted.map(|(outcome, count)| (outcome.name(), count)).collect();
        let mut items: Vec<(usize, Report)> =
            self.kept.into_iter().map(|((_, at), (report, _))| (at, report)).collect();
        items.sort_by_key(|(at, _)| *at);
        let items = items.into_iter().map(|(_, report)| report).collect();
        FleetReport { outcome, items, omitted, counts: self.counts }
    }
}

impl FromIterator<Report> for FleetReport {
    fn from_iter<T: IntoIterator<Item = Report>>(reports: T) -> Self {
        let mut collector = Collector::default();
        for (at, report) in reports.into_iter().enumerate() {
            collector.add(at, report);
        }
        collector.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(at: usize, outcome: Outcome) -> Report {
        let mut report = Report::new("reconcile", "apply");
        report.outcome = outcome;
        report.secret_id = Some(format!("secret-{at:05}"));
        report
    }

    fn ids(fleet: &FleetReport) -> Vec<&str> {
        fleet.items.iter().filter_map(|item| item.secret_id.as_deref()).collect()
    }

    #[test]
    fn the_outcome_of_many_is_the_worst() {
        let all = [Outcome::Unchanged, Outcome::Applied, Outcome::Refused];
        let fleet: FleetReport = all.into_iter().enumerate().map(|(at, outcome)| report(at, outcome)).collect();
        assert_eq!(fleet.outcome, Outcome::Refused);
        assert_eq!(ids(&fleet), ["secret-00000", "secret-00001", "secret-00002"]);
        assert_eq!(fleet.omitted, BTreeMap::new());
        assert!(!serde_json::to_string(&fleet).unwrap().contains("omitted"));
        assert_eq!(FleetReport::from_iter([]).outcome, Outcome::Unchanged);
    }

    /// Ten thousand reports of different sizes, in several orders.
    #[test]
    fn of_a_large_fleet_the_worst_fit_whichever_ended_first() {
        const LIMIT: usize = 200_000;
        let outcomes = [Outcome::Unchanged, Outcome::Recorded, Outcome::Applied, Outcome::NotReached, Outcome::Failed];
        let made = |at: usize| {
            // few failures, as in a fleet that is well
            let outcome = outcomes[if at.is_multiple_of(40) { at / 40 % 5 } else { 0 }];
            let mut report = report(at, outcome);
            report.reason = Some("x".repeat(at * 7_919 % 900));
            report
        };
        let collect = |order: &mut dyn Iterator<Item = usize>| {
            let mut collector = Collector::within(LIMIT);
            for at in order {
                collector.add(at, made(at));
                let (bytes, reports) = collector.held();
                assert!(bytes <= LIMIT && reports < 1_000);
            }
            collector.finish()
        };
        let fleet = collect(&mut (0..10_000));
        assert_eq!(collect(&mut (0..10_000).rev()), fleet);
        assert_eq!(collect(&mut (0..10_000).map(|at| at * 7_919 % 10_000)), fleet);

        let json = serde_json::to_string(&fleet).unwrap();
        assert!(json.len() < LIMIT + 200, "{}", json.len());
        assert!(json.len() > LIMIT - 2_000, "{}", json.len());
        assert_eq!(fleet.outcome, Outcome::Failed);
        let of = |outcome| fleet.items.iter().filter(|item| item.outcome == outcome).count();
        assert_eq!([Outcome::Failed, Outcome::NotReached, Outcome::Applied, Outcome::Recorded].map(of), [50; 4]);
        assert_eq!(fleet.omitted, [("unchanged", 9_800 - of(Outcome::Unchanged))].into());
        assert!(of(Outcome::Unchanged) > 0);
        assert!(ids(&fleet).is_sorted(), "in the order of the event");
        assert_eq!(fleet.counts[&Outcome::Unchanged], 9_800);
        assert_eq!(fleet.counts.values().sum::<usize>(), 10_000);
    }

    #[test]
    fn failures_that_do_not_fit_are_counted_too() {
        let mut collector = Collector::within(10_000);
        for at in 0..1_000 {
            collector.add(at, report(at, Outcome::Failed));
            collector.add(1_000 + at, report(1_000 + at, Outcome::Unchanged));
        }
        let fleet = collector.finish();
        let kept = fleet.items.len();
        assert!((40..100).contains(&kept) && fleet.items.iter().all(|item| item.outcome == Outcome::Failed), "{kept}");
        assert_eq!(ids(&fleet)[..2], ["secret-00000", "secret-00001"]);
        assert_eq!(fleet.omitted, [("failed", 1_000 - kept), ("unchanged", 1_000)].into());
    }

    #[test]
    fn a_report_that_is_too_large_by_itself_is_left_out() {
        let mut collector = Collector::within(100);
        collector.add(0, report(0, Outcome::Applied));
        let fleet = collector.finish();
        assert_eq!((fleet.outcome, fleet.items.len()), (Outcome::Applied, 0));
        assert_eq!(fleet.omitted, [("applied", 1)].into());
    }
}
