//! Reading of members: an error names where one stands and what it should be, never what is there.

use serde_json::{Map, Value};

use crate::error::Error;

/// A JSON object and where it stands.
pub(super) struct Members<'a> {
    pub(super) path: String,
    pub(super) map: &'a Map<String, Value>,
}

impl Members<'_> {
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => {
                Err(wrong(&format!("member `{}{name}` is empty", self.path)))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(&format!("member `{}{name}` is not a string", self.path))),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<String, Error> {
        self.text(name)?.ok_or_else(|| wrong(&format!("member `{}{name}` is missing", self.path)))
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let wrong = || wrong(&format!("member `{}{name}` is not an array of strings", self.path));
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(_)) => Err(stored_as_text(&format!("{}{name}", self.path), "an array of strings")),
            Some(Value::Array(values)) => {
                values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }
}

/// The error for an array or object that the console's key/value form has stored as text.
pub(super) fn stored_as_text(name: &str, kind: &str) -> Error {
    wrong(&format!(
        "member `{name}` is text and not {kind}: the console's key/value form stores every field as text; put the document in the form `Plaintext`, or with the command line"
    ))
}

pub(super) fn wrong(what: &str) -> Error {
    Error::misconfigured(
        format!("the secret's document cannot be used: {what}"),
        "put a corrected version of the secret; the README shows the document",
    )
}

/// JSON text without the byte order mark that some editors and PowerShell write before it.
pub fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
