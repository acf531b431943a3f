//! Manager and owner secrets: a Docker Hub login, and the secrets that may use it (docs/secret.md).
//!
//! A failed login counts against the account, so the parser refuses whatever cannot be a credential, before any request.

mod totp;
mod used_by;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::error::Error;
use crate::fields::{FieldError, Fields, Problem};
use crate::secret::document::without_byte_order_mark;
use crate::secret::labels::Secret;

pub use self::totp::{TOTP_STEP, totp};
pub use self::used_by::admit;

/// What a login is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The dedicated user's own login, which mints and retires personal access tokens.
    Manager,
    /// A login that may manage the organization's members, which invites the dedicated user.
    Owner,
}

impl Purpose {
    /// The field of the document that names the secret.
    pub fn field(self) -> &'static str {
        match self {
            Purpose::Manager => "manager",
            Purpose::Owner => "owner",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field())
    }
}

/// A password login. No `Debug`: it holds a password.
#[derive(Clone)]
pub struct Login {
    /// Docker Hub user name.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// Base32 seed of the second factor, if the account has one.
    pub totp_seed: Option<SecretString>,
}

/// How a manager or owner secret logs in. No `Debug`: it holds a password or a token.
#[derive(Clone)]
pub enum Access {
    /// `{"username", "password", "totpSecret"?}`.
    Password(Login),
    /// `{"organization", "accessToken"}`: an organization access token; for an owner only.
    OrganizationToken {
        /// The organization, which is also the login's identifier.
        organization: String,
        /// The token.
        token: SecretString,
    },
}

impl Access {
    /// The name at Docker Hub that counts the failed logins.
    pub fn identifier(&self) -> &str {
        match self {
            Access::Password(login) => &login.username,
            Access::OrganizationToken { organization, .. } => organization,
        }
    }

    /// Checks that an organization access token is of this organization. A password login belongs to none.
    ///
    /// # Errors
    /// `Misconfigured` if it is another organization's.
    pub fn is_of(&self, organization: &str) -> Result<(), Error> {
        match self {
            Access::OrganizationToken { organization: own, .. } if !own.eq_ignore_ascii_case(organization) => {
                Err(Error::misconfigured(
                    format!("the owner secret holds an access token of another organization than {organization}"),
                    "name in `owner` a secret with a token of this organization, or correct `organization` in the owner secret",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Checks that this is the login of the dedicated user: a manager can only be the user itself, since tokens belong
    /// to whoever makes them.
    ///
    /// # Errors
    /// `Misconfigured` if it is another user's.
    pub fn is_user(&self, username: &str) -> Result<(), Error> {
        match self {
            Access::Password(login) if login.username.eq_ignore_ascii_case(username) => Ok(()),
            _ => Err(Error::misconfigured(
                "the manager secret belongs to another user than the secret's `username`",
                "the manager is the dedicated user itself: make both names equal",
            )),
        }
    }
}

/// A manager or owner secret. No `Debug`: it holds a credential.
#[derive(Clone)]
pub struct LoginSecret {
    /// The credential.
    pub access: Access,
    /// Names or ARNs of the secrets that may use it.
    pub used_by: Vec<String>,
}

impl LoginSecret {
    /// Parses a manager or owner secret.
    ///
    /// # Errors
    /// `Misconfigured` names the wrong field, never its value.
    pub fn parse(text: &SecretString, purpose: Purpose) -> Result<Self, Error> {
        let wrong = |why: &str| wrong(purpose, why);
        let value: Value =
            serde_json::from_str(without_byte_order_mark(text.expose_secret())).map_err(|_| wrong("it is not JSON"))?;
        let Value::Object(map) = value else { return Err(wrong("it is not a JSON object")) };
        let fields = Fields::new("", &map);
        let wrong_field = |error| wrong(&explained(error));
        // empty if the field is missing, so that the refusal can name the consumer
        let used_by = fields.texts("usedBy").map_err(wrong_field)?;
        let access = if !fields.has("accessToken") {
            Access::Password(password(&fields).map_err(|why| wrong(&why))?)
        } else if purpose == Purpose::Manager {
            return Err(wrong(
                "it has the field `accessToken`, and no token can make tokens: a manager needs the dedicated user's `username` and `password`",
            ));
        } else if ["username", "password", "totpSecret"].iter().any(|name| fields.has(name)) {
            return Err(wrong("it has both `accessToken` and a password login: keep one of them"));
        } else {
            organization_token(&fields).map_err(wrong_field)?
        };
        Ok(Self { access, used_by })
    }

    /// Checks that `consumer` may use this login.
    ///
    /// # Errors
    /// `Misconfigured`, with the field to add.
    pub fn admit(&self, consumer: &Secret, purpose: Purpose) -> Result<(), Error> {
        admit(&self.used_by, consumer, purpose)
    }
}

/// Reads a password login.
fn password(fields: &Fields<'_>) -> Result<Login, String> {
    let username = credential(fields, "username").map_err(explained)?;
    if username.contains('@') {
        return Err(explained(
            fields.wrong("username", "holds an e-mail address: Docker Hub logs in with the user name (Docker ID)"),
        ));
    }
    let password = credential(fields, "password").map_err(explained)?.into();
    let totp_seed = match fields.get("totpSecret") {
        None => None,
        Some(_) => Some(totp::seed(credential(fields, "totpSecret").map_err(explained)?)?),
    };
    Ok(Login { username: username.to_owned(), password, totp_seed })
}

/// Reads an organization access token.
fn organization_token(fields: &Fields<'_>) -> Result<Access, FieldError> {
    let organization = credential(fields, "organization")?.to_owned();
    let token = credential(fields, "accessToken")?;
    let wrong = |why: &str| Err(fields.wrong("accessToken", why));
    if token.starts_with("dckr_pat_") {
        return wrong("holds a personal access token, which may not manage members: use an organization access token");
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("holds characters that no token has");
    }
    Ok(Access::OrganizationToken { organization, token: token.into() })
}

/// Reads a text without surrounding white space.
fn credential<'a>(fields: &Fields<'a>, name: &str) -> Result<&'a str, FieldError> {
    let text = fields.required(name)?;
    if text.trim() == text {
        Ok(text)
    } else {
        Err(fields.wrong(name, "begins or ends with white space or a line feed, which would count as a failed login"))
    }
}

fn explained(error: FieldError) -> String {
    let FieldError { path, problem } = error;
    match problem {
        Problem::TextInsteadOf(kind) => format!(
            "the field `{path}` is a string and not {kind}: the console's key/value form stores it so; use the form `Plaintext`"
        ),
        problem => format!("the field `{path}` {problem}"),
    }
}

fn wrong(purpose: Purpose, why: &str) -> Error {
    let shapes = match purpose {
        Purpose::Manager => "{\"username\", \"password\", \"totpSecret\"?, \"usedBy\"}",
        Purpose::Owner => {
            "{\"username\", \"password\", \"totpSecret\"?, \"usedBy\"} or {\"organization\", \"accessToken\", \"usedBy\"}"
        }
    };
    Error::misconfigured(
        format!("the {purpose} secret cannot be used: {why}; nobody logged in with it"),
        format!("store it as {shapes}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn parse(text: &str, purpose: Purpose) -> Result<LoginSecret, Error> {
        LoginSecret::parse(&SecretString::from(text), purpose)
    }

    #[test]
    fn a_wrong_field_is_named_and_not_shown() {
        for (text, field) in [
            (r#"{"password":"hunter22"}"#, "`username`"),
            (r#"{"username":"","password":"hunter22"}"#, "`username`"),
            (r#"{"username":"u","password":["hunter22"]}"#, "`password`"),
            (r#"{"username":"u","password":""}"#, "`password`"),
            (r#"{"username":"u","password":"hunter22","totpSecret":7}"#, "`totpSecret`"),
            (r#"{"username":"u","password":"hunter22","usedBy":"hubkeeper/acme"}"#, "Plaintext"),
            (r#"{"username":"u","password":"hunter22","usedBy":[7]}"#, "`usedBy`"),
            ("hunter22", "JSON"),
        ] {
            let error = parse(text, Purpose::Manager).err().unwrap();
            let message = error.to_string();
            assert_eq!(error.kind(), Kind::Misconfigured);
            assert!(message.contains(field) && !message.contains("hunter22"), "{message}");
        }
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused() {
        for (text, field) in [
            (r#"{"username":"u","password":"hunter22\n"}"#, "`password`"),
            (r#"{"username":"u","password":" hunter22"}"#, "`password`"),
            (r#"{"username":"u ","password":"hunter22"}"#, "`username`"),
            (r#"{"username":"hunter22@acme.example","password":"p"}"#, "`username`"),
            (r#"{"organization":"acme","accessToken":"hunter22\n"}"#, "`accessToken`"),
            (r#"{"organization":"acme","accessToken":"hunter 22"}"#, "`accessToken`"),
            (r#"{"organization":"acme","accessToken":""}"#, "`accessToken`"),
            (r#"{"accessToken":"hunter22"}"#, "`organization`"),
            (r#"{"organization":"acme","accessToken":"dckr_pat_hunter22"}"#, "personal access token"),
            (r#"{"organization":"acme","accessToken":"hunter22","username":"u"}"#, "both"),
        ] {
            let message = parse(text, Purpose::Owner).err().unwrap().to_string();
            assert!(message.contains(field) && !message.contains("hunter22"), "{message}");
        }
        let message = parse(r#"{"organization":"acme","accessToken":"x","usedBy":[]}"#, Purpose::Manager);
        assert!(message.err().unwrap().to_string().contains("no token can make tokens"));
        assert!(parse(r#"{"username":"u","password":"in the middle"}"#, Purpose::Owner).is_ok());
    }

    #[test]
    fn an_owner_may_be_an_organization_access_token() {
        let owner = parse(r#"{"organization":"acme","accessToken":"dckr_oat_x","usedBy":["a"]}"#, Purpose::Owner);
        let owner = owner.unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(&owner.access, Access::OrganizationToken { organization, .. } if organization == "acme"));
        assert_eq!(owner.access.identifier(), "acme");
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let marked = "\u{feff}{\"username\":\"u\",\"password\":\"p\",\"usedBy\":[]}";
        assert!(parse(marked, Purpose::Manager).is_ok());
    }
}
