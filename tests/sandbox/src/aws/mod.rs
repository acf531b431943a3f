//! AWS: Secrets Manager, STS and SQS behind one endpoint.
use crate::world::{Request, Response, State, empty};
/// The state of the AWS services.
#[derive(Default)]
pub struct Aws {}
/// Handles one request.
pub fn handle(_state: &mut State, _request: &Request) -> Response { empty(500) }
/// The action of a request: the last part of `X-Amz-Target`, or the form's `Action`.
#[must_use]
pub fn action(_request: &Request) -> Option<String> { None }
/// Whether the action changes something.
#[must_use]
pub fn is_write(_request: &Request) -> bool { false }
