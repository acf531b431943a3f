//! What a failed AWS call came to: reads the SDK's errors.

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use hubkeeper_core::error::Error;
use hubkeeper_core::failure::secrets_manager::{Reread, Stated, service};
use hubkeeper_core::redact;

use crate::http::{Cause, SendError};

/// The refusal that AWS stated.
///
/// # Errors
/// The final error where AWS stated nothing: it was not reached, or its response cannot be read.
pub(super) fn stated<E>(call: &'static str, error: &SdkError<E>) -> Result<Stated, Error>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Some(service) = error.as_service_error() else { return Err(unstated(call, error)) };
    let code = service.code().and_then(redact::code).unwrap_or("an unknown error");
    Ok(Stated::new(call, code, service.message().unwrap_or_default()))
}

/// AWS was not reached, or its response cannot be read.
fn unstated<E: std::error::Error + 'static>(call: &str, error: &SdkError<E>) -> Error {
    if !matches!(error, SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_)) {
        return Error::misconfigured(
            format!("{call}: the call cannot be made"),
            "the function needs AWS credentials and AWS_REGION in its environment",
        );
    }
    let Some(sent) = sent(error) else {
        return Error::retryable(format!("{call}: AWS's response cannot be read"), "repeat the event");
    };
    let remedy = match sent.cause {
        Cause::Unreachable(_) | Cause::Timeout | Cause::Deadline => format!(
            "repeat the event; where it stays so and the function runs in a VPC, give it a NAT gateway, or an interface endpoint for {} with private DNS whose security group admits port 443",
            service(call)
        ),
        _ => "repeat the event".to_owned(),
    };
    Error::retryable(format!("{call}: {sent}"), remedy)
}

/// What our own transport said, at the end of the SDK's chain of causes.
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

/// A failed call that is not about one secret, as an error.
pub(crate) fn failed<E>(call: &'static str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    stated(call, error).map_or_else(|error| error, |stated| stated.error(None, Reread::Unknown))
}
