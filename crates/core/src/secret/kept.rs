//! Which connector a secret manages, as its tag `hubkeeper-connector` records it.
//!
//! Anybody who may put a version can edit the document. The tag outlives every version. So hubkeeper notices a document that
//! names another connector, however many versions were put since, and keeps the token in the first connector alive.

use std::fmt;

use crate::error::Error;
use crate::secret::document::{ConnectorId, Document};
use crate::secret::labels::Secret;

/// The tag that names the connector.
pub const CONNECTOR_TAG: &str = "hubkeeper-connector";
/// The tag that names the connector's writer as ARM reports it, if that is not the client id.
pub const WRITER_TAG: &str = "hubkeeper-writer";
/// The tag that names the stack resource that requested the connector.
pub const STACK_TAG: &str = "hubkeeper-stack";
/// Maximum characters of a tag's value (AWS's reference of `Tag`).
const LONGEST: usize = 256;

/// An organization and its connector. Names are in lower case: Docker Hub's are, and ARM compares case-insensitively.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KeptConnector {
    /// Docker Hub organization.
    pub organization: String,
    /// The connector in ARM.
    pub connector: ConnectorId,
}

impl KeptConnector {
    /// The organization and connector that a document names.
    pub fn of(document: &Document) -> Self {
        Self::new(&document.organization, &document.connector.id)
    }

    /// This organization and connector.
    pub fn new(organization: &str, id: &ConnectorId) -> Self {
        Self {
            organization: organization.to_lowercase(),
            connector: ConnectorId {
                subscription_id: id.subscription_id.to_lowercase(),
                resource_group: id.resource_group.to_lowercase(),
                name: id.name.to_lowercase(),
            },
        }
    }

    /// Parses a tag's value; `None` if it is not `<organization>/<subscription>/<resource group>/<name>`.
    pub fn parse(value: &str) -> Option<Self> {
        let fields: Vec<String> = value.split('/').map(decode).collect::<Option<_>>()?;
        let [organization, subscription_id, resource_group, name] = <[String; 4]>::try_from(fields).ok()?;
        let connector = ConnectorId { subscription_id, resource_group, name };
        (connector.is_valid() && !organization.is_empty()).then_some(Self { organization, connector })
    }

    /// The tag's value, with each byte outside `[a-z0-9._-]` written as `=xx`.
    ///
    /// # Errors
    /// `Misconfigured` if the value is longer than a tag may be.
    pub fn tag_value(&self) -> Result<String, Error> {
        let value = self.encoded();
        if value.len() <= LONGEST {
            return Ok(value);
        }
        Err(Error::misconfigured(
            format!(
                "the names of organization and connector are too long to be remembered in the tag {CONNECTOR_TAG} ({} of {LONGEST} characters)",
                value.len()
            ),
            "choose a shorter `connector.name` or `connector.resourceGroup`",
        ))
    }

    fn encoded(&self) -> String {
        let id = &self.connector;
        [&self.organization, &id.subscription_id, &id.resource_group, &id.name].map(|name| encode(name)).join("/")
    }
}

impl fmt::Display for KeptConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "organization {} with {}", self.organization, self.connector)
    }
}

fn encode(name: &str) -> String {
    use fmt::Write as _;
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "={byte:02x}");
        }
        text
    })
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'=' {
            let hex = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The content of the tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kept {
    /// There is no tag.
    Unknown,
    /// This connector.
    Connector(KeptConnector),
    /// A value that hubkeeper did not write.
    Unreadable,
}

impl Secret {
    /// Reads the tag `hubkeeper-connector`.
    pub fn kept(&self) -> Kept {
        match self.tags.get(CONNECTOR_TAG) {
            None => Kept::Unknown,
            Some(value) => KeptConnector::parse(value).map_or(Kept::Unreadable, Kept::Connector),
        }
    }

    /// How ARM reports hubkeeper as the connector's writer, if that is known and is not the client id.
    pub fn writer(&self) -> Option<&str> {
        self.tags.get(WRITER_TAG).map(String::as_str)
    }

    /// Whether the tag names a different connector than the document, or cannot be parsed.
    pub fn keeps_another(&self, document: &Document) -> bool {
        match self.kept() {
            Kept::Unknown => false,
            Kept::Connector(kept) => kept != KeptConnector::of(document),
            Kept::Unreadable => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{document, secret};
    use serde_json::json;

    #[test]
    fn a_value_is_read_as_it_was_written() {
        for (group, name) in [("rg", "hub"), ("RG(West)", "Hub =1"), ("größe", "é")] {
            let mut kept = KeptConnector::of(&document(|_| {}));
            kept.connector.resource_group = group.to_lowercase();
            kept.connector.name = name.to_lowercase();
            let value = kept.tag_value().unwrap();
            assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{value}");
            assert_eq!(KeptConnector::parse(&value), Some(kept), "{value}");
        }
        let value = KeptConnector::of(&document(|value| value["connector"]["name"] = json!("Hub One"))).tag_value();
        assert_eq!(value.unwrap(), "acme/a5caac9c-5c04-49af-b3d0-e204f40345d5/rg/hub=20one");
    }

    #[test]
    fn anything_else_names_no_connector() {
        for other in ["", "acme", "acme/s/rg", "acme/s/rg/hub/x", "acme/s//hub", "acme/s/rg/=", "acme/s/rg/=zz"] {
            assert_eq!(KeptConnector::parse(other), None, "{other}");
        }
    }

    #[test]
    fn names_that_no_tag_holds_are_misconfigured() {
        let kept = KeptConnector::of(&document(|value| value["connector"]["name"] = json!("é".repeat(80))));
        assert_eq!(kept.tag_value().unwrap_err().kind(), crate::error::Kind::Misconfigured);
    }

    #[test]
    fn another_spelling_is_the_same_connector_and_an_unreadable_tag_is_another() {
        let mut secret = secret(&[]);
        let document = document(|value| value["connector"]["resourceGroup"] = json!("RG"));
        assert!(!secret.keeps_another(&document));
        let value = KeptConnector::of(&document).tag_value().unwrap();
        secret.tags.insert(CONNECTOR_TAG.into(), value);
        assert!(!secret.keeps_another(&document));
        secret.tags.insert(CONNECTOR_TAG.into(), "x".into());
        assert!(secret.keeps_another(&document));
        assert_eq!(secret.kept(), Kept::Unreadable);
    }
}
