//! Maps responses of Docker Hub that reject a request, or that the request does not expect, to errors. This file has what all
//! requests share; each file below has one subject.

use crate::hub::HubError;

pub mod logins;
pub mod members;
pub mod registry;

/// Maps a transient or undocumented status. `failed_logins` tells whether a 429 is about failed logins.
pub fn unusable(what: &str, status: u16, failed_logins: bool) -> HubError {
    match status {
        429 if failed_logins => HubError::LockedOut(format!("{what}: status 429, too many failed login attempts")),
        408 | 429 | 500..=599 => HubError::Unavailable(format!("{what}: status {status}")),
        _ => HubError::Unexpected(format!("{what}: unexpected status {status}")),
    }
}

/// The response to `what` does not have the documented form.
pub fn unreadable(what: &str) -> HubError {
    HubError::Unexpected(format!("{what}: the response cannot be read"))
}

/// 401 to `what` with a valid session: Docker Hub rejects a missing right with 403.
pub fn session_ended(what: &str) -> HubError {
    HubError::Unavailable(format!("{what}: the login is no longer accepted (status 401)"))
}

/// The pages of the list do not add up to its count.
pub fn unsteady(list: &str) -> HubError {
    HubError::Unexpected(format!("the list of {list} changed while it was read"))
}

/// The count of the list exceeds what it can hold.
pub fn endless(list: &str) -> HubError {
    HubError::Unexpected(format!("the list of {list} claims an impossible number of pages"))
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
