//! Manager and owner secrets: a login at Docker Hub, and the secrets that may use it (contract, section 1).
//!
//! A failed login counts against the account, so whatever cannot be a credential is refused here, before any request.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use totp_rs::{Algorithm, Secret as Seed, TOTP};

use crate::error::Error;
use crate::secret::document::without_byte_order_mark;
use crate::secret::labels::Secret;

/// Seconds for which a TOTP code is valid (RFC 6238's default; Docker documents none).
pub const TOTP_STEP: u64 = 30;
/// Digits of a TOTP code (RFC 6238's default; Docker's manual on two-factor login shows six).
const TOTP_DIGITS: usize = 6;

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
    /// Base32 seed of the second factor, where there is one.
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
    /// The name at Docker Hub that failed logins are counted against.
    pub fn identifier(&self) -> &str {
        match self {
            Access::Password(login) => &login.username,
            Access::OrganizationToken { organization, .. } => organization,
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
    /// `Misconfigured` names the field that is wrong, never its value.
    pub fn parse(text: &SecretString, purpose: Purpose) -> Result<Self, Error> {
        let wrong = |why: &str| wrong(purpose, why);
        let value: Value =
            serde_json::from_str(without_byte_order_mark(text.expose_secret())).map_err(|_| wrong("it is not JSON"))?;
        let Value::Object(fields) = value else { return Err(wrong("it is not a JSON object")) };
        let fields = Fields { map: &fields, purpose };
        let used_by = fields.used_by()?;
        if fields.map.contains_key("accessToken") {
            if purpose == Purpose::Manager {
                return Err(wrong(
                    "it has the field `accessToken`, and no token can make tokens: a manager needs the dedicated user's `username` and `password`",
                ));
            }
            if ["username", "password", "totpSecret"].iter().any(|name| fields.map.contains_key(*name)) {
                return Err(wrong("it has both `accessToken` and a password login: keep one of them"));
            }
            let organization = fields.required("organization")?;
            let token = fields.required("accessToken")?;
            if token.starts_with("dckr_pat_") {
                return Err(wrong(
                    "the field `accessToken` holds a personal access token, which may not manage members: use an organization access token",
                ));
            }
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(wrong("the field `accessToken` holds characters that no token has"));
            }
            return Ok(Self { access: Access::OrganizationToken { organization, token: token.into() }, used_by });
        }
        let username = fields.required("username")?;
        if username.contains('@') {
            return Err(wrong(
                "the field `username` holds an e-mail address: Docker Hub logs in with the user name (Docker ID)",
            ));
        }
        let password = fields.required("password")?.into();
        let totp_seed = fields.text("totpSecret")?.map(|text| seed(&text).map_err(|why| wrong(&why))).transpose()?;
        Ok(Self { access: Access::Password(Login { username, password, totp_seed }), used_by })
    }

    /// Checks that `consumer` may use this login.
    ///
    /// # Errors
    /// `Misconfigured`, with the field to add.
    pub fn admit(&self, consumer: &Secret, purpose: Purpose) -> Result<(), Error> {
        admit(&self.used_by, consumer, purpose)
    }
}

/// Checks that a manager or owner secret lists `consumer`: entries are whole names or ARNs, wildcards match nothing.
///
/// # Errors
/// `Misconfigured`, with the field to add.
pub fn admit(used_by: &[String], consumer: &Secret, purpose: Purpose) -> Result<(), Error> {
    if used_by.iter().any(|entry| *entry == consumer.name || *entry == consumer.arn) {
        return Ok(());
    }
    let name = &consumer.name;
    Err(Error::misconfigured(
        format!("the {purpose} secret does not list the secret {name} in its field `usedBy`"),
        format!(
            "if this secret may use that login, add it to the {purpose} secret: \"usedBy\": [\"{name}\"] (whole names or ARNs, no wildcards)"
        ),
    ))
}

/// The fields of a manager or owner secret.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    purpose: Purpose,
}

impl Fields<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let wrong = |why: &str| wrong(self.purpose, &format!("the field `{name}` {why}"));
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Err(wrong("is empty")),
            Some(Value::String(text)) if text.trim() != text => {
                Err(wrong("begins or ends with white space or a line feed, which would count as a failed login"))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong("is not a string")),
        }
    }

    fn required(&self, name: &str) -> Result<String, Error> {
        self.text(name)?.ok_or_else(|| wrong(self.purpose, &format!("the field `{name}` is missing")))
    }

    /// The entries of `usedBy`; none where it is missing, so that the refusal can name the consumer.
    fn used_by(&self) -> Result<Vec<String>, Error> {
        let wrong = |why: &str| wrong(self.purpose, &format!("the field `usedBy` {why}"));
        match self.map.get("usedBy") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(entries)) => {
                let entry = |entry: &Value| {
                    entry.as_str().map(str::to_owned).ok_or_else(|| wrong("is not an array of strings"))
                };
                entries.iter().map(entry).collect()
            }
            Some(Value::String(_)) => Err(wrong(
                "is a string and not an array of strings: the console's key/value form stores it so; use the form `Plaintext`",
            )),
            Some(_) => Err(wrong("is not an array of strings")),
        }
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

/// The base32 seed of a `totpSecret`, which is the seed or the whole `otpauth://` URI of the QR code.
fn seed(text: &str) -> Result<SecretString, String> {
    let of_uri;
    let text = if text.get(..10).is_some_and(|scheme| scheme.eq_ignore_ascii_case("otpauth://")) {
        of_uri = seed_of_uri(text)?;
        &of_uri
    } else {
        text
    };
    let plain: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-' && *c != '=').collect();
    let plain = plain.to_ascii_uppercase();
    match Seed::Encoded(plain.clone()).to_bytes() {
        Ok(bytes) if !bytes.is_empty() => Ok(plain.into()),
        _ => Err("the field `totpSecret` is not base32: store the seed that Docker Hub showed when two-factor login was set up".into()),
    }
}

/// The parameter `secret` of an `otpauth://` URI. Parameters that would give other codes than Docker Hub's are refused.
fn seed_of_uri(uri: &str) -> Result<String, String> {
    let refused = |why: &str| Err(format!("the `otpauth://` URI in the field `totpSecret` {why}"));
    let Ok(uri) = url::Url::parse(uri) else { return refused("cannot be read") };
    if uri.host_str().is_none_or(|kind| !kind.eq_ignore_ascii_case("totp")) {
        return refused("is not of the kind `totp`");
    }
    let mut secret = None;
    for (name, value) in uri.query_pairs() {
        match (name.as_ref(), value.as_ref()) {
            ("secret", _) if secret.is_some() => return refused("has the parameter `secret` twice"),
            ("secret", value) => secret = Some(value.to_owned()),
            ("algorithm", value) if !value.eq_ignore_ascii_case("SHA1") => {
                return refused("has an `algorithm` other than SHA1, which Docker Hub does not use");
            }
            ("digits", value) if value != "6" => {
                return refused("has other `digits` than 6, which Docker Hub does not use");
            }
            ("period", value) if value != "30" => {
                return refused("has another `period` than 30 seconds, which Docker Hub does not use");
            }
            // the issuer, an icon and the like do not change the code
            _ => {}
        }
    }
    match secret {
        Some(secret) if !secret.is_empty() => Ok(secret),
        _ => refused("has no parameter `secret`"),
    }
}

/// The codes of a seed that [`LoginSecret::parse`] has checked; `None` for one that is not base32.
pub fn totp(seed: &SecretString) -> Option<TOTP> {
    let bytes = Seed::Encoded(seed.expose_secret().to_owned()).to_bytes().ok()?;
    // unchecked: the library wants seeds of 128 bits and more, Docker Hub decides what it hands out
    Some(TOTP::new_unchecked(Algorithm::SHA1, TOTP_DIGITS, 1, TOTP_STEP, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::fixtures::secret;

    fn parse(text: &str, purpose: Purpose) -> Result<LoginSecret, Error> {
        LoginSecret::parse(&SecretString::from(text), purpose)
    }

    fn seed_of(totp: &str) -> Result<String, String> {
        let text = serde_json::json!({"username": "u", "password": "hunter22", "totpSecret": totp, "usedBy": []});
        match parse(&text.to_string(), Purpose::Manager) {
            Ok(LoginSecret { access: Access::Password(login), .. }) => {
                Ok(login.totp_seed.unwrap().expose_secret().to_owned())
            }
            Ok(_) => panic!("not a password login"),
            Err(error) => Err(error.to_string()),
        }
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

    #[test]
    fn only_a_whole_name_or_arn_is_listed() {
        let consumer = secret(&[]);
        let refused = |used_by: &str| {
            let text = format!(r#"{{"username":"u","password":"p"{used_by}}}"#);
            let login = parse(&text, Purpose::Manager).unwrap_or_else(|error| panic!("{error}"));
            login.admit(&consumer, Purpose::Manager).err().map(|error| (error.kind(), error.to_string()))
        };
        let arn = &consumer.arn;
        for listed in [r#"["hub"]"#.to_owned(), format!(r#"["other", "{arn}"]"#)] {
            assert_eq!(refused(&format!(r#","usedBy":{listed}"#)), None, "{listed}");
        }
        let partial = &arn[..arn.len() - 7];
        for other in [
            String::new(),
            r#","usedBy":null"#.into(),
            r#","usedBy":[]"#.into(),
            r#","usedBy":["*","hu*","HUB","hub/","hub-AbCdEf"]"#.into(),
            format!(r#","usedBy":["{partial}"]"#),
        ] {
            let (kind, message) = refused(&other).unwrap();
            assert_eq!(kind, Kind::Misconfigured);
            assert!(message.contains(r#""usedBy": ["hub"]"#), "{message}");
        }
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // RFC 6238, appendix B, SHA-1, the last six digits of its eight
        let totp = totp(&SecretString::from("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")).unwrap();
        for (time, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(totp.generate(time), code);
        }
    }

    #[test]
    fn a_seed_as_people_copy_it_or_a_whole_uri_is_taken() {
        for text in [
            "GEZDGNBVGY3TQOJQ",
            "gezd gnbv gy3t qojq",
            "gezd-gnbv-gy3t-qojq",
            "otpauth://totp/Docker:acme-scanner?secret=GEZDGNBVGY3TQOJQ&issuer=Docker",
            "OTPAUTH://TOTP/Docker%3Aacme?issuer=Docker&algorithm=sha1&digits=6&period=30&secret=gezdgnbvgy3tqojq",
        ] {
            assert_eq!(seed_of(text).as_deref(), Ok("GEZDGNBVGY3TQOJQ"), "{text}");
        }
    }

    #[test]
    fn a_seed_or_uri_that_gives_other_codes_is_refused_with_the_parameter() {
        for (text, why) in [
            ("not base32!", "base32"),
            ("====", "base32"),
            ("otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ&counter=1", "`totp`"),
            ("otpauth://totp/x?issuer=Docker", "`secret`"),
            ("otpauth://totp/x?secret=", "`secret`"),
            ("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&secret=GEZDGNBVGY3TQOJQ", "twice"),
            ("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&algorithm=SHA256", "`algorithm`"),
            ("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&digits=8", "`digits`"),
            ("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&period=60", "`period`"),
        ] {
            let message = seed_of(text).unwrap_err();
            assert!(message.contains(why) && !message.contains("GEZDG"), "{text}: {message}");
        }
    }
}
