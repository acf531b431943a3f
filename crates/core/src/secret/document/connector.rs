//! The field `connector`: the connector's resource and its settings.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::fields::{FieldError, Fields};
use crate::ids::is_uuid;

/// An offering that the secret may request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Plan {
    /// `foundationalCspm`
    FoundationalCspm,
    /// `containers`
    Containers,
    /// `defenderCspm`
    DefenderCspm,
}

impl Plan {
    /// Every plan: the default.
    pub const ALL: [Plan; 3] = [Plan::FoundationalCspm, Plan::Containers, Plan::DefenderCspm];

    /// The plan's spelling in the secret.
    pub fn name(self) -> &'static str {
        match self {
            Plan::FoundationalCspm => "foundationalCspm",
            Plan::Containers => "containers",
            Plan::DefenderCspm => "defenderCspm",
        }
    }

    /// The offering's type in ARM (Microsoft's swagger, `OfferingType`).
    pub fn offering(self) -> &'static str {
        match self {
            Plan::FoundationalCspm => "CspmMonitorDockerHub",
            Plan::Containers => "DefenderForContainersDockerHub",
            Plan::DefenderCspm => "DefenderCspmDockerHub",
        }
    }
}

/// A connector in Azure Resource Manager. `Display` is its resource id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConnectorId {
    /// Azure subscription, a uuid.
    pub subscription_id: String,
    /// Resource group.
    pub resource_group: String,
    /// Name of the connector.
    pub name: String,
}

impl ConnectorId {
    /// Parses a resource id; `None` if it is not a connector's.
    pub fn parse(id: &str) -> Option<Self> {
        let segments: Vec<&str> = id.trim_start_matches('/').split('/').collect();
        let [_, subscription_id, _, resource_group, _, _, kind, name] = segments.as_slice() else { return None };
        let id = Self {
            subscription_id: (*subscription_id).to_owned(),
            resource_group: (*resource_group).to_owned(),
            name: (*name).to_owned(),
        };
        (kind.eq_ignore_ascii_case("securityConnectors") && id.is_valid()).then_some(id)
    }

    /// Whether Azure accepts each part as a name.
    pub fn is_valid(&self) -> bool {
        is_uuid(&self.subscription_id) && is_resource_group(&self.resource_group) && is_resource_name(&self.name)
    }

    /// Whether both name the same resource: ARM compares names case-insensitively.
    pub fn is_same(&self, other: &ConnectorId) -> bool {
        self.subscription_id.eq_ignore_ascii_case(&other.subscription_id)
            && self.resource_group.to_lowercase() == other.resource_group.to_lowercase()
            && self.name.to_lowercase() == other.name.to_lowercase()
    }
}

impl fmt::Display for ConnectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/{}",
            self.subscription_id, self.resource_group, self.name
        )
    }
}

/// The connector's resource and its desired settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectorSpec {
    /// The resource.
    pub id: ConnectorId,
    /// Azure location, used at creation.
    pub location: String,
    /// Hours between scans, 1 to 24.
    pub scan_interval_hours: u8,
    /// Offerings.
    pub plans: Vec<Plan>,
    /// The user's own tags.
    pub tags: BTreeMap<String, String>,
}

/// Reads the field `connector`.
pub(super) fn read(fields: &Fields<'_>) -> Result<ConnectorSpec, FieldError> {
    if fields.has("connector") && fields.get("connector").is_none() {
        return Err(fields.wrong("connector", "is not an object"));
    }
    let fields = fields.object("connector")?;
    let subscription_id = fields.required("subscriptionId")?;
    if !is_uuid(subscription_id) {
        return Err(fields.wrong("subscriptionId", "is not a uuid"));
    }
    let resource_group = fields.required("resourceGroup")?;
    if !is_resource_group(resource_group) {
        return Err(fields.wrong("resourceGroup", "is not the name of a resource group"));
    }
    let name = fields.required("name")?;
    if !is_resource_name(name) {
        return Err(fields.wrong("name", "is not the name of an Azure resource"));
    }
    let location = fields.required("location")?;
    let scan_interval_hours = match fields.get("scanIntervalHours") {
        None => 24,
        Some(value) => value
            .as_u64()
            .and_then(|hours| u8::try_from(hours).ok())
            .filter(|hours| (1..=24).contains(hours))
            .ok_or_else(|| fields.wrong("scanIntervalHours", "is not a whole number from 1 to 24"))?,
    };
    let plans = if fields.get("plans").is_none() { Plan::ALL.to_vec() } else { plans(&fields)? };
    let id = ConnectorId {
        subscription_id: subscription_id.to_owned(),
        resource_group: resource_group.to_owned(),
        name: name.to_owned(),
    };
    Ok(ConnectorSpec { id, location: location.to_owned(), scan_interval_hours, plans, tags: tags(&fields)? })
}

fn plans(fields: &Fields<'_>) -> Result<Vec<Plan>, FieldError> {
    let named = fields.texts("plans")?.into_iter().map(|name| {
        let known = Plan::ALL.into_iter().find(|plan| plan.name() == name);
        known.ok_or_else(|| fields.wrong("plans", "may hold `foundationalCspm`, `containers` and `defenderCspm` only"))
    });
    let mut plans = named.collect::<Result<Vec<_>, _>>()?;
    plans.sort_unstable();
    plans.dedup();
    Ok(plans)
}

/// Checks a resource group: 1 to 90 letters, digits and `-_.()`, no full stop at the end (Azure's naming rules).
fn is_resource_group(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "-_.()".contains(c);
    (1..=90).contains(&name.chars().count()) && name.chars().all(allowed) && !name.ends_with('.')
}

/// Checks a connector's name: 1 to 260 characters, none that a resource id reserves.
fn is_resource_name(name: &str) -> bool {
    (1..=260).contains(&name.chars().count())
        && !name.chars().any(|c| c.is_control() || "<>%&\\?/#".contains(c))
        && !name.chars().all(|c| c == '.')
}

fn tags(fields: &Fields<'_>) -> Result<BTreeMap<String, String>, FieldError> {
    let tags = match fields.get("tags") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(tags)) => tags,
        Some(_) => return Err(fields.wrong("tags", "is not an object")),
    };
    let read = tags.iter().map(|(name, value)| {
        let Value::String(value) = value else {
            return Err(fields.wrong("tags", "holds a value that is not a string"));
        };
        if name.to_ascii_lowercase().starts_with("hubkeeper-") {
            return Err(fields.wrong("tags", "holds a name that begins with `hubkeeper-`, which is reserved"));
        }
        if name.is_empty() || name.len() > 512 || name.chars().any(|c| "<>%&\\?/".contains(c)) || value.len() > 256 {
            return Err(fields.wrong("tags", "holds a tag that Azure does not accept"));
        }
        Ok((name.clone(), value.clone()))
    });
    read.collect()
}
