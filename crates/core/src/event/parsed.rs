//! Events that were understood.

use serde_json::Value;

use crate::error::Error;
use crate::event::cloudformation::CustomResource;
use crate::request::{Mode, Request, Trigger};

/// An event that was understood. No `Debug`: it may hold a rotation token, or the URL of an answer.
#[derive(Clone)]
pub enum Event {
    /// About one secret.
    One(Request),
    /// One action on several secrets, or on all that are managed.
    Fleet(Fleet),
    /// The status of several secrets, or of all that are managed.
    Status(StatusQuery),
    /// `CloudFormation` asks for, changes or gives up a custom resource.
    CustomResource(Box<CustomResource>),
    /// Records of a queue, each an event by itself.
    Records(Vec<Record>),
    /// Not for this function, and why.
    Ignored {
        /// What kind of event it is.
        action: &'static str,
        /// The secret that it names, if it does.
        secret_id: Option<String>,
        /// Why.
        reason: String,
    },
}

/// One action on several secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fleet {
    /// What is done with each: reconcile or onboard.
    pub trigger: Trigger,
    /// Apply or plan.
    pub mode: Mode,
    /// ARNs or names; `None` for every managed secret.
    pub secret_ids: Option<Vec<String>>,
}

impl Fleet {
    /// The request about one of the secrets.
    pub fn request(&self, secret_id: String) -> Request {
        let (trigger, mode) = (self.trigger.clone(), self.mode);
        Request { trigger, mode, secret_id, version: None, rotation_token: None, stack: None, sent_at: None }
    }

    /// The same action on one secret, as an event: the body of a queue's message. It holds no secret.
    pub fn message(&self, secret_id: &str) -> Value {
        let mut event =
            serde_json::json!({"action": self.trigger.name(), "secretIds": [secret_id], "mode": self.mode.name()});
        let (force, fix_role, revoke_replaced) = match self.trigger {
            Trigger::Onboard { force, fix_role, .. } => (force, fix_role, false),
            Trigger::Reconcile { revoke_replaced } => (false, false, revoke_replaced),
            _ => (false, false, false),
        };
        for (name, set) in [("force", force), ("fixRole", fix_role), ("revokeReplaced", revoke_replaced)] {
            if set {
                event[name] = true.into();
            }
        }
        event
    }
}

/// Which secrets' status is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusQuery {
    /// ARNs or names; `None` for every managed secret.
    pub secret_ids: Option<Vec<String>>,
    /// The `next` of the page before: this page begins after it.
    pub next: Option<String>,
}

/// One record of a queue. No `Debug`: its event may hold a rotation token.
#[derive(Clone)]
pub struct Record {
    /// What the answer calls it, should it have to come again.
    pub message_id: String,
    /// What its body says, or what is wrong with it.
    pub event: Result<Box<Event>, Error>,
}
