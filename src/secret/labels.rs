//! What `DescribeSecret` tells: which version bears which staging label, and the tags. No value is in here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;

/// A staging label of Secrets Manager.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Label {
    /// The version in use.
    #[serde(rename = "AWSCURRENT")]
    Current,
    /// The version that a rotation makes.
    #[serde(rename = "AWSPENDING")]
    Pending,
    /// A version that waits to be adopted.
    #[serde(rename = "HUBKEEPER_CANDIDATE")]
    Candidate,
}

impl Label {
    /// The label's wire name.
    pub fn name(self) -> &'static str {
        match self {
            Label::Current => "AWSCURRENT",
            Label::Pending => "AWSPENDING",
            Label::Candidate => "HUBKEEPER_CANDIDATE",
        }
    }
}

/// The value of the secret's tag `hubkeeper`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Managed {
    /// `managed`.
    Yes,
    /// No tag, or another value.
    No,
    /// `offboarded`: the connector was given up.
    Offboarded,
}

/// The tag that marks a secret as ours.
pub const MANAGED_TAG: &str = "hubkeeper";

/// A secret without its values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secret {
    /// The full ARN.
    pub arn: String,
    /// Whether rotation is on.
    pub rotation_enabled: bool,
    /// Whether it is scheduled for deletion.
    pub deleted: bool,
    /// Version id to staging labels. Versions without a label are not listed (AWS: deprecated).
    pub versions: BTreeMap<String, Vec<String>>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When a value or a label last changed.
    pub last_changed: Option<Timestamp>,
}

impl Secret {
    /// The version that bears a label.
    pub fn version(&self, label: Label) -> Option<&str> {
        let bears = |labels: &Vec<String>| labels.iter().any(|name| name == label.name());
        self.versions.iter().find(|(_, labels)| bears(labels)).map(|(id, _)| id.as_str())
    }

    /// Whether `version` bears `label`.
    pub fn bears(&self, version: &str, label: Label) -> bool {
        self.versions.get(version).is_some_and(|labels| labels.iter().any(|name| name == label.name()))
    }

    /// Some label of the version: its value is read by id and stage together.
    pub fn any_label(&self, version: &str) -> Option<&str> {
        self.versions.get(version).and_then(|labels| labels.first()).map(String::as_str)
    }

    /// The version of a rotation in progress: AWSPENDING on a version other than AWSCURRENT.
    pub fn rotation_in_progress(&self) -> Option<&str> {
        self.version(Label::Pending).filter(|pending| Some(*pending) != self.version(Label::Current))
    }

    /// What the tag `hubkeeper` says.
    pub fn managed(&self) -> Managed {
        match self.tags.get(MANAGED_TAG).map(String::as_str) {
            Some("managed") => Managed::Yes,
            Some("offboarded") => Managed::Offboarded,
            _ => Managed::No,
        }
    }

    /// The secret's fingerprint: 12 hexadecimal digits of the SHA-256 of its ARN.
    pub fn fingerprint(&self) -> String {
        let mut hex = hex_sha256(&[self.arn.as_str()]);
        hex.truncate(12);
        hex
    }

    /// The label of a PAT that is minted for a version.
    pub fn token_label(&self, version: &str) -> String {
        format!("hubkeeper/{}/{version}", self.fingerprint())
    }

    /// The version id under which onboard stores a token that it mints while `version` is current: a repeat finds it again.
    pub fn derived_version(&self, version: &str) -> String {
        let mut hex = hex_sha256(&[self.arn.as_str(), "\n", version]);
        hex.truncate(32);
        hex
    }
}

fn hex_sha256(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn secret(versions: &[(&str, &[&str])]) -> Secret {
        Secret {
            arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf".into(),
            rotation_enabled: true,
            deleted: false,
            versions: versions
                .iter()
                .map(|(id, labels)| ((*id).to_owned(), labels.iter().map(|label| (*label).to_owned()).collect()))
                .collect(),
            tags: BTreeMap::new(),
            last_changed: None,
        }
    }

    #[test]
    fn pending_beside_current_is_no_rotation() {
        assert_eq!(secret(&[("a", &["AWSCURRENT", "AWSPENDING"])]).rotation_in_progress(), None);
        assert_eq!(secret(&[("a", &["AWSCURRENT"]), ("b", &["AWSPENDING"])]).rotation_in_progress(), Some("b"));
    }

    #[test]
    fn the_fingerprint_is_of_the_arn_alone() {
        let one = secret(&[("a", &["AWSCURRENT"])]);
        assert_eq!(one.fingerprint(), secret(&[]).fingerprint());
        assert_eq!(one.fingerprint().len(), 12);
        assert!(one.token_label(&"v".repeat(64)).len() <= 100, "Docker Hub takes labels of 1 to 100 characters");
    }

    #[test]
    fn a_derived_version_is_a_valid_request_token_and_chains() {
        let secret = secret(&[]);
        let first = secret.derived_version("a");
        assert_eq!(first.len(), 32);
        assert_ne!(secret.derived_version(&first), first);
        assert_eq!(secret.derived_version("a"), first);
    }
}
