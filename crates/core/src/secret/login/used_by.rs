//! The field `usedBy`: the secrets that may use a manager's or owner's login.

use crate::error::Error;
use crate::secret::labels::Secret;
use crate::secret::login::Purpose;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::fixtures::secret;
    use crate::secret::login::LoginSecret;

    #[test]
    fn only_a_whole_name_or_arn_is_listed() {
        let consumer = secret(&[]);
        let refused = |used_by: &str| {
            let text = format!(r#"{{"username":"u","password":"p"{used_by}}}"#);
            let login = LoginSecret::parse(&text.into(), Purpose::Manager).unwrap_or_else(|error| panic!("{error}"));
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
}
