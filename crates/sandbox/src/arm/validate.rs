//! Validates a connector's body: Resource Manager's rules for every resource first, then the provider's.
//!
//! Microsoft's swagger requires only the discriminators. Where the service's own rules are unknown, the sandbox applies the
//! stricter one.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::model::Connector;
use super::refusal::{Refusal, arm, provider};

/// The fields that a resource may have at its top level.
const MEMBERS: [&str; 12] = [
    "id",
    "name",
    "type",
    "location",
    "tags",
    "kind",
    "etag",
    "properties",
    "systemData",
    "sku",
    "identity",
    "managedBy",
];
/// The values of `CloudName` in Microsoft's swagger, with the `environmentType` that belongs to each.
const ENVIRONMENTS: [(&str, &str); 7] = [
    ("AWS", "AwsAccount"),
    ("GCP", "GcpProject"),
    ("Github", "GithubScope"),
    ("AzureDevOps", "AzureDevOpsScope"),
    ("GitLab", "GitlabScope"),
    ("DockerHub", "DockerHubOrganization"),
    ("JFrog", "JFrogArtifactory"),
];
/// The values of `OfferingType` in Microsoft's swagger.
const OFFERINGS: [&str; 19] = [
    "CspmMonitorAws",
    "DefenderForContainersAws",
    "DefenderForServersAws",
    "DefenderForDatabasesAws",
    "CspmMonitorGcp",
    "CspmMonitorGithub",
    "CspmMonitorAzureDevOps",
    "DefenderForServersGcp",
    "DefenderForContainersGcp",
    "DefenderForDatabasesGcp",
    "DefenderCspmAws",
    "DefenderCspmGcp",
    "CspmMonitorGitLab",
    "CspmMonitorDockerHub",
    "DefenderForContainersDockerHub",
    "DefenderCspmDockerHub",
    "CspmMonitorJFrog",
    "DefenderForContainersJFrog",
    "DefenderCspmJFrog",
];

/// Validates the body of a PUT, or a stored resource merged with a PATCH (its properties only if the PATCH has some).
pub(super) fn resource(
    body: &Map<String, Value>,
    existing: Option<&Connector>,
    with_properties: bool,
    docker_hub_known: bool,
) -> Result<(), Refusal> {
    if let Some(member) = body.keys().find(|member| !MEMBERS.contains(&member.as_str())) {
        let text = format!(
            "The request content was invalid and could not be deserialized: 'Could not find member '{member}' on object of \
             type 'ResourceDefinition'. Path '{member}'.'"
        );
        return Err(arm(400, "InvalidRequestContent", text));
    }
    location(body.get("location"), existing)?;
    if let Some(tags) = body.get("tags").filter(|tags| !tags.is_null()) {
        check_tags(tags)?;
    }
    for member in ["kind", "etag"] {
        if body.get(member).is_some_and(|value| !value.is_null() && !value.is_string()) {
            return Err(arm(400, "InvalidRequestContent", format!("The member '{member}' must be a string.")));
        }
    }
    if !with_properties {
        return Ok(());
    }
    let properties = body.get("properties").and_then(Value::as_object);
    let properties = properties.ok_or_else(|| provider("properties are missing"))?;
    check_properties(properties, existing, docker_hub_known)
}

fn location(value: Option<&Value>, existing: Option<&Connector>) -> Result<(), Refusal> {
    let location = value.and_then(Value::as_str).filter(|location| !location.trim().is_empty());
    let location = location
        .ok_or_else(|| arm(400, "LocationRequired", "The location property is required for this definition."))?;
    let plain = |location: &str| location.replace(' ', "").to_lowercase();
    match existing {
        Some(connector) if plain(&connector.location) != plain(location) => {
            let text = format!(
                "The resource '{}' already exists in location '{}' in resource group '{}'. A resource with the same name \
                 cannot be created in location '{location}'. Please select a new resource name.",
                connector.name, connector.location, connector.resource_group
            );
            Err(arm(400, "InvalidResourceLocation", text))
        }
        _ => Ok(()),
    }
}

/// Microsoft, "Use tags to organize your Azure resources".
fn check_tags(tags: &Value) -> Result<(), Refusal> {
    let tags =
        tags.as_object().ok_or_else(|| arm(400, "InvalidRequestContent", "The member 'tags' must be an object."))?;
    if tags.len() > 50 {
        return Err(arm(400, "TooManyTags", "The resource has too many tags. The maximum number of tags is 50."));
    }
    let mut seen = BTreeSet::new();
    for (name, value) in tags {
        if name.is_empty() || name.chars().count() > 512 {
            return Err(arm(400, "InvalidTagNameLength", "Tag names must have 1 to 512 characters."));
        }
        if name.contains(['<', '>', '%', '&', '\\', '?', '/']) || name.contains(char::is_control) {
            let text =
                format!("The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters.");
            return Err(arm(400, "InvalidTagNameCharacters", text));
        }
        let value = value.as_str().ok_or_else(|| {
            arm(400, "InvalidRequestContent", format!("The value of the tag '{name}' must be a string."))
        })?;
        if value.chars().count() > 256 {
            return Err(arm(400, "InvalidTagValueLength", "Tag values must have at most 256 characters."));
        }
        if !seen.insert(name.to_lowercase()) {
            return Err(arm(400, "InvalidRequestContent", format!("The tag '{name}' is given more than once.")));
        }
    }
    Ok(())
}

fn check_properties(
    properties: &Map<String, Value>,
    existing: Option<&Connector>,
    docker_hub_known: bool,
) -> Result<(), Refusal> {
    let name = properties.get("environmentName").and_then(Value::as_str).unwrap_or("");
    let Some((_, kind)) = ENVIRONMENTS.iter().find(|(known, _)| *known == name) else {
        return Err(provider(&format!("environmentName '{name}' is not supported")));
    };
    if name == "DockerHub" && !docker_hub_known {
        return Err(provider("environmentName 'DockerHub' is not supported in this api-version"));
    }
    let data = properties.get("environmentData").and_then(Value::as_object);
    let data = data.ok_or_else(|| provider("environmentData is missing"))?;
    let given = data.get("environmentType").and_then(Value::as_str).unwrap_or("");
    if given != *kind {
        return Err(provider(&format!("environmentType '{given}' does not fit environmentName '{name}'")));
    }
    if properties.get("hierarchyIdentifier").is_some_and(|value| value.as_str().is_none_or(str::is_empty)) {
        return Err(provider("hierarchyIdentifier must be a string that is not empty"));
    }
    if name == "DockerHub" {
        check_docker_hub(data, existing)?;
    }
    if let Some(offerings) = properties.get("offerings") {
        check_offerings(offerings, existing)?;
    }
    Ok(())
}

fn check_docker_hub(data: &Map<String, Value>, existing: Option<&Connector>) -> Result<(), Refusal> {
    const KNOWN: [&str; 3] = ["environmentType", "authentication", "scanInterval"];
    // the resource may keep fields that it already has from a newer api-version
    let had =
        |member: &str| existing.is_some_and(|connector| connector.properties["environmentData"].get(member).is_some());
    if let Some(member) = data.keys().find(|member| !KNOWN.contains(&member.as_str()) && !had(member)) {
        return Err(provider(&format!("environmentData has the unknown member '{member}'")));
    }
    let authentication = data.get("authentication").and_then(Value::as_object);
    let authentication = authentication.ok_or_else(|| provider("authentication is missing"))?;
    if authentication.get("authenticationType").and_then(Value::as_str) != Some("AccessToken") {
        return Err(provider("authenticationType must be 'AccessToken'"));
    }
    for member in ["username", "accessToken"] {
        if authentication.get(member).and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(provider(&format!("authentication.{member} must be a string that is not empty")));
        }
    }
    if let Some(member) =
        authentication.keys().find(|key| !matches!(key.as_str(), "authenticationType" | "username" | "accessToken"))
    {
        return Err(provider(&format!("authentication has the unknown member '{member}'")));
    }
    match data.get("scanInterval") {
        None => Ok(()),
        Some(value) if value.as_i64().is_some_and(|hours| (1..=24).contains(&hours)) => Ok(()),
        Some(_) => Err(provider("scanInterval must be a whole number of hours from 1 to 24")),
    }
}

fn check_offerings(offerings: &Value, existing: Option<&Connector>) -> Result<(), Refusal> {
    let offerings = offerings.as_array().ok_or_else(|| provider("offerings must be an array"))?;
    let kept = existing.map(Connector::offerings).unwrap_or_default();
    let mut seen = BTreeSet::new();
    for offering in offerings {
        let kind = offering["offeringType"].as_str().unwrap_or("");
        if !OFFERINGS.contains(&kind) && !kept.contains(&kind) {
            return Err(provider(&format!("offeringType '{kind}' is not supported")));
        }
        if !seen.insert(kind) {
            return Err(provider(&format!("offeringType '{kind}' is given more than once")));
        }
        let unknown = |member: &&String| !matches!(member.as_str(), "offeringType" | "description");
        if kind.ends_with("DockerHub")
            && let Some(member) = offering.as_object().into_iter().flat_map(Map::keys).find(unknown)
        {
            return Err(provider(&format!("offering '{kind}' has the unknown member '{member}'")));
        }
    }
    Ok(())
}
