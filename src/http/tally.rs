//! Counts, for one invocation and each host, what its requests cost: waits, retries, rejected logins.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hubkeeper_core::traffic::Cost;

/// The costs of one invocation's requests, by host.
#[derive(Default)]
pub(super) struct Tally(Mutex<BTreeMap<String, Cost>>);

impl Tally {
    fn add(&self, host: &str, cost: &Cost) {
        let mut costs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        costs.entry(host.to_owned()).or_default().add(cost);
    }

    /// Counts a wait that a host asked for.
    pub(super) fn waited(&self, host: &str, waited: Duration) {
        self.add(host, &Cost { waited, ..Cost::default() });
    }

    /// Counts a request that is sent again.
    pub(super) fn retried(&self, host: &str) {
        self.add(host, &Cost { retries: 1, ..Cost::default() });
    }

    /// Counts a login that a host rejected.
    pub(super) fn refused_login(&self, host: &str) {
        self.add(host, &Cost { refused_logins: 1, ..Cost::default() });
    }

    /// Returns the costs so far.
    pub(super) fn costs(&self) -> BTreeMap<String, Cost> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
