//! The promise to a stack: it gets a response, and a true one.

use hubkeeper::http::Request;
use serde_json::Value;

/// `CloudFormation`'s limit for a response, in bytes.
const ANSWER: usize = 4_096;

/// A stack's request.
pub(super) struct Asked {
    kind: String,
    /// Whether the function tried to respond.
    pub(super) answered: bool,
}

impl Asked {
    /// The request in an event, if it is one.
    pub(super) fn by(event: &Value) -> Option<Self> {
        Some(Self { kind: event["RequestType"].as_str()?.to_owned(), answered: false })
    }
}

/// The violations in a response, given the world at that moment: whether the connector has the version of AWSCURRENT, and whether
/// it exists.
pub(super) fn untrue(
    asked: Option<&Asked>,
    answer: &Request,
    carries_current: bool,
    connector: bool,
) -> Option<String> {
    let bytes = answer.body().len();
    let answer: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    let physical = text("PhysicalResourceId");
    if bytes > ANSWER || physical.is_empty() {
        return Some(format!("a response of {bytes} bytes with the id `{physical}`"));
    }
    match (text("Status"), asked.map(|asked| asked.kind.as_str())) {
        ("FAILED", _) if !text("Reason").contains("remedy: ") => {
            Some(format!("no remedy in the reason `{}`", text("Reason")))
        }
        ("SUCCESS", Some("Create" | "Update")) if !carries_current && answer["Data"]["Outcome"] != "awaiting" => {
            Some("the stack gets SUCCESS, but the connector does not have the version of AWSCURRENT".to_owned())
        }
        ("SUCCESS", Some("Delete")) if connector && physical.starts_with("hubkeeper/") => {
            Some("the stack gets SUCCESS for a deletion, but the connector exists".to_owned())
        }
        ("FAILED" | "SUCCESS", _) => None,
        (status, _) => Some(format!("the status `{status}`")),
    }
}
