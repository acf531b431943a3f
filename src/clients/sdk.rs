//! Classifies the errors of AWS SDK calls.

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use hubkeeper_core::error::Error;
use hubkeeper_core::failure::aws::{self, Unstated};
use hubkeeper_core::failure::secrets_manager::{Reread, Stated};
use hubkeeper_core::redact;

use crate::http::{Cause, SendError};

/// Returns the error that AWS stated in its response.
///
/// # Errors
/// Returns the final error if AWS stated none: the service was unreachable, or its response is unreadable.
pub(super) fn stated<E>(call: &'static str, error: &SdkError<E>) -> Result<Stated, Error>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Some(service) = error.as_service_error() else { return Err(aws::unstated(call, &unstated(error))) };
    let code = service.code().and_then(redact::code).unwrap_or("an unknown error");
    Ok(Stated::new(call, code, service.message().unwrap_or_default()))
}

/// Returns how far a call got that has no stated error.
fn unstated<E: std::error::Error + 'static>(error: &SdkError<E>) -> Unstated {
    if !matches!(error, SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_)) {
        return Unstated::NotSent;
    }
    match sent(error) {
        None => Unstated::Unreadable,
        Some(sent) => match sent.cause {
            Cause::Unreachable(_) | Cause::Timeout | Cause::Deadline => Unstated::NotReached(sent.to_string()),
            _ => Unstated::Failed(sent.to_string()),
        },
    }
}

/// Returns the error of our own transport from the end of the SDK's chain of causes.
fn sent<E: std::error::Error + 'static>(error: &SdkError<E>) -> Option<&SendError> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(sent) = error.downcast_ref::<SendError>() {
            return Some(sent);
        }
        cause = error.source();
    }
    None
}

/// Converts a failed call that does not concern one secret into an error.
pub(crate) fn failed<E>(call: &'static str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    stated(call, error).map_or_else(|error| error, |stated| stated.error(None, Reread::Unknown))
}
