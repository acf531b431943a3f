//! Who handles an event: the deployed function, or the same code with the caller's credentials.

use std::sync::Arc;

use hubkeeper::http::HttpShared;
use serde_json::Value;

use crate::args;
use crate::context::Context;
use crate::exit::Failure;
use crate::function::Deployed;
use crate::local::Local;

/// Who handles an event. No `Debug`: both hold credentials.
pub enum Target {
    /// The deployed function.
    Function(Deployed),
    /// The function's code on this machine, which only reads and plans.
    Local(Box<Local>),
}

impl Target {
    /// Finds the deployed function, or logs in with the caller's credentials.
    ///
    /// # Errors
    /// Returns a failure that says what is missing.
    pub async fn find(
        context: &Context,
        arguments: &args::Function,
        local: bool,
        shared: &Arc<HttpShared>,
    ) -> Result<Self, Failure> {
        Ok(if local {
            Target::Local(Box::new(context.local(arguments, Arc::clone(shared)).await?))
        } else {
            Target::Function(context.function(arguments, shared).await?)
        })
    }

    /// Handles an event.
    ///
    /// # Errors
    /// Returns the failure of the event.
    pub async fn handle(&self, event: &Value) -> Result<Value, Failure> {
        match self {
            Target::Function(function) => function.invoke(event).await,
            Target::Local(local) => local.handle(event).await,
        }
    }
}
