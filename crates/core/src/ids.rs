//! Formats of other systems' ids, and types for them.

use std::borrow::Borrow;
use std::fmt;

use serde::Serialize;

/// A secret's fingerprint: 12 lower-case hexadecimal digits. `Secret::fingerprint` computes it; tags and labels carry it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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
}

/// Gives an id its text: `as_str`, `Display`, comparison with text, and lookup by text.
macro_rules! text {
    ($id:ident) => {
        impl $id {
            /// Its characters.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Borrow<str> for $id {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        /// Tests write ids as literals.
        #[cfg(test)]
        impl<T: AsRef<str>> From<T> for $id {
            fn from(text: T) -> Self {
                Self(text.as_ref().to_owned())
            }
        }

        impl PartialEq<str> for $id {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&$id> for $id {
            fn eq(&self, other: &&$id) -> bool {
                self == *other
            }
        }

        impl PartialEq<$id> for &$id {
            fn eq(&self, other: &$id) -> bool {
                *self == other
            }
        }

        impl PartialEq<&str> for $id {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }
    };
}

text!(Fingerprint);

/// The id of one version of a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct VersionId(String);

text!(VersionId);

impl VersionId {
    /// Parses the id in an event or a tag; `None` if Secrets Manager would not accept it.
    pub fn parse(text: &str) -> Option<Self> {
        is_version_id(text).then(|| Self(text.to_owned()))
    }

    /// An id that Secrets Manager returned, or that hubkeeper generated for it. It is not checked.
    pub fn of_service(id: impl Into<String>) -> Self {
        Self(id.into())
    }
}

/// The UUID of a personal access token at Docker Hub.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TokenId(String);

text!(TokenId);

impl TokenId {
    /// Parses the id in a secret's document; `None` if it is not a UUID.
    pub fn parse(text: &str) -> Option<Self> {
        is_uuid(text).then(|| Self(text.to_owned()))
    }

    /// An id that Docker Hub returned, checked by whoever read the response.
    pub fn of_service(id: impl Into<String>) -> Self {
        Self(id.into())
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
    fn a_version_id_is_checked_except_where_secrets_manager_returned_it() {
        for (text, good) in [
            ("v".repeat(31), false),
            ("v".repeat(32), true),
            ("v".repeat(64), true),
            ("v".repeat(65), false),
            (format!("{} ", "v".repeat(32)), false),
        ] {
            assert_eq!(VersionId::parse(&text).is_some(), good, "{text}");
        }
        assert_eq!(VersionId::of_service("short"), "short");
    }

    #[test]
    fn an_id_is_found_and_compared_by_its_text() {
        let known: std::collections::BTreeSet<VersionId> =
            [VersionId::of_service("a"), VersionId::of_service("b")].into();
        assert!(known.contains("a") && !known.contains("c"));
        let tokens: std::collections::BTreeSet<TokenId> = [TokenId::of_service("a")].into();
        assert!(tokens.contains("a") && !tokens.contains("b"));
        let fingerprints: std::collections::BTreeSet<Fingerprint> =
            Fingerprint::parse("0123456789ab").into_iter().collect();
        assert!(fingerprints.contains("0123456789ab") && !fingerprints.contains("0123456789ac"));
        assert!(VersionId::of_service("a") == *"a" && VersionId::of_service("a") != "b");
        assert_eq!(VersionId::of_service("a").to_string(), "a");
        assert_eq!(serde_json::to_value(VersionId::of_service("a")).unwrap(), "a");
    }

    #[test]
    fn a_token_id_is_a_uuid() {
        assert!(TokenId::parse("7800f881-cea5-4e05-a198-2933d274f845").is_some());
        assert!(TokenId::parse("7800f881cea54e05a1982933d274f845").is_none());
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
