//! What a response of Docker Hub means that refuses, or that no request expects: for every request here, and by what it was about
//! in the files below.

use crate::hub::HubError;

pub mod logins;
pub mod members;
pub mod registry;

/// A status that says "not now", or one that no document names. `failed_logins` tells whether a 429 is about them.
pub fn unusable(what: &str, status: u16, failed_logins: bool) -> HubError {
    match status {
        429 if failed_logins => HubError::LockedOut(format!("{what}: status 429, too many failed login attempts")),
        408 | 429 | 500..=599 => HubError::Unavailable(format!("{what}: status {status}")),
        _ => HubError::Unexpected(format!("{what}: unexpected status {status}")),
    }
}

/// The response to `what` is not as documented.
pub fn unreadable(what: &str) -> HubError {
    HubError::Unexpected(format!("{what}: the answer cannot be read"))
}

/// 401 to `what` with a session that Docker Hub gave: what no login may do is a 403.
pub fn session_ended(what: &str) -> HubError {
    HubError::Unavailable(format!("{what}: the login is not accepted any more (status 401)"))
}

/// The pages of the list never add up to its count.
pub fn unsteady(list: &str) -> HubError {
    HubError::Unexpected(format!("the list of {list} changes while it is read"))
}

/// The count of the list is beyond anything that it can hold.
pub fn endless(list: &str) -> HubError {
    HubError::Unexpected(format!("the list of {list} claims more pages than can be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_lock_out_an_outage_or_unexpected() {
        for (status, failed_logins, expected) in [
            (429, true, HubError::LockedOut("x: status 429, too many failed login attempts".into())),
            (429, false, HubError::Unavailable("x: status 429".into())),
            (408, false, HubError::Unavailable("x: status 408".into())),
            (503, true, HubError::Unavailable("x: status 503".into())),
            (418, true, HubError::Unexpected("x: unexpected status 418".into())),
        ] {
            assert!(unusable("x", status, failed_logins) == expected, "{status}");
        }
    }
}
