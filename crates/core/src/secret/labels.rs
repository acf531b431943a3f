//! What `DescribeSecret` returns: which version has which staging label, and the tags. It holds no secret value.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::ids::Fingerprint;
use crate::ids::VersionId;
use crate::secret::schedule::Schedule;
use crate::time::Timestamp;

/// A staging label of Secrets Manager.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Label {
    /// The version in use.
    #[serde(rename = "AWSCURRENT")]
    Current,
    /// The version that a rotation creates.
    #[serde(rename = "AWSPENDING")]
    Pending,
    /// A version that waits for adoption.
    #[serde(rename = "HUBKEEPER_CANDIDATE")]
    Candidate,
    /// The version that was in use before.
    #[serde(rename = "AWSPREVIOUS")]
    Previous,
    /// A token that onboarding minted, before it is staged as a candidate: a put under this label takes no label from another
    /// version.
    #[serde(rename = "HUBKEEPER_MINTED")]
    Minted,
}

impl Label {
    /// The label's wire name.
    pub fn name(self) -> &'static str {
        match self {
            Label::Current => "AWSCURRENT",
            Label::Pending => "AWSPENDING",
            Label::Candidate => "HUBKEEPER_CANDIDATE",
            Label::Previous => "AWSPREVIOUS",
            Label::Minted => "HUBKEEPER_MINTED",
        }
    }
}

/// The value of the secret's tag `hubkeeper`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Managed {
    /// `managed`.
    Yes,
    /// No tag, or any other value.
    No,
    /// `offboarded`: hubkeeper no longer keeps the connector.
    Offboarded,
}

impl Managed {
    /// Parses the tag's value.
    pub fn of(value: Option<&str>) -> Self {
        match value {
            Some(MANAGED) => Managed::Yes,
            Some(OFFBOARDED) => Managed::Offboarded,
            _ => Managed::No,
        }
    }
}

/// The tag's value on a secret that hubkeeper manages.
pub const MANAGED: &str = "managed";
/// The tag's value on an offboarded secret.
pub const OFFBOARDED: &str = "offboarded";
/// The tag that marks a secret as hubkeeper's.
pub const MANAGED_TAG: &str = "hubkeeper";

/// A secret without its values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secret {
    /// The full ARN.
    pub arn: String,
    /// The name, as manager and owner secrets list it.
    pub name: String,
    /// Whether rotation is on.
    pub rotation_enabled: bool,
    /// Whether the secret is scheduled for deletion.
    pub deleted: bool,
    /// Version id to staging labels. AWS does not list versions without a label (deprecated versions).
    pub versions: BTreeMap<VersionId, Vec<String>>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When the secret last changed in any way (AWS's reference of `LastChangedDate`).
    pub last_changed: Option<Timestamp>,
    /// The schedule of its rotation, if rotation is on.
    pub schedule: Option<Schedule>,
    /// The latest time at which the pending version can have been created; `None` if it was not read.
    pub pending_since: Option<Timestamp>,
}

/// The content of the label of a PAT of this secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenLabel {
    /// The version that the PAT was minted for.
    pub version: VersionId,
    /// Whether the PAT is being retired.
    pub is_retiring: bool,
}

/// When each version with a value was created, including versions without a label (`ListSecretVersionIds`).
pub type History = BTreeMap<VersionId, Timestamp>;

/// Age at which a pending version counts as stuck (docs/operating.md).
const STUCK: time::Duration = time::Duration::DAY;

impl Secret {
    /// The version that has a label.
    pub fn version(&self, label: Label) -> Option<&VersionId> {
        let bears = |labels: &Vec<String>| labels.iter().any(|name| name == label.name());
        self.versions.iter().find(|(_, labels)| bears(labels)).map(|(id, _)| id)
    }

    /// Whether `version` has `label`.
    pub fn bears(&self, version: &VersionId, label: Label) -> bool {
        self.versions.get(version).is_some_and(|labels| labels.iter().any(|name| name == label.name()))
    }

    /// Any label of the version: reading its value requires id and stage together.
    pub fn any_label(&self, version: &VersionId) -> Option<&str> {
        self.versions.get(version).and_then(|labels| labels.first()).map(String::as_str)
    }

    /// The version of a rotation in progress: AWSPENDING on a version that is neither AWSCURRENT nor AWSPREVIOUS. Beside
    /// those the label is left over from a rotation that is over.
    pub fn rotation_in_progress(&self) -> Option<&VersionId> {
        let over = |version: &VersionId| self.bears(version, Label::Current) || self.bears(version, Label::Previous);
        self.version(Label::Pending).filter(|pending| !over(pending))
    }

    /// The version that a finished rotation left staged AWSPENDING.
    pub fn leftover_pending(&self) -> Option<&VersionId> {
        self.version(Label::Pending).filter(|pending| Some(*pending) != self.rotation_in_progress())
    }

    /// The pending version of a rotation that has been in progress for more than a day.
    pub fn stuck_rotation(&self, now: Timestamp) -> Option<&VersionId> {
        let old = self.pending_since.is_some_and(|since| now - since > STUCK);
        self.rotation_in_progress().filter(|_| old)
    }

    /// Reads the tag `hubkeeper`.
    pub fn managed(&self) -> Managed {
        Managed::of(self.tags.get(MANAGED_TAG).map(String::as_str))
    }

    /// The secret's fingerprint: 12 hexadecimal digits of the SHA-256 of its ARN.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint_of(&self.arn)
    }

    /// The label of a PAT that is minted for a version.
    pub fn token_label(&self, version: &VersionId) -> String {
        format!("hubkeeper/{}/{version}", self.fingerprint())
    }

    /// The label of that PAT while it is being retired. On a token in use it shows that hubkeeper itself deactivated
    /// the token.
    pub fn retiring_label(&self, version: &VersionId) -> String {
        format!("{}{RETIRING}", self.token_label(version))
    }

    /// Parses the label of a PAT; `None` if it belongs to another secret, or names no version.
    pub fn version_of_label(&self, label: &str) -> Option<TokenLabel> {
        let (fingerprint, rest) = parts_of_label(label)?;
        if fingerprint != self.fingerprint().as_str() {
            return None;
        }
        let (version, is_retiring) = match rest.strip_suffix(RETIRING) {
            Some(version) => (version, true),
            None => (rest, false),
        };
        VERSION_ID_BYTES.contains(&version.len()).then_some(())?;
        (!version.contains('/')).then(|| TokenLabel { version: VersionId::of_service(version), is_retiring })
    }

    /// Whether a PAT has the label of another secret that hubkeeper keeps; that secret's runs retire it.
    pub fn is_label_of_another(&self, label: &str) -> bool {
        parts_of_label(label).is_some_and(|(fingerprint, rest)| {
            let known = Fingerprint::parse(fingerprint);
            !rest.is_empty() && known.is_some_and(|known| known != self.fingerprint())
        })
    }

    /// The version id under which onboard stores a token that it mints while `version` is current. A repetition derives the same id.
    pub fn derived_version(&self, version: &VersionId) -> VersionId {
        let mut hex = hex_sha256(&[self.arn.as_str(), "\n", version.as_str()]);
        hex.truncate(32);
        VersionId::of_service(hex)
    }
}

/// The suffix of a PAT's label while the PAT is being retired.
const RETIRING: &str = "/retiring";
/// Length of a version id (AWS's reference of `ClientRequestToken`).
const VERSION_ID_BYTES: std::ops::RangeInclusive<usize> = 32..=64;

/// The fingerprint in a PAT's label, and the text after it.
fn parts_of_label(label: &str) -> Option<(&str, &str)> {
    label.strip_prefix("hubkeeper/")?.split_once('/')
}

/// The fingerprint of the secret with this ARN.
pub fn fingerprint_of(arn: &str) -> Fingerprint {
    Fingerprint::of_digest(&hex_sha256(&[arn]))
}

/// SHA-256 of the concatenated parts, in lower-case hex.
pub fn hex_sha256(parts: &[&str]) -> String {
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
mod tests {
    use super::TokenLabel;
    use crate::fixtures::secret;

    #[test]
    fn pending_beside_current_or_previous_is_left_over() {
        for beside in ["AWSCURRENT", "AWSPREVIOUS"] {
            let left = secret(&[("a", &[beside, "AWSPENDING"]), ("c", &["AWSCURRENT"])]);
            assert_eq!((left.rotation_in_progress(), left.leftover_pending()), (None, Some(&"a".into())), "{beside}");
        }
        let rotating = secret(&[("a", &["AWSCURRENT"]), ("b", &["AWSPENDING"])]);
        assert_eq!((rotating.rotation_in_progress(), rotating.leftover_pending()), (Some(&"b".into()), None));
        assert_eq!(secret(&[("a", &["AWSCURRENT"])]).leftover_pending(), None);
    }

    #[test]
    fn pending_beside_previous_is_the_leftover_of_a_rotation_that_is_over() {
        let leftover = secret(&[("a", &["AWSCURRENT"]), ("b", &["AWSPENDING", "AWSPREVIOUS"])]);
        assert_eq!(leftover.rotation_in_progress(), None);
    }

    #[test]
    fn the_fingerprint_is_of_the_arn_alone() {
        let one = secret(&[("a", &["AWSCURRENT"])]);
        assert_eq!(one.fingerprint(), secret(&[]).fingerprint());
        assert_eq!(one.fingerprint().as_str().len(), 12);
        assert!(
            one.retiring_label(&"v".repeat(64).into()).len() <= 100,
            "Docker Hub takes labels of 1 to 100 characters"
        );
    }

    #[test]
    fn a_label_names_its_version_and_another_secret_s_names_none() {
        let (one, mut other) = (secret(&[]), secret(&[]));
        other.arn.push('x');
        let version = "5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01";
        assert_eq!(
            one.version_of_label(&one.token_label(&version.into())),
            Some(TokenLabel { version: version.into(), is_retiring: false })
        );
        assert_eq!(
            one.version_of_label(&one.retiring_label(&version.into())),
            Some(TokenLabel { version: version.into(), is_retiring: true })
        );
        for label in [
            other.token_label(&version.into()),
            "by hand".into(),
            one.fingerprint().to_string(),
            format!("hubkeeper/{}", one.fingerprint()),
            one.token_label(&"".into()),
            one.retiring_label(&"".into()),
            one.token_label(&"/".into()),
            one.token_label(&"retiring".into()),
            one.token_label(&"v".into()),
            one.retiring_label(&format!("{version}/x").into()),
            one.token_label(&"v".repeat(65).into()),
        ] {
            assert_eq!(one.version_of_label(&label), None, "{label}");
        }
        assert!(one.is_label_of_another(&other.token_label(&version.into())));
        assert!(one.is_label_of_another(&other.retiring_label(&version.into())));
        for label in [
            one.token_label(&version.into()),
            other.token_label(&"".into()),
            "hubkeeper/somebody/else".into(),
            "by hand".into(),
        ] {
            assert!(!one.is_label_of_another(&label), "{label}");
        }
    }

    #[test]
    fn a_rotation_is_stuck_after_a_day() {
        let now = time::macros::datetime!(2026-11-24 10:00 UTC);
        let mut one = secret(&[("a", &["AWSCURRENT"]), ("b", &["AWSPENDING"])]);
        assert_eq!(one.stuck_rotation(now), None, "its age is not known");
        one.pending_since = Some(now - time::Duration::DAY);
        assert_eq!(one.stuck_rotation(now), None);
        one.pending_since = Some(now - time::Duration::hours(25));
        assert_eq!(one.stuck_rotation(now), Some(&"b".into()));
    }

    #[test]
    fn a_derived_version_is_a_valid_request_token_and_chains() {
        let secret = secret(&[]);
        let first = secret.derived_version(&"a".into());
        assert_eq!(first.as_str().len(), 32);
        assert_ne!(secret.derived_version(&first), first);
        assert_eq!(secret.derived_version(&"a".into()), first);
    }
}
