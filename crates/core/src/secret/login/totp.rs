//! The second factor of a login: the seed in `totpSecret`, and the codes generated from it.

use secrecy::{ExposeSecret, SecretString};
use totp_rs::{Algorithm, Secret as Seed, TOTP};

/// Seconds for which a TOTP code is valid (RFC 6238's default; Docker documents none).
pub const TOTP_STEP: u64 = 30;
/// Digits of a TOTP code (RFC 6238's default; Docker's manual on two-factor login shows six).
const TOTP_DIGITS: usize = 6;

/// Extracts the base32 seed from a `totpSecret`, which is the seed itself or the whole `otpauth://` URI of the QR code.
pub(super) fn seed(text: &str) -> Result<SecretString, String> {
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

/// Reads the parameter `secret` of an `otpauth://` URI. Refuses parameters that would generate other codes than Docker Hub's.
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
            // the issuer, an icon and the like do not affect the code
            _ => {}
        }
    }
    match secret {
        Some(secret) if !secret.is_empty() => Ok(secret),
        _ => refused("has no parameter `secret`"),
    }
}

/// The codes of a seed that [`LoginSecret::parse`](crate::secret::LoginSecret::parse) has checked; `None` for one that is not base32.
pub fn totp(seed: &SecretString) -> Option<TOTP> {
    let bytes = Seed::Encoded(seed.expose_secret().to_owned()).to_bytes().ok()?;
    // unchecked: the library requires seeds of at least 128 bits, but Docker Hub chooses the seed
    Some(TOTP::new_unchecked(Algorithm::SHA1, TOTP_DIGITS, 1, TOTP_STEP, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::login::{Access, LoginSecret, Purpose};

    fn seed_of(totp: &str) -> Result<String, String> {
        let text = serde_json::json!({"username": "u", "password": "hunter22", "totpSecret": totp, "usedBy": []});
        match LoginSecret::parse(&SecretString::from(text.to_string()), Purpose::Manager) {
            Ok(LoginSecret { access: Access::Password(login), .. }) => {
                Ok(login.totp_seed.unwrap().expose_secret().to_owned())
            }
            Ok(_) => panic!("not a password login"),
            Err(error) => Err(error.to_string()),
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
