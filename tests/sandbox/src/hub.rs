//! Docker Hub.
use crate::world::{Request, Response, State, empty};
/// The state of the service.
#[derive(Default)]
pub struct Hub {}
/// Handles one request to the API.
pub fn handle(_state: &mut State, _request: &Request) -> Response { empty(500) }
/// Handles one request to the token service.
pub fn handle_auth(_state: &mut State, _request: &Request) -> Response { empty(500) }
