//! Formats of other systems' ids, and types for them.

use std::borrow::Borrow;
use std::fmt;

use serde::Serialize;

/// A secret's fingerprint: 12 lower-case hexadecimal digits. `Secret::fingerprint` computes it; tags and labels carry it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Length of a fingerprint, in hexadecimal digits.
    const DIGITS: usize = 12;

    /// Parses a fingerprint; `None` unless the text is 12 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == Self::DIGITS && hexadecimal).then(|| Self(text.to_owned()))
    }

    /// Computes the first digits of a SHA-256, in lower-case hex.
    pub(crate) fn of_digest(hex: &str) -> Self {
        Self(hex.chars().take(Self::DIGITS).collect())
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Fingerprint {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Whether Secrets Manager accepts `id` as a name or an ARN.
pub fn is_secret_id(id: &str) -> bool {
    id.len() <= 2048 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-:!".contains(&byte))
}

/// Whether Secrets Manager accepts `id` as a version id: 32 to 64 characters.
pub fn is_version_id(id: &str) -> bool {
    (32..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether `name` consists of lower-case letters, digits and separators, which paths and scopes may hold.
pub fn is_repository_part(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
}

/// Whether `text` is a UUID of any version in the usual notation.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_twelve_lower_case_hexadecimal_digits() {
        assert_eq!(Fingerprint::parse("0123456789ab").map(|known| known.to_string()), Some("0123456789ab".to_owned()));
        assert_eq!(Fingerprint::of_digest(&"ab".repeat(32)).as_str(), "abababababab");
        for text in ["", "0123456789a", "0123456789abc", "0123456789AB", "0123456789ag", "somebody"] {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_repository_is_named_in_lower_case_and_begins_with_a_letter_or_a_digit() {
        for (name, good) in [
            ("web", true),
            ("9web", true),
            ("w", true),
            ("a.b_c-d", true),
            ("", false),
            ("-web", false),
            ("Web", false),
            ("wEb", false),
            ("we b", false),
            ("a/b", false),
        ] {
            assert_eq!(is_repository_part(name), good, "{name}");
        }
        assert!(is_repository_part(&"a".repeat(255)) && !is_repository_part(&"a".repeat(256)));
    }
}
