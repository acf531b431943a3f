//! Tells an observer how far a run is. The Lambda function has none; the command line shows it to the person who waits.

use hubkeeper_core::time::Timestamp;

/// What a run has just reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress<'a> {
    /// Docker Hub accepted the login.
    LoggedIn,
    /// One page of the repository list arrived.
    Page {
        /// Number of pages of the whole list.
        of: usize,
    },
    /// Pull access is about to be checked for this many repositories.
    Checking {
        /// Number of repositories.
        repositories: usize,
    },
    /// Pull access was decided for this many more repositories.
    Checked {
        /// Number of repositories.
        repositories: usize,
    },
    /// The manifest of one repository of the sample was requested.
    Manifest {
        /// Number of repositories in the sample.
        of: usize,
    },
    /// Requests to a host pause, because the host asked for it.
    Waiting {
        /// Host and port.
        host: &'a str,
        /// When the next request may start.
        until: Timestamp,
    },
}

/// Learns how far a run is.
pub trait Observer: Send + Sync {
    /// Takes note of a step. It must not block.
    fn observe(&self, progress: Progress<'_>);
}

/// Ignores everything.
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _: Progress<'_>) {}
}
