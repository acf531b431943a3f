//! Parses every event shape strictly (docs/events.md). Anything else is rejected, and the error names the offending
//! field. Errors never quote an event's text, since it may hold a rotation token.

pub mod action;
pub mod cloudformation;
pub mod eventbridge;
pub mod parsed;
pub mod payload;
pub mod rotation;
pub mod sqs;
pub mod widget;

use serde_json::Value;

use crate::error::Error;
use crate::event::payload::{LONGEST_TEXT, bad_event};
use crate::fields::Fields;

pub use cloudformation::CustomResource;
pub use parsed::{DoctorQuery, Event, Fleet, Record, StatusQuery, WidgetQuery};
pub use payload::{Payload, read};

/// Parses an event.
///
/// # Errors
/// [`crate::error::Kind::BadEvent`] names the offending field.
pub fn parse(event: &Value) -> Result<Event, Error> {
    let Value::Object(fields) = event else {
        return Err(Error::bad_event("the event is not a JSON object").at("event"));
    };
    let fields = Fields::new("", fields).with_texts_up_to(LONGEST_TEXT);
    let parsed = if widget::is_widget(&fields) {
        widget::parse(&fields).map_err(bad_event)
    } else if fields.has("Records") {
        sqs::parse(&fields, parse_one).map(Event::Records).map_err(bad_event)
    } else if fields.has("RequestType") || fields.has("ResponseURL") {
        cloudformation::parse(&fields).map(|resource| Event::CustomResource(Box::new(resource))).map_err(bad_event)
    } else {
        parse_one(&fields)
    };
    parsed.map_err(|error| error.at("event"))
}

/// Parses an event that is not wrapped into records.
fn parse_one(fields: &Fields<'_>) -> Result<Event, Error> {
    if fields.has("Step") {
        rotation::parse(fields).map(Event::One).map_err(bad_event)
    } else if fields.has("action") {
        action::parse(fields).map_err(bad_event)
    } else if fields.has("detail-type") {
        eventbridge::parse(fields).map_err(bad_event)
    } else {
        Err(Error::bad_event(
            "the event has neither `Step` (rotation), nor `action`, nor `detail-type` (EventBridge), nor `RequestType` (CloudFormation), nor `Records` (SQS), nor `widgetContext` (CloudWatch)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use serde_json::json;

    #[test]
    fn what_is_no_event_is_refused_by_the_name_of_the_field() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf";
        let token = "7c2c7a4e-6a0e-4a2f-9b58-0d6a4f8a1c11";
        for (event, field) in [
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
            (json!({"action": "status", "secretId": arn}), "`secretId`"),
            (json!({"action": "status", "mode": "plan"}), "`mode`"),
            (json!({"action": "status", "secretIds": []}), "`secretIds`"),
            (json!({"action": "status", "next": "a b"}), "`next`"),
            (json!({"action": "doctor", "secretIds": [arn]}), "`secretIds`"),
            (json!({"action": "doctor", "secretId": "a b"}), "`secretId`"),
            (json!({"action": "doctor", "record": "yes"}), "`record`"),
            (json!({"describe": "yes"}), "`describe`"),
            (json!({"describe": false}), "`widgetContext`"),
            (json!({"widgetContext": "dckr_pat_x"}), "`widgetContext`"),
            (json!({"widgetContext": {"params": "dckr_pat_x"}}), "`widgetContext.params`"),
            (json!({"widgetContext": {"params": {"next": "a b"}}}), "`widgetContext.params.next`"),
            (json!({"widgetContext": {"forms": {"all": {"filter": 7}}}}), "`widgetContext.forms.all.filter`"),
            (json!({"widgetContext": {}, "filter": "x".repeat(129)}), "`filter`"),
            (json!({"widgetContext": {}, "secretIds": []}), "`secretIds`"),
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
            assert!(message.contains(field) && !message.contains("dckr_pat_x"), "{event}: {message}");
        }
    }
}
