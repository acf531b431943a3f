//! The manager secret: the dedicated user's password login (contract, section 1).

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::error::Error;

/// `{"username", "password", "totpSecret"?}`. No `Debug`: it holds a password.
#[derive(Clone)]
pub struct Login {
    /// Docker Hub user name.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// Base32 seed of the second factor, where there is one.
    pub totp_seed: Option<SecretString>,
}

impl Login {
    /// Parses a manager or owner secret; `what` names it in errors.
    ///
    /// # Errors
    /// `Misconfigured` names the member that is wrong.
    pub fn parse(text: &SecretString, what: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::misconfigured(
                format!("the {what} secret cannot be used: {why}"),
                "store it as {\"username\", \"password\", \"totpSecret\"?}",
            )
        };
        let value: Value = serde_json::from_str(text.expose_secret()).map_err(|_| wrong("it is not JSON"))?;
        let Value::Object(mut members) = value else { return Err(wrong("it is not a JSON object")) };
        let mut member = |name: &str| match members.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(wrong(&format!("member `{name}` is not a text"))),
        };
        let username = member("username")?.ok_or_else(|| wrong("member `username` is missing"))?;
        let password = member("password")?.ok_or_else(|| wrong("member `password` is missing"))?;
        Ok(Self { username, password: password.into(), totp_seed: member("totpSecret")?.map(SecretString::from) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_member_is_named_and_not_shown() {
        for (text, member) in [
            (r#"{"password":"hunter22"}"#, "`username`"),
            (r#"{"username":"u","password":["hunter22"]}"#, "`password`"),
            (r#"{"username":"u","password":"hunter22","totpSecret":7}"#, "`totpSecret`"),
            ("hunter22", "JSON"),
        ] {
            let message = Login::parse(&SecretString::from(text), "manager").err().unwrap().to_string();
            assert!(message.contains(member) && !message.contains("hunter22"), "{message}");
        }
    }
}
