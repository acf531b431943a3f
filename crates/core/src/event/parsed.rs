//! Parsed events.

use serde_json::Value;

use crate::error::Error;
use crate::event::cloudformation::CustomResource;
use crate::request::{Mode, Request, Trigger};

/// A parsed event. No `Debug`: it may hold a rotation token, or the URL of a response.
#[derive(Clone)]
pub enum Event {
    /// About one secret.
    One(Request),
    /// One action on several secrets, or on every managed secret.
    Fleet(Fleet),
    /// A request for the status of several secrets, or of every managed secret.
    Status(StatusQuery),
    /// `CloudWatch` requests the documentation of the widget.
    Describe,
    /// `CloudWatch` requests the status page, for a widget of a dashboard.
    Widget(WidgetQuery),
    /// A request for the checks of `doctor`.
    Doctor(DoctorQuery),
    /// `CloudFormation` requests the creation, update or deletion of a custom resource.
    CustomResource(Box<CustomResource>),
    /// Records of a queue; each is an event of its own.
    Records(Vec<Record>),
    /// An event that is not for this function, with the reason.
    Ignored {
        /// The kind of event.
        action: &'static str,
        /// The secret that it names, if any.
        secret_id: Option<String>,
        /// The reason.
        reason: String,
    },
}

/// One action on several secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fleet {
    /// The action: reconcile or onboard.
    pub trigger: Trigger,
    /// Apply or plan.
    pub mode: Mode,
    /// ARNs or names; `None` for every managed secret.
    pub secret_ids: Option<Vec<String>>,
}

impl Fleet {
    /// The request for one of the secrets.
    pub fn request(&self, secret_id: String) -> Request {
        let (trigger, mode) = (self.trigger.clone(), self.mode);
        Request { trigger, mode, secret_id, version: None, rotation_token: None, stack: None, sent_at: None }
    }

    /// The same action on one secret, as an event: the body of an SQS message. It holds no secret.
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

/// A request for the status of secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusQuery {
    /// ARNs or names; `None` for every managed secret.
    pub secret_ids: Option<Vec<String>>,
    /// The `next` of the previous page: this page begins after it.
    pub next: Option<String>,
}

/// A request for the status page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WidgetQuery {
    /// The secrets, and where the page begins.
    pub status: StatusQuery,
    /// What the name of an organization has to contain; empty for every organization.
    pub filter: String,
    /// Whether the dashboard is dark.
    pub dark: bool,
}

/// A request for the checks of `doctor`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DoctorQuery {
    /// ARN or name of the secret to check; `None` for the only managed one.
    pub secret_id: Option<String>,
    /// Whether the response holds a transcript of the exchanges.
    pub record: bool,
}

/// One record of a queue. No `Debug`: its event may hold a rotation token.
#[derive(Clone)]
pub struct Record {
    /// The record's id in the response, which asks SQS to deliver it again.
    pub message_id: String,
    /// The parsed body, or why it is wrong.
    pub event: Result<Box<Event>, Error>,
}
