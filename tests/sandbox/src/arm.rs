//! Arm.
use crate::world::{Request, Response, State, empty};
/// The state of the service.
#[derive(Default)]
pub struct Arm {}
/// Handles one request.
pub fn handle(_state: &mut State, _request: &Request) -> Response { empty(500) }
