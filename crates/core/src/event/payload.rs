//! The payload of an invocation as text, so that malformed JSON becomes an error of hubkeeper's and not of the runtime.
//!
//! The runtime deserializes the payload before it calls the handler, and reports a failure with an error type of its own
//! (`&lambda_runtime::deserializer::DeserializeError`), which no alarm and no state machine matches. So the text is only
//! captured there and parsed here. Serde refuses a lone surrogate (`"\\ud83d"`), for example, and more than 128 levels.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::fields::FieldError;

/// An invocation's payload, not parsed yet. No `Debug`: it may hold a rotation token, or the URL of a response.
pub struct Payload(Option<Box<RawValue>>);

impl<'de> Deserialize<'de> for Payload {
    /// Never fails: it keeps malformed JSON as text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(deserializer).ok()))
    }
}

impl Payload {
    /// Parses the event as JSON.
    ///
    /// # Errors
    /// `BadEvent` if the text is not valid JSON.
    pub fn read(&self) -> Result<Value, Error> {
        match &self.0 {
            Some(text) => read(text.get()),
            None => Err(Error::bad_event("the event is not JSON").at("event")),
        }
    }
}

/// Parses an event's text as JSON.
///
/// # Errors
/// `BadEvent` with the reason and the position, without any of the text.
pub fn read(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::bad_event(format!("the event {}", unreadable(&error))).at("event"))
}

/// Explains why a text is not valid JSON. Serde's own words describe a syntax error; other messages may quote the text.
pub(super) fn unreadable(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Syntax | Category::Eof => format!("is not JSON that can be read: {error}"),
        Category::Data | Category::Io => {
            format!("is not JSON that can be read, at line {} column {}", error.line(), error.column())
        }
    }
}

/// Maximum bytes of a text in an event: the longest ARN that AWS documents.
pub(super) const LONGEST_TEXT: usize = 2048;

// `map_err` passes the value
#[expect(clippy::needless_pass_by_value)]
pub(super) fn bad_event(error: FieldError) -> Error {
    Error::bad_event(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    /// The runtime does the same: its deserializer ignores what follows the value.
    fn payload(bytes: &[u8]) -> Payload {
        Payload::deserialize(&mut serde_json::Deserializer::from_slice(bytes)).unwrap()
    }

    #[test]
    fn json_is_read_as_it_came() {
        let text = r#"{"action":"verify","n":1.0000000000000000001,"secretId":"a"}"#;
        assert_eq!(payload(text.as_bytes()).read().unwrap().to_string(), text);
        assert_eq!(payload(b" null ").read().unwrap(), Value::Null);
    }

    #[test]
    fn what_serde_refuses_is_a_bad_event_that_quotes_nothing() {
        let deep = format!("{{\"secretId\":{}{}}}", "[".repeat(200), "]".repeat(200));
        let surrogate = r#"{"action":"verify","secretId":"\ud83d","RotationToken":"dckr_pat_x"}"#;
        let inputs: [&[u8]; 7] = [
            deep.as_bytes(),
            surrogate.as_bytes(),
            br#"{"a":"\udc00"}"#,
            b"dckr_pat_x",
            b"",
            b"{\"a\":\"dckr_pat_x",
            b"\"\xff\"",
        ];
        for input in inputs {
            let error = payload(input).read().unwrap_err();
            assert_eq!((error.kind(), error.step()), (Kind::BadEvent, Some("event")));
            assert!(!error.to_string().contains("dckr"), "{error}");
        }
        assert!(payload(deep.as_bytes()).read().unwrap_err().to_string().contains("recursion limit"));
    }
}
