//! The fields of an event, read strictly.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::ids::is_secret_id;

/// The members of an object and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Members<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) path: &'a str,
}

impl<'a> Members<'a> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    pub(super) fn wrong(&self, name: &str, why: &str) -> Error {
        Error::bad_event(format!("member `{}{name}` {why}", self.path))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A text that is not empty, of at most 2,048 characters.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() && text.len() <= 2048 => Ok(Some(text)),
            Some(Value::String(_)) => Err(self.wrong(name, "is empty or too long")),
            Some(_) => Err(self.wrong(name, "is not a string")),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<&'a str, Error> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// Id or ARN of a secret.
    pub(super) fn secret_id(&self, name: &str) -> Result<String, Error> {
        let id = self.required(name)?;
        if is_secret_id(id) { Ok(id.to_owned()) } else { Err(self.wrong(name, "is not the name or ARN of a secret")) }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "is not true or false")),
        }
    }

    pub(super) fn object(&self, name: &str, path: &'a str) -> Result<Members<'a>, Error> {
        match self.get(name) {
            Some(Value::Object(map)) => Ok(Members { map, path }),
            Some(_) => Err(self.wrong(name, "is not an object")),
            None => Err(self.wrong(name, "is missing")),
        }
    }

    /// Refuses members that are none of `known`: a misspelt one would be passed over in silence.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Error> {
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
