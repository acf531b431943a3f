//! Records of SQS: each body is an event of its own, an action or one of `EventBridge`'s. A malformed body does not fail
//! the batch: the response reports that record alone as failed.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::event::parsed::{Event, Record};
use crate::event::payload::{LONGEST_TEXT, bad_event, unreadable};
use crate::fields::{FieldError, Fields};

/// Parses the body of one record.
type ParseOne = fn(&Fields<'_>) -> Result<Event, Error>;

pub(super) fn parse(fields: &Fields<'_>, parse_one: ParseOne) -> Result<Vec<Record>, FieldError> {
    let Some(Value::Array(records)) = fields.get("Records") else {
        return Err(fields.wrong("Records", "is not an array"));
    };
    let read = records.iter().enumerate().map(|(at, record)| {
        let Value::Object(map) = record else {
            return Err(fields.wrong(&format!("Records[{at}]"), "is not an object"));
        };
        let path = format!("Records[{at}].");
        let fields = Fields::new(path, map).with_texts_up_to(LONGEST_TEXT);
        if fields.text("eventSource")? != Some("aws:sqs") {
            return Err(fields.wrong("eventSource", "is not aws:sqs"));
        }
        let message_id = fields.required("messageId")?.to_owned();
        let event = body(&fields, parse_one).map(Box::new).map_err(|error| error.at("event"));
        Ok(Record { message_id, event })
    });
    read.collect()
}

/// Reads the event in a record's body. It unwraps one notification of SNS: a topic in between adds nothing (SNS's "raw message
/// delivery" would omit it).
fn body(fields: &Fields<'_>, parse_one: ParseOne) -> Result<Event, Error> {
    let Some(Value::String(body)) = fields.get("body") else {
        return Err(bad_event(fields.wrong("body", "is not a string")));
    };
    let map = object(fields, "body", body).map_err(bad_event)?;
    if !is_notification(&map) {
        alone(fields, "body", &map).map_err(bad_event)?;
        return parse_one(&Fields::new("body.", &map).with_texts_up_to(LONGEST_TEXT));
    }
    let Some(Value::String(message)) = map.get("Message") else {
        return Err(bad_event(fields.wrong("body.Message", "is not a string")));
    };
    let map = object(fields, "body.Message", message).map_err(bad_event)?;
    if is_notification(&map) {
        return Err(bad_event(fields.wrong("body.Message", "is an SNS notification inside another one")));
    }
    alone(fields, "body.Message", &map).map_err(bad_event)?;
    parse_one(&Fields::new("body.Message.", &map).with_texts_up_to(LONGEST_TEXT))
}

fn is_notification(map: &Map<String, Value>) -> bool {
    ["Type", "TopicArn", "Message"].iter().all(|name| map.contains_key(*name))
        && map.get("Type").and_then(Value::as_str) == Some("Notification")
}

fn object(fields: &Fields<'_>, name: &str, text: &str) -> Result<Map<String, Value>, FieldError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(fields.wrong(name, "is not a JSON object")),
        Err(error) => Err(fields.wrong(name, unreadable(&error))),
    }
}

/// Rejects an event that reaches the function only directly, never through a queue.
fn alone(fields: &Fields<'_>, name: &str, map: &Map<String, Value>) -> Result<(), FieldError> {
    if map.contains_key("Step") {
        return Err(fields.wrong(name, "is a rotation step, which only Secrets Manager sends"));
    }
    if map.contains_key("RequestType") || map.contains_key("ResponseURL") {
        return Err(fields
            .wrong(name, "is a CloudFormation request, which must go to the function directly: its URL is a secret"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper/acme-AbCdEf";

    fn record(body: &str) -> Result<Event, Error> {
        let event = json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": body}]});
        let Ok(Event::Records(mut records)) = crate::event::parse(&event) else { panic!("records") };
        records.remove(0).event.map(|event| *event)
    }

    fn notification(message: &str) -> String {
        json!({"Type": "Notification", "MessageId": "x", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t",
            "Message": message, "Timestamp": "2026-11-29T08:00:01.000Z", "Signature": "c2ln"})
        .to_string()
    }

    #[test]
    fn a_notification_of_sns_is_opened_once() {
        let action = json!({"action": "verify", "secretId": ARN}).to_string();
        let Ok(Event::One(request)) = record(&notification(&action)) else { panic!("an event") };
        assert_eq!((request.trigger.name(), request.secret_id.as_str()), ("verify", ARN));
        for (body, wrong) in [
            (notification(&notification(&action)), "`Records[0].body.Message` is an SNS notification"),
            (notification("dckr_pat_x"), "`Records[0].body.Message` is not JSON"),
            (notification(&json!({"Step": "createSecret"}).to_string()), "is a rotation step"),
            (notification(&json!({"RequestType": "Create"}).to_string()), "is a CloudFormation request"),
            (notification(&json!({"action": "verify"}).to_string()), "`body.Message.secretId`"),
        ] {
            let error = record(&body).err().unwrap().to_string();
            assert!(error.contains(wrong) && !error.contains("dckr"), "{error}");
        }
    }

    #[test]
    fn only_a_whole_notification_counts_as_one() {
        let whole =
            json!({"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t", "Message": "{}"});
        let is = |map: &Value| is_notification(map.as_object().unwrap());
        assert!(is(&whole));
        for name in ["Type", "TopicArn", "Message"] {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(name);
            assert!(!is(&part), "without {name}");
        }
        let mut other = whole.clone();
        other["Type"] = json!("SubscriptionConfirmation");
        assert!(!is(&other));
    }

    #[test]
    fn a_body_that_serde_refuses_says_why_and_where() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for (body, why) in
            [(deep.as_str(), "recursion limit"), (r#"{"action":"\ud83d"}"#, "column"), ("dckr_pat_x", "not JSON")]
        {
            let error = record(body).err().unwrap();
            assert_eq!(error.kind(), crate::error::Kind::BadEvent);
            let text = error.to_string();
            assert!(text.contains("`Records[0].body`") && text.contains(why) && !text.contains("dckr"), "{text}");
        }
    }
}
