//! Secrets, their versions and labels, and the rules that keep them consistent.

use std::collections::{BTreeMap, BTreeSet};

use time::{Duration, OffsetDateTime};

use super::Refusal;

/// The label of the version in use.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the version that a rotation creates.
pub const PENDING: &str = "AWSPENDING";
/// The label of the previous version in use.
pub const PREVIOUS: &str = "AWSPREVIOUS";

const LABELS_A_VERSION: usize = 20;
const VERSIONS_A_SECRET: usize = 100;

/// The value of a version: text or bytes, never both.
#[derive(Clone, PartialEq, Eq)]
pub enum Stored {
    /// `SecretString`.
    Text(String),
    /// `SecretBinary`, decoded.
    Binary(Vec<u8>),
}

/// One version of a secret.
#[derive(Clone)]
pub struct Version {
    /// The value. `None` for a version that a rotation created until its function puts a value.
    pub value: Option<Stored>,
    /// The labels. A version without labels is deprecated.
    pub stages: BTreeSet<String>,
    /// Time of creation.
    pub created: OffsetDateTime,
    /// Whether the request that put the value carried the rotation's own `RotationToken`.
    pub put_by_rotation: bool,
}

/// A rotation in progress.
#[derive(Clone)]
pub struct Rotating {
    /// The id of the pending version.
    pub version_id: String,
    /// The `RotationToken` that `PutSecretValue` must carry. `None` if the rotation requires none.
    pub token: Option<String>,
}

/// One secret.
#[derive(Clone)]
pub struct Secret {
    /// `arn:aws:secretsmanager:{region}:{account}:secret:{name}-{six characters}`.
    pub arn: String,
    /// The friendly name.
    pub name: String,
    /// The description.
    pub description: Option<String>,
    /// The KMS key, if it is not the default one.
    pub kms_key_id: Option<String>,
    /// The versions by id.
    pub versions: BTreeMap<String, Version>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// Whether rotation is on. `None`: it was never configured.
    pub rotation_enabled: Option<bool>,
    /// The rotation function.
    pub rotation_lambda_arn: Option<String>,
    /// `RotationRules`, as the caller gave them.
    pub rotation_rules: Option<serde_json::Value>,
    /// The rotation in progress. A failed one stays until a person cancels it.
    pub rotating: Option<Rotating>,
    /// Time of creation.
    pub created: OffsetDateTime,
    /// Time of the last change of any kind.
    pub last_changed: OffsetDateTime,
    /// Time at which a value was last read (the service keeps only the day).
    pub last_accessed: Option<OffsetDateTime>,
    /// Time of the last successful rotation.
    pub last_rotated: Option<OffsetDateTime>,
    /// The deletion date of a secret that is scheduled for deletion.
    pub deleted: Option<OffsetDateTime>,
}

/// A label that moved to another version of this secret, to be announced as an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The label.
    pub label: String,
    /// The version that has it now.
    pub version_id: String,
}

/// The result of storing a value.
pub struct Put {
    /// The labels that moved.
    pub moved: Vec<Moved>,
    /// The pending version of a rotation that this write abandoned.
    pub abandoned: Option<String>,
}

/// A value to store.
pub struct NewValue<'a> {
    /// The version's id, `ClientRequestToken`.
    pub version_id: &'a str,
    /// The value.
    pub value: Stored,
    /// The requested labels; [`CURRENT`] if the request names none.
    pub stages: Vec<String>,
    /// The `RotationToken` of the request.
    pub rotation_token: Option<&'a str>,
}

impl Secret {
    /// The version that has a label.
    #[must_use]
    pub fn version_with(&self, label: &str) -> Option<&str> {
        self.versions.iter().find(|(_, version)| version.stages.contains(label)).map(|(id, _)| id.as_str())
    }

    /// The version that is [`PENDING`] and not [`CURRENT`].
    #[must_use]
    pub fn pending(&self) -> Option<&str> {
        self.version_with(PENDING).filter(|id| self.version_with(CURRENT) != Some(id))
    }

    /// Moves a label to a version. The old version of [`CURRENT`] becomes [`PREVIOUS`].
    pub fn move_label(&mut self, label: &str, to: &str) -> Vec<Moved> {
        let from = self.version_with(label).map(str::to_owned);
        if from.as_deref() == Some(to) {
            return Vec::new();
        }
        let mut moved = Vec::new();
        if let Some(from) = from {
            self.take_label(label, &from);
            if label == CURRENT {
                moved.extend(self.move_label(PREVIOUS, &from));
            }
        }
        if let Some(version) = self.versions.get_mut(to) {
            version.stages.insert(label.to_owned());
            moved.push(Moved { label: label.to_owned(), version_id: to.to_owned() });
        }
        moved
    }

    /// Removes a label from a version.
    pub fn take_label(&mut self, label: &str, from: &str) {
        if let Some(version) = self.versions.get_mut(from) {
            version.stages.remove(label);
        }
    }

    /// Stores a value by the rules of `PutSecretValue`. The request token is the version's id: the same token with the same data
    /// changes nothing, with other data it is rejected. A requested label leaves its old version. The first value of a secret
    /// also gets [`CURRENT`]. A value for a version other than the pending one abandons the rotation in progress.
    ///
    /// # Errors
    /// `ResourceExistsException`, `LimitExceededException`, `InvalidParameterException`.
    pub fn put(&mut self, new: NewValue<'_>, now: OffsetDateTime) -> Result<Put, Refusal> {
        let NewValue { version_id, value, stages, rotation_token } = new;
        if let Some(stored) = self.versions.get(version_id).and_then(|version| version.value.as_ref()) {
            if *stored == value {
                return Ok(Put { moved: Vec::new(), abandoned: None });
            }
            return Err(Refusal::new(
                "ResourceExistsException",
                format!(
                    "You can't use ClientRequestToken {version_id} because that value is already in use for a version of \
                     secret {}.",
                    self.arn
                ),
            ));
        }
        if stages.len() > LABELS_A_VERSION {
            return Err(Refusal::new("LimitExceededException", "A version can have at most 20 staging labels."));
        }
        let rotating = self.rotating.clone();
        let put_by_rotation = match (rotating.as_ref().and_then(|r| r.token.as_deref()), rotation_token) {
            (Some(expected), Some(given)) if expected != given => {
                return Err(Refusal::parameter("The RotationToken is not the one of the rotation in progress."));
            }
            (expected, given) => expected.is_none() || given.is_some(),
        };
        self.forget_old_versions(now)?;
        let abandoned = rotating.map(|r| r.version_id).filter(|pending| pending != version_id);
        if let Some(pending) = &abandoned {
            self.take_label(PENDING, pending);
            self.rotating = None;
        }
        let first = self.version_with(CURRENT).is_none();
        let version = self.versions.entry(version_id.to_owned()).or_insert_with(|| Version {
            value: None,
            stages: BTreeSet::new(),
            created: now,
            put_by_rotation: false,
        });
        version.value = Some(value);
        version.put_by_rotation = put_by_rotation;
        let mut moved = Vec::new();
        if first && !stages.iter().any(|stage| stage == CURRENT) {
            moved.extend(self.move_label(CURRENT, version_id));
        }
        for stage in &stages {
            moved.extend(self.move_label(stage, version_id));
        }
        self.last_changed = now;
        Ok(Put { moved, abandoned })
    }

    /// The service keeps about a hundred versions. Above that it deletes versions without labels that are older than a day.
    fn forget_old_versions(&mut self, now: OffsetDateTime) -> Result<(), Refusal> {
        while self.versions.len() >= VERSIONS_A_SECRET {
            let oldest = self
                .versions
                .iter()
                .filter(|(_, version)| version.stages.is_empty() && now - version.created > Duration::DAY)
                .min_by_key(|(_, version)| version.created)
                .map(|(id, _)| id.clone());
            let Some(oldest) = oldest else {
                return Err(Refusal::new(
                    "LimitExceededException",
                    "You have reached the limit of versions of this secret.",
                ));
            };
            self.versions.remove(&oldest);
        }
        Ok(())
    }
}
