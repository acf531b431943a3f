//! A connector as Azure stores it, and as a response shows it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// What a response shows of the stored access token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EchoToken {
    /// The field is omitted.
    #[default]
    Never,
    /// `***`
    Masked,
    /// The token itself.
    Plain,
}

/// The Docker Hub login inside a connector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// `authentication.username`
    pub username: String,
    /// `authentication.accessToken`
    pub access_token: String,
}

/// A stored connector.
#[derive(Clone, Debug)]
pub struct Connector {
    /// Subscription id, in its first spelling.
    pub subscription: String,
    /// Resource group, in its first spelling.
    pub resource_group: String,
    /// Name, in its first spelling.
    pub name: String,
    /// Location, as the caller spelled it.
    pub location: String,
    /// Kind of the resource, if the caller gave one.
    pub kind: Option<String>,
    /// Tags. Names are case-insensitive.
    pub tags: BTreeMap<String, String>,
    /// `properties`, without the access token and without the fields that the service adds.
    pub properties: Value,
    /// The Docker Hub login. `None` for another environment, or if the caller gave none.
    pub credential: Option<Credential>,
    /// The etag. It changes with every write.
    pub etag: String,
    /// The creator: a client id, or a person's name.
    pub created_by: String,
    /// The creator's type: `Application` or `User`.
    pub created_by_type: &'static str,
    /// Time of creation.
    pub created_at: OffsetDateTime,
    /// The last writer: a client id, or a person's name.
    pub modified_by: String,
    /// The last writer's type: `Application` or `User`.
    pub modified_by_type: &'static str,
    /// Time of the last write.
    pub modified_at: OffsetDateTime,
}

/// The part of a body that is stored.
pub(super) struct Content {
    pub(super) location: String,
    pub(super) kind: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) properties: Value,
    pub(super) credential: Option<Credential>,
}

impl Content {
    /// Splits a body into the stored parts. It validates nothing: the caller has done so.
    pub(super) fn of(body: &Value) -> Content {
        let mut properties = body["properties"].clone();
        if let Some(members) = properties.as_object_mut() {
            members.remove("hierarchyIdentifierTrialEndDate");
        }
        for offering in properties["offerings"].as_array_mut().into_iter().flatten() {
            if let Some(members) = offering.as_object_mut() {
                members.remove("description");
            }
        }
        let authentication = properties.get_mut("environmentData").and_then(|data| data.get_mut("authentication"));
        let credential = authentication.and_then(|authentication| {
            let token = authentication.as_object_mut()?.remove("accessToken")?;
            Some(Credential {
                username: authentication["username"].as_str().unwrap_or("").to_owned(),
                access_token: token.as_str().unwrap_or("").to_owned(),
            })
        });
        let tags = body["tags"].as_object().into_iter().flatten();
        Content {
            location: body["location"].as_str().unwrap_or("").to_owned(),
            kind: body["kind"].as_str().map(ToOwned::to_owned),
            tags: tags.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect(),
            properties,
            credential,
        }
    }
}

fn time(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC)
        .format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:7]Z"))
        .unwrap_or_default()
}

impl Connector {
    /// The resource's id in the casing of real responses: `resourcegroups`, `securityconnectors`.
    #[must_use]
    pub fn id(&self) -> String {
        let Self { subscription, resource_group, name, .. } = self;
        format!(
            "/subscriptions/{subscription}/resourcegroups/{resource_group}/providers/Microsoft.Security/securityconnectors/{name}"
        )
    }

    /// The Docker Hub login that is stored now: user name and access token.
    #[must_use]
    pub fn credential(&self) -> Option<(&str, &str)> {
        self.credential.as_ref().map(|credential| (credential.username.as_str(), credential.access_token.as_str()))
    }

    /// A tag. Names are case-insensitive.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The types of the connector's offerings.
    #[must_use]
    pub fn offerings(&self) -> Vec<&str> {
        let offerings = self.properties["offerings"].as_array().into_iter().flatten();
        offerings.filter_map(|offering| offering["offeringType"].as_str()).collect()
    }

    /// The body of a PUT that stores the same connector again, token included.
    pub(super) fn body(&self) -> Value {
        let mut properties = self.properties.clone();
        if let Some(credential) = &self.credential {
            properties["environmentData"]["authentication"]["accessToken"] = credential.access_token.as_str().into();
        }
        json!({ "location": self.location, "kind": self.kind, "tags": self.tags, "properties": properties })
    }

    /// The response body of a GET.
    pub(super) fn view(&self, echo: EchoToken, etags: bool) -> Value {
        let mut view = self.body();
        let authentication = &mut view["properties"]["environmentData"]["authentication"];
        match echo {
            EchoToken::Plain => {}
            EchoToken::Masked if self.credential.is_some() => authentication["accessToken"] = "***".into(),
            EchoToken::Masked | EchoToken::Never => {
                if let Some(members) = authentication.as_object_mut() {
                    members.remove("accessToken");
                }
            }
        }
        if self.properties["environmentData"]["authentication"].is_null()
            && let Some(data) = view["properties"]["environmentData"].as_object_mut()
        {
            data.remove("authentication");
        }
        for offering in view["properties"]["offerings"].as_array_mut().into_iter().flatten() {
            let description = match offering["offeringType"].as_str() {
                Some("CspmMonitorDockerHub") => "Foundational CSPM monitoring of Docker Hub",
                Some("DefenderForContainersDockerHub") => "Defender for Containers, Docker Hub",
                Some("DefenderCspmDockerHub") => "Defender CSPM, Docker Hub",
                _ => continue,
            };
            offering["description"] = description.into();
        }
        view["id"] = self.id().into();
        view["name"] = self.name.as_str().into();
        view["type"] = "Microsoft.Security/securityconnectors".into();
        view["systemData"] = json!({
            "createdBy": self.created_by,
            "createdByType": self.created_by_type,
            "createdAt": time(self.created_at),
            "lastModifiedBy": self.modified_by,
            "lastModifiedByType": self.modified_by_type,
            "lastModifiedAt": time(self.modified_at),
        });
        if self.kind.is_none()
            && let Some(members) = view.as_object_mut()
        {
            members.remove("kind");
        }
        if etags {
            view["etag"] = self.etag.as_str().into();
        }
        view
    }
}
