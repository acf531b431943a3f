//! Maps a failed login of a manager or owner secret to an error.

use crate::error::Error;
use crate::hub::HubError;
use crate::secret::Purpose;

/// A failed login.
pub struct LoginFailure {
    /// The error, with its remedy.
    pub error: Error,
    /// Whether Docker Hub has locked the user name: no login under it works for a while.
    pub is_locked: bool,
}

impl From<Error> for LoginFailure {
    fn from(error: Error) -> Self {
        Self { error, is_locked: false }
    }
}

/// 401 for the organization access token of an owner secret.
pub fn rejected_token(organization: &str, purpose: Purpose) -> LoginFailure {
    Error::needs_human(
        format!("Docker Hub rejects the organization access token of the {purpose} secret"),
        format!(
            "check at Docker Hub that the token of organization {organization} is active and has not expired, and store the right one in `accessToken` of the {purpose} secret"
        ),
    )
    .into()
}

/// 401 for the password.
pub fn refused_password(purpose: Purpose) -> LoginFailure {
    let by_hand = match purpose {
        Purpose::Owner => {
            "use an organization access token instead ({\"organization\", \"accessToken\", \"usedBy\"}), or invite the dedicated user by hand and take `owner` and `user` out of the secret"
        }
        Purpose::Manager => "make the token by hand and stage it as HUBKEEPER_CANDIDATE",
    };
    Error::needs_human(
        format!("Docker Hub refuses the password of the {purpose} secret"),
        format!("log in by hand and correct the {purpose} secret; where SSO is enforced, Docker Hub refuses passwords: {by_hand}"),
    )
    .into()
}

/// The account asks for a second factor, and the secret has no seed.
pub fn missing_seed(purpose: Purpose) -> LoginFailure {
    Error::needs_human(
        format!("the account of the {purpose} secret requires a second factor"),
        format!("add the account's base32 TOTP seed to the {purpose} secret as `totpSecret`"),
    )
    .into()
}

/// The secret's seed cannot be read.
pub fn unreadable_seed(purpose: Purpose) -> LoginFailure {
    Error::misconfigured(
        format!("the field `totpSecret` of the {purpose} secret is not base32"),
        "store the seed that Docker Hub showed when two-factor login was set up",
    )
    .into()
}

/// 401 for two codes of the seed.
pub fn refused_code(purpose: Purpose) -> LoginFailure {
    Error::needs_human(
        format!("Docker Hub refuses the second factor of the {purpose} secret"),
        format!("check `totpSecret` of the {purpose} secret against the account, and the account's clock window"),
    )
    .into()
}

/// The error for a response that says nothing about the credential: an outage, or a locked user name.
pub fn unknown(error: &HubError, purpose: Purpose) -> LoginFailure {
    let is_locked = matches!(error, HubError::LockedOut(_));
    let error = match error {
        HubError::LockedOut(_) => Error::retryable(
            format!(
                "Docker Hub has locked the user name of the {purpose} secret after too many failed logins ({})",
                error.message()
            ),
            format!(
                "find out who logs in under this user name with a wrong password or token, and stop it; then wait: the lock applies to the user name from every address, lasts at least ten minutes (up to an hour has been observed), and each further login may extend it. Correct the {purpose} secret if it is the wrong one, then repeat the event"
            ),
        ),
        _ => Error::retryable(
            format!("Docker Hub did not complete the login of the {purpose} secret ({})", error.message()),
            "repeat the event later",
        ),
    };
    LoginFailure { error, is_locked }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn only_a_lock_out_locks_and_a_login_that_nobody_looked_at_is_repeated() {
        for (error, is_locked) in [
            (HubError::LockedOut("password login: status 429".into()), true),
            (HubError::Unavailable("password login: status 503".into()), false),
            (HubError::Unexpected("password login: unexpected status 418".into()), false),
        ] {
            let failure = unknown(&error, Purpose::Owner);
            assert_eq!((failure.error.kind(), failure.is_locked), (Kind::Retryable, is_locked), "{error:?}");
            assert!(failure.error.to_string().contains(error.message()), "{}", failure.error);
        }
    }

    #[test]
    fn a_refused_credential_is_for_a_person_and_names_the_secret_and_its_field() {
        for purpose in [Purpose::Owner, Purpose::Manager] {
            for (failure, kind, field) in [
                (rejected_token("acme", purpose), Kind::NeedsHuman, "`accessToken`"),
                (refused_password(purpose), Kind::NeedsHuman, "password"),
                (missing_seed(purpose), Kind::NeedsHuman, "`totpSecret`"),
                (unreadable_seed(purpose), Kind::Misconfigured, "`totpSecret`"),
                (refused_code(purpose), Kind::NeedsHuman, "`totpSecret`"),
            ] {
                let text = failure.error.to_string();
                assert_eq!((failure.error.kind(), failure.is_locked), (kind, false), "{text}");
                assert!(text.contains(&format!("{purpose} secret")) && text.contains(field), "{text}");
            }
        }
    }
}
