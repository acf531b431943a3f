//! What a fleet tells its caller while it works.

use hubkeeper_core::report::Report;

/// Receives the report of a secret when it ends, with the position of the secret in the event.
pub type Ended<'a> = dyn FnMut(usize, Report) + Send + 'a;
