//! What a response of Docker Hub means that no request expects: nothing is known, and why.

use crate::hub::HubError;

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
