//! Records of SQS: each body is an event by itself, an action or one of `EventBridge`'s. A body that is none does not spoil
//! the batch: it comes back as a failure of its own.

use serde_json::Value;

use super::{Event, Members, Record, parse_one};
use crate::error::Error;

pub(super) fn parse(members: &Members<'_>) -> Result<Event, Error> {
    let Some(Value::Array(records)) = members.get("Records") else {
        return Err(members.wrong("Records", "is not an array"));
    };
    let read = records.iter().enumerate().map(|(at, record)| {
        let Value::Object(map) = record else {
            return Err(members.wrong(&format!("Records[{at}]"), "is not an object"));
        };
        let path = format!("Records[{at}].");
        let members = Members { map, path: &path };
        if members.text("eventSource")? != Some("aws:sqs") {
            return Err(members.wrong("eventSource", "is not aws:sqs"));
        }
        let message_id = members.required("messageId")?.to_owned();
        let event = body(&members).map(Box::new).map_err(|error| error.at("event"));
        Ok(Record { message_id, event })
    });
    read.collect::<Result<Vec<_>, _>>().map(Event::Records)
}

fn body(members: &Members<'_>) -> Result<Event, Error> {
    let wrong = |why: &str| members.wrong("body", why);
    let Some(Value::String(body)) = members.get("body") else { return Err(wrong("is not a string")) };
    match serde_json::from_str(body) {
        Ok(Value::Object(map)) if map.contains_key("Step") => {
            Err(wrong("is a step of a rotation, which Secrets Manager sends by itself alone"))
        }
        Ok(Value::Object(map)) if map.contains_key("RequestType") || map.contains_key("ResponseURL") => {
            Err(wrong("is a request of CloudFormation, which goes to the function alone: its URL is a secret"))
        }
        Ok(Value::Object(map)) => parse_one(&Members { map: &map, path: "body." }),
        Ok(_) => Err(wrong("is not a JSON object")),
        Err(_) => Err(wrong("is not JSON")),
    }
}
