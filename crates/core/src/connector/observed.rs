//! A connector as ARM describes it: its owner, the version that it carries, and its drift.

use std::fmt;

use serde_json::{Map, Value};

use crate::ids::{Fingerprint, VersionId};
use crate::secret::Document;
use crate::secret::document::Plan;
use crate::time::{Timestamp, parse_rfc3339};

/// The coverage of a proof: repositories, and how many of them are private.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// Repositories that the token sees.
    pub repositories: usize,
    /// How many of them are private.
    pub private: usize,
}

impl Coverage {
    /// Parses the tag's value, `<repositories>/<private>`; `None` if it is malformed.
    pub fn parse(value: &str) -> Option<Self> {
        let (repositories, private) = value.split_once('/')?;
        Some(Self { repositories: repositories.parse().ok()?, private: private.parse().ok()? })
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.repositories, self.private)
    }
}

/// The result of a GET.
#[derive(Clone)]
pub enum Found {
    /// No connector has that name.
    Absent,
    /// The connector.
    Present(Box<Observed>),
}

impl Found {
    /// The connector, if it exists.
    pub fn observed(&self) -> Option<&Observed> {
        match self {
            Found::Absent => None,
            Found::Present(observed) => Some(observed),
        }
    }
}

/// Fingerprint of the secret that keeps the connector.
pub const TAG_SECRET: &str = "hubkeeper-secret";

/// Version id of the secret that the connector carries.
pub const TAG_VERSION: &str = "hubkeeper-version";

/// When that version was proven, RFC 3339.
pub const TAG_PROVED_AT: &str = "hubkeeper-proved-at";

/// The coverage of the proof: `<repositories>/<private>`.
pub const TAG_PROVED: &str = "hubkeeper-proved";

/// A connector as a GET showed it. No `Debug`: the body may hold the token.
#[derive(Clone)]
pub struct Observed {
    pub(super) raw: Map<String, Value>,
}

/// The owner of a connector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// This secret manages it.
    Ours,
    /// It connects this organization, without hubkeeper's tags: somebody made it in the portal.
    Untagged,
    /// hubkeeper must not change it, for this reason.
    Foreign(String),
}

impl Observed {
    /// Reads a body of ARM; `None` if it is not a connector.
    pub fn parse(body: Value) -> Option<Self> {
        match body {
            Value::Object(raw) if raw.get("properties").is_some_and(Value::is_object) => Some(Self { raw }),
            _ => None,
        }
    }

    fn text(&self, pointer: &[&str]) -> Option<&str> {
        let (first, rest) = pointer.split_first()?;
        let mut value = self.raw.get(*first)?;
        for name in rest {
            value = value.get(name)?;
        }
        value.as_str()
    }

    /// The resource id.
    pub fn id(&self) -> Option<&str> {
        self.text(&["id"])
    }

    /// The name of the resource.
    pub fn name(&self) -> Option<&str> {
        self.text(&["name"])
    }

    /// The location, as ARM returns it.
    pub fn location(&self) -> Option<&str> {
        self.text(&["location"])
    }

    /// The organization: `hierarchyIdentifier`.
    pub fn organization(&self) -> Option<&str> {
        self.text(&["properties", "hierarchyIdentifier"])
    }

    /// Whether its environment is Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        self.text(&["properties", "environmentName"]).is_some_and(|name| name.eq_ignore_ascii_case("DockerHub"))
    }

    /// A tag; names compare case-insensitively.
    pub fn tag(&self, name: &str) -> Option<&str> {
        let tags = self.raw.get("tags")?.as_object()?;
        tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
    }

    /// The secret's version that the tag names.
    pub fn version(&self) -> Option<VersionId> {
        self.tag(TAG_VERSION).and_then(VersionId::parse)
    }

    /// When the version was proven.
    pub fn proved_at(&self) -> Option<Timestamp> {
        self.tag(TAG_PROVED_AT).and_then(parse_rfc3339)
    }

    /// The coverage of the written version's last proof.
    pub fn proved(&self) -> Option<Coverage> {
        self.tag(TAG_PROVED).and_then(Coverage::parse)
    }

    /// The user name that it logs in with at Docker Hub.
    pub fn username(&self) -> Option<&str> {
        self.text(&["properties", "environmentData", "authentication", "username"])
    }

    /// Hours between two scans.
    pub fn scan_interval(&self) -> Option<u64> {
        let properties = self.raw.get("properties")?;
        properties.pointer("/environmentData/scanInterval").and_then(Value::as_u64)
    }

    /// The plans that its offerings are, each once.
    pub fn plans(&self) -> Vec<Plan> {
        let mut plans: Vec<Plan> = self.offerings().into_iter().filter_map(plan_of).collect();
        plans.sort_unstable();
        plans.dedup();
        plans
    }

    /// The names of its tags.
    pub fn tag_names(&self) -> Vec<&str> {
        let tags = self.raw.get("tags").and_then(Value::as_object);
        tags.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    fn offerings(&self) -> Vec<&str> {
        let list =
            self.raw.get("properties").and_then(|properties| properties.get("offerings")).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|offering| offering.get("offeringType")?.as_str()).collect()
    }

    /// Offerings that are not hubkeeper's.
    pub fn foreign_offerings(&self) -> Vec<&str> {
        self.offerings().into_iter().filter(|name| plan_of(name).is_none()).collect()
    }

    /// The owner, from the point of view of this organization and secret.
    pub fn ownership(&self, organization: &str, fingerprint: &Fingerprint) -> Ownership {
        self.ownership_for(organization, Some(fingerprint))
    }

    /// The owner, from the point of view of this organization and a secret that does not exist yet: no connector has its
    /// fingerprint.
    pub fn ownership_before_creation(&self, organization: &str) -> Ownership {
        self.ownership_for(organization, None)
    }

    fn ownership_for(&self, organization: &str, fingerprint: Option<&Fingerprint>) -> Ownership {
        if !self.is_docker_hub() {
            return Ownership::Foreign("it is a connector of another environment than Docker Hub".into());
        }
        let told = self.organization();
        if told.is_some_and(|other| !other.eq_ignore_ascii_case(organization)) {
            return Ownership::Foreign("it is the connector of another organization".into());
        }
        match (self.tag(TAG_SECRET), told) {
            (Some(tag), _) if fingerprint.is_some_and(|own| tag == own.as_str()) => Ownership::Ours,
            (Some(_), _) => Ownership::Foreign("another secret manages it (tag hubkeeper-secret)".into()),
            (None, Some(_)) => Ownership::Untagged,
            (None, None) => Ownership::Foreign(
                "it does not tell its organization (hierarchyIdentifier) and has no tag of hubkeeper".into(),
            ),
        }
    }

    /// Who wrote it last, if ARM reports it: `systemData.lastModifiedBy`, a client id, an object id or an address.
    pub fn writer(&self) -> Option<&str> {
        self.text(&["systemData", "lastModifiedBy"])
    }

    /// What ARM shows as the access token: nothing, asterisks, or the token itself. Secret.
    pub fn shown_token(&self) -> Option<&str> {
        self.text(&["properties", "environmentData", "authentication", "accessToken"])
    }

    /// Whether it has this secret's fingerprint, for whichever organization.
    pub fn bears(&self, fingerprint: &Fingerprint) -> bool {
        self.is_docker_hub() && self.tag(TAG_SECRET) == Some(fingerprint.as_str())
    }

    /// Checks that it carries this version of this secret: both tags match, and so does the user name if ARM shows it.
    /// [`Observed::drift`] compares the rest.
    ///
    /// # Errors
    /// The first difference, for messages.
    pub fn carries(&self, document: &Document, fingerprint: &Fingerprint, version: &VersionId) -> Result<(), String> {
        if self.ownership(&document.organization, fingerprint) != Ownership::Ours {
            return Err("it does not have this secret's tag".into());
        }
        if self.tag(TAG_VERSION) != Some(version.as_str()) {
            return Err("it carries another version of the secret".into());
        }
        // Docker Hub's user names are case-insensitive
        if self.username().is_some_and(|username| !username.eq_ignore_ascii_case(&document.username)) {
            return Err("it has another user name".into());
        }
        Ok(())
    }

    /// How its settings differ from the document, as far as ARM shows them: offerings and scan interval.
    pub fn setting_drift(&self, document: &Document) -> Option<String> {
        let properties = self.raw.get("properties");
        if properties.is_some_and(|properties| properties.get("offerings").is_some_and(Value::is_array)) {
            let mut ours: Vec<_> = self.offerings().into_iter().filter_map(plan_of).collect();
            ours.sort_unstable();
            if ours != document.connector.plans {
                return Some("it has other offerings than the secret's plans".into());
            }
        }
        if self.scan_interval().is_some_and(|hours| hours != u64::from(document.connector.scan_interval_hours)) {
            return Some("it has another scan interval".into());
        }
        None
    }

    /// How it drifted from what hubkeeper wrote: its settings, or a write by somebody who is not among `writers`.
    pub fn drift(&self, document: &Document, writers: &[&str]) -> Option<String> {
        self.setting_drift(document).or_else(|| {
            let by = self.writer()?;
            let known = writers.iter().any(|writer| by.eq_ignore_ascii_case(writer));
            (!known).then(|| "somebody else changed it since".to_owned())
        })
    }
}

pub(super) fn plan_of(offering: &str) -> Option<Plan> {
    Plan::ALL.into_iter().find(|plan| plan.offering().eq_ignore_ascii_case(offering))
}
