//! Typed reading of a JSON request. A field of the wrong type is rejected as the service's deserialiser rejects it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Refusal;
use super::model::{Secret, Stored};
use crate::world::State;

const VALUE_BYTES: usize = 65_536;

/// The fields of a request.
pub(super) struct Input<'a>(&'a Map<String, Value>);

fn wrong_type(name: &str) -> Refusal {
    Refusal::new("SerializationException", format!("{name} has the wrong type"))
}

impl<'a> Input<'a> {
    pub(super) fn new(body: &'a Value) -> Result<Self, Refusal> {
        body.as_object().map(Self).ok_or_else(|| Refusal::new("SerializationException", "Start of structure expected"))
    }

    pub(super) fn member(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        self.member(name).map(|value| value.as_str().ok_or_else(|| wrong_type(name))).transpose()
    }

    pub(super) fn required(&self, name: &str) -> Result<&'a str, Refusal> {
        match self.text(name)? {
            Some("") | None => Err(Refusal::parameter(format!("You must provide a value for the {name} parameter."))),
            Some(text) => Ok(text),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.member(name).map(|value| value.as_bool().ok_or_else(|| wrong_type(name))).transpose()
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.member(name).map(|value| value.as_i64().ok_or_else(|| wrong_type(name))).transpose()
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<&'a Vec<Value>>, Refusal> {
        self.member(name).map(|value| value.as_array().ok_or_else(|| wrong_type(name))).transpose()
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(list) = self.list(name)? else { return Ok(None) };
        list.iter()
            .map(|value| value.as_str().map(str::to_owned).ok_or_else(|| wrong_type(name)))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// `MaxResults`, 1 to 100.
    pub(super) fn page_size(&self) -> Result<usize, Refusal> {
        match self.number("MaxResults")? {
            None => Ok(100),
            Some(size @ 1..=100) => Ok(usize::try_from(size).unwrap_or(100)),
            Some(_) => Err(Refusal::parameter("MaxResults must be between 1 and 100.")),
        }
    }

    /// `ClientRequestToken`: 32 to 64 characters. A client without an SDK must send it.
    pub(super) fn version_id(&self) -> Result<&'a str, Refusal> {
        let Some(token) = self.text("ClientRequestToken")? else {
            return Err(Refusal::parameter(
                "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
            ));
        };
        if !(32..=64).contains(&token.chars().count()) {
            return Err(Refusal::parameter("ClientRequestToken must be 32-64 characters long."));
        }
        Ok(token)
    }

    /// `SecretString` or `SecretBinary`, not both, at most 65,536 bytes. `None` if the request has neither.
    pub(super) fn value(&self) -> Result<Option<Stored>, Refusal> {
        let (length, stored) = match (self.text("SecretString")?, self.text("SecretBinary")?) {
            (None, None) => return Ok(None),
            (Some(text), None) => (text.len(), Stored::Text(text.to_owned())),
            (None, Some(binary)) => {
                let bytes = STANDARD.decode(binary).map_err(|_| wrong_type("SecretBinary"))?;
                (bytes.len(), Stored::Binary(bytes))
            }
            (Some(_), Some(_)) => {
                return Err(Refusal::parameter(
                    "You can't specify both a binary secret value and a text secret value.",
                ));
            }
        };
        match length {
            0 => Err(Refusal::parameter("The secret value is empty.")),
            1..=VALUE_BYTES => Ok(Some(stored)),
            _ => Err(Refusal::parameter(format!("The secret value is longer than {VALUE_BYTES} bytes."))),
        }
    }

    /// `Tags`, a list of `Key` and `Value`.
    pub(super) fn tags(&self) -> Result<Vec<(String, String)>, Refusal> {
        let Some(list) = self.list("Tags")? else { return Ok(Vec::new()) };
        let mut tags = Vec::new();
        for entry in list {
            let entry = Input::new(entry)?;
            let key = entry.text("Key")?.unwrap_or_default();
            let value = entry.text("Value")?.unwrap_or_default();
            let fits = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
            let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c));
            if !fits || !plain(key) || !plain(value) || key.to_ascii_lowercase().starts_with("aws:") {
                return Err(Refusal::parameter("A tag key or value is not valid."));
            }
            tags.push((key.to_owned(), value.to_owned()));
        }
        Ok(tags)
    }

    /// The ARN of the secret that `SecretId` names by its friendly name, its ARN, or its ARN without the random suffix.
    pub(super) fn arn(&self, state: &State) -> Result<String, Refusal> {
        let id = self.required("SecretId")?;
        let arn = if state.aws.secrets.contains_key(id) {
            Some(id)
        } else {
            let prefix = format!("arn:aws:secretsmanager:{}:{}:secret:", state.aws.region, state.aws.account);
            if id.chars().count() > 2048 || !(id.starts_with("arn:") || is_name(id)) {
                return Err(invalid_name());
            }
            let name = id.strip_prefix(&prefix).unwrap_or(id);
            state.aws.secrets.values().find(|secret| secret.name == name).map(|secret| secret.arn.as_str())
        };
        arn.map(str::to_owned).ok_or_else(|| Refusal::not_found("Secrets Manager can't find the specified secret."))
    }

    /// The ARN of a secret that is not scheduled for deletion.
    pub(super) fn live_arn(&self, state: &State) -> Result<String, Refusal> {
        let arn = self.arn(state)?;
        if state.aws.secrets.get(&arn).is_some_and(|secret| secret.deleted.is_some()) {
            return Err(Refusal::request(
                "You can't perform this operation on the secret because it was marked for deletion.",
            ));
        }
        Ok(arn)
    }
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=512).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-/_+=.@!".contains(&c))
}

pub(super) fn invalid_name() -> Refusal {
    // the service's model does not list this kind of error (observed)
    Refusal::new(
        "ValidationException",
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
    )
}

/// The secret with an ARN that [`Input::arn`] returned.
pub(super) fn secret<'s>(state: &'s mut State, arn: &str) -> Result<&'s mut Secret, Refusal> {
    state.aws.secrets.get_mut(arn).ok_or_else(|| Refusal::not_found("Secrets Manager can't find the specified secret."))
}
