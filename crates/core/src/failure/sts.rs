//! Maps a refused `GetWebIdentityToken` to an error (AWS's STS reference).

use crate::error::Error;

/// The error of a code that STS alone uses; `None` for any other code.
pub(super) fn failure(code: &str, what: &str) -> Option<Error> {
    match code {
        "OutboundWebIdentityFederationDisabledException" => Some(Error::needs_human(
            what,
            "enable outbound web identity federation in the AWS account: aws iam enable-outbound-web-identity-federation",
        )),
        "SessionDurationEscalationException" => Some(Error::retryable(
            what,
            "the session of the function's role ends before the assertion would: repeat the event; a new execution environment has a new session",
        )),
        "JWTPayloadSizeExceededException" => Some(Error::misconfigured(
            what,
            "the claims of the function's role are too large: shorten its session tags",
        )),
        _ => None,
    }
}

/// STS accepted the call, and its response has no token.
pub fn no_token() -> Error {
    Error::retryable("GetWebIdentityToken: the response has no token", "repeat the event")
}
