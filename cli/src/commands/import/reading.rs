//! What a connector in Azure says of itself, as the fields of a secret. Pure.

use hubkeeper_core::connector::observed::TAG_SECRET;
use hubkeeper_core::connector::takeover::text_of;
use hubkeeper_core::connector::{Observed, Ownership};
use hubkeeper_core::ids::is_repository_part;
use hubkeeper_core::secret::KeptConnector;
use hubkeeper_core::secret::document::{ConnectorId, Plan};

use crate::commands::init::field::Field;
use crate::exit::{Code, Failure};
use crate::render::plan::name_of_connector;

/// The command that lists the connectors of a subscription.
const LIST: &str =
    "az resource list --resource-type Microsoft.Security/securityConnectors --query \"[].id\" --output tsv";

/// What a connector says of itself. It holds no token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The connector, as ARM spells it.
    pub id: ConnectorId,
    /// The organization, in lower case.
    pub organization: String,
    /// The organization as the connector spells it.
    pub spelled: String,
    /// The user, if a personal access token of it could be in the secret.
    pub username: Option<String>,
    /// Why the connector's user is not one for the secret.
    pub no_username: Option<&'static str>,
    /// The location.
    pub location: String,
    /// Hours between two scans, if the connector tells a number that a secret may hold.
    pub scan_interval: Option<u8>,
    /// The plans that its offerings are.
    pub plans: Vec<Plan>,
    /// Names of its tags.
    pub tags: Vec<String>,
    /// Offerings that are not Docker Hub's.
    pub other_offerings: Vec<String>,
}

impl Reading {
    /// Reads a connector.
    ///
    /// # Errors
    /// Returns why hubkeeper must not take it over. A connector that another secret manages is not refused here.
    pub fn of(observed: &Observed, asked: &ConnectorId) -> Result<Self, Failure> {
        let id = observed.id().and_then(ConnectorId::parse).filter(|id| id.is_same(asked));
        let id = id.unwrap_or_else(|| asked.clone());
        let spelled = observed.organization().unwrap_or_default();
        let organization = spelled.to_lowercase();
        let is_managed = observed.tag(TAG_SECRET).is_some();
        match observed.ownership_before_creation(&organization) {
            Ownership::Foreign(why) if !is_managed || !observed.is_docker_hub() || spelled.is_empty() => {
                return Err(refused(&id, &why));
            }
            _ => {}
        }
        if !is_repository_part(&organization) {
            return Err(refused(
                &id,
                "its organization (hierarchyIdentifier) is not the name of a Docker Hub organization",
            ));
        }
        let location = observed.location().filter(|location| !location.trim().is_empty()).ok_or_else(|| {
            Failure::new(
                Code::Retry,
                format!("ARM does not tell the location of the connector {}", name_of_connector(&id.to_string())),
                "run the command again",
            )
        })?;
        let (username, no_username) = username(observed.username(), &organization);
        let hours = observed.scan_interval().and_then(|hours| u8::try_from(hours).ok());
        Ok(Self {
            id,
            organization,
            spelled: spelled.to_owned(),
            username,
            no_username,
            location: location.to_owned(),
            scan_interval: hours.filter(|hours| (1..=24).contains(hours)),
            plans: observed.plans(),
            tags: observed.tag_names().into_iter().filter_map(text_of).collect(),
            other_offerings: observed.foreign_offerings().into_iter().filter_map(text_of).collect(),
        })
    }

    /// The connector as a secret remembers it.
    pub fn kept(&self) -> KeptConnector {
        KeptConnector::new(&self.organization, &self.id)
    }

    /// Its name and resource group.
    pub fn name(&self) -> String {
        name_of_connector(&self.id.to_string())
    }
}

/// The connector's user, or why it is not one for the secret.
fn username(told: Option<&str>, organization: &str) -> (Option<String>, Option<&'static str>) {
    match told {
        None => (None, Some("Azure does not show its user")),
        Some(user) if user.contains('@') => {
            (None, Some("it logs in with an e-mail address, and hubkeeper needs the user name (Docker ID)"))
        }
        Some(user) if user.eq_ignore_ascii_case(organization) => {
            (None, Some("it logs in as the organization, which takes an organization access token"))
        }
        Some(user) if Field::Username.check(user).is_err() || text_of(user).is_none() => {
            (None, Some("its user is not a Docker Hub user name"))
        }
        Some(user) => (Some(user.to_owned()), None),
    }
}

fn refused(id: &ConnectorId, why: &str) -> Failure {
    let name = name_of_connector(&id.to_string());
    let remedy = if why.contains("environment") {
        format!("name a Docker Hub connector; this lists all: {LIST}")
    } else {
        "correct the connector in the portal, or delete it there and let hubkeeper create one: hubkeeper init, then hubkeeper onboard".to_owned()
    };
    Failure::new(Code::Refused, format!("the connector {name} cannot be imported: {why}"), remedy)
}

/// Parses the resource id of a connector, in any letter case.
///
/// # Errors
/// Returns a usage failure.
pub fn connector_id(text: &str) -> Result<ConnectorId, Failure> {
    let text = text.trim().trim_end_matches('/');
    let fixed = [(0, "subscriptions"), (2, "resourceGroups"), (4, "providers"), (5, "Microsoft.Security")];
    let segments: Vec<&str> = text.trim_start_matches('/').split('/').collect();
    let is_one = fixed.iter().all(|(at, name)| segments.get(*at).is_some_and(|text| text.eq_ignore_ascii_case(name)));
    ConnectorId::parse(text).filter(|_| is_one).ok_or_else(|| {
        Failure::usage(
            "--connector is not the resource id of a connector (/subscriptions/UUID/resourceGroups/GROUP/providers/Microsoft.Security/securityConnectors/NAME)",
            format!("copy it from the properties of the connector in the portal; or list all: {LIST}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "/subscriptions/a5caac9c-5c04-49af-b3d0-e204f40345d5/resourceGroups/rg/providers/Microsoft.Security/securityConnectors/hub";

    fn portal(change: impl FnOnce(&mut Value)) -> Result<Reading, Failure> {
        let mut body = json!({
            "id": ID.replace("resourceGroups/rg", "resourcegroups/RG"), "name": "hub", "location": "West Europe", "tags": {"cost": "7"},
            "properties": {
                "hierarchyIdentifier": "ACME", "environmentName": "DockerHub",
                "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 6,
                    "authentication": {"authenticationType": "AccessToken", "username": "jane"}},
                "offerings": [{"offeringType": "DefenderCspmDockerHub"}, {"offeringType": "Future"}, {"offeringType": "CspmMonitorDockerHub"}]
            }
        });
        change(&mut body);
        Reading::of(&Observed::parse(body).unwrap(), &connector_id(ID).unwrap())
    }

    #[test]
    fn what_the_connector_says_becomes_the_document() {
        let reading = portal(|_| {}).unwrap();
        assert_eq!((reading.organization.as_str(), reading.spelled.as_str()), ("acme", "ACME"));
        assert_eq!((reading.username.as_deref(), reading.no_username), (Some("jane"), None));
        assert_eq!((reading.location.as_str(), reading.scan_interval), ("West Europe", Some(6)));
        assert_eq!(reading.plans, [Plan::FoundationalCspm, Plan::DefenderCspm]);
        assert_eq!((reading.tags, reading.other_offerings), (vec!["cost".to_owned()], vec!["Future".to_owned()]));
        assert_eq!(reading.id.resource_group, "RG", "as ARM spells it");
    }

    #[test]
    fn an_interval_that_no_secret_may_hold_is_left_out() {
        for interval in [json!(48), json!(0), Value::Null, json!("6")] {
            let reading = portal(|body| body["properties"]["environmentData"]["scanInterval"] = interval);
            assert_eq!(reading.unwrap().scan_interval, None);
        }
    }

    #[test]
    fn a_user_that_cannot_be_the_secrets_comes_with_the_reason() {
        for (user, words) in [
            (json!("jane@acme.example"), "e-mail address"),
            (json!("Acme"), "as the organization"),
            (json!("two words"), "not a Docker Hub user name"),
            (json!("dckr_pat_abc"), "not a Docker Hub user name"),
            (Value::Null, "does not show"),
        ] {
            let reading =
                portal(|body| body["properties"]["environmentData"]["authentication"]["username"] = user).unwrap();
            assert_eq!(reading.username, None);
            assert!(reading.no_username.unwrap().contains(words), "{words}");
        }
    }

    #[test]
    fn what_hubkeeper_must_not_take_over_is_refused() {
        for (pointer, value, words) in [
            ("/properties/environmentName", json!("Github"), "another environment"),
            ("/properties/hierarchyIdentifier", Value::Null, "does not tell its organization"),
            ("/properties/hierarchyIdentifier", json!(""), "not the name of a Docker Hub organization"),
            ("/properties/hierarchyIdentifier", json!("acme inc"), "not the name of a Docker Hub organization"),
        ] {
            let failure = portal(|body| *body.pointer_mut(pointer).unwrap() = value).unwrap_err();
            assert_eq!(failure.code, Code::Refused);
            assert!(failure.what.contains(words) && failure.what.contains("hub in RG"), "{failure:?}");
        }
        // who manages it is found out elsewhere; its environment counts first
        assert!(portal(|body| body["tags"] = json!({"hubkeeper-secret": "0123456789ab"})).is_ok());
        let failure = portal(|body| {
            body["tags"] = json!({"hubkeeper-secret": "0123456789ab"});
            body["properties"]["environmentName"] = json!("GitLab");
        });
        assert!(failure.unwrap_err().what.contains("another environment"));
    }

    #[test]
    fn an_id_is_read_in_any_letter_case() {
        let id = connector_id(ID).unwrap();
        for text in [ID.to_lowercase(), ID.to_uppercase(), format!(" {ID}/\n"), ID[1..].to_owned()] {
            assert!(connector_id(&text).unwrap().is_same(&id), "{text}");
        }
        for text in [
            "hub".to_owned(),
            ID.replace("Microsoft.Security", "Microsoft.Storage"),
            ID.replace("securityConnectors", "pricings"),
            ID.replace("resourceGroups", "groups"),
            format!("https://portal.azure.com{ID}"),
            format!("{ID}/providers"),
            ID.replace("a5caac9c", "x"),
        ] {
            assert_eq!(connector_id(&text).unwrap_err().code, Code::Usage, "{text}");
        }
    }
}
