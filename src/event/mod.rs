//! What comes in: strict parsing of every event shape (contract, section 3). What is none of them is refused with the
//! name of the member that is wrong; nothing of an event's text is ever quoted, since it may hold a rotation token.

pub mod action;
pub mod custom_resource;
pub mod eventbridge;
pub mod payload;
pub mod queue;
pub mod rotation;

use serde_json::{Map, Value};

pub use custom_resource::CustomResource;
pub use payload::{Payload, read};

use crate::error::Error;
use crate::request::Trigger;
use crate::request::{Mode, Request};

/// An event that was understood. No `Debug`: it may hold a rotation token, or the URL of an answer.
#[derive(Clone)]
pub enum Event {
    /// About one secret.
    One(Request),
    /// One action on several secrets, or on all that are managed.
    Fleet(Fleet),
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

/// One record of a queue. No `Debug`: its event may hold a rotation token.
#[derive(Clone)]
pub struct Record {
    /// What the answer calls it, should it have to come again.
    pub message_id: String,
    /// What its body says, or what is wrong with it.
    pub event: Result<Box<Event>, Error>,
}

/// Parses an event.
///
/// # Errors
/// [`crate::error::Kind::BadEvent`] names the member that is wrong.
pub fn parse(event: &Value) -> Result<Event, Error> {
    let Value::Object(members) = event else {
        return Err(Error::bad_event("the event is not a JSON object").at("event"));
    };
    let members = Members { map: members, path: "" };
    let parsed = if members.has("Records") {
        queue::parse(&members)
    } else if members.has("RequestType") || members.has("ResponseURL") {
        custom_resource::parse(&members)
    } else {
        parse_one(&members)
    };
    parsed.map_err(|error| error.at("event"))
}

/// An event that is not wrapped into records.
fn parse_one(members: &Members<'_>) -> Result<Event, Error> {
    if members.has("Step") {
        rotation::parse(members).map(Event::One)
    } else if members.has("action") {
        action::parse(members)
    } else if members.has("detail-type") {
        eventbridge::parse(members)
    } else {
        Err(Error::bad_event(
            "the event has neither `Step` (rotation), nor `action`, nor `detail-type` (EventBridge), nor `RequestType` (CloudFormation), nor `Records` (SQS)",
        ))
    }
}

/// The members of an object and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Members<'a> {
    map: &'a Map<String, Value>,
    path: &'a str,
}

impl<'a> Members<'a> {
    fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    fn wrong(&self, name: &str, why: &str) -> Error {
        Error::bad_event(format!("member `{}{name}` {why}", self.path))
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A text that is not empty, of at most 2,048 characters.
    fn text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() && text.len() <= 2048 => Ok(Some(text)),
            Some(Value::String(_)) => Err(self.wrong(name, "is empty or too long")),
            Some(_) => Err(self.wrong(name, "is not a string")),
        }
    }

    fn required(&self, name: &str) -> Result<&'a str, Error> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// Id or ARN of a secret.
    fn secret_id(&self, name: &str) -> Result<String, Error> {
        let id = self.required(name)?;
        if is_secret_id(id) { Ok(id.to_owned()) } else { Err(self.wrong(name, "is not the name or ARN of a secret")) }
    }

    fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "is not true or false")),
        }
    }

    fn object(&self, name: &str, path: &'a str) -> Result<Members<'a>, Error> {
        match self.get(name) {
            Some(Value::Object(map)) => Ok(Members { map, path }),
            Some(_) => Err(self.wrong(name, "is not an object")),
            None => Err(self.wrong(name, "is missing")),
        }
    }

    /// Refuses members that are none of `known`: a misspelt one would be passed over in silence.
    fn only(&self, known: &[&str]) -> Result<(), Error> {
        match self.map.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let name = if is_member_name(name) { name } else { "…" };
                Err(self.wrong(name, &format!("is not known here (known: {})", known.join(", "))))
            }
        }
    }
}

/// What may be a name of a member, misspelt: up to 24 letters. Anything else may be a token in the wrong place, and is not quoted.
fn is_member_name(name: &str) -> bool {
    (1..=24).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_".contains(&byte))
}

/// What Secrets Manager takes as a name or an ARN.
fn is_secret_id(id: &str) -> bool {
    id.len() <= 2048 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-:!".contains(&byte))
}

/// What Secrets Manager takes as a version id: 32 to 64 characters.
fn is_version_id(id: &str) -> bool {
    (32..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use serde_json::json;

    #[test]
    fn what_is_no_event_is_refused_by_the_name_of_the_member() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf";
        let token = "7c2c7a4e-6a0e-4a2f-9b58-0d6a4f8a1c11";
        for (event, member) in [
            (json!(null), "JSON object"),
            (json!("dckr_pat_x"), "JSON object"),
            (json!({}), "`Step`"),
            (json!({"Step": "create_secret", "SecretId": arn, "ClientRequestToken": token}), "`Step`"),
            (json!({"Step": 7, "SecretId": arn, "ClientRequestToken": token}), "`Step`"),
            (json!({"Step": "setSecret", "ClientRequestToken": token}), "`SecretId`"),
            (json!({"Step": "setSecret", "SecretId": "a b", "ClientRequestToken": token}), "`SecretId`"),
            (json!({"Step": "setSecret", "SecretId": arn, "ClientRequestToken": "short"}), "`ClientRequestToken`"),
            (
                json!({"Step": "setSecret", "SecretId": arn, "ClientRequestToken": token, "RotationToken": ["dckr_pat_x"]}),
                "`RotationToken`",
            ),
            (json!({"action": "onbord", "secretId": arn}), "`action`"),
            (json!({"action": "onboard"}), "`secretId`"),
            (json!({"action": "onboard", "secretID": arn}), "`secretID`"),
            (json!({"action": "onboard", "secret_id": arn}), "`secret_id`"),
            (json!({"action": "onboard", "dckr_pat_x1": arn}), "`…`"),
            (json!({"action": "onboard", "dckr_pat_xyzxyzxyzxyzxyzxyz": arn}), "`…`"),
            (json!({"action": "onboard", "secretId": arn, "secretIds": [arn]}), "`secretIds`"),
            (json!({"action": "onboard", "secretIds": arn}), "`secretIds`"),
            (json!({"action": "onboard", "secretIds": [7]}), "`secretIds`"),
            (json!({"action": "onboard", "secretIds": []}), "`secretIds`"),
            (json!({"action": "onboard", "secretId": arn, "mode": "dry"}), "`mode`"),
            (json!({"action": "onboard", "secretId": arn, "force": "yes"}), "`force`"),
            (json!({"action": "onboard", "secretId": arn, "fixRole": 1}), "`fixRole`"),
            (json!({"action": "reconcile", "secretIds": [arn], "fixRole": true}), "`fixRole`"),
            (json!({"action": "onboard", "secretId": arn, "versionId": "x"}), "`versionId`"),
            (json!({"action": "verify", "secretId": arn, "force": true}), "`force`"),
            (json!({"action": "verify", "secretIds": [arn]}), "`secretIds`"),
            (json!({"action": "reconcile", "secretId": arn}), "`secretId`"),
            (json!({"action": "reconcile", "secretIds": []}), "`secretIds`"),
            (json!({"action": "reconcile", "revokeReplaced": true}), "`revokeReplaced`"),
            (json!({"action": "reconcile", "secretIds": [arn], "revokeReplaced": "yes"}), "`revokeReplaced`"),
            (json!({"action": "reconcile", "force": true}), "`force`"),
            (json!({"action": "offboard"}), "`secretId`"),
            (json!({"action": "offboard", "secretIds": [arn]}), "`secretIds`"),
            (json!({"RequestType": "Create"}), "`ResponseURL`"),
            (json!({"RequestType": "Create", "ResponseURL": "https://dckr_pat_x.example.com/"}), "`ResponseURL`"),
            (json!({"Records": {}}), "`Records`"),
            (json!({"Records": [7]}), "`Records[0]`"),
            (json!({"Records": [{"body": "{}", "eventSource": "aws:sqs"}]}), "`Records[0].messageId`"),
            (
                json!({"Records": [{"messageId": "m", "body": "{}", "eventSource": "aws:s3"}]}),
                "`Records[0].eventSource`",
            ),
            (
                json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "dckr_pat_x"}}]}),
                "`Records[0].eventSource`",
            ),
            (json!({"detail-type": "Secret Label Updated", "source": "aws.secretsmanager"}), "`detail`"),
            (
                json!({"detail-type": "Secret Label Updated", "source": "aws.secretsmanager", "detail": {}}),
                "labelUpdated",
            ),
            (json!({"detail-type": "Nonsense", "detail": {}}), "`detail-type`"),
        ] {
            let error = parse(&event).err().unwrap_or_else(|| panic!("{event} is taken"));
            assert_eq!(error.kind(), Kind::BadEvent, "{event}");
            let message = error.to_string();
            assert!(message.contains(member) && !message.contains("dckr_pat_x"), "{event}: {message}");
        }
    }
}
